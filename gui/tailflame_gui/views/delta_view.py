"""The delta table of a comparison: what changed, by how much, and what may be noise."""

from __future__ import annotations

from functools import partial

from PySide6.QtCore import QPoint, Qt, Signal
from PySide6.QtGui import QGuiApplication, QKeySequence, QShortcut
from PySide6.QtWidgets import QMenu, QStackedWidget, QWidget

from tailflame.analyse.diff import Comparison, Scale
from tailflame.model.stacks import NONE
from tailflame.units import count
from tailflame_gui.models.delta_model import DeltaModel, Show
from tailflame_gui.models.figures import Measure
from tailflame_gui.models.roles import Role
from tailflame_gui.selection import Selection
from tailflame_gui.widgets.empty_state import EmptyState
from tailflame_gui.widgets.filter_field import FilterField
from tailflame_gui.widgets.flame_search import PatternError
from tailflame_gui.widgets.parts import column, copy_button, label, row
from tailflame_gui.widgets.segmented import Segmented
from tailflame_gui.widgets.table import Table


class DeltaView(QWidget):
    """chosen(function): its line was gone to; opened(function): Enter or double click on its line."""

    chosen = Signal(str)
    opened = Signal(str)

    def __init__(self, *, selection: Selection, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._selection = selection
        self.model = DeltaModel(self)
        self.table = Table(self.model)
        self.table.setAccessibleName("Changes")
        self.filter = FilterField("Filter by function or module", icon="filter")
        self.show_rows: Segmented[Show] = Segmented(
            [
                (Show.ALL, "All", "Every function of either side."),
                (Show.TESTED, "Tested", "Functions that are large enough for the test."),
                (Show.BEYOND, "Beyond noise", "Functions whose change of self leaves the noise."),
            ]
        )
        self.summary = label("", "second")
        bar = row(margins=(12, 6, 8, 6), spacing=8)
        bar.addWidget(self.filter, 1)
        bar.addWidget(self.show_rows)
        bar.addWidget(self.summary)
        bar.addWidget(copy_button(self.table.copy))
        self._empty = EmptyState("equal", "Nothing to show", "")
        self._body = QStackedWidget()
        self._body.addWidget(self.table)
        self._body.addWidget(self._empty)
        page = column(spacing=0)
        page.addLayout(bar)
        page.addWidget(self._body, 1)
        self.setLayout(page)
        self.setFocusProxy(self.table)

        self.filter.query_changed.connect(self._filtered)
        self.filter.left.connect(self.table.setFocus)
        self.show_rows.chosen.connect(self._shown)
        self.table.current_changed.connect(self._selected)
        self.table.hovered.connect(selection.hover)
        self.table.opened.connect(lambda line: self.opened.emit(str(self.model.index(line, 0).data(Role.FUNCTION))))
        self.table.menu_requested.connect(self._menu)
        selection.changed.connect(self._follow)
        find = QShortcut(QKeySequence(QKeySequence.StandardKey.Find), self)
        find.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
        find.activated.connect(self._find)

    def set_comparison(self, comparison: Comparison, *, scale: Scale, measure: Measure) -> None:
        self.model.set_comparison(comparison, scale=scale, measure=measure)
        tested, beyond = self.show_rows.button_of(Show.TESTED), self.show_rows.button_of(Show.BEYOND)
        tested.setVisible(not comparison.exact)
        beyond.setText("Changed" if comparison.exact else "Beyond noise")
        if comparison.exact and self.show_rows.choice is Show.TESTED:
            self.show_rows.choose(Show.ALL)
            self.model.set_show(Show.ALL)
        self._summarise()
        self._follow(self._selection.function)

    def set_scale(self, scale: Scale) -> None:
        self.model.set_scale(scale)

    def show_function(self, function: str) -> None:
        """Brings a function's line into view, whatever is filtered."""
        at = self.model.row_of(function)
        if at >= 0 and self.model.line_of(at) < 0:
            self.show_rows.choose(Show.ALL)
            self.model.set_show(Show.ALL)
            self.filter.set_query("")
        self._selection.select(function)
        self._follow(function)

    def _filtered(self, query: str) -> None:
        try:
            self.model.set_query(query)
        except PatternError as error:
            self.filter.complain(error)
            return
        self.filter.complain(None)
        self._summarise()
        self._follow(self._selection.function)

    def _shown(self, show: Show) -> None:
        self.model.set_show(show)
        self._summarise()
        self._follow(self._selection.function)

    def _summarise(self) -> None:
        table = self.model.table
        if table is None:
            return
        shown, every = self.model.rowCount(), self.model.size()
        beyond = int(table.significant.sum())
        of = f"{count(shown)} of " if shown != every else ""
        exact = self.model.exact
        self.summary.setText(f"{of}{count(every)} functions, {count(beyond)} {'changed' if exact else 'beyond noise'}")
        if not shown:
            if self.show_rows.choice is Show.BEYOND and not beyond:
                why = "Every function counts the same." if exact else "No function's change leaves the sampling noise."
                self._empty.say("Nothing moved", why)
            else:
                self._empty.say("Nothing matches", "No function matches the filter. Escape clears it.")
        self._body.setCurrentIndex(0 if shown else 1)

    def _find(self) -> None:
        self.filter.setFocus(Qt.FocusReason.ShortcutFocusReason)
        self.filter.selectAll()

    def _selected(self, function: str) -> None:
        if function:
            self._selection.select(function)
            self.chosen.emit(function)

    def _follow(self, function: str) -> None:
        at = self.model.row_of(function) if function else NONE
        line = self.model.line_of(at) if at >= 0 else NONE
        if line != self.table.current_line():
            self.table.show_line(line)

    def _menu(self, line: int, where: QPoint) -> None:
        menu = self.menu_for(line)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        menu.popup(where)

    def menu_for(self, line: int) -> QMenu:
        """What can be done with a line; -1: with the table."""
        menu = QMenu(self)
        index = self.model.index(line, 0)
        if index.isValid():
            name = str(index.data(Role.FUNCTION))
            menu.addAction("Copy name", lambda: QGuiApplication.clipboard().setText(name))
            menu.addAction("Show in the flame graphs", partial(self.opened.emit, name))
            menu.addSeparator()
        copy = menu.addAction("Copy lines", self.table.copy)
        copy.setShortcut(QKeySequence.StandardKey.Copy)
        copy.setEnabled(bool(self.table.selected_lines()))
        menu.addAction("Copy table as shown", partial(self.table.copy, everything=True))
        return menu
