"""Memory: how much was in use over time, the snapshots, which code asked for it, what is temporary, what leaked."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from functools import partial

from PySide6.QtCore import QPoint, Qt, Signal
from PySide6.QtGui import QGuiApplication, QKeySequence, QResizeEvent, QShortcut
from PySide6.QtWidgets import QFrame, QMenu, QSplitter, QStackedWidget, QWidget

from tailflame.analyse.heap_diff import as_peak
from tailflame.analyse.heap_events import is_at_peak, peak_event
from tailflame.analyse.heap_findings import FindingKind, event_of, findings
from tailflame.analyse.reading import Sentence
from tailflame.errors import TailflameError
from tailflame.model.heap import Counted, HeapTimeline
from tailflame.model.recording import Recording
from tailflame.model.stacks import NONE, StackProfile, Weight
from tailflame.units import count
from tailflame_gui import tasks
from tailflame_gui.models.heap_facts import estimated, heap_figures, time_text
from tailflame_gui.models.heap_sites import (
    EVENT_OF,
    WEIGHT_OF,
    Question,
    SiteModel,
    SiteTable,
    question_of,
    questions_of,
    site_table,
)
from tailflame_gui.models.roles import Role
from tailflame_gui.models.scope import ResultScope, Scope, amount_text
from tailflame_gui.record_model import Choice
from tailflame_gui.selection import Selection
from tailflame_gui.views.reading_panel import ReadingPanel
from tailflame_gui.widgets.busy_line import BusyLine
from tailflame_gui.widgets.choice_bar import ChoiceBar
from tailflame_gui.widgets.empty_state import EmptyState
from tailflame_gui.widgets.filter_field import FilterField
from tailflame_gui.widgets.flame_search import PatternError
from tailflame_gui.widgets.heap_figures import FigureRow
from tailflame_gui.widgets.heap_plot import HeapPlot, axis_of
from tailflame_gui.widgets.heap_rate_plot import RatePlot
from tailflame_gui.widgets.heap_ruler import HeapRuler
from tailflame_gui.widgets.heap_sizes import SizesPlot
from tailflame_gui.widgets.parts import ElidedLabel, button, column, copy_button, hairline, label, row
from tailflame_gui.widgets.segmented import Segmented
from tailflame_gui.widgets.table import Table

_SIDE, _LEAST_SIDE = 340, 224
_WORDS = {
    Question.BYTES: ("By bytes", "What was in use at the peak, or in the snapshot that is chosen."),
    Question.CALLS: ("By calls", "How often which code allocated."),
    Question.TEMPORARY: (
        "Temporary",
        "Freed before anything else was allocated: candidates for a pool come first.",
    ),
    Question.LEAKED: ("Leaked", "What was never freed, without what is suppressed."),
}
_NOTHING = {
    Question.BYTES: ("Nothing was in use", "No byte of this snapshot has a call stack."),
    Question.CALLS: ("No allocations", "The program allocated nothing."),
    Question.TEMPORARY: (
        "Nothing temporary",
        "Nothing was freed before the next allocation: no pool is needed.",
    ),
    Question.LEAKED: ("Nothing leaked", "Everything was freed, or is suppressed."),
}


_UNNAMED = "This file tells how much memory was in use, but not which code asked for it."
_NO_TREES = {
    Counted.BLOCKS: _UNNAMED,
    Counted.PAGES: _UNNAMED,
    Counted.STACKS: "massif tells how much the stacks held, but not of which code.",
}


class Beside(StrEnum):
    """What stands beside the sites."""

    FINDINGS = "findings"
    SIZES = "sizes"


@dataclass(frozen=True, slots=True, eq=False)
class _Told:
    """What a worker has made."""

    table: SiteTable
    sentences: tuple[Sentence, ...]


class HeapView(QWidget):
    """event_wanted(event): the stack views are to show another call tree. show_flame, show_callers, show_source
    (function), open_source(file, line): what the user wants to see next. failed(TailflameError).
    """

    event_wanted = Signal(int)
    show_flame = Signal(str)
    show_callers = Signal(str)
    show_source = Signal(str)
    open_source = Signal(str, int)
    failed = Signal(object)

    def __init__(
        self, recording: Recording, *, selection: Selection, scope: ResultScope, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        assert recording.heap is not None, "the part is only made for recordings with a heap"
        self._recording, self._selection, self._scope = recording, selection, scope
        self._heap: HeapTimeline = recording.heap
        self._profile: StackProfile | None = recording.profile
        self._snapshot = peak_event(recording)
        """The event that BYTES is asked of."""
        self._row_of = {int(self._heap.event[row]): row for row in self._heap.rows_with_stacks()}
        self._stale = True
        self._latest = tasks.Latest(self)
        self._sentences: tuple[Sentence, ...] | None = None
        self._make()
        self._arrange()
        self._connect()
        self._follow_scope(scope.scope)

    # what others ask

    @property
    def busy(self) -> bool:
        return self._latest.busy

    @property
    def question(self) -> Question:
        return Question(self.questions.value)

    @property
    def shown_event(self) -> int:
        """The event whose sites are shown, -1 for none."""
        if self._profile is None:
            return NONE
        name = EVENT_OF.get(self.question)
        return self._snapshot if name is None else event_of(self._profile, name)

    def ask(self, question: Question) -> None:
        """Shows the sites that answer it; the stack views show the same."""
        self.questions.choose(question)
        self._want()

    def choose_row(self, row: int) -> None:
        """Shows the call tree of a snapshot in every view."""
        event = int(self._heap.event[row])
        if event >= 0:
            self._snapshot = event
            self.questions.choose(Question.BYTES)
            self._want()

    # how it is made

    def _make(self) -> None:
        heap = self._heap
        self.figures = FigureRow()
        self.figures.show_figures(heap_figures(heap))
        self.note = label(estimated(heap), "second")
        self.axis = axis_of(heap)
        self.axis.setParent(self)
        self.plot = HeapPlot(self.axis)
        self.plot.set_heap(heap)
        self.rate = RatePlot(self.axis)
        self.rate.set_heap(heap)
        self.ruler = HeapRuler(self.axis)
        self.ruler.unit = heap.time_unit
        off = questions_of(self._profile)
        self.questions = ChoiceBar(
            "What is asked",
            [Choice(q, words, tip, not off[q], off[q]) for q, (words, tip) in _WORDS.items()],
        )
        self.questions.choose(Question.BYTES)
        self.shown = ElidedLabel("", "heading")
        self.filter = FilterField("Filter by function or file", icon="filter")
        self.to_flame = button(
            "Flame graph", self._open_flame, icon="flame", tip="See this as a flame graph (Enter in the plot)"
        )
        self.to_flame.setEnabled(self._profile is not None)
        self.model = SiteModel(self)
        self.table = Table(self.model)
        self.table.setAccessibleName("Allocation sites")
        self.reading = ReadingPanel()
        self.reading.setFrameShape(QFrame.Shape.NoFrame)
        self.sizes = SizesPlot()
        self.sizes.set_heap(heap)
        self.beside: Segmented[Beside] = Segmented(
            [
                (Beside.FINDINGS, "What stands out", "Leaks, temporary allocations and what the peak is made of."),
                (Beside.SIZES, "Sizes", "How large allocations are."),
            ]
        )
        self.empty = EmptyState("table-2", "", "")
        self.busy_line = BusyLine()

    def _arrange(self) -> None:
        over_time = QWidget()
        plots = column(spacing=0)
        plots.addWidget(self.plot, 3)
        plots.addWidget(self.rate, 1)
        plots.addWidget(self.ruler)
        over_time.setLayout(plots)
        self.rate.setVisible(bool(len(self.rate.rate)))
        self._plots = over_time
        bar = row(margins=(12, 6, 8, 6), spacing=8)
        bar.addWidget(self.questions)
        bar.addWidget(self.shown, 1)
        bar.addWidget(self.filter)
        self.filter.setFixedWidth(208)
        bar.addWidget(self.to_flame)
        bar.addWidget(copy_button(self.table.copy))
        self._body = QStackedWidget()
        self._body.addWidget(self.table)
        self._body.addWidget(self.empty)
        listed = QWidget()
        left = column(spacing=0)
        left.addWidget(self._body, 1)
        listed.setLayout(left)
        self._side = side = QWidget()
        side.setProperty("surface", "surface")
        right = column(spacing=0)
        choice = row(margins=(12, 4, 12, 4))
        choice.addWidget(self.beside)
        choice.addStretch()
        right.addLayout(choice)
        self._beside = QStackedWidget()
        self._beside.addWidget(self.reading)
        self._beside.addWidget(self.sizes)
        right.addWidget(self._beside, 1)
        side.setLayout(right)
        self.beside.setVisible(bool(self.sizes.lines))
        self._below = QSplitter(Qt.Orientation.Horizontal)
        self._below.addWidget(listed)
        self._below.addWidget(side)
        self._below.setStretchFactor(0, 1)
        self._below.setCollapsible(0, False)
        self._below.setSizes([10_000, _SIDE])
        self.splitter = QSplitter(Qt.Orientation.Vertical)
        self.splitter.addWidget(over_time)
        lower = QWidget()
        sites = column(spacing=0)
        sites.addLayout(bar)
        sites.addWidget(self.busy_line)
        sites.addWidget(self._below, 1)
        lower.setLayout(sites)
        self.splitter.addWidget(lower)
        self.splitter.setStretchFactor(0, 2)
        self.splitter.setStretchFactor(1, 3)
        self.splitter.setChildrenCollapsible(False)
        page = column(spacing=0)
        page.addWidget(self.figures)
        if self.note.text():
            said = row(margins=(16, 0, 16, 4))
            said.addWidget(self.note)
            page.addLayout(said)
        else:
            self.note.setParent(self)
            self.note.hide()
        page.addWidget(hairline())
        page.addWidget(self.splitter, 1)
        self.setLayout(page)
        self.setProperty("surface", "surface")
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self.setFocusProxy(self.plot)

    def _connect(self) -> None:
        self._latest.busy_changed.connect(self.busy_line.set_busy)
        self.beside.chosen.connect(lambda shown: self._beside.setCurrentIndex(1 if shown is Beside.SIZES else 0))
        self.plot.chosen.connect(self.choose_row)
        self.plot.opened.connect(lambda row: self._open_row(row))
        self.questions.chosen.connect(lambda _value: self._want())
        self.filter.query_changed.connect(self._filtered)
        self.filter.left.connect(self.table.setFocus)
        self.table.current_changed.connect(self._selected)
        self.table.hovered.connect(self._selection.hover)
        self.table.opened.connect(self._open_site)
        self.table.menu_requested.connect(self._menu)
        self.reading.chosen.connect(self._read)
        self._selection.changed.connect(self._follow)
        self._scope.changed.connect(self._follow_scope)
        for keys, act, words in (
            ("Ctrl+F", self._find, "Filter the allocation sites"),
            ("Ctrl+Return", self._open_flame, "Show this memory as a flame graph"),
            ("Alt+P", self.show_peak, "Go to the peak"),
            ("Alt+B", partial(self._asked, Question.BYTES), "Sites by bytes in use"),
            ("Alt+C", partial(self._asked, Question.CALLS), "Sites by calls of the allocator"),
            ("Alt+T", partial(self._asked, Question.TEMPORARY), "Sites of temporary allocations"),
            ("Alt+L", partial(self._asked, Question.LEAKED), "Sites that leak"),
        ):
            shortcut = QShortcut(QKeySequence(keys), self)
            shortcut.setContext(Qt.ShortcutContext.WindowShortcut)  # of hidden tabs none is active
            shortcut.setWhatsThis(words)
            shortcut.activated.connect(act)

    # what is shown

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._side.setMaximumWidth(min(_SIDE, max(event.size().width() // 3, _LEAST_SIDE)))

    def showEvent(self, event: object) -> None:
        if self._stale:
            self._ask()

    def show_peak(self) -> None:
        """Shows what was in use at the peak."""
        peak = peak_event(self._recording)
        if peak >= 0:
            self._snapshot = peak
            self.questions.choose(Question.BYTES)
            self._want()
        self.axis.set_span(None)

    def _asked(self, question: Question) -> None:
        if not questions_of(self._profile)[question]:
            self.ask(question)

    def _want(self) -> None:
        """Every view shows what is shown here."""
        profile, event = self._profile, self.shown_event
        if profile is None or event < 0:
            return
        self.event_wanted.emit(event)
        weight = WEIGHT_OF.get(self.question, Weight.PERIOD)
        if not profile.events[event].has_period:
            weight = Weight.SAMPLES
        scope = self._scope.scope
        if (scope.event, scope.weight) != (event, weight):
            self._scope.set(replace(scope, event=event, weight=weight))
        self._show_event()

    def _follow_scope(self, scope: Scope) -> None:
        """Another view has chosen an event."""
        profile = self._profile
        if profile is None:
            self._show_event()
            return
        if scope.event != self.shown_event or not self.shown.whole:
            question = question_of(profile, scope.event)
            if question is Question.BYTES:
                self._snapshot = scope.event
            self.questions.choose(question)
            self._show_event()

    def _show_event(self) -> None:
        profile, event = self._profile, self.shown_event
        row_ = self._row_of.get(event, NONE)
        self.plot.choose(row_)
        if profile is None or event < 0:
            self.shown.set_text("")
            self.ruler.say("at the peak")
            self._say("No call trees", _NO_TREES[self._heap.counted])
            return
        at = f"at {time_text(float(self._heap.time[row_]), self._heap.time_unit)}" if row_ >= 0 else ""
        self.ruler.say(at or "at the peak")
        totals = [profile.total(event=event, weight=weight) for weight in (Weight.SAMPLES, Weight.PERIOD)]
        how_much = amount_text(profile, event, counts=totals[0], weight=totals[1])
        if self.question in WEIGHT_OF:
            how_much = f"{count(round(totals[0]))} {profile.events[event].counted_in.value}"
        self.shown.set_text("  ·  ".join(part for part in (profile.events[event].name, how_much, at) if part))
        self._ask()

    def _ask(self) -> None:
        """The table is made when it is looked at, not before."""
        self._stale = True
        profile, heap, event, question = self._profile, self._heap, self.shown_event, self.question
        if profile is None or event < 0 or not self.isVisible():
            return
        self._stale = False
        known, recording = self._sentences, self._recording

        def work(_progress: tasks.Progress) -> _Told:
            sentences = known if known is not None else _sentences(recording, heap, profile)
            return _Told(site_table(profile, heap, question, event), sentences)

        self._latest.ask(work, self._show, name="find where memory is allocated", on_error=self._failed)

    def _show(self, told: _Told) -> None:
        self.model.set_table(told.table)
        header = self.table.horizontalHeader()
        if header.sortIndicatorSection() >= self.model.columnCount():
            self.table.sortByColumn(-1, Qt.SortOrder.DescendingOrder)
        if told.sentences is not self._sentences:
            self._sentences = told.sentences
            self.reading.set_sentences(told.sentences, note="Nothing stands out.")
            self._side.setVisible(bool(told.sentences or self.sizes.lines))
        self._summarise()
        self._follow(self._selection.function)

    def _summarise(self) -> None:
        if not self.model.size():
            self._say(*_NOTHING[self.question])
        elif not self.model.rowCount():
            every = count(self.model.size())
            self._say("Nothing matches the filter", f"None of {every} sites matches. Escape clears it.")
        else:
            self._body.setCurrentIndex(0)

    def _say(self, title: str, text: str) -> None:
        self.empty.say(title, text)
        self._body.setCurrentIndex(1)

    def _failed(self, error: TailflameError) -> None:
        self._say(error.sentence, error.advice)
        self.failed.emit(error)

    # parts that answer each other

    def _filtered(self, query: str) -> None:
        try:
            self.model.set_query(query)
        except PatternError as error:
            self.filter.complain(error)
            return
        self.filter.complain(None)
        if self.model.table is not None:
            self._summarise()
            self._follow(self._selection.function)

    def _find(self) -> None:
        self.filter.setFocus(Qt.FocusReason.ShortcutFocusReason)
        self.filter.selectAll()

    def _selected(self, function: str) -> None:
        if function:
            self._selection.select(function)

    def _follow(self, function: str) -> None:
        current = self.table.current_line()
        if current >= 0 and self.model.index(current, 0).data(Role.FUNCTION) == function:
            return  # of several lines of one function the user has chosen this one
        at = self.model.row_of(function) if function else NONE
        line = self.model.line_of(at) if at >= 0 else NONE
        if line != current:
            self.table.show_line(line)

    def _open_row(self, row_: int) -> None:
        self.choose_row(row_)
        self._open_flame()

    def _open_flame(self) -> None:
        if self.shown_event >= 0:
            self._want()
            self.show_flame.emit(self._selection.function)

    def _open_site(self, line: int) -> None:
        self._selection.select(str(self.model.index(line, 0).data(Role.FUNCTION)))
        self._open_flame()

    def _read(self, at: int) -> None:
        """A sentence was clicked: the sites it speaks of, with its function."""
        assert self._sentences is not None and self._profile is not None
        sentence = self._sentences[at]
        event = sentence.node
        if event >= 0:
            question = question_of(self._profile, event)
            if question is Question.BYTES:
                self._snapshot = event
            self.questions.choose(question)
            self._want()
        self._selection.select(sentence.function)

    def _menu(self, line: int, where: QPoint) -> None:
        menu = self.menu_for(line)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        menu.popup(where)

    def menu_for(self, line: int) -> QMenu:
        """What can be done with a site; -1: with the table."""
        menu = QMenu(self)
        index = self.model.index(line, 0)
        if index.isValid():
            function = str(index.data(Role.FUNCTION))
            file, at = index.data(Role.PLACE)
            menu.addAction("Copy name", lambda: QGuiApplication.clipboard().setText(function))
            menu.addAction("Show in the flame graph", partial(self._open_site, line))
            menu.addAction("Callers and callees", partial(self.show_callers.emit, function))
            menu.addAction("Source and assembly", partial(self.show_source.emit, function))
            source = menu.addAction("Open source", partial(self.open_source.emit, file, at))
            source.setEnabled(bool(file))
            menu.addSeparator()
        copy = menu.addAction("Copy lines", self.table.copy)
        copy.setShortcut(QKeySequence.StandardKey.Copy)
        copy.setEnabled(bool(self.table.selected_lines()))
        menu.addAction("Copy table as shown", partial(self.table.copy, everything=True))
        return menu


def _sentences(recording: Recording, heap: HeapTimeline, profile: StackProfile) -> tuple[Sentence, ...]:
    """What stands out, as sentences that name a function; `node` is the event that shows it."""
    peak = peak_event(recording)
    at_peak = peak >= 0 and heap.facts.peak is not None and is_at_peak(recording, peak)
    told = as_peak(profile, peak) if peak >= 0 else profile
    return tuple(
        Sentence(
            finding.heading,
            finding.text,
            profile.frames.name_of(finding.frame) if finding.frame >= 0 else "",
            event_of(told, finding.event) if finding.event else NONE,
        )
        for finding in findings(heap, told, heap.suppressions)
        if at_peak or finding.kind is not FindingKind.PEAK
    )
