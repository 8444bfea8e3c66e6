"""A project whose measurement needs no profiler: a script that logs latencies, and its plan."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from pathlib import Path

from tailflame.model.iteration import Iteration
from tailflame.run.measure_events import Done
from tailflame.run.pipeline import Pipeline
from tailflame.run.plan_file import read_plan
from tailflame.store import Library
from tailflame.store.iterations import BASELINE, Iterations

PROGRAM = """#!/bin/sh
# Latencies of 2,000 calls: {base} to {base} + 99 us.
i=0
while [ $i -lt 2000 ]; do echo "total_us=$(( {base} + i % 100 ))"; i=$((i+1)); done > "$1"
{rest}
"""
PLAN = """
[target]
path = "engine"
args = ["{{out}}/calls.log"]
{more}
[measure]
repetitions = {repetitions}
warm_up_s = 0
steps = ["latency"]
[latency]
log = "{{out}}/calls.log"
fields = ["total_us"]
[goal]
metric = "p99 total_us"
"""


class LoopProject:
    """`folder`: with the plan and the program. Its measurements are kept in `library`."""

    def __init__(self, folder: Path, library: Library) -> None:
        self.folder = folder
        self.folder.mkdir(parents=True)
        self.library = library
        self.program()
        self.plan()

    def program(self, *, base: int = 100, rest: str = "") -> None:
        path = self.folder / "engine"
        path.write_text(PROGRAM.format(base=base, rest=rest))
        path.chmod(0o755)

    def plan(self, more: str = "", *, repetitions: int = 2) -> None:
        (self.folder / "tailflame.toml").write_text(PLAN.format(more=more, repetitions=repetitions))

    @property
    def iterations(self) -> Iterations:
        return Iterations(self.library.root)

    def measure(self, *, note: str = "", baseline: bool = False) -> Iteration:
        """Runs the plan to its end."""

        async def run() -> Iteration:
            pipeline = Pipeline(read_plan(self.folder / "tailflame.toml"), self.library, note=note)
            async with aclosing(pipeline.events()) as events:
                async for event in events:
                    if isinstance(event, Done):
                        return event.iteration
            raise AssertionError("it never ended")

        # A window's loop may be the running one of this thread.
        before = asyncio.events._get_running_loop()
        asyncio.events._set_running_loop(None)
        try:
            made = asyncio.run(run())
        finally:
            asyncio.events._set_running_loop(before)
        if baseline:
            self.iterations.name_baseline(BASELINE, made)
        return made
