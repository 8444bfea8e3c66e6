"""Chooses a running program: the list, and a field that filters it as one types."""

from __future__ import annotations

from PySide6.QtCore import QTimer, Signal
from PySide6.QtGui import QHideEvent, QShowEvent
from PySide6.QtWidgets import QStackedWidget, QWidget

from tailflame import units
from tailflame.errors import TailflameError
from tailflame.host.running import Builds, ProcessList, RunningProcess
from tailflame.model import Caution
from tailflame_gui.models.process_table import ProcessRow, ProcessTable
from tailflame_gui.tasks import Latest
from tailflame_gui.widgets.caution_lines import CautionLines
from tailflame_gui.widgets.empty_state import EmptyState
from tailflame_gui.widgets.filter_field import FilterField
from tailflame_gui.widgets.parts import column, hairline, label, row
from tailflame_gui.widgets.row_view import RowView

_EVERY_MS = 1000


class ProcessPicker(QWidget):
    """selected(RunningProcess or None): that line is selected; None also for a process that cannot be attached to.
    chosen(RunningProcess): attach to it (Enter, double click).

    The list is looked at anew each second, in a thread, as long as this is on the screen.
    """

    selected = Signal(object)
    chosen = Signal(object)

    def __init__(self, parent: QWidget | None = None, *, processes: ProcessList | None = None) -> None:
        super().__init__(parent)
        self._processes = processes if processes is not None else ProcessList()
        self._builds = Builds()
        self._table = ProcessTable(self)
        self._view = RowView(self._table, several=False)
        self._view.setAccessibleName("Running programs")
        self._filter = FilterField(
            "Filter by name, PID, user, command …", tip="Only programs that hold every word.  Ctrl+F"
        )
        self._count = label("", "faint")
        self._cautions = CautionLines()
        self._cautions.setContentsMargins(16, 8, 16, 8)
        self._empty = EmptyState("activity", "Looking at what runs here …", "")
        self._stack = QStackedWidget()
        self._stack.addWidget(self._view)
        self._stack.addWidget(self._empty)
        self._stack.setCurrentWidget(self._empty)

        head = row(margins=(16, 8, 16, 8), spacing=12)
        head.addWidget(self._filter, 1)
        head.addWidget(self._count)
        layout = column(spacing=0)
        layout.addLayout(head)
        layout.addWidget(hairline())
        layout.addWidget(self._stack, 1)
        layout.addWidget(self._cautions)
        self.setLayout(layout)
        self.setFocusProxy(self._filter)

        self._looking = Latest(self)
        self._timer = QTimer(self)
        self._timer.setInterval(_EVERY_MS)
        self._timer.timeout.connect(self.look)
        self._filter.query_changed.connect(self._set_words)
        self._filter.stepped.connect(lambda _way: self._choose_selected())
        self._filter.left.connect(self._leave_filter)
        self._view.activated_row.connect(self._choose)
        self._view.selection_changed.connect(self._selection_changed)
        self._said: tuple[Caution, ...] = ()
        self._announced: tuple[int, int] | None = None

    @property
    def view(self) -> RowView:
        return self._view

    @property
    def filter_field(self) -> FilterField:
        return self._filter

    @property
    def cautions(self) -> CautionLines:
        return self._cautions

    @property
    def process(self) -> RunningProcess | None:
        """The one of the selected line, whether it can be attached to or not."""
        picked = self._view.selected()
        return picked[0].process if picked else None

    def look(self) -> None:
        """Looks at the processes once more, unless that is being done."""
        if self._looking.busy:
            return
        processes, builds = self._processes, self._builds

        def work(_progress: object) -> tuple[ProcessRow, ...]:
            looked = processes.look()
            builds.learn(looked)
            return tuple(ProcessRow(process, builds.of(process)) for process in looked)

        self._looking.ask(work, self.show_rows, name="looking at what runs", on_error=self._fail)

    def show_rows(self, rows: tuple[ProcessRow, ...]) -> None:
        """What is selected and where it is scrolled to stays."""
        self._table.set_rows(rows)
        mine = sum(row.process.mine for row in rows)
        self._count.setText(f"{units.count(len(rows))} running, {units.count(mine)} yours" if rows else "")
        self._set_words(self._filter.text())
        self._selection_changed()

    def _fail(self, error: TailflameError) -> None:
        self._say((Caution(error.sentence, error.advice),))

    def _set_words(self, text: str) -> None:
        self._view.set_words(text)
        self._show_what_there_is()
        # One who types and presses Enter means the first line.
        if text and self._view.order.rowCount() and self.process is None:
            self._view.select_line(self._likeliest(text))

    def _likeliest(self, text: str) -> int:
        """The first line whose own name is meant, else the first that can be attached to, else the first."""
        lines = [self._view.order.row_at(self._view.order.index(at, 0)) for at in range(self._view.order.rowCount())]
        usable = [at for at, line in enumerate(lines) if line.process.attachable]
        named = [at for at in usable if text.strip().casefold() in lines[at].process.name.casefold()]
        return (named or usable or [0])[0]

    def _show_what_there_is(self) -> None:
        matches = self._view.order.rowCount() > 0
        if not matches and self._table.rows:
            self._empty.say(
                f"No running program matches “{self._filter.text()}”",
                "Clear the filter to see all, or start the program: the list follows.",
            )
        self._stack.setCurrentWidget(self._view if matches else self._empty)

    def _leave_filter(self) -> None:
        """Down goes to the list; Escape, with nothing typed, away."""
        if self._view.order.rowCount() and self._filter.hasFocus():
            if self.process is None:
                self._view.select_line(0)
            self._view.setFocus()

    def _selection_changed(self) -> None:
        process = self.process
        self._say(_cautions(process))
        usable = process if process is not None and process.attachable else None
        identity = usable.identity if usable is not None else None
        if identity != self._announced:
            self._announced = identity
            self.selected.emit(usable)

    def _say(self, cautions: tuple[Caution, ...]) -> None:
        if cautions != self._said:
            self._said = cautions
            self._cautions.set_cautions(cautions)

    def _choose_selected(self) -> None:
        picked = self._view.selected()
        if picked:
            self._choose(picked[0])

    def _choose(self, row: ProcessRow) -> None:
        if row.process.attachable:
            self.chosen.emit(row.process)

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self.look()
        self._timer.start()

    def hideEvent(self, event: QHideEvent) -> None:
        super().hideEvent(event)
        self._timer.stop()
        self._looking.drop()


def _cautions(process: RunningProcess | None) -> tuple[Caution, ...]:
    if process is None:
        return ()
    if not process.attachable:
        return (Caution(f"{process.name} cannot be attached to: {process.reason}."),)
    if process.deleted:
        what = "was removed or built anew since it was started: names are those of the program that runs."
        return (Caution(f"The file of {process.name} {what}"),)
    return ()
