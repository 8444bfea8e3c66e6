"""The live screen, and the same for what was kept or dropped: model objects in, signals out."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Qt, QTimer, Signal
from PySide6.QtGui import QHideEvent, QKeyEvent, QShowEvent
from PySide6.QtWidgets import QFrame, QSplitter, QStackedWidget, QWidget

from tailflame.analyse.live_data import LiveData
from tailflame.analyse.timeline import LatencyTimeline
from tailflame_gui.live_rows import RunLine, SourceRow
from tailflame_gui.models.counter_table import counter_fields, counter_rows
from tailflame_gui.models.session_table import RowTable
from tailflame_gui.views.live_bar import LiveBar
from tailflame_gui.views.live_head import LiveHead
from tailflame_gui.views.live_panels import ROLLING, LowerPanel, RangeLine, Window, range_words
from tailflame_gui.views.live_plots import PlotStack
from tailflame_gui.widgets.delta_table import DeltaTable
from tailflame_gui.widgets.empty_state import EmptyState
from tailflame_gui.widgets.parts import ElidedLabel, button, column, row
from tailflame_gui.widgets.plot_choices import Choices
from tailflame_gui.widgets.row_view import RowView
from tailflame_gui.widgets.source_list import SourceList
from tailflame_gui.widgets.time_axis import TimeAxis

_PANEL_EVERY_S = 0.5
_HEAD_EVERY_S = 0.25
_WINDOW_S = 10.0
_WHOLE = ("latency", "untagged")


class LiveView(QWidget):
    """`show_data` once, `refresh` whenever there may be more, at the display's pace at most.

    Of a live run: source_toggled(name, on), add_source_requested(), detach_requested(), stop_requested(),
    mark_requested(text), record_range_requested(start, end). Of both: flame_range_requested(start, end),
    range_selected(start, end), range_cleared(), choices_changed(Choices): what to remember; failed(TailflameError);
    capture_requested(name): the file that was kept at a moment.
    Times are the data's.
    """

    source_toggled = Signal(str, bool)
    add_source_requested = Signal()
    detach_requested = Signal()
    stop_requested = Signal()
    mark_requested = Signal(str)
    record_range_requested = Signal(float, float)
    flame_range_requested = Signal(float, float)
    compare_ranges_requested = Signal(object, object)
    range_selected = Signal(float, float)
    range_cleared = Signal()
    choices_changed = Signal(object)
    failed = Signal(object)
    capture_requested = Signal(str)

    def __init__(self, *, live: bool = True, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._live = live
        self._running = live
        self.data = LiveData()
        self._baseline: LiveData | None = None
        self._series: tuple[str, ...] = ()
        self._wanted: tuple[str, ...] = ()
        self._seen: tuple[int, int] = (-1, 0)
        self._panel_at = self._head_at = 0.0
        self._stale = False
        self.axis = TimeAxis(self, span_s=60.0) if live else TimeAxis(self, span_s=None, least_span_s=0.1)
        self.head, self.bar = LiveHead(live=live), LiveBar(live=live)
        self.head.corner.addWidget(self.bar.time_tools)
        self.plots = PlotStack(self.axis, live=live)
        self.range_line = RangeLine(live=live)
        self.delta = DeltaTable()
        self.panel = LowerPanel(self.delta)
        self.sources = SourceList()
        self._once_rows = RowTable(counter_fields(), self)
        self.once = RowView(self._once_rows, several=False)
        """Counters that were read once, in place of plots over time."""
        self.once.setFrameShape(QFrame.Shape.NoFrame)
        self.once.setAccessibleName("Counters")
        self.once.hide()
        self.cost = ElidedLabel("", "small")
        # Works off what a frame has no time for; only while there is something.
        self._later = QTimer(self)
        self._later.setInterval(0)
        self._later.setSingleShot(True)
        self._later.timeout.connect(self._catch_up)
        self._arrange()
        self._connect()
        self._show_choice(force=True)

    # What others ask

    def show_data(self, data: LiveData) -> None:
        """From now on this is shown, of a live run as one that runs. What is selected and pointed at is forgotten."""
        self.data = data
        self._running = self._live
        if self._live:
            self.head.set_running()
            self.sources.freeze(False)
            self.axis.follow(True)
        self.axis.point_at(None)
        self.axis.clear()
        self._series = ()
        self._show_choice(force=True)

    def refresh(self, *, force: bool = False) -> None:
        """Draws what is new, when it is looked at. Cheap where nothing is."""
        if not self.isVisible() and not force:
            self._stale = True
            return
        seen = (id(self.data), self.data.version)
        if seen == self._seen and not force:
            return
        self._seen = seen
        if self._known_series() != self._series:
            self._show_choice()
        drawn_to = self.axis.high_s
        self.plots.refresh()
        # One frame draws the plots that move, the next one what stands below them.
        busy = self.axis.high_s != drawn_to
        self._update_page()
        # By the data's own time: what is still stays still.
        now = self.axis.last_s
        if force or abs(now - self._head_at) >= _HEAD_EVERY_S:
            self._head_at = now
            self._show_head()
        waited = abs(now - self._panel_at)
        if force or (waited >= _PANEL_EVERY_S and (not busy or waited >= 2 * _PANEL_EVERY_S)):
            self._panel_at = now
            self._show_lower()

    def set_sources(self, sources: tuple[SourceRow, ...]) -> None:
        self.sources.set_sources(sources)

    def set_head(self, run: RunLine) -> None:
        self.head.set_run(run)
        self.cost.set_text(run.cost and f"Our own cost: {run.cost}")

    def set_finished(self, sentence: str) -> None:
        """The run is over: how it ended. What was seen stays, nothing can be switched any more."""
        self.head.set_finished(sentence)
        self.sources.freeze()
        self.set_range_offers(record="The run is over.", flame=self.range_line.reasons["flame"])
        self._running = False
        self.refresh(force=True)

    @property
    def busy(self) -> bool:
        """Whether a comparison is being worked out."""
        return self.delta.busy

    def set_baseline(self, data: LiveData | None) -> None:
        """Draws it with the distributions, and tells percentile by percentile what changed since."""
        self._baseline = data
        self.delta.forget()
        self._show_choice()

    def set_range_offers(self, *, record: str = "", flame: str = "") -> None:
        """Why the selected time cannot be recorded, or has no flame graph; "" where it can, and has."""
        self.range_line.set_offers(record=record, flame=flame)

    @property
    def choices(self) -> Choices:
        return self.bar.choices

    def set_choices(self, choices: Choices) -> None:
        """As they were kept; silently."""
        self.bar.choose(choices)
        self._show_choice()

    @property
    def series(self) -> tuple[str, ...]:
        """The latencies that are shown, the first is the one that figures are of."""
        return self._chosen()

    def choose_series(self, names: Sequence[str]) -> None:
        self._wanted = tuple(names)
        self._show_choice()

    # How it is made

    def _arrange(self) -> None:
        upper = self._upper = QWidget()
        inside = column(spacing=0)
        inside.addWidget(self.plots, 1)
        inside.addWidget(self.range_line)
        upper.setLayout(inside)
        self.split = QSplitter(Qt.Orientation.Vertical)
        self.split.setChildrenCollapsible(False)
        self.split.addWidget(upper)
        self.split.addWidget(self.once)
        self.split.addWidget(self.panel)
        self.split.setStretchFactor(0, 3)
        self.split.setStretchFactor(1, 3)
        self.split.setStretchFactor(2, 1)
        self.split.setSizes([480, 480, 184])
        add = button("Add a source…", self.add_source_requested.emit, rank="primary", icon="plus")
        self._empty = (
            EmptyState(
                "activity", "Nothing is measured yet",
                "A source times functions, reads the program's own lines, or counts what the processor does.", (add,),
            )
            if self._live
            else EmptyState("activity", "No latencies and no counters", "This result holds neither.")
        )  # fmt: skip
        self._pages = QStackedWidget()
        self._pages.addWidget(self.split)
        self._pages.addWidget(self._empty)
        left = column(spacing=0)
        left.addWidget(self.head)
        left.addWidget(self.bar)
        left.addWidget(self._pages, 1)
        across = row(spacing=0)
        across.addLayout(left, 1)
        if self._live:
            side = column(spacing=0)
            side.addWidget(self.sources, 1)
            foot = row(margins=(12, 4, 12, 8))
            foot.addWidget(self.cost)
            side.addLayout(foot)
            across.addLayout(side)
        else:
            for widget in (self.sources, self.cost):
                widget.setParent(self)
                widget.hide()
        self.setLayout(across)
        self.setProperty("surface", "surface")
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self.setFocusProxy(self.plots.percentiles)

    def _connect(self) -> None:
        self.sources.source_toggled.connect(self.source_toggled)
        self.sources.add_requested.connect(self.add_source_requested)
        self.head.mark_requested.connect(self.mark_requested)
        self.head.detach_requested.connect(self.detach_requested)
        self.head.stop_requested.connect(self.stop_requested)
        self.bar.choices_changed.connect(self._choices_changed)
        self.bar.series_changed.connect(self.choose_series)
        self.bar.span_changed.connect(self.axis.set_span)
        self.bar.follow_requested.connect(self.axis.follow)
        self.bar.plot_toggled.connect(self.plots.choose)
        self.plots.plots_changed.connect(lambda: self.bar.offer_plots(tuple(self.plots.plots), self.plots.shown))
        self.plots.moment_clicked.connect(lambda moment: self.capture_requested.emit(moment.opens))
        self.panel.part_chosen.connect(self._show_lower)
        self.delta.failed.connect(self.failed)
        self.axis.follow_changed.connect(self.bar.show_follow)
        self.axis.range_changed.connect(self._range_changed)
        self.axis.range_selected.connect(self._selected)
        self.axis.range_cleared.connect(self._cleared)
        self.range_line.clear_requested.connect(self.axis.clear)
        self.range_line.record_requested.connect(self._record)
        self.range_line.flame_requested.connect(self._flame)
        self.range_line.compare_requested.connect(self._compare)
        self.plots.slices.opened.connect(self._flame)
        self.plots.slices.compared.connect(self._compare)
        self.plots.slices.ranges_changed.connect(self._slices_chosen)

    # What is shown

    def _known_series(self) -> tuple[str, ...]:
        return tuple(self.data.latency)

    def _chosen(self) -> tuple[str, ...]:
        wanted = tuple(name for name in self._wanted if name in self.data.latency)
        if wanted:
            return wanted
        # What is probed was asked for by name: it goes before fields and tags that came by themselves. The intervals
        # of a log without a tag are mostly the whole of those with one.
        likely = sorted(self._known_series(), key=lambda name: (name not in self.data.costs, name not in _WHOLE))
        both = [name for name in likely if self._baseline is not None and name in self._baseline.latency]
        return tuple(both[:1] or likely[:1])

    def _timelines(self) -> list[LatencyTimeline]:
        return [self.data.latency[name] for name in self._chosen()]

    def _show_choice(self, *, force: bool = False) -> None:
        """Series or choices are others."""
        self._series = self._known_series()
        self.bar.offer_series(self._series, self._chosen())
        self.plots.show_data(self.data, self._timelines(), self.choices)
        if not self._live and not self.data.timed:
            self._once_rows.set_rows(counter_rows(self.data.counters))
        self._update_page()
        self._show_head()
        self._show_lower()
        if self.isVisible():
            self._later.start()

    def _update_page(self) -> None:
        self._pages.setCurrentIndex(1 if self.data.empty else 0)
        self.bar.setVisible(not self.data.empty)
        over_time = self._live or self.data.timed
        self.bar.time_tools.setVisible(not self.data.empty and over_time)
        self._upper.setVisible(over_time)
        self.once.setVisible(bool(self.data.counters) and not over_time)
        self.panel.setVisible(bool(self.data.latency or self.data.stages))

    def _show_head(self) -> None:
        chosen = self._chosen()
        self.head.show_figures(self.data, chosen[0] if chosen else "", self.choices.unit, self.choices.focus)

    def _window(self) -> Window:
        """What "this window" is: what is selected, else the newest, else what is in sight."""
        axis = self.axis
        if axis.selection is not None:
            start, end = axis.selection
            return Window(start, end, f"selected {end - start:.3g} s")
        if axis.follows and self._running:
            return Window(axis.last_s - _WINDOW_S, axis.last_s + 1.0, ROLLING)
        if axis.low_s <= axis.first_s and axis.high_s >= axis.last_s:
            return Window(axis.first_s, axis.last_s + 1.0, "whole run", whole=True)
        return Window(axis.low_s, axis.high_s, "in sight")

    def _show_lower(self) -> None:
        chosen = self._chosen()
        name = chosen[0] if chosen else ""
        before = self._baseline_of(name)
        whole = None if before is None else before.whole
        self.panel.show_data(self.data, name, self._window(), self.choices, baseline=whole)
        self.delta.set_unit(self.choices.unit)
        if before is not None and name:
            self.delta.compare(before, self.data.latency[name])

    def _baseline_of(self, name: str) -> LatencyTimeline | None:
        """The series of the baseline that goes with one of ours: of the same name, or the only one."""
        if self._baseline is None or not self._baseline.latency:
            return None
        latency = self._baseline.latency
        return latency.get(name) or (next(iter(latency.values())) if len(latency) == 1 else None)

    # What the user does

    def _choices_changed(self, choices: Choices) -> None:
        self._show_choice()
        self.choices_changed.emit(choices)

    def _range_changed(self) -> None:
        if not self.axis.follows and not self._later.isActive():
            self._later.start()

    def _selected(self, start: float, end: float) -> None:
        self._tell_range()
        if not self._later.isActive():
            self._later.start()
        self.range_selected.emit(start, end)

    def _cleared(self) -> None:
        self.range_line.show_range(None, "")
        self._show_lower()
        self.range_cleared.emit()

    def _tell_range(self) -> None:
        chosen, selection = self._chosen(), self.axis.selection
        if selection is not None:
            words = range_words(self.data, chosen[0] if chosen else "", selection, self.choices)
            self.range_line.show_range(selection, "; ".join(filter(None, (words, self.plots.slices.words))))

    def _record(self) -> None:
        if self.axis.selection is not None:
            self.record_range_requested.emit(*self.axis.selection)

    def _flame(self) -> None:
        if self.axis.selection is not None:
            self.flame_range_requested.emit(*self.axis.selection)

    def _compare(self) -> None:
        first, second = self.plots.slices.first, self.plots.slices.second
        if first is not None and second is not None:
            self.compare_ranges_requested.emit(second, first)

    def _slices_chosen(self) -> None:
        slices = self.plots.slices
        self.range_line.offer_comparison(slices.first is not None and slices.second is not None)
        self._tell_range()

    def _catch_up(self) -> None:
        self._show_lower()
        self._tell_range()
        if self.plots.percentiles.behind:
            self.plots.percentiles.draw_anew()
            self._later.start()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        match event.key():
            case Qt.Key.Key_Space:
                self.axis.follow(not self.axis.follows)
            case Qt.Key.Key_Escape if self.axis.selection is not None:
                self.axis.clear()
            case Qt.Key.Key_M if self._running and not event.modifiers():
                self.head.note.setFocus(Qt.FocusReason.ShortcutFocusReason)
            case _:
                super().keyPressEvent(event)

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        if self._stale:
            self._stale = False
            self.refresh(force=True)

    def hideEvent(self, event: QHideEvent) -> None:
        super().hideEvent(event)
        self._later.stop()
