"""The controls above a flame graph: what is weighed, whose samples, how frames are merged, ordered and coloured."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from PySide6.QtCore import QSignalBlocker, Qt, Signal
from PySide6.QtGui import QAction, QActionGroup
from PySide6.QtWidgets import QHBoxLayout, QMenu, QToolButton, QWidget

from tailflame.analyse.counted import as_counted, counts_word, tells_amounts
from tailflame.analyse.hotspots import thread_label
from tailflame.analyse.layout import Order
from tailflame.analyse.names import module_label
from tailflame.analyse.tree import Grouping
from tailflame.model import FrameKind, StackProfile, Weight
from tailflame.units import Unit
from tailflame_gui import plain
from tailflame_gui.models.scope import weights_of
from tailflame_gui.views.flame_picture import FlameSettings, has_time_order
from tailflame_gui.widgets.fitting_box import FittingBox
from tailflame_gui.widgets.flame_colors import ColorBy
from tailflame_gui.widgets.search_bar import tool_button

EXPORTS = (
    ("svg", "SVG, interactive in a browser…"),
    ("png", "PNG of this view…"),
    ("png@2x", "PNG of this view, twice as fine…"),
    ("folded", "Folded stacks…"),
    ("speedscope", "speedscope JSON…"),
    ("firefox", "Firefox Profiler JSON…"),
    ("pprof", "pprof…"),
)
"""(kind, menu text) of what FlameView.export_requested may ask for."""

_ORDERS = {
    Order.NAME: ("By name", "Siblings by name: equal profiles look equal"),
    Order.HEAVY: ("Left heavy", "The heaviest sibling first"),
    Order.TIME: ("In time", "Samples from left to right as they were taken"),
}
_GROUPINGS = {
    Grouping.FUNCTION: ("Function", "Frames of the same function are one box, wherever it was compiled into"),
    Grouping.FUNCTION_MODULE: ("Function + module", "The same function in two modules gives two boxes"),
    Grouping.LINE: ("Line", "Each source line of a function is a box of its own"),
    Grouping.MODULE: ("Module", "Adjacent frames of one module are one box"),
    Grouping.FILE: ("Source file", "Adjacent frames of one source file are one box"),
}
_COLORS = {
    ColorBy.CRATE: ("Crate", "By Rust crate and its module or C++ namespace, else by binary"),
    ColorBy.MODULE: ("Module", "By the binary or library the code lives in"),
    ColorBy.KIND: ("Kind", "By user, kernel, inlined and JIT code"),
    ColorBy.SELF: ("Self weight", "By the weight a frame has itself, without its callees"),
    ColorBy.PLAIN: ("Plain", "One colour"),
}
_WEIGHTS = {Unit.EVENTS: "Event count", Unit.NANOSECONDS: "Time", Unit.BYTES: "Bytes", Unit.SAMPLES: "Weight"}


class FlameBar(QWidget):
    """settings_changed: FlameSettings as chosen; flame_toggled: roots at the bottom; reading_toggled: shown or not;
    exported: the kind of file asked for.
    """

    settings_changed = Signal(object)
    flame_toggled = Signal(bool)
    reading_toggled = Signal(bool)
    exported = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._settings = FlameSettings()
        self._profile: StackProfile | None = None
        self.event_box = FittingBox("activity", "Event that was sampled", self)
        self.weight_box = FittingBox("gauge", "What a sample weighs", self)
        self.thread_box = FittingBox("cpu", "Threads whose samples are shown", self)
        self.group_box = FittingBox("merge", "Merged by: what makes frames one box", self)
        self.order_box = FittingBox("arrow-up-down", "Order from left to right", self)
        self.color_box = FittingBox("palette", "Coloured by: what the colours tell", self)
        self.group_box.offer([(key, *text) for key, text in _GROUPINGS.items()])
        self.order_box.offer([(key, *text) for key, text in _ORDERS.items()])
        self.color_box.offer([(key, *text) for key, text in _COLORS.items()])
        self.inverted = QToolButton(self)
        self.inverted.setText("Bottom-up")
        self.inverted.setCheckable(True)
        self.inverted.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.inverted.setToolTip("Read from the leaves: each root is a function on the CPU, above it its callers")
        self.flame = tool_button(
            "flame", "Flame: roots at the bottom (off: icicle, roots at the top)", self, checkable=True
        )
        self.options = tool_button(
            "sliders-horizontal", "What is merged and how it is ordered; collapse recursion, inlined frames or modules",
            self,
        )  # fmt: skip
        self.menu = QMenu(self.options)
        self.menu.setToolTipsVisible(True)
        self.merging = self._choices("Merged by", self.group_box)
        self.ordering = self._choices("Order", self.order_box)
        self.menu.addSeparator()
        self.recursion = self._check("Collapse recursion", "Calls of a function by itself become one box")
        self.inlines = self._check("Show inlined frames", "Off: inlined code counts for the function it is in")
        self.modules = self.menu.addMenu("Collapse modules")
        self.options.setMenu(self.menu)
        self.reading = tool_button("book-open", "Reading: the graph in plain sentences", self, checkable=True)
        self.reading.setChecked(True)
        self.export = tool_button("download", "Export", self)
        exports = QMenu(self.export)
        for kind, text in EXPORTS:
            exports.addAction(text).triggered.connect(lambda _=False, kind=kind: self.exported.emit(kind))
        self.export.setMenu(exports)
        # An instant popup would draw an arrow beside each icon, which the narrow window has no room for.
        self.options.clicked.connect(self.options.showMenu)
        self.export.clicked.connect(self.export.showMenu)
        line = QHBoxLayout(self)
        line.setContentsMargins(0, 0, 0, 0)
        line.setSpacing(4)
        for box in (self.event_box, self.weight_box, self.thread_box, self.group_box, self.order_box, self.color_box):
            line.addWidget(box)
        for button in (self.inverted, self.flame, self.options):
            line.addWidget(button)
        line.addStretch(1)
        self._line = line
        self._hosted = False
        for box in (self.event_box, self.weight_box, self.thread_box, self.group_box, self.order_box, self.color_box):
            box.currentIndexChanged.connect(self._chosen)
        self.inverted.toggled.connect(self._chosen)
        self.recursion.toggled.connect(self._chosen)
        self.inlines.toggled.connect(self._chosen)
        self.flame.toggled.connect(self.flame_toggled)
        self.reading.toggled.connect(self.reading_toggled)
        self.set_profile(None)

    def set_profile(self, profile: StackProfile | None) -> None:
        """Offers what `profile` has: its events, weights, threads, modules and orders."""
        self._profile = profile
        events = profile.events if profile else ()
        self.event_box.offer([(i, event.name, "") for i, event in enumerate(events)])
        self.event_box.setVisible(len(events) > 1 and not self._hosted)
        self.thread_box.offer([(None, "All threads", ""), *_threads(profile)])
        self.thread_box.setVisible(bool(profile) and self.thread_box.count() > 2 and not self._hosted)
        timed = bool(profile) and has_time_order(profile) if profile else False
        self.order_box.enable(Order.TIME, timed, "The file does not tell when its samples were taken.")
        has_inlined = profile is not None and bool((profile.frames.kind == FrameKind.INLINED).any())
        self.inlines.setEnabled(has_inlined)
        self._fill_modules(profile)
        for widget in (self, self.reading, self.export):
            widget.setEnabled(profile is not None)
        self.set_settings(self._settings)

    def leave_scope(self) -> None:
        """Event, weight and thread are chosen elsewhere: they are not offered here as well."""
        self._hosted = True
        for box in (self.event_box, self.weight_box, self.thread_box):
            box.hide()

    def fold(self, folded: bool) -> None:
        """Leaves grouping and order to the menu, which offers them always."""
        for box in (self.group_box, self.order_box):
            box.setVisible(not folded)

    def width_needed(self, *, folded: bool) -> int:
        """Pixels that all choices take, with those that can be folded or without."""
        foldable = (self.group_box, self.order_box)
        items = (self._line.itemAt(at) for at in range(self._line.count()))
        widgets = [item.widget() for item in items if item is not None]
        shown = [w for w in widgets if w is not None and (not folded if w in foldable else not w.isHidden())]
        return sum(w.sizeHint().width() + self._line.spacing() for w in shown)

    def set_settings(self, settings: FlameSettings) -> None:
        """Shows `settings`, silently."""
        self._settings = settings
        options = settings.options
        self.event_box.choose(options.event)
        self._offer_weights(options.event)
        self.weight_box.choose(options.weight)
        thread = next(iter(options.threads)) if options.threads else None
        self.thread_box.choose(thread)
        self.group_box.choose(options.grouping)
        self.order_box.choose(settings.order)
        self.color_box.choose(settings.color_by)
        for check, on in (
            (self.inverted, options.inverted),
            (self.recursion, options.collapse_recursion),
            (self.inlines, options.inlines),
        ):
            with QSignalBlocker(check):
                check.setChecked(on)
        for action in self.modules.actions():
            with QSignalBlocker(action):
                action.setChecked(action.data() in options.collapse_modules)
        self.order_box.setEnabled(not (options.inverted and settings.order is Order.TIME))
        for menu, box in ((self.merging, self.group_box), (self.ordering, self.order_box)):
            menu.setEnabled(box.isEnabled())
            for at, action in enumerate(menu.actions()):
                action.setEnabled(bool(box.model().index(at, 0).flags() & Qt.ItemFlag.ItemIsEnabled))
                action.setChecked(at == box.currentIndex())

    def _offer_weights(self, event: int) -> None:
        profile = self._profile
        if profile is None:
            self.weight_box.hide()
            return
        kind = as_counted(profile, event)
        offers: list[tuple[Any, str, str]] = []
        for weight in weights_of(profile, event):
            unit = profile.unit(event=event, weight=weight)
            if weight is Weight.SAMPLES:
                word = counts_word(kind)
                tip = f"How many {word} a stack has" if tells_amounts(kind) else "How often a stack was seen"
                offers.append((weight, word.capitalize(), tip))
            elif tells_amounts(kind):
                offers.append((weight, _WEIGHTS.get(unit, unit.value), f"How much of {kind.name} a stack has"))
            else:
                tip = f"How many {kind.name} events the samples stand for"
                offers.append((weight, _WEIGHTS.get(unit, unit.value), tip))
        self.weight_box.offer(offers)
        self.weight_box.setVisible(len(offers) > 1 and not self._hosted)

    def _fill_modules(self, profile: StackProfile | None) -> None:
        self.modules.clear()
        names = sorted(_modules(profile), key=module_label) if profile else []
        for module in names:
            action = self.modules.addAction(plain.caption(module_label(module)))
            action.setCheckable(True)
            action.setData(module)
            action.setToolTip(plain.tip(module))
            action.toggled.connect(self._chosen)
        self.modules.setEnabled(bool(names))

    def _chosen(self) -> None:
        options = self._settings.options
        event = self.event_box.currentData()
        grouping = self.group_box.currentData()
        thread = self.thread_box.currentData()
        weight = self.weight_box.currentData() if event == options.event else options.weight
        if self._profile is not None and event is not None:
            offered = weights_of(self._profile, event)
            if weight not in offered or (event != options.event and tells_amounts(self._profile.events[event])):
                weight = offered[0]
        fresh = replace(
            options,
            event=event if event is not None else 0,
            weight=weight if weight is not None else Weight.SAMPLES,
            threads=None if thread is None else frozenset({thread}),
            grouping=grouping,
            inverted=self.inverted.isChecked(),
            collapse_recursion=self.recursion.isChecked(),
            inlines=self.inlines.isChecked(),
            collapse_modules=frozenset(a.data() for a in self.modules.actions() if a.isChecked()),
        )
        if grouping is not options.grouping:
            # They name functions of the old grouping, which the new one need not have.
            fresh = replace(fresh, focus=None, hidden=frozenset())
        settings = FlameSettings(fresh, self.order_box.currentData(), self.color_box.currentData())
        if settings != self._settings:
            self.set_settings(settings)
            self.settings_changed.emit(settings)

    def _choices(self, title: str, box: FittingBox) -> QMenu:
        """The items of `box` as a menu, for where the box itself has no room."""
        menu = self.menu.addMenu(title)
        menu.setToolTipsVisible(True)
        one = QActionGroup(menu)
        for at, text in enumerate(box.texts()):
            action = menu.addAction(text)
            action.setCheckable(True)
            action.setToolTip(str(box.itemData(at, Qt.ItemDataRole.ToolTipRole) or ""))
            action.triggered.connect(lambda _=False, at=at: box.setCurrentIndex(at))
            one.addAction(action)
        return menu

    def _check(self, text: str, tip: str) -> QAction:
        action = self.menu.addAction(text)
        action.setCheckable(True)
        action.setToolTip(tip)
        return action


def _threads(profile: StackProfile | None) -> list[tuple[int, str, str]]:
    """Threads with samples, the busiest first."""
    if profile is None or not profile.threads:
        return []
    known = profile.samples.thread >= 0
    weight = np.bincount(
        profile.samples.thread[known], weights=profile.samples.count[known], minlength=len(profile.threads)
    )
    order = [int(t) for t in np.argsort(-weight, kind="stable") if weight[t] > 0]
    word = counts_word(as_counted(profile, 0)) if len(profile.events) == 1 else "samples"
    return [(t, thread_label(profile, t), f"{weight[t]:,.0f} {word}") for t in order]


def _modules(profile: StackProfile) -> list[str]:
    used = np.unique(profile.frames.module)
    return [profile.frames.strings[i] for i in used.tolist() if i >= 0]
