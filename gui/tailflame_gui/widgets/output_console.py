"""What a program writes, line by line, with its stream in words at the left, and a search. Bounded."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from PySide6.QtCore import QEvent, QObject, QRect, QRectF, QSize, Qt, QTimer, Signal
from PySide6.QtGui import (
    QAction,
    QColor,
    QGuiApplication,
    QKeyEvent,
    QKeySequence,
    QPainter,
    QPaintEvent,
    QResizeEvent,
    QTextBlock,
    QTextCharFormat,
    QTextCursor,
)
from PySide6.QtWidgets import QLineEdit, QPlainTextEdit, QTextEdit, QWidget

from tailflame_gui import icons, theme
from tailflame_gui.actions import describe
from tailflame_gui.widgets.output_lines import Lines, OutputLine
from tailflame_gui.widgets.parts import button, column, icon_button, label, row, set_rank

CAPACITY = 20_000
"""Lines kept; the oldest go first, and it is said how many went."""
AT_ONCE = 2000
"""Lines of one portion that are shown: more can only come when nobody could read them."""
_STREAMS = ("stdout", "stderr", "tool")
_WORDS = {"stdout": "out", "stderr": "err", "tool": "tool"}
_GUTTER = 44
_SEARCH_PAUSE_MS = 150


class _Gutter(QWidget):
    """The stream of each line, in a word."""

    def __init__(self, text: OutputText) -> None:
        super().__init__(text)
        self._text = text

    def sizeHint(self) -> QSize:
        return QSize(_GUTTER, 0)

    def paintEvent(self, event: QPaintEvent) -> None:
        self._text.paint_gutter(self, event.rect())


class OutputText(QPlainTextEdit):
    """The lines. Each block's user state is the index of its stream in _STREAMS."""

    def __init__(self) -> None:
        super().__init__()
        self.setReadOnly(True)
        self.setAcceptDrops(False)  # a file dropped here is meant for the window
        self.setUndoRedoEnabled(False)
        self.setLineWrapMode(QPlainTextEdit.LineWrapMode.NoWrap)
        self.setMaximumBlockCount(CAPACITY)
        self.setProperty("face", "mono")
        self.setFrameShape(QPlainTextEdit.Shape.NoFrame)
        self.setStyleSheet("QPlainTextEdit { border: 0; border-radius: 0; padding: 0; }")
        self.setTextInteractionFlags(
            Qt.TextInteractionFlag.TextSelectableByMouse | Qt.TextInteractionFlag.TextSelectableByKeyboard
        )
        self.setAccessibleName("Output")
        self.setPlaceholderText("What the program writes to stdout and stderr stands here.")
        self._gutter = _Gutter(self)
        self.setViewportMargins(_GUTTER, 0, 0, 0)
        self.updateRequest.connect(self._scrolled)
        theme.signals.changed.connect(self._gutter.update)

    def append(self, lines: Sequence[OutputLine]) -> None:
        """Adds at the end; the view follows where it stood at the end before."""
        bar = self.verticalScrollBar()
        follows = bar.value() >= bar.maximum() - 1
        cursor = QTextCursor(self.document())
        cursor.beginEditBlock()
        cursor.movePosition(QTextCursor.MoveOperation.End)
        if not self.is_empty:
            cursor.insertBlock()
        # In one piece: line by line takes ten times as long.
        cursor.insertText("\n".join(line.text for line in lines))
        block = self.document().lastBlock()
        for line in reversed(lines):
            block.setUserState(_STREAMS.index(line.stream) if line.stream in _STREAMS else 0)
            block = block.previous()
        cursor.endEditBlock()
        if follows:
            bar.setValue(bar.maximum())
        self._gutter.update()

    @property
    def is_empty(self) -> bool:
        first = self.document().firstBlock()
        return self.document().blockCount() == 1 and first.userState() == -1

    def stream_of(self, block: QTextBlock) -> str:
        return _STREAMS[max(block.userState(), 0)]

    def paint_gutter(self, gutter: QWidget, area: QRect) -> None:
        tokens = theme.current()
        painter = QPainter(gutter)
        painter.fillRect(area, tokens.surface)
        painter.setFont(theme.interface_font(theme.SMALL))
        block = self.firstVisibleBlock()
        top = self.blockBoundingGeometry(block).translated(self.contentOffset()).top()
        while block.isValid() and top <= area.bottom():
            height = self.blockBoundingRect(block).height()
            if block.isVisible() and top + height >= area.top() and block.userState() >= 0:
                stream = self.stream_of(block)
                color = {"stderr": tokens.warn, "tool": tokens.second}.get(stream, tokens.faint)
                if stream == "stderr":
                    painter.fillRect(QRectF(_GUTTER - 6, top, 2, height), color)
                painter.setPen(color)
                box = QRectF(0, top, _GUTTER - 12, height)
                painter.drawText(box, int(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter), _WORDS[stream])
            top += height
            block = block.next()
        painter.end()

    def _scrolled(self, rect: QRect, dy: int) -> None:
        if dy:
            self._gutter.scroll(0, dy)
        else:
            self._gutter.update(0, rect.y(), _GUTTER, rect.height())

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        inside = self.contentsRect()
        self._gutter.setGeometry(QRect(inside.left(), inside.top(), _GUTTER, inside.height()))


