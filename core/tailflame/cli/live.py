"""tailflame live, tailflame attach"""

from __future__ import annotations

import argparse
import asyncio
import math
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from tailflame.cli.command import Context, draw_flame_graph
from tailflame.cli.exit_codes import ExitCode, UsageError
from tailflame.cli.live_display import Display, display_of
from tailflame.cli.signals import stopped_by_signals
from tailflame.cli.wishes import environment_of
from tailflame.errors import TailflameError, TargetError
from tailflame.host.binary import binary_facts, check_runnable
from tailflame.host.running import RunningProcess, find
from tailflame.host.system import probe_host
from tailflame.live.function_probe import COST_LIMIT
from tailflame.live.permission import Permission
from tailflame.live.tail_ring import EVERY_S, MOST, limits
from tailflame.live.tail_rules import TailRule
from tailflame.model.slow_calls import SlowAbove
from tailflame.run import live_sources
from tailflame.run.live_events import LiveEvent, LiveFinished, SourceWish
from tailflame.run.live_functions import functions_called, hottest, judged
from tailflame.run.live_run import LiveRun
from tailflame.run.live_session import TOOL, LiveSession, keep
from tailflame.run.live_sources import SLOW_RATE_HZ
from tailflame.store import SessionFolder, SessionInfo
from tailflame.tools import PERF_RECORD, CallGraph, PerfOptions, Target


@dataclass(frozen=True, slots=True)
class Subject:
    """The program to look at: `launch`, or `process` to attach to. `image` is the file that holds its functions."""

    launch: Target | None
    process: RunningProcess | None
    image: Path

    @property
    def binary(self) -> Path | None:
        """None where the kernel does not tell."""
        if self.launch is not None:
            return self.launch.binary
        return self.process.binary if self.process is not None else None

    @property
    def argv(self) -> tuple[str, ...]:
        if self.launch is not None:
            return self.launch.argv
        assert self.process is not None
        return self.process.command


class LiveCommand:
    """Watch a program's latency percentiles and counters while it runs.

      tailflame live [options] -- PROGRAM ARGUMENTS...
      tailflame live --attach PID|NAME [options]

    Without other wishes: counters, the process with its threads, and the times that a launched program writes into its
    lines. Latencies are shown each second, for the last 10 s and for the whole run. Ctrl-C ends a launched program
    politely, and lets go of one that was attached to. Everything seen is kept as a session (`tailflame show latest`).

    JSON: one object a line while it runs: {"source", "state", "error"}; {"series", "time", "interval_s", "count",
    "percentiles": {"p50" ...}, "max", "unreliable": names of percentiles with too few values}, in ns;
    {"reading", "time", "interval_s", "value", "unit", "status", "running", "simulated"};
    {"stages", "time", "events", "mean_ns", "tail_mean_ns"}; {"cost", "floor_ns", "per_call_ns", "calls_per_s", "share",
    "lost"}; {"said", "fix"}; last {"finished", "seconds", "session"}.
    """

    name = "live"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--attach", metavar="PID|NAME", default="", help="look at a program that runs already")
        add_live_arguments(parser)

    def run(self, args: argparse.Namespace, context: Context) -> int:
        if bool(args.attach) == bool(args.target):
            raise UsageError(
                "Either a program to launch, or one to attach to.",
                advice="tailflame live [options] -- PROGRAM ARGUMENTS, or tailflame live --attach PID|NAME.",
            )
        return look(_attached(args.attach) if args.attach else _launched(args), args, context)


class AttachCommand:
    """Watch a program that runs already.

      tailflame attach PID|NAME [options]

    The same as live --attach. Detaching (Ctrl-C), or killing Tailflame, leaves the program as it was.

    JSON: as `live` prints it.
    """

    name = "attach"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("process", metavar="PID|NAME", help="the running program")
        add_live_arguments(parser)

    def run(self, args: argparse.Namespace, context: Context) -> int:
        return look(_attached(args.process), args, context)


