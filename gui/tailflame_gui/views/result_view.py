"""One result: its title, what spoils it, and the views of it, which share one selection and one scope."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from enum import StrEnum
from functools import partial

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QKeySequence, QShortcut
from PySide6.QtWidgets import QSplitter, QTabWidget, QWidget

from tailflame.analyse.reading import cautions
from tailflame.model import Recording
from tailflame_gui.models.head import head_of
from tailflame_gui.models.scope import ResultScope, Scope
from tailflame_gui.models.trees import ProfileTrees
from tailflame_gui.selection import Selection
from tailflame_gui.views.flame_view import FlameView
from tailflame_gui.views.hotspots_view import HotspotsView
from tailflame_gui.views.inspector import WIDTH as INSPECTOR_WIDTH
from tailflame_gui.views.inspector import Inspector
from tailflame_gui.views.sandwich_view import SandwichView
from tailflame_gui.views.summary_view import SummaryView
from tailflame_gui.views.tree_view import CallTreeView
from tailflame_gui.widgets.caution_lines import CautionLines
from tailflame_gui.widgets.parts import ElidedLabel, Icon, button, column, icon_button, label, row
from tailflame_gui.widgets.scope_bar import ScopeBar


class Part(StrEnum):
    """The views of a result, in the order of their tabs; Ctrl+1 to Ctrl+6."""

    FLAME = "Flame graph"
    SUMMARY = "Summary"
    HOTSPOTS = "Hotspots"
    TOP_DOWN = "Top-down"
    BOTTOM_UP = "Bottom-up"
    CALLERS = "Callers and callees"


_TIPS = {
    Part.FLAME: "Where the time is, as boxes.",
    Part.SUMMARY: "The three hottest functions and the facts of the run.",
    Part.HOTSPOTS: "Functions, modules, files or threads by their own weight.",
    Part.TOP_DOWN: "The call tree from the roots down.",
    Part.BOTTOM_UP: "The call tree from the leaves up.",
    Part.CALLERS: "Who calls the selected function, and what it calls.",
}


class ResultView(QWidget):
    """A result tab.

    open_source(file, line: -1 unknown); pin_baseline_requested(); compare_requested(): with the baseline;
    compare_columns_requested(): the two sides that one file holds; export_requested(kind); record_requested();
    open_requested(); failed(TailflameError).
    """

    open_source = Signal(str, int)
    pin_baseline_requested = Signal()
    compare_requested = Signal()
    compare_columns_requested = Signal()
    export_requested = Signal(str)
    record_requested = Signal()
    open_requested = Signal()
    failed = Signal(object)

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
        self._make_head(recording)
        self._make_parts(recording)
        self._arrange()
        # Not before: what has no parent yet would be shown as a window of its own.
        self.columns.setVisible(recording.baseline is not None)
        self.cautions.set_cautions(cautions(recording))
        self.set_baseline(False, has_baseline=False)
        self._connect()
        self._fill(recording)

    # what others ask

    @property
    def part(self) -> Part:
        """The view that is shown."""
        return self._order[self.tabs.currentIndex()]

    @property
    def busy(self) -> bool:
        """True while a view in sight computes: what is shown is about to change."""
        asking = (self.summary, self.hotspots, self.top_down, self.bottom_up, self.callers, self.inspector)
        return any(view.busy for view in asking) or self.flame.busy.isVisible()

    def show_part(self, part: Part) -> None:
        if part in self._order:
            self.tabs.setCurrentIndex(self._order.index(part))
            self.tabs.currentWidget().setFocus(Qt.FocusReason.OtherFocusReason)

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
        self.title = label(name, "title")
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
        self.cautions = CautionLines()

    def _make_parts(self, recording: Recording) -> None:
        self.summary = SummaryView(selection=self.selection, scope=self.scope)
        self.flame = FlameView(self.selection)
        self.hotspots = HotspotsView(selection=self.selection, scope=self.scope)
        self.top_down = CallTreeView(selection=self.selection, scope=self.scope)
        self.bottom_up = CallTreeView(selection=self.selection, scope=self.scope, inverted=True)
        self.callers = SandwichView(selection=self.selection, scope=self.scope)
        self.inspector = Inspector(selection=self.selection, scope=self.scope)
        self.scope_bar = ScopeBar(self.scope)
        self._views: dict[Part, QWidget] = {
            Part.FLAME: self.flame,
            Part.SUMMARY: self.summary,
            Part.HOTSPOTS: self.hotspots,
            Part.TOP_DOWN: self.top_down,
            Part.BOTTOM_UP: self.bottom_up,
            Part.CALLERS: self.callers,
        }
        # A file of latencies alone has nothing to draw as stacks.
        self._order = tuple(Part) if recording.profile is not None else (Part.SUMMARY,)

    def _arrange(self) -> None:
        line = row(spacing=8)
        line.addWidget(self.title)
        line.addWidget(self.facts, 1)
        for widget in (self.baseline_mark, self.columns, self.compare, self.pin):
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
        self.tabs = QTabWidget()
        self.tabs.setDocumentMode(True)
        self.tabs.setCornerWidget(corner)
        for at, part in enumerate(self._order):
            view = self._views[part]
            self.tabs.addTab(view, str(part))
            self.tabs.setTabToolTip(at, f"{_TIPS[part]}  Ctrl+{at + 1}")
        for part, view in self._views.items():
            if part not in self._order:
                view.setParent(self)
                view.hide()
        self.splitter = QSplitter(Qt.Orientation.Horizontal)
        self.splitter.addWidget(self.tabs)
        self.splitter.addWidget(self.inspector)
        self.splitter.setStretchFactor(0, 1)
        self.splitter.setStretchFactor(1, 0)
        self.splitter.setCollapsible(0, False)
        self.splitter.setSizes([10_000, INSPECTOR_WIDTH])
        page = column(spacing=0)
        page.addLayout(head)
        page.addWidget(self.splitter, 1)
        self.setLayout(page)
        self.setFocusProxy(self.tabs)

    def _connect(self) -> None:
        for view in (self.hotspots, self.top_down, self.bottom_up, self.callers, self.summary):
            view.show_flame.connect(partial(self._go, Part.FLAME))
        for asking in (self.hotspots, self.top_down, self.bottom_up, self.flame, self.inspector):
            asking.show_callers.connect(partial(self._go, Part.CALLERS))
        for opening in (self.hotspots, self.top_down, self.bottom_up, self.callers, self.flame, self.inspector):
            opening.open_source.connect(self.open_source)
        self.flame.show_hotspots.connect(partial(self._go, Part.HOTSPOTS))
        self.flame.export_requested.connect(self.export_requested)
        self.flame.record_requested.connect(self.record_requested)
        self.flame.open_requested.connect(self.open_requested)
        self.flame.failed.connect(self.failed)
        # The flame graph has choices of its own: what they share with the scope is one.
        self.flame.weight_changed.connect(lambda _event, _weight: self._take_scope())
        self.flame.bar.settings_changed.connect(lambda _settings: self._take_scope())
        self.flame.chips.changed.connect(lambda _options: self._take_scope())
        self.scope.changed.connect(self._give_scope)
        self.flame.bar.leave_scope()
        self.flame.reading_box.folded_changed.connect(self.inspector.share)
        self.flame.bar.reading_toggled.connect(lambda _shown: self.inspector.share())
        self.tabs.currentChanged.connect(self._part_changed)
        for at in range(len(self._order)):
            self._shortcut(f"Ctrl+{at + 1}", partial(self.show_part, self._order[at]))
        self._shortcut("Ctrl+I", self._toggle_inspector)

    def _fill(self, recording: Recording) -> None:
        profile = recording.profile
        if profile is None:
            self.summary.set_recording(recording, None)
            self.inspector.hide()
            self.inspect.hide()
            self.scope_bar.hide()
            return
        trees = ProfileTrees(profile)
        self.summary.set_recording(recording, trees)
        self.scope_bar.set_profile(profile)
        for view in (self.hotspots, self.top_down, self.bottom_up, self.callers, self.inspector):
            view.set_trees(trees)
        self.flame.set_profile(profile, title=f"{self.title.text()}, {self.facts.whole}")
        self._part_changed()

    # parts that answer each other

    def _go(self, part: Part, function: str) -> None:
        self.show_function(function, part)

    def _take_scope(self) -> None:
        options = self.flame.options
        self.scope.set(Scope(event=options.event, weight=options.weight, threads=options.threads))

    def _give_scope(self, scope: Scope) -> None:
        options = self.flame.options
        self.flame.set_options(replace(options, event=scope.event, weight=scope.weight, threads=scope.threads))

    def _part_changed(self) -> None:
        if self.recording.profile is not None:
            if self.part is not Part.FLAME:
                self._take_scope()
            self._place_reading()

    def _place_reading(self) -> None:
        """The reading of the flame graph shares the inspector's column, so that the graph has the height."""
        if self.recording.profile is None:
            return
        if self.inspector.isHidden():
            self.inspector.set_companion(None)
            self.flame.take_reading()
        elif self.part is Part.FLAME:
            self.inspector.set_companion(self.flame.lend_reading())
        else:
            self.flame.reading_box.hide()
            self.inspector.share()

    def _toggle_inspector(self) -> None:
        self.show_inspector(not self.inspector.isVisible())

    def _shortcut(self, keys: str, act: Callable[[], None]) -> None:
        shortcut = QShortcut(QKeySequence(keys), self)
        shortcut.setContext(Qt.ShortcutContext.WindowShortcut)  # of hidden tabs none is active
        shortcut.activated.connect(act)
