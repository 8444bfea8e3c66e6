"""One result: its title, what spoils it, and the views of it, which share one selection and one scope.

To make all views at once would hold the window: each is made when its tab is first shown, between other events.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TypeVar
from weakref import WeakMethod

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QKeySequence, QShortcut
from PySide6.QtWidgets import QSplitter, QWidget

from tailflame.analyse.reading import cautions
from tailflame.analyse.time_range import has_times
from tailflame.model import Recording
from tailflame.units import count
from tailflame_gui.models.head import head_of
from tailflame_gui.models.scope import ResultScope, Scope, first_event, weights_of
from tailflame_gui.models.trees import ProfileTrees
from tailflame_gui.selection import Selection
from tailflame_gui.views.flame_view import FlameView
from tailflame_gui.views.hotspots_view import HotspotsView
from tailflame_gui.views.inspector import WIDTH as INSPECTOR_WIDTH
from tailflame_gui.views.inspector import Inspector
from tailflame_gui.views.latency_view import LatencyResultView
from tailflame_gui.views.result_parts import KindOfResult, kind_of, parts_of, words_of
from tailflame_gui.views.result_parts import Part as Part
from tailflame_gui.views.sandwich_view import SandwichView
from tailflame_gui.views.source_view import SourceView
from tailflame_gui.views.strip_below import StripBelow
from tailflame_gui.views.summary_view import SummaryView
from tailflame_gui.views.timeline_view import TimelineView
from tailflame_gui.views.tree_view import CallTreeView
from tailflame_gui.widgets.caution_lines import CautionLines
from tailflame_gui.widgets.fitting_tabs import FittingTabs
from tailflame_gui.widgets.late_place import LatePlace
from tailflame_gui.widgets.parts import ElidedLabel, Icon, button, column, icon_button, label, row
from tailflame_gui.widgets.scope_bar import ScopeBar

ViewT = TypeVar("ViewT", bound=QWidget)


_LONGEST_TITLE = 480
_CORNER = 48
"""Pixels of the inspector's button and of the margins beside the scope."""