def add_live_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add(
        "-f", "--function", action="append", default=[], metavar="NAME", help="time calls of this function (repeatable)"
    )
    add(
        "--top-three",
        nargs="?",
        const="latest",
        metavar="RESULT",
        help="time the three hottest functions of a result (the program's latest)",
    )
    add(
        "--slow-above",
        metavar="TIME|PERCENTILE",
        default="",
        help="keep the calls of the functions above this, one by one (100us; p99.9: of the first 5 s), and record a "
        "CPU profile with them: `tailflame tail` compares them with the fast ones",
    )
    add(
        "--slow-field",
        metavar="NAME[=UNIT]",
        default="",
        help="the slow calls are those that the program's lines tell by this field (no probe: needs no root)",
    )
    add("--cost-limit", default=f"{COST_LIMIT:.0%}", metavar="PERCENT|none", help="probes may cost this much (10%%)")
    add(
        "--accept-unwinding",
        action="store_true",
        help="probe returns although a panic or exception through the function would end the program",
    )
    add("--log", action="append", default=[], metavar="FILE", help="follow the times in the lines of a log that grows")
    add("--field", action="append", default=[], metavar="NAME[=UNIT]", help="only these fields; unit ns, us, ms or s")
    add("--hlog", metavar="FILE", help="follow an HdrHistogram log that grows, tag by tag")
    add("--prometheus", metavar="URL", help="scrape this endpoint (http://127.0.0.1:9000/metrics)")
    add("--query", nargs=2, metavar=("SERVER", "PROMQL"), help="ask a Prometheus server")
    add("--cpu", action="store_true", help="record a CPU profile as well")
    add(
        "--cpu-rate",
        type=int,
        metavar="HZ",
        help=f"samples a second of the CPU profile (1999; {SLOW_RATE_HZ} with --slow-above)",
    )
    add(
        "--capture-when",
        action="append",
        default=[],
        metavar="RULE",
        help="keep the last seconds of CPU samples and the state of the machine when this is crossed (repeatable): "
        "'p99.9 NAME > 1ms', 'max NAME > 1ms', 'slow NAME', 'CPU > 180'",
    )
    add("--capture-every", type=float, default=EVERY_S, metavar="SECONDS", help="at most one capture in this time (10)")
    add("--capture-most", type=int, default=MOST, metavar="N", help="at most so many captures in a run (5)")
    add("--syscalls", type=float, metavar="SECONDS", help="count system calls for so long (slows the program much)")
    add(
        "--simulated",
        action="store_true",
        help="run the program once more under callgrind, for cache and branch misses",
    )
    add("--no-counters", action="store_true", help="without perf stat")
    add("--no-process", action="store_true", help="without CPU, memory and threads")
    add("-d", "--duration", type=float, metavar="SECONDS", help="end after this long")
    add("-i", "--interval", type=float, default=0.2, metavar="SECONDS", help="length of an interval (0.2)")
    add("-C", "--directory", metavar="DIR", help="a launched program's working directory")
    add("-E", "--env", action="append", default=[], metavar="NAME=VALUE", help="set a variable for it")
    add("--title", default="", help="what to call the session")
    add("--baseline", action="store_true", help="make it the program's baseline")


def _launched(args: argparse.Namespace) -> Subject:
    words = list(args.target)
    found = None if "/" in words[0] else shutil.which(words[0])
    cwd = Path(args.directory).absolute() if args.directory else None
    target = Target(
        binary=Path(found or words[0]).absolute(), args=tuple(words[1:]), cwd=cwd, env=environment_of(args.env)
    )
    check_runnable(target.binary)
    return Subject(target, None, target.binary)


def _attached(name: str) -> Subject:
    process = find(name)
    return Subject(None, process, process.image)


def look(subject: Subject, args: argparse.Namespace, context: Context) -> int:
    """Looks at a program until it ends or Ctrl-C, and keeps what was seen."""
    if args.duration is not None and not 0 < args.duration < math.inf:
        raise UsageError("--duration must be above zero.")
    wishes = _wishes(subject, args, context)
    with display_of(context.terminal, launched=subject.launch is not None) as display:
        return _look(subject, wishes, display, args, context)


