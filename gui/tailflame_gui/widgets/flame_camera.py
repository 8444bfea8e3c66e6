"""Which part of a flame graph is in view: moving there, smoothly if wished, and back again."""

from __future__ import annotations

from PySide6.QtCore import QAbstractAnimation, QEasingCurve, QObject, QVariantAnimation, Signal

from tailflame_gui import theme
from tailflame_gui.widgets.flame_geometry import History, Viewpoint, bounded


class Camera(QObject):
    """Holds where the view is (`window`) and where it is going (`goal`); they differ only while it moves.

    moved: `window` is another one; history_changed: back or forward came or went.
    """

    moved = Signal()
    history_changed = Signal()

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.window = (0.0, 1.0)
        self.goal = Viewpoint()
        self._history = History()
        self._gesture = False
        self._from = self.window
        self._motion = QVariantAnimation(self)
        self._motion.setDuration(theme.ZOOM_MS)
        self._motion.setStartValue(0.0)
        self._motion.setEndValue(1.0)
        self._motion.setEasingCurve(QEasingCurve.Type.OutCubic)
        self._motion.valueChanged.connect(self._step)

    @property
    def can_go_back(self) -> bool:
        return bool(self._history.behind)

    @property
    def can_go_forward(self) -> bool:
        return bool(self._history.ahead)

    @property
    def moving(self) -> bool:
        return self._motion.state() is QAbstractAnimation.State.Running

    def jump(self, to: Viewpoint) -> None:
        """Is at `to` at once, with no past: for a new scene."""
        self._motion.stop()
        self._history.clear()
        self._gesture = False
        self.goal = to
        self.window = (to.x0, to.x1)
        self.moved.emit()
        self.history_changed.emit()

    def go(self, to: Viewpoint, *, scroll: int, animate: bool, gesture: bool = False, remember: bool = True) -> bool:
        """Moves to `to`; False where that is here already. `scroll` is the present one, for the way back.

        The steps of one `gesture` (a wheel turned, a view dragged) are undone together.
        """
        if (to.x0, to.x1, to.box) == (self.goal.x0, self.goal.x1, self.goal.box):
            return False
        if remember and not (gesture and self._gesture):
            self._history.leave(self._present(scroll))
        self._gesture = gesture
        self._set(to, animate)
        return True

    def back(self, *, scroll: int, animate: bool) -> Viewpoint | None:
        """Returns to the view before this one; None where there is none."""
        return self._travel(self._history.back(self._present(scroll)), animate)

    def forward(self, *, scroll: int, animate: bool) -> Viewpoint | None:
        return self._travel(self._history.forward(self._present(scroll)), animate)

    def end_gesture(self) -> None:
        """What comes next is a new gesture, with a way back of its own."""
        self._gesture = False

    def zoomed_by(self, factor: float, around: float) -> Viewpoint:
        """The goal zoomed in (factor > 1) or out, with the fraction `around` staying where it is."""
        x0, x1 = self.goal.x0, self.goal.x1
        width = min((x1 - x0) / factor, 1.0)
        left = around - (around - x0) / (x1 - x0) * width
        return Viewpoint(*bounded(left, left + width))

    def _present(self, scroll: int) -> Viewpoint:
        return Viewpoint(self.goal.x0, self.goal.x1, self.goal.box, scroll)

    def _travel(self, to: Viewpoint | None, animate: bool) -> Viewpoint | None:
        self._gesture = False
        if to is not None:
            self._set(to, animate)
        return to

    def _set(self, to: Viewpoint, animate: bool) -> None:
        self.goal = to
        self._motion.stop()
        if animate and self.window != (to.x0, to.x1):
            self._from = self.window
            self._motion.start()
        else:
            self.window = (to.x0, to.x1)
            self.moved.emit()
        self.history_changed.emit()

    def _step(self, value: object) -> None:
        """Both edges move, the width by equal factors, so that the pace feels even at any depth of zoom."""
        t = value if isinstance(value, float) else 1.0
        if t >= 1.0:
            self.window = (self.goal.x0, self.goal.x1)
        else:
            (a0, a1), (b0, b1) = self._from, (self.goal.x0, self.goal.x1)
            before, after = a1 - a0, b1 - b0
            width = before * (after / before) ** t
            share = (width - before) / (after - before) if abs(after - before) > 1e-15 else t
            left = a0 + (b0 - a0) * share
            self.window = (left, left + width)
        self.moved.emit()
