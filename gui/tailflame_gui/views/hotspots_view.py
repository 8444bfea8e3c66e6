"""The hotspots table: where the time is, by function, module, file or thread."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from PySide6.QtCore import QPoint, Qt, Signal
from PySide6.QtGui import QGuiApplication, QKeySequence, QShortcut
from PySide6.QtWidgets import QCheckBox, QComboBox, QMenu, QStackedWidget, QWidget

from tailflame.analyse.hotspots import GroupBy, HotspotTable
from tailflame.errors import TailflameError
from tailflame.model.stacks import NONE
from tailflame.units import count, percent
from tailflame_gui import tasks
from tailflame_gui.models.hotspot_model import HotspotModel
from tailflame_gui.models.roles import Role
from tailflame_gui.models.scope import ResultScope, Scope, thread_choices
from tailflame_gui.models.trees import ProfileTrees
from tailflame_gui.selection import Selection
from tailflame_gui.widgets.busy_line import BusyLine
from tailflame_gui.widgets.empty_state import EmptyState
from tailflame_gui.widgets.everything_button import EverythingButton
from tailflame_gui.widgets.filter_field import FilterField
from tailflame_gui.widgets.flame_search import PatternError
from tailflame_gui.widgets.parts import column, copy_button, label, row
from tailflame_gui.widgets.table import Table

_BY = (
    (GroupBy.FUNCTION, "By function"),
    (GroupBy.MODULE, "By module"),
    (GroupBy.FILE, "By source file"),
    (GroupBy.THREAD, "By thread"),
)


class HotspotsView(QWidget):
    """open_source(file, line), show_flame, show_callers, show_source(function): what the user wants to see next."""

    open_source = Signal(str, int)
    show_flame = Signal(str)
    show_callers = Signal(str)
    show_source = Signal(str)

    def __init__(self, *, selection: Selection, scope: ResultScope, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._selection, self._scope = selection, scope
        self._trees: ProfileTrees | None = None
        self._stale = False
        self._latest = tasks.Latest(self)
        self.model = HotspotModel(self)
        self.table = Table(self.model)
        self.table.setAccessibleName("Hotspots")
        self.filter = FilterField("Filter by function, module or file", icon="filter")
        self.by = QComboBox()
        self.by.addItems([words for _by, words in _BY])
        self.by.setToolTip("What a line of the table is.")
        self.by.setAccessibleName("Group by")
        self.inlined = QCheckBox("Inlined functions")
        self.inlined.setToolTip(
            "On: inlined functions have lines of their own. Off: they count for the function that contains them,"
            " as perf report --no-inline does."
        )
        self.summary = label("", "second")
        busy = BusyLine()
        self._latest.busy_changed.connect(busy.set_busy)

        bar = row(margins=(12, 8, 8, 6), spacing=8)
        bar.addWidget(self.filter, 1)
        bar.addWidget(self.by)
        bar.addWidget(self.inlined)
        bar.addSpacing(8)
        bar.addWidget(self.summary)
        bar.addWidget(copy_button(self.table.copy))
        self._empty = EmptyState("table-2", "No samples here", "", (EverythingButton(self._scope),))
        self._body = QStackedWidget()
        self._body.addWidget(self.table)
        self._body.addWidget(self._empty)
        page = column(spacing=0)
        page.addLayout(bar)
        page.addWidget(busy)
        page.addWidget(self._body, 1)
        self.setLayout(page)
        self.setFocusProxy(self.table)

        self.filter.query_changed.connect(self._filtered)
        self.filter.left.connect(self.table.setFocus)
        self.by.currentIndexChanged.connect(lambda _at: self._regrouped())
        self.inlined.toggled.connect(lambda _on: self._ask())
        self.table.current_changed.connect(self._selected)
        self.table.hovered.connect(selection.hover)
        self.table.opened.connect(self._open)
        self.table.menu_requested.connect(self._menu)
        selection.changed.connect(self._follow)
        scope.changed.connect(lambda _scope: self._ask())
        find = QShortcut(QKeySequence.StandardKey.Find, self)
        find.setContext(Qt.ShortcutContext.WindowShortcut)  # of hidden tabs none is active
        find.activated.connect(self._find)

    @property
    def grouped_by(self) -> GroupBy:
        return _BY[self.by.currentIndex()][0]

    @property
    def busy(self) -> bool:
        return self._latest.busy

    def set_trees(self, trees: ProfileTrees) -> None:
        self._trees = trees
        self._ask()

    def show_function(self, function: str) -> None:
        """Brings a function's line into view, whatever was grouped or filtered."""
        self.by.setCurrentIndex(0)
        if self.model.row_of(function) >= 0 and self.model.line_of(self.model.row_of(function)) < 0:
            self.filter.set_query("")
        self._selection.select(function)
        self._follow(function)

    def showEvent(self, event: object) -> None:
        if self._stale:
            self._ask()

    def _ask(self) -> None:
        """The table is made when it is looked at, not before."""
        self._stale = True
        trees, scope, by = self._trees, self._scope.scope, self.grouped_by
        if trees is None or not self.isVisible():
            return
        self._stale = False
        inlines = self.inlined.isChecked()

        def work(_progress: tasks.Progress) -> HotspotTable:
            return trees.hotspots(scope, by=by, inlines=inlines)

        self._latest.ask(work, partial(self._show, scope=scope, by=by), name="count hotspots", on_error=self._failed)

    def _show(self, table: HotspotTable, *, scope: Scope, by: GroupBy) -> None:
        assert self._trees is not None
        self.model.set_table(table, by=by, measure=self._trees.measure(scope))
        # The order of the table itself is by self weight: the header says so.
        header = self.table.horizontalHeader()
        if not 0 <= header.sortIndicatorSection() < self.model.columnCount():
            self.table.sortByColumn(1, Qt.SortOrder.DescendingOrder)
        self._summarise()
        self._follow(self._selection.function)

    def _summarise(self) -> None:
        table = self.model.table
        if table is None:
            return
        shown, every = self.model.rowCount(), self.model.size()
        noun = {GroupBy.FUNCTION: "function", GroupBy.MODULE: "module", GroupBy.FILE: "file", GroupBy.THREAD: "thread"}
        plural = f"{noun[self.model.by]}{'' if every == 1 else 's'}"
        of = f"{count(shown)} of " if shown != every else ""
        self.summary.setText(f"{of}{count(every)} {plural}")
        self.summary.setToolTip(self._share_of_shown(table))
        if not every:
            self._empty.say("No samples here", "No sample of this recording is of the chosen event, threads and time.")
        elif not shown:
            self._empty.say("Nothing matches the filter", f"None of {count(every)} {plural} matches. Escape clears it.")
        self._body.setCurrentIndex(0 if shown else 1)

    def _share_of_shown(self, table: HotspotTable) -> str:
        shown = self.model.rowCount()
        rows = slice(None) if shown == len(table) else [self.model.row_at(line) for line in range(shown)]
        own = float(table.self_weight[rows].sum()) if shown else 0.0
        return f"Together {percent(own / table.total if table.total else 0.0)} of all weight in their own code."

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

    def _regrouped(self) -> None:
        self.inlined.setEnabled(self.grouped_by is not GroupBy.THREAD)
        self._ask()

    def _find(self) -> None:
        self.filter.setFocus(Qt.FocusReason.ShortcutFocusReason)
        self.filter.selectAll()

    def _selected(self, function: str) -> None:
        if function:
            self._selection.select(function)

    def _follow(self, function: str) -> None:
        if self.model.by is not GroupBy.FUNCTION or self.model.table is None:
            return
        row_of = self.model.row_of(function) if function else NONE
        line = self.model.line_of(row_of) if row_of >= 0 else NONE
        if line != self.table.current_line():
            self.table.show_line(line)

    def _open(self, line: int) -> None:
        """Enter: a function's callers and callees; the functions of a module or file; a thread alone."""
        key = str(self.model.index(line, 0).data())
        match self.model.by:
            case GroupBy.FUNCTION:
                self.show_callers.emit(key)
            case GroupBy.THREAD:
                self._only_thread(key)
            case GroupBy.MODULE | GroupBy.FILE:
                self.by.setCurrentIndex(0)
                self.filter.set_query(_literally(key))

    def _only_thread(self, label_of: str) -> None:
        assert self._trees is not None
        scope = self._scope.scope
        for index, words, _samples in thread_choices(self._trees.profile, scope.event):
            if words == label_of:
                self.by.setCurrentIndex(0)
                self._scope.set(replace(scope, threads=frozenset({index})))

    def _menu(self, line: int, where: QPoint) -> None:
        menu = self.menu_for(line)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        menu.popup(where)

    def menu_for(self, line: int) -> QMenu:
        """What can be done with a line; -1: with the table."""
        menu = QMenu(self)
        index = self.model.index(line, 0)
        function = index.data(Role.FUNCTION) if index.isValid() else ""
        if index.isValid():
            name = str(index.data())
            menu.addAction("Copy name", lambda: QGuiApplication.clipboard().setText(name))
        if function:
            menu.addAction("Show in the flame graph", partial(self.show_flame.emit, function))
            menu.addAction("Callers and callees", partial(self.show_callers.emit, function))
            menu.addAction("Source and assembly", partial(self.show_source.emit, function))
            file, at = index.data(Role.PLACE)
            source = menu.addAction("Open source", partial(self.open_source.emit, file, at))
            source.setEnabled(bool(file))
        if index.isValid():
            menu.addSeparator()
        copy = menu.addAction("Copy lines", self.table.copy)
        copy.setShortcut(QKeySequence.StandardKey.Copy)
        copy.setEnabled(bool(self.table.selected_lines()))
        menu.addAction("Copy table as shown", partial(self.table.copy, everything=True))
        return menu


def _literally(text: str) -> str:
    """A filter that finds exactly this text."""
    return "".join(f"\\{char}" if char in r"\^$.|?*+()[]{}" else char for char in text)
