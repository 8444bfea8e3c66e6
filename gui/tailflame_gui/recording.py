"""Runs recordings for the window: one at a time or a queue of them, kept from the first moment, handed on at the
display's pace.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from PySide6.QtCore import QObject, QTimer, Signal

from tailflame import units
from tailflame.errors import Cancelled, ParseError, StoreError, TailflameError, ToolFailed
from tailflame.host.processes import ProcessSample
from tailflame.model import Caution, Recording
from tailflame.parse import load
from tailflame.run import Appeared, Event, Finished, Observed, Output, Progress, Recorder, Requested, Stage, Started
from tailflame.run.logs import with_logs
from tailflame.store import SessionFolder
from tailflame.tools import Plan, Target, Tool
from tailflame_gui import adapt, tasks
from tailflame_gui.controller import Controller
from tailflame_gui.record_model import FileRow
from tailflame_gui.rows import EndRow, Level, Notice, Offer, OutputRow, ProgressRow, SessionRow
from tailflame_gui.tasks import Job, JobState

PACE_MS = 33
"""Events are gathered and handed on thirty times a second at most."""


@dataclass(frozen=True, slots=True, eq=False)
class QueuedRun:
    """One recording of a queue: `options` are those of `tool`."""

    target: Target
    tool: Tool[Any]
    options: Any


@dataclass(slots=True, eq=False)
class _Queue:
    runs: tuple[QueuedRun, ...]
    group: str
    kept: list[tuple[Path, Recording, SessionRow]] = field(default_factory=list)
    """What is shown at the end."""
    over: bool = False
    """Nothing more is started."""


class RecordController(QObject):
    """Events of a recording, gathered.

    started(plan): it begins. output(tuple of OutputRow), observed(tuple of ProcessSample), progressed(ProgressRow):
    what came since. appeared(tuple of FileRow): files to open while it runs. ended(EndRow): the target has ended.
    failed(TailflameError): nothing could be recorded. kept(OpenResult): the result is read, kept and open; of a queue,
    the last one, when all are.
    """

    started = Signal(object)
    output = Signal(object)
    observed = Signal(object)
    progressed = Signal(object)
    appeared = Signal(object)
    ended = Signal(object)
    failed = Signal(object)
    kept = Signal(object)

    def __init__(self, controller: Controller) -> None:
        super().__init__()
        self._controller = controller
        self._recorder: Recorder | None = None
        self._task: asyncio.Task[Any] | None = None
        self._asked = ""
        self._place = ""
        self._queue: _Queue | None = None
        self._began_s = 0.0
        self._files: list[FileRow] = []
        self._outputs: list[OutputRow] = []
        self._samples: list[ProcessSample] = []
        self._progress: ProgressRow | None = None
        self._pace = QTimer(self)
        self._pace.setSingleShot(True)
        self._pace.setInterval(PACE_MS)
        self._pace.timeout.connect(self._hand_on)

    @property
    def running(self) -> bool:
        return self._task is not None

    def start_recording(self, target: Target, tool: Tool[Any], options: Any) -> None:
        """Records in a new session of the library. While one runs, another is refused with a notice."""
        self.start_plan(target, tool, lambda out: tool.plan(target, options, out))

    def start_plan(
        self, target: Target, tool: Tool[Any], plan: Callable[[Path], Plan], *, logs: tuple[str, ...] = ()
    ) -> None:
        """The same with a plan of one's own for the session's folder. logs: artifacts that the target writes by itself,
        whose results join the recording.
        """
        self._begin(self._record(target, tool, plan, logs), target)

    def start_queue(self, runs: Sequence[QueuedRun], *, group: str) -> None:
        """Records one after the other, as sessions of one group. What fails is told and the others go on; at the end
        all results open.
        """
        if runs:
            self._begin(self._record_all(_Queue(tuple(runs), group)), runs[0].target)

    def _begin(self, work: Coroutine[Any, Any, None], target: Target) -> None:
        if self.running:
            work.close()
            self._controller.fail(
                StoreError("A recording is running already.", advice="Stop or cancel it first, at the bottom line.")
            )
            return
        self._asked = ""
        self._controller.state.set_recording(True)
        self._task = tasks.spawn(
            work,
            name=f"recording {target.name}",
            on_error=self._failed,
            on_cancel=self._over,
        )

    @property
    def place(self) -> str:
        """ "2 of 4" in a queue."""
        return self._place

    def request(self, name: str) -> None:
        """Asks the running program for something: a snapshot now."""
        if self._recorder is not None:
            self._recorder.request(name)

    def cancel_all(self) -> None:
        """Throws away what runs and starts nothing more of the queue; what was kept of it stays."""
        if self._queue is not None:
            self._queue.over = True
        self.cancel_recording()

    def stop_recording(self) -> None:
        """Politely: what was recorded is kept and opens. A queue goes on with its next."""
        self._asked = self._asked or "stop"
        self._pass_on()

    def cancel_recording(self) -> None:
        """What was recorded is thrown away."""
        self._asked = "cancel"
        self._pass_on()

    def _pass_on(self) -> None:
        """The wish may come before there is a recorder: it is remembered until then."""
        if self._recorder is not None and self._asked:
            (self._recorder.cancel if self._asked == "cancel" else self._recorder.stop)()

    async def close(self) -> None:
        """At the end of the program: stops a running recording, and waits until it is kept."""
        if self._task is None:
            return
        if self._queue is not None:
            self._queue.over = True
        self.stop_recording()
        # A failure has been told already; here only its end matters.
        await asyncio.gather(self._task, return_exceptions=True)

    # A queue of recordings

    async def _record_all(self, queue: _Queue) -> None:
        self._queue = queue
        try:
            for at, run in enumerate(queue.runs):
                if queue.over:
                    break
                self._asked = ""
                self._place = f"{at + 1} of {len(queue.runs)}" if len(queue.runs) > 1 else ""
                await self._record_next(run)
        finally:
            self._over()
        self._controller.refresh_library()
        opened = [self._controller.show_recording(path, recording, row) for path, recording, row in queue.kept]
        if opened:
            self.kept.emit(opened[-1])

    async def _record_next(self, run: QueuedRun) -> None:
        recording = self._record(run.target, run.tool, lambda out: run.tool.plan(run.target, run.options, out), ())
        # Whatever it fails with, the others of the queue go on.
        (problem,) = await asyncio.gather(recording, return_exceptions=True)
        if problem is not None and not isinstance(problem, Cancelled):
            failure = tasks.as_failure(problem, f"recording with {run.tool.title}")
            self.failed.emit(failure)
            self._controller.fail(failure)

    # One recording

    async def _record(
        self, target: Target, tool: Tool[Any], plan_for: Callable[[Path], Plan], logs: tuple[str, ...]
    ) -> None:
        library = self._controller.library
        group = self._queue.group if self._queue is not None else ""

        def prepare(_progress: tasks.Progress) -> tuple[SessionFolder, Plan]:
            session = library.new_session(
                tool=tool.name,
                binary=target.binary,
                args=target.args,
                cwd=target.cwd or "",
                env=target.env,
                group=group,
            )
            plan = plan_for(session.path)
            session.planned(
                argv=plan.argv,
                artifacts=plan.artifacts,
                primary=plan.primary,
                args=plan.target.args,
                leaves=plan.leaves,
            )
            return session, plan

        session, plan = await tasks.in_thread(prepare)
        self._recorder = Recorder(plan, journal=self._controller.journal)
        self._pass_on()
        # Stop alone: throwing a recording away is asked about on the record page.
        what = f"{self._place}: {tool.title} {target.name}" if self._place else f"{tool.title} {target.name}"
        self._began_s = time.monotonic()
        job = self._controller.jobs.start(what, stop=self.stop_recording, cancellable=False)
        job.on_cancel(self.cancel_recording)
        self.started.emit(plan)
        self._controller.refresh_library()
        try:
            finished = await self._follow(self._recorder, session, job)
        except BaseException:
            # Nothing was recorded: it could not be started, or the fault is ours.
            job.end(JobState.FAILED)
            await tasks.in_thread(lambda _progress: library.discard(session))
            raise
        self._hand_on()
        self.ended.emit(_end_row(finished))
        if finished.cancelled:
            job.end(JobState.CANCELLED)
            await tasks.in_thread(lambda _progress: library.discard(session))
            self._controller.refresh_library()  # it stood there as being recorded
            raise Cancelled
        job.end(JobState.DONE if finished.result is not None else JobState.FAILED)
        await self._keep(session, finished, tool.title, logs)

    async def _follow(self, recorder: Recorder, session: SessionFolder, job: Job) -> Finished:
        finished: Finished | None = None
        async with aclosing(recorder.events()) as events:
            async for event in events:
                if isinstance(event, Started):
                    await tasks.in_thread(partial(_note_tool, session, event.pid))
                elif isinstance(event, Finished):
                    finished = event
                else:
                    self._gather(event, job)
        if finished is None:
            raise ToolFailed("The recording ended without a word.")
        return finished

    def _gather(self, event: Event, job: Job) -> None:
        match event:
            case Output():
                self._outputs.append(OutputRow(event.stream, event.text))
            case Observed():
                self._samples.append(event.sample)
            case Progress():
                self._progress = _progress_row(event)
                job.say(progress_text(self._progress), fraction=_fraction(event))
            case Appeared():
                self._files.append(self._file_row(event.path))
            case Requested():
                if event.error is not None:
                    self._controller.fail(event.error)
                if event.path is not None:
                    self._files.append(self._file_row(event.path))
            case _:
                return
        if not self._pace.isActive():
            self._pace.start()

    def _file_row(self, path: Path) -> FileRow:
        try:
            size = path.stat().st_size
        except OSError:  # the tool has taken it back
            size = 0
        return FileRow(path, path.name, size, time.monotonic() - self._began_s)

    def _hand_on(self) -> None:
        self._pace.stop()
        outputs, self._outputs = tuple(self._outputs), []
        samples, self._samples = tuple(self._samples), []
        progress, self._progress = self._progress, None
        files, self._files = tuple(self._files), []
        if outputs:
            self.output.emit(outputs)
        if samples:
            self.observed.emit(samples)
        if files:
            self.appeared.emit(files)
        if progress is not None:
            self.progressed.emit(progress)

    async def _keep(self, session: SessionFolder, finished: Finished, tool: str, logs: tuple[str, ...]) -> None:
        """Reads what was recorded, keeps it, opens it."""
        library = self._controller.library
        outcome = finished.target
        if finished.result is None:
            error = finished.error or ToolFailed(f"{tool} left nothing to read.")
            await tasks.in_thread(lambda _progress: session.failed(error.sentence))
            raise error
        result = finished.result
        await tasks.in_thread(
            lambda _progress: session.recorded(
                outcome=outcome.sentence,
                exit_code=outcome.status,
                duration_s=outcome.seconds,
                lost=finished.lost,
                artifacts=finished.artifacts,
                result=result,
            )
        )
        # A crash is a result, and whoever reads the profile has to know of it.
        known = outcome.code is not None or outcome.signal is not None
        cautions = [] if outcome.ok or not known else [Caution(f"{outcome.what}: {outcome.sentence}.")]
        cautions += [Caution(note) for note in finished.notes]
        if finished.error is not None:
            cautions.append(Caution(finished.error.sentence, finished.error.advice))

        def read(progress: tasks.Progress) -> tuple[Recording, SessionRow]:
            loaded = with_logs(load(result, progress=progress), finished.artifacts, logs)
            recording = replace(loaded, warnings=(*cautions, *loaded.warnings))
            from tailflame.report import svg  # late: a start has no use for it

            whole = session.complete(recording, draw=svg.write)
            return whole, adapt.session_row(library.session(session.id))

        job = self._controller.jobs.start(f"Reading {result.name}")
        try:
            recording, row = await tasks.run_job(job, read)
        except (Cancelled, ParseError) as problem:
            self._unread(session, problem)
            return
        finally:
            self._over(whole=self._queue is None)
            self._controller.refresh_library()
        if self._queue is not None:
            self._queue.kept.append((session.path, recording, row))
            return
        self.kept.emit(self._controller.show_recording(session.path, recording, row))

    def _unread(self, session: SessionFolder, problem: TailflameError) -> None:
        """The tool's file is complete and stays: reading it can be tried again at any time."""
        cancelled = isinstance(problem, Cancelled)
        self._controller.state.notify(
            Notice(
                Level.NOTE if cancelled else Level.ERROR,
                "The recording is kept, and not read yet." if cancelled else problem.sentence,
                "" if cancelled else f"{problem.advice} What was recorded is kept in {session.path}.".strip(),
                problem.details,
                offers=(Offer("Read it", lambda: self._open_later(session.path)),),
            )
        )

    def _open_later(self, path: Path) -> None:
        self._controller.open_file(path)

    def _failed(self, error: TailflameError) -> None:
        self._over()
        self._controller.refresh_library()
        self.failed.emit(error)
        self._controller.fail(error)

    def _over(self, *, whole: bool = True) -> None:
        """whole: nothing of a queue comes after it either."""
        self._recorder = None
        self._pace.stop()
        if whole:
            self._task = None
            self._queue = None
            self._place = ""
            self._controller.state.set_recording(False)


