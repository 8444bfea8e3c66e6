"""What stands under the plots over time: distributions, what made the tail, what changed since the baseline."""

from __future__ import annotations

import math
from dataclasses import dataclass

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QSplitter, QStackedWidget, QWidget

from tailflame.analyse.live_data import LiveData
from tailflame.model.histogram import Histogram
from tailflame.units import count
from tailflame_gui.record_model import Choice
from tailflame_gui.widgets.choice_bar import ChoiceBar
from tailflame_gui.widgets.histogram_plot import HistogramPlot
from tailflame_gui.widgets.latency_unit import with_unit
from tailflame_gui.widgets.nines_plot import NinesPlot
from tailflame_gui.widgets.parts import ElidedLabel, button, column, row
from tailflame_gui.widgets.plot_choices import Choices, p_text
from tailflame_gui.widgets.stage_plot import TailBars
from tailflame_gui.widgets.value_plot import Distribution

HISTOGRAM, TAIL, COMPARED = "histogram", "tail", "compared"
ROLLING = "last 10 s"


@dataclass(frozen=True, slots=True)
class Window:
    """The time that "this window" means. `whole`: there is no other than the whole run."""

    start_s: float
    end_s: float
    words: str
    whole: bool = False


class RangeLine(QWidget):
    """What is selected, in a line, and what can be done with it; without a selection how to make one.

    record_requested(), flame_requested(), compare_requested(), clear_requested().
    """

    record_requested = Signal()
    flame_requested = Signal()
    compare_requested = Signal()
    clear_requested = Signal()

    def __init__(self, *, live: bool) -> None:
        super().__init__()
        self._text = ElidedLabel("", "small")
        self.record = button("Record CPU for this moment", self.record_requested.emit, icon="cpu")
        self.flame = button("Show the flame graph of this range", self.flame_requested.emit, icon="flame")
        self.compare = button(
            "Compare both ranges",
            self.compare_requested.emit,
            icon="git-compare",
            tip="What changed from the range to compare with to the selected one.  C",
        )
        self.clear = button("Clear", self.clear_requested.emit, rank="quiet", tip="Select nothing  Esc")
        self._live = live
        self._two = False
        self.reasons = {"record": "", "flame": "There is no CPU recording of this time."}
        line = row(margins=(16, 2, 12, 2), spacing=8)
        line.addWidget(self._text, 1)
        for widget in (self.record, self.flame, self.compare, self.clear):
            line.addWidget(widget)
        self.setLayout(line)
        self.setFixedHeight(34)
        self.show_range(None, "")

    @property
    def text(self) -> str:
        return self._text.whole

    def set_offers(self, *, record: str, flame: str) -> None:
        """Why each cannot be done now; "" where it can."""
        self.reasons = {"record": record, "flame": flame}
        self.record.setEnabled(not record)
        self.record.setToolTip(record or "Attach perf to the program now, for as long as the range is.")
        self.flame.setEnabled(not flame)
        self.flame.setToolTip(flame or "What ran in exactly this time, from the CPU recording of it.")

    def offer_comparison(self, two: bool) -> None:
        """Whether there are two ranges to compare."""
        self._two = two
        chosen = not self.clear.isHidden()
        self.compare.setVisible(two and chosen)
        # There is no room for all: who compares does not record.
        self.record.setVisible(chosen and self._live and not two)

    def show_range(self, span: tuple[float, float] | None, words: str) -> None:
        chosen = span is not None
        self._text.set_text(
            words
            if chosen
            else "Drag over a plot to select a time in all of them. Ctrl+wheel zooms, right drag moves, Space pauses."
        )
        self.record.setVisible(chosen and self._live and not self._two)
        self.flame.setVisible(chosen)
        self.clear.setVisible(chosen)
        self.compare.setVisible(chosen and self._two)
        self.set_offers(**self.reasons)


