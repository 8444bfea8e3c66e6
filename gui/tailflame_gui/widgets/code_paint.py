"""Paints lines of code: figures over their bars, a tint of heat, comments set back, jumps as lines."""

from __future__ import annotations

import re
from functools import lru_cache

from PySide6.QtCore import QModelIndex, QObject, QPersistentModelIndex, QPointF, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QFont, QFontMetricsF, QPainter, QPen, QPolygonF
from PySide6.QtWidgets import QAbstractItemView, QStyle, QStyledItemDelegate, QStyleOptionViewItem

from tailflame.analyse.names import short
from tailflame_gui import icons, theme
from tailflame_gui.models.assembly_lines import LANES, Part
from tailflame_gui.models.code_lines import CodeRole, Face, RowKind
from tailflame_gui.theme import Tokens
from tailflame_gui.widgets.cell_delegate import bar_color, match_color, paint_ring

ROW = 20
PADDING = 8
LANE = 7
STEP = 14
"""How far inlined code is moved in, per level."""
FOLD_ROOM = 16
_FOLD = 10
_RIGHT = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
_LEFT = Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter
_SHOWN = 600
"""Characters of a line that are painted: beyond that nobody scrolls."""

# Enough of Rust, C and C++ to set back what is not code; a comment over several lines shows as code.
_TOKEN = re.compile(
    r"""(?P<comment>//.*|/\*.*?(?:\*/|$)|^\s*\*(?:\s.*|/)?$)"""
    r"""|(?P<text>"(?:[^"\\]|\\.)*"?|'(?:[^'\\\s]|\\.)')"""
    r"""|(?P<word>\b(?:as|async|auto|await|bool|break|case|catch|char|class|const|constexpr|continue|crate|default|delete"""
    r"""|do|double|dyn|else|enum|extern|f32|f64|false|float|fn|for|i8|i16|i32|i64|i128|if|impl|in|inline|int|isize|let"""
    r"""|long|loop|match|mod|move|mut|namespace|new|noexcept|override|private|protected|pub|public|ref|return|self|Self"""
    r"""|short|signed|sizeof|static|str|struct|super|switch|template|throw|trait|true|try|type|typedef|typename|u8|u16"""
    r"""|u32|u64|u128|union|unsafe|unsigned|use|using|usize|virtual|void|volatile|where|while|yield)\b)"""
)


@lru_cache(maxsize=4096)
def pieces(text: str) -> tuple[tuple[int, int, str], ...]:
    """(start, stop, kind) of the parts of a line that are not plain code: "comment", "text", "word"."""
    return tuple((m.start(), m.end(), m.lastgroup or "") for m in _TOKEN.finditer(text[:_SHOWN]))


