"""JSON files are read as a whole, within bounds that are told."""

from __future__ import annotations

from pathlib import Path

import pytest

from tailflame.errors import ParseError
from tailflame.parse import Source, json_file, load
from tailflame.parse.json_file import Columns, document, whole


def source_of(content: bytes, folder: Path) -> Source:
    path = folder / "x.json"
    path.write_bytes(content)
    return Source(path)


def test_a_file_that_is_too_large_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = source_of(b'{"shared": {"frames": []}, "profiles": []}', tmp_path)
    with pytest.raises(ParseError, match="more than 20 B") as told:
        whole(source, 20)
    assert told.value.advice
    monkeypatch.setattr(json_file, "MEMORY_LIMIT", 100)
    with pytest.raises(ParseError, match="would take more than 100 B of memory"):
        load(source.path, format="speedscope")


def test_columns_are_checked(tmp_path: Path) -> None:
    table = Columns(
        source_of(b"{}", tmp_path), "a file", "table", {"a": [1, None, 2], "b": ["x"], "c": [[1]], "d": [1.5, None]}
    )
    assert table.integers("a").tolist() == [1, -1, 2]
    assert table.numbers("d")[0] == 1.5
    assert table.indices("a", 3).tolist() == [1, -1, 2]
    for fails in (
        lambda: table.indices("a", 2),
        lambda: table.integers("a", 2),
        lambda: table.integers("b"),
        lambda: table.integers("c"),
        lambda: table.list("e"),
    ):
        with pytest.raises(ParseError, match="is not a file that can be read"):
            fails()
    assert "a" in table and "e" not in table


@pytest.mark.parametrize("content", [b"[]", b"7", b"{", b"\xff", b"[" * 100_000, b'{"a": "\\ud800"}', b""])
def test_what_is_no_object_is_refused(content: bytes, tmp_path: Path) -> None:
    with pytest.raises(ParseError):
        document(source_of(content or b" ", tmp_path), "a file")
