"""Files that grow, are rotated, truncated, or not there yet: no line is lost, none is told twice."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tailflame.errors import ParseError
from tailflame.live import tail as tail_module
from tailflame.live.tail import Backlog, Beginning, Tail


def drain(tail: Tail, *, most: int = 1 << 20) -> bytes:
    tail.look()
    blocks = []
    while (block := tail.read(most)) is not None:
        blocks.append(block.data)
    return b"".join(blocks)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "out.log"


def append(path: Path, data: bytes) -> None:
    with path.open("ab") as file:
        file.write(data)


def test_only_what_is_written_from_now_on(path: Path) -> None:
    path.write_bytes(b"old\nhalf of a li")
    tail = Tail(path)
    tail.open()
    assert drain(tail) == b""
    append(path, b"ne\nnew\nunfin")
    assert drain(tail) == b"new\n"
    append(path, b"ished\n")
    assert drain(tail) == b"unfinished\n"
    tail.close()


def test_from_the_start_and_the_last_line_without_an_end(path: Path) -> None:
    path.write_bytes(b"one\ntwo\nthree")
    tail = Tail(path, from_start=True)
    tail.open()
    assert tail.look() == 13
    assert drain(tail) == b"one\ntwo\n"
    assert [block.data for block in tail.finish()] == [b"three"]
    assert tail.finish() == []
    tail.close()


def test_a_file_that_appears_later_is_read_whole(tmp_path: Path) -> None:
    path = tmp_path / "later" / "out.log"
    tail = Tail(path)
    tail.open()
    assert tail.look() == 0
    assert tail.read() is None
    path.parent.mkdir()
    path.write_bytes(b"first\n")
    tail.look()
    block = tail.read()
    assert block is not None
    assert (block.data, block.beginning) == (b"first\n", Beginning.APPEARED)
    tail.close()


def test_renamed_and_created_anew(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As logrotate does it; the writer goes on in the old file until it notices."""
    path.write_bytes(b"")
    tail = Tail(path)
    tail.open()
    append(path, b"1\n")
    os.rename(path, path.with_suffix(".1"))
    append(path.with_suffix(".1"), b"2\n")
    path.write_bytes(b"4\n")
    tail.look()
    assert drain(tail) == b"1\n2\n4\n"
    append(path.with_suffix(".1"), b"3\nlast")
    append(path, b"5\n")
    assert drain(tail) == b"3\n5\n"
    monkeypatch.setattr(tail_module, "ROTATION_GRACE_S", -1)
    tail.look()
    block = tail.read()
    assert block is not None
    assert block.data == b"last"
    append(path.with_suffix(".1"), b"nobody waits for this\n")
    append(path, b"6\n")
    assert drain(tail) == b"6\n"
    assert len(os.listdir("/proc/self/fd")) > 0
    tail.close()


def test_renamed_and_nothing_in_its_place(path: Path) -> None:
    path.write_bytes(b"")
    tail = Tail(path)
    tail.open()
    os.rename(path, path.with_suffix(".1"))
    append(path.with_suffix(".1"), b"still here\n")
    assert drain(tail) == b"still here\n"
    tail.close()


def test_emptied(path: Path) -> None:
    path.write_bytes(b"old\n" * 100)
    tail = Tail(path)
    tail.open()
    append(path, b"unfin")
    drain(tail)
    os.truncate(path, 0)
    append(path, b"new\n")
    tail.look()
    block = tail.read()
    assert block is not None
    assert (block.data, block.beginning) == (b"new\n", Beginning.TRUNCATED)
    tail.close()


def test_emptied_and_grown_beyond_the_place_between_two_looks(path: Path) -> None:
    path.write_bytes(b"")
    tail = Tail(path)
    tail.open()
    append(path, b"a line of the old content\n")
    drain(tail)
    os.truncate(path, 0)
    append(path, b"what is written anew has more bytes\n" * 10)
    assert drain(tail) == b"what is written anew has more bytes\n" * 10
    tail.close()


def test_emptied_under_a_writer_that_goes_on_at_its_own_place(path: Path) -> None:
    """copytruncate with a writer that does not append: zeros up to where it was."""
    with path.open("wb", buffering=0) as writer:
        tail = Tail(path)
        tail.open()
        writer.write(b"old line\n" * 10_000)
        assert len(drain(tail)) == 90_000
        os.truncate(path, 0)
        writer.write(b"new line\n")
        assert path.stat().st_size == 90_009
        assert drain(tail) == b"new line\n"
    tail.close()


def test_lines_of_any_length(path: Path) -> None:
    path.write_bytes(b"")
    tail = Tail(path, line_limit=1000)
    tail.open()
    append(path, b"short\n" + b"x" * 900)
    assert drain(tail, most=100) == b"short\n"
    append(path, b"y\n" + b"z" * 5000)
    assert drain(tail, most=100) == b"x" * 900 + b"y\n"
    append(path, b"z" * 5000 + b"\nshort again\n")
    assert drain(tail, most=100) == b"short again\n"
    assert tail.too_long == 1
    tail.close()


@settings(max_examples=60, deadline=None)
@given(
    pieces=st.lists(st.binary(max_size=40).map(lambda b: b.replace(b"a", b"\n")), max_size=20),
    most=st.integers(1, 50),
)
def test_every_whole_line_once(tmp_path_factory: pytest.TempPathFactory, pieces: list[bytes], most: int) -> None:
    path = tmp_path_factory.mktemp("tail") / "x.log"
    path.write_bytes(b"")
    tail = Tail(path)
    tail.open()
    got = b""
    for piece in pieces:
        append(path, piece)
        got += drain(tail, most=most)
    got += b"".join(block.data for block in tail.finish())
    assert got == b"".join(pieces)
    assert tail.position == tail.look() == len(got)
    tail.close()


def test_what_can_never_be_followed_says_so(tmp_path: Path) -> None:
    with pytest.raises(ParseError, match="is a folder, not a file") as told:
        Tail(tmp_path).open()
    assert told.value.advice
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ParseError, match="is a device or a pipe"):
        Tail(tmp_path / "pipe").open()
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    with pytest.raises(ParseError, match="cannot be read: Too many levels"):
        Tail(loop).open()


def test_no_descriptor_is_left(path: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        tail = Tail(path)
        path.write_bytes(b"x\n")
        tail.open()
        path.unlink()
        path.write_bytes(b"y\n")
        tail.look()
        tail.close()
        path.unlink()
    assert len(os.listdir("/proc/self/fd")) == before


def test_the_backlog_knows_when_the_unread_was_written() -> None:
    backlog = Backlog(most=3)
    assert backlog.oldest is None
    assert backlog.seconds(10.0) == 0.0
    for now, end in ((1.0, 10), (2.0, 20), (3.0, 30), (4.0, 40)):
        backlog.note(now, (end,))
    assert backlog.oldest == (1.0, (10,))
    assert backlog.seconds(4.5) == 3.5
    backlog.done()
    backlog.done()
    assert backlog.oldest == (4.0, (40,)), "of too many notes the newest stands for those before it"
