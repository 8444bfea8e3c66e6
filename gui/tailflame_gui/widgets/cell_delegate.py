"""Paints the cells of tables and trees: symbols, figures over their share bars, changes with their arrows."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QModelIndex, QObject, QPersistentModelIndex, QPointF, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QFont, QPainter, QPolygonF
from PySide6.QtWidgets import QAbstractItemView, QStyle, QStyledItemDelegate, QStyleOptionViewItem, QTreeView, QWidget

from tailflame.model import FrameKind
from tailflame_gui import icons, theme
from tailflame_gui.models.roles import Face, Role
from tailflame_gui.theme import Tokens
from tailflame_gui.widgets.symbol import SymbolWriter

PADDING = 8
_MARK_WIDTH, _MARK_HEIGHT, _MARK_ROOM = 3, 12, 8
_BAR_HEIGHT = 16
_ARROW = 7.0
CHEVRON_ROOM = 20
"""From a tree line's indentation to its kind mark: where a click opens and closes it."""
_CHEVRON = 12
_RIGHT = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
_LEFT = Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter


class CellDelegate(QStyledItemDelegate):
    """For models with a `columns` property (models.roles.Column)."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.hovered_line = QPersistentModelIndex()
        """First cell of the line under the pointer."""
        self.indent: Callable[[QModelIndex | QPersistentModelIndex], float] | None = None
        """For trees: how far a line is moved in."""
        self._mono = theme.mono_font(theme.BASE - 1)
        self._symbols = SymbolWriter(self._mono)
        self._text = theme.interface_font(theme.BASE - 1)

    def sizeHint(self, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex) -> QSize:
        return QSize(0, theme.ROW)

    def paint(
        self, painter: QPainter, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex
    ) -> None:
        tokens = theme.current()
        face: Face = index.model().columns[index.column()].face  # type: ignore[attr-defined]
        rect = QRectF(option.rect)
        state: QStyle.StateFlag = option.state
        widget: QWidget = option.widget
        painter.save()
        self._background(painter, rect, state, index, tokens)
        muted = bool(index.data(Role.MUTED))
        ink = tokens.second if muted else tokens.text
        if face is Face.NAME:
            left = self._triangle(painter, rect, index, widget) if self.indent else rect.left() + PADDING
            self._name(painter, rect, left, index, ink, tokens)
        elif face in (Face.TEXT, Face.WORDS):
            painter.setFont(self._text)
            painter.setPen(ink if muted else tokens.second)
            inner = rect.adjusted(PADDING, 0, -PADDING, 0)
            text = painter.fontMetrics().elidedText(str(index.data()), Qt.TextElideMode.ElideMiddle, int(inner.width()))
            painter.drawText(inner, int(_LEFT), text)
        else:
            self._figure(painter, rect, index, face, ink, tokens)
        if isinstance(widget, QAbstractItemView) and widget.hasFocus():
            self._ring(painter, rect, index, widget, tokens)
        painter.restore()

    def _background(
        self,
        painter: QPainter,
        rect: QRectF,
        state: QStyle.StateFlag,
        index: QModelIndex | QPersistentModelIndex,
        tokens: Tokens,
    ) -> None:
        if state & QStyle.StateFlag.State_Selected:
            painter.fillRect(rect, tokens.selection)
        elif self.hovered_line.isValid() and same_line(index, self.hovered_line):
            painter.fillRect(rect, tokens.hover)

    def _triangle(
        self, painter: QPainter, rect: QRectF, index: QModelIndex | QPersistentModelIndex, widget: QWidget
    ) -> float:
        """Paints the triangle of a line that has others below it; returns where its name begins."""
        assert self.indent is not None
        left = rect.left() + self.indent(index)
        if isinstance(widget, QTreeView) and index.model().hasChildren(index):
            name = (
                "chevron-down"
                if widget.isExpanded(index.model().index(index.row(), 0, index.parent()))
                else "chevron-right"
            )
            at = QPointF(left + 4, rect.center().y() - _CHEVRON / 2 + 0.5)
            painter.drawPixmap(at, icons.pixmap(name, "second", size=_CHEVRON, scale=widget.devicePixelRatioF()))
        return left + CHEVRON_ROOM

    def _name(
        self,
        painter: QPainter,
        rect: QRectF,
        left: float,
        index: QModelIndex | QPersistentModelIndex,
        ink: QColor,
        tokens: Tokens,
    ) -> None:
        kind = FrameKind(int(index.data(Role.KIND)))
        if kind is not FrameKind.UNKNOWN:
            mark = QRectF(left, rect.center().y() - _MARK_HEIGHT / 2 + 0.5, _MARK_WIDTH, _MARK_HEIGHT)
            painter.fillRect(mark, tokens.kind(kind))
        inner = QRectF(left + _MARK_ROOM, rect.top(), rect.right() - left - _MARK_ROOM - PADDING, rect.height())
        if inner.width() < 8:
            return
        if index.data(Role.MARKED):
            width = self._symbols.width(str(index.data()), int(inner.width())) + 4
            painter.fillRect(QRectF(inner.left() - 2, rect.center().y() - 8, width, 17), match_color(tokens))
        self._symbols.paint(painter, inner, str(index.data()), ink=ink, second=tokens.faint)

    def _figure(
        self,
        painter: QPainter,
        rect: QRectF,
        index: QModelIndex | QPersistentModelIndex,
        face: Face,
        ink: QColor,
        tokens: Tokens,
    ) -> None:
        inner = rect.adjusted(PADDING, 0, -PADDING, 0)
        share = index.data(Role.BAR) if face is Face.BAR else None
        if share:
            room = rect.width() - PADDING
            width = room * min(float(share), 1.0)
            bar = QRectF(rect.left() + PADDING / 2, rect.center().y() - _BAR_HEIGHT / 2 + 0.5, width, _BAR_HEIGHT)
            if width >= 1.5:  # a thinner one would read as a rule
                painter.fillRect(bar, bar_color(tokens))
        text = str(index.data())
        painter.setFont(self._mono)
        painter.setPen(ink)
        painter.drawText(inner, int(_RIGHT), text)
        if face is Face.CHANGE:
            sign = index.data(Role.SIGN)
            if sign:
                width = painter.fontMetrics().horizontalAdvance(text)
                paint_arrow(painter, QPointF(inner.right() - width - 10, rect.center().y() + 0.5), int(sign), tokens)

    def _ring(
        self,
        painter: QPainter,
        rect: QRectF,
        index: QModelIndex | QPersistentModelIndex,
        view: QAbstractItemView,
        tokens: Tokens,
    ) -> None:
        """The line that the keyboard is on: a frame in the accent around all of its cells."""
        current = view.currentIndex()
        if not current.isValid() or not same_line(current, index):
            return
        first = index.column() == 0
        paint_ring(painter, rect, tokens, first=first)


def same_line(one: QModelIndex | QPersistentModelIndex, other: QModelIndex | QPersistentModelIndex) -> bool:
    """Whether two valid indices stand in one line of a table or tree."""
    return one.row() == other.row() and one.parent() == other.parent()


def paint_ring(painter: QPainter, rect: QRectF, tokens: Tokens, *, first: bool = False) -> None:
    """One cell's part of the frame around the line that the keyboard is on."""
    painter.fillRect(QRectF(rect.left(), rect.top(), rect.width(), 1), tokens.accent)
    painter.fillRect(QRectF(rect.left(), rect.bottom() - 1, rect.width(), 1), tokens.accent)
    if first:
        painter.fillRect(QRectF(rect.left(), rect.top(), 2, rect.height()), tokens.accent)


def bar_color(tokens: Tokens) -> QColor:
    """The fill of share bars: the accent, thin enough for text to stand on it."""
    return theme.blend(tokens.accent, tokens.surface, 0.34 if tokens.dark else 0.24)


def match_color(tokens: Tokens) -> QColor:
    """What a search has found."""
    return theme.blend(tokens.kind_user, tokens.surface, 0.45)


def paint_arrow(painter: QPainter, centre: QPointF, sign: int, tokens: Tokens) -> None:
    """A triangle that points up for more and down for less, in the colours of a difference."""
    half = _ARROW / 2
    tip = -half if sign > 0 else half
    shape = QPolygonF(
        [
            QPointF(centre.x() - half, centre.y() - tip * 0.8),
            QPointF(centre.x() + half, centre.y() - tip * 0.8),
            QPointF(centre.x(), centre.y() + tip),
        ]
    )
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(tokens.more if sign > 0 else tokens.less)
    painter.drawPolygon(shape)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing, False)


def figure_font(size: int = theme.FIGURE) -> QFont:
    return theme.mono_font(size, weight=QFont.Weight.Medium)
