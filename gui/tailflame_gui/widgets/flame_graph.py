"""The flame graph: boxes to look at, zoom into, select and search. Knows scenes and colours, not profiles.

For a view of its own, or two linked ones:

    graph = FlameGraph()
    graph.set_scene(scene, colors)                   # flame_scene.FlameScene, flame_colors.FlameColors
    graph.window_changed.connect(other.set_window)   # linked zoom: fractions of the whole
    graph.path_zoomed.connect(other.zoom_to_path)    # linked zoom between different trees: names from the root
    graph.function_hovered.connect(other.hover_function)
    graph.function_selected.connect(other.select_function)
    graph.set_search("pattern", ignore_case=True)    # -> Matches; n and m walk through them
    graph.menu_requested.connect(...)                # (box, global position)

What is set from outside is never announced again, so two graphs may be linked both ways.
"""

from __future__ import annotations

import shiboken6
from PySide6.QtCore import QEvent, QPoint, QPointF, Qt, Signal
from PySide6.QtGui import QContextMenuEvent, QFocusEvent, QHideEvent, QKeyEvent, QMouseEvent, QWheelEvent
from PySide6.QtWidgets import QApplication, QWidget

from tailflame.model.stacks import NONE
from tailflame_gui.widgets.flame_surface import FlameSurface, Orientation
from tailflame_gui.widgets.hover_card import HoverCard

__all__ = ["FlameGraph", "Orientation"]

_WHEEL_STEP = 1.25
"""Zoom factor of one notch of a wheel."""
_KEY_STEP = 1.5
_PAN_STEP = 0.2

KEYS = (
    ("Arrows", "to the caller, a callee, or the frame beside"),
    ("Enter", "zoom to the selected frame"),
    ("Backspace, Alt+Left", "back"),
    ("Alt+Right", "forward"),
    ("Esc", "end the search, then the selection, then the zoom"),
    ("Home", "show everything; again: the first rows, and back"),
    ("+  −", "zoom in, out"),
    ("Shift+Left, Shift+Right", "pan"),
    ("Page Up, Page Down", "scroll"),
    ("/, Ctrl+F", "search"),
    ("N, M", "next match, match before"),
    ("Space", "card of the selected frame"),
    ("Shift+F10", "menu of the selected frame"),
)
"""What the keyboard does, for help texts."""

_K, _M = Qt.Key, Qt.KeyboardModifier


