"""Work that takes longer than a frame: named tasks, threads with progress, and the jobs the bottom line shows.

Coroutines run in the window's own event loop; blocking work goes to a few threads and reports its share done.
Nothing here touches a widget.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import queue
import threading
import time
import traceback
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from enum import StrEnum
from functools import partial
from typing import Any, Generic, TypeAlias, TypeVar

import qasync
import shiboken6
from PySide6.QtCore import QObject, QTimer, Signal

from tailflame.errors import Cancelled, TailflameError

log = logging.getLogger("tailflame.gui")

T = TypeVar("T")
Progress: TypeAlias = Callable[[float], None]
"""Called by the work with the share done, 0 to 1; raises Cancelled once the job is cancelled."""
Failure: TypeAlias = Callable[[TailflameError], None]

_WORKERS = 4
_REFRESH_MS = 50
_COLLECT_MS = 500


class JobState(StrEnum):
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Token:
    """What a job shares with the thread that works for it; no Qt object ever goes there."""

    __slots__ = ("_cancelled", "fraction")

    def __init__(self) -> None:
        self._cancelled = threading.Event()
        self.fraction: float | None = None

    @property
    def cancelled(self) -> bool:
        return self._cancelled.is_set()

    def cancel(self) -> None:
        self._cancelled.set()

    def progress(self, fraction: float) -> None:
        """For the work: says how far it is, or raises Cancelled."""
        if self._cancelled.is_set():
            raise Cancelled()
        self.fraction = min(max(fraction, 0.0), 1.0)


class Job(QObject):
    """Something that runs, as the bottom line shows it. Progress may be reported from any thread.

    changed: title, detail, fraction, or state is another one (at the display's pace).
    ended(job): it runs no more; emitted once.
    """

    changed = Signal()
    ended = Signal(object)

    def __init__(
        self,
        title: str,
        *,
        stop: Callable[[], None] | None = None,
        cancellable: bool = True,
    ) -> None:
        # Without a parent: Python alone owns a job, whoever still holds it may look at it after its end.
        super().__init__()
        self.title = title
        self.detail = ""
        self.token = Token()
        self.state = JobState.RUNNING
        self.cancellable = cancellable
        self.started_at = time.monotonic()
        self.stop = stop
        """Ends it politely and keeps what there is; None where there is no such thing."""
        self._on_cancel: list[Callable[[], None]] = []

    @property
    def running(self) -> bool:
        return self.state is JobState.RUNNING

    @property
    def fraction(self) -> float | None:
        """The share done; None where the end cannot be told."""
        return self.token.fraction

    @property
    def cancelled(self) -> bool:
        return self.token.cancelled

    def cancel(self) -> None:
        """Asks the work to stop and forgets its result; what waits for it goes on at once."""
        if not self.running or self.cancelled:
            return
        self.token.cancel()
        for call in tuple(self._on_cancel):
            call()

    def on_cancel(self, call: Callable[[], None]) -> None:
        self._on_cancel.append(call)

    def say(self, detail: str, *, fraction: float | None = None) -> None:
        """A line beside the title: "48,210 samples  3.1 MB"."""
        if (detail, fraction) != (self.detail, self.fraction):
            self.detail, self.token.fraction = detail, fraction
            self.changed.emit()

    def end(self, state: JobState) -> None:
        if self.running:
            self.state = state
            self.changed.emit()
            self.ended.emit(self)


class JobList(QObject):
    """What runs now, oldest first.

    changed: a job came, went, or got on; at most twenty times a second.
    """

    changed = Signal()

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._jobs: list[Job] = []
        self._shown: dict[Job, float | None] = {}
        self._timer = QTimer(self)
        self._timer.setInterval(_REFRESH_MS)
        self._timer.timeout.connect(self._refresh)

    @property
    def jobs(self) -> tuple[Job, ...]:
        return tuple(self._jobs)

    def start(self, title: str, *, stop: Callable[[], None] | None = None, cancellable: bool = True) -> Job:
        """A new running job; it leaves the list when it ends."""
        job = Job(title, stop=stop, cancellable=cancellable)
        self._jobs.append(job)
        job.changed.connect(self.changed)
        job.ended.connect(self._ended)
        if not self._timer.isActive():
            self._timer.start()
        self.changed.emit()
        return job

    def cancel_all(self) -> None:
        for job in self.jobs:
            job.cancel()

    def _ended(self, job: Job) -> None:
        if job in self._jobs:
            self._jobs.remove(job)
            self._shown.pop(job, None)
        if not self._jobs:
            self._timer.stop()
        self.changed.emit()

    def _refresh(self) -> None:
        """Fractions are set by worker threads; they are looked at here, at the display's pace."""
        moved = [job for job in self._jobs if self._shown.get(job) != job.fraction]
        for job in moved:
            self._shown[job] = job.fraction
        if moved:
            self.changed.emit()


class _Work(Generic[T]):
    """One piece of work on its way to a thread and back.

    What it captured and what it gave may be Qt objects' last references, and those must die in the window's
    thread: so the thread keeps nothing of it, and `_finish`, in the window's loop, lets go of everything.
    """

    def __init__(self, call: Callable[[], T], loop: asyncio.AbstractEventLoop) -> None:
        self._call: Callable[[], T] | None = call
        self._loop = loop
        self._value: T | None = None
        self._error: BaseException | None = None
        self.answer: asyncio.Future[T] = loop.create_future()

    def run(self) -> None:
        """In a worker thread."""
        self._try()
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._finish)

    def _try(self) -> None:
        assert self._call is not None
        try:
            self._value = self._call()
        except BaseException as error:  # noqa: BLE001 - whoever waits gets it
            self._error = error

    def _finish(self) -> None:
        """In the window's loop."""
        _workers.done(self)
        value, error = self._value, self._error
        self._call = self._value = self._error = None
        if self.answer.done():
            return
        if error is not None:
            self.answer.set_exception(error)
        else:
            self.answer.set_result(value)  # type: ignore[arg-type]


