"""Counters of whole runs: what they come to, what they vary by, and their curves where there are intervals."""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QFrame, QSplitter, QWidget

from tailflame.analyse.counter_summary import compare_counters, summed_up, why_untested
from tailflame.model import Caution, CounterSeries, Recording
from tailflame.model.counters import Kept
from tailflame.units import count
from tailflame_gui.models.counter_figures import change_fields, figure_fields
from tailflame_gui.models.session_table import RowTable
from tailflame_gui.views.latency_view import LatencyResultView
from tailflame_gui.widgets.caution_lines import CautionLines
from tailflame_gui.widgets.compare_parts import SideCard
from tailflame_gui.widgets.empty_state import EmptyState
from tailflame_gui.widgets.filter_field import FilterField
from tailflame_gui.widgets.parts import ElidedLabel, column, hairline, label, row
from tailflame_gui.widgets.row_view import RowView


class CountersView(QWidget):
    """failed(TailflameError). `curves` is there where the counters were read more than once while it ran."""

    failed = Signal(object)

    def __init__(self, recording: Recording, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        series = recording.counters
        assert series is not None
        figures = summed_up(series)
        self.model = RowTable(figure_fields(figures, series), self)
        self.model.set_rows(tuple(sorted(figures, key=lambda figure: not figure.counted)))
        self.table = _table(self.model, "Counters")
        self.filter = FilterField("Filter counters")
        self.filter.query_changed.connect(self.table.set_words)
        self.said = ElidedLabel(_about(series), "second")
        head = row(margins=(16, 8, 16, 8), spacing=16)
        head.addWidget(self.said, 1)
        head.addWidget(self.filter)
        above = QWidget()
        lines = column(spacing=0)
        lines.addLayout(head)
        lines.addWidget(hairline())
        lines.addWidget(self.table, 1)
        above.setLayout(lines)
        layout = column(spacing=0)
        self.curves: LatencyResultView | None = None
        if _has_curves(series):
            self.curves = LatencyResultView(recording)
            self.curves.failed.connect(self.failed)
            splitter = QSplitter(Qt.Orientation.Vertical)
            splitter.addWidget(above)
            splitter.addWidget(self.curves)
            splitter.setChildrenCollapsible(False)
            splitter.setSizes([300, 400])
            layout.addWidget(splitter, 1)
        else:
            layout.addWidget(above, 1)
        self.setLayout(layout)
        self.setFocusProxy(self.table)

    @property
    def busy(self) -> bool:
        return self.curves is not None and self.curves.busy


class CountersComparison(QWidget):
    """The counters of two recordings side by side, and what a change is worth."""

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
        assert before.counters is not None and after.counters is not None
        changes = compare_counters(before.counters, after.counters)
        self.model = RowTable(change_fields(), self)
        self.model.set_rows(changes)
        self.table = _table(self.model, "Changes of counters")
        self.cautions = CautionLines()
        why, advice = why_untested(changes)
        if why:
            self.cautions.set_cautions((Caution(why, advice),))
        cards = row(spacing=12)
        for word, side, title, commit in zip(("Baseline", "Candidate"), (before, after), titles, commits, strict=True):
            card = SideCard(word)
            card.set_recording(side, title=title, commit=commit)
            cards.addWidget(card, 1)
        head = column(margins=(16, 8, 16, 8), spacing=4)
        head.addLayout(cards)
        worth = [change for change in changes if change.is_significant]
        words = ", ".join(f"{change.name} {change.mark.value}" for change in worth)
        self.verdict = label(words or "No counter changed beyond what runs differ by.", "heading", wrap=True)
        head.addWidget(self.verdict)
        head.addWidget(self.cautions)
        layout = column(spacing=0)
        layout.addLayout(head)
        layout.addWidget(hairline())
        if changes:
            layout.addWidget(self.table, 1)
        else:
            self.verdict.hide()
            layout.addWidget(
                EmptyState("gauge", "No counter in common", "Each of the two has counted other events."), 1
            )
        self.setLayout(layout)
        self.setFocusProxy(self.table)


def _table(model: RowTable[Any], name: str) -> RowView:
    table = RowView(model, several=False)
    table.setFrameShape(QFrame.Shape.NoFrame)
    table.setAccessibleName(name)
    return table


def _has_curves(series: CounterSeries) -> bool:
    return not series.repeated and len(set(series.start_s.tolist())) > 1


def _about(series: CounterSeries) -> str:
    if series.by_run:
        return f"{count(series.runs)} runs: the mean of each counter, its 95 % interval, and the runs' least and most."
    if series.repeated:
        times = f"{count(series.runs)} times" if series.runs else "several times"
        kept = {Kept.MEAN: "its averages", Kept.LAST: "the last run's counts"}.get(
            series.kept, "one count of each kind"
        )
        return f"perf ran it {times} and kept {kept} alone: no run can be told from another."
    if _has_curves(series):
        intervals = len(set(series.start_s.tolist()))
        return f"{count(intervals)} intervals: counts are their sums, ratios those of the sums."
    return "One run. How much runs differ is not known from it."
