"""The live sources as the window and the command line ask for them, one function each."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from tailflame.errors import TargetError
from tailflame.host.privilege import Need
from tailflame.host.probe_safety import Probed
from tailflame.live.counters import Counters
from tailflame.live.cpu_recording import CpuRecording
from tailflame.live.function_probe import COST_LIMIT, FunctionProbe
from tailflame.live.hdr_log import HdrLogTail
from tailflame.live.log_fields import LogFields
from tailflame.live.log_slow import SlowLines
from tailflame.live.process import ProcessWatch
from tailflame.live.prometheus import PrometheusScrape
from tailflame.live.prometheus_query import PrometheusQuery
from tailflame.live.simulated import SimulatedCounters
from tailflame.live.source import LiveSource
from tailflame.live.syscall_summary import SyscallSummary
from tailflame.live.tail_ring import EVERY_S, MOST, TailRing, ring_options, ring_pages
from tailflame.live.tail_rules import TailRule
from tailflame.model.slow_calls import SlowAbove
from tailflame.run.continuous import Continuous, ContinuousOptions
from tailflame.run.live_events import LiveTarget, SourceWish
from tailflame.run.live_session import CONTINUOUS, PROFILE
from tailflame.run.perf_file import GrowingPerfFile
from tailflame.tools.base import Target
from tailflame.tools.perf_record import CallGraph, PerfOptions, attach_argv, explain_attach

SLOW_RATE_HZ = 9999
"""Of the CPU recording beside slow calls: they are few, and what they do shows only in many samples. In a virtual
machine such a rate costs some 10 % of a processor: each sample is an interrupt of 10 us."""


def probe(
    functions: Sequence[Probed],
    *,
    cost_limit: float | None = COST_LIMIT,
    interval_s: float = 0.2,
    slow: SlowAbove | None = None,
) -> SourceWish:
    """Latencies of functions, as `host.probe_safety.judge` has let them pass; and their slow calls one by one."""

    def make(target: LiveTarget) -> LiveSource:
        if target.image is None:
            raise TargetError("The kernel does not tell which program this process runs.", advice="Attach as its user.")
        return FunctionProbe(
            target.pid,
            target.image,
            functions,
            interval_s=interval_s,
            cost_limit=cost_limit,
            starter=target.permission.probe,
            raw=target.out / "probe.jsonl",
            slow=slow,
        )

    return SourceWish("probe", "Function probe", make)


def log_fields(
    path: Path | None = None,
    *,
    fields: Sequence[str] | None = None,
    units: Mapping[str, str] | None = None,
    slow: tuple[str, SlowAbove] | None = None,
) -> SourceWish:
    """Numeric fields of the program's lines: of `path`, else of its own stdout and stderr, which takes a launch. slow:
    the field whose slow events are told one by one, and from which duration on."""

    def make(target: LiveTarget) -> LiveSource:
        lines = None
        if slow is not None:
            try:
                lines = SlowLines(slow[0], slow[1], target.pid, unit=(units or {}).get(slow[0], ""))
            except ValueError as problem:
                raise TargetError(f"{problem}.", advice="Give it with the field: NAME=us.") from None
        if path is not None:
            return LogFields(path, fields=fields, units=units, pid=target.pid, slow=lines)
        if target.stdout is None or target.stderr is None:
            raise TargetError(
                "The lines of a program that was started elsewhere cannot be read.", advice="Name its log file."
            )
        return LogFields(
            (target.stdout, target.stderr), fields=fields, units=units, pid=target.pid, from_start=True, slow=lines
        )

    return SourceWish("log", "Log fields", make)


def hdr_log(path: Path) -> SourceWish:
    return SourceWish("hdr-log", "HDR log", lambda target: HdrLogTail(path, pid=target.pid))


def prometheus(url: str, *, interval_s: float = 1.0) -> SourceWish:
    return SourceWish(
        "prometheus", "Prometheus", lambda target: PrometheusScrape(url, interval_s=interval_s, pid=target.pid)
    )


def prometheus_query(base_url: str, query: str, *, interval_s: float = 5.0) -> SourceWish:
    return SourceWish(
        "query",
        "Prometheus query",
        lambda target: PrometheusQuery(base_url, query, interval_s=interval_s, pid=target.pid),
    )


def counters(*, interval_s: float = 0.2, events: Sequence[str] | None = None) -> SourceWish:
    return SourceWish(
        "counters",
        "Counters",
        lambda target: Counters(
            target.pid,
            events=events,
            interval_s=interval_s,
            launcher=target.permission.launcher(Need.COUNT, target.pid),
            raw=target.out / "counters.jsonl",
        ),
    )


def simulated(program: Target) -> SourceWish:
    """Cache and branch counters of another run of the program, under callgrind."""

    def make(target: LiveTarget) -> LiveSource:
        folder = target.out / "simulated"
        folder.mkdir(exist_ok=True)
        return SimulatedCounters(program.argv, folder, cwd=program.cwd, env=program.env)

    return SourceWish("simulated", "Simulated counters", make)


def process(*, interval_s: float = 0.25) -> SourceWish:
    return SourceWish("process", "Process and threads", lambda target: ProcessWatch(target.pid, interval_s=interval_s))


def cpu(options: PerfOptions) -> SourceWish:
    """A CPU recording beside the rest; its file opens with the session."""

    def make(target: LiveTarget) -> LiveSource:
        out = target.out / PROFILE
        # Switched on anew: what was recorded before stays.
        number = 2
        while out.exists():
            out = target.out / f"{PROFILE}.{number}"
            number += 1
        whole = replace(options, duration_s=None)
        return CpuRecording(
            out,
            attach_argv(whole, target.pid, out),
            explain=explain_attach,
            look=GrowingPerfFile(out).look,
            launcher=target.permission.launcher(Need.RECORD, target.pid),
        )

    return SourceWish("cpu", "CPU recording", make)


def tail(rules: Sequence[TailRule], options: PerfOptions, *, every_s: float = EVERY_S, most: int = MOST) -> SourceWish:
    """The last seconds before a rule is crossed, kept as a CPU profile each time."""
    stack = options.dwarf_stack if options.call_graph is CallGraph.DWARF else 0
    pages = ring_pages(options.frequency, stack_bytes=stack, root=os.geteuid() == 0)

    def make(target: LiveTarget) -> LiveSource:
        ring = replace(options, duration_s=None, large_buffer=False, extra=(*options.extra, *ring_options(pages)))
        return TailRing(
            target.pid,
            target.out,
            lambda file: attach_argv(ring, target.pid, file),
            rules,
            every_s=every_s,
            most=most,
            explain=explain_attach,
            launcher=target.permission.launcher(Need.RECORD, target.pid),
        )

    return SourceWish("tail", "Tail captures", make)


def continuous(options: ContinuousOptions) -> SourceWish:
    """A profile in slices of time, for hours, beside the rest."""

    def make(target: LiveTarget) -> LiveSource:
        return Continuous(
            target.out / CONTINUOUS,
            target.pid,
            program=target.binary.name if target.binary is not None else "",
            options=options,
            launcher=target.permission.launcher(Need.RECORD, target.pid),
        )

    return SourceWish("slices", "Continuous profile", make)


def syscalls(*, seconds: float = 5.0) -> SourceWish:
    return SourceWish(
        "syscalls",
        "System calls",
        lambda target: SyscallSummary(
            target.pid,
            target.out / "strace.txt",
            seconds=seconds,
            launcher=target.permission.launcher(Need.TRACE, target.pid),
        ),
    )
