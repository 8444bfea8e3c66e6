"""The quick reference: what each tool answers and costs, what it would run now, and what its last result was."""

from __future__ import annotations

from functools import partial

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QAction, QGuiApplication, QKeyEvent, QKeySequence, QPainter, QPaintEvent, QShowEvent
from PySide6.QtWidgets import QFrame, QGridLayout, QLabel, QPushButton, QScrollArea, QStackedWidget, QWidget

from tailflame_gui import icons, plain, theme
from tailflame_gui.actions import describe
from tailflame_gui.models.session_table import moment
from tailflame_gui.rows import SessionRow
from tailflame_gui.tools_model import Reference, ToolReference
from tailflame_gui.widgets.empty_state import EmptyState
from tailflame_gui.widgets.few_lines import FewLines
from tailflame_gui.widgets.filter_field import FilterField
from tailflame_gui.widgets.parts import (
    ElidedLabel,
    button,
    clear,
    column,
    hairline,
    icon_button,
    label,
    row,
    selectable,
)
from tailflame_gui.widgets.tool_card import off_line, told

_FORMATS_ACROSS = 3
_KEYS = "Return: its last result.   U: use it.   C: copy the command."


class ToolEntry(QWidget):
    """One tool. used(name), opened(SessionRow: its last result), left(+1 or -1: to the next or the one before)."""

    used = Signal(str)
    opened = Signal(object)
    left = Signal(int)

    def __init__(self, known: ToolReference) -> None:
        super().__init__()
        self.known = known
        tool = known.tool
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setAccessibleName(tool.title)
        self.setAccessibleDescription(f"{tool.answers} {told(tool)} {_KEYS}")
        self.setToolTip(_KEYS)
        left = column(spacing=2)
        head = row(spacing=8)
        head.addWidget(label(tool.title, "heading"))
        head.addWidget(ElidedLabel(tool.version, "small"), 1)
        left.addLayout(head)
        left.addWidget(label(tool.answers, wrap=True))
        left.addWidget(label(told(tool), "small", wrap=True))
        left.addStretch()
        right = column(spacing=2)
        if not tool.available:
            right.addWidget(off_line(tool.reason, tool.fix))
        if known.command_line:
            line = row(spacing=4)
            command = FewLines(2, rank="second", mono=True)
            command.set_text(known.to_copy)
            line.addWidget(command, 1)
            copy = icon_button("copy", self.copy, tip="Copy the command for a terminal.  C")
            line.addWidget(copy, alignment=Qt.AlignmentFlag.AlignTop)
            right.addLayout(line)
        else:
            right.addWidget(selectable(label(known.problem, "faint", wrap=True)))
        foot = row(spacing=8)
        self.last = QPushButton(_last_words(known.last) if known.last is not None else "")
        if known.last is not None:
            self.last.setProperty("rank", "link")
            self.last.setCursor(Qt.CursorShape.PointingHandCursor)
            self.last.setToolTip(plain.tip(f"Open it: {known.last.title}.  Return\n{known.last.path}"))
            self.last.clicked.connect(self.open_last)
            foot.addWidget(self.last)
        else:
            self.last.hide()
            foot.addWidget(label("No result of it is in the library yet.", "faint"))
        foot.addStretch()
        self.use = button("Use", lambda: self.used.emit(tool.name), icon="circle-dot")
        self.use.setToolTip(f"Show {tool.title} on the record page, with its options.  U")
        foot.addWidget(self.use)
        right.addLayout(foot)
        right.addStretch()
        whole = row(margins=(16, 8, 16, 8), spacing=24)
        whole.addLayout(left, 5)
        whole.addLayout(right, 6)
        self.setLayout(whole)

    def copy(self) -> None:
        if self.known.to_copy:
            QGuiApplication.clipboard().setText(self.known.to_copy)

    def open_last(self) -> None:
        if self.known.last is not None:
            self.opened.emit(self.known.last)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        match event.key():
            case Qt.Key.Key_Return | Qt.Key.Key_Enter:
                self.open_last()
            case Qt.Key.Key_U:
                self.use.click()
            case Qt.Key.Key_C:
                self.copy()
            case Qt.Key.Key_Down | Qt.Key.Key_Up:  # the area around it would scroll
                self.left.emit(1 if event.key() == Qt.Key.Key_Down else -1)
            case _:
                super().keyPressEvent(event)

    def paintEvent(self, _event: QPaintEvent) -> None:
        if self.hasFocus():
            painter = QPainter(self)
            painter.fillRect(self.rect(), theme.current().selection)
            painter.fillRect(0, 0, 2, self.height(), theme.current().accent)
            painter.end()


