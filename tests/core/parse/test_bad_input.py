"""What people open by mistake: each file is read, or refused in one sentence with what to do, soon and in bounds."""

from __future__ import annotations

import gzip
import io
import json
import lzma
import random
import tarfile
import time
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from helpers.stack_counts import DATA
from tailflame.errors import Cancelled, ParseError, TailflameError, UnknownFormat
from tailflame.parse import Format, formats, load, trie
from tailflame.parse import source as source_module


def refusal(path: Path) -> TailflameError:
    """The error of opening `path`, which must be one sentence that names the file, soon."""
    began = time.monotonic()
    with pytest.raises(TailflameError) as told:
        load(path)
    assert time.monotonic() - began < 2
    error = told.value
    assert isinstance(error, ParseError)
    assert path.name in error.sentence
    assert error.sentence.endswith(".")
    assert "\n" not in error.sentence
    assert len(error.sentence.replace(str(path), "")) < 200
    return error


def test_a_missing_file(tmp_path: Path) -> None:
    error = refusal(tmp_path / "gone.svg")
    assert error.sentence.startswith("There is no file ")
    assert error.advice


def test_a_folder(tmp_path: Path) -> None:
    error = refusal(tmp_path)
    assert "is a folder" in error.sentence
    assert error.advice


def test_a_file_behind_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    assert "Not a directory" in refusal(tmp_path / "file" / "below").sentence


@pytest.mark.parametrize("content", [b"", gzip.compress(b"")], ids=["plain", "gzip"])
def test_an_empty_file(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "perf.data"
    path.write_bytes(content)
    assert "empty" in refusal(path).sentence


def zipped() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("stacks.folded", "main 1\n")
    return buffer.getvalue()


def tarred(content: bytes, format: int = tarfile.GNU_FORMAT) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=format) as archive:
        member = tarfile.TarInfo("result")
        member.size = len(content)
        archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


LOOKS = {
    "a program or library (ELF)": b"\x7fELF\x02\x01\x01" + bytes(500),
    "a script": b"#!/bin/sh\necho main 1\n",
    "a PNG picture": b"\x89PNG\r\n\x1a\n" + bytes(range(256)),
    "a PDF document": b"%PDF-1.7\n%\xe2\xe3",
    "a zip archive": zipped(),
    "compressed data (gzip) within compressed data": gzip.compress(gzip.compress(b"main 1\n")),
    "an SQLite database": b"SQLite format 3\0" + bytes(100),
    "a tar archive": tarred(b"main 1\n"),
    "a Chrome trace (JSON)": json.dumps({"traceEvents": []}).encode(),
    "JSON": json.dumps([{"a": 1}], indent=1).replace("[\n ", "[").encode(),
    "a web page": b"<!DOCTYPE html><html><body>no</body></html>",
    "XML, but no flame graph": b'<?xml version="1.0"?><project/>',
    "a massif log": b"desc: --massif-out-file=x\ncmd: ./x\n",
    "binary data of a kind unknown to it": random.Random(1).randbytes(5000),
}


def refused(tmp_path: Path, content: bytes, looks: str) -> None:
    path = tmp_path / "result.dat"
    path.write_bytes(content)
    error = refusal(path)
    assert isinstance(error, UnknownFormat)
    assert error.sentence.endswith(f"none of the formats that Tailflame reads: it looks like {looks}.")
    assert error.advice


