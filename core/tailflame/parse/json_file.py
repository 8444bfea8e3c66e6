"""A JSON file as a whole, within bounds, and its columns as arrays: for formats that are one JSON document."""

from __future__ import annotations

import codecs
import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from tailflame.errors import ParseError
from tailflame.model import NONE
from tailflame.model.stacks import Float64, Int64
from tailflame.parse.source import Source, encoding_of
from tailflame.units import size

FILE_LIMIT = 1024**3
"""Largest file, unpacked, that is read as a whole."""
MEMORY_LIMIT = 8 * 1024**3
"""Most memory that the document's values may take: as much as a full file of numbers needs."""
_OBJECT, _ARRAY, _VALUE = 200, 70, 40
"""Bytes that an object, an array and another value take in memory, at most, apart from their text."""

_PAIR_OR_BYTE = re.compile(r"(\\[^x])|\\x", re.DOTALL)


def whole(source: Source, limit: int = FILE_LIMIT) -> bytes:
    """The unpacked bytes of the file; ParseError where there are more than `limit`."""
    pieces: list[bytes] = []
    held = 0
    for piece in source.chunks():
        held += len(piece)
        if held > limit:
            raise ParseError(
                f"{source.name} holds more than {size(limit)}, too much to read at once.",
                source=source.name,
                advice="Record a shorter time, or open the recording that it was made from.",
            )
        pieces.append(piece)
    return b"".join(pieces)


def text_of(source: Source) -> bytes:
    """The JSON of the file in UTF-8 without a mark, whichever way it is encoded."""
    data = whole(source)
    encoding = encoding_of(data[:512])
    if encoding == "utf-8-sig":
        return data.removeprefix(codecs.BOM_UTF8)
    return data.decode(encoding, "backslashreplace").encode()


def mended(text: str) -> str:
    """JSON in which bytes that are no UTF-8 have become \\xNN, as text that JSON can hold: a backslash is two there.

    Names of files and threads are bytes, which tools write as they are; JSON has no such escape.
    """
    return _PAIR_OR_BYTE.sub(lambda found: found[1] or r"\\x", text) if r"\x" in text else text


def _mended_bytes(data: bytes) -> bytes | None:
    """None where it is UTF-8, and something else is wrong with it."""
    try:
        data.decode()
    except UnicodeDecodeError:
        return mended(data.decode("utf-8", "backslashreplace")).encode()
    return None


def document(source: Source, what: str, *, data: bytes | None = None) -> dict[str, Any]:
    """The JSON object in the file; ParseError where there is none. what: "a speedscope file"."""
    value = parsed(source, text_of(source) if data is None else data)
    if not isinstance(value, dict):
        raise broken(source, what, "it is no JSON object")
    return value


def parsed(source: Source, data: bytes) -> Any:
    """The JSON value in `data`; ParseError where it is none, or too large to hold."""
    import orjson

    needed = _OBJECT * data.count(b"{") + _ARRAY * data.count(b"[") + _VALUE * data.count(b",")
    if needed > MEMORY_LIMIT:
        raise ParseError(
            f"{source.name} would take more than {size(MEMORY_LIMIT)} of memory.",
            source=source.name,
            advice="Record a shorter time, or open the recording that it was made from.",
        )
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError as error:
        text = _mended_bytes(data)
        if text is not None:
            return parsed(source, text)
        raise ParseError(
            f"{source.name} is not whole: its JSON breaks off or is damaged at line {error.lineno}.",
            source=source.name,
            line=error.lineno,
            advice="Copy or record it again.",
            details=str(error),
        ) from error


def broken(source: Source, what: str, why: str) -> ParseError:
    return ParseError(
        f"{source.name} is not {what} that can be read: {why}.", source=source.name, advice="Record or export it again."
    )


def listed(value: Any) -> list[Any]:
    """The value where it is a list, otherwise an empty one."""
    return value if isinstance(value, list) else []


class Columns:
    """A table of a document: an object whose members are columns, or arrays of it. Every look is checked."""

    def __init__(self, source: Source, what: str, name: str, table: Any) -> None:
        self._source = source
        self._what = what
        self._name = name
        if not isinstance(table, dict):
            raise broken(source, what, f"it has no {name}")
        self.table: dict[str, Any] = table

    def __contains__(self, column: str) -> bool:
        return isinstance(self.table.get(column), list)

    def list(self, column: str) -> list[Any]:
        value = self.table.get(column)
        if not isinstance(value, list):
            raise broken(self._source, self._what, f"its {self._name} has no column “{column}”")
        return value

    def integers(self, column: str, length: int | None = None) -> Int64:
        """The column as whole numbers, null as -1."""
        array: Int64 = self._array(column, np.int64, NONE, length)
        return array

    def numbers(self, column: str, length: int | None = None) -> Float64:
        """The column as numbers, null as nan."""
        array: Float64 = self._array(column, np.float64, np.nan, length)
        return array

    def indices(self, column: str, of: int, length: int | None = None) -> Int64:
        """The column as indices into a table of `of` rows, -1 for none."""
        index = self.integers(column, length)
        if len(index) and (index.min() < NONE or index.max() >= of):
            raise broken(self._source, self._what, f"{self._name}.{column} points outside its table")
        return index

    def _array(self, column: str, dtype: Any, none: float, length: int | None) -> Any:
        values: Sequence[Any] = self.list(column)
        if None in values:
            values = [none if value is None else value for value in values]
        if any(isinstance(value, str) for value in values):
            raise broken(self._source, self._what, f"{self._name}.{column} holds what is no number")
        try:
            array = np.array(values, dtype=dtype)
        except (TypeError, ValueError, OverflowError):
            raise broken(self._source, self._what, f"{self._name}.{column} holds what is no number") from None
        if array.ndim != 1 or (length is not None and len(array) != length):
            raise broken(self._source, self._what, f"{self._name}.{column} has another length than its table")
        return array
