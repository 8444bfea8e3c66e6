"""What a flame graph shows: a scene, the part of it in view, and what stands out. Input is FlameGraph's."""

from __future__ import annotations

from enum import StrEnum

import numpy as np
from PySide6.QtCore import QPoint, Qt, Signal
from PySide6.QtGui import QGuiApplication, QPainter, QPaintEvent, QResizeEvent
from PySide6.QtWidgets import QAbstractScrollArea, QFrame, QStyle, QWidget

from tailflame.model.stacks import NONE
from tailflame_gui import theme
from tailflame_gui.theme import Tokens
from tailflame_gui.widgets import flame_paint
from tailflame_gui.widgets.flame_camera import Camera
from tailflame_gui.widgets.flame_colors import FlameColors
from tailflame_gui.widgets.flame_geometry import ROW_HEIGHT, Geometry, Viewpoint, bounded
from tailflame_gui.widgets.flame_paint import Boxes, Marks
from tailflame_gui.widgets.flame_render import Emphasis, FlameRenderer
from tailflame_gui.widgets.flame_scene import FlameScene
from tailflame_gui.widgets.flame_search import Matches, search

_NARROW = 3.0
"""A box that is brought into view is at least so many pixels wide, or one could not see it."""
_TRUNK_SHOWN = 2
"""Rows of the trunk that are in view at first; those before them only pass everything on."""


class Orientation(StrEnum):
    ICICLE = "icicle"  # roots at the top
    FLAME = "flame"  # roots at the bottom