class CodeDelegate(QStyledItemDelegate):
    """For CodeLines."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.hovered_row = -1
        self._mono = theme.mono_font(theme.BASE - 1)
        self._small = theme.mono_font(theme.SMALL)
        self._bold = theme.mono_font(theme.BASE - 1, weight=QFont.Weight.Medium)
        self._metrics = QFontMetricsF(self._mono)
        self.advance = self._metrics.horizontalAdvance("0")

    def sizeHint(self, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex) -> QSize:
        return QSize(0, ROW)

    def paint(
        self, painter: QPainter, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex
    ) -> None:
        tokens = theme.current()
        face: Face = index.model().columns[index.column()].face  # type: ignore[attr-defined]
        rect = QRectF(option.rect)
        view = option.widget
        assert isinstance(view, QAbstractItemView)
        painter.save()
        self._background(painter, rect, option, index, tokens)
        match face:
            case Face.SHARE:
                self._share(painter, rect, index, tokens)
            case Face.NUMBER:
                painter.setFont(self._small)
                painter.setPen(tokens.faint)
                painter.drawText(rect.adjusted(0, 0, -PADDING, 0), int(_RIGHT), str(index.data()))
            case Face.JUMPS:
                self._jumps(painter, rect, index, view, tokens)
            case Face.PLACE:
                painter.setFont(self._small)
                painter.setPen(tokens.faint)
                inner = rect.adjusted(PADDING, 0, -PADDING, 0)
                elided = painter.fontMetrics().elidedText(
                    str(index.data()), Qt.TextElideMode.ElideLeft, int(inner.width())
                )
                painter.drawText(inner, int(_LEFT), elided)
            case Face.CODE:
                self._code(painter, rect, index, view, tokens)
        if view.hasFocus() and view.currentIndex().isValid() and view.currentIndex().row() == index.row():
            paint_ring(painter, rect, tokens, first=index.column() == 0)
        painter.restore()

    def _background(
        self,
        painter: QPainter,
        rect: QRectF,
        option: QStyleOptionViewItem,
        index: QModelIndex | QPersistentModelIndex,
        tokens: Tokens,
    ) -> None:
        code = index.model().columns[index.column()].face is Face.CODE  # type: ignore[attr-defined]
        if option.state & QStyle.StateFlag.State_Selected:
            painter.fillRect(rect, tokens.selection)
        elif index.data(CodeRole.LINKED):
            painter.fillRect(rect, theme.blend(tokens.accent, tokens.surface, 0.14 if tokens.dark else 0.07))
        elif heat := float(index.data(CodeRole.HEAT) or 0.0):
            painter.fillRect(rect, heat_color(tokens, heat))
        elif index.row() == self.hovered_row:
            painter.fillRect(rect, tokens.hover)
        if code and index.data(CodeRole.MARKED):
            painter.fillRect(rect.adjusted(0, 2, 0, -2), match_color(tokens))
        if index.data(CodeRole.LINKED) and index.column() == 0:
            painter.fillRect(QRectF(rect.left(), rect.top(), 3, rect.height()), tokens.accent)

    def _share(
        self, painter: QPainter, rect: QRectF, index: QModelIndex | QPersistentModelIndex, tokens: Tokens
    ) -> None:
        share = index.data(CodeRole.SHARE)
        if share:
            width = (rect.width() - PADDING) * min(float(share), 1.0)
            if width >= 1.5:
                painter.fillRect(
                    QRectF(rect.left() + PADDING / 2, rect.top() + 3, width, rect.height() - 6), bar_color(tokens)
                )
        painter.setFont(self._mono)
        inlined = index.data(CodeRole.RANK) == RowKind.INLINED
        painter.setPen(tokens.second if inlined else tokens.text)
        painter.drawText(rect.adjusted(0, 0, -PADDING, 0), int(_RIGHT), str(index.data()))

    def _code(
        self,
        painter: QPainter,
        rect: QRectF,
        index: QModelIndex | QPersistentModelIndex,
        view: QAbstractItemView,
        tokens: Tokens,
    ) -> None:
        painter.setClipRect(rect)
        painter.setFont(self._mono)
        text = str(index.data())[:_SHOWN]
        left = rect.left() + PADDING
        kind = index.data(CodeRole.RANK)
        if kind == RowKind.INSTRUCTION:
            self._instruction(painter, rect, left, text, int(index.data(CodeRole.LINK)), tokens)
            return
        fold = index.data(CodeRole.FOLD)
        if fold is not None:
            name = "chevron-down" if fold else "chevron-right"
            at = QPointF(rect.left() + 2, rect.center().y() - _FOLD / 2)
            painter.drawPixmap(at, icons.pixmap(name, "second", size=_FOLD, scale=view.devicePixelRatioF()))
        left += PADDING
        if kind == RowKind.INLINED:
            self._inlined(painter, rect, left, index, text, tokens)
            return
        self._colored(painter, rect, left, text, tokens)

    def _inlined(
        self,
        painter: QPainter,
        rect: QRectF,
        left: float,
        index: QModelIndex | QPersistentModelIndex,
        text: str,
        tokens: Tokens,
    ) -> None:
        """A mark in the colour of inlined frames, the text of the line, and whose it is."""
        left += STEP * int(index.data(CodeRole.DEPTH))
        painter.fillRect(QRectF(left - 8, rect.top() + 3, 3, rect.height() - 6), tokens.kind_inlined)
        file, line = index.model().place(index.row())  # type: ignore[attr-defined]
        where = f"{file.rsplit('/', 1)[-1]}:{line}" if line > 0 else file.rsplit("/", 1)[-1]
        name = short(str(index.data(CodeRole.NAME)))
        painter.setPen(tokens.second)
        painter.setFont(self._bold)
        baseline = rect.center().y() + self._metrics.ascent() / 2 - 1
        painter.drawText(QPointF(left, baseline), name)
        left += QFontMetricsF(self._bold).horizontalAdvance(name) + PADDING
        painter.setFont(self._small)
        painter.setPen(tokens.faint)
        painter.drawText(QPointF(left, baseline), where)
        left += QFontMetricsF(self._small).horizontalAdvance(where) + 2 * PADDING
        if text:
            painter.setFont(self._mono)
            self._colored(painter, rect, left, text, tokens, ink=tokens.second)

    def _colored(
        self, painter: QPainter, rect: QRectF, left: float, text: str, tokens: Tokens, *, ink: QColor | None = None
    ) -> None:
        baseline = rect.center().y() + self._metrics.ascent() / 2 - 1
        plain = ink or tokens.text
        colors = {"comment": tokens.faint, "text": tokens.second, "word": theme.blend(tokens.link, plain, 0.75)}
        at = 0
        narrow = text.isascii()
        for start, stop, kind in (*pieces(text), (len(text), len(text), "")):
            for begin, end, color in ((at, start, plain), (start, stop, colors.get(kind, plain))):
                if begin < end:
                    x = begin * self.advance if narrow else self._metrics.horizontalAdvance(text[:begin])
                    if left + x > rect.right():
                        return
                    painter.setPen(color)
                    painter.drawText(QPointF(left + x, baseline), text[begin:end])
            at = stop

    def _instruction(self, painter: QPainter, rect: QRectF, left: float, text: str, link: int, tokens: Tokens) -> None:
        baseline = rect.center().y() + self._metrics.ascent() / 2 - 1
        head = text if link < 0 else text[:link]
        painter.setPen(tokens.text)
        painter.drawText(QPointF(left, baseline), head)
        if link >= 0:
            painter.setPen(tokens.link)
            painter.drawText(QPointF(left + self._metrics.horizontalAdvance(head), baseline), text[link:])

    def _jumps(
        self,
        painter: QPainter,
        rect: QRectF,
        index: QModelIndex | QPersistentModelIndex,
        view: QAbstractItemView,
        tokens: Tokens,
    ) -> None:
        """A vertical line per jump, an elbow where it leaves, an arrow where it arrives."""
        lanes = index.data(CodeRole.LANES)
        if not lanes:
            return
        middle, right = rect.center().y(), rect.right() - 2
        for lane, part, backward in lanes:
            x = right - 4 - (lane + 0.5) * LANE
            color = theme.blend(tokens.more if backward else tokens.second, tokens.surface, 0.75)
            painter.setPen(QPen(color, 1))
            if part == Part.THROUGH:
                painter.drawLine(QPointF(x, rect.top()), QPointF(x, rect.bottom() + 1))
                continue
            # A jump back goes up from where it leaves, and comes from below where it arrives.
            up = (part == Part.START) == backward
            painter.drawLine(QPointF(x, rect.top() if up else rect.bottom() + 1), QPointF(x, middle))
            painter.drawLine(QPointF(x, middle), QPointF(right, middle))
            if part == Part.END:
                painter.setBrush(color)
                painter.drawPolygon(
                    QPolygonF([QPointF(right, middle), QPointF(right - 4, middle - 3), QPointF(right - 4, middle + 3)])
                )


def jumps_width() -> int:
    return LANES * LANE + 10


def heat_color(tokens: Tokens, heat: float) -> QColor:
    """The tint behind a line: the square root, so that lukewarm lines are seen beside a hot one."""
    if heat <= 0:
        return tokens.surface
    return theme.blend(tokens.more, tokens.surface, 0.30 * min(heat, 1.0) ** 0.5)
