"""tailflame gate"""

from __future__ import annotations

import argparse
import asyncio
from dataclasses import replace
from pathlib import Path

from tailflame.analyse.verdict import Decision, Mark, tolerating
from tailflame.cli.command import Context, tolerated_share
from tailflame.cli.exit_codes import ExitCode, UsageError
from tailflame.cli.run import follow, step_names
from tailflame.cli.verdicts import print_verdict, verdict_document
from tailflame.errors import Cancelled, StoreError, TailflameError
from tailflame.model.iteration import Iteration
from tailflame.report import junit, markdown
from tailflame.report.measurement import Gate, MeasurementReport, Outcome
from tailflame.run.pipeline import Pipeline
from tailflame.run.plan_file import FILE_NAME, MeasurementPlan, find_plan, read_plan
from tailflame.run.reporting import report_of
from tailflame.store.bundle import SUFFIX, read_bundle
from tailflame.store.iterations import BASELINE, Iterations

_CODES = {
    Outcome.PASSED: ExitCode.OK,
    Outcome.FAILED: ExitCode.REGRESSION,
    Outcome.UNKNOWN: ExitCode.INPUT,
}


class GateCommand:
    """Measure by the plan and let nothing pass that got worse: for CI.

    Exits with 0 where nothing got worse and every bound holds, 1 where something did or one does not, 3 where nothing
    can be said: no baseline, a step that failed, one repetition alone.

    --baseline is the name of one, or a bundle (FILE.tailflame) that brings it along.

    JSON: {"passed", "why", "broken_bounds", "verdict": as `verdict` has it, or null}
    """

    name = "gate"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        add = parser.add_argument
        add("folder", metavar="FOLDER", nargs="?", default=".", help="the project, or a folder in it (this folder)")
        add("--plan", metavar="FILE", help="another plan than the project's tailflame.toml")
        add(
            "--baseline",
            metavar="NAME",
            default=BASELINE,
            help="held against this: a name, or a bundle (baseline)",
        )
        add("--measured", metavar="AFTER", help='judge a measurement that is there ("latest"), and run nothing')
        add("--only", metavar="STEPS", default="", help="these steps alone, separated by commas")
        add("--skip", metavar="STEPS", default="", help="all steps but these")
        add("--junit", metavar="FILE", help="write JUnit XML")
        add("--markdown", metavar="FILE", help="write a summary in Markdown; - is stdout")
        add("--tolerate", type=float, default=0.0, metavar="PERCENT", help="let figures get worse by this much")

    def run(self, args: argparse.Namespace, context: Context) -> int:
        beyond = tolerated_share(args)
        path = Path(args.plan) if args.plan else find_plan(Path(args.folder).absolute())
        if path is None and not args.measured:
            raise UsageError(f"There is no {FILE_NAME} here or above.", advice="`tailflame init` writes one.")
        plan = read_plan(path) if path is not None else None
        try:
            before = _baseline(args.baseline, plan, context)
            after = _after(args, plan, context)
            report = report_of(context.library, after, before, bounds=plan.bounds if plan is not None else ())
        except TailflameError as error:
            if isinstance(error, UsageError | Cancelled):
                raise
            context.terminal.error(error)
            context.terminal.document({"passed": False, "why": error.sentence, "broken_bounds": [], "verdict": None})
            return ExitCode.INPUT
        report = _judged(report, beyond)
        _write(report, args, context)
        return _end(report, context)


def _baseline(name: str, plan: MeasurementPlan | None, context: Context) -> Iteration:
    iterations = context.iterations()
    if name.endswith(SUFFIX):
        unpacked = read_bundle(Path(name), context.library)
        if len(unpacked.iterations) != 1:
            raise StoreError(f"{name} holds {len(unpacked.iterations)} measurements, not one.")
        return unpacked.iterations[0]
    project = str(plan.folder) if plan is not None else ""
    found = iterations.baseline(name, project=project)
    if found is not None and project and found.project != project:
        if Path(found.project).is_dir():  # otherwise a bundle may have brought it from where this project is elsewhere
            found = None
        else:
            context.terminal.note(f"“{name}” was measured in {found.project}, which is not on this machine.")
    if found is None:
        raise StoreError(
            f"There is no baseline called “{name}”.", advice="`tailflame run --baseline` makes one, or name a bundle."
        )
    return found


def _after(args: argparse.Namespace, plan: MeasurementPlan | None, context: Context) -> Iteration:
    if args.measured:
        project = str(plan.folder) if plan is not None else ""
        return Iterations(context.library.root).get(args.measured, project=project)
    assert plan is not None
    pipeline = Pipeline(
        plan,
        context.library,
        only=step_names(args.only),
        skip=step_names(args.skip),
    )
    done = asyncio.run(follow(pipeline, context))
    if pipeline.stopped:
        raise Cancelled("The measurement was cut short: nothing is said of a part of it.")
    return done.iteration


def _judged(report: MeasurementReport, beyond: float) -> MeasurementReport:
    """The same with what the gate says of it; what got worse by no more than `beyond` is let pass."""
    assert report.verdict is not None
    verdict = tolerating(report.verdict, beyond)
    worse, failed = verdict.worse, report.failed_steps
    tested = any(row.mark not in (Mark.UNKNOWN, Mark.ABSENT) for row in verdict.rows)
    if worse or report.broken:
        gate = Gate(Outcome.FAILED, (*(row.sentence for row in worse), *report.broken))
    elif failed:
        gate = Gate(Outcome.UNKNOWN, (failed[0].problem,))
    elif not tested:
        gate = Gate(Outcome.UNKNOWN, ("nothing was measured more than once on both sides",))
    elif verdict.decision is Decision.TOLERATED:
        gate = Gate(Outcome.PASSED, (f"nothing got worse by more than {100 * beyond:g}%",))
    else:
        gate = Gate(Outcome.PASSED, ("nothing got worse",))
    return replace(report, verdict=verdict, gate=gate)


def _write(report: MeasurementReport, args: argparse.Namespace, context: Context) -> None:
    if args.junit:
        junit.write(report, Path(args.junit))
    if args.markdown == "-":
        import io

        text = io.StringIO()
        markdown.write(report, text)
        context.terminal.lines(text.getvalue().rstrip())
    elif args.markdown:
        markdown.write(report, Path(args.markdown))


def _end(report: MeasurementReport, context: Context) -> int:
    verdict, gate, terminal = report.verdict, report.gate, context.terminal
    assert verdict is not None and gate is not None
    for note in report.notes:
        terminal.note(note)
    print_verdict(verdict, terminal, number=3)
    for sentence in report.broken:
        terminal.line(sentence, style="bold")
    terminal.line()
    terminal.line(gate.sentence)
    terminal.document(
        {
            "passed": gate.outcome is Outcome.PASSED,
            "why": gate.reason,
            "broken_bounds": list(report.broken),
            "verdict": verdict_document(verdict),
        }
    )
    return _CODES[gate.outcome]
