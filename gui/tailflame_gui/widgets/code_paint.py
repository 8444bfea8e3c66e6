"""Paints lines of code: figures over their bars, a tint of heat, comments set back, jumps as lines."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QFont, QFontMetricsF, QPainter, QPen, QPixmap, QPolygonF

from tailflame.analyse.names import short
from tailflame_gui import icons, theme
from tailflame_gui.models.assembly_lines import LANES, Part
from tailflame_gui.models.code_lines import Face, Look, RowKind
from tailflame_gui.theme import Tokens
from tailflame_gui.widgets.cell_delegate import bar_color, match_color, paint_ring

ROW = 20
PADDING = 8
LANE = 7
STEP = 14
"""How far inlined code is moved in, per level."""
FOLD_ROOM = 16
_FOLD = 10
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


@dataclass(frozen=True, slots=True)
class Cell:
    """Where a column stands on the screen."""

    face: Face
    left: float
    width: float

    @property
    def right(self) -> float:
        return self.left + self.width


class CodePainter:
    """Paints rows whole: asking a model cell by cell and role by role would take ten times as long."""

    def __init__(self) -> None:
        self._mono = theme.mono_font(theme.BASE - 1)
        self._small = theme.mono_font(theme.SMALL)
        self._bold = theme.mono_font(theme.BASE - 1, weight=QFont.Weight.Medium)
        self._metrics = QFontMetricsF(self._mono)
        self._small_metrics = QFontMetricsF(self._small)
        self._bold_metrics = QFontMetricsF(self._bold)
        self.advance = self._metrics.horizontalAdvance("0")
        self._small_advance = self._small_metrics.horizontalAdvance("0")
        self._baseline = ROW / 2 + self._metrics.ascent() / 2 - 1
        self._chevrons: dict[tuple[str, float, bool], QPixmap] = {}

    def row(
        self,
        painter: QPainter,
        look: Look,
        top: float,
        cells: Sequence[Cell | None],
        *,
        selected: bool = False,
        hovered: bool = False,
        current: bool = False,
    ) -> None:
        """A row from `top` on. cells: by column, None for a hidden one; current: the keyboard is on it."""
        tokens = theme.current()
        shown = [(at, cell) for at, cell in enumerate(cells) if cell is not None]
        whole = QRectF(shown[0][1].left, top, shown[-1][1].right - shown[0][1].left, ROW)
        fill = self._fill(look, tokens, selected=selected, hovered=hovered)
        if fill is not None:
            painter.fillRect(whole, fill)
        if look.linked:
            painter.fillRect(QRectF(whole.left(), top, 3, ROW), tokens.accent)
        for at, cell in shown:
            text = look.cells[at]
            match cell.face:
                case Face.SHARE:
                    self._share(painter, cell, top, text, look.shares[at], look.kind, tokens)
                case Face.NUMBER if text:
                    painter.setFont(self._small)
                    painter.setPen(tokens.faint)
                    x = cell.right - PADDING - len(text) * self._small_advance
                    painter.drawText(QPointF(x, top + self._baseline), text)
                case Face.PLACE if text:
                    painter.setFont(self._small)
                    painter.setPen(tokens.faint)
                    room = cell.width - 2 * PADDING
                    elided = self._small_metrics.elidedText(text, Qt.TextElideMode.ElideLeft, room)
                    painter.drawText(QPointF(cell.left + PADDING, top + self._baseline), elided)
                case Face.JUMPS if look.lanes:
                    self._jumps(painter, cell, top, look, tokens)
                case Face.CODE:
                    self._code(painter, cell, top, text, look, tokens)
        if current:
            paint_ring(painter, whole, tokens, first=True)

    def _fill(self, look: Look, tokens: Tokens, *, selected: bool, hovered: bool) -> QColor | None:
        if selected:
            return tokens.selection
        if look.linked:
            return theme.blend(tokens.accent, tokens.surface, 0.14 if tokens.dark else 0.07)
        if look.heat > 0:
            return heat_color(tokens, look.heat)
        return tokens.hover if hovered else None

    def _share(
        self, painter: QPainter, cell: Cell, top: float, text: str, share: float | None, kind: RowKind, tokens: Tokens
    ) -> None:
        if share:
            width = (cell.width - PADDING) * min(share, 1.0)
            if width >= 1.5:
                painter.fillRect(QRectF(cell.left + PADDING / 2, top + 3, width, ROW - 6), bar_color(tokens))
        if text:
            painter.setFont(self._mono)
            painter.setPen(tokens.second if kind is RowKind.INLINED else tokens.text)
            x = cell.right - PADDING - len(text) * self.advance
            painter.drawText(QPointF(x, top + self._baseline), text)

    def _code(self, painter: QPainter, cell: Cell, top: float, text: str, look: Look, tokens: Tokens) -> None:
        text = text[:_SHOWN]
        if look.marked:
            painter.fillRect(QRectF(cell.left, top + 2, cell.width, ROW - 4), match_color(tokens))
        left = cell.left + PADDING
        if look.kind is RowKind.INSTRUCTION:
            self._instruction(painter, left, top, text, look.link, tokens)
            return
        if look.fold is not None:
            chevron = self._chevron("chevron-down" if look.fold else "chevron-right", painter, tokens)
            painter.drawPixmap(QPointF(cell.left + 2, top + (ROW - _FOLD) / 2), chevron)
        left += PADDING
        if look.kind is RowKind.INLINED:
            self._inlined(painter, cell, left, top, text, look, tokens)
        else:
            painter.setFont(self._mono)
            self._colored(painter, cell, left, top, text, tokens, tokens.text)

    def _chevron(self, name: str, painter: QPainter, tokens: Tokens) -> QPixmap:
        scale = painter.device().devicePixelRatioF()
        key = (name, scale, tokens.dark)
        if key not in self._chevrons:
            self._chevrons[key] = icons.pixmap(name, "second", size=_FOLD, scale=scale)
        return self._chevrons[key]

    def _inlined(
        self, painter: QPainter, cell: Cell, left: float, top: float, text: str, look: Look, tokens: Tokens
    ) -> None:
        """A mark in the colour of inlined frames, whose code it is, from where, and its text."""
        left += STEP * look.depth
        painter.fillRect(QRectF(left - 8, top + 3, 3, ROW - 6), tokens.kind_inlined)
        name, baseline = short(look.name), top + self._baseline
        painter.setPen(tokens.second)
        painter.setFont(self._bold)
        painter.drawText(QPointF(left, baseline), name)
        left += self._bold_metrics.horizontalAdvance(name) + PADDING
        painter.setFont(self._small)
        painter.setPen(tokens.faint)
        painter.drawText(QPointF(left, baseline), look.where)
        left += self._small_metrics.horizontalAdvance(look.where) + 2 * PADDING
        if text:
            painter.setFont(self._mono)
            self._colored(painter, cell, left, top, text, tokens, tokens.second)

    def _colored(
        self, painter: QPainter, cell: Cell, left: float, top: float, text: str, tokens: Tokens, plain: QColor
    ) -> None:
        """Code in the font of the painter: comments faint, keywords in the colour of links."""
        baseline = top + self._baseline
        at = 0
        narrow = text.isascii()
        for start, stop, kind in (*pieces(text), (len(text), len(text), "")):
            for begin, end, of in ((at, start, ""), (start, stop, kind)):
                part = text[begin:end]
                if not part or part.isspace():
                    continue
                x = left + (begin * self.advance if narrow else self._metrics.horizontalAdvance(text[:begin]))
                if x > cell.right:
                    return
                match of:
                    case "comment":
                        painter.setPen(tokens.faint)
                    case "word":
                        painter.setPen(theme.blend(tokens.link, plain, 0.75))
                    case "text":
                        painter.setPen(tokens.second)
                    case _:
                        painter.setPen(plain)
                painter.drawText(QPointF(x, baseline), part)
            at = stop

    def _instruction(self, painter: QPainter, left: float, top: float, text: str, link: int, tokens: Tokens) -> None:
        painter.setFont(self._mono)
        head = text if link < 0 else text[:link]
        painter.setPen(tokens.text)
        painter.drawText(QPointF(left, top + self._baseline), head)
        if link >= 0:
            painter.setPen(tokens.link)
            painter.drawText(QPointF(left + len(head) * self.advance, top + self._baseline), text[link:])

    def _jumps(self, painter: QPainter, cell: Cell, top: float, look: Look, tokens: Tokens) -> None:
        """A vertical line per jump, an elbow where it leaves, an arrow where it arrives."""
        middle, bottom, right = top + ROW / 2 + 0.5, top + ROW, cell.right - 2
        for lane, part, backward in look.lanes:
            x = right - 4 - (lane + 0.5) * LANE
            color = theme.blend(tokens.more if backward else tokens.second, tokens.surface, 0.75)
            painter.setPen(QPen(color, 1))
            if part == Part.THROUGH:
                painter.drawLine(QPointF(x, top), QPointF(x, bottom))
                continue
            # A jump back goes up from where it leaves, and comes from below where it arrives.
            up = (part == Part.START) == backward
            painter.drawLine(QPointF(x, top if up else bottom), QPointF(x, middle))
            painter.drawLine(QPointF(x, middle), QPointF(right, middle))
            if part == Part.END:
                tip = [QPointF(right, middle), QPointF(right - 4, middle - 3), QPointF(right - 4, middle + 3)]
                painter.setBrush(color)
                painter.drawPolygon(QPolygonF(tip))


def jumps_width() -> int:
    return LANES * LANE + 10


def heat_color(tokens: Tokens, heat: float) -> QColor:
    """The tint behind a line: the square root, so that lukewarm lines are seen beside a hot one."""
    return theme.blend(tokens.more, tokens.surface, 0.30 * min(heat, 1.0) ** 0.5)