class LowerPanel(QWidget):
    """The distributions of a series: this window, the whole run, the baseline; beside them what explains the tail.

    part_chosen(): the user looks at another part, which may have to be worked out.
    """

    part_chosen = Signal()

    def __init__(self, table: QWidget) -> None:
        super().__init__()
        self.nines, self.histogram, self.tail = NinesPlot(), HistogramPlot(), TailBars()
        self._choice = ChoiceBar("Beside the distribution")
        self._choice.chosen.connect(self._show_part)
        self._parts = QStackedWidget()
        self._at = {HISTOGRAM: 0, TAIL: 1, COMPARED: 2}
        for widget in (self.histogram, self.tail, table):
            self._parts.addWidget(widget)
        side = QWidget()
        bar = row(margins=(16, 4, 12, 0), spacing=8)
        bar.addWidget(self._choice)
        self._said = ElidedLabel("", "small")
        bar.addWidget(self._said, 1)
        right = column(spacing=4)
        right.addLayout(bar)
        right.addWidget(self._parts, 1)
        side.setLayout(right)
        self.split = QSplitter()
        self.split.setChildrenCollapsible(False)
        self.split.addWidget(self.nines)
        self.split.addWidget(side)
        self.split.setStretchFactor(0, 1)
        self.split.setStretchFactor(1, 1)
        self.split.setSizes([600, 600])
        layout = column(spacing=0)
        layout.addWidget(self.split)
        self.setLayout(layout)
        self.setMinimumHeight(152)
        self._chosen = False
        self.offer(stages=False, baseline=False)

    @property
    def part(self) -> str:
        return self._choice.value

    def offer(self, *, stages: bool, baseline: bool) -> None:
        """What there is; the first time that there are stages, or a baseline, it is shown."""
        no_stages = "no source tells several times of one event"
        choices = (
            Choice(HISTOGRAM, "Histogram", "How many calls took how long"),
            Choice(TAIL, "Tail", "Which stage made the slowest 1%", available=stages, reason=no_stages),
            Choice(COMPARED, "Compared", "Each percentile before and after", available=baseline, reason="no baseline"),
        )
        if choices != self._choice.choices or not self._choice.value:
            fresh = COMPARED if baseline else TAIL if stages else HISTOGRAM
            self._choice.offer(choices)
            if not self._chosen or (self._choice.value != HISTOGRAM and fresh != self._choice.value):
                self._choice.choose(fresh)
            self._parts.setCurrentIndex(self._at[self._choice.value])

    def show_data(
        self, data: LiveData, series: str, window: Window, choices: Choices, *, baseline: Histogram | None
    ) -> None:
        timeline = data.latency.get(series)
        lines: list[Distribution] = []
        if timeline is not None:
            if not window.whole:
                lines.append(Distribution("window", window.words, timeline.window(window.start_s, window.end_s)))
            lines.append(Distribution("window" if window.whole else "whole", "whole run", timeline.whole))
            if baseline is not None:
                lines.append(Distribution("baseline", "baseline", baseline))
        unit = timeline.unit if timeline else "ns"
        self.nines.show_lines(tuple(lines), choices, unit=unit)
        self.histogram.show_lines(tuple(lines), choices, unit=unit)
        stages = next((s for s in data.stages.values() if len(s)), None)
        self.offer(stages=stages is not None, baseline=baseline is not None)
        if stages is not None:
            span = (None, None) if window.whole else (window.start_s, window.end_s)
            self.tail.show_tail(stages.tail(*span), window.words)
        self._said.set_text({HISTOGRAM: "", TAIL: window.words}.get(self.part, ""))

    def _show_part(self, part: str) -> None:
        self._chosen = True
        self._parts.setCurrentIndex(self._at[part])
        self.part_chosen.emit()


def range_words(data: LiveData, series: str, span: tuple[float, float], choices: Choices) -> str:
    """What the selected time holds, in one line."""
    zero = data.zero_s()
    start, end = span[0] - zero, span[1] - zero
    lead = f"{_time(start)} to {_time(end)} ({_time(end - start)})"
    timeline = data.latency.get(series)
    if timeline is None:
        return lead
    histogram = timeline.window(*span)
    if not histogram.total:
        return f"{lead}: no call"
    p = choices.focus
    value = with_unit(histogram.percentiles((p,))[0], choices.unit, unit=timeline.unit)
    few = "" if histogram.total >= math.ceil(round(100 / (100 - p), 6)) else " (too few to rely on)"
    top = with_unit(histogram.maximum, choices.unit, unit=timeline.unit)
    return f"{lead}: {count(histogram.total)} calls, {p_text(p)} {value}{few}, max {top}"


def _time(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.2f} s" if seconds < 10 else f"{seconds:.1f} s"
    return f"{int(seconds) // 60}:{seconds % 60:04.1f}"