class ToolsPage(QWidget):
    """shown(), check_again(), used(tool's name), opened(SessionRow), probes_requested()."""

    shown = Signal()
    check_again = Signal()
    used = Signal(str)
    opened = Signal(object)
    probes_requested = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._reference: Reference | None = None
        self._entries: list[ToolEntry] = []
        self._families: dict[str, QLabel] = {}
        self.filter = FilterField("Filter by tool, question …", tip="Only tools that hold every word.  Ctrl+F")
        self.filter.setFixedWidth(264)
        self.filter.query_changed.connect(self._filter_changed)
        self.filter.left.connect(self._leave_filter)
        self._target = ElidedLabel("", "second")
        self.again = button("Check again", self.check_again.emit, rank="link", tip="Look at what is installed anew.")
        self.find_action = QAction(icons.icon("search"), "Filter the tools", self)
        self.find_action.setShortcut(QKeySequence.StandardKey.Find)
        self.find_action.setShortcutContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
        self.find_action.setProperty("glyph", "search")
        describe(self.find_action, "Only tools that hold every word.")
        self.find_action.triggered.connect(lambda: self.filter.setFocus(Qt.FocusReason.ShortcutFocusReason))
        self.addAction(self.find_action)
        head = row(margins=(16, 8, 16, 8), spacing=16)
        head.addWidget(label("Tools", "title"))
        head.addWidget(self._target, 1)
        head.addWidget(self.filter)
        head.addWidget(button("Probes…", self.probes_requested.emit, rank="link", tip="Recipes for bpftrace."))
        head.addWidget(self.again)
        self._list = column(margins=(0, 0, 0, 16), spacing=0)
        inside = QWidget()
        inside.setLayout(self._list)
        self._scroll = QScrollArea()
        self._scroll.setWidgetResizable(True)
        self._scroll.setFrameShape(QFrame.Shape.NoFrame)
        self._scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self._scroll.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self._scroll.setWidget(inside)
        self._empty = EmptyState("book-open", "Looking at the tools of this machine …", "")
        self._stack = QStackedWidget()
        self._stack.addWidget(self._empty)
        self._stack.addWidget(self._scroll)
        layout = column(spacing=0)
        layout.addLayout(head)
        layout.addWidget(hairline())
        layout.addWidget(self._stack, 1)
        self.setLayout(layout)
        self.setFocusProxy(self.filter)

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self.shown.emit()

    @property
    def entries(self) -> tuple[ToolEntry, ...]:
        """Those that are in sight, from top to bottom."""
        return tuple(entry for entry in self._entries if not entry.isHidden())

    def entry(self, name: str) -> ToolEntry:
        return next(entry for entry in self._entries if entry.known.tool.name == name)

    def show_reference(self, reference: Reference) -> None:
        """What is selected and where it is scrolled to stays."""
        if reference == self._reference:
            return
        self._reference = reference
        chosen = next((entry.known.tool.name for entry in self._entries if entry.hasFocus()), "")
        place = self._scroll.verticalScrollBar().value()
        clear(self._list)
        self._entries, self._families = [], {}
        for known in reference.tools:
            if known.tool.family not in self._families:
                heading = label(known.tool.family, "second")
                heading.setContentsMargins(16, 12, 16, 2)
                self._families[known.tool.family] = heading
                self._list.addWidget(heading)
            entry = ToolEntry(known)
            entry.used.connect(self.used)
            entry.opened.connect(self.opened)
            entry.left.connect(partial(self._step, entry))
            self._entries.append(entry)
            self._list.addWidget(entry)
            self._list.addWidget(hairline())
        self._list.addWidget(_formats(reference.formats))
        self._list.addStretch()
        words = f"The commands are for {reference.target}." if reference.target else "No program is chosen yet."
        self._target.set_text(words)
        self._filter_changed(self.filter.text())
        if chosen:
            self.entry(chosen).setFocus(Qt.FocusReason.OtherFocusReason)
        self._scroll.verticalScrollBar().setValue(place)

    # The filter, and moving by keys

    def _filter_changed(self, text: str) -> None:
        words = text.casefold().split()
        for entry in self._entries:
            entry.setVisible(all(word in entry.known.words for word in words))
        seen = {entry.known.tool.family for entry in self.entries}
        for family, heading in self._families.items():
            heading.setVisible(family in seen)
        if self._reference is None:
            return
        if not seen:
            self._empty.say(f"No tool matches “{text}”", "Clear the filter to see all of them.")
        self._stack.setCurrentIndex(1 if seen else 0)

    def _leave_filter(self) -> None:
        if self.entries:
            self._go_to(self.entries[0])

    def _step(self, entry: ToolEntry, by: int) -> None:
        seen = self.entries
        at = seen.index(entry) + by
        if at < 0:
            self.filter.setFocus(Qt.FocusReason.OtherFocusReason)
        elif at < len(seen):
            self._go_to(seen[at])

    def _go_to(self, entry: ToolEntry) -> None:
        entry.setFocus(Qt.FocusReason.OtherFocusReason)
        self._scroll.ensureWidgetVisible(entry, 0, 24)


def _last_words(session: SessionRow) -> str:
    name = (session.binary_name or session.title).replace("&", "&&")  # no key of this button
    return f"Last result: {moment(session.started_at)}  {name}"


def _formats(titles: tuple[str, ...]) -> QWidget:
    """What can be dropped on the window."""
    made = QWidget()
    lines = column(margins=(16, 16, 16, 0), spacing=6)
    lines.addWidget(label("Files that open", "heading"))
    words = "Drop them anywhere on the window, or open them with Ctrl+O: what they hold decides, not their names."
    lines.addWidget(label(words, "small", wrap=True))
    grid = QGridLayout()
    grid.setHorizontalSpacing(24)
    grid.setVerticalSpacing(2)
    deep = -(-len(titles) // _FORMATS_ACROSS)
    for at, title in enumerate(titles):
        grid.addWidget(ElidedLabel(title, "second"), at % deep, at // deep)
    lines.addLayout(grid)
    made.setLayout(lines)
    return made
