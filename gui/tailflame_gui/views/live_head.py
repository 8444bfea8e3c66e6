"""The head of the live screen: the figure that matters, what was lost, what looking costs, and the way out."""

from __future__ import annotations

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QLineEdit, QWidget

from tailflame.analyse.live_data import CHANGE_S, HEADLINE_S, Headline, LiveData
from tailflame.model.live import Cost
from tailflame.units import count, nanoseconds, percent, seconds
from tailflame_gui.live_rows import RunLine
from tailflame_gui.views.recording_view import Figure
from tailflame_gui.widgets.counter_strips import short
from tailflame_gui.widgets.latency_unit import LatencyUnit, with_unit
from tailflame_gui.widgets.parts import ElidedLabel, Icon, button, column, label, row, set_rank
from tailflame_gui.widgets.plot_choices import p_text


class LiveHead(QWidget):
    """mark_requested(text), detach_requested(), stop_requested()."""

    mark_requested = Signal(str)
    detach_requested = Signal()
    stop_requested = Signal()

    def __init__(self, *, live: bool) -> None:
        super().__init__()
        self._attached = True
        self._over = False
        self._mark = Icon("circle-dot", "accent")
        self._title = label("", "title")
        self._detail = ElidedLabel("", "second")
        self.note = QLineEdit()
        self.note.setPlaceholderText("Note at this moment")
        self.note.setAccessibleName("Note at this moment")
        self.note.setFixedWidth(168)
        self.note.setMaxLength(200)
        self.note.setToolTip("A word and Enter: a mark with it stands over all plots from now on.  M")
        self.note.returnPressed.connect(self._set_mark)
        self.detach = button("Detach", self.detach_requested.emit, tip="Leave the program as it was; it runs on.")
        self.stop = button("Stop", self.stop_requested.emit, rank="primary", icon="square")
        self.stop.setToolTip("End the program politely (SIGTERM) and keep what was seen.")
        self._line = QWidget()
        line = row(margins=(16, 8, 12, 0), spacing=8)
        line.addWidget(self._mark)
        line.addWidget(self._title)
        line.addWidget(self._detail, 1)
        for widget in (self.note, self.detach, self.stop):
            line.addWidget(widget)
        self._line.setLayout(line)
        self._line.setVisible(live)
        self.value = Figure("p99.9, last 10 s", wide=96, rank="figure")
        self.change = label("", "second")
        self.calls = Figure("calls", wide=88)
        self.lost = Figure("lost", wide=40)
        self.floor = Figure("probe floor", wide=64)
        self.cost = Figure("costs a call", wide=64)
        self.share = Figure("of its time", wide=56)
        figures = row(margins=(16, 4, 16, 4), spacing=16)
        first = row(spacing=8)
        first.addWidget(self.value)
        beside = column(spacing=0)
        beside.addStretch()
        beside.addWidget(self.change)
        beside.addSpacing(3)
        first.addLayout(beside)
        figures.addLayout(first)
        for figure in (self.calls, self.lost, self.floor, self.cost, self.share):
            figures.addWidget(figure)
        self._figures = QWidget()
        self._figures.setLayout(figures)
        self.corner = row(margins=(0, 0, 12, 4), spacing=8)
        """At the right of the figures."""
        under = row(spacing=0)
        under.addWidget(self._figures)
        under.addStretch()
        under.addLayout(self.corner)
        layout = column(spacing=0)
        layout.addWidget(self._line)
        layout.addLayout(under)
        self.setLayout(layout)
        self._live = live

    def set_run(self, run: RunLine) -> None:
        self._attached = run.attached
        self._title.setText(run.title)
        if not self._over:
            self._detail.set_text(run.detail)
            self.detach.setVisible(run.attached)
            self.stop.setVisible(not run.attached)

    def set_running(self) -> None:
        """A run begins: whatever the last one ended with is gone."""
        self._mark.set_icon("circle-dot", "accent")
        self._over = False
        self.note.show()
        self.detach.setVisible(self._attached)
        self.stop.setVisible(not self._attached)

    def set_finished(self, sentence: str) -> None:
        self._over = True
        self._mark.set_icon("circle-check", "second")
        self._detail.set_text(sentence)
        for widget in (self.note, self.detach, self.stop):
            widget.hide()

    def show_figures(self, data: LiveData, series: str, unit: LatencyUnit, percentile: float) -> None:
        """Of one series; without one the line is not there."""
        head = data.headline(series, percentile)
        self._figures.setVisible(head is not None)
        if head is None:
            return
        timeline = data.latency[series]
        if not self._live or self._over:
            self._show_whole(data, series, unit, percentile)
            return
        doubt = "" if head.reliable or head.value is None else ", too few calls"
        told = "—" if head.value is None else with_unit(head.value, unit, unit=timeline.unit)
        self.value.show_value(told, words=f"{p_text(percentile)}, last {HEADLINE_S:g} s{doubt}")
        self._show_change(head)
        self.calls.show_value(_rate(head.calls_per_s), words="calls")
        self._show_cost(data.costs.get(series))

    def _show_whole(self, data: LiveData, series: str, unit: LatencyUnit, percentile: float) -> None:
        timeline = data.latency[series]
        whole = timeline.whole
        told = "—" if not whole.total else with_unit(whole.percentiles((percentile,))[0], unit, unit=timeline.unit)
        self.value.show_value(told, words=f"{p_text(percentile)}, whole run")
        self.change.setText("")
        self.calls.show_value(count(whole.total), words="values")
        self._show_cost(data.costs.get(series))

    def _show_change(self, head: Headline) -> None:
        if head.change is None:
            self.change.setText("")
            return
        words = f"{percent(head.change, digits=0, signed=True)} over {seconds(CHANGE_S).removesuffix(' 00 s')}"
        self.change.setText(words)
        set_rank(self.change, "warn" if head.change > 0.1 else "second")

    def _show_cost(self, cost: Cost | None) -> None:
        for figure in (self.lost, self.floor, self.cost, self.share):
            figure.setVisible(cost is not None)
        if cost is None:
            return
        self.lost.show_value(count(cost.lost), warn=cost.lost > 0)
        self.floor.show_value(nanoseconds(cost.floor_ns))
        self.cost.show_value(nanoseconds(cost.per_call_ns))
        self.share.show_value(percent(cost.share), warn=cost.share > 0.1)

    def _set_mark(self) -> None:
        text = self.note.text().strip()
        if text:
            self.mark_requested.emit(text)
            self.note.clear()


def _rate(per_s: float | None) -> str:
    return "—" if per_s is None else f"{short(round(per_s)) if per_s >= 10_000_000 else count(round(per_s))}/s"
