"""The table of what changed in each percentile."""

from __future__ import annotations

from PySide6.QtWidgets import QFrame

from tailflame_gui.models.percentile_table import DeltaRow, PercentileTable
from tailflame_gui.widgets.latency_unit import LatencyUnit
from tailflame_gui.widgets.row_view import RowView


class DeltaTable(RowView):
    def __init__(self) -> None:
        self.table = PercentileTable()
        super().__init__(self.table, several=False, sortable=False)
        self.table.setParent(self)
        self.verticalHeader().setMinimumSectionSize(20)
        self.verticalHeader().setDefaultSectionSize(20)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setAccessibleName("What changed since the baseline")

    def show_rows(self, rows: tuple[DeltaRow, ...], unit: LatencyUnit) -> None:
        self.table.show_rows(rows, unit)
