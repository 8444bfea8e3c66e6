"""Flame graphs that move together: zoom, hover, selection, search."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial

from PySide6.QtCore import QObject

from tailflame.model.stacks import NONE
from tailflame_gui.selection import Selection
from tailflame_gui.widgets.flame_graph import FlameGraph
from tailflame_gui.widgets.flame_scene import FlameScene
from tailflame_gui.widgets.flame_search import Matches

_DEEPEST = 48
"""So many levels place an edge to far below a pixel; more would only cost time."""


class LinkedGraphs(QObject):
    """Graphs whose scenes name their functions by the same table.

    A zoom to a frame goes to the same path in the others where they have it. Free zooming and panning show the same
    stretch of code: an edge that lies in a frame lies as far into the same frame of the others. Rows scroll together.
    """

    def __init__(self, graphs: Sequence[FlameGraph], selection: Selection, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._graphs = tuple(graphs)
        self._selection = selection
        self._following = False
        self._last = self._graphs[0]
        for graph in self._graphs:
            graph.path_zoomed.connect(partial(self._path_zoomed, graph))
            graph.window_changed.connect(partial(self._window_changed, graph))
            graph.function_hovered.connect(selection.hover)
            graph.function_selected.connect(partial(self._selected, graph))
            graph.scrolled.connect(partial(self._scrolled, graph))
            selection.hover_changed.connect(graph.hover_function)
            selection.changed.connect(graph.select_function)

    @property
    def last(self) -> FlameGraph:
        """The graph that was used last: back, forward and matches are its own."""
        return self._last

    def reset_zoom(self) -> None:
        for graph in self._graphs:
            graph.reset_zoom()

    def show_branches(self) -> None:
        """Brings new scenes into step: a path lies in the same row of each, and they start where the first branches."""
        scenes = [graph.scene for graph in self._graphs if graph.scene is not None]
        if not scenes:
            return
        room = max(scene.depths for scene in scenes)
        # In low panes every row counts: of the trunk one is enough.
        first = max(min(scene.trunk for scene in scenes) - 1, 0)
        with self._follow():
            for graph in self._graphs:
                graph.share_rows(room, first)

    def show_function(self, name: str) -> None:
        """Selects a function and scrolls, pans or zooms until it is seen in every graph that has it.

        Of its call paths it is the one that is widest in the last graph, where the others have it too.
        """
        whole = self._graphs[-1].scene
        if whole is None:
            return
        path = whole.names_to(whole.box_of_function(name))
        shown: list[tuple[FlameGraph, int]] = []
        for graph in self._graphs:
            scene = graph.scene
            if scene is not None:
                same = scene.find(path) if path else NONE
                box = same if same >= 0 else scene.box_of_function(name)
                graph.select_box(box)
                if box >= 0:
                    shown.append((graph, box))
        for graph, box in reversed(shown):
            # The last one takes the others along; what that leaves outside is brought in by itself.
            graph.bring_across(box)
        self._align(shown)

    def _align(self, boxes: Sequence[tuple[FlameGraph, int]]) -> None:
        """Scrolls all graphs alike, so far that every one of `boxes` is seen in its graph."""
        views = [(graph.geometry_now(), graph.scene.depth(box)) for graph, box in boxes if graph.scene is not None]
        if all(view.showing(depth) == view.scroll for view, depth in views):
            return
        framed = (replace(view, scroll=view.framing(depth)).from_roots for view, depth in views)
        self._last.scroll_to(max(framed))
        with self._follow():
            for other in self._others(self._last):
                other.scroll_to(self._last.geometry_now().from_roots)

    def set_search(self, pattern: str, *, ignore_case: bool) -> list[Matches | None]:
        """Searches every graph; PatternError where `pattern` cannot be read."""
        return [graph.set_search(pattern, ignore_case=ignore_case) for graph in self._graphs]

    def next_match(self, step: int) -> None:
        self._last.next_match(step)

    def _others(self, graph: FlameGraph) -> list[FlameGraph]:
        return [other for other in self._graphs if other is not graph]

    def _selected(self, graph: FlameGraph, function: str) -> None:
        self._last = graph
        self._selection.select(function)

    def _path_zoomed(self, graph: FlameGraph, names: tuple[str, ...]) -> None:
        self._last = graph
        with self._follow():
            there = [other for other in self._others(graph) if other.zoom_to_path(names)]
            # The lowest pane has the least room for what the frame calls: all do as it does.
            reach = max(one.geometry_now().from_roots for one in (graph, *there))
            for one in self._graphs:
                one.scroll_to(reach)

    def _scrolled(self, graph: FlameGraph, from_roots: int) -> None:
        if not self._following:
            with self._follow():
                for other in self._others(graph):
                    other.scroll_to(from_roots)

    @contextmanager
    def _follow(self) -> Iterator[None]:
        """What graphs do meanwhile is not passed on."""
        before, self._following = self._following, True
        try:
            yield
        finally:
            self._following = before

    def _window_changed(self, graph: FlameGraph, x0: float, x1: float) -> None:
        scene = graph.scene
        # A zoom to a frame is announced by its path besides, which is exact.
        if self._following or scene is None or graph.zoom_box != NONE:
            return
        self._last = graph
        with self._follow():
            for other in self._others(graph):
                if other.scene is not None:
                    other.set_window(*mapped_window(scene, other.scene, x0, x1))


def mapped_window(source: FlameScene, target: FlameScene, x0: float, x1: float) -> tuple[float, float]:
    """The part of `target` that shows what x0 to x1 of `source` shows; never empty."""
    if x0 <= 0.0 and x1 >= 1.0:
        return 0.0, 1.0
    left, right = mapped(source, target, x0), mapped(source, target, x1)
    if right - left < (x1 - x0) * 1e-3:
        # The frames there are gone from `target`: stay as wide around where they would be.
        middle = (left + right) / 2
        return middle - (x1 - x0) / 2, middle + (x1 - x0) / 2
    return left, right


def mapped(source: FlameScene, target: FlameScene, x: float) -> float:
    """Where the fraction `x` of `source` lies in `target`: as far into the deepest frame that both have there."""
    (from_left, from_right), (to_left, to_right) = (0.0, 1.0), (0.0, 1.0)
    at = NONE
    for depth in range(min(source.depths, target.depths, _DEEPEST)):
        box = source.layout.at(depth, x)
        if box < 0:
            break
        function = source.box_function[box]
        same = [int(b) for b in target.children(at) if target.box_function[b] == function]
        if not same:
            break
        at = max(same, key=target.width)
        (from_left, from_right), (to_left, to_right) = source.extent(box), target.extent(at)
    if from_right <= from_left:
        return to_left
    return to_left + (x - from_left) / (from_right - from_left) * (to_right - to_left)
