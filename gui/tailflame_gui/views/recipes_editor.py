"""An editor for bpftrace programs: line numbers, colours, mistakes marked at their line."""

from __future__ import annotations

import re
from collections.abc import Sequence

from PySide6.QtCore import QEvent, QRect, QSize, Qt, Signal
from PySide6.QtGui import (
    QColor,
    QHelpEvent,
    QKeyEvent,
    QPainter,
    QPaintEvent,
    QResizeEvent,
    QSyntaxHighlighter,
    QTextCharFormat,
    QTextCursor,
    QTextDocument,
    QTextFormat,
)
from PySide6.QtWidgets import QPlainTextEdit, QTextEdit, QToolTip, QWidget

from tailflame_gui import plain, theme
from tailflame_gui.recipes_model import Marked

_MARGIN = 8
_INDENT = "  "
_TOKENS = re.compile(
    r"""(?P<comment>//.*|/\*.*?(?:\*/|$))"""
    r"""|(?P<text>"(?:[^"\\]|\\.)*"?)"""
    r"""|(?P<map>@\w*)"""
    r"""|(?P<variable>\$\w+)"""
    r"""|(?P<word>\b(?:BEGIN|END|tracepoint|kprobe|kretprobe|uprobe|uretprobe|usdt|profile|interval|software|hardware"""
    r"""|kfunc|kretfunc|rawtracepoint|iter|if|else|while|unroll|return|continue|break|delete|clear|zero|print|printf"""
    r"""|count|sum|avg|min|max|stats|hist|lhist|str|ustack|kstack|usym|ksym|ntop|reg|exit|nsecs|elapsed|pid|tid|uid|cpu"""
    r"""|comm|args|arg[0-9]|retval|func|probe|cpid|sizeof)\b)"""
)
_LONGEST = 2000
"""Characters of a line that are coloured."""


class _Colours(QSyntaxHighlighter):
    def __init__(self, document: QTextDocument) -> None:
        super().__init__(document)
        self._formats: dict[str, QTextCharFormat] = {}
        self.recolour()

    def recolour(self) -> None:
        tokens = theme.current()
        colours = {
            "comment": tokens.faint,
            "text": tokens.good,
            "map": tokens.link,
            "variable": tokens.warn,
            "word": tokens.percentiles[3],
        }
        self._formats = {kind: _format(colour) for kind, colour in colours.items()}
        self.rehighlight()

    def highlightBlock(self, text: str) -> None:
        for found in _TOKENS.finditer(text[:_LONGEST]):
            self.setFormat(found.start(), found.end() - found.start(), self._formats[found.lastgroup or "word"])


def _format(colour: QColor) -> QTextCharFormat:
    made = QTextCharFormat()
    made.setForeground(colour)
    return made


class _Numbers(QWidget):
    """The line numbers, left of the text."""

    def __init__(self, editor: ProgramEditor) -> None:
        super().__init__(editor)
        self._editor = editor

    def sizeHint(self) -> QSize:
        return QSize(self._editor.numbers_width(), 0)

    def paintEvent(self, event: QPaintEvent) -> None:
        self._editor.paint_numbers(event)


