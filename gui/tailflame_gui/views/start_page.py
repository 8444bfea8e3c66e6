"""The start page: what to do, recent sessions, and what this machine lets a profiler do."""

from __future__ import annotations

from functools import partial

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QScrollArea, QStackedLayout, QWidget

from tailflame_gui import plain
from tailflame_gui.actions import Actions
from tailflame_gui.models.session_table import RowTable, session_fields
from tailflame_gui.rows import FindingRow, Level, SessionRow
from tailflame_gui.widgets.empty_state import EmptyState
from tailflame_gui.widgets.notices import MARKS
from tailflame_gui.widgets.parts import (
    ActionButton,
    ElidedLabel,
    Icon,
    button,
    clear,
    column,
    hairline,
    icon_button,
    label,
    row,
)
from tailflame_gui.widgets.row_view import RowView

RECENT = 18
READS = (
    "Drop files anywhere: perf.data, perf script text, folded stacks, flame-graph SVGs, pprof, speedscope, Firefox "
    "Profiler, callgrind and .cpuprofile files, .hlog and .hgrm histograms, "
    "perf stat and bpftrace output, Prometheus text, each also as .gz, .zst or .xz. Drop a binary to record it, or a "
    "folder of sessions to open it."
)


class FindingLine(QWidget):
    """One finding: shape, sentence, detail, and its fix to copy."""

    def __init__(self, finding: FindingRow) -> None:
        super().__init__()
        icon, color, word = MARKS[finding.level]
        words = column(spacing=2)
        title = label(finding.title, wrap=True)
        title.setToolTip(plain.tip(finding.detail))
        words.addWidget(title)
        if finding.detail and finding.level is not Level.OK:
            words.addWidget(label(finding.detail, "small", wrap=True))
        if finding.fix:
            words.addWidget(label(finding.fix, "second", wrap=True))
        if finding.command:
            fix = row(spacing=4)
            fix.addWidget(ElidedLabel(finding.command, "second", mono=True), 1)
            fix.addWidget(icon_button("copy", partial(_copy, finding.command), tip="Copy the command"))
            words.addLayout(fix)
        layout = row(margins=(0, 4, 0, 4), spacing=8)
        mark = Icon(icon, color)
        mark.setToolTip(word)
        layout.addWidget(mark, alignment=Qt.AlignmentFlag.AlignTop)
        layout.addLayout(words, 1)
        self.setLayout(layout)
        self.setAccessibleName(f"{word}: {finding.title}. {finding.detail} {finding.fix}{finding.command}")


def _copy(text: str) -> None:
    QGuiApplication.clipboard().setText(text)


class StartPage(QWidget):
    """opened(SessionRow): open that session. check_again(): probe the machine anew."""

    opened = Signal(object)
    check_again = Signal()

    def __init__(self, actions: Actions) -> None:
        super().__init__()
        self._table = RowTable[SessionRow](session_fields(short=True), self)
        self._view = RowView(self._table, several=False, sortable=False)
        self._view.activated_row.connect(self.opened)
        self._view.setAccessibleName("Recent sessions")
        self._total = label("", "faint")
        self._findings = column(spacing=0)
        self._all_sessions = button("All sessions", actions["library"].trigger, rank="link")

        buttons = row(spacing=8)
        buttons.addWidget(ActionButton(actions["record_page"], rank="primary", text="Record a program"))
        buttons.addWidget(ActionButton(actions["attach"], text="Attach to a process…"))
        buttons.addWidget(ActionButton(actions["open"], text="Open files…"))
        buttons.addWidget(ActionButton(actions["watch_folder"]))
        buttons.addWidget(ActionButton(actions["demo"]))
        buttons.addStretch()

        empty = EmptyState(
            "library",
            "No sessions yet",
            "Every recording is kept as a session and listed here. Record a program, or look at the demo first.",
        )
        surface = QWidget()
        surface.setProperty("surface", "surface")
        surface.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self._recent = QStackedLayout(surface)
        self._recent.addWidget(self._view)
        self._recent.addWidget(empty)

        recent_head = row(spacing=8)
        recent_head.addWidget(label("Recent sessions", "heading"))
        recent_head.addWidget(self._total)
        recent_head.addStretch()
        recent_head.addWidget(self._all_sessions)
        left = column(spacing=8)
        left.addLayout(recent_head)
        left.addWidget(hairline())
        left.addWidget(surface, 1)

        machine_head = row(spacing=8)
        machine_head.addWidget(label("This machine", "heading"))
        machine_head.addStretch()
        machine_head.addWidget(button("Check again", self.check_again.emit, rank="link"))
        inside = QWidget()
        inside_column = column(spacing=0)
        inside_column.addLayout(self._findings)
        inside_column.addStretch()
        inside.setLayout(inside_column)
        scroll = QScrollArea()
        scroll.setWidget(inside)
        scroll.setWidgetResizable(True)
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        right_side = QWidget()
        right_side.setFixedWidth(320)
        right = column(spacing=8)
        right.addLayout(machine_head)
        right.addWidget(hairline())
        right.addWidget(scroll, 1)
        right_side.setLayout(right)

        across = row(spacing=32)
        across.addLayout(left, 1)
        across.addWidget(right_side)

        drop = row(spacing=8)
        drop.addWidget(Icon("import", "faint"))
        drop.addWidget(label(READS, "second", wrap=True), 1)

        layout = column(margins=(32, 24, 32, 16), spacing=16)
        layout.addWidget(label("What is slow, and where?", "figure"))
        layout.addLayout(buttons)
        layout.addSpacing(8)
        layout.addLayout(across, 1)
        layout.addLayout(drop)
        self.setLayout(layout)
        self.setFocusProxy(self._view)
        self.show_findings(None)

    def show_sessions(self, sessions: tuple[SessionRow, ...], *, known: bool = True) -> None:
        """The newest ones; `known` is False while the library is still being read."""
        self._table.set_rows(sessions[:RECENT])
        self._recent.setCurrentIndex(0 if sessions or not known else 1)
        self._total.setText(f"{len(sessions)} in all" if len(sessions) > RECENT else "")
        self._all_sessions.setVisible(bool(sessions))

    def show_findings(self, findings: tuple[FindingRow, ...] | None) -> None:
        """What the machine lets a profiler do; None while it is being probed."""
        clear(self._findings)
        if findings is None:
            self._findings.addWidget(label("Looking at perf and the kernel's settings…", "faint"))
            return
        for finding in sorted(findings, key=_gravest_first):
            self._findings.addWidget(FindingLine(finding))

    @property
    def table(self) -> RowView:
        return self._view


def _gravest_first(finding: FindingRow) -> int:
    return (Level.ERROR, Level.WARNING, Level.NOTE, Level.OK).index(finding.level)
