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
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tailflame.store import Library

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
        if not asked.only or asked.only.startswith("loop"):
            measure_loop(home, environ)
        if not asked.only:
            shutil.rmtree(asked.out, ignore_errors=True)
        for theme in THEMES:
            for scale in SCALES:
                command = [sys.executable, __file__, "--one", theme, str(scale), "--out", str(asked.out)]
                command += ["--only", asked.only]
                subprocess.run(command, check=True, env={**environ, "QT_SCALE_FACTOR": str(scale)})
    print(f"{len(list(asked.out.rglob('*.png')))} pictures in {asked.out}")
    return 0


LOOP_PLAN = """
[target]
path = "{binary}"
args = ["--seconds", "2", "--rate", "4000", "--hlog", "{{out}}/latency.hlog"{more}]
[measure]
repetitions = 3
warm_up_s = 0
steps = ["cpu", "counters", "caches", "heap", "latency", "syscalls"]
[latency]
hlog = "{{out}}/latency.hlog"
[goal]
metric = "p50 risk_check"
[tools.strace]
stacks = true
"""


def measure_loop(home: Path, environ: dict[str, str]) -> None:
    """A project in git that is measured, made slower, and measured again."""
    binary = ROOT / "resources" / "demo" / "trading-system" / "target" / "release-with-debug" / "trading-system"
    project = home / "engine"
    project.mkdir()
    git = ["git", "-c", "user.name=Tailflame", "-c", "user.email=tailflame@localhost", "-C", str(project)]
    subprocess.run([*git, "init", "-q"], check=True)
    for more, note in (("", "as it was"), (', "--regress", "200"', "a slower check")):
        (project / "tailflame.toml").write_text(LOOP_PLAN.format(binary=binary, more=more))
        subprocess.run([*git, "add", "."], check=True)
        subprocess.run([*git, "commit", "-q", "-m", note], check=True)
        run = [str(BIN / "tailflame"), "run", "--note", note]
        # What a busy machine makes of it is no concern of a picture.
        subprocess.run(run, check=False, cwd=project, env=environ, stdout=subprocess.DEVNULL)


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
        self.engine: subprocess.Popen[bytes]

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
            ("record-tool", self.record_tool),
            ("record-attach", self.record_attach),
            ("tools", self.tools),
            ("live-setup", self.live_setup),
            ("live-running", self.live_running),
            ("live-range", self.live_range),
            ("live-result", self.live_result),
            ("live-log", self.live_log),
            ("live-compare", self.live_compare),
            ("flame", part(Part.FLAME)),
            ("flame-selected", part(Part.FLAME, hot)),
            ("flame-search", self.search),
            ("timeline-range", self.timeline_range),
            ("timeline-filter", self.timeline_filter),
            ("timeline-error", self.timeline_error),
            ("timeline-subsecond", self.timeline_subsecond),
            ("slices", self.slices),
            ("summary", self.summary),
            ("hotspots", part(Part.HOTSPOTS, hot)),
            ("top-down", part(Part.TOP_DOWN, hot)),
            ("bottom-up", part(Part.BOTTOM_UP, hot)),
            ("callers", part(Part.CALLERS, hot)),
            ("source", part(Part.SOURCE, hot)),
            ("source-inlined", part(Part.SOURCE, "trading_system::engine::Engine::run")),
            ("memory", self.memory),
            ("memory-leaked", self.memory_leaked),
            ("memory-snapshots", self.memory_snapshots),
            ("memory-compare", self.memory_compare),
            ("syscalls", self.syscalls),
            ("syscalls-call", self.syscalls_call),
            ("syscalls-slowest", self.syscalls_slowest),
            ("syscalls-sums", self.syscalls_sums),
            ("syscalls-compare", self.syscalls_compare),
            ("probes", self.probes),
            ("probes-own", self.probes_own),
            ("probes-running", self.probes_running),
            ("maps", self.maps),
            ("maps-stacks", self.maps_stacks),
            ("maps-compare", self.maps_compare),
            ("caches", self.caches),
            ("caches-lines", self.caches_lines),
            ("caches-compare", self.caches_compare),
            ("loop-plan", page(Page.LOOP)),
            ("loop", self.loop),
            ("loop-steps", self.loop_steps),
            ("loop-hotspot", self.loop_hotspot),
            ("loop-hotspot-source", self.loop_hotspot_source),
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
            runs = self.parts.recorder.running or self.parts.live.running or self.parts.late_recipes.running
            still = 0 if busy and not runs else still + 1

    def save(self, name: str) -> None:
        self.parts.window.grab().save(str(self.folder / f"{name}.png"))

    async def sessions(self) -> list[Path]:
        """The two recordings, the older one first."""
        return sorted(row.path for row in self.parts.state.sessions if row.measures == "time")[:2]

    async def result(self):  # type: ignore[no-untyped-def]
        from tailflame_gui.state import Page
        from tailflame_gui.views.result_view import ResultView

        state = self.parts.state
        if not state.results.all:
            self.parts.controller.open_paths([(await self.sessions())[0]])
            await self.quiet()
        state.set_page(Page.RESULTS)
        state.results.show(next(tab for tab in state.results.all if tab.measures == "time"))
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

    async def record_tool(self) -> None:
        """A tool with a form of its own fields, and a queue."""
        from tailflame_gui.state import Page
        from tailflame_gui.views.record_page import Side

        await self.until(lambda: not self.parts.recorder.running)
        await self.quiet()
        page = self.record_page()
        self.parts.state.set_page(Page.RECORD)
        page.show_side(Side.SETTINGS)
        page.queue_set()
        page.choose_tool("strace")
        page.options.field_form.fold.setChecked(True)
        await asyncio.sleep(1)

    async def record_attach(self) -> None:
        page = self.record_page()
        page.clear_queue()
        page.target.ways.button("attach").click()
        await asyncio.sleep(2)

    async def tools(self) -> None:
        from tailflame_gui.state import Page

        page = self.record_page()
        page.target.ways.button("start").click()
        page.choose_tool("perf-record")
        self.parts.state.set_page(Page.TOOLS)
        await asyncio.sleep(1.5)

    # Live: the demo serves, with its log, histogram log and metrics; root can probe its functions as well.

    async def live_setup(self) -> None:
        from tailflame_gui.views.live_page import LivePage

        self.engine = self.serve()
        self.parts.actions["attach"].trigger()
        page = self.parts.window.live_page
        assert isinstance(page, LivePage)
        picker, sources = page.setup.picker, page.setup.sources
        picker.filter_field.set_query(str(self.engine.pid))
        await self.until(lambda: page.setup.draft.process is not None)
        if os.geteuid() == 0:
            sources.probe.box.setChecked(True)
            sources.functions.search.set_query("process_order")
            await self.until(lambda: sources.functions.found.count() > 0)
            sources.functions.found.itemActivated.emit(sources.functions.found.item(0))
            await asyncio.sleep(0.5)
            sources.functions.accept_risk.setChecked(True)
        for line, field, text in (
            (sources.log, sources.log_path, str(self.folder / "engine.log")),
            (sources.hlog, sources.hlog_path, str(self.folder / "engine.hlog")),
        ):
            line.box.setChecked(True)
            field.setText(text)
        sources.cpu.box.setChecked(True)
        sources.changed.emit()

    async def live_running(self) -> None:
        from tailflame_gui.views.live_page import LivePage

        page = self.parts.window.live_page
        assert isinstance(page, LivePage)
        await self.until(page.setup.start.isEnabled)
        page.setup.start.click()
        await asyncio.sleep(20)
        self.parts.live.mark("deploy")
        await asyncio.sleep(5)

    async def live_range(self) -> None:
        from tailflame_gui.views.live_page import LivePage

        page = self.parts.window.live_page
        assert isinstance(page, LivePage)
        axis = page.view.axis
        axis.select(axis.last_s - 8, axis.last_s - 3)
        await asyncio.sleep(1)

    async def live_result(self) -> None:
        await self.parts.live.close()
        self.engine.terminate()
        await self.until(lambda: self.engine.poll() is not None)
        await self.quiet()
        for name in ("engine.log", "engine.hlog"):
            (self.folder / name).unlink()

    async def live_log(self) -> None:
        self.parts.controller.open_paths([ROOT / "tests/data/hlog/trading-system/demo.hlog"])

    async def live_compare(self) -> None:
        tabs = [tab for tab in self.parts.state.open_results if tab.measures == "latency"]
        self.parts.controller.compare(tabs[-1], tabs[0])
        await asyncio.sleep(1)

    def serve(self) -> subprocess.Popen[bytes]:
        binary = ROOT / "resources/demo/trading-system/target/release-with-debug/trading-system"
        log, hlog = self.folder / "engine.log", self.folder / "engine.hlog"
        switches = ["--mode", "serve", "--rate", "3000", "--threads", "2", "--slow-path", "1000", "--log-every", "5"]
        command = [str(binary), *switches, "--log", str(log), "--hlog", str(hlog)]
        return subprocess.Popen(command, stdout=subprocess.DEVNULL)

    async def until(self, condition: Callable[[], bool]) -> None:
        for _ in range(400):
            if condition():
                return
            await asyncio.sleep(0.05)
        raise SystemExit("a state did not come about")

    async def search(self) -> None:
        from PySide6.QtWidgets import QLineEdit

        from tailflame_gui.views.flame_view import FlameView
        from tailflame_gui.views.result_view import Part

        view = await self.result()
        view.show_part(Part.FLAME)
        field = next(f for f in view.findChild(FlameView).findChildren(QLineEdit) if f.isVisible())
        field.setText("order_book|risk")

    async def timeline_range(self) -> None:
        from tailflame_gui.views.result_view import Part

        view = await self.result()
        view.show_part(Part.FLAME)
        view.timeline.axis.select(1.0, 2.5)

    async def timeline_filter(self) -> None:
        view = await self.result()
        view.timeline.clear_range()
        view.timeline.filter.set_query("-function:match_order time:0.5-4s")
        view.timeline.lanes.mark(0, more=False)

    async def timeline_error(self) -> None:
        view = await self.result()
        view.timeline.filter.set_query("thraed:worker cpu:0")

    async def timeline_subsecond(self) -> None:
        from tailflame_gui.views.timeline_view import Look

        view = await self.result()
        view.timeline.show_everything()
        view.timeline.show_look(Look.SUBSECOND)
        view.timeline.axis.select(1.24, 3.58)

    async def slices(self) -> None:
        """The strip of a continuous recording: stored slices, cut out of the demo's recording."""
        from tailflame_gui import tasks
        from tailflame_gui.widgets.slice_strip import SliceStrip

        sessions = await self.sessions()
        folder = await tasks.in_thread(lambda _progress: sliced(sessions[0], self.parts.controller.library))
        self.parts.controller.open_paths([folder])
        await self.quiet()
        strip = next(one for one in self.parts.window.findChildren(SliceStrip) if one.isVisible())
        rows = strip.rows
        strip.axis.select(rows[12].start_s, rows[17].end_s)
        strip.set_second((rows[3].start_s, rows[6].end_s))
        await asyncio.sleep(0.3)

    async def summary(self) -> None:
        from tailflame_gui.views.result_view import Part
        from tailflame_gui.views.timeline_view import Look

        view = await self.result()
        view.timeline.show_everything()
        view.timeline.show_look(Look.THREADS)
        view.show_part(Part.SUMMARY)

    # Probes: recipes that bpftrace runs for root, and what one has left.

    def probes_page(self):  # type: ignore[no-untyped-def]
        from tailflame_gui.views.recipes_page import RecipesPage

        page = self.parts.window.recipes_page
        assert isinstance(page, RecipesPage)
        return page

    async def probes(self) -> None:
        from tailflame_gui.recipes_model import How

        self.parts.actions["recipes"].trigger()
        page = self.probes_page()
        await self.until(lambda: page.recipe is not None)
        page.choose("off-cpu")
        page.how.choose(How.LAUNCH)
        page.how.chosen.emit(How.LAUNCH)
        page.binary.setText(str(ROOT / "resources/demo/trading-system/target/release-with-debug/trading-system"))
        page.arguments.setText("--seconds 600 --rate 3000 --threads 2")
        page.changed.emit()
        await asyncio.sleep(1)

    async def probes_own(self) -> None:
        from tailflame_gui.recipes_model import OWN, Marked

        page = self.probes_page()
        page.choose(OWN)
        await asyncio.sleep(0.5)
        page.show_marks((Marked(3, 11, 14, "Unknown field: args->id"),))

    async def probes_running(self) -> None:
        page = self.probes_page()
        page.choose("off-cpu")
        if os.geteuid() != 0:
            return
        await self.until(page.start.isEnabled)
        page.start.click()
        await self.until(lambda: len(page.maps.maps.maps) > 1)

    async def maps(self) -> None:
        page = self.probes_page()
        if page.is_running:
            page.stop.click()
            await self.until(lambda: not page.is_running)
        self.parts.controller.open_paths([ROOT / "tests/data/bpftrace/0.17.0/recipes/syscalls.json"])
        await self.quiet()
        self.maps_view().choose("@latency_ns")

    def maps_view(self):  # type: ignore[no-untyped-def]
        from tailflame_gui.views.maps_view import MapsView

        return next(one for one in self.parts.window.findChildren(MapsView) if one.isVisible())

    async def maps_stacks(self) -> None:
        self.parts.controller.open_paths([ROOT / "tests/data/bpftrace/0.17.0/recipes/off-cpu.json"])
        await self.quiet()

    async def maps_compare(self) -> None:
        tabs = [tab for tab in self.parts.state.open_results if tab.recording and tab.recording.maps is not None]
        self.parts.controller.compare(tabs[-1], tabs[-1])
        await self.quiet()

    # System calls: logs and a table of strace that the tests read.

    async def syscalls(self) -> None:
        self.parts.controller.open_paths([ROOT / "tests/data/strace/6.1/trading.log.gz"])
        await self.quiet()

    def syscall_view(self):  # type: ignore[no-untyped-def]
        from tailflame_gui.views.syscall_view import SyscallView

        return next(one for one in self.parts.window.findChildren(SyscallView) if one.isVisible())

    async def syscalls_call(self) -> None:
        view = self.syscall_view()
        view.choose_call("write")
        view.axis.select(0.5, 0.8)
        await self.quiet()

    async def syscalls_slowest(self) -> None:
        from tailflame_gui.views.syscall_view import Page

        view = self.syscall_view()
        view.axis.clear()
        view.all_calls()
        view.show_page(Page.SLOWEST)

    async def syscalls_sums(self) -> None:
        self.parts.controller.open_paths([ROOT / "tests/data/strace/6.1/columns.txt"])
        await self.quiet()

    async def syscalls_compare(self) -> None:
        self.parts.controller.open_paths([ROOT / "tests/data/strace/6.1/filtered.log.gz"])
        await self.quiet()
        tabs = [tab for tab in self.parts.state.open_results if tab.recording and tab.recording.syscalls is not None]
        logs = [tab for tab in tabs if len(tab.recording.syscalls)]
        self.parts.controller.compare(logs[0], logs[-1])
        await self.quiet()

    # Caches: files of cachegrind that the tests read, with the demo's sources where they are here.

    def cache_view(self):  # type: ignore[no-untyped-def]
        from tailflame_gui.views.cache_view import CacheView

        return next(one for one in self.parts.window.findChildren(CacheView) if one.isVisible())

    async def caches(self) -> None:
        from PySide6.QtCore import Qt

        demo = ROOT / "resources/demo/trading-system"
        self.parts.controller.change_settings(source_map=(("/opt/trading", str(demo)),))
        self.parts.controller.open_paths([ROOT / "tests/data/cachegrind/3.19.0/trading-hostile.out.gz"])
        await self.quiet()
        view = self.cache_view()
        view.table.sortByColumn(view.model.column_of("LLm"), Qt.SortOrder.DescendingOrder)
        view.show_function("trading_system::market_data::MarketData::look_up_collar")
        await self.quiet()

    async def caches_lines(self) -> None:
        from PySide6.QtCore import Qt

        from tailflame.analyse.cache_rates import D1, CostBy

        view = self.cache_view()
        view.show_by(CostBy.LINE)
        await self.quiet()
        view.show_figure(D1.name)
        view.table.sortByColumn(view.model.column_of(D1.name), Qt.SortOrder.DescendingOrder)
        view.table.selectRow(0)
        await self.quiet()

    async def caches_compare(self) -> None:
        self.parts.controller.open_paths([ROOT / "tests/data/cachegrind/3.19.0/trading-plain.out.gz"])
        await self.quiet()
        tabs = [tab for tab in self.parts.state.open_results if tab.recording and tab.recording.costs is not None]
        self.parts.controller.compare(tabs[-1], tabs[0])
        await self.quiet()

    # Memory: files of heaptrack and massif that the tests read.

    async def memory(self) -> None:
        self.parts.controller.open_paths([ROOT / "tests/data/heaptrack/1.4.0/trading.zst"])

    async def memory_leaked(self) -> None:
        from tailflame_gui.models.heap_sites import Question
        from tailflame_gui.views.heap_view import HeapView

        view = next(one for one in self.parts.window.findChildren(HeapView) if one.isVisible())
        view.ask(Question.LEAKED)
        view.table.show_line(0)

    async def memory_snapshots(self) -> None:
        from tailflame_gui.views.heap_view import HeapView

        self.parts.controller.open_paths([ROOT / "tests/data/massif/3.19.0/ms-stacks.out"])
        await self.quiet()
        view = next(one for one in self.parts.window.findChildren(HeapView) if one.isVisible())
        view.axis.point_at(view.axis.high_s * 0.6)

    async def memory_compare(self) -> None:
        tabs = [tab for tab in self.parts.state.open_results if tab.recording and tab.recording.heap is not None]
        self.parts.controller.compare(tabs[0], tabs[-1])
        await asyncio.sleep(1)

    async def compare(self) -> None:
        rows = (row for row in self.parts.state.sessions if row.measures == "time")
        older, newer = sorted(rows, key=lambda row: row.path)[:2]
        self.parts.controller.compare(older, newer)

    async def failed(self) -> None:
        broken = self.folder / "broken.data"
        broken.write_bytes(b"PERFILE2" + bytes(40))
        self.parts.controller.open_paths([broken])
        await self.quiet()
        broken.unlink()

    async def loop(self):  # type: ignore[no-untyped-def]
        """The loop page with what `measure_loop` has left."""
        from tailflame_gui.state import Page
        from tailflame_gui.views.loop_page import LoopPage

        self.parts.state.set_page(Page.LOOP)
        page = self.parts.window.loop_page
        assert isinstance(page, LoopPage) and self.parts.late_loop.made is not None
        project = Path(os.environ["TAILFLAME_PROFILES"]).parent / "engine"
        if page.view.project != str(project):
            self.parts.late_loop.made.choose_project(project)
            await self.quiet()
        page.leave_hotspot()
        return page

    async def loop_steps(self) -> None:
        page = await self.loop()
        page.steps.unfold("cpu", True)

    async def loop_hotspot(self):  # type: ignore[no-untyped-def]
        page = await self.loop()
        page.steps.unfold("cpu", False)
        page.hotspot_chosen.emit(page.view.hotspots[0][0])
        await self.quiet()
        return page.hotspot

    async def loop_hotspot_source(self) -> None:
        hotspot = await self.loop_hotspot()
        hotspot.tabs.setCurrentIndex(hotspot.tabs.count() - 1)

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


SLICE_S = 0.25


def sliced(session: Path, library: Library) -> Path:
    """A session of slices, kept as a continuous recording keeps its own."""
    from tailflame.analyse.slices import Slice
    from tailflame.analyse.time_range import between
    from tailflame.run import continuous_session
    from tailflame.store import load_recording
    from tailflame.store.slice_store import SlicesHead, SliceStore

    recording = load_recording(session)
    profile = recording.profile
    assert profile is not None
    first, last = profile.samples.time_ns.min() / 1e9, profile.samples.time_ns.max() / 1e9
    made = library.new_session(tool=continuous_session.TOOL, title="trading-system, continuous")
    store = SliceStore(made.path)
    store.begin(SlicesHead(epoch_s=0.0, program="trading-system", slice_s=SLICE_S))
    continuous_session.planned(made)
    for number in range(1, int((last - first) / SLICE_S) + 1):
        start = float(first) + (number - 1) * SLICE_S
        store.add(Slice(start, SLICE_S, between(profile, start, start + SLICE_S), "perf.data", number, number))
    continuous_session.keep(made, store, outcome="The recording was stopped; the program runs on.")
    return made.path


if __name__ == "__main__":
    sys.exit(main())
