"""From a plan to the runs of its steps: which tool, how often, in which order, with which options, read how."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tailflame.host.binary import binary_facts
from tailflame.host.install import install_command
from tailflame.host.privilege import Need, access, means
from tailflame.host.running import process_of
from tailflame.host.system import Host
from tailflame.model import Caution, HistogramSeries, Recording
from tailflame.model.iteration import Step, StepState
from tailflame.parse import load
from tailflame.parse.latency_log import read_latency_log
from tailflame.parse.source import Progress
from tailflame.run.events import Finished
from tailflame.run.journal import Journal
from tailflame.run.kept_probe import KeptProbe
from tailflame.run.kept_run import KeptRun
from tailflame.run.plan_file import MOST_REPETITIONS, OUT, TOOL_OF, MeasurementPlan, PlanError
from tailflame.store import Library
from tailflame.store.provenance import Origin
from tailflame.tools import (
    CARGO_BENCH,
    PERF_RECORD,
    PLAIN_RUN,
    BenchOptions,
    CallGraph,
    Capabilities,
    OptionKind,
    PerfOptions,
    PlainOptions,
    Plan,
    Target,
    ToolOptions,
    field_tool,
)

_REPEATED = frozenset({"cpu", "latency", "probes"})
"""The steps whose tool makes one run; perf stat repeats by itself. The others slow the program down many times: two
runs of them show whether they agree.
"""
_SLOW_RUNS = 2

Begin = Callable[[Library, str, Journal], "KeptRun | KeptProbe"]
_MORE = frozenset(TOOL_OF) - {"benches"}
"""The steps that more repetitions are made of: benches need the program's source as it was."""


@dataclass(frozen=True, slots=True, eq=False)
class StepRun:
    """One run of a step. begin: for a library, the sessions' group and a journal. step: waiting; of one that cannot run
    here already failed, or skipped, with its problem and fix. exit_codes: of the program, that are no failure.
    """

    step: Step
    begin: Begin
    exit_codes: frozenset[int] = frozenset({0})


def silent_steps(plan: MeasurementPlan) -> Mapping[str, tuple[str, str]]:
    """The steps of the plan that nothing is named for, so that they are not run: why, and how to change that."""
    told = {}
    if not (plan.log or plan.hlog):
        told["latency"] = "nothing tells its latencies", "Name a log in the plan (“latency.hlog” or “latency.log”)"
    if not plan.probe:
        told["probes"] = "no function to time is named", "Name some in the plan (“latency.probe”)"
    return {
        name: (f"The step “{name}” is not run: {why}.", f"{fix}, or leave it out of “measure.steps”.")
        for name, (why, fix) in told.items()
        if name in plan.steps
    }


def check_options(plan: MeasurementPlan, host: Host) -> None:
    """PlanError where an option of a tool in the plan is none of its options, or cannot have that value. It needs no
    binary: what is wrong is told before anything is built.
    """
    for name in plan.tools:
        match name:
            case "perf-record":
                _perf_options(plan, host, None)
            case "cargo-bench":
                _bench_option(plan, "")
                _bench_runs(plan)
            case "latency" | "bpftrace":
                if plan.tools[name]:
                    raise PlanError(
                        f"{plan.path}: “tools.{name}” has no options in a plan.",
                        advice="What tells latencies, and which functions are timed, stands under [latency].",
                    )
            case _:
                _options(plan, name, host)


def step_runs(plan: MeasurementPlan, binary: Path, host: Host, *, origin: Origin | None = None) -> tuple[StepRun, ...]:
    """Every run of the plan's steps, in order. Reads the binary once. origin: where it is not where it was built.

    PlanError where an option of a tool is none of its options.
    """
    pointers = binary_facts(binary).frame_pointers
    silent = silent_steps(plan)
    made: list[StepRun] = []
    for name in plan.steps:
        if name in silent:
            continue
        whole = _step(plan, name, host)
        times = _bench_runs(plan) if name == "benches" else min(_runs(plan, name), plan.repetitions)
        for repetition in range(1, times + 1):
            step = replace(whole, repetition=repetition, repetitions=times)
            target = Target(binary=binary, args=plan.args, cwd=plan.directory, env=plan.env)
            run = _run(plan, step, target, host, pointers, origin)
            made.append(replace(run, exit_codes=frozenset(plan.exit_codes)))
    # Round by round, not step by step: a machine that grows warmer or busier then drifts through every step alike, and
    # the spread of a step's repetitions, which the verdict's interval is made of, holds that drift. The order within a
    # round stays the same, so that what one step leaves behind (a hot processor, a full page cache) meets the same step
    # before and after a change. And what is stopped early has something of everything.
    return tuple(sorted(made, key=lambda run: run.step.repetition))


def _runs(plan: MeasurementPlan, name: str) -> int:
    if name == "counters":
        return 1
    return plan.repetitions if name in _REPEATED else _SLOW_RUNS


