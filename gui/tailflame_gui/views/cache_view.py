"""Caches: the program's miss rates against the targets, what costs what, and the source beside it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from PySide6.QtCore import QPoint, Qt, Signal
from PySide6.QtGui import QGuiApplication, QKeySequence, QShortcut
from PySide6.QtWidgets import QFrame, QMenu, QSplitter, QStackedWidget, QToolButton, QWidget

from tailflame.analyse.cache_rates import CostBy, CostRows, cost_rows, program_rates
from tailflame.analyse.names import plain as plain_name
from tailflame.errors import TailflameError
from tailflame.model import CostTable, CounterSeries, Recording
from tailflame.model.stacks import NONE
from tailflame.units import count
from tailflame_gui import icons, plain, tasks
from tailflame_gui.models.cache_figures import (
    figures_at_first,
    figures_of,
    leading_figure,
    notes_text,
    rate_tiles,
)
from tailflame_gui.models.cache_table import CacheModel
from tailflame_gui.models.roles import Role
from tailflame_gui.models.scope import ResultScope, Scope
from tailflame_gui.selection import Selection
from tailflame_gui.views.cache_band import CacheBand
from tailflame_gui.views.cache_source import CacheSource
from tailflame_gui.widgets.busy_line import BusyLine
from tailflame_gui.widgets.empty_state import EmptyState
from tailflame_gui.widgets.filter_field import FilterField
from tailflame_gui.widgets.flame_search import PatternError
from tailflame_gui.widgets.parts import ElidedLabel, Icon, column, copy_button, hairline, label, row
from tailflame_gui.widgets.segmented import Segmented
from tailflame_gui.widgets.table import Table

_MOST_FILES = 12
_BY = (
    (CostBy.FUNCTION, "Functions", "Each function with the code that is inlined into it."),
    (CostBy.FILE, "Files", "Each source file."),
    (CostBy.LINE, "Lines", "Each line of a source file, whatever function it is in."),
)
_SIMULATED = (
    "cachegrind and callgrind simulate two levels of caches: the first, and the last. They know neither prefetching nor"
    " other threads. Where the last-level cache is not your processor's, record with --LL=size,ways,line."
)


@dataclass(frozen=True, slots=True, eq=False)
class _Files:
    """The files of each function, its own first."""

    of: dict[str, tuple[str, ...]]


class CacheView(QWidget):
    """event_wanted(event): the views of stacks are to show another cost. show_flame, show_callers,
    show_source(function), open_source(file, line): what the user wants to see next. failed(TailflameError).
    `source_view` is answered as a SourceView is.
    """

    event_wanted = Signal(int)
    show_flame = Signal(str)
    show_callers = Signal(str)
    show_source = Signal(str)
    open_source = Signal(str, int)
    failed = Signal(object)

    band: CacheBand
    source_view: CacheSource

    def __init__(
        self, recording: Recording, *, selection: Selection, scope: ResultScope, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        assert recording.costs is not None, "the part is only made for recordings with costs"
        self._recording, self._selection, self._scope = recording, selection, scope
        self._costs: CostTable = recording.costs
        self._has_stacks = recording.profile is not None
        self._profile_events = [event.name for event in recording.profile.events] if recording.profile else []
        self._every = figures_of(self._costs)
        self._shown = list(figures_at_first(self._costs))
        self._figure = leading_figure(self._costs)
        self._files: _Files | None = None
        self._rows: dict[CostBy, CostRows] = {}
        self._stale = True
        self._latest = tasks.Latest(self)
        self._make()
        self._arrange()
        self._connect()
        self.source_view.set_figure(self._figure)

    @property
    def busy(self) -> bool:
        return self._latest.busy or self.source_view.busy

    @property
    def by(self) -> CostBy:
        return self.choice.choice

    @property
    def figure(self) -> str:
        """The key of what stands beside the lines of the source."""
        return self._figure

    def show_by(self, by: CostBy) -> None:
        self.choice.choose(by)
        self._ask()

    def show_figure(self, key: str) -> None:
        """Beside the lines of the source, and as the event of the other views where it is one."""
        if key == self._figure or all(figure.key != key for figure in self._every):
            return
        self._figure = key
        self.source_view.set_figure(key)
        if key in self._profile_events and self._profile_events.index(key) != self._scope.scope.event:
            self.event_wanted.emit(self._profile_events.index(key))

    def show_function(self, function: str) -> None:
        """Brings a function's line into view, whatever is filtered."""
        at = self.model.row_of(function)
        if at >= 0 and self.model.line_of(at) < 0:
            self.filter.set_query("")
        line = self.model.line_of(at) if at >= 0 else NONE
        if line >= 0:
            self.table.selectRow(line)

    def set_real_counters(self, counters: CounterSeries, counted_in: str = "") -> None:
        """What the processor counted of the same program, in the named result, stands beside what was simulated."""
        rates = program_rates(self._costs, counters)
        fresh = CacheBand(rate_tiles(rates, real=self._costs.real, counted_in=counted_in))
        layout = self.layout()
        assert layout is not None
        before, self.band = self.band, fresh
        layout.replaceWidget(before, fresh)
        before.deleteLater()

    def set_columns(self, keys: tuple[str, ...]) -> None:
        """The figures that are columns; new ones stand behind those that are there."""
        kept = [key for key in self._shown if key in keys]
        self._shown = kept + [figure.key for figure in self._every if figure.key in keys and figure.key not in kept]
        if self.model.rows is not None:
            self._fill(self.model.rows)

    # how it is made

    def _make(self) -> None:
        self.band = CacheBand(rate_tiles(program_rates(self._costs, self._recording.counters), real=self._costs.real))
        notes = notes_text(self._costs.notes)
        self.notes = ElidedLabel(f"Simulated caches: {notes}" if notes else "", "small")
        self._notes = QWidget()
        line = row(margins=(16, 0, 16, 6), spacing=6)
        line.addWidget(Icon("info"))
        line.addWidget(self.notes, 1)
        self._notes.setLayout(line)
        self._notes.setToolTip(plain.tip("\n".join((*self._costs.notes, _SIMULATED))))
        self._notes.setVisible(bool(notes))
        self.model = CacheModel(self)
        self.table = Table(self.model)
        self.table.setAccessibleName("Costs")
        self.table.setFrameShape(QFrame.Shape.NoFrame)
        self.choice: Segmented[CostBy] = Segmented(_BY)
        self.filter = FilterField("Filter by function or file", icon="filter")
        self.columns = QToolButton()
        self.columns.setIcon(icons.icon("columns-2"))
        self.columns.setToolTip("Choose the columns: any event, what is reckoned of them, any rate")
        self.columns.setAccessibleName("Columns")
        self.columns.clicked.connect(self._choose_columns)
        self.summary = label("", "second")
        self.source_view = CacheSource(self._costs, self._every)

    def _arrange(self) -> None:
        busy = BusyLine()
        self._latest.busy_changed.connect(busy.set_busy)
        bar = row(margins=(12, 6, 8, 6), spacing=8)
        bar.addWidget(self.choice)
        bar.addWidget(self.filter, 1)
        bar.addWidget(self.summary)
        bar.addWidget(self.columns)
        bar.addWidget(copy_button(self.table.copy))
        self._empty = EmptyState("layers", "Nothing was counted", "The result holds no costs.")
        self._body = QStackedWidget()
        self._body.addWidget(self.table)
        self._body.addWidget(self._empty)
        left = QWidget()
        lines = column(spacing=0)
        lines.addLayout(bar)
        lines.addWidget(busy)
        lines.addWidget(self._body, 1)
        left.setLayout(lines)
        self.splitter = QSplitter(Qt.Orientation.Horizontal)
        self.splitter.addWidget(left)
        self.splitter.addWidget(self.source_view)
        self.splitter.setStretchFactor(0, 3)
        self.splitter.setStretchFactor(1, 2)
        self.splitter.setChildrenCollapsible(False)
        page = column(spacing=0)
        page.addWidget(self.band)
        page.addWidget(self._notes)
        page.addWidget(hairline())
        page.addWidget(self.splitter, 1)
        self.setLayout(page)
        self.setFocusProxy(self.table)

    def _connect(self) -> None:
        self.choice.chosen.connect(lambda _by: self._ask())
        self.filter.query_changed.connect(self._filtered)
        self.filter.left.connect(self.table.setFocus)
        self.table.selectionModel().currentRowChanged.connect(lambda index, _before: self._selected(index.row()))
        self.table.hovered.connect(self._selection.hover)
        self.table.opened.connect(self._open)
        self.table.menu_requested.connect(self._menu)
        self.table.horizontalHeader().sortIndicatorChanged.connect(self._sorted)
        self.source_view.figure_chosen.connect(self.show_figure)
        self.source_view.open_source.connect(self.open_source)
        self.source_view.find_wanted.connect(self._find)
        self._selection.changed.connect(self._follow)
        self._scope.changed.connect(self._follow_scope)
        find = QShortcut(QKeySequence(QKeySequence.StandardKey.Find), self)
        find.setContext(Qt.ShortcutContext.WindowShortcut)  # of hidden tabs none is active
        find.activated.connect(self._find)

    # what it shows

    def showEvent(self, event: object) -> None:
        if self._stale:
            self._ask()

    def _ask(self) -> None:
        """The table is added up when it is looked at, not before."""
        self._stale = True
        if not self.isVisible():
            return
        self._stale = False
        costs, by, known, files = self._costs, self.by, self._rows.get(self.by), self._files

        def work(_progress: tasks.Progress) -> tuple[CostRows, _Files]:
            return known or cost_rows(costs, by), files or _files_of(costs)

        def answer(made: tuple[CostRows, _Files]) -> None:
            self._rows[by], self._files = made
            self._fill(made[0])

        self._latest.ask(work, answer, name="add up costs", on_error=self._failed)

    def _fill(self, rows: CostRows) -> None:
        before = self.model.columns
        header = self.table.horizontalHeader()
        at = header.sortIndicatorSection()
        sorted_by = self.model.figures[at - 1].key if 0 < at <= len(self.model.figures) else self._leading()
        wanted = {figure.key: figure for figure in self._every}
        self.model.set_rows(rows, [wanted[key] for key in self._shown])
        column_at = self.model.column_of(sorted_by)
        if not before or column_at != at:
            self.table.sortByColumn(max(column_at, 1 if self._shown else 0), Qt.SortOrder.DescendingOrder)
        self._summarise()
        self._follow(self._selection.function)
        if self.table.current_line() < 0 and self.model.rowCount():
            self.table.show_line(0)
            self._show_source(0)

    def _leading(self) -> str:
        return self._figure if self._figure in self._shown else (self._shown[0] if self._shown else "")

    def _summarise(self) -> None:
        shown, every = self.model.rowCount(), self.model.size()
        noun = {CostBy.FUNCTION: "function", CostBy.FILE: "file", CostBy.LINE: "line"}[self.model.by]
        of = f"{count(shown)} of " if shown != every else ""
        self.summary.setText(f"{of}{count(every)} {noun}{'' if every == 1 else 's'}")
        if not every:
            self._empty.say("Nothing was counted", "The result holds no costs.")
        elif not shown:
            self._empty.say("Nothing matches the filter", f"None of {count(every)} {noun}s matches. Escape clears it.")
        self._body.setCurrentIndex(0 if shown else 1)

    def _failed(self, error: TailflameError) -> None:
        self._empty.say(error.sentence, error.advice)
        self._body.setCurrentIndex(1)

    def _filtered(self, query: str) -> None:
        try:
            self.model.set_query(query)
        except PatternError as error:
            self.filter.complain(error)
            return
        self.filter.complain(None)
        self._summarise()
        self._follow(self._selection.function)

    def _find(self) -> None:
        self.filter.setFocus(Qt.FocusReason.ShortcutFocusReason)
        self.filter.selectAll()

    def _sorted(self, column_at: int, _order: Qt.SortOrder) -> None:
        """What the table is sorted by is what one looks for: the source shows it, too."""
        if self.model.rows is not None and 0 < column_at <= len(self.model.figures):
            self.show_figure(self.model.figures[column_at - 1].key)

    def _follow_scope(self, scope: Scope) -> None:
        if scope.event < len(self._profile_events):
            self.show_figure(self._profile_events[scope.event])

    # the selection

    def _selected(self, line: int) -> None:
        if line < 0:
            return
        self._show_source(line)
        function = str(self.model.index(line, 0).data(Role.FUNCTION) or "")
        if function:
            self._selection.select(function)

    def _show_source(self, line: int) -> None:
        rows = self.model.rows
        if rows is None:
            return
        at = self.model.row_at(line)
        function, file = rows.function[at], rows.file[at]
        files = (file,) if file else ()
        if rows.by is CostBy.FUNCTION and self._files is not None:
            known = self._files.of.get(function, ())
            files = (*files, *(name for name in known if name != file))[:_MOST_FILES]
        where = int(rows.line[at]) if rows.by is not CostBy.FILE else NONE
        self.source_view.show_place(files, module=rows.module[at], line=where, function=function)

    def _follow(self, function: str) -> None:
        if self.model.rows is None or not function:
            return
        current = self.table.current_line()
        if current >= 0 and self.model.index(current, 0).data(Role.FUNCTION) == function:
            return
        at = self.model.row_of(function)
        line = self.model.line_of(at) if at >= 0 else NONE
        if line >= 0:
            self.table.show_line(line)

    def _open(self, line: int) -> None:
        """Enter: of a file its lines, of anything else its source."""
        if self.model.by is CostBy.FILE:
            rows = self.model.rows
            assert rows is not None
            name = rows.file[self.model.row_at(line)]
            self.filter.set_query("".join(f"\\{c}" if c in r"\^$.|?*+()[]{}" else c for c in name))
            self.show_by(CostBy.LINE)
        else:
            self.source_view.setFocus(Qt.FocusReason.OtherFocusReason)

    # menus

    def _choose_columns(self) -> None:
        menu = self.columns_menu()
        menu.popup(self.columns.mapToGlobal(QPoint(0, self.columns.height())))

    def columns_menu(self) -> QMenu:
        """Each figure with a mark; several can be changed in a row."""
        menu = QMenu(self)
        menu.aboutToHide.connect(menu.deleteLater)
        menu.setToolTipsVisible(True)
        for figure in self._every:
            action = menu.addAction(plain.caption(figure.title))
            action.setCheckable(True)
            action.setChecked(figure.key in self._shown)
            action.setToolTip(figure.tip)
            action.toggled.connect(partial(self._toggle, figure.key))
        return menu

    def _toggle(self, key: str, on: bool) -> None:
        keys = {*self._shown, key} if on else {*self._shown} - {key}
        self.set_columns(tuple(keys))

    def _menu(self, line: int, where: QPoint) -> None:
        self.menu_for(line).popup(where)

    def menu_for(self, line: int) -> QMenu:
        """What can be done with a line; -1: with the table."""
        menu = QMenu(self)
        menu.aboutToHide.connect(menu.deleteLater)
        index = self.model.index(line, 0)
        if index.isValid():
            name = str(index.data(Role.FUNCTION) or index.data())
            file, at = index.data(Role.PLACE)
            menu.addAction("Copy name", lambda: QGuiApplication.clipboard().setText(name))
            if index.data(Role.FUNCTION) and self._has_stacks:
                offers: tuple[tuple[str, Callable[[], None]], ...] = (
                    ("Show in the flame graph", partial(self.show_flame.emit, name)),
                    ("Callers and callees", partial(self.show_callers.emit, name)),
                    ("Source and assembly", partial(self.show_source.emit, name)),
                )
                for words, act in offers:
                    menu.addAction(words, act)
            menu.addAction("Open source", partial(self.open_source.emit, file, at)).setEnabled(bool(file))
            menu.addSeparator()
        copy = menu.addAction("Copy lines", self.table.copy)
        copy.setShortcut(QKeySequence(QKeySequence.StandardKey.Copy))
        copy.setEnabled(bool(self.table.selected_lines()))
        menu.addAction("Copy table as shown", partial(self.table.copy, everything=True))
        return menu


def _files_of(costs: CostTable) -> _Files:
    """The files of each function by their share of its first cost, the costliest first."""
    if not len(costs) or not costs.events:
        return _Files({})
    key = costs.function.astype(np.int64) * (len(costs.strings) + 1) + costs.file + 1
    distinct, at = np.unique(key, return_inverse=True)
    weight = np.bincount(at, weights=np.abs(costs.costs[:, 0]).astype(np.float64))
    found: dict[str, list[str]] = {}
    for index in np.argsort(-weight, kind="stable").tolist():
        function, file = divmod(int(distinct[index]), len(costs.strings) + 1)
        if file and function >= 0:
            found.setdefault(plain_name(costs.strings[function]), []).append(costs.strings[file - 1])
    return _Files({name: tuple(dict.fromkeys(files)) for name, files in found.items()})
