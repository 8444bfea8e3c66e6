"""Criterion's benchmarks: what each takes, how its samples are distributed, and what changed since another run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QComboBox, QFrame, QSplitter, QWidget

from tailflame.analyse.bench_history import BenchHistory
from tailflame.analyse.criterion_rule import judge
from tailflame.model import Recording
from tailflame.model.benchmarks import Benchmark, BenchmarkRun
from tailflame.units import count
from tailflame_gui import tasks
from tailflame_gui.models.benchmark_table import BenchmarkRow, fields
from tailflame_gui.models.session_table import RowTable
from tailflame_gui.widgets.bench_past import BenchPast
from tailflame_gui.widgets.busy_line import BusyLine
from tailflame_gui.widgets.filter_field import FilterField
from tailflame_gui.widgets.parts import ElidedLabel, column, hairline, label, row
from tailflame_gui.widgets.row_view import RowView
from tailflame_gui.widgets.sample_plot import SamplePlot, SampleSet, Shape
from tailflame_gui.widgets.segmented import Segmented

_OF_MEANS = "Each sample is a mean of many iterations: it says nothing of single slow calls."


class BenchmarksView(QWidget):
    """One recording's latest run, compared with `before` or with another run that the folder holds.

    failed(TailflameError); open_flame(path): the flame graph of a benchmark is to be opened, by Return as well.
    Verdicts take some tenths of a second each: they come from a thread. `set_past` adds what is known of earlier runs.
    """

    failed = Signal(object)
    open_flame = Signal(object)

    def __init__(
        self,
        recording: Recording,
        before: Recording | None = None,
        *,
        titles: tuple[str, str] = ("", ""),
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._latest = recording.benchmarks[0]
        self._others: dict[str, BenchmarkRun] = {run.name: run for run in recording.benchmarks[1:]}
        if before is not None:
            self._others = {titles[0] or "baseline": before.benchmarks[0]}
        self._judging = tasks.Latest(self)
        self.model = RowTable(fields(compared=bool(self._others)), self)
        self.table = RowView(self.model, several=False)
        self.table.setFrameShape(QFrame.Shape.NoFrame)
        self.table.setAccessibleName("Benchmarks")
        self.since = QComboBox()
        self.since.setAccessibleName("Compared with")
        self.since.setToolTip("The run that the latest one is compared with.")
        for name in self._others:
            self.since.addItem(name, name)
        self.shape: Segmented[Shape] = Segmented(
            [
                (Shape.DISTRIBUTION, "Distribution", "How the time of an iteration is distributed over the samples."),
                (Shape.REGRESSION, "Regression", "How the time of a sample grows with its iterations."),
            ]
        )
        self.plot = SamplePlot()
        self.past = BenchPast()
        self._histories: dict[str, BenchHistory] = {}
        self._flames: dict[str, Path] = {}
        self.filter = FilterField("Filter benchmarks")
        self._arrange()
        self.filter.query_changed.connect(self.table.set_words)
        self.table.selection_changed.connect(self._draw)
        self.table.activated_row.connect(self._open_flame)
        self.past.open_flame.connect(self.open_flame)
        self.shape.chosen.connect(self.plot.show_shape)
        self.since.currentIndexChanged.connect(lambda _at: self._judge())
        self.model.set_rows(tuple(BenchmarkRow(b) for b in self._latest.benchmarks))
        self.table.select_line(0)
        self._judge()

    @property
    def busy(self) -> bool:
        return self._judging.busy

    def set_past(self, histories: Sequence[BenchHistory], flames: Mapping[str, Path]) -> None:
        """histories: of the project's runs, by their names; flames: files of flame graphs by benchmark."""
        self._histories = {one.name: one for one in histories}
        self._flames = dict(flames)
        self.model.set_rows(tuple(replace(line, flame=line.after.name in self._flames) for line in self.model.rows))
        self._draw()

    def _open_flame(self, line: BenchmarkRow) -> None:
        flame = self._flames.get(line.after.name)
        if flame is not None:
            self.open_flame.emit(flame)

    def _arrange(self) -> None:
        compared = bool(self._others)
        head = row(margins=(16, 8, 16, 8), spacing=8)
        head.addWidget(ElidedLabel(f"{count(len(self._latest.benchmarks))} benchmarks. {_OF_MEANS}", "second"), 1)
        since = label("since", "second")
        for widget in (since, self.since):
            widget.setVisible(compared)
            head.addWidget(widget)
        head.addWidget(self.filter)
        busy = BusyLine()
        self._judging.busy_changed.connect(busy.set_busy)
        above, below = QWidget(), QWidget()
        lines = column(spacing=0)
        lines.addLayout(head)
        lines.addWidget(busy)
        lines.addWidget(hairline())
        lines.addWidget(self.table, 1)
        above.setLayout(lines)
        lines = column(spacing=0)
        lines.addWidget(self.past)
        bar = row(margins=(16, 8, 16, 4))
        bar.addWidget(self.shape)
        bar.addStretch()
        lines.addLayout(bar)
        lines.addWidget(self.plot, 1)
        below.setLayout(lines)
        splitter = QSplitter(Qt.Orientation.Vertical)
        splitter.addWidget(above)
        splitter.addWidget(below)
        splitter.setChildrenCollapsible(False)
        splitter.setSizes([300, 300])
        page = column(spacing=0)
        page.addWidget(splitter)
        self.setLayout(page)
        self.setFocusProxy(self.table)

    def _judge(self) -> None:
        other = self._others.get(str(self.since.currentData()))
        if other is None:
            return
        latest = self._latest

        def work(progress: tasks.Progress) -> tuple[BenchmarkRow, ...]:
            rows = []
            for at, benchmark in enumerate(latest.benchmarks):
                earlier = other.named(benchmark.name)
                judged = judge(earlier, benchmark) if earlier is not None else None
                rows.append(BenchmarkRow(benchmark, earlier, judged))
                progress((at + 1) / len(latest.benchmarks))
            return tuple(rows)

        self._judging.ask(work, self._judged, name="judging benchmarks", on_error=self.failed.emit)

    def _judged(self, rows: tuple[BenchmarkRow, ...]) -> None:
        self.model.set_rows(tuple(replace(line, flame=line.after.name in self._flames) for line in rows))
        self._draw()

    def _draw(self) -> None:
        chosen = self.table.selected()
        if not chosen:
            return
        line: BenchmarkRow = chosen[0]
        self.past.show_one(self._histories.get(line.after.name), self._flames.get(line.after.name))
        sets = [_samples(self._latest.name, "accent", line.after)]
        if line.before is not None:
            sets.append(_samples(str(self.since.currentData()), "faint", line.before))
        self.plot.show_sets(sets)


def _samples(name: str, color: str, benchmark: Benchmark) -> SampleSet:
    return SampleSet(name, color, benchmark.iterations, benchmark.times_ns, benchmark.typical.point)
