"""A call tree with columns, readable at any depth.

Lines are indented relative to the shallowest one in view, and by less where many levels are in view: at a depth of
10,000 the names are still there.
"""

from __future__ import annotations

from PySide6.QtCore import QEvent, QItemSelectionModel, QModelIndex, QPersistentModelIndex, QPoint, QRect, Qt, Signal
from PySide6.QtGui import QGuiApplication, QKeyEvent, QKeySequence, QMouseEvent, QPainter, QPaintEvent
from PySide6.QtWidgets import QAbstractItemView, QTreeView, QWidget

from tailflame.model.stacks import NONE
from tailflame_gui.models.call_tree_model import CallTreeModel
from tailflame_gui.models.roles import Role
from tailflame_gui.widgets.cell_delegate import CHEVRON_ROOM
from tailflame_gui.widgets.header import Header
from tailflame_gui.widgets.table import Fit, dress, hover_line

_STEP = 14
"""Pixels a level is indented by, where there is room."""
_LEAST_STEP = 2
_SHARE = 0.45
"""How much of the name's column indentation may take."""
_SELECT = QItemSelectionModel.SelectionFlag.ClearAndSelect | QItemSelectionModel.SelectionFlag.Rows


class TreeTable(QTreeView):
    """current_changed(node): another line is current; opened(node): Enter or double click; clicked_name(node);
    menu_requested(node, global position); hovered(function).
    """

    current_changed = Signal(int)
    opened = Signal(int)
    clicked_name = Signal(int)
    menu_requested = Signal(int, QPoint)
    hovered = Signal(str)

    def __init__(self, model: CallTreeModel, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._model = model
        self._quiet = False
        self._base, self._step = 0, float(_STEP)
        self._cells = dress(self, lambda index, where: self.menu_requested.emit(model.node(index), where))
        self._cells.indent = self.indent
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setUniformRowHeights(True)
        self.setIndentation(0)  # the delegate indents
        self.setExpandsOnDoubleClick(False)
        self.setAnimated(False)
        header = Header(self)
        self.setHeader(header)
        header.setStretchLastSection(False)
        header.setSortIndicator(1, Qt.SortOrder.DescendingOrder)
        self.setModel(model)
        self.setSortingEnabled(True)
        self._fit = Fit(self, header, lambda: model.columns)
        model.modelReset.connect(self._fit.apply)
        self.selectionModel().currentRowChanged.connect(self._current)
        self.doubleClicked.connect(lambda index: self.opened.emit(model.node(index)))
        self.expanded.connect(lambda _index: self.viewport().update())
        self.collapsed.connect(lambda _index: self.viewport().update())

    def current_node(self) -> int:
        return self._model.node(self.currentIndex())

    def show_node(self, node: int) -> None:
        """Makes `node` the current line without announcing it, opening what hides it; -1 takes the mark away."""
        self._quiet = True
        try:
            if node < 0:
                self.clearSelection()
                self.setCurrentIndex(QModelIndex())
            else:
                self.open_path(node)
                index = self._model.index_of(node)
                self.selectionModel().setCurrentIndex(index, _SELECT)
                self.scrollTo(index)
        finally:
            self._quiet = False

    def open_path(self, node: int) -> None:
        """Opens the lines above `node`, from the root down."""
        tree = self._model.tree
        if tree is None:
            return
        for above in tree.path(node)[:-1]:
            index = self._model.index_of(above)
            if not self.isExpanded(index):
                self.expand(index)

    def indent(self, index: QModelIndex | QPersistentModelIndex) -> float:
        """Where a line's triangle begins, in pixels from the column's left edge."""
        return max(self._depth(self._model.node(index)) - self._base, 0) * self._step

    def _depth(self, node: int) -> int:
        tree = self._model.tree
        return int(tree.depth[node]) if tree is not None and node >= 0 else 0

    def paintEvent(self, event: QPaintEvent) -> None:
        self._measure()
        super().paintEvent(event)

    def scrollContentsBy(self, dx: int, dy: int) -> None:
        super().scrollContentsBy(dx, dy)
        # Indentation depends on what is in view, so moved pixels are not right any more.
        self.viewport().update()

    def _measure(self) -> None:
        """Looks which levels are in view."""
        depths = []
        index = self.indexAt(QPoint(0, 0))
        bottom = self.viewport().height()
        while index.isValid() and self.visualRect(index).top() < bottom:
            depths.append(self._depth(self._model.node(index)))
            index = self.indexBelow(index)
        root = self._depth(self._model.node(self.rootIndex())) + (1 if self.rootIndex().isValid() else 0)
        # One level to spare, so that the shallowest line in view is seen to have something above it.
        self._base = max(min(depths, default=0) - 1, root)
        levels = max(max(depths, default=0) - self._base, 1)
        room = self.header().sectionSize(0) * _SHARE
        self._step = min(max(room / levels, _LEAST_STEP), _STEP)

    def drawBranches(self, painter: QPainter, rect: QRect, index: QModelIndex | QPersistentModelIndex) -> None:
        """Nothing: the delegate paints the triangle. Qt would visit every ancestor of every line."""

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and self.currentIndex().isValid():
            self.opened.emit(self.current_node())
        elif event.matches(QKeySequence.StandardKey.Copy):
            tree = self._model.tree
            if tree is not None and self.current_node() >= 0:
                QGuiApplication.clipboard().setText(tree.name(self.current_node()))
        else:
            super().keyPressEvent(event)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        at = event.position().toPoint()
        if event.button() is Qt.MouseButton.LeftButton and (node := self._triangle_at(at)) >= 0:
            index = self._model.index_of(node)
            self.setExpanded(index, not self.isExpanded(index))
            return
        super().mousePressEvent(event)

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        if self._triangle_at(event.position().toPoint()) < 0:
            super().mouseDoubleClickEvent(event)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        at = event.position().toPoint()
        index = self.indexAt(at)
        on_triangle = self._triangle_at(at) >= 0
        super().mouseReleaseEvent(event)
        if index.isValid() and event.button() is Qt.MouseButton.LeftButton and not on_triangle:
            self.clicked_name.emit(self._model.node(index))

    def _triangle_at(self, at: QPoint) -> int:
        """The node whose triangle is there, -1 for none."""
        index = self.indexAt(at)
        if not index.isValid() or index.column() != 0 or not self._model.hasChildren(index):
            return NONE
        left = self.visualRect(index).left() + self.indent(index)
        return self._model.node(index) if left <= at.x() < left + CHEVRON_ROOM else NONE

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        super().mouseMoveEvent(event)
        self._hover(self.indexAt(event.position().toPoint()))

    def leaveEvent(self, event: QEvent) -> None:
        super().leaveEvent(event)
        self._hover(QModelIndex())

    def _hover(self, index: QModelIndex) -> None:
        if hover_line(self, self._cells, index):
            self.hovered.emit(index.data(Role.FUNCTION) or "" if index.isValid() else "")

    def _current(self, index: QModelIndex) -> None:
        self.viewport().update()
        if not self._quiet:
            self.current_changed.emit(self._model.node(index))
