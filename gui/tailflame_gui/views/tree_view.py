"""The call tree, from the roots down or from the leaves up."""

from __future__ import annotations

from functools import partial

import numpy as np
from PySide6.QtCore import QPoint, Qt, Signal
from PySide6.QtGui import QGuiApplication, QKeySequence, QShortcut
from PySide6.QtWidgets import QCheckBox, QMenu, QStackedWidget, QWidget

from tailflame.analyse.tree import CallTree
from tailflame.errors import TailflameError
from tailflame.model.stacks import NONE, Int64
from tailflame.units import count, percent
from tailflame_gui import tasks
from tailflame_gui.models.call_tree_model import CallTreeModel
from tailflame_gui.models.scope import ResultScope, Scope
from tailflame_gui.models.siblings import NOTHING, Found, Siblings
from tailflame_gui.models.trees import ProfileTrees
from tailflame_gui.selection import Selection
from tailflame_gui.widgets.busy_line import BusyLine
from tailflame_gui.widgets.empty_state import EmptyState
from tailflame_gui.widgets.everything_button import EverythingButton
from tailflame_gui.widgets.flame_search import PatternError
from tailflame_gui.widgets.parts import button, column, icon_button, row
from tailflame_gui.widgets.search_bar import SearchBar
from tailflame_gui.widgets.tree_table import TreeTable

_MANY = 200_000
"""A tree of more nodes is searched in a thread."""
_LONG_PATH = 400
"""Deeper hottest paths are opened only so far at once: nobody reads on, and each line costs."""


