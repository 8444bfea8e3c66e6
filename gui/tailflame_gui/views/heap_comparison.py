"""Two heaps compared: the figures of both runs, memory over time over each other, and the sites with their changes."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from PySide6.QtCore import QPoint, Qt, Signal
from PySide6.QtGui import QGuiApplication, QKeySequence, QShortcut
from PySide6.QtWidgets import QMenu, QSplitter, QStackedWidget, QWidget

from tailflame.analyse.counted_diff import COUNTED, change_text, delta_text
from tailflame.analyse.heap_diff import SiteDeltas, site_deltas, unlike
from tailflame.analyse.names import short
from tailflame.errors import TailflameError
from tailflame.model.heap import HeapTimeline
from tailflame.model.recording import Caution, Recording
from tailflame.units import MINUS, Unit, count, size
from tailflame_gui import tasks
from tailflame_gui.models.compared import comparison_cautions
from tailflame_gui.models.delta_model import Show
from tailflame_gui.models.heap_deltas import SiteDeltaModel, compared_figures
from tailflame_gui.models.heap_facts import estimated
from tailflame_gui.models.roles import Role
from tailflame_gui.widgets.busy_line import BusyLine
from tailflame_gui.widgets.caution_lines import CautionLines
from tailflame_gui.widgets.compare_parts import SideCard
from tailflame_gui.widgets.empty_state import EmptyState
from tailflame_gui.widgets.filter_field import FilterField
from tailflame_gui.widgets.flame_search import PatternError
from tailflame_gui.widgets.heap_compare_plot import HeapComparePlot
from tailflame_gui.widgets.heap_figures import FigureRow
from tailflame_gui.widgets.heap_plot import HeapPlot, axis_of
from tailflame_gui.widgets.heap_ruler import HeapRuler
from tailflame_gui.widgets.parts import ElidedLabel, Icon, column, copy_button, hairline, label, row
from tailflame_gui.widgets.segmented import Segmented
from tailflame_gui.widgets.table import Table
from tailflame_gui.widgets.verdict_lines import Verdict, VerdictLines

_TOLD = 3
_LOW = 96
"""Pixels of each of two plots."""
_WORTH = 0.01


class HeapComparison(QWidget):
    """open_source(file, line): a site is to be edited; failed(TailflameError)."""

    open_source = Signal(str, int)
    failed = Signal(object)

    def __init__(
        self,
        before: Recording,
        after: Recording,
        *,
        titles: tuple[str, str],
        commits: tuple[str, str] = ("", ""),
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        assert before.heap is not None and after.heap is not None, "the view is only made for two heaps"
        self._before, self._after = before, after
        self._heaps: tuple[HeapTimeline, HeapTimeline] = (before.heap, after.heap)
        self._latest = tasks.Latest(self)
        self.cards = (SideCard("Baseline"), SideCard("Candidate"))
        for card, side, title, commit in zip(self.cards, (before, after), titles, commits, strict=True):
            card.set_recording(side, title=title, commit=commit)
        self.verdict = VerdictLines()
        self.cautions = CautionLines()
        self.cautions.set_cautions(_cautions(before, after))
        self.figures = FigureRow()
        self.figures.show_figures(compared_figures(*self._heaps))
        self.plots = self._make_plots()
        self.filter = FilterField("Filter by function or file", icon="filter")
        self.show_rows: Segmented[Show] = Segmented(
            [
                (Show.ALL, "All", "Every site of either side."),
                (Show.BEYOND, "Changed", "Sites whose bytes or calls differ."),
            ]
        )
        self.summary = label("", "second")
        self.model = SiteDeltaModel(self)
        self.table = Table(self.model)
        self.table.setAccessibleName("Allocation sites, before and after")
        self.empty = EmptyState("equal", "", "")
        self.busy_line = BusyLine()
        self._arrange()
        self._connect()
        self._ask()

    @property
    def busy(self) -> bool:
        return self._latest.busy

    # how it is made

    def _make_plots(self) -> tuple[HeapPlot, ...]:
        """One over the other where time means the same; otherwise one below the other."""
        before, after = self._heaps
        if before.time_unit is after.time_unit:
            axis = axis_of(before, after)
            axis.setParent(self)
            both = HeapComparePlot(axis)
            both.set_heaps(before, after)
            return (both,)
        made = []
        for words, heap in (("Before", before), ("After", after)):
            axis = axis_of(heap)
            axis.setParent(self)
            plot = HeapPlot(axis, words)
            plot.set_heap(heap)
            plot.show_rss(False)  # it is the heaps that are compared
            plot.setMinimumHeight(_LOW)
            made.append(plot)
        top = max(plot.most for plot in made)
        for plot in made:
            plot.top = top
        return tuple(made)

    def _arrange(self) -> None:
        sides = row(spacing=12)
        sides.addWidget(self.cards[0], 1)
        sides.addWidget(Icon("arrow-right", "faint"))
        sides.addWidget(self.cards[1], 1)
        head = column(margins=(12, 8, 8, 4), spacing=4)
        head.addLayout(sides)
        head.addWidget(self.verdict)
        why = row(spacing=8)
        why.addWidget(Icon("info", "faint"))
        estimates = next((text for text in map(estimated, self._heaps) if text), "")
        why.addWidget(ElidedLabel(estimates or COUNTED, "small"), 1)
        head.addLayout(why)
        head.addWidget(self.cautions)
        over_time = QWidget()
        times = column(spacing=0)
        for plot, heap in zip(self.plots, self._heaps[::-1] if len(self.plots) == 1 else self._heaps, strict=False):
            ruler = HeapRuler(plot.axis)
            ruler.unit = heap.time_unit
            ruler.say("at the peak")
            times.addWidget(plot, 1)
            times.addWidget(ruler)
        over_time.setLayout(times)
        bar = row(margins=(12, 6, 8, 6), spacing=8)
        bar.addWidget(self.filter, 1)
        bar.addWidget(self.show_rows)
        bar.addWidget(self.summary)
        bar.addWidget(copy_button(self.table.copy))
        self._body = QStackedWidget()
        self._body.addWidget(self.table)
        self._body.addWidget(self.empty)
        listed = QWidget()
        below = column(spacing=0)
        below.addLayout(bar)
        below.addWidget(self.busy_line)
        below.addWidget(self._body, 1)
        listed.setLayout(below)
        self.splitter = QSplitter(Qt.Orientation.Vertical)
        self.splitter.addWidget(over_time)
        self.splitter.addWidget(listed)
        self.splitter.setStretchFactor(0, 2)
        self.splitter.setStretchFactor(1, 3)
        self.splitter.setChildrenCollapsible(False)
        page = column(spacing=0)
        page.addLayout(head)
        page.addWidget(hairline())
        page.addWidget(self.figures)
        page.addWidget(hairline())
        page.addWidget(self.splitter, 1)
        self.setLayout(page)
        self.setProperty("surface", "surface")
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self.setFocusProxy(self.table)

    def _connect(self) -> None:
        self._latest.busy_changed.connect(self.busy_line.set_busy)
        self.filter.query_changed.connect(self._filtered)
        self.filter.left.connect(self.table.setFocus)
        self.show_rows.chosen.connect(self._shown)
        self.table.opened.connect(self._open)
        self.table.menu_requested.connect(self._menu)
        self.verdict.chosen.connect(self.show_function)
        find = QShortcut(QKeySequence(QKeySequence.StandardKey.Find), self)
        find.setContext(Qt.ShortcutContext.WindowShortcut)  # of hidden tabs none is active
        find.setWhatsThis("Filter the allocation sites")
        find.activated.connect(self._find)

    # what is shown

    def _ask(self) -> None:
        before, after = self._before, self._after

        def work(_progress: tasks.Progress) -> SiteDeltas | None:
            return site_deltas(before, after)

        self._latest.ask(work, self._show, name="compare where memory is allocated", on_error=self._failed)

    def _show(self, deltas: SiteDeltas | None) -> None:
        self.verdict.set_verdicts(verdicts(*self._heaps, deltas))
        if deltas is None:
            without = self._before if self._before.profile is None else self._after
            self._say("No call trees to compare", f"{without.source} does not tell which code asked for memory.")
            return
        self.model.set_deltas(deltas)
        self._summarise()

    def show_function(self, function: str) -> None:
        """Brings a site into view, whatever is filtered."""
        deltas = self.model.deltas
        if deltas is None or function not in deltas.names:
            return
        at = deltas.names.index(function)
        if self.model.line_of(at) < 0:
            self.show_rows.choose(Show.ALL)
            self.model.set_changed_only(False)
            self.filter.set_query("")
        self.table.show_line(self.model.line_of(at))
        self.table.setFocus(Qt.FocusReason.OtherFocusReason)

    def _shown(self, show: Show) -> None:
        self.model.set_changed_only(show is Show.BEYOND)
        self._summarise()

    def _filtered(self, query: str) -> None:
        try:
            self.model.set_query(query)
        except PatternError as error:
            self.filter.complain(error)
            return
        self.filter.complain(None)
        self._summarise()

    def _summarise(self) -> None:
        if self.model.deltas is None:
            return
        shown, every, changed = self.model.rowCount(), self.model.size(), int(self.model.changed().sum())
        of = f"{count(shown)} of " if shown != every else ""
        self.summary.setText(f"{of}{count(every)} site{'' if every == 1 else 's'}, {count(changed)} changed")
        if not every:
            self._say("No sites", "Neither side allocates anything that has a call stack.")
        elif not shown and not changed and self.show_rows.choice is Show.BEYOND:
            self._say("Nothing changed", "Every site asks for the same on both sides.")
        elif not shown:
            self._say("Nothing matches", "No site matches the filter. Escape clears it.")
        else:
            self._body.setCurrentIndex(0)

    def _say(self, title: str, text: str) -> None:
        self.empty.say(title, text)
        self._body.setCurrentIndex(1)

    def _failed(self, error: TailflameError) -> None:
        self._say(error.sentence, error.advice)
        self.failed.emit(error)

    # parts that answer

    def _find(self) -> None:
        self.filter.setFocus(Qt.FocusReason.ShortcutFocusReason)
        self.filter.selectAll()

    def _open(self, line: int) -> None:
        file, at = self.model.index(line, 0).data(Role.PLACE)
        if file:
            self.open_source.emit(file, at)

    def _menu(self, line: int, where: QPoint) -> None:
        menu = self.menu_for(line)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        menu.popup(where)

    def menu_for(self, line: int) -> QMenu:
        """What can be done with a site; -1: with the table."""
        menu = QMenu(self)
        index = self.model.index(line, 0)
        if index.isValid():
            name = str(index.data(Role.FUNCTION))
            menu.addAction("Copy name", lambda: QGuiApplication.clipboard().setText(name))
            source = menu.addAction("Open source", partial(self._open, line))
            source.setEnabled(bool(index.data(Role.PLACE)[0]))
            menu.addSeparator()
        copy = menu.addAction("Copy lines", self.table.copy)
        copy.setShortcut(QKeySequence.StandardKey.Copy)
        copy.setEnabled(bool(self.table.selected_lines()))
        menu.addAction("Copy table as shown", partial(self.table.copy, everything=True))
        return menu


def verdicts(before: HeapTimeline, after: HeapTimeline, deltas: SiteDeltas | None) -> tuple[Verdict, ...]:
    """The peak and what leaked in sentences, each with the site that moved it most."""
    found = []
    for name, attribute, column_ in (("In use at the peak", "peak", "peak"), ("Leaked", "leaked", "leaked")):
        b, a = getattr(before.facts, attribute), getattr(after.facts, attribute)
        if attribute == "peak" and (b is None or a is None) and deltas is not None and "peak" in deltas.known:
            name, (b, a) = "In use", (float(side.sum()) for side in deltas.sides("peak"))
        if b is None or a is None:
            continue
        sign = (a > b) - (a < b)
        if not sign:
            words = f"{name}: {size(a)} on both sides"
        elif size(b) == size(a):
            words = f"{name}: {size(a)} ({delta_text(a - b, Unit.BYTES, '')})"
        else:
            words = f"{name}: {size(b)} to {size(a)} ({change_text(b, a)})"
        movers = _movers(deltas, column_, least=_WORTH * max(b, a))
        function = movers[0][0] if movers else ""
        told = ", ".join(f"{short(site)} {delta_text(delta, Unit.BYTES, '')}" for site, delta in movers)
        found.append(Verdict(f"{words}{f'; {told}' if told else ''}.", function, sign))
    b, a = before.facts.allocations, after.facts.allocations
    if b is not None and a is not None and a != b:
        movers = _movers(deltas, "allocations", least=_WORTH * max(b, a))
        told = ", ".join(f"{short(s)} {'+' if d > 0 else MINUS}{count(round(abs(d)))}" for s, d in movers)
        words = (
            f"Allocations: {count(round(b))} to {count(round(a))} ({change_text(b, a)}){f'; {told}' if told else ''}."
        )
        found.append(Verdict(words, movers[0][0] if movers else "", 1 if a > b else -1))
    return tuple(found)


def _movers(deltas: SiteDeltas | None, name: str, *, least: float) -> Sequence[tuple[str, float]]:
    """(function, change) of the sites that moved a figure most."""
    if deltas is None or name not in deltas.known:
        return ()
    before, after = deltas.sides(name)
    moved = [(deltas.names[i], float(after[i] - before[i])) for i in range(len(deltas))]
    return sorted((m for m in moved if abs(m[1]) >= max(least, 1.0)), key=lambda mover: -abs(mover[1]))[:_TOLD]


def _cautions(before: Recording, after: Recording) -> list[Caution]:
    lines = list(comparison_cautions(before, after))
    assert before.heap is not None and after.heap is not None
    if told := unlike(before.heap, after.heap):
        lines.append(Caution(told, "Record both sides with the same options."))
    if before.heap.time_unit is not after.heap.time_unit:
        lines.append(Caution("Time is measured in different units: the two plots stand below each other."))
    for word, side in (("Baseline", before), ("Candidate", after)):
        lines += [Caution(f"{word}: {caution.text}", caution.fix) for caution in side.warnings]
    return lines