def _look(
    subject: Subject, wishes: list[SourceWish], display: Display, args: argparse.Namespace, context: Context
) -> int:
    session = context.library.new_session(
        tool=TOOL,
        binary=subject.binary or "",
        args=subject.argv[1:],
        cwd=(subject.launch.cwd or "") if subject.launch is not None else "",
        env=subject.launch.env if subject.launch is not None else None,
        title=args.title or (subject.process.name if subject.binary is None and subject.process is not None else ""),
    )
    run = LiveRun(
        session.path,
        wishes,
        launch=subject.launch,
        attach=subject.process.pid if subject.process is not None else None,
        binary=subject.binary,
        duration_s=args.duration,
        permission=Permission(terminal=sys.stdin.isatty()),
    )
    live = LiveSession(session, run, argv=subject.argv, failed=context.terminal.error)
    screen = _Screen(display, run)
    try:
        finished = asyncio.run(_follow(live, screen))
    except BaseException:
        if live.leave():
            context.terminal.note(f"What was seen is in {session.path}; `tailflame show {session.id}` reads it.")
        else:
            context.library.discard(session)
        raise
    kept = _kept(session, live, finished, args, context)
    if screen.lost is not None:
        raise screen.lost
    display.finished(finished, kept)
    return ExitCode.OK


@dataclass(slots=True)
class _Screen:
    """Shows a run until nothing takes what is shown (`| head`, a closed terminal, a full disk): that ends the run
    politely, and costs nothing of what is kept."""

    display: Display
    run: LiveRun
    lost: OSError | None = None

    def take(self, event: LiveEvent) -> None:
        if self.lost is not None:
            return
        try:
            self.display.take(event)
        except OSError as problem:
            self.lost = problem
            self.run.stop()


async def _follow(live: LiveSession, screen: _Screen) -> LiveFinished:
    with stopped_by_signals(live.live.stop):
        return await live.run(screen.take)


def _kept(
    session: SessionFolder, live: LiveSession, finished: LiveFinished, args: argparse.Namespace, context: Context
) -> SessionInfo | None:
    if not live.saw_anything:
        context.library.discard(session)
        context.terminal.note("Nothing was seen, so nothing is kept.")
        return None
    try:
        keep(session, finished, draw=draw_flame_graph)
    except TailflameError:
        context.terminal.note(f"What was seen is in {session.path}.")
        raise
    info = context.library.session(session.id)
    return context.library.set_baseline(info.id) if args.baseline else info


def _wishes(subject: Subject, args: argparse.Namespace, context: Context) -> list[SourceWish]:
    wishes: list[SourceWish] = []
    interval, limit = args.interval, _share(args.cost_limit)
    if not 0.1 <= interval <= 60:
        raise UsageError("--interval must be between 0.1 and 60 seconds.")
    slow = _slow_above(args)
    if args.function or args.top_three:
        wishes.append(_probe(subject, args, context, interval, limit, None if args.slow_field else slow))
    fields, units = _fields(args.field)
    logged = None
    if args.slow_field and slow is not None:
        named, slow_units = _fields([args.slow_field])
        units |= slow_units
        logged = (named[0] if named else "", slow)
    if args.log:
        for number, path in enumerate(args.log):
            wish = live_sources.log_fields(Path(path).absolute(), fields=fields, units=units, slow=logged)
            wishes.append(SourceWish(f"log-{number}" if number else wish.name, wish.title, wish.make))
    elif subject.launch is not None:
        wishes.append(live_sources.log_fields(fields=fields, units=units, slow=logged))
    if args.hlog:
        wishes.append(live_sources.hdr_log(Path(args.hlog).absolute()))
    if args.prometheus:
        wishes.append(live_sources.prometheus(args.prometheus))
    if args.query:
        wishes.append(live_sources.prometheus_query(*args.query))
    if not args.no_counters:
        wishes.append(live_sources.counters(interval_s=interval))
    if args.simulated:
        if subject.launch is None:
            raise UsageError("--simulated runs the program once more, so it is for a launched one.")
        wishes.append(live_sources.simulated(subject.launch))
    if not args.no_process:
        wishes.append(live_sources.process())
    if args.cpu_rate is not None and not 1 <= args.cpu_rate <= 100_000:
        raise UsageError("--cpu-rate must be from 1 to 100000.")
    if args.cpu or args.slow_above:
        usual = SLOW_RATE_HZ if args.slow_above else None
        wishes.append(live_sources.cpu(_perf_options(subject, args.cpu_rate or usual)))
    if args.capture_when:
        wishes.append(_captures(subject, args, context))
    if args.syscalls is not None:
        if not 0 < args.syscalls < math.inf:
            raise UsageError("--syscalls must be above zero.")
        wishes.append(live_sources.syscalls(seconds=args.syscalls))
    return wishes


