"""`perf stat`: what is counted over a whole run, over several runs, or interval by interval.

Events are asked for one by one and never in groups: one that this machine lacks is then told as such, and does not fail
the run. Several runs are made by host/repeat.py, each with a perf of its own, for the reasons that it gives.
"""

from __future__ import annotations

import re
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from types import MappingProxyType

from tailflame.errors import TailflameError
from tailflame.host.install import install_command
from tailflame.host.system import HARDWARE_EVENTS, Host
from tailflame.tools import perf_record
from tailflame.tools.base import (
    Capabilities,
    Family,
    OptionField,
    OptionKind,
    Plan,
    SlowDown,
    Target,
    TargetIs,
    ToolOptions,
)
from tailflame.tools.findings import Finding, Level

_SOFTWARE = ("duration_time", "task-clock", "context-switches", "cpu-migrations", "page-faults")
_PROCESSOR = (
    "cycles", "instructions", "branches", "branch-misses", "cache-references", "cache-misses",
    "L1-dcache-loads", "L1-dcache-load-misses", "LLC-loads", "LLC-load-misses", "dTLB-loads", "dTLB-load-misses",
    "stalled-cycles-frontend", "stalled-cycles-backend",
)  # fmt: skip

EVENTS = OptionField(
    name="events",
    title="Events",
    tip="What is counted, by perf's names, separated by commas. What this machine cannot count is shown as such.",
    kind=OptionKind.TEXT,
    default=",".join((*_SOFTWARE, *_PROCESSOR)),
)
RUNS = OptionField(
    name="runs",
    title="Runs",
    tip="How often the program is run. From 5 on it shows how much its figures vary by themselves.",
    kind=OptionKind.WHOLE,
    default=1,
    low=1,
    high=1000,
)
INTERVAL = OptionField(
    name="interval",
    title="Interval",
    tip="Count anew every so often, to see curves; 0 counts the whole run.",
    kind=OptionKind.WHOLE,
    default=0,
    low=0,
    high=60_000,
    unit="ms",
    only_with=("runs", 1),
)
THREADS = OptionField(
    name="threads",
    title="Each thread by itself",
    tip="For a running process alone: perf counts the threads of a program that it starts together.",
    kind=OptionKind.FLAG,
    default=False,
    rare=True,
)
_LEAST_INTERVAL_MS = 10
# perf's own words on stderr beside a result file.
_OWN_LINES = re.compile(r"^(Events (enabled|disabled)|Warning:.*|.* event is not supported by the kernel\.)$")


class PerfStat:
    """Counts events over whole runs."""

    name = "perf-stat"
    title = "perf stat"
    answers = "How many cycles, instructions, misses and faults does a run take, and how much do runs differ?"
    cost = "Next to nothing: the processor counts, and perf reads the counters at the end."
    family = Family.CACHES
    program = "perf"
    launches = True
    attaches = True
    slow_down = SlowDown(typical=1.0, worst=1.5, worst_for="threads that switch all the time, with short intervals")

    def probe(self, host: Host) -> Capabilities:
        if host.perf is None:
            return Capabilities(False, host.perf_missing, fix=install_command("perf"))
        if host.refused:
            return Capabilities(False, "the kernel refuses performance events to this user", version=host.perf_version)
        return Capabilities(True, version=host.perf_version)

    def fields(self, host: Host) -> tuple[OptionField, ...]:
        return (EVENTS, RUNS, INTERVAL, THREADS)

    def defaults(self, host: Host) -> ToolOptions:
        return ToolOptions(tool=self.name)

    def plan(self, target: Target, options: ToolOptions, out: Path) -> Plan:
        result = out / "perf-stat.json"
        events = [name for name in re.split(r"\s*,\s*(?![^/]*/(?:,|$))", options.text(EVENTS).strip()) if name]
        argv = ["perf", "stat", "-j", "-o", str(result)]
        for name in events:
            # Of a running process perf 6.1 adds it up over the threads: three seconds in one for three of them.
            if name != "duration_time" or target.pid is None:
                argv += ["-e", name]
        runs = options.whole(RUNS) if target.pid is None else 1
        interval = options.whole(INTERVAL)
        if interval and runs == 1:
            argv += ["-I", str(max(interval, _LEAST_INTERVAL_MS))]
        if target.pid is not None and options.flag(THREADS):
            argv.append("--per-thread")
        argv += options.extra
        argv += ["-p", str(target.pid)] if target.pid is not None else ["--", *target.argv]
        target_is = TargetIs.CHILD if target.pid is None else TargetIs.RUNNING
        if runs > 1:
            argv.insert(argv.index("-o"), "--append")
            argv = [sys.executable, "-m", "tailflame.host.repeat", str(runs), str(result), "--", *argv]
            target_is = TargetIs.REPEATED
        return Plan(
            tool=self.name,
            argv=tuple(argv),
            target=target,
            out=out,
            artifacts=MappingProxyType({"perf-stat.json": result}),
            primary="perf-stat.json",
            cwd=target.cwd,
            # With a comma for decimals, as a language may have it, the result is no JSON.
            env=MappingProxyType({"LC_ALL": "C"}),
            duration_s=options.duration_s,
            mirrors_target=target_is is TargetIs.CHILD,
            own_lines=_OWN_LINES,
            target_is=target_is,
            stop_signal=signal.SIGTERM if target.pid is None else signal.SIGINT,
        )

    def checks(self, target: Target, options: ToolOptions, host: Host) -> tuple[Finding, ...]:
        return tuple(self._checks(target, options, host))

    def _checks(self, target: Target, options: ToolOptions, host: Host) -> Iterator[Finding]:
        if host.perf is None:
            return  # told for every tool
        if host.refused:
            yield Finding(
                Level.BLOCKER,
                "The kernel refuses performance events to this user.",
                "",
                "Lower the limit, until the next start of the machine.",
                ("sudo", "sysctl", "kernel.perf_event_paranoid=1"),
            )
            return
        asked = options.text(EVENTS)
        missing = not host.has_hardware_events and any(name in asked for name in HARDWARE_EVENTS)
        if missing:
            yield Finding(
                Level.NOTE,
                "The processor's counters are not available.",
                f"{host.no_counters} What cannot be counted is shown as not supported.",
                "Record on the bare machine, or use cachegrind for the caches.",
            )
        if host.user_only:
            yield Finding(
                Level.NOTE,
                "Only user space will be counted.",
                "Context switches and migrations happen in the kernel: they read 0 then, and are shown as not counted.",
                "Lower the limit, until the next start of the machine.",
                ("sudo", "sysctl", "kernel.perf_event_paranoid=1"),
            )
        runs = options.whole(RUNS)
        if target.pid is not None:
            if runs > 1:
                yield Finding(Level.NOTE, "A running program is counted once.", "It cannot be started again and again.")
            return
        if runs == 1 and not options.whole(INTERVAL):
            yield Finding(
                Level.NOTE,
                "One run does not tell how much runs differ.",
                "A comparison cannot say then what is noise.",
                "Ask for 5 runs or more.",
            )
        elif runs > 1 and options.duration_s is not None:
            yield Finding(
                Level.NOTE,
                f"The time holds for all {runs} runs together.",
                "A run that is cut short by it is left out.",
                "Let the program end by itself.",
            )

    def explain(self, output: str, plan: Plan) -> TailflameError | None:
        return perf_record.explain(output, plan.artifacts)
