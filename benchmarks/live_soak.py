"""Whether an hour of a live run leaks: 6 sources, 12 plots, 10 intervals a second, as fast as the machine can.

    live_soak.py [--minutes N] [--paint-every N]

Every interval is fed and refreshed; one in N is painted too. Prints the resident memory minute by minute, and whether
the last minute is at most 5 MB above minute 10.
"""

from __future__ import annotations

import argparse
import gc
import os
import sys
import time
from pathlib import Path

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

from live_feed import RATE, Feed
from PySide6.QtWidgets import QApplication

from tailflame.analyse.live_data import LiveData, Moment
from tailflame_gui import theme
from tailflame_gui.live_rows import RunLine, SourceRow
from tailflame_gui.views.live_view import LiveView
from tailflame_gui.widgets.plot_choices import Choices, Slo

_ALLOWED_MB = 5.0
_SETTLED = 10
"""The minute that later ones are measured against."""


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--minutes", type=int, default=60)
    options.add_argument("--paint-every", type=int, default=40)
    asked = options.parse_args()
    app = QApplication(sys.argv[:1])
    theme.install(app, theme.Mode.LIGHT)
    view, data, feed = LiveView(), LiveData(), Feed()
    view.set_choices(Choices(slo=Slo(250e3)))
    view.resize(1280, 800)
    view.show_data(data)
    view.show()
    began = time.perf_counter()
    memory: dict[int, float] = {}
    for minute in range(1, asked.minutes + 1):
        view.axis.set_span(None if minute % 5 == 0 else 60.0)
        data.add_moment(Moment(1000.0 + minute * 60, f"minute {minute}"))
        for at in range((minute - 1) * 60 * RATE, minute * 60 * RATE):
            data.take_all(feed.updates(at))
            view.refresh()
            if at % asked.paint_every == 0:
                view.set_head(RunLine("trading-system", f"pid 8812, {at / RATE:.0f} s", cost="0.6% CPU"))
                view.set_sources(tuple(SourceRow(f"s{n}", f"Source {n}", f"{at} intervals.") for n in range(6)))
                app.processEvents()
        gc.collect()
        memory[minute] = _resident_mb()
        if minute % 5 == 0 or minute == 1:
            print(
                f"minute {minute:3}: {memory[minute]:.1f} MB resident, {time.perf_counter() - began:.0f} s", flush=True
            )
    first, last = memory[min(_SETTLED, asked.minutes)], memory[asked.minutes]
    kept = sum(timeline.total for timeline in data.latency.values())
    shown = sum(timeline.whole.total for timeline in data.latency.values())
    print(
        f"minute {min(_SETTLED, asked.minutes)}: {first:.1f} MB, minute {asked.minutes}: {last:.1f} MB: "
        f"{last - first:+.1f} MB"
    )
    print(f"values fed {kept:,}, in the whole run's histograms {shown:,}")
    return 0 if last - first <= _ALLOWED_MB and kept == shown else 1


def _resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


if __name__ == "__main__":
    sys.exit(main())
