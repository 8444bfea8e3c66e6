"""From a filter to repainted views, for a profile of 1.33 million samples and 24 million frames.

    filter.py [--samples N] [--stacks N] [--seconds S] [--file RECORDING] [--steps]

Makes a profile (deterministic: walks through a random call graph, 16 threads, 8 CPUs), shows it in a result view of
1280 x 800, and sets one filter after another, as a drag in the timeline or a click on a thread does. A figure is the
time from the scope's change until the view in sight, the inspector and the strip below have been computed and painted;
the median and the worst of the steps are printed per view. With --steps the parts of it are timed apart, without a
window's threads.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

import numpy as np
import qasync
from PySide6.QtWidgets import QApplication

from tailflame.analyse.filter_language import parse
from tailflame.analyse.hotspots import table_of
from tailflame.analyse.layout import lay_out
from tailflame.analyse.sample_filter import SampleFilter, SampleRows
from tailflame.analyse.sample_timeline import By, length_s, tracks
from tailflame.analyse.tree import TreeOptions, build_tree, invert, skeleton
from tailflame.model import Recording
from tailflame.model.stacks import (
    Event,
    FrameTable,
    SampleTable,
    StackProfile,
    StackTable,
    Thread,
    readonly,
)
from tailflame.parse import load
from tailflame_gui import tasks, theme
from tailflame_gui.models.scope import Scope
from tailflame_gui.models.trees import ProfileTrees
from tailflame_gui.views.flame_picture import FlameSettings, draw
from tailflame_gui.views.result_view import Part, ResultView

FUNCTIONS, CALLEES, DEPTH = 6_000, 7, 18


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--samples", type=int, default=1_333_025)
    options.add_argument("--stacks", type=int, default=10_000, help="distinct stacks that samples are drawn from")
    options.add_argument("--seconds", type=float, default=60.0)
    options.add_argument("--steps", action="store_true")
    options.add_argument("--file", type=Path, help="a recording, in place of the profile that is made")
    asked = options.parse_args()
    if asked.file:
        profile = load(asked.file).profile
        assert profile is not None
        asked.seconds = length_s(profile)
    else:
        profile = made(asked.samples, asked.stacks, asked.seconds)
    frames = int((profile.stacks.depths()[profile.samples.stack] + 1).sum())
    print(f"{len(profile.samples):,} samples, {frames:,} frames, {len(profile.stacks):,} rows of stacks")
    if asked.steps:
        steps(profile, asked.seconds)
        return 0
    application = QApplication.instance() or QApplication([])
    assert isinstance(application, QApplication)
    loop = qasync.QEventLoop(application)
    asyncio.set_event_loop(loop)
    tasks.adopt(loop)
    sys.setswitchinterval(0.001)  # as the application sets it
    theme.install(application, theme.Mode.DARK)
    with loop:
        loop.run_until_complete(show(profile, asked.seconds))
        loop.run_until_complete(tasks.close())
    return 0


def made(samples: int, stacks: int, seconds: float) -> StackProfile:
    """Walks of about DEPTH calls; who is called is skewed, as it is in programs."""
    random = np.random.default_rng(20)
    graph = random.integers(0, FUNCTIONS, (FUNCTIONS, CALLEES))
    lengths = np.clip(random.normal(DEPTH, 4, stacks).astype(int), 3, 40)
    function = np.zeros(stacks, dtype=np.int64)
    above = np.full(stacks, -1, dtype=np.int64)
    leaf = np.full(stacks, -1, dtype=np.int64)
    parents, functions, rows = [], [], 0
    for level in range(int(lengths.max())):
        going = np.flatnonzero(lengths > level)
        if level:
            chosen = np.minimum(random.geometric(0.5, len(going)) - 1, CALLEES - 1)
            function[going] = graph[function[going], chosen]
        key = (above[going] + 1) * FUNCTIONS + function[going]
        distinct, inverse = np.unique(key, return_inverse=True)
        parents.append(distinct // FUNCTIONS - 1)
        functions.append(distinct % FUNCTIONS)
        above[going] = leaf[going] = rows + inverse
        rows += len(distinct)
    names = tuple(f"crate_{f % 40}::module_{f % 300}::function_{f}" for f in range(FUNCTIONS))
    modules = tuple(f"/usr/lib/lib{m}.so" for m in range(40))
    frames = FrameTable(
        strings=names + modules,
        name=readonly(np.arange(FUNCTIONS), np.int32),
        module=readonly(FUNCTIONS + np.arange(FUNCTIONS) % 40, np.int32),
        file=readonly(np.full(FUNCTIONS, -1), np.int32),
        line=readonly(np.full(FUNCTIONS, -1), np.int32),
        kind=readonly(np.zeros(FUNCTIONS), np.uint8),
    )
    hot = np.minimum(random.zipf(1.3, samples) - 1, stacks - 1)
    some = np.where(random.random(samples) < 0.5, hot, random.integers(0, stacks, samples))
    table = SampleTable(
        stack=readonly(leaf[some], np.int32),
        count=readonly(np.ones(samples), np.float64),
        period=readonly(np.full(samples, 1e6), np.float64),
        time_ns=readonly(np.sort(random.integers(0, int(seconds * 1e9), samples)) + 10**12, np.int64),
        thread=readonly(random.integers(0, 16, samples), np.int32),
        cpu=readonly(random.integers(0, 8, samples), np.int32),
        event=readonly(np.zeros(samples), np.int32),
    )
    return StackProfile(
        frames=frames,
        stacks=StackTable(
            frame=readonly(np.concatenate(functions), np.int32), parent=readonly(np.concatenate(parents), np.int32)
        ),
        samples=table,
        threads=tuple(Thread(f"worker-{n}", 100, 100 + n) for n in range(16)),
        events=(Event("cpu-clock"),),
        in_time_order=True,
    )


def filters(seconds: float) -> list[SampleFilter]:
    """As a drag grows to a third of the time, and as threads go out and in."""
    dragged = [SampleFilter(span=(0.2 * seconds, (0.2 + part) * seconds)) for part in (0.02, 0.1, 0.2, 0.33)]
    clicked = [SampleFilter(terms=parse(text)) for text in ("-tid:101", "-tid:101,102", "tid:104", "cpu:0-3")]
    return [*dragged, *clicked, SampleFilter()]


def steps(profile: StackProfile, seconds: float) -> None:
    bones = timed("the nodes of the tree (once)", lambda: skeleton(profile, TreeOptions()))
    masks = SampleRows(profile)
    timed("lanes by thread (once)", lambda: tracks(profile, By.THREAD, 0))
    lanes = tracks(profile, By.THREAD, 0)
    theme_tokens = theme.current()
    for wanted in (
        SampleFilter(),
        SampleFilter(span=(0.2 * seconds, 0.5 * seconds)),
        SampleFilter(terms=parse("-tid:101")),
    ):
        print(f"-- {wanted.span or ' '.join(map(str, wanted.terms)) or 'everything'}")
        rows = timed("mask", lambda wanted=wanted: masks.rows(wanted))  # type: ignore[misc]
        options = TreeOptions(samples=wanted)
        tree = timed("tree", lambda: build_tree(profile, options, bones=bones, rows=rows))  # noqa: B023
        timed("layout", lambda: lay_out(tree))  # noqa: B023
        timed("hotspots", lambda: table_of(tree))  # noqa: B023
        timed("inverted", lambda: invert(tree))  # noqa: B023
        timed("sums of the lanes", lambda: lanes.sums(profile, rows))  # noqa: B023
        trees = ProfileTrees(profile)
        trees.build(TreeOptions())
        timed("flame picture", lambda: draw(trees, FlameSettings(options=options), theme_tokens), runs=1)  # noqa: B023


def timed(what: str, work: Callable[[], object], *, runs: int = 3):  # type: ignore[no-untyped-def]
    times, worked, result = [], [], None
    for _ in range(runs):
        before, cpu = time.perf_counter(), time.thread_time()
        result = work()
        times.append(time.perf_counter() - before)
        worked.append(time.thread_time() - cpu)
    print(f"{what:32} {statistics.median(times) * 1000:8.1f} ms   of work {statistics.median(worked) * 1000:8.1f} ms")
    return result


async def show(profile: StackProfile, seconds: float) -> None:
    recording = Recording(tool="perf", format="perf data", source="made", results=(profile,))
    view = ResultView(recording)
    view.resize(1280, 800)
    view.show()
    await rest(view)
    view.selection.select(ProfileTrees(profile).hotspots(Scope()).key[0])
    for part in (Part.FLAME, Part.HOTSPOTS, Part.TOP_DOWN, Part.SUMMARY, Part.CALLERS, Part.BOTTOM_UP):
        view.show_part(part)
        await rest(view)
        took, worked = [], []
        for wanted in filters(seconds):
            before, cpu = time.perf_counter(), time.process_time()
            view.scope.set(Scope(samples=wanted))
            while view.busy or view.timeline.busy:  # noqa: ASYNC110 - it is the waiting that is measured
                await asyncio.sleep(0.001)
            view.grab()
            took.append((time.perf_counter() - before) * 1000)
            worked.append((time.process_time() - cpu) * 1000)
            await rest(view)
        took.sort()
        print(
            f"{part:24} median {statistics.median(took):7.1f} ms   worst {took[-1]:7.1f} ms   "
            f"processor time, all threads: median {statistics.median(worked):7.1f} ms"
        )
    view.hide()


async def rest(view: ResultView) -> None:
    quiet = 0
    while quiet < 5:
        await asyncio.sleep(0.02)
        quiet = 0 if view.busy or view.timeline.busy or tasks.busy_workers() else quiet + 1


if __name__ == "__main__":
    sys.exit(main())
