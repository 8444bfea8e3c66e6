"""Bad input is one clear sentence with status 3, soon, and no traceback; odd input is read."""

from __future__ import annotations

import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., Any]
LAUGHS = (
    '<?xml version="1.0"?><!DOCTYPE svg [<!ENTITY a "ha">'
    + "".join(f'<!ENTITY {b} "{f"&{a};" * 10}">' for a, b in zip("abcdefgh", "bcdefghi", strict=True))
    + ']><svg xmlns="http://www.w3.org/2000/svg"><title>&i;</title></svg>'
)


def bomb() -> bytes:
    """A gzip file of some 300 KB that unpacks to 300 MB of one line."""
    squeezer = zlib.compressobj(1, wbits=31)
    block = b"a;b" * 1_000_000
    return b"".join([squeezer.compress(block) for _ in range(100)]) + squeezer.flush()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("perf.data", b""),
        ("perf.data", b"PERFILE2"),
        ("perf.data", b"PERFILE2" + b"\xff" * 4000),
        ("perf.data", b"2ELIFREP" + b"\x00" * 4000),
        ("flame.svg", b"<svg><g><title>main (10 samples, 100%)</title><rect"),
        ("flame.svg", LAUGHS.encode()),
        ("stacks.folded.gz", b"\x1f\x8b\x08\x00broken"),
        ("stacks.folded.zst", b"\x28\xb5\x2f\xfdbroken"),
        ("stacks.folded.gz", bomb),
        ("noise", bytes(range(256)) * 500),
        ("prose.txt", b"Dear reader,\nthis is a letter and no profile.\n" * 50),
        ("book.hlog", b"#[Histogram log format version 1.3]\n1,2,3,notbase64\n"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_bad_file_is_one_sentence(
    tailflame: Run, tmp_path: Path, name: str, content: bytes | Callable[[], bytes]
) -> None:
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content())
    began = time.monotonic()
    run = tailflame("show", path)
    took = time.monotonic() - began
    assert run.code == 3, run.out + run.err
    lines = run.err.splitlines()
    assert lines[0].startswith("tailflame: ")
    assert name in lines[0], "the file is named"
    assert all(line.startswith("  fix: ") for line in lines[1:])
    assert len(lines) <= 2
    assert took < 10, "2 s on a quiet machine"


def test_a_folder_a_device_and_a_pipe_are_no_results(tailflame: Run, tmp_path: Path) -> None:
    for path in (tmp_path, Path("/dev/null")):
        run = tailflame("show", path)
        assert (run.code, run.err.startswith("tailflame: ")) == (3, True)


@pytest.mark.parametrize("content", ["main;work 1500\r\nmain 7\r\n", "main;work 1500\nmain 7"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_windows_files_are_read(tailflame: Run, tmp_path: Path, content: str, encoding: str) -> None:
    path = tmp_path / "stacks.folded"
    path.write_bytes(content.encode(encoding))
    document = tailflame("show", path, "--json").document
    assert [(row["name"], row["self"]) for row in document["hotspots"]] == [("work", 1500), ("main", 7)]


def test_a_recursion_ten_thousand_deep_is_shown_kept_compared_and_exported(tailflame: Run, tmp_path: Path) -> None:
    path = tmp_path / "deep.folded"
    path.write_text("main;setup 1\n" + "main" + ";recurse" * 10_000 + " 1500\n")
    assert tailflame("show", path).code == 0
    assert tailflame("baseline", "set", path, "--binary", "/opt/deep").code == 0
    assert "No function moved" in tailflame("diff", "latest", path).out
    for form in ("svg", "folded", "speedscope", "firefox", "pprof", "json"):
        target = tmp_path / f"deep.{form}"
        assert tailflame("export", "latest", "--to", form, "-o", target).code == 0
    row = tailflame("show", tmp_path / "deep.svg", "--json").document["hotspots"][0]
    assert (row["name"], row["self"], row["total"]) == ("recurse", 1500, 1500)
