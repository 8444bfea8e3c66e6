"""A plot of distributions, without time: a line each for this window, the whole run, the baseline."""

from __future__ import annotations

import math
from dataclasses import dataclass

from PySide6.QtCore import QEvent, QPointF, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QKeyEvent, QMouseEvent, QPainter, QPaintEvent, QPixmap, QResizeEvent
from PySide6.QtWidgets import QSizePolicy, QWidget

from tailflame.model.histogram import Histogram
from tailflame.units import count
from tailflame_gui import theme
from tailflame_gui.widgets.plot_choices import Choices
from tailflame_gui.widgets.plot_ink import elided, hair, name_font, small_font

LEFT = 64
LEGEND = 168
RULER = 20
HEAD = 22


@dataclass(frozen=True, slots=True, eq=False)
class Distribution:
    """One of the lines. `key`: "window", "whole" or "baseline"; `words` for the legend."""

    key: str
    words: str
    histogram: Histogram


def line_color(key: str) -> QColor:
    tokens = theme.current()
    return {"window": tokens.accent, "whole": tokens.second, "baseline": tokens.more}.get(key, tokens.text)


class ValuePlot(QWidget):
    """Base of both. What is drawn is kept as a picture; the pointer's line and the legend are painted over it."""

    def __init__(self, title: str) -> None:
        super().__init__()
        self.title = title
        self.unit = "ns"
        self.choices = Choices()
        self.lines: tuple[Distribution, ...] = ()
        self.pointed: float | None = None
        """Where the pointer stands, a share of the body's width."""
        self._picture: QPixmap | None = None
        self.setMouseTracking(True)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setMinimumSize(320, 120)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setAccessibleName(title)
        theme.signals.changed.connect(self.draw_anew)

    def show_lines(self, lines: tuple[Distribution, ...], choices: Choices, *, unit: str = "ns") -> None:
        self.lines = tuple(line for line in lines if line.histogram.total)
        self.choices, self.unit = choices, unit
        self.draw_anew()

    # What a subclass says

    def draw(self, painter: QPainter, rect: QRectF) -> None: ...

    def told(self, share: float) -> tuple[str, list[str]]:
        """(what the pointer stands at, the words of each line) at a share of the body's width."""
        return "", []

    # Painting

    @property
    def body(self) -> QRectF:
        return QRectF(LEFT, HEAD, max(self.width() - LEFT - LEGEND, 16), max(self.height() - HEAD - RULER - 4, 8))

    def draw_anew(self) -> None:
        self._picture = None
        self.update()

    def paintEvent(self, _event: QPaintEvent) -> None:
        if self._picture is None:
            self._picture = self._render()
        painter = QPainter(self)
        painter.drawPixmap(0, 0, self._picture)
        self._paint_pointed(painter)
        painter.end()

    def _render(self) -> QPixmap:
        tokens, scale = theme.current(), self.devicePixelRatioF()
        picture = QPixmap(QSize(math.ceil(self.width() * scale), math.ceil(self.height() * scale)))
        picture.setDevicePixelRatio(scale)
        picture.fill(tokens.surface)
        painter = QPainter(picture)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setFont(name_font())
        painter.setPen(tokens.text)
        painter.drawText(QRectF(16, 2, self.width() - 24, 16), int(Qt.AlignmentFlag.AlignLeft), self.title)
        if self.lines:
            self.draw(painter, self.body)
        else:
            painter.setFont(small_font())
            painter.setPen(tokens.second)
            elided(painter, self.body, "Nothing is timed here yet.", Qt.AlignmentFlag.AlignVCenter)
        painter.end()
        return picture

    def _paint_pointed(self, painter: QPainter) -> None:
        tokens, rect = theme.current(), self.body
        head, words = "", [f"{count(line.histogram.total)} calls" for line in self.lines]
        if self.pointed is not None and self.lines:
            x = round(rect.left() + self.pointed * rect.width()) + 0.5
            painter.setPen(hair(tokens.second))
            painter.drawLine(QPointF(x, rect.top()), QPointF(x, rect.bottom()))
            head, words = self.told(self.pointed)
        left, top = float(self.width() - LEGEND + 8), rect.top() - 4
        painter.setFont(small_font())
        vertical = Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft
        for line, text in zip(self.lines, words, strict=True):
            painter.fillRect(QRectF(left, top + 7, 12, 2), line_color(line.key))
            painter.setPen(tokens.text)
            elided(painter, QRectF(left + 18, top, LEGEND - 32, 16), line.words, vertical)
            painter.setPen(tokens.second)
            for part in text.split("\n"):
                elided(painter, QRectF(left + 18, top + 14, LEGEND - 32, 16), part, vertical)
                top += 14
            top += 20
        if head:
            painter.setPen(tokens.text)
            elided(painter, QRectF(left, 2, LEGEND - 16, 16), head, vertical)
        if self.hasFocus():
            painter.setPen(hair(tokens.accent))
            painter.drawLine(QPointF(4.5, 4), QPointF(4.5, self.height() - 4))
        self.setAccessibleDescription(
            ", ".join([head, *(f"{line.words} {text}" for line, text in zip(self.lines, words, strict=True))])
        )

    # The pointer and the keys

    def point_at(self, share: float | None) -> None:
        self.pointed = None if share is None else min(max(share, 0.0), 1.0)
        self.update()

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        share = (event.position().x() - self.body.left()) / self.body.width()
        self.point_at(share if 0 <= share <= 1 else None)

    def leaveEvent(self, event: QEvent) -> None:
        super().leaveEvent(event)
        self.point_at(None)

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self.draw_anew()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() in (Qt.Key.Key_Left, Qt.Key.Key_Right):
            way = 1 if event.key() == Qt.Key.Key_Right else -1
            self.point_at((0.5 if self.pointed is None else self.pointed) + way * 4 / self.body.width())
        elif event.key() == Qt.Key.Key_Escape and self.pointed is not None:
            self.point_at(None)
        else:
            super().keyPressEvent(event)
