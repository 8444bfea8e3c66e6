"""A recording from plan to kept session, as `record` and `demo` make it."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tailflame.cli.command import Context, draw_flame_graph
from tailflame.cli.terminal import StatusLine
from tailflame.errors import Cancelled, StoreError, TailflameError, ToolFailed
from tailflame.host.processes import ProcessSample
from tailflame.model import Caution, Recording
from tailflame.parse import load
from tailflame.run import Appeared, Finished, Observed, Output, Progress, Recorder, Stage, Started
from tailflame.run.logs import with_logs
from tailflame.store import SessionFolder, SessionInfo
from tailflame.tools import Plan, Target
from tailflame.units import count, percent, seconds, size


@dataclass(frozen=True, slots=True, eq=False)
class Recorded:
    """A recording that is kept: the session, what was read from it, and how the target ended."""

    session: SessionInfo
    recording: Recording
    finished: Finished


def record_session(
    context: Context,
    target: Target,
    plan: Callable[[Path], Plan],
    *,
    tool: str,
    title: str = "",
    show_output: bool = True,
    logs: tuple[str, ...] = (),
    group: str = "",
) -> Recorded:
    """Records, reads and keeps. Ctrl-C stops politely and keeps the result; a second one cancels.

    plan: makes the plan for the session's folder. show_output: pass on what the target prints. logs: artifacts that the
    target writes by itself, whose results join the recording. group: what it has in common with other sessions.
    Raises what the recorder, the parser and the store raise; Cancelled after a cancel, with nothing kept.
    """
    session = context.library.new_session(
        tool=tool,
        binary=target.binary,
        args=target.args,
        cwd=target.cwd or "",
        env=target.env,
        title=title,
        group=group,
    )
    try:
        finished = _run(context, session, plan(session.path), show_output=show_output)
    except BaseException:
        # Nothing was recorded: the target could not be started, or the fault is ours.
        context.library.discard(session)
        raise
    for note in finished.notes:
        context.terminal.note(note)
    if finished.cancelled:
        context.library.discard(session)
        raise Cancelled
    if finished.result is None:
        error = finished.error or ToolFailed(f"{tool} left nothing to read.")
        session.failed(error.sentence)
        raise error
    if finished.error is not None:
        context.terminal.error(finished.error)
    session.recorded(
        outcome=finished.target.sentence,
        exit_code=finished.target.status,
        duration_s=finished.target.seconds,
        lost=finished.lost,
        artifacts=finished.artifacts,
        result=finished.result,
    )
    recording = _read(context, session, finished, logs)
    return Recorded(context.library.session(session.id), recording, finished)


def _read(context: Context, session: SessionFolder, finished: Finished, logs: tuple[str, ...]) -> Recording:
    assert finished.result is not None
    left = f"What was recorded is in {session.path}; `tailflame show {session.id}` reads it again."
    try:
        with context.terminal.progress(f"reading {finished.result.name}") as report:
            recording = load(finished.result, progress=report)
    except (TailflameError, KeyboardInterrupt):
        context.terminal.note(left)
        raise
    cautions = [Caution(note) for note in finished.notes]
    if finished.error is not None:
        cautions.append(Caution(finished.error.sentence, finished.error.advice))
    recording = with_logs(recording, finished.artifacts, logs)
    try:
        return session.complete(recording.with_warnings(*cautions), draw=draw_flame_graph)
    except StoreError:
        context.terminal.note(left)
        raise


def _run(context: Context, session: SessionFolder, plan: Plan, *, show_output: bool) -> Finished:
    session.planned(
        argv=plan.argv,
        artifacts=plan.artifacts,
        primary=plan.primary,
        args=plan.target.args,
        leaves=plan.leaves,
    )
    context.terminal.note(f"running: {plan.command_line}")
    recorder = Recorder(plan)
    with context.terminal.status_line() as status:
        return asyncio.run(_follow(context, session, recorder, status, show_output=show_output))


async def _follow(
    context: Context, session: SessionFolder, recorder: Recorder, status: StatusLine, *, show_output: bool
) -> Finished:
    """Shows what happens until it is over."""
    usage: ProcessSample | None = None
    finished: Finished | None = None
    with _stopped_by_signals(recorder, context, status):
        async for event in recorder.events():
            match event:
                case Started():
                    session.tool_started(event.pid)
                case Output():
                    if show_output or event.stream == "tool":
                        status.clear()
                        _pass_on(event, to_stdout=not context.terminal.as_json)
                case Observed():
                    usage = event.sample
                case Appeared():
                    status.clear()
                    context.terminal.note(f"there is a new file: {event.path}")
                case Progress():
                    status.show(_progress_line(event, usage))
                case Finished():
                    finished = event
    if finished is None:
        raise ToolFailed("The recording ended without a word.")
    return finished


def _pass_on(output: Output, *, to_stdout: bool) -> None:
    """The target's own words, on the stream they came from; with --json stdout belongs to the document."""
    stream = sys.stdout if output.stream == "stdout" and to_stdout else sys.stderr
    stream.write(output.text)
    stream.flush()


def _progress_line(progress: Progress, usage: ProcessSample | None) -> str:
    parts = [progress.step or progress.stage.value, seconds(progress.elapsed_s)]
    if progress.remaining_s is not None and progress.stage is Stage.RECORDING:
        parts.append(f"{seconds(progress.remaining_s)} left")
    about = "about " if progress.samples_are_estimate else ""
    if progress.samples is not None:
        parts.append(f"{about}{count(progress.samples)} samples")
    if progress.samples is not None or progress.bytes:
        parts.append(size(progress.bytes))
    if progress.lost:
        parts.append(f"{count(progress.lost)} lost")
    if usage is not None:
        parts += [
            f"CPU {percent(usage.cpu_percent / 100, digits=0)}",
            f"RSS {size(usage.rss)}",
            f"{usage.threads} {'thread' if usage.threads == 1 else 'threads'}",
            f"{count(usage.involuntary)} preempted",
        ]
    return "  ".join(parts) + "  (Ctrl-C stops)"


@contextlib.contextmanager
def _stopped_by_signals(recorder: Recorder, context: Context, status: StatusLine) -> Iterator[None]:
    """The first SIGINT or SIGTERM stops and keeps, the second cancels."""
    loop = asyncio.get_running_loop()
    asked = False

    def ask() -> None:
        nonlocal asked
        status.clear()
        if asked:
            recorder.cancel()
            context.terminal.note("cancelling; nothing will be kept")
        else:
            recorder.stop()
            context.terminal.note("stopping; what was recorded is kept (again to cancel)")
        asked = True

    handled = (signal.SIGINT, signal.SIGTERM)
    for number in handled:
        loop.add_signal_handler(number, ask)
    try:
        yield
    finally:
        for number in handled:
            loop.remove_signal_handler(number)
