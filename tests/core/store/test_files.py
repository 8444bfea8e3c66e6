"""Files are whole or not there, and what the system refuses is a sentence."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import IO

import pytest

from tailflame.errors import StoreError
from tailflame.store.files import locked, read_json, write_atomically, write_json


def test_a_failing_write_leaves_the_old_file_and_no_other(tmp_path: Path) -> None:
    path = tmp_path / "session.json"
    write_json(path, {"a": 1})

    def half(stream: IO[bytes]) -> None:
        stream.write(b'{"a":')
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_atomically(path, half)
    assert read_json(path).integer("a") == 1
    assert os.listdir(tmp_path) == ["session.json"]


def test_the_content_is_on_disk_before_the_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[str] = []
    fsync, replace = os.fsync, Path.replace

    def noting_fsync(descriptor: int) -> None:
        steps.append("folder" if os.path.isdir(f"/proc/self/fd/{descriptor}") else "file")
        fsync(descriptor)

    def noting_replace(self: Path, target: Path) -> Path:
        steps.append("rename")
        return replace(self, target)

    monkeypatch.setattr(os, "fsync", noting_fsync)
    monkeypatch.setattr(Path, "replace", noting_replace)
    write_json(tmp_path / "x.json", {})
    assert steps == ["file", "rename", "folder"]


def test_a_refused_write_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"x\.json cannot be written: No such file or directory"):
        write_json(tmp_path / "gone" / "x.json", {})


def test_files_follow_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write_json(tmp_path / "x.json", {})
    finally:
        os.umask(before)
    assert (tmp_path / "x.json").stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "not valid JSON"),
        (b"[]", "expected an object, found a list"),
        (b"[" * 200_000, "not valid JSON"),
        (b"\xff", "not valid JSON"),
        (b" " * 20_000_000, "larger than 16 MiB"),
    ],
)
def test_what_is_not_an_object_is_a_sentence(tmp_path: Path, content: bytes, sentence: str) -> None:
    path = tmp_path / "x.json"
    path.write_bytes(content)
    with pytest.raises(StoreError, match=sentence):
        read_json(path)


def test_undecodable_names_survive(tmp_path: Path) -> None:
    write_json(tmp_path / "x.json", {"binary": "/tmp/b\udcff"})
    assert read_json(tmp_path / "x.json").text("binary") == "/tmp/b\udcff"


def test_a_lock_keeps_others_waiting(tmp_path: Path) -> None:
    order: list[str] = []
    waiting = threading.Event()

    def second() -> None:
        waiting.set()
        with locked(tmp_path):
            order.append("second")

    with locked(tmp_path):
        thread = threading.Thread(target=second)
        thread.start()
        assert waiting.wait(5)
        order.append("first")
    thread.join(5)
    assert order == ["first", "second"]
