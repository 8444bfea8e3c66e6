"""Flame graphs for tests: scenes from stacks drawn as text, the mouse, and colours of pixels."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QPoint, QPointF, Qt
from PySide6.QtGui import QColor, QMouseEvent, QWheelEvent
from PySide6.QtWidgets import QApplication, QWidget

from helpers.stacks import profile
from tailflame.analyse.layout import Order
from tailflame.analyse.tree import TreeOptions
from tailflame_gui import theme
from tailflame_gui.models.trees import ProfileTrees
from tailflame_gui.views.flame_picture import FlamePicture, FlameSettings, draw
from tailflame_gui.widgets.flame_colors import ColorBy
from tailflame_gui.widgets.flame_graph import FlameGraph
from tailflame_gui.widgets.flame_scene import FlameScene

ORDERS = """
    main;run;match;push 40
    main;run;match 10
    main;run;parse 30
    main;idle 20
"""
"""By name: main 0..1; idle 0..0.2, run 0.2..1; match 0.2..0.7, parse 0.7..1; push 0.2..0.6."""

WIDTH, HEIGHT, ROW = 500, 200, 20


def picture(
    text: str = ORDERS, *, order: Order = Order.NAME, color_by: ColorBy = ColorBy.PLAIN, in_time_order: bool = False,
    options: TreeOptions | None = None,
) -> FlamePicture:  # fmt: skip
    settings = FlameSettings(options or TreeOptions(), order, color_by)
    trees = ProfileTrees(profile(text, in_time_order=in_time_order))
    return draw(trees, settings, theme.current())


def graph(text: str = ORDERS, *, color_by: ColorBy = ColorBy.PLAIN) -> FlameGraph:
    """500 x 200 pixels, rows of 20: the fraction x lies at column 500 * x."""
    made = FlameGraph()
    made.resize(WIDTH, HEIGHT)
    drawn = picture(text, color_by=color_by)
    made.set_scene(drawn.scene, drawn.colors)
    return made


def box(scene: FlameScene | None, path: str) -> int:
    """The box at "main;run;match"."""
    assert scene is not None
    found = scene.find(path.split(";"))
    assert found >= 0, path
    return found


def at(depth: int, fraction: float) -> QPoint:
    """Where a fraction of a row lies in an icicle graph that shows everything."""
    return QPoint(round(fraction * WIDTH), depth * ROW + ROW // 2)


def drawn_rows(made: FlameGraph) -> list[str]:
    """Every row as text: "idle[0,0.2] run[0.2,1]"."""
    scene = made.scene
    assert scene is not None
    rows = []
    for depth in range(scene.depths):
        first, last = scene.layout.row_start[depth : depth + 2].tolist()
        parts = [f"{scene.name(b)}[{scene.layout.start[b]:g},{scene.end[b]:g}]" for b in range(first, last)]
        rows.append(" ".join(parts))
    return rows


def mouse(
    widget: QWidget, kind: QEvent.Type, point: QPoint, button: Qt.MouseButton = Qt.MouseButton.LeftButton,
    modifiers: Qt.KeyboardModifier = Qt.KeyboardModifier.NoModifier,
) -> None:  # fmt: skip
    held = Qt.MouseButton.NoButton if kind is QEvent.Type.MouseButtonRelease else button
    event = QMouseEvent(kind, QPointF(point), QPointF(widget.mapToGlobal(point)), button, held, modifiers)
    QApplication.sendEvent(widget, event)


def drag(widget: QWidget, start: QPoint, end: QPoint) -> None:
    mouse(widget, QEvent.Type.MouseButtonPress, start)
    for step in (0.3, 0.7, 1.0):
        mouse(widget, QEvent.Type.MouseMove, start + (end - start) * step)
    mouse(widget, QEvent.Type.MouseButtonRelease, end)


def wheel(
    widget: QWidget, point: QPoint, notches: float, *, pixels: QPoint | None = None,
    modifiers: Qt.KeyboardModifier = Qt.KeyboardModifier.NoModifier,
) -> None:  # fmt: skip
    event = QWheelEvent(
        QPointF(point),
        QPointF(widget.mapToGlobal(point)),
        pixels or QPoint(),
        QPoint(0, round(notches * 120)),
        Qt.MouseButton.NoButton,
        modifiers,
        Qt.ScrollPhase.NoScrollPhase,
        False,
    )
    QApplication.sendEvent(widget, event)


def pixel(made: FlameGraph, point: QPoint) -> QColor:
    """The colour on the screen at a point of the viewport."""
    return QColor(made.viewport().grab().toImage().pixelColor(point))