def _note_tool(session: SessionFolder, pid: int, _progress: tasks.Progress) -> None:
    session.tool_started(pid)


def progress_text(row: ProgressRow) -> str:
    """ "recording  12.3 s  48,210 samples  3.1 MB"."""
    parts = [row.step or row.stage, units.seconds(row.elapsed_s)]
    if row.remaining_s is not None and row.stage == Stage.RECORDING:
        parts.append(f"{units.seconds(row.remaining_s)} left")
    about = "about " if row.samples_are_estimate else ""
    parts += [f"{about}{units.count(row.samples)} samples"] if row.samples is not None else []
    parts += [units.size(row.bytes)] if row.samples is not None or row.bytes else []
    if row.lost:
        parts.append(f"{units.count(row.lost)} lost")
    return "   ".join(parts)


def _progress_row(event: Progress) -> ProgressRow:
    return ProgressRow(
        stage=event.stage.value,
        elapsed_s=event.elapsed_s,
        remaining_s=event.remaining_s,
        bytes=event.bytes,
        samples=event.samples,
        lost=event.lost,
        samples_are_estimate=event.samples_are_estimate,
        step=event.step,
    )


def _fraction(event: Progress) -> float | None:
    if event.remaining_s is None:
        return None
    whole = event.elapsed_s + event.remaining_s
    return min(event.elapsed_s / whole, 1.0) if whole > 0 else None


def _end_row(finished: Finished) -> EndRow:
    return EndRow(
        target=finished.target.what,
        sentence=finished.target.sentence,
        crashed=finished.target.crashed,
        cancelled=finished.cancelled,
        notes=finished.notes,
    )