@pytest.mark.parametrize("looks", LOOKS)
def test_a_file_that_is_none_of_the_formats_says_what_it_is(tmp_path: Path, looks: str) -> None:
    refused(tmp_path, LOOKS[looks], looks)


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
@pytest.mark.parametrize("format", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_a_result_in_a_tar_archive_is_not_taken_for_the_archive(
    tmp_path: Path, format: int, pack: Callable[[bytes], bytes]
) -> None:
    content = (DATA / "massif" / "3.19.0" / "instructions.out").read_bytes()
    refused(tmp_path, pack(tarred(content, format)), "a tar archive")


@pytest.mark.parametrize(
    "content",
    [
        b"Dear reader,\n\nthis is a letter.\n",
        b"[build-system]\nrequires = []\n",
        b"name,self,total\nmain,1,2\n",
        "of another kind\n".encode("utf-16"),
        b" \n \n",
    ],
)
def test_a_text_of_another_kind(tmp_path: Path, content: bytes) -> None:
    refused(tmp_path, content, "text, but neither stacks nor samples")


@pytest.mark.parametrize("known", formats.FORMATS, ids=lambda known: known.name)
@pytest.mark.parametrize("content", [b"\0" * 300, b"words\n", b"<svg", random.Random(2).randbytes(3000)])
def test_a_chosen_format_refuses_what_is_not_its_own_in_a_sentence(
    tmp_path: Path, known: Format, content: bytes
) -> None:
    path = tmp_path / "result.dat"
    path.write_bytes(content)
    with pytest.raises(TailflameError) as told:
        load(path, format=known.name)
    assert told.value.sentence.endswith(".")
    assert "\n" not in told.value.sentence


def test_billion_laughs(tmp_path: Path) -> None:
    laughs = "".join(f'<!ENTITY l{i} "{f"&l{i - 1};" * 10}">' for i in range(1, 20))
    path = tmp_path / "laughs.svg"
    path.write_text(
        f'<?xml version="1.0"?><!DOCTYPE svg [<!ENTITY l0 "samples, ">{laughs}]>'
        '<svg id="frames"><g><title>&l19;</title><rect x="1" y="1" width="1"/></g></svg>'
    )
    error = refusal(path)
    assert "defines entities of its own" in error.sentence
    assert error.advice


def test_a_gz_bomb_of_one_line_meets_the_limit_of_lines(tmp_path: Path) -> None:
    path = tmp_path / "bomb.folded.gz"
    path.write_bytes(gzip.compress(b"main;work 3\n" * 10_000 + b"\0\1" * 45_000_000, compresslevel=1))
    assert path.stat().st_size < 1_000_000
    assert "Line 10001" in refusal(path).sentence


@pytest.mark.parametrize("name", ["bomb.folded.xz", "bomb.svg.xz"])
def test_a_bomb_of_many_lines_is_stopped_by_its_ratio(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(source_module, "BOMB_SIZE", 3_000_000)
    start = b"main;work 3\n" if "folded" in name else b'<svg id="frames"><!-- Flame graph stack visualization -->\n'
    path = tmp_path / name
    path.write_bytes(lzma.compress(start + b"\n" * 40_000_000, preset=0))
    error = refusal(path)
    assert "unpacks to more than" in error.sentence
    assert "unpack it first" in error.advice


def peak(action: Callable[[], object]) -> int:
    """Most memory that Python objects took during `action`, in bytes."""
    tracemalloc.start()
    try:
        action()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("packed", [False, True])
def test_a_big_text_takes_the_memory_of_its_stacks_not_of_its_length(tmp_path: Path, packed: bool) -> None:
    """Stands for a text of 1 GB."""
    block = "".join(f"main;step_{i % 50};leaf_{i % 7};{'deep;' * 30}end {i % 9 + 1}\n" for i in range(5_000))
    path = tmp_path / "big.folded"
    peaks = []
    for times in (24, 96):
        text = (block * times).encode()
        path.write_bytes(gzip.compress(text, compresslevel=1) if packed else text)
        peaks.append(peak(lambda: load(path)))
    assert len(text) > 80_000_000
    assert peaks[1] < 150_000_000
    assert peaks[1] - peaks[0] < 20_000_000, "360,000 lines more, 63 MB of text"


def test_stacks_without_end_are_refused_before_memory_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (trie, formats):
        monkeypatch.setattr(module, "ROWS_LIMIT", 1000)
    path = tmp_path / "all-different.folded"
    path.write_text("".join(f"main;a{n};b{n} 1\n" for n in range(600)))
    error = refusal(path)
    assert "more than 1,000 different stacks" in error.sentence
    assert error.advice
    path.write_text("".join(f"main;a{n};b{n} 1\n" for n in range(400)))
    assert load(path).profile is not None


def test_a_big_graph_takes_the_memory_of_its_frames(tmp_path: Path) -> None:
    rows = [
        f'<g >\n<title>name (2 samples, 0.01%)</title><rect x="{10 + i / 10:.1f}" y="100" width="0.1" height="15.0"'
        f' fill="rgb(1,2,3)" rx="2" ry="2" />\n<text x="{i}" y="1">{"x" * 1200}</text>\n</g>\n'
        for i in range(8_000)
    ]
    root = '<g><title>all (16,000 samples, 100%)</title><rect x="10.0" y="116" width="2000.0" height="15.0"/></g>'
    path = tmp_path / "big.svg"
    path.write_text(f'<svg><g id="frames">{root}{"".join(rows)}</g></svg>')
    assert path.stat().st_size > 10_000_000
    assert peak(lambda: load(path)) < 9_000_000


def test_a_long_reading_can_be_stopped_at_any_time(tmp_path: Path) -> None:
    path = tmp_path / "long.folded"
    path.write_text("main;work 3\n" * 1_000_000)
    shares: list[float] = []

    def stop(share: float) -> None:
        shares.append(share)
        if share > 0.15:
            raise Cancelled

    began = time.monotonic()
    with pytest.raises(Cancelled):
        load(path, progress=stop)
    assert shares[-1] < 0.3
    assert time.monotonic() - began < 2


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize(
    "name",
    [
        "flamegraph/inferno/0.12.8/stacks.svg",
        "flamegraph/flamegraph.pl/2024-10/stacks.svg",
        "hlog/trading-system/demo.hlog",
    ],
)
def test_real_files_with_damage_are_read_or_refused(tmp_path: Path, name: str, seed: int) -> None:
    luck = random.Random(seed)
    content = bytearray((DATA / name).read_bytes())
    for _ in range(luck.randrange(1, 60)):
        at = luck.randrange(len(content))
        content[at : at + luck.randrange(40)] = luck.randbytes(luck.randrange(40))
    path = tmp_path / "damaged"
    path.write_bytes(content)
    try:
        load(path)
    except ParseError as error:
        assert error.sentence.endswith(".")