class OutputConsole(QWidget):
    """The lines, and above them the search: Ctrl+F comes to it, Enter and Shift+Enter walk, Escape leaves.

    searched(matches): the number of lines that match has changed.
    """

    searched = Signal(int)

    def __init__(self, title: str = "Output", *, capacity: int = CAPACITY) -> None:
        super().__init__()
        self._lines = Lines()
        self._capacity = capacity
        self._came = self._kept = 0
        self._matches: list[int] = []
        """Block numbers."""
        self._at = -1
        self.text = OutputText()
        self.text.setMaximumBlockCount(capacity)
        self._count = label("", "small")
        self.field = QLineEdit()
        self.field.setPlaceholderText("Search the output")
        self.field.setClearButtonEnabled(True)
        self.field.setAcceptDrops(False)
        self.field.setAccessibleName("Search the output")
        self.field.setToolTip("Plain text, or a regular expression. Enter: next, Shift+Enter: previous. Ctrl+F")
        self.field.addAction(icons.icon("search", "faint"), QLineEdit.ActionPosition.LeadingPosition)
        self.field.setFixedWidth(232)
        self.field.installEventFilter(self)
        self.found = label("", "small")
        self.previous = icon_button("chevron-up", lambda: self.walk(-1), tip="Previous match. Shift+Enter")
        self.next = icon_button("chevron-down", lambda: self.walk(1), tip="Next match. Enter")
        self.to_end = button("To the end", self._go_to_end, rank="quiet", icon="arrow-down", tip="Follow the output.")
        self.copy = icon_button("copy", self._copy_all, tip="Copy the whole output")
        head = row(margins=(16, 4, 8, 4), spacing=8)
        head.addWidget(label(title, "heading"))
        head.addWidget(self._count)
        head.addStretch()
        head.addWidget(self.to_end)
        head.addWidget(self.found)
        head.addWidget(self.previous)
        head.addWidget(self.next)
        head.addWidget(self.field)
        head.addWidget(self.copy)
        layout = column(spacing=0)
        layout.addLayout(head)
        layout.addWidget(self.text, 1)
        self.setLayout(layout)
        self.find_action = QAction(icons.icon("search"), "Search the output", self)
        self.find_action.setShortcut(QKeySequence(QKeySequence.StandardKey.Find))
        self.find_action.setShortcutContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
        self.find_action.setProperty("glyph", "search")
        self.find_action.setProperty("group", "Record")
        describe(self.find_action, "Search what the program has written.")
        self.find_action.triggered.connect(self.begin_search)
        self.addAction(self.find_action)
        self._pause = QTimer(self)
        self._pause.setSingleShot(True)
        self._pause.setInterval(_SEARCH_PAUSE_MS)
        self._pause.timeout.connect(self.search)
        self.field.textChanged.connect(lambda _text: self._pause.start())
        self.text.verticalScrollBar().valueChanged.connect(lambda _value: self._moved())
        theme.signals.changed.connect(self._mark)
        self.clear()

    # Lines

    def clear(self) -> None:
        self._lines = Lines()
        self._came = 0
        self._empty_text()
        self.search()
        self._moved()
        self._say_count()

    def _empty_text(self) -> None:
        self._kept = 0
        self.text.clear()
        # -1 says that the one block there always is holds no line.
        self.text.document().firstBlock().setUserState(-1)

    def feed(self, stream: str, text: str) -> None:
        """Text as it came, in any portion."""
        self._take(self._lines.feed(stream, text))

    def end(self) -> None:
        """Nothing more comes: shows what has no end of line."""
        self._take(self._lines.end())

    def _take(self, lines: Iterable[OutputLine]) -> None:
        fresh = list(lines)
        if not fresh:
            return
        self._came += len(fresh)
        most = min(self._capacity, AT_ONCE)
        if len(fresh) > most:
            # A flood: what stands there would be out of sight at once, and taking it away line by line is slow.
            self._empty_text()
            fresh = fresh[-most:]
        self.text.append(fresh)
        self._kept = min(self._kept + len(fresh), self._capacity)
        self._say_count()
        self._moved()
        if self.field.text() and not self._pause.isActive():
            self._pause.start()

    @property
    def shown(self) -> tuple[OutputLine, ...]:
        """The lines that are kept."""
        if self.text.is_empty:
            return ()
        lines = []
        block = self.text.document().firstBlock()
        while block.isValid():
            lines.append(OutputLine(self.text.stream_of(block), block.text()))
            block = block.next()
        return tuple(lines)

    @property
    def dropped(self) -> int:
        """Lines that are gone because too many came."""
        return self._came - self._kept

    @property
    def count_text(self) -> str:
        return self._count.text()

    def _say_count(self) -> None:
        lines = "1 line" if self._came == 1 else f"{self._came:,} lines"
        gone = f", the first {self.dropped:,} are dropped" if self.dropped else ""
        self._count.setText(f"{lines}{gone}" if self._came else "")
        self._count.setToolTip(
            f"The last {self._capacity:,} lines are kept, of a flood the last {AT_ONCE:,}. "
            "stdout and stderr come through two pipes: between them, the order is that of their arrival."
        )
        self.copy.setEnabled(self._came > 0)

    def _moved(self) -> None:
        bar = self.text.verticalScrollBar()
        self.to_end.setVisible(bar.value() < bar.maximum() - 1)

    def _go_to_end(self) -> None:
        bar = self.text.verticalScrollBar()
        bar.setValue(bar.maximum())

    def _copy_all(self) -> None:
        QGuiApplication.clipboard().setText("\n".join(line.text for line in self.shown))

    # Search

    def begin_search(self) -> None:
        """Puts the cursor into the field, with what is marked in the output."""
        marked = self.text.textCursor().selectedText()
        if marked and "\u2029" not in marked:
            self.field.setText(re.escape(marked) if re.escape(marked) != marked else marked)
        self.field.setFocus(Qt.FocusReason.ShortcutFocusReason)
        self.field.selectAll()

    def search(self) -> None:
        """Looks through the kept lines; the current match stays where it was."""
        self._pause.stop()
        pattern = self._pattern()
        before = self._matches[self._at] if 0 <= self._at < len(self._matches) else -1
        self._matches = []
        if pattern is not None:
            block = self.text.document().firstBlock()
            while block.isValid():
                if pattern.search(block.text()):
                    self._matches.append(block.blockNumber())
                block = block.next()
        if before in self._matches:
            self._at = self._matches.index(before)
        elif self._matches:
            self._at = self._nearest()
            self._show_match()
        else:
            self._at = -1
        self._say_found(bad=pattern is None and bool(self.field.text()))
        self._mark()
        self.searched.emit(len(self._matches))

    def walk(self, by: int) -> None:
        """To the next match or the previous one, round the end."""
        if self._pause.isActive():
            self.search()
        if self._matches:
            self._at = (self._at + by) % len(self._matches)
            self._show_match()
            self._say_found()
            self._mark()

    @property
    def found_text(self) -> str:
        """ "2/14" """
        return self.found.text()

    def _pattern(self) -> re.Pattern[str] | None:
        """None where there is nothing to look for, or no expression."""
        text = self.field.text()
        if not text:
            return None
        try:
            return re.compile(text, re.IGNORECASE if text == text.lower() else 0)
        except re.error:
            return None

    def _nearest(self) -> int:
        first = self.text.firstVisibleBlock().blockNumber()
        return next((at for at, number in enumerate(self._matches) if number >= first), 0)

    def _show_match(self) -> None:
        block = self.text.document().findBlockByNumber(self._matches[self._at])
        pattern = self._pattern()
        match = pattern.search(block.text()) if pattern is not None else None
        cursor = QTextCursor(block)
        cursor.setPosition(block.position() + (match.start() if match else 0))
        self.text.setTextCursor(cursor)
        self.text.centerCursor()

    def _say_found(self, *, bad: bool = False) -> None:
        on = bool(self.field.text())
        if bad:
            text = "no such expression"
        elif not on:
            text = ""
        else:
            text = f"{self._at + 1}/{len(self._matches)}" if self._matches else "no match"
        self.found.setText(text)
        self.found.setToolTip("Lines that match" if self._matches else "")
        set_rank(self.found, "bad" if bad else "small")
        for walker in (self.previous, self.next):
            walker.setVisible(on)
            walker.setEnabled(bool(self._matches))

    def _mark(self) -> None:
        """Marks the matches of the lines in sight and around them; marking all would cost too much."""
        pattern = self._pattern()
        marks = []
        if pattern is not None and self._matches:
            tokens = theme.current()
            for at in range(max(self._at - 200, 0), min(self._at + 200, len(self._matches))):
                block = self.text.document().findBlockByNumber(self._matches[at])
                color = tokens.kind_user if at == self._at else theme.blend(tokens.kind_user, tokens.surface, 0.35)
                for match in pattern.finditer(block.text()):
                    if match.end() > match.start():
                        marks.append(self._selection(block, match, color, ink=tokens.ink_on(color)))
        self.text.setExtraSelections(marks)

    def _selection(
        self, block: QTextBlock, match: re.Match[str], color: QColor, *, ink: QColor
    ) -> QTextEdit.ExtraSelection:
        made = QTextEdit.ExtraSelection()
        cursor = QTextCursor(block)
        cursor.setPosition(block.position() + match.start())
        cursor.setPosition(block.position() + match.end(), QTextCursor.MoveMode.KeepAnchor)
        look = QTextCharFormat()
        look.setBackground(color)
        look.setForeground(ink)
        made.cursor = cursor
        made.format = look
        return made

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if watched is self.field and isinstance(event, QKeyEvent) and event.type() is QEvent.Type.KeyPress:
            if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
                self.walk(-1 if event.modifiers() & Qt.KeyboardModifier.ShiftModifier else 1)
                return True
            if event.key() == Qt.Key.Key_Escape:
                self.field.clear()
                self.search()
                self.text.setFocus(Qt.FocusReason.OtherFocusReason)
                return True
        return super().eventFilter(watched, event)
