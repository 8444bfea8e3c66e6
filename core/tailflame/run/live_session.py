"""A live run that is kept: everything seen goes to the session's folder while it happens, and is read from there.

live.jsonl      everything, line by line (parse/live_log.py): what the session is read from
latency.hlog    the latencies alone, for other tools (HdrHistogram, by tag)
perf.data ...   what single sources recorded
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TextIO

from tailflame.errors import ParseError, StoreError, TailflameError
from tailflame.model import Caution, Recording
from tailflame.model.live import Captured, LatencySlice, Said
from tailflame.model.live_record import Mark
from tailflame.model.slices import Sliced
from tailflame.parse import Early, live_lines, load
from tailflame.parse.source import Progress
from tailflame.report.hlog import HlogWriter, safe_tag
from tailflame.report.live_log import LiveLogWriter
from tailflame.run.continuous import ROLE as SLICES
from tailflame.run.continuous_session import load_slices
from tailflame.run.live_events import LiveEvent, LiveFinished, LiveStarted, SourceChanged, SourceState, SourceTold
from tailflame.run.live_run import LiveRun, Sink
from tailflame.store import SessionFolder
from tailflame.store.library import LIVE
from tailflame.store.session import MANIFEST, Draw
from tailflame.store.slice_store import INDEX

TOOL = LIVE
LOG = "live.jsonl"
HLOG = "latency.hlog"
PROFILE = "perf.data"
CONTINUOUS = "continuous"
"""The folder of a continuous profile beside the rest."""
_FLUSH_S = 0.5


class LiveSession:
    """Writes what `run` tells into `session`. `failed` hears once of a disk that takes no more; the run goes on."""

    def __init__(
        self,
        session: SessionFolder,
        live: LiveRun,
        *,
        argv: Sequence[str],
        failed: Callable[[StoreError], None],
    ) -> None:
        self.session = session
        self.live = live
        self._argv = tuple(argv)
        self._failed = failed
        self._told = False
        self._pending: list[live_lines.Line] = []
        self._log: LiveLogWriter | None = None
        self._hlog: HlogWriter | None = None
        self._hlog_stream: TextIO | None = None
        self._offset_s = time.time() - time.monotonic()
        self._seen = False
        session.planned(
            argv=(), artifacts={LOG: session.path / LOG, HLOG: session.path / HLOG}, primary=LOG, args=self._argv[1:]
        )

    @property
    def saw_anything(self) -> bool:
        """Whether there is something to keep."""
        return self._seen

    def leave(self) -> bool:
        """The run has ended before its end. What was seen stays to be read; False where there is nothing."""
        if self._seen:
            self.session.recorded(outcome="ended before its end")
        return self._seen

    def mark(self, text: str, *, time_s: float | None = None) -> Mark:
        """Notes a moment: now, unless `time_s` (CLOCK_MONOTONIC) says when."""
        mark = Mark(time.monotonic() if time_s is None else time_s, text)
        self._pending.append(mark)
        return mark

    async def run(self, sink: Sink) -> LiveFinished:
        """`LiveRun.run`, with everything on disk when it returns. Raises what that raises."""

        def both(event: LiveEvent) -> None:
            self._take(event)
            sink(event)

        try:
            async with asyncio.TaskGroup() as tasks:
                flushing = tasks.create_task(self._flush_now_and_then(), name="writing the live log")
                try:
                    return await self.live.run(both)
                finally:
                    flushing.cancel()
                    await asyncio.to_thread(self._close)
        except BaseExceptionGroup as group:
            # Writing fails in sentences of its own: what is in the group is the run's.
            raise _first(group) from None

    def _take(self, event: LiveEvent) -> None:
        match event:
            case LiveStarted():
                self._open(event)
            case SourceTold(update=Captured() as kept):
                self._pending.append(Mark(kept.time_s, kept.words, kept.path.name))
                self._seen = True
            case SourceTold(update=Sliced()):
                self._seen = True  # kept by their source
            case SourceTold():
                line = live_lines.kept(event.update)
                if line is not None:
                    self._pending.append(line)
                    self._seen = self._seen or not isinstance(line, Said)
            case SourceChanged(state=SourceState.FAILED, error=TailflameError() as error):
                self._pending.append(Said(text=f"{event.title}: {error.sentence}", fix=error.advice))

    def _open(self, started: LiveStarted) -> None:
        try:
            argv = started.argv or self._argv
            self._log = LiveLogWriter(self.session.path / LOG, pid=started.pid, argv=argv, launched=started.launched)
            self._hlog_stream = (self.session.path / HLOG).open("w", encoding="utf-8")
            self._hlog = HlogWriter(self._hlog_stream, time.time())
        except StoreError as problem:
            self._give_up(problem)
        except OSError as problem:
            self._give_up(_full(self.session.path / HLOG, problem))

    async def _flush_now_and_then(self) -> None:
        while True:
            await asyncio.sleep(_FLUSH_S)
            await asyncio.to_thread(self._flush)

    def _flush(self) -> None:
        """In a thread: payloads are packed here."""
        pending, self._pending = self._pending, []
        if self._log is None:
            return
        try:
            for line in pending:
                self._log.write(line)
                if isinstance(line, LatencySlice) and line.histogram.total and self._hlog is not None:
                    tag, start = safe_tag(line.series), line.start_s + self._offset_s
                    self._hlog.write(tag, start, line.length_s, line.histogram)
            self._log.flush()
        except StoreError as problem:
            self._give_up(problem)
        except OSError as problem:
            self._hlog = None
            self._give_up(_full(self.session.path / HLOG, problem))

    def _close(self) -> None:
        self._flush()
        if self._log is not None:
            with contextlib.suppress(StoreError):
                self._log.close()
        if self._hlog_stream is not None:
            with contextlib.suppress(OSError):
                self._hlog_stream.close()

    def _give_up(self, problem: StoreError) -> None:
        if not self._told:
            self._told = True
            self._failed(problem)


def _first(group: BaseExceptionGroup) -> BaseException:
    """The run has a group of its own inside ours."""
    first = group.exceptions[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else first


def _full(path: Path, problem: OSError) -> StoreError:
    return StoreError(f"{path} cannot be written: {problem.strerror}.", advice="Make room on the disk.")


def keep(
    session: SessionFolder, finished: LiveFinished, *, draw: Draw | None = None, progress: Progress | None = None
) -> Recording:
    """Reads what a run left, its CPU profile included, and completes its session. Takes time: call it in a thread.

    ParseError where nothing was seen; the session is then marked as failed.
    """
    outcome = finished.target
    session.recorded(
        outcome=finished.sentence,
        exit_code=outcome.status if outcome is not None else None,
        duration_s=finished.seconds,
        artifacts=finished.artifacts,
    )
    slices = finished.artifacts.get(SLICES)
    try:
        recording = load(session.path / LOG, progress=progress)
    except ParseError as problem:
        if slices is None:
            session.failed(problem.sentence)
            raise
        recording, slices = load_slices(slices), None  # nothing but a continuous profile was asked for
    recording = replace(recording, meta=replace(recording.meta, duration_s=finished.seconds))
    if outcome is not None and not outcome.ok:
        recording = recording.with_warnings(Caution(f"{outcome.what}: {outcome.sentence}."))
    profile = finished.artifacts.get(PROFILE)
    if profile is not None:
        recording = _with_profile(recording, profile, progress)
    if slices is not None:
        recording = _with_slices(recording, slices)
    return session.complete(recording, draw=draw)


def load_raw(
    path: Path, *, format: str | None = None, progress: Progress | None = None, early: Early | None = None
) -> Recording:
    """`parse.load`; the log of a live session that nobody has finished, with the CPU profile beside it."""
    if path.name == INDEX and path.with_name(MANIFEST).is_file():
        return load_slices(path, progress=progress)
    recording = load(path, format=format, progress=progress, early=early)
    profile = path.with_name(PROFILE)
    if path.name != LOG or not path.with_name(MANIFEST).is_file():
        return recording
    if profile.is_file():
        recording = _with_profile(recording, profile, progress)
    slices = path.parent / CONTINUOUS / INDEX
    return _with_slices(recording, slices) if slices.is_file() else recording


def _with_slices(recording: Recording, index: Path) -> Recording:
    """What was profiled continuously beside the rest, on the same clock."""
    try:
        slices = load_slices(index)
    except (ParseError, StoreError) as problem:
        return recording.with_warnings(Caution(problem.sentence, problem.advice))
    return replace(recording, results=(*recording.results, *slices.results)).with_warnings(*slices.warnings)


def _with_profile(recording: Recording, file: Path, progress: Progress | None) -> Recording:
    try:
        profile = load(file, progress=progress)
    except ParseError as problem:
        return recording.with_warnings(Caution(problem.sentence, problem.advice))
    meta = replace(
        recording.meta,
        rate_asked_hz=profile.meta.rate_asked_hz,
        rate_granted_hz=profile.meta.rate_granted_hz,
        machine=profile.meta.machine,
        build_ids=profile.meta.build_ids,
        tool_version=profile.meta.tool_version,
        tool_argv=profile.meta.tool_argv,
    )
    whole = replace(recording, results=(*recording.results, *profile.results), meta=meta)
    return whole.with_warnings(*profile.warnings)
