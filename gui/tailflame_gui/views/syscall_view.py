"""System calls: which, how often, how long, on what; when; the slowest; threads that were blocked together."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import partial

import numpy as np
from PySide6.QtCore import QPoint, Qt, QTimer, Signal
from PySide6.QtGui import QGuiApplication, QKeyEvent, QKeySequence, QShortcut
from PySide6.QtWidgets import QMenu, QSplitter, QStackedWidget, QWidget

from tailflame.analyse.live_data import Moment, MomentKind
from tailflame.analyse.syscall_sums import (
    CallSums,
    Choice,
    first_s,
    histogram,
    length_s,
    slowest,
    sum_calls,
    sum_places,
    thread_name,
)
from tailflame.analyse.syscall_timeline import CallTimeline, timeline
from tailflame.analyse.syscall_waits import blocked_together
from tailflame.errors import TailflameError
from tailflame.model.histogram import Histogram
from tailflame.model.recording import Recording
from tailflame.model.stacks import NONE
from tailflame.model.syscalls import SyscallTrace
from tailflame.units import count, nanoseconds, seconds
from tailflame_gui import tasks
from tailflame_gui.models.roles import Role
from tailflame_gui.models.scope import ResultScope
from tailflame_gui.models.syscall_table import Content, SyscallTable, by_call, by_duration, by_overlap, by_place
from tailflame_gui.selection import Selection
from tailflame_gui.widgets.busy_line import BusyLine
from tailflame_gui.widgets.empty_state import EmptyState
from tailflame_gui.widgets.filter_field import FilterField
from tailflame_gui.widgets.fitting_box import FittingBox
from tailflame_gui.widgets.flame_search import PatternError
from tailflame_gui.widgets.histogram_plot import HistogramPlot
from tailflame_gui.widgets.parts import ElidedLabel, button, column, copy_button, hairline, row
from tailflame_gui.widgets.plot_choices import Choices
from tailflame_gui.widgets.segmented import Segmented
from tailflame_gui.widgets.syscall_plot import CallPlot, CallRuler
from tailflame_gui.widgets.table import Table
from tailflame_gui.widgets.time_axis import TimeAxis
from tailflame_gui.widgets.value_plot import Distribution

_BINS = 400
_DRAG_MS = 60
_SIDE = 420
_TOP = 150


class Page(StrEnum):
    """What a line of the table is."""

    CALLS = "calls"
    PLACES = "places"
    SLOWEST = "slowest"
    BLOCKED = "blocked"


_PAGES = (
    (Page.CALLS, "Calls", "One line per system call (Alt+1)"),
    (Page.PLACES, "Files and peers", "One line per file, peer or lock that calls were about (Alt+2)"),
    (Page.SLOWEST, "Slowest", "Single calls with their arguments, the slowest first (Alt+3)"),
    (Page.BLOCKED, "Blocked together", "Where two or more threads waited at once (Alt+4)"),
)
_ROWS = 1000
_MARKS = 60
"""Signals and ends that are marked in the plots."""


@dataclass(frozen=True, slots=True, eq=False)
class _Told:
    """What a worker has made."""

    sums: CallSums
    content: Content
    page: Page
    latencies: Histogram
    whole: Histogram
    line: CallTimeline | None


class SyscallView(QWidget):
    """show_flame, show_callers(function): the selected call is wanted there. failed(TailflameError)."""

    show_flame = Signal(str)
    show_callers = Signal(str)
    failed = Signal(object)

    def __init__(
        self, recording: Recording, *, selection: Selection, scope: ResultScope, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        assert recording.syscalls is not None, "the part is only made for recordings with system calls"
        self._trace: SyscallTrace = recording.syscalls
        self._has_stacks = recording.profile is not None
        self._selection = selection
        self._length = length_s(self._trace)
        self._zero = first_s(self._trace)
        self._call = NONE
        self._thread = NONE
        self._stale = True
        self._told: _Told | None = None
        self._latest = tasks.Latest(self)
        self._dragging = QTimer(self)
        self._dragging.setSingleShot(True)
        self._dragging.setInterval(_DRAG_MS)
        self._make()
        self._arrange()
        self._connect()

    # what others ask

    @property
    def busy(self) -> bool:
        return self._latest.busy or self._dragging.isActive()

    @property
    def page(self) -> Page:
        return self.pages.choice

    @property
    def call(self) -> str:
        """The call that the rest is about, "" for all."""
        return self._trace.names[self._call] if self._call >= 0 else ""

    @property
    def choice(self) -> Choice:
        """What is looked at: the range of time and the thread, without the call."""
        span = self.axis.selection
        return Choice(span=None if span is None else (self._zero + span[0], self._zero + span[1]), thread=self._thread)

    def show_page(self, page: Page) -> None:
        self.pages.choose(page)
        self._ask()

    def choose_call(self, name: str) -> None:
        """The time line, the latencies and the other tables are about this call; "" for all."""
        call = self._trace.names.index(name) if name in self._trace.names else NONE
        if call != self._call:
            self._call = call
            self._ask()

    def choose_thread(self, thread: int) -> None:
        """An index of the trace's threads, -1 for all."""
        self.threads.choose(thread)
        self._thread_chosen()

    # how it is made

    def _make(self) -> None:
        whole = max(self._length or 0.0, 1e-6)
        self.axis = TimeAxis(self, span_s=None, least_span_s=whole, closest_s=whole / 1000)
        self.axis.set_extent(0.0, whole)
        self.rate = CallPlot(self.axis, "Calls", "a second", _rate, second=False)
        self.inside = CallPlot(self.axis, "In calls", "threads", _threads, second=True)
        self.inside.setToolTip("How many threads were in a call, on average: 2 is two all the time.")
        self.rate.moments = self.inside.moments = _moments(self._trace, self._zero)
        self.ruler = CallRuler(self.axis)
        self.said = ElidedLabel("", "second")
        self.pages: Segmented[Page] = Segmented(list(_PAGES))
        self.chip = button("", self.all_calls, icon="x", tip="All calls again (Escape)")
        self.threads = FittingBox("layers-2", "Which thread is looked at", self)
        offered = [(NONE, "All threads", "")]
        offered += [(at, thread_name(self._trace, at), "") for at in range(len(self._trace.threads))]
        self.threads.offer(offered)
        self.threads.choose(NONE)
        self.everything = button("All times", self.axis.clear, icon="x", tip="Take the range of time back (Escape)")
        self.filter = FilterField("Filter", icon="filter")
        self.model = SyscallTable(self)
        self.table = Table(self.model)
        self.table.setAccessibleName("System calls")
        self.empty = EmptyState("table-2", "", "")
        self.latencies = HistogramPlot()
        self.busy_line = BusyLine()

    def _arrange(self) -> None:
        self._plots = QWidget()
        plots = column(spacing=0)
        plots.addWidget(self.rate, 1)
        plots.addWidget(self.inside, 1)
        plots.addWidget(self.ruler)
        self._plots.setLayout(plots)
        self._plots.setVisible(self._length is not None)
        bar = row(margins=(12, 6, 8, 6), spacing=8)
        bar.addWidget(self.pages)
        bar.addWidget(self.chip)
        bar.addWidget(self.everything)
        bar.addStretch(1)
        bar.addWidget(self.threads)
        bar.addWidget(self.filter)
        self.filter.setFixedWidth(180)
        bar.addWidget(copy_button(self.table.copy))
        self.chip.hide()
        self.everything.hide()
        self.threads.setVisible(len(self._trace.threads) > 1)
        self._body = QStackedWidget()
        self._body.addWidget(self.table)
        self._body.addWidget(self.empty)
        self._side = QWidget()
        side = column(margins=(0, 6, 0, 0), spacing=0)
        side.addWidget(self.latencies, 1)
        self._side.setLayout(side)
        self._side.setProperty("surface", "surface")
        self._side.setVisible(bool(np.isfinite(self._trace.duration_s[:1000]).any()))
        below = QSplitter(Qt.Orientation.Vertical)
        below.addWidget(self._body)
        below.addWidget(self._side)
        below.setStretchFactor(0, 3)
        below.setStretchFactor(1, 1)
        below.setChildrenCollapsible(False)
        below.setSizes([400, 150])
        lower = QWidget()
        under = column(spacing=0)
        under.addLayout(bar)
        under.addWidget(self.busy_line)
        under.addWidget(below, 1)
        lower.setLayout(under)
        self.splitter = QSplitter(Qt.Orientation.Vertical)
        self.splitter.addWidget(self._plots)
        self.splitter.addWidget(lower)
        self.splitter.setStretchFactor(1, 1)
        self.splitter.setChildrenCollapsible(False)
        self.splitter.setSizes([_TOP, 500])
        head = row(margins=(16, 8, 16, 8))
        head.addWidget(self.said, 1)
        page = column(spacing=0)
        page.addLayout(head)
        page.addWidget(hairline())
        page.addWidget(self.splitter, 1)
        self.setLayout(page)
        self.setProperty("surface", "surface")
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self.setFocusProxy(self.table)

    def _connect(self) -> None:
        self._latest.busy_changed.connect(self.busy_line.set_busy)
        self._dragging.timeout.connect(self._ask)
        self.axis.range_selected.connect(self._dragged)
        self.axis.range_cleared.connect(self._ask)
        self.axis.range_changed.connect(self._dragging.start)
        self.pages.chosen.connect(lambda _page: self._ask())
        self.threads.currentIndexChanged.connect(lambda _at: self._thread_chosen())
        self.filter.query_changed.connect(self._filtered)
        self.filter.left.connect(self.table.setFocus)
        self.table.current_changed.connect(self._selected)
        self.table.hovered.connect(self._selection.hover)
        self.table.opened.connect(self._open)
        self.table.menu_requested.connect(self._menu)
        self._selection.changed.connect(self._follow)
        for keys, act, said in (
            ("Ctrl+F", self._find, "Filter the table of system calls"),
            ("Alt+1", partial(self.show_page, Page.CALLS), "System calls by call"),
            ("Alt+2", partial(self.show_page, Page.PLACES), "System calls by file and peer"),
            ("Alt+3", partial(self.show_page, Page.SLOWEST), "The slowest system calls"),
            ("Alt+4", partial(self.show_page, Page.BLOCKED), "Threads that were blocked together"),
        ):
            shortcut = QShortcut(QKeySequence(keys), self)
            shortcut.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
            shortcut.setWhatsThis(said)
            shortcut.activated.connect(act)

    # what is shown

    def showEvent(self, event: object) -> None:
        if self._stale:
            self._ask()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Escape, where no part of the view has used it itself."""
        narrowed = self.axis.selection is not None or self._call >= 0 or self._thread >= 0
        if event.key() == Qt.Key.Key_Escape and narrowed:
            self.take_back()
        else:
            super().keyPressEvent(event)

    def all_calls(self) -> None:
        """No call is chosen any more."""
        self.table.show_line(NONE)
        self.choose_call("")

    def take_back(self) -> None:
        """The last narrowing: the range of time, then the call, then the thread."""
        if self.axis.selection is not None:
            self.axis.clear()
        elif self._call >= 0:
            self.all_calls()
        elif self._thread >= 0:
            self.choose_thread(NONE)

    def _dragged(self, _start: float, _end: float) -> None:
        if not self._dragging.isActive():
            self._dragging.start()

    def _thread_chosen(self) -> None:
        thread = self.threads.currentData()
        thread = NONE if thread is None else int(thread)
        if thread != self._thread:
            self._thread = thread
            self._ask()

    def _ask(self) -> None:
        """Sums are made when they are looked at, not before."""
        self._stale = True
        self.chip.setText(self.call)
        self.chip.setVisible(self._call >= 0)
        self.everything.setVisible(self.axis.selection is not None)
        if not self.isVisible():
            return
        self._stale = False
        trace, choice, call, page = self._trace, self.choice, self._call, self.page
        one = Choice(span=choice.span, thread=choice.thread, call=call)
        span = (self.axis.low_s, self.axis.high_s)

        def work(progress: tasks.Progress) -> _Told:
            sums = sum_calls(trace, choice)
            progress(0.4)
            content = _content(trace, one, page, sums)
            progress(0.7)
            whole = histogram(trace, Choice(call=call))
            latencies = whole if one == Choice(call=call) else histogram(trace, one)
            return _Told(sums, content, page, latencies, whole, timeline(trace, one, span=span, bins=_BINS))

        self._latest.ask(work, self._show, name="sum up system calls", on_error=self._failed)

    def _show(self, told: _Told) -> None:
        before = self._told
        self._told = told
        # The columns of another table may stand in another order: sorting begins anew.
        if before is not None and before.page is not told.page:
            self.table.sortByColumn(NONE, Qt.SortOrder.DescendingOrder)
        self.model.show_content(told.content)
        if told.line is not None:
            what = self.call or "all calls"
            self.rate.show_values(told.line.start_s, told.line.width_s, told.line.per_s, what)
            self.inside.show_values(told.line.start_s, told.line.width_s, told.line.inside, what)
        self._show_latencies(told)
        self._summarise(told)
        self._follow(self.call or self._selection.function)

    def _show_latencies(self, told: _Told) -> None:
        name = self.call or "all calls"
        self.latencies.title = f"Latencies of {name}"
        lines = [Distribution("window", name, told.latencies)]
        if told.latencies is not told.whole:
            lines = [
                Distribution("window", "what is chosen", told.latencies),
                Distribution("whole", "the whole log", told.whole),
            ]
        self.latencies.show_lines(tuple(lines), Choices())

    def _summarise(self, told: _Told) -> None:
        sums, trace = told.sums, self._trace
        calls = int(sums.calls.sum())
        parts = [f"{count(calls)} call{'' if calls == 1 else 's'}"]
        if sums.timed:
            parts.append(f"{nanoseconds(sums.whole_s * 1e9)} in calls")
        errors = int(sums.errors.sum())
        parts.append(f"{count(errors)} error{'' if errors == 1 else 's'}")
        if len(trace.threads) > 1:
            parts.append(f"{count(len(trace.threads))} threads")
        if self._length is not None:
            parts.append(seconds(self._length))
        if not sums.singles:
            parts.append("strace -c keeps no single calls: no percentiles, and nothing over time")
        self.said.set_text("  ·  ".join(parts))
        if not self.model.size():
            self.empty.say(*self._nothing(told))
        elif not self.model.rowCount():
            self.empty.say("Nothing matches the filter", f"None of {count(self.model.size())} lines. Escape clears it.")
        self._body.setCurrentIndex(0 if self.model.rowCount() else 1)

    def _nothing(self, told: _Told) -> tuple[str, str]:
        if not told.sums.singles:
            return "No single calls", "strace -c has summed them up. Keep every call to see files, peers and times."
        if self.axis.selection is not None or self._thread >= 0 or self._call >= 0:
            return (
                "None here",
                "No such call is of the chosen time, thread and name. Escape takes the last choice back.",
            )
        match told.page:
            case Page.BLOCKED if self._length is None:
                return "No times", "The log has no times, so nobody knows who waited at once. Record it with -ttt -T."
            case Page.BLOCKED:
                return "Nobody waited together", "No two threads were in a call on the same file, peer or lock at once."
            case Page.PLACES:
                return "No files or peers", "The log names none. Record it with -yy."
            case _:
                return "No system calls", "No call came back while strace looked."

    def _failed(self, error: TailflameError) -> None:
        self.empty.say(error.sentence, error.advice)
        self._body.setCurrentIndex(1)
        self.failed.emit(error)

    # parts that answer each other

    def _filtered(self, query: str) -> None:
        try:
            self.model.set_query(query)
        except PatternError as error:
            self.filter.complain(error)
            return
        self.filter.complain(None)
        if self._told is not None:
            self._summarise(self._told)

    def _find(self) -> None:
        self.filter.setFocus(Qt.FocusReason.ShortcutFocusReason)
        self.filter.selectAll()

    def _selected(self, function: str) -> None:
        if not function:
            return
        self._selection.select(function)
        if self.page is Page.CALLS:
            self.choose_call(function)

    def _follow(self, function: str) -> None:
        """Marks the line of a call that was chosen here or in another view."""
        if self.page is not Page.CALLS or self._told is None:
            return
        names = self._told.sums.names
        at = names.index(function) if function in names else NONE
        line = self.model.line_of(at) if at >= 0 else NONE
        if line != self.table.current_line():
            self.table.show_line(line)

    def _open(self, line: int) -> None:
        """Enter: a call in the flame graph; a file or peer by its calls; the moment of a single call."""
        function = str(self.model.index(line, 0).data(Role.FUNCTION))
        if self.page is Page.CALLS and function:
            if self._has_stacks:
                self.show_flame.emit(function)
        elif self.page is Page.SLOWEST:
            self.show_moment(line)

    def show_moment(self, line: int) -> None:
        """Brings the time of a single call into view in the plots."""
        shown = self.model.content.columns
        at = next((at for at, one in enumerate(shown) if one.column.title == "At, s"), NONE)
        if at < 0:
            return
        start = float(self.model.index(line, at).data(Role.RAW))
        took = float(self.model.index(line, 1).data(Role.RAW)) / 1e9
        room = max(took, (self._length or 1.0) / 200)
        self.axis.show_range(start - room, start + took + room)
        self.axis.point_at(start)

    def _menu(self, line: int, where: QPoint) -> None:
        menu = self.menu_for(line)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        menu.popup(where)

    def menu_for(self, line: int) -> QMenu:
        """What can be done with a line; -1: with the table."""
        menu = QMenu(self)
        index = self.model.index(line, 0)
        if index.isValid():
            text, function = str(index.data()), str(index.data(Role.FUNCTION))
            menu.addAction("Copy", lambda: QGuiApplication.clipboard().setText(text))
            if function:
                menu.addAction(f"Only {function}", partial(self.choose_call, function))
                if self._has_stacks:
                    menu.addAction("Show in the flame graph", partial(self.show_flame.emit, function))
                    menu.addAction("Who makes it", partial(self.show_callers.emit, function))
            if self.page is Page.SLOWEST and self._length is not None:
                menu.addAction("Show when it was", partial(self.show_moment, line))
            menu.addSeparator()
        copy = menu.addAction("Copy lines", self.table.copy)
        copy.setShortcut(QKeySequence.StandardKey.Copy)
        copy.setEnabled(bool(self.table.selected_lines()))
        menu.addAction("Copy table as shown", partial(self.table.copy, everything=True))
        return menu


def _moments(trace: SyscallTrace, zero_s: float) -> tuple[Moment, ...]:
    """Signals and ends of threads; of very many only those that were killed."""
    known = [event for event in trace.events if np.isfinite(event[0])]
    if len(known) > _MARKS:
        known = [event for event in known if event[2].startswith("killed")][:_MARKS]
    return tuple(
        Moment(time - zero_s, _told(thread_name(trace, thread), text.partition(" {")[0]), MomentKind.EVENT)
        for time, thread, text in known
    )


def _told(thread: str, text: str) -> str:
    """ "engine-0 (4711): SIGALRM"."""
    return f"{thread}: {text}" if thread else text


def _content(trace: SyscallTrace, choice: Choice, page: Page, sums: CallSums) -> Content:
    """The table of a page; without single calls only that of the calls has rows."""
    match page:
        case Page.CALLS:
            return by_call(sums)
        case Page.PLACES if len(trace):
            return by_place(sum_places(trace, choice, number=_ROWS))
        case Page.SLOWEST if len(trace):
            return by_duration(slowest(trace, choice, number=_ROWS))
        case Page.BLOCKED if len(trace):
            return by_overlap(blocked_together(trace, choice, number=_ROWS))
        case _:
            return Content((), 0)


def _rate(value: float) -> str:
    return count(round(value)) if value >= 100 else f"{value:.3g}"


def _threads(value: float) -> str:
    return f"{value:.3g}"
