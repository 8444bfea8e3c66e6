"""Two runs by their system calls: before, after, and what changed."""

from __future__ import annotations

from enum import StrEnum

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QKeySequence, QShortcut
from PySide6.QtWidgets import QStackedWidget, QWidget

from tailflame.analyse.syscall_diff import CallDiff, compare_calls
from tailflame.analyse.syscall_times import unlike_times
from tailflame.errors import TailflameError
from tailflame.model import Caution, Recording
from tailflame.units import count
from tailflame_gui import tasks
from tailflame_gui.models.syscall_deltas import changed_calls
from tailflame_gui.models.syscall_table import SyscallTable
from tailflame_gui.widgets.busy_line import BusyLine
from tailflame_gui.widgets.caution_lines import CautionLines
from tailflame_gui.widgets.compare_parts import SideCard
from tailflame_gui.widgets.empty_state import EmptyState
from tailflame_gui.widgets.filter_field import FilterField
from tailflame_gui.widgets.flame_search import PatternError
from tailflame_gui.widgets.parts import ElidedLabel, column, hairline, row
from tailflame_gui.widgets.segmented import Segmented
from tailflame_gui.widgets.table import Table


class Per(StrEnum):
    """What calls and times are counted for."""

    RUN = "run"
    SECOND = "second"


class SyscallComparison(QWidget):
    """failed(TailflameError)."""

    failed = Signal(object)

    def __init__(
        self,
        before: Recording,
        after: Recording,
        *,
        titles: tuple[str, str],
        commits: tuple[str, str] = ("", ""),
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        one, other = before.syscalls, after.syscalls
        assert one is not None and other is not None
        self.diff: CallDiff | None = None
        self._latest = tasks.Latest(self)
        self.model = SyscallTable(self)
        self.table = Table(self.model)
        self.table.setAccessibleName("Changes of system calls")
        self.cautions = CautionLines()
        self.said = ElidedLabel("", "second")
        self.per: Segmented[Per] = Segmented(
            [
                (Per.RUN, "Whole runs", "Calls and times as they were recorded."),
                (Per.SECOND, "A second", "Calls and times of one second: runs of different length compare."),
            ]
        )
        self.filter = FilterField("Filter system calls", icon="filter")
        self.filter.setFixedWidth(208)
        self.empty = EmptyState("git-compare", "", "")
        busy = BusyLine()
        self._latest.busy_changed.connect(busy.set_busy)
        cards = row(spacing=12)
        for word, side, title, commit in zip(("Baseline", "Candidate"), (before, after), titles, commits, strict=True):
            card = SideCard(word)
            card.set_recording(side, title=title, commit=commit)
            cards.addWidget(card, 1)
        head = column(margins=(16, 8, 16, 8), spacing=4)
        head.addLayout(cards)
        head.addWidget(self.cautions)
        bar = row(margins=(12, 6, 12, 6), spacing=8)
        bar.addWidget(self.per)
        bar.addWidget(self.said, 1)
        bar.addWidget(self.filter)
        self._body = QStackedWidget()
        self._body.addWidget(self.table)
        self._body.addWidget(self.empty)
        layout = column(spacing=0)
        layout.addLayout(head)
        layout.addWidget(hairline())
        layout.addLayout(bar)
        layout.addWidget(busy)
        layout.addWidget(self._body, 1)
        self.setLayout(layout)
        self.setFocusProxy(self.table)
        self.per.chosen.connect(lambda _per: self._fill())
        self.filter.query_changed.connect(self._filtered)
        self.filter.left.connect(self.table.setFocus)
        find = QShortcut(QKeySequence.StandardKey.Find, self)
        find.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
        find.activated.connect(self.filter.setFocus)

        unlike = unlike_times(before, after)

        def work(_progress: tasks.Progress) -> CallDiff:
            return compare_calls(one, other, unlike=unlike)

        self._latest.ask(work, self._compared, name="compare system calls", on_error=self._failed)

    @property
    def busy(self) -> bool:
        return self._latest.busy

    def _compared(self, diff: CallDiff) -> None:
        self.diff = diff
        cautions = [Caution(diff.note)]
        if diff.unlike:
            cautions.append(Caution(diff.unlike, "Record both sides with the same options."))
        if diff.differ_in_length:
            cautions.append(Caution(f"The runs lasted {diff.lengths}.", "Compare what they did in a second."))
            self.per.choose(Per.SECOND)
        if not diff.singles:
            cautions.append(Caution("strace -c keeps no single calls: there are no percentiles."))
        self.per.setVisible(bool(diff.lengths))
        self.cautions.set_cautions(cautions)
        self._fill()

    def _fill(self) -> None:
        assert self.diff is not None
        self.model.show_content(changed_calls(self.diff, per_second=self.per.choice is Per.SECOND))
        alone = {status: sum(c.status == status for c in self.diff.changes) for status in ("new", "gone")}
        largest = "calls" if self.diff.unlike else "time"
        parts = [f"{count(len(self.diff.changes))} system calls, the largest change of {largest} first"]
        parts += [f"{count(number)} {status}" for status, number in alone.items() if number]
        self.said.set_text("  ·  ".join(parts))
        self._look()

    def _look(self) -> None:
        if not self.model.size():
            self.empty.say("No system calls", "Neither of the two has one that came back.")
        elif not self.model.rowCount():
            self.empty.say("Nothing matches the filter", "Escape clears it.")
        self._body.setCurrentIndex(0 if self.model.rowCount() else 1)

    def _filtered(self, query: str) -> None:
        try:
            self.model.set_query(query)
        except PatternError as error:
            self.filter.complain(error)
            return
        self.filter.complain(None)
        self._look()

    def _failed(self, error: TailflameError) -> None:
        self.empty.say(error.sentence, error.advice)
        self._body.setCurrentIndex(1)
        self.failed.emit(error)