def _slow_above(args: argparse.Namespace) -> SlowAbove | None:
    if args.slow_field and not args.slow_above:
        raise UsageError("--slow-field takes --slow-above as well.", advice="Write --slow-above 5ms, or p99.9.")
    if not args.slow_above:
        return None
    if not (args.function or args.top_three or args.slow_field):
        raise UsageError(
            "--slow-above keeps calls of a probed function, or events of a log.",
            advice="Name one with --function, or a field of the program's lines with --slow-field.",
        )
    try:
        return SlowAbove.of(args.slow_above)
    except ValueError as problem:
        raise UsageError(f"{problem}.", advice="Write --slow-above 100us, or --slow-above p99.9.") from None


def _probe(
    subject: Subject,
    args: argparse.Namespace,
    context: Context,
    interval: float,
    limit: float | None,
    slow: SlowAbove | None,
) -> SourceWish:
    names = list(args.function)
    if args.top_three:
        opened = context.open(args.top_three, binary=str(subject.binary or ""))
        if opened.recording.profile is None:
            raise UsageError(f"{opened.label} holds no CPU profile.", advice="Name a recording of perf.")
        names += hottest(opened.recording.profile, subject.image)
    pid = subject.process.pid if subject.process is not None else None
    try:
        verdict = judged(
            subject.image,
            functions_called(subject.image, names),
            accepted_unwinding=args.accept_unwinding,
            pid=pid,
        )
    except TargetError as refused:
        if "accept this" in refused.advice.lower():
            raise TargetError(refused.sentence, advice=f"{refused.advice} (--accept-unwinding)") from None
        raise
    for caution in verdict.cautions:
        context.terminal.note(caution)
    return live_sources.probe(verdict.probed, cost_limit=limit, interval_s=interval, slow=slow)


def _captures(subject: Subject, args: argparse.Namespace, context: Context) -> SourceWish:
    try:
        rules = [TailRule.of(text) for text in args.capture_when]
    except ValueError as problem:
        raise UsageError(f"{problem}.") from None
    if not 1 <= args.capture_every < math.inf or not 1 <= args.capture_most <= 100:
        raise UsageError("--capture-every is a second or longer, and --capture-most 1 to 100.")
    if any(rule.slow for rule in rules) and not args.slow_above:
        raise UsageError("A rule of slow calls needs --slow-above, which tells them.")
    options = _perf_options(subject, None)
    context.terminal.note(limits(args.capture_every, args.capture_most))
    return live_sources.tail(rules, options, every_s=args.capture_every, most=args.capture_most)


def _share(text: str) -> float | None:
    """ "10%" or "10" is 0.1; "none" is no limit."""
    if text.lower() == "none":
        return None
    try:
        share = float(text.removesuffix("%")) / 100
    except ValueError:
        share = -1.0
    if not 0 < share <= 1:
        raise UsageError(f"“{text}” is no share.", advice="Give --cost-limit as 10%, or none.")
    return share


def _fields(items: list[str]) -> tuple[list[str] | None, dict[str, str]]:
    units = {}
    for item in items:
        name, _, unit = item.partition("=")
        if unit not in ("", "ns", "us", "ms", "s"):
            raise UsageError(f"“{unit}” is no unit of time.", advice="Write --field NAME=us (ns, us, ms or s).")
        if unit:
            units[name] = unit
    names = [item.partition("=")[0] for item in items]
    return names or None, units


def _perf_options(subject: Subject, frequency: int | None) -> PerfOptions:
    options = PERF_RECORD.defaults(probe_host())
    try:
        pointers = binary_facts(subject.image).frame_pointers
    except TargetError:  # the kernel does not show its program, not even to root
        pointers = False
    return PerfOptions(
        frequency=frequency or options.frequency,
        events=options.events,
        call_graph=CallGraph.FRAME_POINTERS if pointers else CallGraph.DWARF,
    )