def more_runs(
    plan: MeasurementPlan, binary: Path, host: Host, *, names: Collection[str], origin: Origin | None = None
) -> tuple[StepRun, ...]:
    """One more repetition of each of those steps that the plan repeats, in order; its repetition is 1, as if it were
    the first. PlanError as above.
    """
    steps = tuple(name for name in plan.steps if name in names and name in _MORE)
    return step_runs(replace(plan, steps=steps, repetitions=1), binary, host, origin=origin)


def _step(plan: MeasurementPlan, name: str, host: Host) -> Step:
    """Waiting; failed where its tool is not installed, skipped where functions may not be probed."""
    step = Step(name=name, tool=TOOL_OF[name])
    if name == "probes":
        ourselves = process_of(os.getpid())
        if ourselves is None:
            return step
        # What we start is as we are, except that we may look at it.
        found = access(Need.PROBE, replace(ourselves, attachable=True, reason=""), host, means())
        if found.possible:
            return step
        problem = f"Functions cannot be probed: {_lower(found.sentence)}"
        return replace(step, state=StepState.SKIPPED, problem=problem, fix=found.fix)
    if name == "latency":
        return step
    here = _capabilities(step, host)
    if here.available or here.version:
        return step  # what a tool that is there cannot do it says itself, and better
    fix = here.fix or install_command("perf")
    return replace(step, state=StepState.FAILED, problem=f"{here.reason}.", fix=fix)


def _capabilities(step: Step, host: Host) -> Capabilities:
    match step.name:
        case "cpu":
            return PERF_RECORD.probe(host)
        case "benches":
            return CARGO_BENCH.probe(host)
    tool = field_tool(step.tool)
    assert tool is not None
    return tool.probe(host)


def _run(
    plan: MeasurementPlan, step: Step, target: Target, host: Host, pointers: bool | None, origin: Origin | None
) -> StepRun:
    def there(out: Path) -> Target:
        return replace(target, args=tuple(word.replace(OUT, str(out)) for word in target.args))

    match step.name:
        case "cpu":
            options = _perf_options(plan, host, pointers)
            return _recorded(step, target, lambda out: PERF_RECORD.plan(there(out), options, out), _read_result, origin)
        case "latency":
            log = _inside(plan.hlog or plan.log)
            plain = PlainOptions(log=log)

            def read(finished: Finished, progress: Progress) -> Recording:
                return _read_latencies(plan, finished, log, progress)

            return _recorded(step, target, lambda out: PLAIN_RUN.plan(there(out), plain, out), read, origin)
        case "probes":
            return _probed(plan, step, target, there, origin)
        case "benches":
            bench = BenchOptions(
                project=plan.folder,
                home=plan.folder / "target" / "criterion",
                package=plan.package,
                features=plan.features,
                bench=_bench_option(plan, "bench"),
                filter=_bench_option(plan, "filter"),
            )
            return _recorded(step, target, lambda out: CARGO_BENCH.plan(target, bench, out), _read_result, origin)
    tool = field_tool(step.tool)
    assert tool is not None
    wishes = ToolOptions(tool=tool.name, values=_values(plan, step, host))
    return _recorded(step, target, lambda out: tool.plan(there(out), wishes, out), _read_result, origin)


def _recorded(
    step: Step,
    target: Target,
    plan: Callable[[Path], Plan],
    read: Callable[[Finished, Progress], Recording],
    origin: Origin | None,
) -> StepRun:
    """plan: for the session's folder. read: the recording of what the tool left."""

    def begin(library: Library, group: str, journal: Journal) -> KeptRun:
        return KeptRun(library, target, plan, tool=step.tool, group=group, read=read, journal=journal, origin=origin)

    return StepRun(step, begin)


def _probed(
    plan: MeasurementPlan, step: Step, target: Target, there: Callable[[Path], Target], origin: Origin | None
) -> StepRun:
    def begin(library: Library, group: str, journal: Journal) -> KeptProbe:
        return KeptProbe(
            library,
            there,
            plan.probe,
            binary=target.binary,
            accepted_unwinding=plan.accept_unwinding,
            group=group,
            shape=lambda recording: _without_warm_up(recording, plan.warm_up_s),
            journal=journal,
            origin=origin,
        )

    return StepRun(step, begin)


def _perf_options(plan: MeasurementPlan, host: Host, pointers: bool | None) -> PerfOptions:
    options = replace(PERF_RECORD.defaults(host, frame_pointers=pointers), frequency=1999)
    given = dict(plan.tools.get("perf-record", {}))
    changes: dict[str, Any] = {}
    if "frequency" in given:
        frequency = given.pop("frequency")
        if isinstance(frequency, bool) or not isinstance(frequency, int) or frequency < 1:
            raise _no_value(plan, "perf-record.frequency", "a whole number above zero")
        changes["frequency"] = frequency
    if "call-graph" in given:
        name = str(given.pop("call-graph"))
        if name not in set(CallGraph):
            raise _no_value(plan, "perf-record.call-graph", ", ".join(CallGraph))
        changes["call_graph"] = CallGraph(name)
    if "event" in given:
        changes["events"] = tuple(str(given.pop("event")).split(","))
    if given:
        raise _no_value(plan, f"perf-record.{next(iter(given))}", "frequency, call-graph or event")
    return replace(options, **changes)


