"""What the item models answer beside Qt's own roles, and what a column is."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from PySide6.QtCore import Qt

_USER = int(Qt.ItemDataRole.UserRole)


class Role(IntEnum):
    """RAW: the value behind the text (str, int, float), what sorting compares.
    BAR: length of the inline bar, 0..1, None for none. FUNCTION: the row's function by plain name, "" where the row is
    none. KIND: FrameKind of the row. MUTED: True where the row is to be read as background. SIGN: -1, 0, +1 for a
    change that has a direction. PLACE: (source file, line) of the row. MARKED: True for a search hit.
    """

    RAW = _USER + 1
    BAR = _USER + 2
    FUNCTION = _USER + 3
    KIND = _USER + 4
    MUTED = _USER + 5
    SIGN = _USER + 6
    PLACE = _USER + 7
    MARKED = _USER + 8


class Face(IntEnum):
    """How a column's cells are drawn."""

    NAME = 0  # a function: kind mark, path in second rank, last components in full
    FIGURE = 1  # a number: right-aligned, tabular
    BAR = 2  # a number over its share bar
    TEXT = 3  # words that may give way to the name
    CHANGE = 4  # a signed number with its arrow
    WORDS = 5  # words that stay


@dataclass(frozen=True, slots=True)
class Column:
    """`title` holds the unit; `tip` explains the column; `width` in pixels, 0 takes what is left."""

    title: str
    tip: str
    face: Face
    width: int

    @property
    def numeric(self) -> bool:
        return self.face in (Face.FIGURE, Face.BAR, Face.CHANGE)
