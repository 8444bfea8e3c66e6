"""A function with a figure over its share bar, as a button: select it and every view follows."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QRectF, QSize, Qt, Signal
from PySide6.QtGui import QEnterEvent, QPainter, QPaintEvent
from PySide6.QtWidgets import QAbstractButton, QSizePolicy, QVBoxLayout, QWidget

from tailflame.model import FrameKind
from tailflame_gui import plain, theme
from tailflame_gui.widgets.cell_delegate import bar_color
from tailflame_gui.widgets.symbol import SymbolWriter

_PADDING = 8
_RIGHT = int(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)


class FunctionLine(QAbstractButton):
    """hovered(name): the pointer or the keyboard came to it, "" when it left."""

    hovered = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._mono = theme.mono_font(theme.BASE - 1)
        self._writer = SymbolWriter(self._mono)
        self.name = ""
        self._figure = ""
        self._share = 0.0
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setAttribute(Qt.WidgetAttribute.WA_Hover)
        theme.signals.changed.connect(self.update)

    def set_function(self, name: str, *, figure: str, share: float, tip: str = "") -> None:
        """`share` is the length of the bar, 0..1."""
        self.name, self._figure, self._share = name, figure, share
        self.setToolTip(plain.tip(f"{name}\n{tip}" if tip else name))
        self.setAccessibleName(f"{name}, {figure} %")
        self.update()

    def sizeHint(self) -> QSize:
        return QSize(160, theme.ROW)

    def paintEvent(self, _event: QPaintEvent) -> None:
        tokens = theme.current()
        painter = QPainter(self)
        rect = QRectF(self.rect())
        if self.isDown():
            painter.fillRect(rect, tokens.pressed)
        elif self.underMouse():
            painter.fillRect(rect, tokens.hover)
        width = (rect.width() - _PADDING) * min(self._share, 1.0)
        if width >= 1.5:
            painter.fillRect(QRectF(_PADDING / 2, 4, width, rect.height() - 8), bar_color(tokens))
        painter.setFont(self._mono)
        painter.setPen(tokens.text)
        inner = rect.adjusted(_PADDING, 0, -_PADDING, 0)
        painter.drawText(inner, _RIGHT, self._figure)
        room = inner.adjusted(0, 0, -painter.fontMetrics().horizontalAdvance(self._figure) - 8, 0)
        self._writer.paint(painter, room, self.name, ink=tokens.text, second=tokens.second)
        if self.hasFocus():
            painter.setPen(tokens.accent)
            painter.drawRect(self.rect().adjusted(0, 0, -1, -1))
        painter.end()

    def enterEvent(self, event: QEnterEvent) -> None:
        super().enterEvent(event)
        self.hovered.emit(self.name)

    def leaveEvent(self, event: object) -> None:
        self.hovered.emit("")
        self.update()


class HotspotLine(FunctionLine):
    """One of the top three: its share as the figure that matters, its name large, where it lives below."""

    def __init__(self, rank: int, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._rank = rank
        self._big = theme.mono_font(theme.FIGURE, weight=theme.mono_font().Weight.Medium)
        self._name_writer = SymbolWriter(theme.mono_font(15))
        self._small = theme.interface_font(theme.BASE - 1)
        self._below = ""
        self._total = 0.0
        self._kind = FrameKind.UNKNOWN

    def set_hotspot(
        self, name: str, *, figure: str, share: float, total: float, below: str, kind: FrameKind, tip: str
    ) -> None:
        """`share` and `total` are of the whole view, 0..1; `below` is the second line."""
        self._below, self._total, self._kind = below, total, kind
        self.set_function(name, figure=figure, share=share, tip=tip)

    def sizeHint(self) -> QSize:
        return QSize(320, 64)

    def paintEvent(self, _event: QPaintEvent) -> None:
        tokens = theme.current()
        painter = QPainter(self)
        rect = QRectF(self.rect())
        if self.isDown():
            painter.fillRect(rect, tokens.pressed)
        elif self.underMouse():
            painter.fillRect(rect, tokens.hover)
        painter.setFont(self._small)
        painter.setPen(tokens.faint)
        painter.drawText(QRectF(8, 8, 16, 26), _RIGHT, str(self._rank))
        painter.setFont(self._big)
        painter.setPen(tokens.text)
        figure = f"{self._figure}%"
        painter.drawText(QRectF(24, 8, 88, 26), _RIGHT, figure)
        left = 128.0
        room = rect.width() - left - 12
        if self._kind is not FrameKind.UNKNOWN:
            painter.fillRect(QRectF(left - 8, 13, 3, 16), tokens.kind(self._kind))
        self._name_writer.paint(painter, QRectF(left, 8, room, 26), self.name, ink=tokens.text, second=tokens.second)
        painter.setFont(self._small)
        painter.setPen(tokens.second)
        words = painter.fontMetrics().elidedText(self._below, Qt.TextElideMode.ElideRight, int(room))
        painter.drawText(QRectF(left, 32, room, 18), int(Qt.AlignmentFlag.AlignVCenter), words)
        # What its callees take stands behind its own share, in the same scale.
        base = QRectF(left, 53, room, 4)
        painter.fillRect(base, tokens.hairline)
        painter.fillRect(QRectF(left, 53, room * min(self._total, 1.0), 4), bar_color(tokens))
        painter.fillRect(QRectF(left, 53, room * min(self._share, 1.0), 4), tokens.accent)
        if self.hasFocus():
            painter.setPen(tokens.accent)
            painter.drawRect(self.rect().adjusted(0, 0, -1, -1))
        painter.end()


class FunctionLines(QWidget):
    """A short list of FunctionLines. chosen(name), hovered(name)."""

    chosen = Signal(str)
    hovered = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._lines: list[FunctionLine] = []
        self._column = QVBoxLayout(self)
        self._column.setContentsMargins(0, 0, 0, 0)
        self._column.setSpacing(0)

    @property
    def lines(self) -> list[FunctionLine]:
        return [line for line in self._lines if not line.isHidden()]

    def show_functions(self, entries: Sequence[tuple[str, str, float, str]]) -> None:
        """`entries` are (name, figure, share, tip); lines are used again, so that the focus stays."""
        while len(self._lines) < len(entries):
            line = FunctionLine(self)
            line.clicked.connect(lambda _on=False, line=line: self.chosen.emit(line.name))
            line.hovered.connect(self.hovered)
            self._lines.append(line)
            self._column.addWidget(line)
        for at, line in enumerate(self._lines):
            line.setVisible(at < len(entries))
            if at < len(entries):
                name, figure, share, tip = entries[at]
                line.set_function(name, figure=figure, share=share, tip=tip)