def _bench_runs(plan: MeasurementPlan) -> int:
    """Once, where the plan does not say: a run of all benches takes minutes."""
    runs = plan.tools.get("cargo-bench", {}).get("runs", 1)
    if type(runs) is not int or not 1 <= runs <= MOST_REPETITIONS:
        raise _no_value(plan, "cargo-bench.runs", f"a whole number from 1 to {MOST_REPETITIONS}")
    return runs


def _bench_option(plan: MeasurementPlan, wanted: str) -> str:
    given = {name: value for name, value in plan.tools.get("cargo-bench", {}).items() if name != "runs"}
    for name, value in given.items():
        if name not in ("bench", "filter") or not isinstance(value, str):
            raise _no_value(plan, f"cargo-bench.{name}", "the text “bench” or “filter”, or the number “runs”")
    return str(given.get(wanted, ""))


def _values(plan: MeasurementPlan, step: Step, host: Host) -> dict[str, Any]:
    """The plan's options of a step's tool; of perf stat the repetitions besides."""
    values = _options(plan, step.tool, host)
    if step.name == "counters":
        values.setdefault("runs", plan.repetitions)
    return values


def _options(plan: MeasurementPlan, name: str, host: Host) -> dict[str, Any]:
    """The plan's options of the tool called `name`, each of its kind."""
    tool = field_tool(name)
    assert tool is not None
    known = {field.name: field for field in tool.fields(host)}
    values: dict[str, Any] = dict(tool.defaults(host).values)
    for option, value in plan.tools.get(name, {}).items():
        field = known.get(option)
        if field is None:
            raise _no_value(plan, f"{name}.{option}", f"one of {', '.join(known)}")
        sound = {
            OptionKind.FLAG: isinstance(value, bool),
            OptionKind.WHOLE: isinstance(value, int) and not isinstance(value, bool),
            OptionKind.NUMBER: isinstance(value, int | float) and not isinstance(value, bool),
            OptionKind.CHOICE: value in {choice for choice, _tip in field.choices},
            OptionKind.TEXT: isinstance(value, str),
        }[field.kind]
        if not sound:
            choices = ", ".join(choice for choice, _tip in field.choices)
            raise _no_value(plan, f"{name}.{option}", f"a {field.kind.value}{f' of {choices}' if choices else ''}")
        if isinstance(value, int | float) and not isinstance(value, bool) and not field.low <= value <= field.high:
            raise _no_value(plan, f"{name}.{option}", f"from {field.low:g} to {field.high:g}")
        values[option] = value
    return values


def _no_value(plan: MeasurementPlan, key: str, wanted: str) -> PlanError:
    return PlanError(
        f"{plan.path}: “tools.{key}” must be {wanted}.", advice="`tailflame tools NAME` lists its options."
    )


def _lower(sentence: str) -> str:
    """A sentence as the rest of one: its first word small, unless that is a name."""
    return sentence[:1].lower() + sentence[1:] if sentence[1:2].islower() else sentence


def _inside(log: str) -> str:
    """The log's name within the run's folder."""
    return log.replace(OUT, "").lstrip("/") or "latency.log"


def _read_result(finished: Finished, progress: Progress) -> Recording:
    assert finished.result is not None
    return load(finished.result, progress=progress)


def _read_latencies(plan: MeasurementPlan, finished: Finished, log: str, progress: Progress) -> Recording:
    assert finished.result is not None
    if not plan.hlog:
        recording = read_latency_log(finished.result, fields=plan.fields, progress=progress)
        if plan.warm_up_s > 0:
            return recording.with_warnings(
                Caution("The warm-up is among the values: lines of this log are not read by their times.")
            )
        return recording
    return _without_warm_up(load(finished.result, progress=progress), plan.warm_up_s)


def _without_warm_up(recording: Recording, warm_up_s: float) -> Recording:
    results = tuple(
        _warm(result, warm_up_s) if isinstance(result, HistogramSeries) else result for result in recording.results
    )
    return replace(recording, results=results)


def _warm(series: HistogramSeries, warm_up_s: float) -> HistogramSeries:
    """The intervals that begin after the warm-up; all of them, where that would leave none."""
    begin = min(series.start_s, default=0.0) + warm_up_s
    kept = [at for at, start in enumerate(series.start_s) if start >= begin]
    if not kept:
        return series
    return replace(
        series,
        tags=tuple(series.tags[at] for at in kept),
        start_s=tuple(series.start_s[at] for at in kept),
        length_s=tuple(series.length_s[at] for at in kept),
        histograms=tuple(series.histograms[at] for at in kept),
    )
