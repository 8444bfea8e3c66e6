"""Callers and callees: one function, above it who calls it, below it what it calls. A click walks on."""

from __future__ import annotations

from functools import partial

import numpy as np
from PySide6.QtCore import QPoint, Qt, Signal
from PySide6.QtGui import QGuiApplication, QKeySequence, QShortcut
from PySide6.QtWidgets import QMenu, QSplitter, QStackedLayout, QStackedWidget, QWidget

from tailflame.analyse.hotspots import Sandwich
from tailflame.analyse.tree import CallTree
from tailflame.errors import TailflameError
from tailflame.model.stacks import NONE
from tailflame_gui import tasks
from tailflame_gui.models.call_tree_model import CallTreeModel
from tailflame_gui.models.figures import Measure
from tailflame_gui.models.scope import ResultScope, Scope
from tailflame_gui.models.trees import ProfileTrees
from tailflame_gui.selection import Selection
from tailflame_gui.trail import Trail
from tailflame_gui.widgets.busy_line import BusyLine
from tailflame_gui.widgets.empty_state import EmptyState
from tailflame_gui.widgets.everything_button import EverythingButton
from tailflame_gui.widgets.filter_field import FilterField
from tailflame_gui.widgets.flame_search import PatternError, matching
from tailflame_gui.widgets.parts import ElidedLabel, column, icon_button, label, row
from tailflame_gui.widgets.tree_table import TreeTable

_CHAIN = 12