class FlameSurface(QAbstractScrollArea):
    """hovered, selected, zoomed: a node, -1 for none; window_changed: the visible part of the whole;
    function_hovered, function_selected: a name, "" for none; path_zoomed: names from the root (tuple);
    scrolled: pixels beyond the roots' edge; history_changed: back or forward came or went;
    search_changed: Matches or None, or another match was walked to;
    picture_changed: boxes, colours, marks or the part in view are others now.

    What is set from outside by `set_window`, `zoom_to_path`, `hover_function` and `select_function` is not
    announced again, so two graphs may be linked both ways.
    """

    hovered = Signal(int)
    selected = Signal(int)
    zoomed = Signal(int)
    window_changed = Signal(float, float)
    function_hovered = Signal(str)
    function_selected = Signal(str)
    path_zoomed = Signal(tuple)
    scrolled = Signal(int)
    history_changed = Signal()
    search_changed = Signal(object)
    picture_changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAsNeeded)
        self.verticalScrollBar().setSingleStep(ROW_HEIGHT)
        self.viewport().setAttribute(Qt.WidgetAttribute.WA_OpaquePaintEvent)
        self.setAccessibleName("Flame graph")
        self.animated = QGuiApplication.platformName() != "offscreen"
        """Whether zooming moves; the desktop's own wish not to animate is respected besides."""
        self._renderer: FlameRenderer | None = None
        self._rooted_below = False
        self._started_at = 0
        self._shared: tuple[int, int] | None = None
        self._fitting = False
        self._selected = self._hovered = self._match = NONE
        self._glow: Marks | None = None
        self._glow_name = ""
        self._highlight: Marks | None = None
        self._legend_marks: Marks | None = None
        self._matches: Matches | None = None
        self._match_marks: Marks | None = None
        self.camera = Camera(self)
        self.camera.moved.connect(self._repaint)
        self.camera.history_changed.connect(self.history_changed)
        self.verticalScrollBar().valueChanged.connect(self._scrolled)
        theme.signals.changed.connect(self._repaint)

    # what is shown

    @property
    def scene(self) -> FlameScene | None:
        return self._renderer.scene if self._renderer else None

    @property
    def boxes(self) -> Boxes | None:
        return self._renderer.boxes if self._renderer else None

    @property
    def marks(self) -> Marks | None:
        """What stands out while the rest fades: matches, else a legend entry, else the selected function."""
        if self._match_marks is not None:
            return self._match_marks
        return self._legend_marks or self._highlight

    @property
    def matches(self) -> Matches | None:
        return self._matches

    @property
    def match_box(self) -> int:
        """The match that was walked to, -1 for none."""
        return self._match

    @property
    def zoom_box(self) -> int:
        """The box that was zoomed to, -1 for the whole or after free zooming."""
        return self.camera.goal.box

    @property
    def selected_box(self) -> int:
        return self._selected

    @property
    def hovered_box(self) -> int:
        return self._hovered

    @property
    def orientation(self) -> Orientation:
        return Orientation.FLAME if self._rooted_below else Orientation.ICICLE

    def geometry_now(self) -> Geometry:
        """The view as it is on the screen at this moment."""
        port, (x0, x1) = self.viewport(), self.camera.window
        return Geometry(
            width=port.width(),
            height=port.height(),
            depths=self.scene.depths if self.scene else 0,
            x0=x0,
            x1=x1,
            scroll=self.verticalScrollBar().value(),
            rooted_below=self._rooted_below,
            room=self._shared[0] if self._shared else 0,
        )

    def set_scene(
        self,
        scene: FlameScene | None,
        colors: FlameColors | None = None,
        *,
        boxes: Boxes | None = None,
        matches: Matches | None = None,
    ) -> None:
        """Shows `scene`; None shows nothing. Zoom and selection stay where the same path of functions still exists.
        `boxes`: flame_paint.prepare's result, `matches`: flame_search.search's, where they were made elsewhere.
        """
        old = self.scene
        zoomed = old.names_to(self.zoom_box) if old else ()
        chosen = old.names_to(self._selected) if old else ()
        self._set_hovered(NONE)
        self._glow = self._highlight = self._legend_marks = self._match_marks = self._matches = None
        self._glow_name = ""
        self._selected = self._match = NONE
        at = NONE
        if scene is None or not len(scene):
            self._renderer = None
        else:
            self._renderer = FlameRenderer(scene, boxes or _prepared(scene, colors))
            self._selected = scene.find(chosen) if chosen else NONE
            at = scene.find(zoomed) if zoomed else NONE
            self._take_matches(matches)
        # The same rows in other colours or another order stay where they are.
        alike = old is not None and scene is not None and np.array_equal(old.layout.row_start, scene.layout.row_start)
        self._fit_scroll_bar()
        if not alike:
            self.show_start()
        self.camera.jump(Viewpoint(*(scene.extent(at) if scene else (0.0, 1.0)), at))
        self._mark_selected()
        if at >= 0:
            self._frame_depth(at)
        self.window_changed.emit(*self.camera.window)
        self.zoomed.emit(self._node(at))
        self.search_changed.emit(self._matches)

    def set_colors(self, colors: FlameColors, *, boxes: Boxes | None = None) -> None:
        """Other colours for the same scene."""
        if self._renderer is not None:
            scene = self._renderer.scene
            self._renderer = FlameRenderer(scene, boxes or _prepared(scene, colors))
            self._legend_marks = None
            self._repaint()

    def set_orientation(self, orientation: Orientation) -> None:
        below = orientation is Orientation.FLAME
        if below != self._rooted_below:
            bar = self.verticalScrollBar()
            # What was so far from the roots' end stays so far from it.
            mirrored = bar.maximum() - bar.value()
            self._rooted_below = below
            self._started_at = bar.maximum() - self._started_at
            bar.setValue(mirrored)
            self._repaint()

    # the part in view

    def zoom_to_box(self, box: int) -> None:
        """Lets `box` fill the width; -1 shows everything."""
        if self.scene is not None and self._go(self._filling(box), animate=True):
            self._frame_depth(box)
            self.path_zoomed.emit(self.scene.names_to(box))

    def reset_zoom(self) -> None:
        """Shows the whole width, from where it branches on."""
        self.zoom_to_box(NONE)
        self.show_start()

    @property
    def first_row(self) -> int:
        """The row at the roots' edge at first: where the trunk ends, less what of it is shown."""
        if self._shared is not None:
            return self._shared[1]
        return max(self.scene.trunk - _TRUNK_SHOWN, 0) if self.scene is not None else 0

    def show_start(self) -> None:
        """Scrolls to where the graph branches."""
        self._started_at = self.geometry_now().starting(self.first_row)
        self.verticalScrollBar().setValue(self._started_at)

    def show_roots(self) -> None:
        """Scrolls to the first row."""
        self.scroll_to(0)

    def scroll_to(self, from_roots: int) -> None:
        """Scrolls so that so many pixels lie beyond the roots' edge."""
        self.verticalScrollBar().setValue(self.geometry_now().reaching(from_roots))

    def share_rows(self, room: int, first_row: int) -> None:
        """Lets graphs side by side be in step: room to scroll through for all of them, and the row they start at."""
        self._shared = (room, first_row)
        self._fit_scroll_bar()
        if self.zoom_box < 0:
            self.show_start()

    def _scrolled(self) -> None:
        self._repaint()
        if not self._fitting:
            self.scrolled.emit(self.geometry_now().from_roots)

    def zoom_to_path(self, names: tuple[str, ...]) -> bool:
        """Zooms to the box reached by these names from the root, silently; False where there is none."""
        if self.scene is None:
            return False
        box = self.scene.find(names)
        if box < 0 and names:
            return False
        if self._go(self._filling(box), animate=True, announce=False):
            self._frame_depth(box)
        return True

    def set_window(self, x0: float, x1: float) -> None:
        """Shows this part of the whole, silently and without a step of history: for linked graphs."""
        self._go(Viewpoint(*bounded(x0, x1)), animate=False, announce=False, remember=False)

    def move_window(self, x0: float, x1: float) -> None:
        """Shows this part of the whole, as part of a gesture that `go_back` undoes as one."""
        self._go(Viewpoint(*bounded(x0, x1)), animate=False, gesture=True)

    def zoom_by(self, factor: float, around: float | None = None) -> None:
        """Zooms in (factor > 1) or out around a fraction of the whole; the selection or the middle by default."""
        goal = self.camera.goal
        if around is None:
            around = (goal.x0 + goal.x1) / 2
            if self.scene is not None and self._selected >= 0:
                start, end = self.scene.extent(self._selected)
                if start < goal.x1 and end > goal.x0:
                    around = (max(start, goal.x0) + min(end, goal.x1)) / 2
        self._go(self.camera.zoomed_by(factor, around), animate=False, gesture=True)

    def pan_by(self, share: float) -> None:
        """Moves by a share of the visible width."""
        goal = self.camera.goal
        step = (goal.x1 - goal.x0) * share
        self.move_window(goal.x0 + step, goal.x1 + step)

    def go_back(self) -> None:
        scroll = self.verticalScrollBar().value()
        self._arrived(self.camera.back(scroll=scroll, animate=self._animates()))

    def go_forward(self) -> None:
        scroll = self.verticalScrollBar().value()
        self._arrived(self.camera.forward(scroll=scroll, animate=self._animates()))

    def _arrived(self, to: Viewpoint | None) -> None:
        if to is not None and self.scene is not None:
            self.verticalScrollBar().setValue(to.scroll)
            self._announce_view(to)
            self.path_zoomed.emit(self.scene.names_to(to.box))

    def _filling(self, box: int) -> Viewpoint:
        assert self.scene is not None
        return Viewpoint(*bounded(*self.scene.extent(box)), box)

    def _go(
        self, to: Viewpoint, *, animate: bool, gesture: bool = False, announce: bool = True, remember: bool = True
    ) -> bool:
        if self.scene is None:
            return False
        went = self.camera.go(
            to,
            scroll=self.verticalScrollBar().value(),
            animate=animate and self._animates(),
            gesture=gesture,
            remember=remember,
        )
        if went:
            self._mark_selected()
            self._announce_view(to, window=announce)
        return went

    def _announce_view(self, to: Viewpoint, *, window: bool = True) -> None:
        if window:
            self.window_changed.emit(to.x0, to.x1)
        self.zoomed.emit(self._node(to.box))

    def _animates(self) -> bool:
        duration = QStyle.StyleHint.SH_Widget_Animation_Duration
        return self.animated and self.isVisible() and self.style().styleHint(duration, None, self) > 0

    def _frame_depth(self, box: int) -> None:
        """Scrolls so that there is room for what `box` calls; -1: for what branches."""
        if box < 0:
            self.show_start()
        elif self.scene is not None:
            self.verticalScrollBar().setValue(self.geometry_now().framing(self.scene.depth(box)))

    def _show_depth(self, box: int) -> None:
        """Scrolls just so far that the row of `box` is seen."""
        if self.scene is not None and box >= 0:
            self.verticalScrollBar().setValue(self.geometry_now().showing(self.scene.depth(box)))

    def bring_into_view(self, box: int) -> None:
        """Scrolls, pans and if need be zooms until `box` can be seen."""
        self._show_depth(box)
        self.bring_across(box)

    def bring_across(self, box: int) -> None:
        """Pans and if need be zooms until the width of `box` can be seen; does not scroll."""
        if self.scene is None or box < 0:
            return
        (start, end), goal = self.scene.extent(box), self.camera.goal
        width = goal.x1 - goal.x0
        if (end - start) / width * self.viewport().width() < _NARROW:
            width = min((end - start) * 12, 1.0)
        elif end > goal.x0 and start < goal.x1:
            return
        middle = (start + end) / 2
        self._go(Viewpoint(*bounded(middle - width / 2, middle + width / 2)), animate=True)

    # what stands out

    def select_box(self, box: int) -> None:
        """Selects a box; -1 selects nothing. Every occurrence of its function stands out."""
        if self.scene is None or box == self._selected:
            return
        before = self.scene.name(self._selected)
        self._selected = box
        self._mark_selected()
        self._tell_accessibility()
        self.selected.emit(self._node(box))
        if self.scene.name(box) != before:
            self.function_selected.emit(self.scene.name(box))

    def select_function(self, name: str) -> None:
        """Selects the widest box of a function, silently; "" selects nothing."""
        if self.scene is not None and name != self.scene.name(self._selected):
            self._selected = self.scene.box_of_function(name)
            self._mark_selected()
            self._tell_accessibility()
            self.selected.emit(self._node(self._selected))

    def hover_function(self, name: str) -> None:
        """Lets every occurrence of a function glow, silently; "" none."""
        if self.scene is not None and self.boxes is not None and name != self._glow_name:
            self._glow_name = name
            self._glow = flame_paint.mark(self.boxes, self.scene.of_function(name)) if name else None
            self._repaint()

    def emphasise_color(self, index: int) -> None:
        """Lets the boxes of one palette entry stand out; -1 none."""
        if self.boxes is not None:
            self._legend_marks = flame_paint.mark(self.boxes, self.boxes.color == index) if index >= 0 else None
            self._repaint()

    def set_search(self, pattern: str, *, ignore_case: bool = True) -> Matches | None:
        """Searches the names; PatternError where `pattern` is not a regular expression. "" ends the search."""
        if self.scene is None:
            return None
        self.set_matches(search(self.scene, pattern, ignore_case=ignore_case) if pattern else None)
        return self._matches

    def set_matches(self, matches: Matches | None) -> None:
        """Shows what `flame_search.search` has found in this scene, perhaps in another thread."""
        self._take_matches(matches)
        self._repaint()
        self.search_changed.emit(matches)

    def next_match(self, step: int = 1) -> None:
        """Walks to the next match (1) or the one before (-1), row by row, and selects it."""
        if self.scene is None or self._matches is None or not len(self._matches):
            return
        boxes = self._matches.boxes
        at = self._match if self._match >= 0 else self._selected
        if step > 0:
            place = int(np.searchsorted(boxes, at, side="right"))
        else:
            place = int(np.searchsorted(boxes, at, side="left")) - 1 if at >= 0 else -1
        self._match = int(boxes[place % len(boxes)])
        self.select_box(self._match)
        self.bring_into_view(self._match)
        self._repaint()
        self.search_changed.emit(self._matches)

    def _take_matches(self, matches: Matches | None) -> None:
        self._matches, self._match = matches, NONE
        self._match_marks = None
        if matches is not None and self.boxes is not None and self.scene is not None:
            self._match_marks = flame_paint.mark(self.boxes, matches.functions[self.scene.box_function])

    def _mark_selected(self) -> None:
        """The selected function stands out, except while its box fills the view: then its callees matter."""
        self._highlight = None
        if self._selected >= 0 and self._selected != self.zoom_box and self.scene and self.boxes:
            name = self.scene.name(self._selected)
            self._highlight = flame_paint.mark(self.boxes, self.scene.of_function(name))
        self._repaint()

    def _set_hovered(self, box: int) -> None:
        if box == self._hovered:
            return
        self._hovered = box
        if self.scene is not None:
            name = self.scene.name(box)
            fresh = name != self._glow_name
            self.hover_function(name)
            if fresh:
                self.function_hovered.emit(name)
        self._repaint()
        self.hovered.emit(self._node(box))

    def _node(self, box: int) -> int:
        return self.scene.node(box) if self.scene is not None else NONE

    def share_of_view(self, box: int) -> float:
        """The box's width as a share of what is in view, 0..1."""
        if self.scene is None or box < 0:
            return 0.0
        (start, end), goal = self.scene.extent(box), self.camera.goal
        inside = min(end, goal.x1) - max(start, goal.x0)
        return max(inside, 0.0) / (goal.x1 - goal.x0)

    def _tell_accessibility(self) -> None:
        if self.scene is None or self._selected < 0:
            self.setAccessibleDescription("")
            return
        facts = self.scene.facts(self.scene.node(self._selected))
        figures = ", ".join(f"{label} {value}" for label, value in facts.figures)
        self.setAccessibleDescription(f"{facts.name}: {figures}")

    # painting

    def box_at(self, point: QPoint) -> int:
        """The box at a point of the viewport, -1 where there is none."""
        if self.scene is None:
            return NONE
        view = self.geometry_now()
        return self.scene.layout.at(view.depth_at(point.y()), view.fraction_at(point.x() + 0.5))

    def render_view(
        self, painter: QPainter, view: Geometry, tokens: Tokens, *, scale: float, pointer: bool = True
    ) -> None:
        """Paints `view` at the painter's origin, `scale` device pixels a pixel: the screen's, or an export's.
        pointer: with what stands out because it is pointed at.
        """
        if self._renderer is None:
            painter.fillRect(0, 0, view.width, view.height, tokens.surface)
            return
        glow, hovered = (self._glow, self._hovered) if pointer else (None, NONE)
        emphasis = Emphasis(self.marks, glow, self._selected, hovered, self._match)
        self._renderer.paint(painter, view, emphasis, tokens, scale=scale)

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self.viewport())
        tokens = theme.current()
        view = self.geometry_now()
        self.render_view(painter, view, tokens, scale=self.viewport().devicePixelRatioF())
        if self.hasFocus():
            painter.setPen(tokens.accent)
            painter.drawRect(0, 0, view.width - 1, view.height - 1)

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._fit_scroll_bar()

    def _fit_scroll_bar(self) -> None:
        bar, view = self.verticalScrollBar(), self.geometry_now()
        at_start, at_roots = bar.value() == self._started_at, bar.value() == bar.maximum()
        self._fitting = True
        bar.setRange(0, view.furthest)
        bar.setPageStep(max(view.height, 1))
        if at_start and self.zoom_box < 0:
            # Nobody has scrolled yet; what fits now may be more or less than when the scene came.
            self.show_start()
        elif self._rooted_below and at_roots:
            bar.setValue(bar.maximum())
        self._fitting = False

    def _repaint(self) -> None:
        self.viewport().update()
        self.picture_changed.emit()


def _prepared(scene: FlameScene, colors: FlameColors | None) -> Boxes:
    if colors is None:
        raise ValueError("a scene needs colours")
    return flame_paint.prepare(scene.layout, colors.index, colors.palette, hatch=scene.hatch)
