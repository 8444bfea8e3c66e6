"""The strip under all views of a profile: its samples over time, and what they are filtered by.

It writes to and follows the one ResultScope: a range that is dragged here, or a thread that is left out, holds in every
view.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import partial
from weakref import WeakMethod

import numpy as np
from PySide6.QtCore import QPoint, Qt, QTimer, Signal
from PySide6.QtGui import QKeySequence, QShortcut
from PySide6.QtWidgets import QMenu, QSizePolicy, QStackedWidget, QWidget

from tailflame.analyse.counted import as_counted, tells_amounts
from tailflame.analyse.filter_completion import Completer
from tailflame.analyse.filter_language import Name, Term, What
from tailflame.analyse.sample_filter import SampleFilter, remark, unmatched
from tailflame.analyse.sample_timeline import (
    By,
    Lane,
    Tracks,
    length_s,
    off_cpu_event,
    on_cpu_event,
    only,
    tracks,
    waits,
    without,
)
from tailflame.analyse.subsecond import SubsecondMap, subsecond
from tailflame.analyse.time_range import has_times
from tailflame.errors import TailflameError
from tailflame.model.stacks import Bool, Float64, StackProfile
from tailflame.units import nanoseconds, percent, seconds
from tailflame_gui import plain, tasks, theme
from tailflame_gui.models.scope import ResultScope, Scope, amount_text, weight_for
from tailflame_gui.models.trees import ProfileTrees
from tailflame_gui.views.filter_chips import ScopeChips
from tailflame_gui.views.flame_parts import add_action
from tailflame_gui.widgets.busy_line import BusyLine
from tailflame_gui.widgets.filter_line import FilterLine
from tailflame_gui.widgets.lane_plot import LaneData, LanePlot, lanes_text
from tailflame_gui.widgets.parts import ElidedLabel, column, hairline, icon_button, row
from tailflame_gui.widgets.segmented import Segmented
from tailflame_gui.widgets.subsecond_map import SubsecondPlot
from tailflame_gui.widgets.time_axis import TimeAxis
from tailflame_gui.widgets.time_ruler import RULER, TimeRuler, precise

HEAD = 32
CHIPS = 34
BODY = 84
"""Pixels that the plot has at most, until it is dragged higher."""
_FOLLOW_MS = 30
_CLOSEST_S = 0.0005


class Look(StrEnum):
    """What the strip draws."""

    THREADS = "Threads"
    CPUS = "CPUs"
    SUBSECOND = "Subsecond"


@dataclass(frozen=True, slots=True, eq=False)
class Drawn:
    """What a worker has made: for the lanes or for the map. samples: in the filter, whatever the time; whole: all."""

    lanes: LaneData | None
    map: SubsecondMap | None
    samples: float
    whole: float


class Ruler(TimeRuler):
    """The times, in seconds since the first sample."""

    @property
    def when(self) -> str:
        return f"at {precise(self.axis.hover_s, self.axis.pixel_s)}" if self.axis.hover_s is not None else ""


class TimelineView(QWidget):
    """folded(bool): the plot was hidden or shown, or what there is wants another height.
    counted(samples, whole): how many samples the scope holds now. failed(TailflameError).
    """

    folded = Signal(bool)
    counted = Signal(float, float)
    failed = Signal(object)

    def __init__(
        self, *, scope: ResultScope, busy: WeakMethod[Callable[[], bool]] | None = None, parent: QWidget | None = None
    ) -> None:
        """busy: whether what follows the scope is not done yet; then a drag waits with its next step. It is the method
        of whoever holds this view, which must not hold it in turn.
        """
        super().__init__(parent)
        self._scope, self._busy_elsewhere = scope, busy
        self._trees: ProfileTrees | None = None
        self._tracks: dict[tuple[By, int], Tracks] = {}
        self._sums: dict[tuple[By, int], Float64] = {}
        self._drawn: Drawn | None = None
        self._asked: object = None
        self._latest = tasks.Latest(self)
        self.timed = False
        self.axis = TimeAxis(self, span_s=None, least_span_s=_CLOSEST_S, closest_s=_CLOSEST_S)
        self.lanes = LanePlot(self.axis)
        self.map = SubsecondPlot(self.axis)
        self.ruler = Ruler(self.axis)
        self.filter = FilterLine()
        self.chips = ScopeChips()
        self.told = ElidedLabel("", "small", grows=True)
        self.told.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        self.fold_button = icon_button("chevron-down", self.toggle, tip="Fold or unfold the timeline (Ctrl+T)")
        self.look: Segmented[Look] = Segmented(
            [
                (Look.THREADS, "Threads", "Samples over time, one line per process and thread"),
                (Look.CPUS, "CPUs", "Samples over time, one line per processor they were taken on"),
                (
                    Look.SUBSECOND,
                    "Subsecond",
                    "Seconds from left to right, parts of the second from bottom to top: finds the odd moment",
                ),
            ]
        )
        self.everything = icon_button("x", self.clear_range, tip="All times again (Escape in the timeline)")
        self._follow = QTimer(self)
        self._follow.setSingleShot(True)
        self._follow.setInterval(_FOLLOW_MS)
        self._arrange()
        self._connect()

    def _arrange(self) -> None:
        busy = BusyLine()
        self._latest.busy_changed.connect(busy.set_busy)
        head = row(margins=(8, 2, 8, 2), spacing=8)
        head.addWidget(self.fold_button)
        head.addWidget(self.look)
        head.addWidget(self.filter, 3)
        head.addWidget(self.told, 4)
        head.addWidget(self.everything)
        self.filter.setMinimumWidth(160)
        self.filter.setMaximumWidth(420)
        top = QWidget()
        top.setFixedHeight(HEAD)
        top.setLayout(head)
        self._taken = QWidget()
        line = row(margins=(8, 0, 8, 4))
        line.addWidget(self.chips)
        self._taken.setLayout(line)
        self._taken.setFixedHeight(CHIPS)
        self._taken.hide()
        self._plots = QStackedWidget()
        self._plots.addWidget(self.lanes)
        self._plots.addWidget(self.map)
        self._body = QWidget()
        below = column(spacing=0)
        below.addWidget(self._plots, 1)
        below.addWidget(self.ruler)
        self._body.setLayout(below)
        page = column(spacing=0)
        page.addWidget(hairline())
        page.addWidget(top)
        page.addWidget(self._taken)
        page.addWidget(busy)
        page.addWidget(self._body, 1)
        self.setLayout(page)
        self.setProperty("surface", "surface")
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Expanding)
        self.everything.hide()

    def _connect(self) -> None:
        self._follow.timeout.connect(self._follow_axis)
        self.axis.range_selected.connect(self._range_dragged)
        self.axis.range_cleared.connect(lambda: self._set_span(None))
        self.look.chosen.connect(lambda _look: self._look_changed())
        self.filter.terms_changed.connect(self._typed)
        self.filter.told.connect(lambda _sentence: self._tell())
        self.filter.left.connect(self.lanes.setFocus)
        self.chips.changed.connect(self._scope.set)
        self._scope.changed.connect(self._show)
        self.lanes.lane_wanted.connect(self.filter_in)
        self.lanes.lane_unwanted.connect(self.filter_out)
        self.lanes.menu_requested.connect(self._open_menu)
        for keys, act, words in (
            ("Ctrl+T", self.toggle, "Fold or unfold the timeline"),
            ("Ctrl+Shift+F", self.edit_filter, "Filter samples by thread, CPU, function or time"),
            ("Ctrl+Shift+R", self.clear_range, "Take the range of time back"),
            ("Ctrl+Shift+E", self.show_everything, "Take every filter of samples back"),
            ("Ctrl+Shift+H", partial(self.show_look, Look.SUBSECOND), "Show the subsecond heat map"),
            ("Ctrl+Shift+L", partial(self.show_look, Look.THREADS), "Show threads over time"),
            ("Ctrl+Shift+U", partial(self.show_look, Look.CPUS), "Show CPUs over time"),
        ):
            shortcut = QShortcut(QKeySequence(keys), self)
            shortcut.setContext(Qt.ShortcutContext.WindowShortcut)
            shortcut.setWhatsThis(words)
            shortcut.activated.connect(act)

    # What others ask

    @property
    def busy(self) -> bool:
        """Whether it computes, or a range is about to be set."""
        return self._latest.busy or self._follow.isActive()

    @property
    def is_folded(self) -> bool:
        return self._body.isHidden()

    @property
    def least(self) -> int:
        """The height of what is there when it is folded."""
        return HEAD + 3 + (0 if self._taken.isHidden() else CHIPS)

    @property
    def wanted(self) -> int:
        """The height that shows what there is, up to BODY pixels of it."""
        body = BODY if self.shown_look is Look.SUBSECOND else min(max(len(self.lanes.lanes), 2) * self.lanes.line, BODY)
        return self.least + body + RULER

    @property
    def shown_look(self) -> Look:
        return self.look.choice

    def set_trees(self, trees: ProfileTrees) -> None:
        """The profile, and those who know its masks."""
        self._trees = trees
        profile = trees.profile
        self.timed = has_times(profile)
        self.filter.set_completer_of(Completer(profile))
        for widget in (self.fold_button, self.look):
            widget.setVisible(self.timed)
        self._body.setVisible(self.timed)
        self.axis.set_extent(0.0, max(length_s(profile), _CLOSEST_S))
        self._show(self._scope.scope)

    def toggle(self) -> None:
        """Hides the plot, or shows it; the filter stays."""
        if self.timed:
            self.fold(not self.is_folded)

    def fold(self, folded: bool) -> None:
        self._body.setVisible(not folded)
        icon = "chevron-right" if folded else "chevron-down"
        fresh = icon_button(icon, self.toggle, tip="")
        self.fold_button.setIcon(fresh.icon())
        fresh.deleteLater()
        self.folded.emit(folded)
        if not folded:
            self._ask()

    def show_look(self, look: Look) -> None:
        if self.timed:
            self.look.choose(look)
            self.fold(False)
            self._look_changed()
            plot = self.map if look is Look.SUBSECOND else self.lanes
            plot.setFocus(Qt.FocusReason.OtherFocusReason)

    def edit_filter(self) -> None:
        self.filter.setFocus(Qt.FocusReason.ShortcutFocusReason)
        self.filter.selectAll()

    def clear_range(self) -> None:
        self.axis.clear()

    def show_everything(self) -> None:
        self._scope.set(replace(self._scope.scope, threads=None, samples=SampleFilter()))

    def filter_in(self, lanes: tuple[Lane, ...]) -> None:
        """Samples of these lines alone."""
        if self._trees is not None:
            scope = self._scope.scope
            self._scope.set(scope.with_terms(only(scope.terms, lanes, self._trees.profile)))

    def filter_out(self, lanes: tuple[Lane, ...]) -> None:
        """All samples but those of these lines."""
        if self._trees is not None:
            scope = self._scope.scope
            self._scope.set(scope.with_terms(without(scope.terms, lanes, self._trees.profile)))

    def menu_for(self, lanes: tuple[Lane, ...]) -> QMenu:
        """What can be done with lines, and with the range."""
        menu = QMenu(self)
        menu.setToolTipsVisible(True)
        if lanes:
            words = plain.caption(lanes_text(lanes))
            add_action(menu, "filter", f"Only {words}\tEnter", lambda: self.filter_in(lanes))
            add_action(menu, "eye-off", f"All but {words}\tDel", lambda: self.filter_out(lanes))
            menu.addSeparator()
        span = self.axis.selection
        if span is not None:
            add_action(menu, "zoom-in", "Zoom to the range", lambda: self.axis.show_range(*span))
            add_action(menu, "x", "All times again\tEsc", self.clear_range)
        add_action(menu, "maximize", "Show the whole recording\tHome", lambda: self.axis.set_span(None))
        if self._scope.scope.filter:
            add_action(menu, "undo-2", "Take every filter back", self.show_everything)
        return menu

    def _open_menu(self, lanes: tuple[Lane, ...], where: QPoint) -> None:
        menu = self.menu_for(lanes)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        menu.popup(where)

    # The range

    def _range_dragged(self, _start: float, _end: float) -> None:
        self._tell()
        if not self._follow.isActive():
            self._follow.start()

    def _follow_axis(self) -> None:
        """Every view follows a drag as fast as it can, and no faster."""
        busy = self._busy_elsewhere() if self._busy_elsewhere is not None else None
        if busy is not None and busy():
            self._follow.start()
        else:
            self._set_span(self.axis.selection)

    def _set_span(self, span: tuple[float, float] | None) -> None:
        self._scope.set(self._scope.scope.with_span(span))

    # The filter

    def _typed(self, terms: tuple[Term, ...]) -> None:
        scope = self._scope.scope.with_terms(terms)
        event = self._event_named(terms)
        if event >= 0 and event != scope.event and self._trees is not None:
            # Views show one event at a time: who asks for one wants to see it.
            scope = replace(scope, event=event, weight=weight_for(self._trees.profile, event, scope))
        self._scope.set(scope)

    def _event_named(self, terms: tuple[Term, ...]) -> int:
        """The one event that an expression asks for, -1 for none or several."""
        if self._trees is None:
            return -1
        names = [event.name for event in self._trees.profile.events]
        asked = [t for t in terms if t.what is What.EVENT and not t.excluded]
        if len(asked) != 1:
            return -1
        found = np.zeros(len(names), dtype=bool)
        for value in asked[0].values:
            assert isinstance(value, Name)
            found |= value.found_in(names)
        return int(np.flatnonzero(found)[0]) if found.sum() == 1 else -1

    # Showing

    def _look_changed(self) -> None:
        self._plots.setCurrentIndex(1 if self.shown_look is Look.SUBSECOND else 0)
        self.folded.emit(self.is_folded)
        self._ask()

    def _show(self, scope: Scope) -> None:
        if self._trees is None:
            return
        self.chips.set_scope(scope, self._trees.profile)
        if self._taken.isHidden() is not self.chips.isHidden():
            self._taken.setVisible(not self.chips.isHidden())
            self.folded.emit(self.is_folded)
        self.filter.show_terms(scope.terms)
        if scope.span != self.axis.selection and not self._follow.isActive():
            if scope.span is None:
                self.axis.clear()
            else:
                self.axis.select(*scope.span)
                self._follow.stop()
        self._ask()
        self._tell()

    def _ask(self) -> None:
        """The plot of the scope, whatever its range of time."""
        trees, look = self._trees, self.shown_look
        if trees is None:
            return
        scope = self._scope.scope.with_span(None)
        shown = None if self.is_folded or not self.timed else look
        if self._asked == (scope, shown):
            return
        self._asked = (scope, shown)
        self._latest.ask(
            lambda _progress: self._work(trees, scope, shown),
            self._take,
            name="draw the timeline",
            on_error=self._failed,
        )

    def _work(self, trees: ProfileTrees, scope: Scope, look: Look | None) -> Drawn:
        """In a thread."""
        profile = trees.profile
        event = on_cpu_event(profile, scope.event)
        whole = _counted(profile, scope.event, None)
        samples = _counted(profile, scope.event, trees.samples.rows(scope.filter)) if scope.filter else whole
        # Lanes show CPU and waiting beside each other, whichever of them the views are asked for.
        others = scope.with_terms(tuple(term for term in scope.terms if term.what is not What.EVENT)).filter
        rows = trees.samples.rows(others) if others else None
        if look is None:
            return Drawn(None, None, samples, whole)
        if look is Look.SUBSECOND:
            return Drawn(None, subsecond(profile, scope.event, rows), samples, whole)
        by = By.CPU if look is Look.CPUS else By.THREAD
        made = self._tracks.get((by, event))
        if made is None:
            made = self._tracks[by, event] = tracks(profile, by, event)
            self._sums[by, event] = made.sums(profile)
        every = self._sums[by, event]
        waited = waits(profile, rows) if by is By.THREAD and off_cpu_event(profile) >= 0 else None
        chosen = made.sums(profile, rows) if rows is not None else every
        of_waits = event != scope.event and waited is not None
        data = LaneData(made, every, chosen, waited, profile.events[event].name, event, of_waits)
        return Drawn(data, None, samples, whole)

    def _take(self, drawn: Drawn) -> None:
        self._drawn = drawn
        if drawn.lanes is not None:
            before = self.wanted
            self.lanes.set_data(drawn.lanes)
            if self.wanted != before:
                self.folded.emit(self.is_folded)
        if drawn.map is not None:
            self.map.set_map(drawn.map)
        self._tell()

    def _failed(self, error: TailflameError) -> None:
        self._asked = None
        self.failed.emit(error)

    def _tell(self) -> None:
        """The range and how much lies in it, or why the filter cannot be read."""
        trees, drawn, scope = self._trees, self._drawn, self._scope.scope
        self.everything.setVisible(self.axis.selection is not None)
        if self.filter.error is not None:
            self._say(str(self.filter.error), "bad")
            return
        if trees is None or drawn is None:
            return
        span = self.axis.selection
        samples, whole = self._samples(span), drawn.whole
        share = percent(samples / whole) if whole else "0%"
        parts = []
        if span is not None:
            start, end = span
            parts.append(f"{precise(start, 1e-4)} + {_length(end - start)}")
        elif self.timed:
            whole_s = length_s(trees.profile)
            parts.append(seconds(whole_s) if whole_s >= 1 else _length(whole_s))
        parts.append(
            amount_text(trees.profile, scope.event, counts=samples, weight=samples)
            + (f", {share}" if scope.filter or span else "")
        )
        text = "  ·  ".join(parts)
        exact = tells_amounts(as_counted(trees.profile, scope.event))
        missing = unmatched(trees.profile, scope.terms)
        note = missing[0] if missing else remark(samples) if (scope.filter or span) and not exact else ""
        self._say(f"{text}  ·  {note}" if note else text, "warn" if note else "second")
        self.counted.emit(samples, whole)

    def _samples(self, span: tuple[float, float] | None) -> float:
        assert self._drawn is not None and self._trees is not None
        if span is None:
            return self._drawn.samples
        scope = self._scope.scope
        if self._drawn.lanes is not None and not self._drawn.lanes.of_waits:
            return self.lanes.samples_of(None)
        rows = self._trees.samples.rows(replace(scope.filter, span=span))
        return _counted(self._trees.profile, scope.event, rows)

    def _say(self, text: str, color: str) -> None:
        self.told.set_text(text)
        self.told.setAccessibleName(text)
        ink = theme.current().named()[color]
        style = f"color: {ink};"
        if style != self.told.styleSheet():
            self.told.setStyleSheet(style)


def _counted(profile: StackProfile, event: int, rows: Bool | None) -> float:
    """Samples of an event that are in `rows`; of one that was counted, how much of it."""
    mask = profile.samples.event == event if len(profile.events) > 1 else np.True_
    by_weight = tells_amounts(as_counted(profile, event)) and profile.events[event].has_period
    column = profile.samples.period if by_weight else profile.samples.count
    return float(np.add.reduce(column, where=mask if rows is None else rows & mask))


def _length(s: float) -> str:
    """A length of time at three significant digits."""
    return nanoseconds(round(s * 1e9))