class SandwichView(QWidget):
    """open_source(file, line), show_flame(function)."""

    open_source = Signal(str, int)
    show_flame = Signal(str)

    def __init__(self, *, selection: Selection, scope: ResultScope, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._selection, self._scope = selection, scope
        self._trees: ProfileTrees | None = None
        self._stale = False
        self._latest = tasks.Latest(self)
        self._trail = Trail()
        self._place = ("", NONE)
        self.callers = _Side("Callers", "No one calls it: it is at the root of its stacks.", self)
        self.callees = _Side("Callees", "It calls nothing: all of its time is its own.", self)
        self.back = icon_button("arrow-left", self.go_back, tip="Back to the function before (Alt+Left)")
        self.forward = icon_button("arrow-right", self.go_forward, tip="Forward again (Alt+Right)")
        self.search = FilterField(
            "Go to a function", tip="Type a part of its name and press Enter: the heaviest match is shown."
        )
        busy = BusyLine()
        self._latest.busy_changed.connect(busy.set_busy)
        bar = row(margins=(8, 8, 8, 6), spacing=4)
        bar.addWidget(self.back)
        bar.addWidget(self.forward)
        bar.addSpacing(4)
        bar.addWidget(self.search, 1)

        self.name = ElidedLabel("", "title", mono=True, mode=Qt.TextElideMode.ElideMiddle)
        self.figures = label("", mono=True)
        self.figures.setToolTip("Self: in the function's own code. Total: with what it calls; recursion counts once.")
        self.source = icon_button("file-code", self._open_source, tip="Open the source (Ctrl+Return)")
        flame = icon_button("flame", self._show_flame, tip="Show it in the flame graph")
        strip = QWidget()
        strip.setProperty("surface", "raised")
        strip.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        middle = row(margins=(12, 8, 8, 8), spacing=8)
        middle.addWidget(self.name, 1)
        middle.addWidget(self.figures)
        middle.addWidget(self.source)
        middle.addWidget(flame)
        strip.setLayout(middle)

        below = QWidget()
        under = column(spacing=0)
        under.addWidget(strip)
        under.addWidget(self.callees, 1)
        below.setLayout(under)
        self.splitter = QSplitter(Qt.Orientation.Vertical)
        self.splitter.addWidget(self.callers)
        self.splitter.addWidget(below)
        self.splitter.setStretchFactor(0, 1)
        self.splitter.setStretchFactor(1, 1)
        self.splitter.setChildrenCollapsible(False)
        self._empty = EmptyState(
            "sandwich",
            "No function is selected",
            "Select one anywhere: its callers then stand above it and what it calls below.",
            (EverythingButton(self._scope),),
        )
        self._body = QStackedWidget()
        self._body.addWidget(self.splitter)
        self._body.addWidget(self._empty)
        page = column(spacing=0)
        page.addLayout(bar)
        page.addWidget(busy)
        page.addWidget(self._body, 1)
        self.setLayout(page)
        self.setFocusProxy(self.callees.tree)

        for side in (self.callers, self.callees):
            side.tree.clicked_name.connect(partial(self._walk, side))
            side.tree.opened.connect(partial(self._walk, side))
            side.tree.hovered.connect(selection.hover)
            side.tree.menu_requested.connect(partial(self._menu, side))
        self.search.stepped.connect(lambda _by: self._go_to(self.search.text()))
        self.search.left.connect(self.callees.tree.setFocus)
        selection.changed.connect(self._follow)
        scope.changed.connect(lambda _scope: self._ask())
        for keys, act in (
            ("Alt+Left", self.go_back),
            ("Alt+Right", self.go_forward),
            ("Ctrl+Return", self._open_source),
            ("Ctrl+F", self._find),
        ):
            shortcut = QShortcut(QKeySequence(keys), self)
            shortcut.setContext(Qt.ShortcutContext.WindowShortcut)  # of hidden tabs none is active
            shortcut.activated.connect(act)
        self._body.setCurrentIndex(1)
        self._tell_history()

    @property
    def function(self) -> str:
        """What stands in the middle, "" for nothing."""
        return self._trail.shown

    @property
    def busy(self) -> bool:
        return self._latest.busy

    def set_trees(self, trees: ProfileTrees) -> None:
        self._trees = trees
        if not self._trail.shown:
            self._trail.shown = self._selection.function  # selected before this view was made
        self._ask()

    def go_back(self) -> None:
        if self._trail.back():
            self._travel()

    def go_forward(self) -> None:
        if self._trail.forward():
            self._travel()

    def showEvent(self, event: object) -> None:
        if self._stale:
            self._ask()

    def _travel(self) -> None:
        self._tell_history()
        self._selection.select(self._trail.shown)
        self._ask()

    def _follow(self, function: str) -> None:
        if self._trail.to(function):
            self._tell_history()
            self._ask()

    def _walk(self, side: _Side, node: int) -> None:
        tree = side.model.tree
        if tree is not None and node >= 0:
            self._selection.select(tree.name(node))

    def _tell_history(self) -> None:
        self.back.setEnabled(self._trail.leads_back)
        self.forward.setEnabled(self._trail.leads_on)

    def _ask(self) -> None:
        self._stale = True
        trees, scope, function = self._trees, self._scope.scope, self._trail.shown
        if trees is None or not self.isVisible() or not function:
            return
        self._stale = False

        def work(_progress: tasks.Progress) -> tuple[Sandwich, CallTree]:
            return trees.sandwich(scope, function), trees.tree(scope)

        self._latest.ask(work, partial(self._show, scope=scope), name="find callers and callees", on_error=self._failed)

    def _show(self, answer: tuple[Sandwich, CallTree], *, scope: Scope) -> None:
        assert self._trees is not None
        made, tree = answer
        measure = self._trees.measure(scope)
        whole = made.whole or 1.0

        def figure(word: str, weight: float) -> str:
            share = measure.share(weight / whole, tree.total_samples) or "0"
            return f"{word} {share}%  {measure.with_unit(weight)}"

        self.name.set_text(made.function)
        self.figures.setText(f"{figure('self', made.self_weight)}    {figure('total', made.total_weight)}")
        for side, half, inverted in ((self.callers, made.callers, True), (self.callees, made.callees, False)):
            side.show_tree(half, whole=made.whole, samples=tree.total_samples, measure=measure, inverted=inverted)
        index = tree.functions.index(made.function)
        self._place = ("", NONE)
        if index >= 0:
            self._place = (tree.functions.file[index], int(tree.functions.line[index]))
        self.source.setEnabled(bool(self._place[0]))
        if made.total_samples:
            self._body.setCurrentIndex(0)
        else:
            self._empty.say(
                "Not in these samples",
                f"{made.function} does not occur in the samples that are chosen.",
            )
            self._body.setCurrentIndex(1)

    def _failed(self, error: TailflameError) -> None:
        self._empty.say(error.sentence, error.advice)
        self._body.setCurrentIndex(1)

    def _go_to(self, query: str) -> None:
        trees, scope = self._trees, self._scope.scope
        if trees is None or not query:
            return

        def work(_progress: tasks.Progress) -> str:
            table = trees.hotspots(scope, inlines=True)
            hits = np.flatnonzero(matching(table.key, query))
            return table.key[int(hits[np.argmax(table.total_weight[hits])])] if len(hits) else ""

        def found(function: str) -> None:
            self.search.complain(None if function else PatternError(f"No function matches {query}."))
            if function:
                self._selection.select(function)
                self.callees.tree.setFocus()

        def failed(error: TailflameError) -> None:
            self.search.complain(error if isinstance(error, PatternError) else PatternError(str(error)))

        self._latest.ask(work, found, name="find a function", on_error=failed)

    def _find(self) -> None:
        self.search.setFocus(Qt.FocusReason.ShortcutFocusReason)
        self.search.selectAll()

    def _open_source(self) -> None:
        if self._place[0]:
            self.open_source.emit(*self._place)

    def _show_flame(self) -> None:
        if self._trail.shown:
            self.show_flame.emit(self._trail.shown)

    def _menu(self, side: _Side, node: int, where: QPoint) -> None:
        if node >= 0:
            menu = self.menu_for(side, node)
            menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
            menu.popup(where)

    def menu_for(self, side: _Side, node: int) -> QMenu:
        """What can be done with a node."""
        tree = side.model.tree
        assert tree is not None
        name, place = tree.name(node), tree.place(node)
        menu = QMenu(self)
        menu.addAction("Go to this function", partial(self._selection.select, name))
        menu.addAction("Copy name", lambda: QGuiApplication.clipboard().setText(name))
        menu.addAction("Show in the flame graph", partial(self.show_flame.emit, name))
        source = menu.addAction("Open source", partial(self.open_source.emit, *place))
        source.setEnabled(bool(place[0]))
        return menu


class _Side(QWidget):
    """One half: a tree whose root, the function itself, is left out."""

    def __init__(self, title: str, none: str, parent: QWidget) -> None:
        super().__init__(parent)
        self.model = CallTreeModel(self, title=title)
        self.tree = TreeTable(self.model)
        self.tree.setAccessibleName(title)
        self._none = label(none, "second", wrap=True)
        self._none.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self._body = QStackedLayout(self)
        self._body.addWidget(self.tree)
        self._body.addWidget(self._none)

    def show_tree(self, tree: CallTree, *, whole: float, samples: float, measure: Measure, inverted: bool) -> None:
        self.model.set_tree(tree, measure=measure, inverted=inverted, whole=whole, samples=samples)
        root = self.model.index(0, 0)
        self.tree.setRootIndex(root)
        rows = self.model.rowCount(root)
        self._body.setCurrentIndex(0 if rows else 1)
        if rows:
            first = int(self.model.children_of(self.model.node(root))[0])
            self._open_chain(first)
            self.tree.show_node(first)

    def _open_chain(self, node: int) -> None:
        """Opens lines that have one line below them: there is nothing to choose there."""
        for _step in range(_CHAIN):
            self.tree.expand(self.model.index_of(node))
            below = self.model.children_of(node)
            if len(below) != 1:
                break
            node = int(below[0])
