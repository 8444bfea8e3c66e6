"""Every page and state of the window, light and dark, at 1280x800 and at 2x, into docs/screenshots.

    screenshots.py [--only NAME] [--out FOLDER]

The pictures show real recordings: the demo target is recorded twice, the second time 15 % slower in one function.
Each theme and scale runs in a process of its own, because Qt reads the scale once.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
THEMES = ("light", "dark")
SCALES = (1, 2)


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--only", default="", help="only states whose name begins with this")
    options.add_argument("--out", type=Path, default=ROOT / "docs" / "screenshots")
    options.add_argument("--one", nargs=2, metavar=("THEME", "SCALE"), help=argparse.SUPPRESS)
    asked = options.parse_args()
    if asked.one:
        return take(asked.one[0], int(asked.one[1]), asked.out, asked.only)
    with tempfile.TemporaryDirectory(prefix="tailflame-") as folder:
        home = Path(folder)
        environ = {
            **os.environ,
            "QT_QPA_PLATFORM": "offscreen",
            "TAILFLAME_PROFILES": str(home / "profiles"),
            "TAILFLAME_CONFIG_DIR": str(home / "config"),
        }
        for extra in (["--baseline"], ["--regress", "15"]):
            demo = [str(BIN / "tailflame"), "demo", "--seconds", "6", *extra]
            subprocess.run(demo, check=True, cwd=ROOT, env=environ, stdout=subprocess.DEVNULL)
        if not asked.only:
            shutil.rmtree(asked.out, ignore_errors=True)
        for theme in THEMES:
            for scale in SCALES:
                command = [sys.executable, __file__, "--one", theme, str(scale), "--out", str(asked.out)]
                command += ["--only", asked.only]
                subprocess.run(command, check=True, env={**environ, "QT_SCALE_FACTOR": str(scale)})
    print(f"{len(list(asked.out.rglob('*.png')))} pictures in {asked.out}")
    return 0


def take(theme_name: str, scale: int, out: Path, only: str) -> int:
    import qasync
    from PySide6.QtWidgets import QApplication

    from tailflame_gui import tasks, theme, wiring

    app = QApplication(sys.argv[:1])
    app.setQuitOnLastWindowClosed(False)
    loop = qasync.QEventLoop(app)
    asyncio.set_event_loop(loop)
    folder = out / f"{theme_name}-{scale}x"
    folder.mkdir(parents=True, exist_ok=True)

    async def run() -> None:
        theme.install(app, theme.Mode(theme_name))
        parts = wiring.build()
        parts.window.resize(1280, 800)
        parts.controller.refresh_library()
        parts.machine.check()
        parts.window.show()
        studio = Studio(parts, folder, only)
        await studio.quiet()
        for name, state in studio.states():
            if name.startswith(only):
                await state()
                await studio.quiet()
                studio.save(name)
                await studio.after()
        parts.window.close()
        await tasks.close()

    with loop:
        loop.run_until_complete(run())
    return 0


class Studio:
    """Brings the window into each state. A state is built on the ones before it only where its name says so."""

    def __init__(self, parts: object, folder: Path, only: str) -> None:
        from tailflame_gui.wiring import Parts

        assert isinstance(parts, Parts)
        self.parts = parts
        self.folder = folder
        self.only = only

    def states(self) -> list[tuple[str, Callable[[], Awaitable[None]]]]:
        from tailflame_gui.state import Page
        from tailflame_gui.views.result_view import Part

        def page(which: Page) -> Callable[[], Awaitable[None]]:
            async def show() -> None:
                self.parts.state.set_page(which)

            return show

        def part(which: Part, function: str = "") -> Callable[[], Awaitable[None]]:
            async def show() -> None:
                view = await self.result()
                view.show_part(which)
                if function:
                    view.show_function(function, which)

            return show

        hot = "trading_system::risk::check_exposure"
        return [
            ("start", page(Page.START)),
            ("results-empty", page(Page.RESULTS)),
            ("compare-empty", page(Page.COMPARE)),
            ("console-empty", page(Page.CONSOLE)),
            ("library", page(Page.LIBRARY)),
            ("record", self.record),
            ("record-running", self.recording),
            ("flame", part(Part.FLAME)),
            ("flame-selected", part(Part.FLAME, hot)),
            ("flame-search", self.search),
            ("summary", part(Part.SUMMARY)),
            ("hotspots", part(Part.HOTSPOTS, hot)),
            ("top-down", part(Part.TOP_DOWN, hot)),
            ("bottom-up", part(Part.BOTTOM_UP, hot)),
            ("callers", part(Part.CALLERS, hot)),
            ("compare", self.compare),
            ("failed", self.failed),
            ("console", page(Page.CONSOLE)),
            ("palette", self.palette),
            ("keys", self.keys),
            ("drop", self.drop),
        ]

    async def quiet(self) -> None:
        """Until nothing is read, computed or animated."""
        from tailflame_gui import tasks

        still = 0
        while still < 6:
            await asyncio.sleep(0.05)
            busy = bool(self.parts.jobs.jobs) or tasks.busy_workers() > 0 or self.parts.state.findings is None
            still = 0 if busy and not self.parts.recorder.running else still + 1

    def save(self, name: str) -> None:
        self.parts.window.grab().save(str(self.folder / f"{name}.png"))

    async def sessions(self) -> list[Path]:
        """The two recordings, the older one first."""
        return sorted(row.path for row in self.parts.state.sessions)[:2]

    async def result(self):  # type: ignore[no-untyped-def]
        from tailflame_gui.state import Page
        from tailflame_gui.views.result_view import ResultView

        state = self.parts.state
        if not state.results.all:
            self.parts.controller.open_paths([(await self.sessions())[0]])
            await self.quiet()
        state.set_page(Page.RESULTS)
        state.results.show(state.results.all[0])
        await self.quiet()
        return next(v for v in self.parts.window.findChildren(ResultView) if v.isVisible())

    def record_page(self):  # type: ignore[no-untyped-def]
        from tailflame_gui.views.record_page import RecordPage

        return self.parts.window.findChild(RecordPage)

    async def record(self) -> None:
        from tailflame_gui.state import Page

        binary = ROOT / "resources/demo/trading-system/target/release-with-debug/trading-system"
        self.parts.controller.target_chosen.emit(binary)
        self.parts.state.set_page(Page.RECORD)
        await asyncio.sleep(1.5)

    async def recording(self) -> None:
        page = self.record_page()
        page.target.arguments.setText("--mode benchmark --seconds 8 --threads 2")
        page.target.changed.emit()
        await asyncio.sleep(1)
        page.record_requested.emit()
        await asyncio.sleep(5)

    async def search(self) -> None:
        from PySide6.QtWidgets import QLineEdit

        from tailflame_gui.views.flame_view import FlameView
        from tailflame_gui.views.result_view import Part

        view = await self.result()
        view.show_part(Part.FLAME)
        field = next(f for f in view.findChild(FlameView).findChildren(QLineEdit) if f.isVisible())
        field.setText("order_book|risk")

    async def compare(self) -> None:
        older, newer = sorted(self.parts.state.sessions, key=lambda row: row.path)[:2]
        self.parts.controller.compare(older, newer)

    async def failed(self) -> None:
        broken = self.folder / "broken.data"
        broken.write_bytes(b"PERFILE2" + bytes(40))
        self.parts.controller.open_paths([broken])
        await self.quiet()
        broken.unlink()

    async def palette(self) -> None:
        await self.result()
        self.parts.window.open_palette("comp")

    async def keys(self) -> None:
        self.parts.window.palette_box.close_it()
        self.parts.window.show_keys()
        await self.quiet()
        from PySide6.QtWidgets import QDialog

        dialog = self.parts.window.findChild(QDialog)
        if dialog is not None:
            dialog.grab().save(str(self.folder / "keys-sheet.png"))
            dialog.close()

    async def drop(self) -> None:
        from tailflame_gui import dropping

        sessions = await self.sessions()
        self.parts.window.overlay.announce(dropping.announce((sessions[0] / "perf.data", sessions[1])))

    async def after(self) -> None:
        if self.parts.recorder.running:
            await self.parts.recorder.close()


if __name__ == "__main__":
    sys.exit(main())