class CallTreeView(QWidget):
    """open_source(file, line), show_flame(function), show_callers(function), show_source(function)."""

    open_source = Signal(str, int)
    show_flame = Signal(str)
    show_callers = Signal(str)
    show_source = Signal(str)

    def __init__(
        self, *, selection: Selection, scope: ResultScope, inverted: bool = False, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self._selection, self._scope, self._inverted = selection, scope, inverted
        self._trees: ProfileTrees | None = None
        self._stale = False
        self._latest = tasks.Latest(self)
        self._searching = tasks.Latest(self)
        self._found: Int64 = np.zeros(0, dtype=np.int64)
        self._at = NONE
        self.model = CallTreeModel(self)
        self.tree = TreeTable(self.model)
        self.tree.setAccessibleName("Bottom-up tree" if inverted else "Top-down tree")
        self.search = SearchBar()
        self.inlined = QCheckBox("Inlined functions")
        self.inlined.setToolTip(
            "On: inlined functions have lines of their own. Off: they count for the function that contains them."
        )
        self.inlined.setChecked(True)
        hottest = button(
            "Hottest path",
            self.open_hottest,
            icon="flame",
            tip="Open the heaviest line below the current one, down to where the weight stays (H)",
        )
        busy = BusyLine()
        for asking in (self._latest, self._searching):
            asking.busy_changed.connect(lambda _busy: busy.set_busy(self.busy))
        bar = row(margins=(12, 8, 8, 6), spacing=8)
        bar.addWidget(self.search, 1)
        bar.addWidget(self.inlined)
        bar.addWidget(hottest)
        bar.addWidget(icon_button("minimize", self.close_all, tip="Close every line (Ctrl+Left)"))
        self._empty = EmptyState(
            "list-tree",
            "No samples here",
            "No sample is of the chosen event, threads and time.",
            (EverythingButton(self._scope),),
        )
        self._body = QStackedWidget()
        self._body.addWidget(self.tree)
        self._body.addWidget(self._empty)
        page = column(spacing=0)
        page.addLayout(bar)
        page.addWidget(busy)
        page.addWidget(self._body, 1)
        self.setLayout(page)
        self.setFocusProxy(self.tree)

        self.search.edited.connect(lambda _pattern, _ignore_case: self._searched())
        self.search.walked.connect(self.step)
        self.search.left.connect(self.tree.setFocus)
        self.inlined.toggled.connect(lambda _on: self._ask())
        self.tree.current_changed.connect(self._selected)
        self.tree.clicked_name.connect(self._selected)  # the current line too, when something else was selected since
        self.tree.hovered.connect(selection.hover)
        self.tree.opened.connect(lambda node: self.show_callers.emit(self._name(node)))
        self.tree.menu_requested.connect(self._menu)
        selection.changed.connect(self._follow)
        scope.changed.connect(lambda _scope: self._ask())
        for keys, act, owner in (
            ("Ctrl+F", self.search.begin, self),
            ("Ctrl+Left", self.close_all, self),
            ("/", self.search.begin, self.tree),
            ("H", self.open_hottest, self.tree),
            ("N", partial(self.step, 1), self.tree),
            ("M", partial(self.step, -1), self.tree),
        ):
            shortcut = QShortcut(QKeySequence(keys), owner)
            shortcut.setContext(
                Qt.ShortcutContext.WindowShortcut if owner is self else Qt.ShortcutContext.WidgetShortcut
            )
            shortcut.activated.connect(act)

    @property
    def busy(self) -> bool:
        return self._latest.busy or self._searching.busy

    def set_trees(self, trees: ProfileTrees) -> None:
        self._trees = trees
        self._ask()

    def open_hottest(self) -> None:
        """Opens the hottest path below the current line, or from the top, and goes to its end."""
        path = self.model.hottest_path(self.tree.current_node())[:_LONG_PATH]
        if not path:
            return
        for node in path[:-1]:
            self.tree.expand(self.model.index_of(node))
        self.tree.setCurrentIndex(self.model.index_of(path[-1]))
        self.tree.setFocus()

    def close_all(self) -> None:
        self.tree.collapseAll()
        self.tree.show_node(int(self.model.children_of(NONE)[0]) if self.model.rowCount() else NONE)

    def step(self, by: int) -> None:
        """Goes to the next match in reading order, opening what hides it."""
        if not len(self._found):
            return
        self._at = (self._at + by) % len(self._found) if self._at >= 0 else (0 if by > 0 else len(self._found) - 1)
        node = int(self._found[self._at])
        self.tree.show_node(node)
        self._selection.select(self._name(node))
        self._tell_matches()

    def showEvent(self, event: object) -> None:
        if self._stale:
            self._ask()
        elif self.model.tree is not None:
            self._follow(self._selection.function)

    def _ask(self) -> None:
        """The tree is built when it is looked at, not before."""
        self._stale = True
        trees, scope = self._trees, self._scope.scope
        if trees is None or not self.isVisible():
            return
        self._stale = False
        inlines, inverted = self.inlined.isChecked(), self._inverted

        def work(_progress: tasks.Progress) -> tuple[CallTree, Siblings]:
            tree = (trees.inverted if inverted else trees.tree)(scope, inlines=inlines)
            return tree, Siblings.heaviest_first(tree)

        self._latest.ask(work, partial(self._show, scope=scope), name="build the call tree", on_error=self._failed)

    def _show(self, answer: tuple[CallTree, Siblings], *, scope: Scope) -> None:
        assert self._trees is not None
        tree, siblings = answer
        measure = self._trees.measure(scope)
        self.model.set_tree(tree, measure=measure, inverted=self._inverted, siblings=siblings)
        self._body.setCurrentIndex(0 if len(tree) else 1)
        self._searched()
        if self._selection.function and len(self.model.nodes_of(self._selection.function)):
            self._follow(self._selection.function)
        elif not self._inverted and len(tree):
            # A tree that is closed says nothing: the first lines along the heaviest path are open.
            path = self.model.hottest_path()
            for node in path[: min(len(path) - 1, 6)]:
                self.tree.expand(self.model.index_of(node))

    def _failed(self, error: TailflameError) -> None:
        self._empty.say(error.sentence, error.advice)
        self._body.setCurrentIndex(1)

    def _searched(self) -> None:
        """A small tree is searched as one types, a large one in a thread."""
        self._searching.drop()
        tree = self.model.tree
        finder = self.model.finder(self.search.pattern, ignore_case=self.search.ignore_case)
        if tree is not None and len(tree) > _MANY and self.search.pattern:
            self._searching.ask(
                lambda _progress: finder(),
                lambda found: self._show_found(found) if self.model.tree is tree else None,
                name="search the call tree",
                on_error=self._bad_pattern,
            )
            return
        try:
            self._show_found(finder())
        except PatternError as error:
            self._bad_pattern(error)

    def _show_found(self, found: Found) -> None:
        self._found = self.model.show_found(found)
        self._at = NONE
        self._tell_matches()

    def _bad_pattern(self, error: TailflameError) -> None:
        self._found = self.model.show_found(NOTHING)
        self.search.tell("invalid", str(error), matches=0, bad=True)

    def _tell_matches(self) -> None:
        if not self.search.pattern:
            self.search.tell("", "", matches=0)
            return
        # Bottom-up every chain ends in the roots, so a share of lines would say nothing.
        share = "" if self._inverted else f"{percent(self.model.share_of(self._found))} matched  ·  "
        place = f"{count(self._at + 1)}/" if self._at >= 0 else ""
        self.search.tell(
            f"{share}{place}{count(len(self._found))}",
            f"{count(len(self._found))} lines match; nested matches count once. N and M walk through them.",
            matches=len(self._found),
        )

    def _name(self, node: int) -> str:
        tree = self.model.tree
        return tree.name(node) if tree is not None and node >= 0 else ""

    def _selected(self, node: int) -> None:
        if node >= 0:
            self._selection.select(self._name(node))

    def _follow(self, function: str) -> None:
        """Goes to the heaviest line of the function, unless the current line is one of it."""
        if not self.isVisible():
            return  # looking through millions of nodes can wait until somebody looks
        if self._name(self.tree.current_node()) == function:
            return
        nodes = self.model.nodes_of(function) if function else np.zeros(0, dtype=np.int64)
        if self._inverted and len(nodes):
            tree = self.model.tree
            assert tree is not None
            roots = nodes[tree.depth[nodes] == 0]
            nodes = roots if len(roots) else nodes
        self.tree.show_node(int(nodes[0]) if len(nodes) else NONE)

    def _menu(self, node: int, where: QPoint) -> None:
        if node >= 0:
            menu = self.menu_for(node)
            menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
            menu.popup(where)

    def menu_for(self, node: int) -> QMenu:
        """What can be done with a node."""
        tree = self.model.tree
        assert tree is not None
        name = self._name(node)
        stack = [tree.name(n) for n in tree.path(node)]
        if self._inverted:
            stack.reverse()
        file, at = tree.place(node)
        menu = QMenu(self)
        menu.addAction("Copy name", lambda: QGuiApplication.clipboard().setText(name))
        menu.addAction("Copy stack", lambda: QGuiApplication.clipboard().setText(";".join(stack)))
        menu.addAction("Show in the flame graph", partial(self.show_flame.emit, name))
        menu.addAction("Callers and callees", partial(self.show_callers.emit, name))
        menu.addAction("Source and assembly", partial(self.show_source.emit, name))
        source = menu.addAction("Open source", partial(self.open_source.emit, file, at))
        source.setEnabled(bool(file))
        menu.addSeparator()
        index = self.model.index_of(node)
        menu.addAction("Open everything below", partial(self.tree.expandRecursively, index, 32))
        return menu
