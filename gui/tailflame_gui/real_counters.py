"""What the processor counted of the same program, for a view that shows what was simulated."""

from __future__ import annotations

from PySide6.QtCore import QObject

from tailflame.errors import TailflameError
from tailflame.model import CounterSeries
from tailflame_gui import tasks
from tailflame_gui.controller import Controller
from tailflame_gui.rows import SessionRow
from tailflame_gui.state import OpenResult
from tailflame_gui.views.cache_view import CacheView

_TOOL = "perf stat"


def attach(view: CacheView, tab: OpenResult, controller: Controller) -> None:
    """Looks for the newest perf stat of the tab's program, and reads it in a thread; nothing where there is none."""
    row = newest(controller.state.sessions, tab)
    if row is not None:
        _Question(view, row, controller)


def newest(sessions: tuple[SessionRow, ...], tab: OpenResult) -> SessionRow | None:
    """The newest readable result of perf stat of the same binary as the tab's; of its own group first."""
    own = tab.session
    if own is None or not own.binary_key:
        return None
    rows = [row for row in sessions if row.tool == _TOOL and row.binary_key == own.binary_key and row.readable]
    together = [row for row in rows if own.group and row.group == own.group]
    return next(iter(together or rows), None)


class _Question(QObject):
    """Lives as long as the view that it answers."""

    def __init__(self, view: CacheView, row: SessionRow, controller: Controller) -> None:
        super().__init__(view)
        self._latest = tasks.Latest(self)

        def work(progress: tasks.Progress) -> CounterSeries | None:
            return controller.read_session(row, progress).counters

        def answer(counters: CounterSeries | None) -> None:
            if counters is not None:
                view.set_real_counters(counters, f"“{row.title}”")

        self._latest.ask(work, answer, name="reading what the processor counted", on_error=_left_out)


def _left_out(_error: TailflameError) -> None:
    """What stands beside the simulation is no reason to speak of: opening that result tells what is wrong with it."""