class ResultView(QWidget):
    """A result tab.

    open_source(file, line: -1 unknown); pin_baseline_requested(); compare_requested(): with the baseline;
    compare_columns_requested(): the two sides that one file holds; export_requested(kind); record_requested();
    open_requested(); failed(TailflameError). flame_range_requested(start, end): the flame graph of that time, in
    seconds of the recording's clock; compare_ranges_requested(before, after): two ranges of slices.
    slow_requested(): slow calls against fast ones; capture_requested(name): a file that was kept beside the run's.
    source_view_made(SourceView): it is going to ask for files and machine code. kind_made(view): of a kind of result.
    """

    open_source = Signal(str, int)
    pin_baseline_requested = Signal()
    compare_requested = Signal()
    compare_columns_requested = Signal()
    export_requested = Signal(str)
    record_requested = Signal()
    open_requested = Signal()
    flame_range_requested = Signal(float, float)
    compare_ranges_requested = Signal(object, object)
    slow_requested = Signal()
    capture_requested = Signal(str)
    failed = Signal(object)
    source_view_made = Signal(object)
    kind_made = Signal(object)

    def __init__(
        self,
        recording: Recording,
        *,
        selection: Selection | None = None,
        title: str = "",
        commit: str = "",
        parent: QWidget | None = None,
    ) -> None:
        """`title` and `commit` are what is known of the recording besides itself."""
        super().__init__(parent)
        self.recording = recording
        self.selection = selection or Selection(self)
        self.scope = ResultScope(self)
        self._title, self._commit = title, commit
        self._trees = ProfileTrees(recording.profile) if recording.profile is not None else None
        self._order = parts_of(recording)
        self._places = {part: LatePlace(part, turns=2, parent=self) for part in self._order}
        self._made: dict[Part, QWidget] = {}
        self._filled: set[Part] = set()
        self._owed = False
        """The flame graph has not been given the scope that holds now."""
        self._make_head(recording)
        self.inspector = Inspector(selection=self.selection, scope=self.scope)
        self.scope_bar = ScopeBar(self.scope)
        self.timeline = TimelineView(scope=self.scope, busy=WeakMethod(self._views_busy))
        self._arrange()
        # Not before: what has no parent yet would be shown as a window of its own.
        self.columns.setVisible(recording.baseline is not None)
        self.slow.setVisible(recording.profile is not None and recording.live is not None and bool(recording.live.slow))
        self.cautions.set_cautions(cautions(recording))
        self.set_baseline(False, has_baseline=False)
        self._connect()
        self._begin()

    # what others ask

    @property
    def part(self) -> Part:
        """The view that is shown."""
        return self._order[self.tabs.currentIndex()]

    @property
    def busy(self) -> bool:
        """True while a view in sight computes: what is shown is about to change."""
        return self._views_busy() or self.timeline.busy

    def _views_busy(self) -> bool:
        coming = any(place.coming for place in self._places.values())
        return coming or self.inspector.busy or any(_is_busy(view) for view in self._made.values())

    def show_part(self, part: Part) -> None:
        if part in self._order:
            self.tabs.setCurrentIndex(self._order.index(part))
            self._places[part].setFocus(Qt.FocusReason.OtherFocusReason)

    def follow(self, first: ResultView) -> None:
        """Stands where `first`, the same recording less refined, was left."""
        if len(first.recording.results) == len(self.recording.results):
            self.scope.set(first.scope.scope)
        self.show_part(first.part)
        self.show_inspector(first.inspect.isChecked())

    def show_function(self, function: str, part: Part) -> None:
        """Selects a function and shows it in `part`."""
        self.selection.select(function)
        self.show_part(part)
        if part is Part.FLAME:
            graph = self.flame.graph
            graph.bring_into_view(graph.selected_box)
        elif part is Part.HOTSPOTS:
            self.hotspots.show_function(function)

    def set_baseline(self, is_baseline: bool, *, has_baseline: bool = True) -> None:
        """Whether this result is the baseline of its binary; `has_baseline`: there is another one to compare with."""
        self.baseline_mark.setVisible(is_baseline)
        self.pin.setVisible(not is_baseline)
        self.compare.setEnabled(has_baseline and not is_baseline)
        if is_baseline:
            tip = "This is the baseline itself."
        elif has_baseline:
            tip = "Compare the baseline of this binary with this result (Ctrl+D)"
        else:
            tip = "There is no baseline of this binary yet: pin a result first."
        self.compare.setToolTip(tip)

    def show_inspector(self, shown: bool) -> None:
        self.inspector.setVisible(shown)
        self.inspect.setChecked(shown)
        self._place_reading()

    # how it is made

    def _make_head(self, recording: Recording) -> None:
        name, facts = head_of(recording, title=self._title, commit=self._commit)
        self.title = ElidedLabel(name, "title", grows=False)
        self.title.setMaximumWidth(_LONGEST_TITLE)
        self._facts = facts
        self.facts = ElidedLabel(facts, "second")
        self.baseline_mark = QWidget()
        mark = row(spacing=4)
        mark.addWidget(Icon("pin", "accent"))
        mark.addWidget(label("baseline", "second"))
        self.baseline_mark.setLayout(mark)
        self.baseline_mark.setToolTip("Other results of this binary are compared with this one.")
        self.pin = button(
            "Pin as baseline",
            self.pin_baseline_requested.emit,
            rank="quiet",
            icon="pin",
            tip="Make this result the baseline of its binary (Ctrl+B)",
        )
        self.compare = button("Compare with baseline", self.compare_requested.emit, rank="quiet", icon="git-compare")
        self.columns = button(
            "Compare its two columns",
            self.compare_columns_requested.emit,
            rank="quiet",
            icon="columns-2",
            tip="This file holds two recordings side by side: see what changed between them.",
        )
        self.slow = button(
            "Slow against fast calls",
            self.slow_requested.emit,
            rank="quiet",
            icon="git-compare",
            tip="The samples in slow calls against those in fast ones: what the tail does and the rest does not.",
        )
        self.cautions = CautionLines()

    # the views, each made when it is first asked for

    @property
    def flame(self) -> FlameView:
        view = self._view(Part.FLAME, FlameView)
        self._pay_flame()
        return view

    @property
    def summary(self) -> SummaryView:
        return self._view(Part.SUMMARY, SummaryView)

    @property
    def hotspots(self) -> HotspotsView:
        return self._view(Part.HOTSPOTS, HotspotsView)

    @property
    def top_down(self) -> CallTreeView:
        return self._view(Part.TOP_DOWN, CallTreeView)

    @property
    def bottom_up(self) -> CallTreeView:
        return self._view(Part.BOTTOM_UP, CallTreeView)

    @property
    def callers(self) -> SandwichView:
        return self._view(Part.CALLERS, SandwichView)

    @property
    def source(self) -> SourceView:
        return self._view(Part.SOURCE, SourceView)

    def _view(self, part: Part, kind: type[ViewT]) -> ViewT:
        """The view of `part`, with its data."""
        view = self._make(part)
        self._fill(part)
        assert isinstance(view, kind)
        return view

    def _bring(self, part: Part, turn: int) -> None:
        if turn == 0:
            self._make(part)
        else:
            self._fill(part)

    def _make(self, part: Part) -> QWidget:
        """The view of `part`, connected, still empty when it is new."""
        if part in self._made:
            return self._made[part]
        view = self._made[part] = self._new(part)
        place = self._places.get(part)
        if place is not None:
            place.hold(view)
        else:
            view.setParent(self)
            view.hide()
        return view

    def _new(self, part: Part) -> QWidget:
        kind = kind_of(part)
        if kind is not None:
            return self._new_kind(kind)
        match part:
            case Part.FLAME:
                return self._new_flame()
            case Part.SUMMARY:
                summary = SummaryView(selection=self.selection, scope=self.scope)
                summary.show_flame.connect(partial(self._go, Part.FLAME))
                return summary
            case Part.CALLERS:
                callers = SandwichView(selection=self.selection, scope=self.scope)
                callers.show_flame.connect(partial(self._go, Part.FLAME))
                callers.open_source.connect(self.open_source)
                return callers
            case Part.SOURCE:
                source = SourceView(selection=self.selection, scope=self.scope)
                source.show_flame.connect(partial(self._go, Part.FLAME))
                source.show_callers.connect(partial(self._go, Part.CALLERS))
                source.open_source.connect(self.open_source)
                self.source_view_made.emit(source)
                return source
            case Part.LATENCY:
                latency = LatencyResultView(self.recording)
                latency.failed.connect(self.failed)
                latency.view.flame_range_requested.connect(self.flame_range_requested)
                latency.view.compare_ranges_requested.connect(self.compare_ranges_requested)
                latency.view.capture_requested.connect(self.capture_requested)
                latency.view.set_range_offers(flame=_why_no_flame(self.recording))
                return latency
            case _:
                listed: HotspotsView | CallTreeView
                if part is Part.HOTSPOTS:
                    listed = HotspotsView(selection=self.selection, scope=self.scope)
                else:
                    inverted = part is Part.BOTTOM_UP
                    listed = CallTreeView(selection=self.selection, scope=self.scope, inverted=inverted)
                listed.show_flame.connect(partial(self._go, Part.FLAME))
                listed.show_callers.connect(partial(self._go, Part.CALLERS))
                listed.show_source.connect(partial(self._go, Part.SOURCE))
                listed.open_source.connect(self.open_source)
                return listed

    def _new_kind(self, kind: KindOfResult) -> QWidget:
        view = kind.make(self.recording, self.selection, self.scope)
        answers: dict[str, Callable[..., None]] = {
            "show_flame": partial(self._go, Part.FLAME),
            "show_callers": partial(self._go, Part.CALLERS),
            "show_source": partial(self._go, Part.SOURCE),
            "show_hotspots": partial(self._go, Part.HOTSPOTS),
            "event_wanted": self.show_event,
            "open_source": self.open_source.emit,
            "failed": self.failed.emit,
        }
        for name, answer in answers.items():
            signal = getattr(view, name, None)
            if signal is not None:
                signal.connect(answer)
        asks = getattr(view, "source_view", None)
        if asks is not None:
            self.source_view_made.emit(asks)
        self.kind_made.emit(view)
        return view

    def show_event(self, event: int) -> None:
        """Every view of stacks shows another event of the profile: another snapshot, another cost."""
        if self._trees is not None and event != self.scope.scope.event:
            weight = weights_of(self._trees.profile, event)[0]
            self.scope.set(replace(self.scope.scope, event=event, weight=weight))

    def _new_flame(self) -> FlameView:
        view = FlameView(self.selection)
        view.show_callers.connect(partial(self._go, Part.CALLERS))
        view.show_hotspots.connect(partial(self._go, Part.HOTSPOTS))
        view.open_source.connect(self.open_source)
        view.export_requested.connect(self.export_requested)
        view.record_requested.connect(self.record_requested)
        view.open_requested.connect(self.open_requested)
        view.failed.connect(self.failed)
        # The flame graph has choices of its own: what they share with the scope is one.
        view.weight_changed.connect(lambda _event, _weight: self._take_scope())
        view.bar.settings_changed.connect(lambda _settings: self._take_scope())
        view.chips.changed.connect(lambda _options: self._take_scope())
        view.bar.leave_scope()
        view.reading_box.folded_changed.connect(self.inspector.share)
        view.bar.reading_toggled.connect(lambda _shown: self.inspector.share())
        return view

    def _fill(self, part: Part) -> None:
        """Gives the view of `part` the recording, once."""
        if part in self._filled:
            return
        self._filled.add(part)
        view, trees = self._made[part], self._trees
        if isinstance(view, SummaryView):
            view.set_recording(self.recording, trees)
        elif trees is None:
            return
        elif kind_of(part) is not None:
            if hasattr(view, "set_trees"):
                view.set_trees(trees)
        elif isinstance(view, FlameView):
            scope = self.scope.scope
            view.set_profile(
                trees.profile, title=f"{self.title.whole}, {self.facts.whole}", event=scope.event, weight=scope.weight,
                trees=trees,
            )  # fmt: skip
            self._give_scope(scope)
            self._place_reading()
        elif isinstance(view, HotspotsView | CallTreeView | SandwichView | SourceView):
            view.set_trees(trees)

    def _arrange(self) -> None:
        line = row(spacing=8)
        line.addWidget(self.title)
        line.addWidget(self.facts, 1)
        for widget in (self.baseline_mark, self.columns, self.slow, self.compare, self.pin):
            line.addWidget(widget)
        head = column(margins=(12, 8, 8, 4), spacing=4)
        head.addLayout(line)
        head.addWidget(self.cautions)
        self.inspect = icon_button("panel-right", self._toggle_inspector, tip="Show or hide the inspector (Ctrl+I)")
        self.inspect.setCheckable(True)
        self.inspect.setChecked(True)
        corner = QWidget()
        beside = row(margins=(0, 0, 8, 0), spacing=4)
        beside.addWidget(self.scope_bar)
        beside.addWidget(self.inspect)
        corner.setLayout(beside)
        self.tabs = FittingTabs()
        self.tabs.setDocumentMode(True)
        self.tabs.setCornerWidget(corner)
        self.tabs.room_changed.connect(lambda room: self.scope_bar.fit(room - _CORNER))
        for at, (part, place) in enumerate(self._places.items()):
            short, long, tip = self.words_of(part)
            self.tabs.addTab(place, short)
            self.tabs.setTabToolTip(at, f"{f'{long}. ' if long != short else ''}{tip}  Ctrl+{at + 1}")
        self.splitter = QSplitter(Qt.Orientation.Horizontal)
        self.splitter.addWidget(self.tabs)
        self.splitter.addWidget(self.inspector)
        self.splitter.setStretchFactor(0, 1)
        self.splitter.setStretchFactor(1, 0)
        self.splitter.setCollapsible(0, False)
        self.splitter.setSizes([10_000, INSPECTOR_WIDTH])
        page = column(spacing=0)
        page.addLayout(head)
        self.over_time = StripBelow(self.splitter, self.timeline)
        page.addWidget(self.over_time, 1)
        self.setLayout(page)
        self.setFocusProxy(self.tabs)

    def _connect(self) -> None:
        for part, place in self._places.items():
            place.turn.connect(partial(self._bring, part))
        self.inspector.show_callers.connect(partial(self._go, Part.CALLERS))
        self.inspector.open_source.connect(self.open_source)
        self.timeline.failed.connect(self.failed)
        self.timeline.counted.connect(self._tell_counted)
        self.scope.changed.connect(self._give_scope)
        self.tabs.currentChanged.connect(self._part_changed)
        for at, part in enumerate(self._order):
            self._shortcut(f"Ctrl+{at + 1}", partial(self.show_part, part)).setWhatsThis(self.words_of(part)[1])
        self._shortcut("Ctrl+I", self._toggle_inspector)

    def _begin(self) -> None:
        if self._trees is None:
            self.inspector.hide()
            self.inspect.hide()
            self.scope_bar.hide()
            self.timeline.hide()
            return
        profile = self._trees.profile
        if profile.events:
            event = first_event(self.recording)
            self.scope.set(replace(self.scope.scope, event=event, weight=weights_of(profile, event)[0]))
        self.scope_bar.set_profile(profile)
        self.inspector.set_trees(self._trees)
        self.timeline.set_trees(self._trees)
        self._part_changed()

    # parts that answer each other

    def _go(self, part: Part, function: str) -> None:
        self.show_function(function, part)

    @property
    def _drawn(self) -> FlameView | None:
        """The flame graph, once it has the recording."""
        view = self._made.get(Part.FLAME)
        return view if isinstance(view, FlameView) and Part.FLAME in self._filled else None

    def _tell_counted(self, samples: float, whole: float) -> None:
        """The title line says how many samples the views show."""
        every = f"  ·  {count(whole)} samples"
        part = f"  ·  {count(samples)} of {count(whole)} samples"
        filtered = samples != whole and not self.scope.scope.event
        self.facts.set_text(self._facts.replace(every, part) if filtered else self._facts)

    def _take_scope(self) -> None:
        if self._drawn is not None and not self._owed:
            options = self._drawn.options
            self.scope.set(
                Scope(event=options.event, weight=options.weight, threads=options.threads, samples=options.samples)
            )

    def _give_scope(self, _scope: Scope) -> None:
        # Out of sight the flame graph is not drawn for each step of a drag.
        self._owed = self._drawn is not None
        if self.part is Part.FLAME:
            self._pay_flame()

    def _pay_flame(self) -> None:
        """Gives the flame graph the scope, if it changed since it had it last."""
        if not self._owed or self._drawn is None:
            return
        self._owed = False
        of, old = self.scope.scope.tree_options, self._drawn.options
        self._drawn.set_options(replace(old, event=of.event, weight=of.weight, threads=of.threads, samples=of.samples))

    @property
    def _of_stacks(self) -> bool:
        return self.part is not Part.LATENCY and kind_of(self.part) is None

    def _part_changed(self) -> None:
        if self._trees is None:
            return
        if self.part is Part.FLAME:
            self._pay_flame()
        else:
            self._take_scope()
        # Functions, events and threads are none of these views' business: they get the room.
        of_stacks = self._of_stacks
        self.inspector.setVisible(of_stacks and self.inspect.isChecked())
        for widget in (self.scope_bar, self.inspect, self.timeline):
            widget.setVisible(of_stacks)
        self._place_reading()

    def _place_reading(self) -> None:
        """The reading of the flame graph shares the inspector's column, so that the graph has the height."""
        flame = self._drawn
        if flame is None:
            return
        if self.inspector.isHidden():
            self.inspector.set_companion(None)
            flame.take_reading()
        elif self.part is Part.FLAME:
            self.inspector.set_companion(flame.lend_reading())
        else:
            flame.reading_box.hide()
            self.inspector.share()

    def _toggle_inspector(self) -> None:
        if self._of_stacks:
            self.show_inspector(not self.inspector.isVisible())

    def words_of(self, part: Part) -> tuple[str, str, str]:
        """On its tab, in full, and what it shows."""
        return words_of(part, self.recording)

    def _shortcut(self, keys: str, act: Callable[[], None]) -> QShortcut:
        shortcut = QShortcut(QKeySequence(keys), self)
        shortcut.setContext(Qt.ShortcutContext.WindowShortcut)  # of hidden tabs none is active
        shortcut.activated.connect(act)
        return shortcut


def _why_no_flame(recording: Recording) -> str:
    """Why a range of time has no flame graph; "" where it has one."""
    if recording.profile is None:
        return "This result holds no CPU profile."
    if recording.slices is not None:
        return ""
    if recording.live is None or not has_times(recording.profile):
        return "The CPU profile does not tell the times of its samples on this clock."
    return ""


def _is_busy(view: QWidget) -> bool:
    return view.busy.isVisible() if isinstance(view, FlameView) else bool(getattr(view, "busy", False))