class _Workers:
    """The threads, made when first needed. Daemons: a reader that hears no cancel does not hold up the end."""

    def __init__(self) -> None:
        self._queue: queue.SimpleQueue[_Work[Any]] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._at_work: set[_Work[Any]] = set()

    @property
    def busy(self) -> int:
        """Pieces of work that are not finished."""
        return len(self._at_work)

    def submit(self, call: Callable[[], T]) -> asyncio.Future[T]:
        """Runs `call` in a thread; call it in the window's loop."""
        work = _Work(call, asyncio.get_running_loop())
        self._at_work.add(work)
        self._queue.put(work)
        if len(self._threads) < min(_WORKERS, len(self._at_work)):
            name = f"tailflame-worker-{len(self._threads)}"
            thread = threading.Thread(target=self._serve, name=name, daemon=True)
            self._threads.append(thread)
            thread.start()
        return work.answer

    def done(self, work: _Work[Any]) -> None:
        self._at_work.discard(work)

    def _serve(self) -> None:
        while True:
            self._queue.get().run()


_workers = _Workers()
_tasks: set[asyncio.Task[Any]] = set()


def spawn(
    coroutine: Coroutine[Any, Any, Any],
    *,
    name: str,
    on_error: Failure,
    on_cancel: Callable[[], None] | None = None,
) -> asyncio.Task[Any]:
    """Runs `coroutine` in the window's loop and keeps it alive until it ends.

    on_error gets what it fails with; an error that is no TailflameError is logged with its traceback and handed
    on as an internal one. Cancelled and a cancelled task are no failures: they call on_cancel.
    """
    # The one place that may do this: here the task is kept and its failure is seen.
    task = asyncio.get_running_loop().create_task(coroutine, name=name)
    _tasks.add(task)

    def finished(task: asyncio.Task[Any]) -> None:
        _tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if task.cancelled() or isinstance(error, Cancelled):
            if on_cancel is not None:
                on_cancel()
        elif error is not None:
            on_error(as_failure(error, name))

    task.add_done_callback(finished)
    return task


def as_failure(error: BaseException, doing: str) -> TailflameError:
    """`error` as a sentence for the user. What nobody foresaw is logged with its traceback."""
    if isinstance(error, TailflameError):
        return error
    if isinstance(error, MemoryError):
        return TailflameError(
            f"There was not enough memory ({doing}).", advice="Close some results, or record for a shorter time."
        )
    log.error("failed: %s", doing, exc_info=error)
    return TailflameError(
        f"An internal error stopped this: {doing}.",
        advice="Please report it with the details.",
        details="".join(traceback.format_exception(error)),
    )


def posted(call: Callable[[T], None]) -> Callable[[T], None]:
    """`call` for the use of threads: it runs in the window's loop, a little later. Make it in the window's thread."""
    post = asyncio.get_running_loop().call_soon_threadsafe

    def pass_on(value: T) -> None:
        post(partial(call, value))

    return pass_on


