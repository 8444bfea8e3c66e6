"""All plots over time of one run, one above the other, over one axis."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QFrame, QScrollArea, QVBoxLayout, QWidget

from tailflame.analyse.live_data import LiveData
from tailflame.analyse.timeline import LatencyTimeline
from tailflame.model.counter_ratios import COUNTS, PART
from tailflame.model.live import Status
from tailflame_gui.widgets.counter_strips import HEIGHT, CounterStrip
from tailflame_gui.widgets.heat_map import HeatMap
from tailflame_gui.widgets.parts import column
from tailflame_gui.widgets.percentile_plot import PercentilePlot
from tailflame_gui.widgets.plot_choices import Choices
from tailflame_gui.widgets.slice_strip import SliceStrip
from tailflame_gui.widgets.stage_plot import StagePlot
from tailflame_gui.widgets.time_axis import TimeAxis
from tailflame_gui.widgets.time_plot import TimePlot
from tailflame_gui.widgets.time_ruler import TimeRuler

PERCENTILES, SLICES, HEAT, STAGES = "Percentiles", "Slices", "Heat map", "Stages"
_MOST_AT_FIRST = 12
"""Strips that are shown without being asked for."""
_FIRST = (
    *("IPC", "cache miss rate", "branch miss rate", "L1d load miss rate", "LLC load miss rate"),
    *("CPU", "run-queue wait", "involuntary switches", "context switches", "page faults", "memory"),
)


class PlotStack(QWidget):
    """plots_changed(): there are others to choose from, or others are shown. moment_clicked(Moment): see TimePlot."""

    plots_changed = Signal()
    moment_clicked = Signal(object)

    def __init__(self, axis: TimeAxis, *, live: bool) -> None:
        super().__init__()
        self.axis, self._live = axis, live
        self._data = LiveData()
        self.percentiles, self.heat, self.stages = PercentilePlot(axis), HeatMap(axis), StagePlot(axis)
        self.slices = SliceStrip(axis)
        self.strips: dict[str, CounterStrip] = {}
        for plot in (self.percentiles, self.slices, self.heat, self.stages):
            plot.moment_clicked.connect(self.moment_clicked)
        self._off: set[str] = set()
        """Plots that the user has put away."""
        self._on: set[str] = set()
        """Plots that he has asked for."""
        self._moments = 0
        self.ruler = TimeRuler(axis)
        self._column = QVBoxLayout()
        self._column.setContentsMargins(0, 0, 0, 0)
        self._column.setSpacing(0)
        self._column.addWidget(self.percentiles, 40)
        self._column.addWidget(self.slices, 16)
        self._column.addWidget(self.heat, 26)
        self._strips = QVBoxLayout()
        self._strips.setSpacing(0)
        self._column.addLayout(self._strips, 12)
        self._column.addWidget(self.stages, 20)
        body = QWidget()
        body.setLayout(self._column)
        body.setProperty("surface", "surface")
        self.area = QScrollArea()
        self.area.setWidgetResizable(True)
        self.area.setFrameShape(QFrame.Shape.NoFrame)
        self.area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.area.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.area.setWidget(body)
        layout = column(spacing=0)
        layout.addWidget(self.area, 1)
        layout.addWidget(self.ruler)
        self.setLayout(layout)

    @property
    def plots(self) -> dict[str, TimePlot]:
        """Every plot that there is, by its name, in order."""
        return {PERCENTILES: self.percentiles, SLICES: self.slices, HEAT: self.heat, **self.strips, STAGES: self.stages}

    @property
    def shown(self) -> tuple[str, ...]:
        return tuple(name for name, plot in self.plots.items() if not plot.isHidden())

    def choose(self, name: str, shown: bool) -> None:
        """The user wants to see a plot, or not."""
        (self._on if shown else self._off).add(name)
        (self._off if shown else self._on).discard(name)
        self._arrange()

    def show_data(self, data: LiveData, series: Sequence[LatencyTimeline], choices: Choices) -> None:
        """Other data, or another choice of it."""
        if data is not self._data:
            for strip in self.strips.values():
                self._strips.removeWidget(strip)
                strip.hide()
                strip.deleteLater()
            self.strips = {}
            self._data = data
        self._moments = -1
        self.percentiles.show_series(series, choices)
        self.heat.show_series(series[0] if series else None, choices)
        self.refresh(anew=True)

    def refresh(self, *, anew: bool = False) -> None:
        """Draws what is new; `anew`: everything."""
        data = self._data
        stages = next((timeline for timeline in data.stages.values() if len(timeline)), None)
        changed = anew or (stages is not self.stages.timeline)
        if stages is not self.stages.timeline or anew:
            self.stages.show_series(stages)
        changed |= self._add_strips() | (bool(data.slices) != bool(self.slices.rows))
        self.slices.show_rows(data.slices)
        if changed:
            self._arrange()
        extent = data.extent
        if extent is not None:
            self.axis.set_extent(*extent, zero_s=data.zero_s())
        if len(data.moments) != self._moments:
            self._moments = len(data.moments)
            for plot in self.plots.values():
                plot.moments = data.moments
                plot.draw_anew()
        for plot in self.plots.values():
            if anew:
                plot.draw_anew()
            else:
                plot.follow_data()
        if self.percentiles.behind:
            self.percentiles.draw_anew()

    def _add_strips(self) -> bool:
        new = [name for name in self._data.counters if name not in self.strips]
        for name in new:
            strip = CounterStrip(self.axis, self._data.counters[name])
            strip.moments = self._data.moments
            strip.moment_clicked.connect(self.moment_clicked)
            self.strips[name] = strip
        if new:
            order = sorted(self.strips, key=self._place)
            self.strips = {name: self.strips[name] for name in order}
            for at, name in enumerate(order):
                self._strips.insertWidget(at, self.strips[name], 1)
        return bool(new)

    def _place(self, name: str) -> tuple[bool, int]:
        """What this machine cannot count stands last: it says so, and takes no room from what can be read."""
        latest = self._data.counters[name].latest
        missing = latest is not None and latest.status is Status.NOT_SUPPORTED
        return missing, _FIRST.index(name) if name in _FIRST else len(_FIRST)

    def _arrange(self) -> None:
        """Shows what has something to show, as far as the user has not said otherwise."""
        data = self._data
        # A histogram without times (.hgrm, bpftrace) is no point on an axis of time.
        timed = any(len(timeline) > 1 for timeline in data.latency.values()) or (self._live and bool(data.latency))
        wanted = {PERCENTILES: timed or data.empty, HEAT: timed}
        wanted[STAGES] = self.stages.timeline is not None
        wanted[SLICES] = bool(data.slices)
        computed = {name for name in self.strips if not _is_input(name)}
        few = list(computed or self.strips)
        few.sort(key=list(self.strips).index)
        wanted |= {name: name in few[:_MOST_AT_FIRST] for name in self.strips}
        for name, plot in self.plots.items():
            plot.setVisible((wanted[name] or name in self._on) and name not in self._off)
        strips = sum(not strip.isHidden() for strip in self.strips.values())
        self._column.setStretch(3, 0 if not strips else 12 * strips)
        self.setMinimumHeight(160 + HEIGHT)
        self.plots_changed.emit()


def _is_input(name: str) -> bool:
    """A plain counter, of which something is computed that says more."""
    event = name.removeprefix("simulated ").partition(PART)[0]
    return event in COUNTS or name.partition(PART)[0] in COUNTS
