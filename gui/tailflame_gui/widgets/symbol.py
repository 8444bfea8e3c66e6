"""How a symbol is written where room is short: its last components in full, the path before them in second rank."""

from __future__ import annotations

from functools import lru_cache

from PySide6.QtCore import QRectF, Qt
from PySide6.QtGui import QColor, QFont, QFontMetricsF, QPainter

_FLAGS = int(Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft) | int(Qt.TextFlag.TextSingleLine)
_REMEMBERED = 20_000
_SHORTEST_PATH = 5
"""A path cut to fewer signs says nothing."""


@lru_cache(maxsize=100_000)
def split_name(name: str) -> tuple[str, str]:
    """(path, last two components) of a symbol; their concatenation is `name`. Generic arguments stay whole.

    >>> split_name("engine::book::OrderBook::match_order")
    ('engine::book::', 'OrderBook::match_order')
    """
    depth = 0
    cuts: list[int] = []
    at = 0
    while at < len(name):
        char = name[at]
        if char in "<([{":
            depth += 1
        elif char in ">)]}" and not (char == ">" and at and name[at - 1] == "-"):
            depth = max(depth - 1, 0)
        elif char == ":" and not depth and name.startswith("::", at):
            cuts.append(at + 2)
            at += 2
            continue
        at += 1
    if len(cuts) < 2:
        return "", name
    # A closure says nothing without the function it stands in.
    back = 3 if name[cuts[-1] :].startswith("{") and len(cuts) > 2 else 2
    return name[: cuts[-back]], name[cuts[-back] :]


def _last_part(tail: str) -> int:
    """Where the last component of a symbol begins."""
    depth = 0
    for at in range(len(tail) - 1, 0, -1):
        if tail[at] in ">)]}":
            depth += 1
        elif tail[at] in "<([{":
            depth = max(depth - 1, 0)
        elif not depth and tail[at] == ":" and tail[at - 1] == ":":
            return at + 1
    return 0


class SymbolWriter:
    """Writes symbols in one font and remembers how they were cut."""

    def __init__(self, font: QFont) -> None:
        self.font = font
        self._metrics = QFontMetricsF(font)
        self._cuts: dict[tuple[str, int], tuple[str, str, float]] = {}

    def fitted(self, name: str, room: int) -> tuple[str, str, float]:
        """(path, tail, width of the path) of `name` in `room` pixels. The path gives way first, from its root."""
        key = (name, room)
        cut = self._cuts.get(key)
        if cut is None:
            if len(self._cuts) > _REMEMBERED:
                self._cuts.clear()
            cut = self._cuts[key] = self._cut(name, room)
        return cut

    def width(self, name: str, room: int) -> float:
        """How wide `name` comes out in `room`."""
        _path, tail, offset = self.fitted(name, room)
        return offset + self._metrics.horizontalAdvance(tail)

    def _cut(self, name: str, room: int) -> tuple[str, str, float]:
        path, tail = split_name(name)
        spare = room - self._metrics.horizontalAdvance(tail)
        if spare < 0:
            return "", self._cut_tail(tail, room), 0.0
        if path and self._metrics.horizontalAdvance(path) > spare:
            path = self._metrics.elidedText(path, Qt.TextElideMode.ElideLeft, spare)
            if len(path) < _SHORTEST_PATH:
                path = ""
        return path, tail, self._metrics.horizontalAdvance(path)

    def _cut_tail(self, tail: str, room: int) -> str:
        """The function's own name is what counts: its type gives way before it."""
        own = tail[_last_part(tail) :]
        if self._metrics.horizontalAdvance(f"…{own}") > room:
            return self._metrics.elidedText(own, Qt.TextElideMode.ElideRight, room)
        if own.startswith("{"):  # a closure is nothing without what it stands in
            return self._metrics.elidedText(tail, Qt.TextElideMode.ElideLeft, room)
        return own

    def paint(self, painter: QPainter, rect: QRectF, name: str, *, ink: QColor, second: QColor) -> None:
        """Paints `name` into `rect`, vertically centred, cut to what fits."""
        path, tail, offset = self.fitted(name, int(rect.width()))
        painter.setFont(self.font)
        if path:
            painter.setPen(second)
            painter.drawText(rect, _FLAGS, path)
        painter.setPen(ink)
        painter.drawText(rect.adjusted(offset, 0, 0, 0), _FLAGS, tail)
