"""How fast a flame graph of a million boxes is drawn, zoomed, hovered and searched, beside a naive painter.

    python benchmarks/paint_flame.py [--boxes 1000000] [--frames 120]

The rival draws what most native viewers draw: one QPainter.fillRect per visible box and a label where it fits. It gets
the same arrays and the same visible rows, once with boxes below a pixel left out (which leaves holes where we show what
is there), once without: the best that one call per box can do in this language. A scene with one item per box does more
work per frame.
Times are of this machine, offscreen, in milliseconds: median and 99th percentile over the frames, and the median of the
processor time alone, which tells of the work where the machine is busy with something else.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from functools import partial

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

import numpy as np
from PySide6.QtCore import QPoint, QRectF
from PySide6.QtGui import QColor, QImage, QPainter
from PySide6.QtWidgets import QApplication

from tailflame.model import Event, FrameTable, SampleTable, StackProfile, StackTable
from tailflame.model.stacks import Float64, readonly
from tailflame_gui import theme
from tailflame_gui.models.trees import ProfileTrees
from tailflame_gui.views.flame_picture import FlameSettings, draw
from tailflame_gui.widgets.flame_colors import ColorBy
from tailflame_gui.widgets.flame_graph import FlameGraph
from tailflame_gui.widgets.flame_render import LABEL_FROM, fitted
from tailflame_gui.widgets.flame_search import search

WIDTH, HEIGHT = 1280, 800
FUNCTIONS = 20_000


def large_profile(boxes: int) -> StackProfile:
    """A tree of about `boxes` nodes: wide, 60 to 90 deep, most nodes narrower than a pixel, one sample per node."""
    rng = np.random.default_rng(1)
    parent = [np.array([-1])]
    total = 1
    level = np.array([0])
    while total < boxes:
        grown = min(len(level) * 2, boxes // 60 + 1)
        children = np.sort(rng.choice(level, size=grown))
        fresh = total + np.arange(grown)
        parent.append(children)
        level, total = fresh, total + grown
    parents = np.concatenate(parent)
    # Siblings need different functions, or they would be the same node.
    order = np.arange(len(parents))
    first = np.searchsorted(parents[1:], parents[1:], side="left") + 1
    sibling = np.append(0, order[1:] - first)
    function = (np.maximum(parents, 0) * 7919 + sibling) % FUNCTIONS
    names = tuple(f"crate_{i % 40}::module_{i % 300}::Type{i}::method_{i}" for i in range(FUNCTIONS))
    size = len(parents)
    none = np.full(FUNCTIONS, -1)
    return StackProfile(
        frames=FrameTable(
            strings=names,
            name=readonly(np.arange(FUNCTIONS), np.int32),
            module=readonly(none, np.int32),
            file=readonly(none, np.int32),
            line=readonly(none, np.int32),
            kind=readonly(np.zeros(FUNCTIONS), np.uint8),
        ),
        stacks=StackTable(frame=readonly(function, np.int32), parent=readonly(parents, np.int32)),
        samples=SampleTable(
            stack=readonly(np.arange(size), np.int32),
            count=readonly(rng.exponential(1.0, size) + 0.01, np.float64),
            period=readonly(np.ones(size), np.float64),
            time_ns=readonly(np.full(size, -1), np.int64),
            thread=readonly(np.full(size, -1), np.int32),
            cpu=readonly(np.full(size, -1), np.int32),
            event=readonly(np.zeros(size), np.int32),
        ),
        threads=(),
        events=(Event("samples"),),
    )


def fill_rect_each(painter: QPainter, graph: FlameGraph, *, least: float) -> int:
    """The rival: every box of a visible row that is `least` pixels wide, one call each. Returns how many."""
    view, scene, boxes = graph.geometry_now(), graph.scene, graph.boxes
    assert scene is not None and boxes is not None
    painter.fillRect(0, 0, view.width, view.height, theme.current().surface)
    painter.setFont(theme.mono_font(12))
    fills = [QColor(*map(int, color)) for color in boxes.palette]
    drawn = 0
    for depth in view.visible().tolist():
        first, last = boxes.row_start[depth : depth + 2].tolist()
        low = first + max(int(np.searchsorted(boxes.start[first:last], view.x0, side="right")) - 1, 0)
        high = first + int(np.searchsorted(boxes.start[first:last], view.x1))
        left = (boxes.start[low:high] - view.x0) / (view.x1 - view.x0) * view.width
        wide = (boxes.end[low:high] - boxes.start[low:high]) / (view.x1 - view.x0) * view.width
        top = view.top(depth)
        for at in np.flatnonzero(wide >= least).tolist():
            rect = QRectF(left[at], top, wide[at] - 1, view.row_height - 1)
            painter.fillRect(rect, fills[boxes.color[low + at]])
            drawn += 1
            if wide[at] >= LABEL_FROM:
                text = fitted(scene.name(low + at), int((wide[at] - 8) / 7.2))
                painter.drawText(rect.adjusted(4, 0, -4, 0), text)
    return drawn


def timed(act: Callable[[int], object], times: int) -> Float64:
    """[2, times]: milliseconds on the clock and on the processor of each call of act(number)."""
    taken = np.empty((2, times))
    for number in range(times):
        before, busy = time.perf_counter(), time.thread_time()
        act(number)
        taken[:, number] = (time.perf_counter() - before) * 1000, (time.thread_time() - busy) * 1000
    return taken


def report(what: str, taken: Float64, bar: str = "") -> None:
    clock, busy = taken
    print(f"{what:<60} {np.median(clock):9.2f} {np.percentile(clock, 99):9.2f} {np.median(busy):9.2f}   {bar}")


def once(what: str, act: Callable[[], object], bar: str = "") -> None:
    report(what, timed(lambda _number: act(), 1), bar)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--boxes", type=int, default=1_000_000)
    parser.add_argument("--frames", type=int, default=120)
    arguments = parser.parse_args()
    app = QApplication([])
    theme.install(app, theme.Mode.LIGHT)
    profile = large_profile(arguments.boxes)
    tokens = theme.current()
    picture = draw(ProfileTrees(profile), FlameSettings(color_by=ColorBy.CRATE), tokens)
    graph = FlameGraph()
    graph.resize(WIDTH, HEIGHT)
    graph.show()
    print(f"{len(picture.scene):,} boxes, {picture.scene.depths} deep, {FUNCTIONS:,} functions, {WIDTH}x{HEIGHT}\n")
    print(f"{'milliseconds':<60} {'median':>9} {'p99':>9} {'processor':>9}   bar")

    once("tree, layout, colours, reading (in a worker thread)",
         lambda: draw(ProfileTrees(profile), FlameSettings(color_by=ColorBy.CRATE), tokens))  # fmt: skip

    def first_paint() -> None:
        graph.set_scene(picture.scene, boxes=picture.boxes)
        graph.viewport().grab()

    once("first paint of the finished picture", first_paint, "< 1000")

    image = {scale: QImage(WIDTH * scale, HEIGHT * scale, QImage.Format.Format_RGB32) for scale in (1, 2)}

    def paint(scale: int) -> None:
        image[scale].setDevicePixelRatio(scale)
        painter = QPainter(image[scale])
        graph.render_view(painter, graph.geometry_now(), tokens, scale=scale)
        painter.end()

    def zoom(number: int) -> None:
        """In and out again, 60 steps each way."""
        step = abs((number % 120) - 60)
        width = 0.9**step
        graph.set_window(0.37 * (1 - width), 0.37 * (1 - width) + width)

    def pan(number: int) -> None:
        left = 0.3 + number * 0.0007
        graph.set_window(left, left + 0.2)

    def moving(move: Callable[[int], None], scale: int) -> Callable[[int], None]:
        def frame(number: int) -> None:
            move(number)
            paint(scale)

        return frame

    frames = arguments.frames
    for scale in (1, 2):
        bar = "< 16" if scale == 1 else ""
        report(f"frame while the view zooms, {scale}x", timed(moving(zoom, scale), frames), bar)
        report(f"frame while the view is dragged, {scale}x", timed(moving(pan, scale), frames), bar)
    graph.set_window(0.0, 1.0)
    rows = graph.verticalScrollBar()
    scroll = moving(lambda number: rows.setValue(number * 7 % rows.maximum()), 1)
    report("frame while it scrolls, 1x", timed(scroll, frames), "< 16")
    rows.setValue(rows.maximum() // 3)

    rng = np.random.default_rng(2)
    places = zip(rng.integers(0, WIDTH, 999).tolist(), rng.integers(0, HEIGHT, 999).tolist(), strict=True)
    points = [QPoint(x, y) for x, y in places]
    report("hit test", timed(lambda n: graph.box_at(points[n % 999]), 999))
    hover = moving(lambda number: graph._set_hovered(graph.box_at(points[number % 999])), 1)
    report("frame after another function is hovered", timed(hover, frames), "< 16")
    graph._set_hovered(-1)
    names = picture.scene.names
    select = moving(lambda number: graph.select_function(names[number * 31 % FUNCTIONS]), 1)
    report("frame after another function is selected", timed(select, frames))
    graph.select_function("")
    patterns = ("crate_7::", "module_1[0-9]::Type", "method_123|method_99", ".", "zzz")
    report(
        "search: regular expression to share of the view",
        timed(lambda n: search(picture.scene, patterns[n % 5]).share(0.1, 0.9), 20),
        "< 200",
    )
    graph.set_search(patterns[1])
    report("frame with matches while the view zooms, 1x", timed(moving(zoom, 1), frames), "< 16")
    graph.set_matches(None)

    for what, least, times in (("at least a pixel wide", 1.0, max(frames // 4, 10)), ("in view, no culling", 0.0, 5)):
        drawn: list[int] = []
        graph.set_window(0.0, 1.0)
        taken = timed(partial(rival, graph, image[1], pan, least, drawn), times)
        report(f"rival: one fillRect per box {what} ({int(np.median(drawn)):,})", taken)


def rival(
    graph: FlameGraph, image: QImage, move: Callable[[int], None], least: float, drawn: list[int], number: int
) -> None:
    move(number)
    painter = QPainter(image)
    drawn.append(fill_rect_each(painter, graph, least=least))
    painter.end()


if __name__ == "__main__":
    main()