async def in_thread(work: Callable[[Progress], T], *, job: Job | None = None) -> T:
    """Runs `work(progress)` in a worker thread and gives its result.

    Cancelling `job` ends the wait at once with Cancelled; the thread stops at its next progress report and its
    result is dropped.
    """
    loop = asyncio.get_running_loop()
    token = job.token if job is not None else Token()
    if token.cancelled:
        # Asked again before this had its first turn: no thread need begin with it.
        raise Cancelled()
    answer = _workers.submit(partial(work, token.progress))
    given_up: asyncio.Future[None] = loop.create_future()

    def give_up() -> None:
        if not given_up.done():
            given_up.set_result(None)

    if job is not None:
        job.on_cancel(give_up)
    waited: set[asyncio.Future[Any]] = {answer, given_up}
    try:
        await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
        if token.cancelled:
            raise Cancelled()
        return answer.result()
    finally:
        given_up.cancel()
        if not answer.done():
            token.cancel()
            answer.cancel()
        elif not answer.cancelled():
            # Cancelled in the same moment: what it ended with is of no interest, but has to be looked at.
            answer.exception()


async def run_job(job: Job, work: Callable[[Progress], T]) -> T:
    """`in_thread`, and the job ends as the work does."""
    try:
        result = await in_thread(work, job=job)
    except (Cancelled, asyncio.CancelledError):
        job.end(JobState.CANCELLED)
        raise
    except BaseException:
        job.end(JobState.FAILED)
        raise
    job.end(JobState.DONE)
    return result


class Latest(QObject):
    """Asks one question at a time: a new question makes the old one's answer worthless, and it is dropped.

    For views: `latest = Latest(self)`, then `latest.ask(work, answer, ...)` whenever the settings change.
    """

    busy_changed = Signal(bool)

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self._job: Job | None = None

    @property
    def busy(self) -> bool:
        return self._job is not None

    def ask(
        self,
        work: Callable[[Progress], T],
        answer: Callable[[T], None],
        *,
        name: str,
        on_error: Failure,
    ) -> None:
        """Runs `work` in a thread and hands its result to `answer`, unless asked again or gone meanwhile."""
        self.drop()
        job = Job(name)
        self._job = job
        self.busy_changed.emit(True)

        async def question() -> None:
            try:
                result = await in_thread(work, job=job)
            finally:
                current = self._is_current(job)
                if current:
                    self._job = None
                    self.busy_changed.emit(False)
            if current:
                answer(result)

        def failed(error: TailflameError) -> None:
            if not job.cancelled and shiboken6.isValid(self):
                on_error(error)

        spawn(question(), name=name, on_error=failed)

    def drop(self) -> None:
        """Forgets the question that is being worked on."""
        if self._job is not None:
            job, self._job = self._job, None
            job.cancel()
            self.busy_changed.emit(False)

    def _is_current(self, job: Job) -> bool:
        return shiboken6.isValid(self) and self._job is job


def adopt(loop: qasync.QEventLoop) -> None:
    """Gives `loop` plain threads of its own for asyncio.to_thread: qasync's would be QThreads that nobody ends.

    They are not the workers above, so that a recording is watched while four files are being read.
    """
    loop.set_default_executor(ThreadPoolExecutor(_WORKERS, thread_name_prefix="tailflame-worker-loop"))


class Collector(QObject):
    """Collects Python's cyclic garbage in the window's thread alone.

    Qt objects that only a cycle holds would otherwise be destroyed by whichever thread happens to allocate, a
    parsing one above all, and crash. The oldest generation, which takes long, waits until no thread works.
    """

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        gc.disable()
        self._timer = QTimer(self)
        self._timer.setInterval(_COLLECT_MS)
        self._timer.timeout.connect(self.collect)
        self._timer.start()

    def collect(self) -> None:
        """What Python would have collected by now."""
        young, middle, old = gc.get_count()
        threshold = gc.get_threshold()
        if young <= threshold[0]:
            return
        if old > threshold[2] and at_rest():
            gc.collect(2)
        elif middle > threshold[1]:
            gc.collect(1)
        else:
            gc.collect(0)

    def stop(self) -> None:
        self._timer.stop()
        gc.enable()


def busy_workers() -> int:
    """Threads that work now."""
    return _workers.busy


def at_rest() -> bool:
    """Nothing is being worked on, and no task waits for anything."""
    return not _tasks and busy_workers() == 0


async def close() -> None:
    """Ends every task; for the end of the program."""
    pending = [task for task in _tasks if task is not asyncio.current_task()]
    for task in pending:
        task.cancel()
    await asyncio.gather(*pending, return_exceptions=True)
