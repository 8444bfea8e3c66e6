"""tailflame run"""

from __future__ import annotations

import argparse
import asyncio
from contextlib import aclosing
from pathlib import Path
from typing import Any

from tailflame.cli.command import Context
from tailflame.cli.exit_codes import ExitCode, UsageError
from tailflame.cli.signals import stopped_by_signals
from tailflame.cli.terminal import STYLES
from tailflame.cli.verdicts import print_verdict, verdict_document
from tailflame.errors import StoreError
from tailflame.model.iteration import Iteration, Step, StepState
from tailflame.run.measure_events import Done, StepEnded, StepProgress, StepStarted, Told
from tailflame.run.more import MOST, MoreRepetitions
from tailflame.run.pipeline import Pipeline
from tailflame.run.plan_file import FILE_NAME, find_plan, read_plan
from tailflame.store.iterations import BASELINE, Iterations
from tailflame.units import seconds

Measurement = Pipeline | MoreRepetitions
_MARKS = {StepState.DONE: "done", StepState.FAILED: "failed", StepState.SKIPPED: "left out"}


class RunCommand:
    """Measure everything that the project's plan (tailflame.toml) names, and judge it against the baseline.

    The tests must pass and the program must build; then each step is run as often as the plan says, and kept. A step
    that fails is told, and the others go on. The first measurement of a project becomes its baseline.

    Ctrl-C ends it after the step that runs; --resume goes on with what is missing. Where a verdict has not enough data,
    --more repeats what tells the goal, of the latest measurement and of the baseline in turns, each with the program
    that it was measured with, which is kept.

    JSON: {"id", "number", "steps": [{"name", "tool", "repetition", "state", "session", "problem", "fix", "seconds"}],
    "environment", "broken_bounds": [sentence], "verdict": as `verdict` has it, or null}
    """

    name = "run"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        add = parser.add_argument
        add("folder", metavar="FOLDER", nargs="?", default=".", help="the project, or a folder in it (this folder)")
        add("--plan", metavar="FILE", help="another plan than the project's tailflame.toml")
        add("--only", metavar="STEPS", default="", help="these steps alone, separated by commas")
        add("--skip", metavar="STEPS", default="", help="all steps but these")
        add("--resume", action="store_true", help="go on with the measurement that was cut short")
        add("--more", type=int, metavar="N", help="N more repetitions of the latest measurement and of the baseline")
        add("--note", metavar="TEXT", default="", help="what was changed, in a few words; kept with it")
        add("--baseline", action="store_true", help="make this measurement the baseline")
        add("-n", "--number", type=int, default=5, metavar="N", help="rows within the noise to print of each kind (5)")

    def run(self, args: argparse.Namespace, context: Context) -> int:
        path = Path(args.plan) if args.plan else find_plan(Path(args.folder).absolute())
        if path is None:
            raise UsageError(f"There is no {FILE_NAME} here or above.", advice="`tailflame init` writes one.")
        iterations = context.iterations()
        if args.more is not None:
            measurement: Measurement = _more(args, path, context)
        else:
            measurement = Pipeline(
                read_plan(path),
                context.library,
                only=step_names(args.only),
                skip=step_names(args.skip),
                resume=args.resume,
                note=args.note,
            )
        done = asyncio.run(follow(measurement, context))
        iteration, terminal = done.iteration, context.terminal
        held = iterations.baseline(BASELINE, project=iteration.project)
        first = (held is None or held.project != iteration.project) and any(
            s.state is StepState.DONE and s.session for s in iteration.steps
        )
        unnamed = False
        if args.baseline or (first and iteration.is_finished):
            unnamed = not _name(iterations, iteration, context)
        if done.verdict is not None:
            terminal.line()
            print_verdict(done.verdict, terminal, number=max(args.number, 0), broken=done.broken)
        else:
            for sentence in done.broken:
                terminal.line(f"Bound: {sentence}", style=STYLES["more"])
        terminal.document(run_document(iteration, done))
        if measurement.stopped:
            if not iteration.is_finished:
                terminal.note(f"Measurement {iteration.number} was cut short: `tailflame run --resume` goes on.")
            return ExitCode.CANCELLED
        failed = [step for step in iteration.steps if step.state is StepState.FAILED]
        return ExitCode.TOOL if failed else ExitCode.INPUT if unnamed and args.baseline else ExitCode.OK


def _name(iterations: Iterations, iteration: Iteration, context: Context) -> bool:
    """Makes it the baseline. Where that cannot be, it is told, and what was measured is shown all the same."""
    try:
        iterations.name_baseline(BASELINE, iteration)
    except StoreError as error:
        context.terminal.error(error)
        return False
    context.terminal.note(f"Measurement {iteration.number} is the baseline now.")
    return True


def _more(args: argparse.Namespace, plan: Path, context: Context) -> MoreRepetitions:
    if args.resume or args.note or args.baseline or args.skip:
        raise UsageError("--more goes with no other option than --only and --number.")
    if not 1 <= args.more <= MOST:
        raise UsageError(f"--more takes a number from 1 to {MOST}.")
    project = str(plan.parent)
    every = Iterations(context.library.root).all()
    latest = next((one for one in every if one.project == project and one.measured), None)
    if latest is None:
        raise StoreError("There is no measurement to add to.", advice="`tailflame run` makes one.")
    if not latest.is_finished:
        raise StoreError(
            f"Measurement {latest.number} was cut short.", advice="`tailflame run --resume` goes on with it."
        )
    return MoreRepetitions(latest, context.library, number=args.more, only=step_names(args.only))


def step_names(text: str) -> tuple[str, ...]:
    """What --only and --skip take: names with commas between them."""
    return tuple(word.strip() for word in text.split(",") if word.strip())


async def follow(pipeline: Measurement, context: Context) -> Done:
    """Shows what happens until it is over."""
    terminal, done = context.terminal, None
    with terminal.status_line() as status, stopped_by_signals(pipeline.stop):
        async with aclosing(pipeline.events()) as events:
            async for event in events:
                match event:
                    case StepStarted():
                        status.show(f"{event.step.title}: starting")
                    case StepProgress():
                        status.show(f"{event.step.title}: {event.stage}  {seconds(event.elapsed_s)}  (Ctrl-C stops)")
                    case StepEnded():
                        status.clear()
                        _tell(event.step, context)
                    case Told():
                        status.clear()
                        terminal.note(f"{event.text}  {event.fix}".rstrip())
                    case Done():
                        done = event
    if done is None:
        raise StoreError("The measurement ended without a word.")
    return done


def _tell(step: Step, context: Context) -> None:
    problem = f": {step.problem}  {step.fix}".rstrip() if step.problem else ""
    context.terminal.note(f"{step.title}  {_MARKS.get(step.state, step.state.value)}  {seconds(step.seconds)}{problem}")


def run_document(iteration: Iteration, done: Done) -> dict[str, Any]:
    return {
        "id": iteration.id,
        "number": iteration.number,
        "steps": [
            {
                "name": step.name,
                "tool": step.tool,
                "repetition": step.repetition,
                "state": step.state.value,
                "session": step.session,
                "problem": step.problem,
                "fix": step.fix,
                "seconds": step.seconds,
            }
            for step in iteration.steps
        ],
        "environment": dict(iteration.environment),
        "broken_bounds": list(done.broken),
        "verdict": verdict_document(done.verdict) if done.verdict is not None else None,
    }