class ProgramEditor(QPlainTextEdit):
    """run_requested(): Ctrl+Return. Marks are taken away where the text becomes another one."""

    run_requested = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setProperty("face", "mono")
        self.setFont(theme.mono_font(theme.BASE))
        self.setAccessibleName("The program's text")
        self.setLineWrapMode(QPlainTextEdit.LineWrapMode.NoWrap)
        self.setTabChangesFocus(False)
        self._marks: tuple[Marked, ...] = ()
        self._numbers = _Numbers(self)
        self._colours = _Colours(self.document())
        self.blockCountChanged.connect(self._fit)
        self.updateRequest.connect(self._scrolled)
        self.textChanged.connect(self._unmark)
        theme.signals.changed.connect(self._recolour)
        self._fit()

    @property
    def marks(self) -> tuple[Marked, ...]:
        return self._marks

    def set_marks(self, marks: Sequence[Marked]) -> None:
        """Shows mistakes at their lines, and the first of them on the screen."""
        self._marks = tuple(marks)
        self.setExtraSelections([made for mark in self._marks if (made := self._selection(mark)) is not None])
        self._numbers.update()
        if self._marks:
            block = self.document().findBlockByNumber(self._marks[0].line - 1)
            if block.isValid():
                cursor = QTextCursor(block)
                cursor.movePosition(
                    QTextCursor.MoveOperation.Right, n=min(max(self._marks[0].first - 1, 0), max(block.length() - 1, 0))
                )
                self.setTextCursor(cursor)
                self.ensureCursorVisible()

    def _selection(self, mark: Marked) -> QTextEdit.ExtraSelection | None:
        block = self.document().findBlockByNumber(mark.line - 1)
        if not block.isValid():
            return None
        tokens = theme.current()
        made = QTextEdit.ExtraSelection()
        cursor = QTextCursor(block)
        length = max(block.length() - 1, 0)
        colour = tokens.bad if mark.fatal else tokens.warn
        if 0 < mark.first <= length:
            cursor.setPosition(block.position() + mark.first - 1)
            end = min(max(mark.last, mark.first), length)
            cursor.setPosition(block.position() + end, QTextCursor.MoveMode.KeepAnchor)
            made.format.setUnderlineStyle(QTextCharFormat.UnderlineStyle.WaveUnderline)
            made.format.setUnderlineColor(colour)
        made.format.setBackground(theme.blend(colour, tokens.surface, 0.14))
        if not cursor.hasSelection():
            made.format.setProperty(QTextFormat.Property.FullWidthSelection, True)
        made.cursor = cursor
        return made

    def _unmark(self) -> None:
        if self._marks:
            self._marks = ()
            self.setExtraSelections([])
            self._numbers.update()

    def _recolour(self) -> None:
        self._colours.recolour()
        self.set_marks(self._marks)

    # Keys

    def keyPressEvent(self, event: QKeyEvent) -> None:
        control = event.modifiers() & Qt.KeyboardModifier.ControlModifier
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and control:
            self.run_requested.emit()
            return
        if event.key() == Qt.Key.Key_Tab and not self.isReadOnly():
            self.insertPlainText(_INDENT)
            return
        if event.key() == Qt.Key.Key_Backtab:
            self.focusPreviousChild()
            return
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and not self.isReadOnly():
            line = self.textCursor().block().text()
            indent = line[: len(line) - len(line.lstrip())]
            self.insertPlainText("\n" + indent + (_INDENT if line.rstrip().endswith("{") else ""))
            self.ensureCursorVisible()
            return
        super().keyPressEvent(event)

    def viewportEvent(self, event: QEvent) -> bool:
        if event.type() == QEvent.Type.ToolTip and isinstance(event, QHelpEvent) and self._marks:
            line = self.cursorForPosition(event.pos()).blockNumber() + 1
            said = "\n".join(mark.text for mark in self._marks if mark.line == line)
            if said:
                QToolTip.showText(event.globalPos(), plain.tip(said), self)
                return True
        return super().viewportEvent(event)

    # Line numbers

    def numbers_width(self) -> int:
        digits = max(len(str(max(self.blockCount(), 1))), 2)
        return 2 * _MARGIN + digits * self.fontMetrics().horizontalAdvance("0")

    def _fit(self, _count: int = 0) -> None:
        self.setViewportMargins(self.numbers_width(), 0, 0, 0)

    def _scrolled(self, rect: QRect, by: int) -> None:
        if by:
            self._numbers.scroll(0, by)
        else:
            self._numbers.update(0, rect.y(), self._numbers.width(), rect.height())

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        inside = self.contentsRect()
        self._numbers.setGeometry(QRect(inside.left(), inside.top(), self.numbers_width(), inside.height()))

    def paint_numbers(self, event: QPaintEvent) -> None:
        tokens = theme.current()
        painter = QPainter(self._numbers)
        painter.fillRect(event.rect(), tokens.window)
        painter.setFont(theme.mono_font(theme.SMALL))
        marked = {mark.line: tokens.bad if mark.fatal else tokens.warn for mark in reversed(self._marks)}
        block = self.firstVisibleBlock()
        top = round(self.blockBoundingGeometry(block).translated(self.contentOffset()).top())
        while block.isValid() and top <= event.rect().bottom():
            height = round(self.blockBoundingRect(block).height())
            if block.isVisible() and top + height >= event.rect().top():
                number = block.blockNumber() + 1
                colour = marked.get(number)
                if colour is not None:
                    painter.fillRect(0, top, 3, height, colour)
                painter.setPen(colour or tokens.faint)
                painter.drawText(
                    QRect(0, top, self._numbers.width() - _MARGIN, height),
                    Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter,
                    str(number),
                )
            block = block.next()
            top += height
        painter.end()
