"""The table of what changed in each percentile, worked out beside the window."""

from __future__ import annotations

import time

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QFrame

from tailflame.analyse.latency_diff import LatencyDiff, compare_latencies
from tailflame.analyse.timeline import LatencyTimeline
from tailflame.errors import TailflameError
from tailflame_gui import tasks
from tailflame_gui.models.percentile_table import PercentileTable, delta_rows
from tailflame_gui.widgets.latency_unit import LatencyUnit
from tailflame_gui.widgets.row_view import RowView

_EVERY_S = 5.0
"""While one side grows, it is compared again so often."""
_ROW = 20


class DeltaTable(RowView):
    """`compare` may be asked at the pace of the screen: it answers when it is looked at and something has changed.

    failed(TailflameError): it could not be worked out.
    """

    failed = Signal(object)

    def __init__(self) -> None:
        self.table = PercentileTable()
        super().__init__(self.table, several=False, sortable=False)
        self.table.setParent(self)
        self.verticalHeader().setMinimumSectionSize(_ROW)
        self.verticalHeader().setDefaultSectionSize(_ROW)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setAccessibleName("What changed since the baseline")
        self._latest = tasks.Latest(self)
        self._shown: tuple[int, int, int, int] | None = None
        self._asked_at = 0.0
        self._unit = LatencyUnit.AUTO

    @property
    def busy(self) -> bool:
        return self._latest.busy

    def set_unit(self, unit: LatencyUnit) -> None:
        if unit is not self._unit:
            self._unit = unit
            self.table.show_rows(self.table.rows, unit)

    def forget(self) -> None:
        """Another baseline, or none."""
        self._latest.drop()
        self._shown = None
        self.table.show_rows((), self._unit)

    def compare(self, before: LatencyTimeline, after: LatencyTimeline) -> None:
        key = (id(before), before.version, id(after), after.version)
        now = time.monotonic()
        same_pair = self._shown is not None and (self._shown[0], self._shown[2]) == (key[0], key[2])
        if key == self._shown or not self.isVisible() or (same_pair and now - self._asked_at < _EVERY_S):
            return
        self._shown, self._asked_at = key, now
        # Taken now: the timelines go on while the question is worked on.
        sides = ((before.whole, before.stretches()), (after.whole, after.stretches()))
        unit = after.unit

        def work(_progress: tasks.Progress) -> LatencyDiff:
            (one, one_parts), (two, two_parts) = sides
            return compare_latencies(one, two, before_parts=one_parts, after_parts=two_parts)

        def answer(diff: LatencyDiff) -> None:
            self.table.show_rows(delta_rows(diff, unit), self._unit)

        self._latest.ask(work, answer, name="compare latencies with the baseline", on_error=self._failed)

    def _failed(self, error: TailflameError) -> None:
        self._shown = None
        self.failed.emit(error)
