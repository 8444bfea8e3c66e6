"""A call tree as an item model. Nothing is computed per node until its line is open."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from PySide6.QtCore import QAbstractItemModel, QModelIndex, QObject, QPersistentModelIndex, Qt

from tailflame.analyse.names import module_label
from tailflame.analyse.tree import CallTree
from tailflame.model.stacks import NONE, Bool, Int64
from tailflame.units import count
from tailflame_gui import plain
from tailflame_gui.models.array_table import alignment, cell_font, head_data
from tailflame_gui.models.figures import Measure
from tailflame_gui.models.roles import Column, Face, Role
from tailflame_gui.models.siblings import NOTHING, Found, Siblings, find

Index = QModelIndex | QPersistentModelIndex
NAME, TOTAL_SHARE, TOTAL, SELF_SHARE, SELF, SAMPLES, MODULE = range(7)
_ROOT = QModelIndex()


class CallTreeModel(QAbstractItemModel):
    """Lines are the nodes of a CallTree, heaviest child first until sorted otherwise."""

    def __init__(self, parent: QObject | None = None, *, title: str = "") -> None:
        """`title` heads the first column, where the tree's own words do not fit."""
        super().__init__(parent)
        self._title = title
        self._tree: CallTree | None = None
        self._siblings = Siblings(None, np.zeros(0))
        self._measure = Measure("samples", 1.0, 0)
        self._columns: tuple[Column, ...] = _columns(self._measure, inverted=False, title=title)
        self._shown: tuple[int, ...] = tuple(range(len(self._columns)))
        self._sorted = (TOTAL, Qt.SortOrder.DescendingOrder)
        self._marked: Bool | None = None
        self._whole = self._samples = 0.0

    @property
    def tree(self) -> CallTree | None:
        return self._tree

    @property
    def columns(self) -> tuple[Column, ...]:
        return self._columns

    def set_tree(
        self,
        tree: CallTree,
        *,
        measure: Measure,
        inverted: bool = False,
        whole: float | None = None,
        samples: float | None = None,
        siblings: Siblings | None = None,
    ) -> None:
        """Shows `tree`; shares are of `whole`, which `samples` stand for; of the tree's own total if None.

        `siblings`: Siblings.heaviest_first of the tree, where it was made already.
        """
        self.beginResetModel()
        self._tree, self._measure = tree, measure
        self._whole = tree.total if whole is None else whole
        self._samples = tree.total_samples if samples is None else samples
        every = _columns(measure, inverted=inverted, title=self._title)
        left_out = set()
        if inverted:  # every leaf's weight is its own: there is nothing to tell apart
            left_out |= {SELF_SHARE, SELF}
        if tree.unit.is_count or not measure.counted:
            left_out.add(SAMPLES)
        if not any(tree.functions.module):
            left_out.add(MODULE)
        self._shown = tuple(figure for figure in range(len(every)) if figure not in left_out)
        self._columns = tuple(every[figure] for figure in self._shown)
        self._marked = None
        if siblings is not None and self._sorted == (TOTAL, Qt.SortOrder.DescendingOrder):
            self._siblings = siblings
        else:
            self._arrange()
        self.endResetModel()

    # Nodes and lines.

    def node(self, index: Index) -> int:
        """The tree's node of an index, -1 for the invisible root."""
        return int(index.internalId()) if index.isValid() else NONE

    def index_of(self, node: int, column: int = 0) -> QModelIndex:
        """The index of a node; invalid for -1."""
        if node < 0 or self._tree is None:
            return QModelIndex()
        return self.createIndex(self._siblings.line(node, int(self._tree.parent[node])), column, node)

    def children_of(self, node: int) -> Int64:
        """Nodes in display order."""
        return self._siblings.children(node)

    def hottest_path(self, node: int = NONE) -> list[int]:
        """From `node` down along the heaviest callee, to where most of the weight stays or scatters.

        The path ends at a node that keeps more to itself than it passes to any one callee.
        """
        tree = self._tree
        if tree is None or not len(tree):
            return []
        path = [] if node < 0 else [node]
        while True:
            below = self.children_of(node)
            if not len(below):
                return path
            hottest = int(below[np.argmax(tree.total_weight[below])])
            if node >= 0 and tree.self_weight[node] > tree.total_weight[hottest]:
                return path
            node = hottest
            path.append(node)

    # Search.

    def mark(self, query: str, *, ignore_case: bool = True) -> Int64:
        """Marks the nodes whose function matches; returns them in reading order, from the top to the bottom.

        "" marks nothing. PatternError where `query` cannot be read, and nothing changes. For a large tree ask
        `finder` in a thread, and show its answer with `show_found`.
        """
        return self.show_found(self.finder(query, ignore_case=ignore_case)())

    def finder(self, query: str, *, ignore_case: bool = True) -> Callable[[], Found]:
        """The search as a call that needs no model."""
        tree, rank = self._tree, self._siblings.rank
        return (lambda: NOTHING) if tree is None else partial(find, tree, rank, query, ignore_case=ignore_case)

    def show_found(self, found: Found) -> Int64:
        self._marked = found.marked
        if self._tree is not None and len(self._tree):
            self._repaint()
        return found.nodes

    def share_of(self, nodes: Int64) -> float:
        """What part of the view lies in the subtrees of `nodes`, nested ones counted once."""
        tree = self._tree
        if tree is None or not len(nodes):
            return 0.0
        enter, leave = tree.preorder()
        nodes = nodes[np.argsort(enter[nodes])]
        reach = np.maximum.accumulate(leave[nodes])
        outer = np.ones(len(nodes), dtype=bool)
        outer[1:] = enter[nodes][1:] >= reach[:-1]
        return self._share(float(tree.total_weight[nodes[outer]].sum()))

    def nodes_of(self, function: str) -> Int64:
        """Nodes of a function, heaviest first."""
        tree = self._tree
        index = NONE if tree is None else tree.functions.index(function)
        if tree is None or index < 0:
            return np.zeros(0, dtype=np.int64)
        nodes = np.flatnonzero(tree.function == index)
        return nodes[np.argsort(-tree.total_weight[nodes], kind="stable")]

    # Qt's side.

    def index(self, row: int, column: int, parent: Index = _ROOT) -> QModelIndex:
        # As hasIndex says it, without its way through Qt: a view asks this for each of thousands of lines at once.
        above = int(parent.internalId()) if parent.isValid() else NONE
        if not (0 <= column < len(self._columns) and 0 <= row < self._siblings.count(above)) or parent.column() > 0:
            return QModelIndex()
        return self.createIndex(row, column, self._siblings.child(above, row))

    def parent(self, index: Index = _ROOT) -> QModelIndex:  # type: ignore[override]
        if not index.isValid() or self._tree is None:
            return QModelIndex()
        return self.index_of(int(self._tree.parent[index.internalId()]))

    def rowCount(self, parent: Index = _ROOT) -> int:
        if self._tree is None or parent.column() > 0:
            return 0
        return self._siblings.count(self.node(parent))

    def columnCount(self, parent: Index = _ROOT) -> int:
        return 0 if parent.column() > 0 else len(self._columns)

    def hasChildren(self, parent: Index = _ROOT) -> bool:
        return self.rowCount(parent) > 0

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if not index.isValid() or self._tree is None:
            return None
        column, node = index.column(), int(index.internalId())
        if role == Qt.ItemDataRole.DisplayRole:
            return self._text(self._shown[column], node)
        if role > Qt.ItemDataRole.UserRole:
            return self._role(Role(role), self._shown[column], node)
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return alignment(self._columns[column])
        if role == Qt.ItemDataRole.FontRole:
            return cell_font(self._columns[column].face)
        if role == Qt.ItemDataRole.ToolTipRole:
            return plain.tip(self._tip(node))
        return None

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if orientation is not Qt.Orientation.Horizontal or not 0 <= section < len(self._columns):
            return None
        return head_data(self._columns[section], role)

    def sort(self, column: int, order: Qt.SortOrder = Qt.SortOrder.AscendingOrder) -> None:
        """Orders siblings; the shape of the tree stays."""
        if not 0 <= column < len(self._shown):
            return
        self.layoutAboutToBeChanged.emit()
        before = self.persistentIndexList()
        figure = self._shown[column]
        self._sorted = (TOTAL if figure == TOTAL_SHARE else figure, order)
        self._arrange()
        after = [self.index_of(self.node(index), index.column()) for index in before]
        self.changePersistentIndexList(before, after)
        self.layoutChanged.emit()

    def _arrange(self) -> None:
        tree = self._tree
        if tree is None:
            return
        figure, order = self._sorted
        rank: Any
        match figure:
            case 0 | 6:
                words = tree.functions.names if figure == NAME else tree.functions.module
                place = {word: at for at, word in enumerate(sorted(sorted(set(words)), key=str.casefold))}
                rank = np.fromiter((place[w] for w in words), dtype=np.int64, count=len(words))[tree.function]
            case 3 | 4:
                rank = tree.self_weight
            case 5:
                rank = tree.total_samples_of
            case _:
                rank = tree.total_weight
        if order is Qt.SortOrder.DescendingOrder:
            rank = -rank
        self._siblings = Siblings(tree, rank)

    def _repaint(self) -> None:
        # An empty role list means "all"; the view repaints what it shows, whatever the range.
        last = self.rowCount() - 1
        self.dataChanged.emit(self.index(0, 0), self.index(last, len(self._columns) - 1))

    def _text(self, figure: int, node: int) -> str:
        tree = self._tree
        assert tree is not None
        match figure:
            case 0:
                return tree.name(node)
            case 1:
                return self._measure.share(self._share(tree.total_weight[node]), self._samples)
            case 2:
                return self._measure.text(float(tree.total_weight[node]))
            case 3:
                return self._measure.share(self._share(tree.self_weight[node]), self._samples)
            case 4:
                return self._measure.text(float(tree.self_weight[node]))
            case 5:
                return count(float(tree.total_samples_of[node]))
            case _:
                return module_label(tree.module(node))

    def _role(self, role: Role, figure: int, node: int) -> Any:
        tree = self._tree
        assert tree is not None
        if role == Role.RAW:
            match figure:
                case 1:
                    return 100 * self._share(tree.total_weight[node])
                case 2:
                    return float(tree.total_weight[node])
                case 3:
                    return 100 * self._share(tree.self_weight[node])
                case 4:
                    return float(tree.self_weight[node])
                case 5:
                    return float(tree.total_samples_of[node])
            return self._text(figure, node)
        if role == Role.BAR:
            if figure == TOTAL_SHARE:
                return self._share(tree.total_weight[node])
            return self._share(tree.self_weight[node]) if figure == SELF_SHARE else None
        if role == Role.FUNCTION:
            return tree.name(node)
        if role == Role.KIND:
            frame = int(tree.frame[node])
            kinds = tree.frames.kind if frame >= 0 else tree.functions.kind
            return int(kinds[frame if frame >= 0 else tree.function[node]])
        if role == Role.PLACE:
            return tree.place(node)
        if role == Role.MARKED:
            return self._marked is not None and bool(self._marked[node])
        return None

    def _tip(self, node: int) -> str:
        tree = self._tree
        assert tree is not None
        file, line = tree.place(node)
        word = self._measure.counted
        counted = f"{count(float(tree.total_samples_of[node]))} {word}, " if word else ""
        lines = [
            tree.name(node),
            f"total {self._measure.with_unit(float(tree.total_weight[node]))}, "
            f"self {self._measure.with_unit(float(tree.self_weight[node]))}, "
            f"{counted}depth {count(float(tree.depth[node]) + 1)}",
        ]
        if module := tree.module(node):
            lines.append(module)
        if file:
            lines.append(f"{file}:{line}" if line > 0 else file)
        return "\n".join(lines)

    def _share(self, weight: float) -> float:
        return float(weight) / self._whole if self._whole else 0.0


def _columns(measure: Measure, *, inverted: bool, title: str) -> tuple[Column, ...]:
    total = "Weight spent in this call and in what it calls."
    if inverted:
        total = "Weight of the function at the top of this branch that came through this chain of callers."
    own = "Weight spent in this call itself."
    return (
        Column(
            title or ("Function, and below it who calls it" if inverted else "Function, and below it what it calls"),
            "Right and left open and close a line; * opens everything below it.",
            Face.NAME,
            0,
        ),
        Column("Total %", f"{total} Share of the view; the bar's full width is 100 %.", Face.BAR, 96),
        Column(f"Total, {measure.label}", total, Face.FIGURE, 120),
        Column("Self %", f"{own} Share of the view; the bar's full width is 100 %.", Face.BAR, 96),
        Column(f"Self, {measure.label}", own, Face.FIGURE, 120),
        Column(measure.counted.capitalize(), f"{measure.counted.capitalize()} in this call path.", Face.FIGURE, 88),
        Column("Module", "The binary or library that holds the code.", Face.TEXT, 136),
    )
