"""From the start of a process to a usable window, and to the help text of the command line.

    start.py [--repeat N]

A window is usable once it is painted and its loop has nothing left to do. Beside it, in the same run: an empty window
of PySide6, below which nobody comes who uses it, and a Python that does nothing. Medians, after one start that warms
the file cache.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TAILFLAME = str(Path(sys.executable).with_name("tailflame"))

# Ends as soon as the first painted window has been idle once; its starter takes the time.
WATCH = """
import os, sys, time
from PySide6.QtCore import QEvent, QObject, QTimer

class Watch(QObject):
    seen = False
    def eventFilter(self, thing, event):
        if event.type() is QEvent.Type.Paint and not self.seen:
            self.seen = True
            QTimer.singleShot(0, self.idle)
        return False
    def idle(self):
        print(time.monotonic(), flush=True)
        os._exit(0)
"""
EMPTY = (
    WATCH
    + """
from PySide6.QtWidgets import QApplication, QWidget
app = QApplication([])
window = QWidget(); window.resize(1280, 800)
watch = Watch(); window.installEventFilter(watch)
window.show()
app.exec()
"""
)
OURS = (
    WATCH
    + """
from tailflame_gui import app as ours
build = ours.wiring.build
def watched():
    global watch
    parts = build()
    watch = Watch(); parts.window.installEventFilter(watch)
    return parts
ours.wiring.build = watched
ours.main([])
"""
)


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--repeat", type=int, default=5)
    repeat = options.parse_args().repeat
    with tempfile.TemporaryDirectory() as folder:
        environ = {
            **os.environ,
            "QT_QPA_PLATFORM": "offscreen",
            "TAILFLAME_PROFILES": f"{folder}/profiles",
            "TAILFLAME_CONFIG_DIR": f"{folder}/config",
        }
        empty = median(lambda: until_usable(EMPTY, environ), repeat)
        ours = median(lambda: until_usable(OURS, environ), repeat)
        print(f"window, usable    {ours:6.2f} s   {ours / empty:4.1f} x an empty PySide6 window ({empty:.2f} s)")
        nothing = median(lambda: until_ended([sys.executable, "-c", "pass"], environ), repeat)
        helped = median(lambda: until_ended([TAILFLAME, "--help"], environ), repeat)
        print(f"tailflame --help  {helped:6.2f} s   {helped / nothing:4.1f} x a bare Python ({nothing:.2f} s)")
    return 0


def median(measure, repeat: int) -> float:
    measure()
    return statistics.median(measure() for _ in range(repeat))


def until_usable(program: str, environ: dict[str, str]) -> float:
    begin = time.monotonic()
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environ, check=True)
    return float(done.stdout.split()[-1]) - begin


def until_ended(argv: list[str], environ: dict[str, str]) -> float:
    begin = time.monotonic()
    subprocess.run(argv, stdout=subprocess.DEVNULL, env=environ, check=True)
    return time.monotonic() - begin


if __name__ == "__main__":
    sys.exit(main())
