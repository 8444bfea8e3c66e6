"""How long the live screen takes to draw: 12 plots and more, 10 intervals a second, a frame for each.

    live_paint.py [--minutes N]

Prints, at 1280x800 and with every plot in sight, the time of a frame (drawing what is new, and all painting), of the
slowest single paint, and the window's own CPU at this rate. Processor time, so that other work on the machine does not
count; an offscreen raster, as on a desktop without a GPU.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

import numpy as np
from live_feed import RATE, Feed
from PySide6.QtCore import QCoreApplication
from PySide6.QtWidgets import QApplication, QWidget

from tailflame.analyse.live_data import LiveData
from tailflame_gui import theme
from tailflame_gui.live_rows import RunLine, SourceRow
from tailflame_gui.views.live_view import LiveView
from tailflame_gui.widgets.plot_choices import Choices, Slo
from tailflame_gui.widgets.stage_plot import TailBars
from tailflame_gui.widgets.time_plot import TimePlot
from tailflame_gui.widgets.time_ruler import TimeRuler
from tailflame_gui.widgets.value_plot import ValuePlot

FRAME_MS = 16.0


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--minutes", type=float, default=1.0, help="of the run that is drawn")
    asked = options.parse_args()
    app = QApplication(sys.argv[:1])
    theme.install(app, theme.Mode.LIGHT)
    paints: dict[str, list[float]] = {}
    for kind in (TimePlot, ValuePlot, TimeRuler, TailBars):
        _timed(kind, paints)
    worst = 0.0
    for words, size in (("1280x800", (1280, 800)), ("every plot in sight, 1280x1400", (1280, 1400))):
        for span in (60.0, None):
            paints.clear()
            slowest = run(app, words, size, span, int(asked.minutes * 60 * RATE), paints)
            worst = max(worst, slowest) if size == (1280, 800) else worst
    print(
        f"slowest single paint at 1280x800 {worst:.1f} ms: {'within' if worst <= FRAME_MS else 'ABOVE'} {FRAME_MS:g} ms"
    )
    return 0 if worst <= FRAME_MS else 1


def run(
    app: QApplication,
    words: str,
    size: tuple[int, int],
    span: float | None,
    frames: int,
    paints: dict[str, list[float]],
) -> float:
    """The slowest paint, in ms."""
    view, data, feed = LiveView(), LiveData(), Feed()
    view.set_choices(Choices(slo=Slo(250e3)))
    view.set_head(RunLine("trading-system", "pid 8812", cost="0.6% CPU"))
    view.set_sources(tuple(SourceRow(f"s{at}", f"Source {at}", "It works.") for at in range(6)))
    before = 600 if span is not None else 3600
    for at in range(before):
        data.take_all(feed.updates(at))
    view.resize(*size)
    view.show_data(data)
    view.axis.set_span(span)
    view.show()
    app.processEvents()
    paints.clear()
    took, cpu = [], time.process_time()
    for at in range(before, before + frames):
        data.take_all(feed.updates(at))
        begin = time.thread_time()
        view.refresh()
        app.processEvents()
        took.append((time.thread_time() - begin) * 1e3)
    cpu = time.process_time() - cpu
    shown = len(view.plots.shown) + 2
    slowest = {name: max(times) for name, times in paints.items()}
    frame = np.array(took)
    print(
        f"{words}, {'last minute' if span else 'everything'}, {shown} plots: frame p50 {np.median(frame):.1f} ms, "
        f"p99 {np.percentile(frame, 99):.1f}, max {frame.max():.1f}; "
        f"own CPU at {RATE}/s {cpu / (frames / RATE):.1%} of one core"
    )
    print(
        "    slowest paints: "
        + ", ".join(f"{n} {t:.1f} ms" for n, t in sorted(slowest.items(), key=lambda i: -i[1])[:5])
    )
    view.close()
    view.deleteLater()
    QCoreApplication.sendPostedEvents(None, 52)  # DeferredDelete
    return max(slowest.values())


def _timed(kind: type[QWidget], paints: dict[str, list[float]]) -> None:
    paint: Callable[[QWidget, object], None] = kind.paintEvent

    def timed(self: QWidget, event: object) -> None:
        begin = time.thread_time()
        paint(self, event)
        paints.setdefault(type(self).__name__, []).append((time.thread_time() - begin) * 1e3)

    kind.paintEvent = timed  # type: ignore[assignment, method-assign]


if __name__ == "__main__":
    sys.exit(main())