class FlameGraph(FlameSurface):
    """FlameSurface with mouse, wheel and keyboard.

    menu_requested: (box, global position); find_requested: "/" or Ctrl+F; copy_requested: (box), Ctrl+C;
    search_ended: Esc while something is searched for.
    """

    menu_requested = Signal(int, QPoint)
    find_requested = Signal()
    copy_requested = Signal(int)
    search_ended = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.viewport().setMouseTracking(True)
        self._press: QPointF | None = None
        self._grab = (0.0, 1.0, 0)
        self._dragging = False
        self._card: HoverCard | None = None
        self.window_changed.connect(self._hide_card)
        self.verticalScrollBar().valueChanged.connect(self._hide_card)

    # pointer

    def mousePressEvent(self, event: QMouseEvent) -> None:
        match event.button():
            case Qt.MouseButton.BackButton:
                self.go_back()
            case Qt.MouseButton.ForwardButton:
                self.go_forward()
            case Qt.MouseButton.LeftButton | Qt.MouseButton.MiddleButton:
                goal = self.camera.goal
                self._press = event.position()
                self._grab = (goal.x0, goal.x1, self.verticalScrollBar().value())
                self._dragging = False
            case _:
                super().mousePressEvent(event)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        if self._press is None:
            self._point_at(event.position().toPoint())
            return
        moved = event.position() - self._press
        if not self._dragging:
            if moved.manhattanLength() < QApplication.startDragDistance():
                return
            self._dragging = True
            self.camera.end_gesture()
            self._point_at(None)
            self.viewport().setCursor(Qt.CursorShape.ClosedHandCursor)
        x0, x1, scroll = self._grab
        width = max(self.viewport().width(), 1)
        step = -moved.x() / width * (x1 - x0)
        self.move_window(x0 + step, x1 + step)
        self.verticalScrollBar().setValue(round(scroll - moved.y()))

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        if self._press is None:
            super().mouseReleaseEvent(event)
            return
        dragged, self._press, self._dragging = self._dragging, None, False
        if dragged:
            self.viewport().unsetCursor()
            self.camera.end_gesture()
        elif event.button() is Qt.MouseButton.LeftButton:
            self._click(self.box_at(event.position().toPoint()), event.modifiers())

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        # The first click has zoomed already; a second one on what lies there now would be an accident.
        event.accept()

    def _click(self, box: int, modifiers: Qt.KeyboardModifier) -> None:
        self.select_box(box)
        if box >= 0 and not modifiers & (_M.ControlModifier | _M.ShiftModifier):
            self.zoom_to_box(box)

    def wheelEvent(self, event: QWheelEvent) -> None:
        pixels, notches = event.pixelDelta(), event.angleDelta()
        zooming = bool(event.modifiers() & _M.ControlModifier)
        if event.modifiers() & _M.ShiftModifier:
            self.pan_by(-(notches.y() or notches.x()) / 120 * _PAN_STEP)
        elif not pixels.isNull() and not zooming:
            # A touchpad says how far the fingers moved: that drags the view, as everywhere else.
            self.pan_by(-pixels.x() / max(self.viewport().width(), 1))
            bar = self.verticalScrollBar()
            bar.setValue(bar.value() - pixels.y())
        elif notches.y():
            around = self.geometry_now().fraction_at(event.position().x())
            self.zoom_by(_WHEEL_STEP ** (notches.y() / 120), around)
        elif notches.x():
            self.pan_by(-notches.x() / 120 * _PAN_STEP)
        event.accept()
        self._point_at(event.position().toPoint())

    def leaveEvent(self, event: QEvent) -> None:
        self._point_at(None)
        super().leaveEvent(event)

    def contextMenuEvent(self, event: QContextMenuEvent) -> None:
        if event.reason() is QContextMenuEvent.Reason.Mouse:
            box, at = self.box_at(event.pos()), event.globalPos()
            self.select_box(box)
        else:
            box = self.selected_box
            at = self.viewport().mapToGlobal(self._middle_of(box))
        self._hide_card()
        self.menu_requested.emit(box, at)

    def _point_at(self, point: QPoint | None) -> None:
        box = self.box_at(point) if point is not None else NONE
        self._set_hovered(box)
        if box < 0 or point is None:
            self._hide_card()
        else:
            self._tell(box, point)

    # card

    @property
    def card(self) -> HoverCard | None:
        """The hover card, once something was pointed at."""
        return self._card if self._card is not None and shiboken6.isValid(self._card) else None

    def _tell(self, box: int, point: QPoint) -> None:
        assert self.scene is not None
        window = self.window()
        card = self.card
        if card is None or card.parentWidget() is not window:
            if card is not None:
                card.deleteLater()
            # A child of the window, so that it may reach beyond the graph; the window may end before or after it.
            card = self._card = HoverCard(window)
            self.destroyed.connect(card.deleteLater)
        facts = self.scene.facts(self.scene.node(box))
        at = self.viewport().mapTo(window, point)
        card.tell(facts, of_view=self.share_of_view(box), at=at)

    def _hide_card(self) -> None:
        if self.card is not None:
            self.card.hide()

    def _middle_of(self, box: int) -> QPoint:
        """The middle of what is seen of a box, in the viewport."""
        if self.scene is None or box < 0:
            return self.viewport().rect().center()
        view, (start, end) = self.geometry_now(), self.scene.extent(box)
        left, right = max(view.x_of(start), 0.0), min(view.x_of(end), view.width)
        return QPoint(round((left + right) / 2), view.top(self.scene.depth(box)) + view.row_height // 2)

    def hideEvent(self, event: QHideEvent) -> None:
        self._hide_card()
        super().hideEvent(event)

    def focusInEvent(self, event: QFocusEvent) -> None:
        super().focusInEvent(event)
        self.viewport().update()

    def focusOutEvent(self, event: QFocusEvent) -> None:
        super().focusOutEvent(event)
        self._hide_card()
        self.viewport().update()

    # keyboard

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if not self._key(Qt.Key(event.key()), event.modifiers() & ~_M.KeypadModifier, event.text()):
            super().keyPressEvent(event)

    def _key(self, key: Qt.Key, modifiers: Qt.KeyboardModifier, text: str) -> bool:
        """True where the key means something here."""
        plain = modifiers == _M.NoModifier
        if key in (_K.Key_Left, _K.Key_Right):
            step = -1 if key == _K.Key_Left else 1
            if modifiers == _M.AltModifier:
                self.go_back() if step < 0 else self.go_forward()
            elif modifiers == _M.ShiftModifier:
                self.pan_by(step * _PAN_STEP)
            elif plain:
                self._step_aside(step)
            else:
                return False
        elif key in (_K.Key_Up, _K.Key_Down) and plain:
            inward = (key == _K.Key_Down) != (self.orientation is Orientation.FLAME)
            self._step_inward() if inward else self._step_outward()
        elif key in (_K.Key_Return, _K.Key_Enter) and plain:
            self.zoom_to_box(self.selected_box)
        elif key in (_K.Key_Backspace, _K.Key_Back):
            self.go_back()
        elif key == _K.Key_Forward:
            self.go_forward()
        elif key == _K.Key_Escape:
            self._escape()
        elif key == _K.Key_Home:
            self._home()
        elif key in (_K.Key_PageUp, _K.Key_PageDown):
            bar = self.verticalScrollBar()
            bar.setValue(bar.value() + (bar.pageStep() if key == _K.Key_PageDown else -bar.pageStep()))
        elif text == "/" or (key == _K.Key_F and modifiers == _M.ControlModifier):
            self.find_requested.emit()
        elif key == _K.Key_C and modifiers == _M.ControlModifier:
            self.copy_requested.emit(self.selected_box)
        elif text in ("+", "="):
            self.zoom_by(_KEY_STEP)
        elif text in ("-", "−"):
            self.zoom_by(1 / _KEY_STEP)
        elif text in ("n", "N", "m", "M"):
            self.next_match(1 if text in "nN" else -1)
        elif key == _K.Key_F3:
            self.next_match(-1 if modifiers & _M.ShiftModifier else 1)
        elif key == _K.Key_Space and self.selected_box >= 0:
            self._tell(self.selected_box, self._middle_of(self.selected_box))
        else:
            return False
        return True

    def _escape(self) -> None:
        if self.card is not None and self.card.isVisible() and self.hovered_box < 0:
            self._hide_card()
        elif self.matches is not None:
            self.set_matches(None)
            self.search_ended.emit()
        elif self.selected_box >= 0:
            self.select_box(NONE)
        else:
            self.reset_zoom()

    def _home(self) -> None:
        """The whole; where that is shown already, the first rows and where it branches take turns."""
        goal = self.camera.goal
        if goal.x1 - goal.x0 < 1 or not self.geometry_now().from_roots:
            self.reset_zoom()
        else:
            self.show_roots()

    def _step_to(self, box: int) -> None:
        if box >= 0:
            self._hide_card()
            self.select_box(box)
            self.bring_into_view(box)

    def _step_inward(self) -> None:
        """To the widest callee; from nowhere to what is zoomed to, or the widest frame of the first row in view."""
        if self.scene is None:
            return
        if self.selected_box < 0:
            view = self.geometry_now()
            row = self.scene.row(-(-view.from_roots // view.row_height))
            self._step_to(self.zoom_box if self.zoom_box >= 0 else self.scene.widest(row))
        else:
            self._step_to(self.scene.widest(self.scene.children(self.selected_box)))

    def _step_outward(self) -> None:
        if self.scene is not None:
            self._step_to(self.scene.parent(self.selected_box))

    def _step_aside(self, step: int) -> None:
        """To the frame beside; it is a sibling where there is one."""
        if self.scene is None:
            return
        if self.selected_box < 0:
            self._step_inward()
        else:
            self._step_to(self.scene.neighbour(self.selected_box, step))
