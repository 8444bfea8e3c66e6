"""Files of every compression, encoding and line end are the same text; progress, cancel and bounds hold."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from tailflame.errors import Cancelled, ParseError
from tailflame.parse import source as source_module
from tailflame.parse.source import HEAD, Source, decode_head

TEXT = "main;parse 3\nmain;run;walk 12\n"
PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    "gzip": gzip.compress,
    "zstd": zstandard.ZstdCompressor().compress,
    "xz": lambda data: lzma.compress(data, preset=0),
    "bzip2": bz2.compress,
}


@pytest.fixture(params=PACKERS, ids=lambda kind: kind or "plain")
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def written(folder: Path, content: bytes, name: str = "stacks.folded") -> Source:
    path = folder / name
    path.write_bytes(content)
    return Source(path)


def test_compression_is_seen_by_content(tmp_path: Path, kind: str) -> None:
    source = written(tmp_path, PACKERS[kind](TEXT.encode()), "misnamed.txt")
    assert source.compression == kind
    assert source.head == TEXT.encode()
    assert list(source.lines()) == TEXT.splitlines()
    assert list(source.lines()) == TEXT.splitlines(), "a second pass starts again"


def test_several_members_in_a_row_are_one_text(tmp_path: Path, kind: str) -> None:
    pack = PACKERS[kind]
    assert written(tmp_path, pack(b"a 1\nb") + pack(b" 2\n")).text(100) == "a 1\nb 2\n"


def test_output_is_handed_out_in_bounded_pieces(tmp_path: Path, kind: str) -> None:
    source = written(tmp_path, PACKERS[kind](b"x" * 1_000_000))
    pieces = list(source.chunks(100_000))
    assert max(map(len, pieces)) <= 100_000
    assert sum(map(len, pieces)) == 1_000_000
    assert len(source.head) == HEAD


@pytest.mark.parametrize("packer", ["gzip", "zstd", "xz", "bzip2"])
@pytest.mark.parametrize("keep", [0.3, 0.99])
def test_a_truncated_file_is_told(tmp_path: Path, packer: str, keep: float) -> None:
    noise = os.urandom(100_000).hex().encode()
    packed = PACKERS[packer](noise)
    with pytest.raises(ParseError, match=r"cut short"):
        list(written(tmp_path, packed[: int(len(packed) * keep)]).chunks())


def test_the_head_of_a_short_file_that_is_cut_is_what_can_be_read(tmp_path: Path) -> None:
    packed = gzip.compress(TEXT.encode() + os.urandom(2_000).hex().encode())
    source = written(tmp_path, packed[: len(packed) // 2])
    assert source.head.startswith(TEXT.encode())
    with pytest.raises(ParseError, match=r"cut short"):
        list(source.chunks())
    with pytest.raises(ParseError, match=r"cut short"):
        written(tmp_path, packed[:8])  # nothing at all


@pytest.mark.parametrize("packer", ["gzip", "zstd", "xz", "bzip2"])
def test_a_damaged_file_is_told(tmp_path: Path, packer: str) -> None:
    noise = os.urandom(50_000).hex().encode()
    checked = zstandard.ZstdCompressor(write_checksum=True).compress
    packed = bytearray((checked if packer == "zstd" else PACKERS[packer])(noise))
    packed[10_000:10_500] = b"\xff" * 500
    with pytest.raises(ParseError, match=r"does not unpack|cut short"):
        list(written(tmp_path, bytes(packed)).chunks())


def test_a_zstd_file_with_skippable_frame_and_checksum_is_whole(tmp_path: Path) -> None:
    skippable = (0x184D2A53).to_bytes(4, "little") + (5).to_bytes(4, "little") + b"hello"
    packer = zstandard.ZstdCompressor(write_checksum=True, write_content_size=False)
    stream = packer.compressobj()
    frame = stream.compress(TEXT.encode() * 50_000) + stream.flush()
    source = written(tmp_path, skippable + frame + PACKERS["zstd"](b"end 1\n"))
    assert sum(1 for _ in source.lines()) == 100_001


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"], ids=lambda name: name)
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_encodings_and_line_ends_make_no_difference(tmp_path: Path, encoding: str, end: str) -> None:
    lines = ["main;läuft 3", "main;走る;µs 12"]
    source = written(tmp_path, "".join(line + end for line in lines).encode(encoding))
    assert list(source.lines()) == lines
    assert decode_head(source.head).splitlines() == lines


def test_big_endian_with_mark(tmp_path: Path) -> None:
    source = written(tmp_path, b"\xfe\xff" + "a;b 1\n".encode("utf-16-be"))
    assert list(source.lines()) == ["a;b 1"]


def test_bytes_that_are_no_text_stay_distinct(tmp_path: Path) -> None:
    assert list(written(tmp_path, b"caf\xe9 1\ncaf\xe8 2\n").lines()) == ["caf\\xe9 1", "caf\\xe8 2"]


@settings(max_examples=60)
@given(lines=st.lists(st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"]))))
@pytest.mark.parametrize("chunk", [1, 7])
def test_lines_do_not_depend_on_where_chunks_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lines: list[str], chunk: int
) -> None:
    monkeypatch.setattr(Source.chunks, "__defaults__", (chunk,))
    text = "".join(f"{line}\r\n" for line in ["first", *lines, "last"])
    assert list(written(tmp_path, text.encode()).lines()) == ["first", *lines, "last"]


def test_a_last_line_without_end_is_kept(tmp_path: Path) -> None:
    assert list(written(tmp_path, b"a 1\nb 2").lines()) == ["a 1", "b 2"]


def test_the_bare_name_loses_compression_suffixes_only(tmp_path: Path) -> None:
    assert written(tmp_path, gzip.compress(b"x"), "out.folded.gz").bare_name == "out.folded"
    assert written(tmp_path, b"x", "out.gz").bare_name == "out.gz"


def test_progress_rises_to_the_end(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "stacks"
    path.write_bytes(PACKERS[kind](os.urandom(1_300_000).hex().encode()))
    seen: list[float] = []
    for _ in Source(path, progress=seen.append).chunks():
        pass
    assert seen == sorted(seen)
    assert len(seen) >= 3
    assert seen[-1] == pytest.approx(1.0)


def test_progress_may_cancel(tmp_path: Path) -> None:
    path = tmp_path / "stacks"
    path.write_bytes(b"main 1\n" * 1_000_000)

    def stop(share: float) -> None:
        raise Cancelled

    with pytest.raises(Cancelled):
        list(Source(path, progress=stop).lines())


@pytest.mark.parametrize("kind", ["gzip", "zstd", "xz", "bzip2"])
def test_a_bomb_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    monkeypatch.setattr(source_module, "BOMB_SIZE", 4_000_000)
    source = written(tmp_path, PACKERS[kind](b"\0" * 30_000_000))
    read = 0
    with pytest.raises(ParseError, match=r"unpacks to more than") as told:
        for chunk in source.chunks():
            read += len(chunk)
    assert read < max(6_000_000, 401 * source.size)
    assert told.value.advice


def test_a_run_of_one_byte_is_stopped_long_before_its_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr(source_module, "RUN_LIMIT", 3_000_000)
    source = written(tmp_path, PACKERS[kind](b"main 1\n" + b"\n" * 9_000_000))
    if not kind:
        assert sum(map(len, source.chunks())) == 9_000_007, "what is not packed is as large as it looks"
        return
    with pytest.raises(ParseError, match=r"unpacks to more than 3.0 MB of one byte repeated") as told:
        list(source.chunks())
    assert told.value.advice


def test_a_small_file_and_one_of_two_bytes_in_turn_may_be_packed_as_well_as_can_be(tmp_path: Path, kind: str) -> None:
    for content in (b"\n" * 3_000_000, b"+-" * 4_000_000, (b"\n" * 3_000_000 + b"a" * 3_000_000) * 2):
        assert sum(map(len, written(tmp_path, PACKERS[kind](content)).chunks())) == len(content)


def test_a_well_packed_but_honest_file_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source_module, "BOMB_SIZE", 1_000_000)
    text = "".join(f"main;step_{i % 1000};leaf {i}\n" for i in range(60_000)).encode()
    assert sum(map(len, written(tmp_path, PACKERS["xz"](text)).chunks())) == len(text)


def test_the_absolute_limit_holds_whatever_the_ratio(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source_module, "OUTPUT_LIMIT", 300_000)
    with pytest.raises(ParseError, match="unpacks to more than"):
        list(written(tmp_path, gzip.compress(os.urandom(500_000))).chunks())


def test_a_line_without_end_is_an_error_not_a_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source_module, "LINE_LIMIT", 3_000_000)
    source = written(tmp_path, b"main 1\n" + b"x" * 9_000_000)
    with pytest.raises(ParseError, match=r"^Line 2 of .* is longer than"):
        list(source.lines())


def test_text_has_a_limit(tmp_path: Path) -> None:
    assert written(tmp_path, b"a\r\nb").text(4) == "a\nb"
    with pytest.raises(ParseError, match="holds more than"):
        written(tmp_path, b"abcdef").text(5)


def test_an_unreadable_file_says_whose_it_is_and_the_way_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "perf data"
    path.write_bytes(b"x")

    def refuse(*_: object) -> int:
        raise PermissionError

    monkeypatch.setattr(os, "open", refuse)
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    with pytest.raises(ParseError, match=r"You may not read .*: it belongs to \w+") as told:
        Source(path)
    assert f"sudo chown $USER '{path}'" in told.value.advice
    monkeypatch.setattr(os, "geteuid", os.getuid)
    with pytest.raises(ParseError) as told:
        Source(path)
    assert told.value.advice == f"Allow it: chmod u+r '{path}'"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_closed_file_is_told_by_the_system_too(tmp_path: Path) -> None:
    path = tmp_path / "closed"
    path.write_bytes(b"x")
    path.chmod(0)
    with pytest.raises(ParseError, match="You may not read"):
        Source(path)


def test_a_pipe_is_refused_without_waiting_for_a_writer(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    assert stat.S_ISFIFO(path.stat().st_mode)
    with pytest.raises(ParseError, match="a device or a pipe"):
        Source(path)
