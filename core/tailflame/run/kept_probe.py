"""One run of a program with probes on functions, from its start to the kept session: latencies that nobody logs."""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import replace
from pathlib import Path

from tailflame.errors import StoreError, TailflameError, ToolFailed
from tailflame.host.probe_safety import Verdict
from tailflame.live.function_probe import COST_LIMIT
from tailflame.model import Caution, Recording
from tailflame.model.live import Cost
from tailflame.parse import load
from tailflame.run import live_sources
from tailflame.run.events import Event, Progress, Stage
from tailflame.run.journal import Journal
from tailflame.run.kept_run import Kept
from tailflame.run.live_events import (
    LiveContinued,
    LiveEvent,
    LiveFinished,
    SourceChanged,
    SourceState,
    SourceWish,
)
from tailflame.run.live_functions import functions_called, judged
from tailflame.run.live_run import LiveRun
from tailflame.run.live_session import LOG, TOOL, LiveSession
from tailflame.store import Library, SessionFolder
from tailflame.store.provenance import Origin
from tailflame.tools.base import Target
from tailflame.units import nanoseconds, percent

_TICK_S = 0.25
_WORTH_TELLING = 0.0005
"""Of the program's CPU time: less of it rounds to nothing."""

MakeWish = Callable[[Verdict], SourceWish]


def _unlimited(verdict: Verdict) -> SourceWish:
    # A limit would take the probes off in the middle of some runs and not of others: those are not comparable. What
    # they cost is told instead.
    return live_sources.probe(verdict.probed, cost_limit=None)


class KeptProbe:
    """Runs `target(folder)` with probes on `functions`, by their names, into a new session of `library`.

    As KeptRun: stop() ends the program politely and keeps what was seen, cancel() drops it. shape: what becomes of the
    recording before it is kept (the warm-up left out). make: for tests.
    """

    def __init__(
        self,
        library: Library,
        target: Callable[[Path], Target],
        functions: Sequence[str],
        *,
        binary: Path,
        accepted_unwinding: bool,
        group: str,
        shape: Callable[[Recording], Recording],
        journal: Journal,
        origin: Origin | None = None,
        make: MakeWish = _unlimited,
    ) -> None:
        self._library = library
        self._target = target
        self._functions = tuple(functions)
        self._binary = binary
        self._accepted_unwinding = accepted_unwinding
        self._group = group
        self._shape = shape
        self._journal = journal
        self._origin = origin
        self._make = make
        self._live: LiveRun | None = None
        self._stage = Stage.STARTING
        self._stopped = self._cancelled = False
        self._problem: TailflameError | None = None

    def stop(self) -> None:
        self._stopped = True
        self._pass_on()

    def cancel(self) -> None:
        self._stopped = self._cancelled = True
        self._pass_on()

    def _pass_on(self) -> None:
        if self._live is not None and self._stopped:
            self._live.stop()

    async def events(self) -> AsyncGenerator[Event | Kept, None]:
        """`Progress` now and then, `Kept` last."""
        try:
            verdict = await asyncio.to_thread(self._judged)
            session = await asyncio.to_thread(self._session)
        except TailflameError as error:
            yield Kept("", None, None, error)
            return
        target = self._target(session.path)
        self._live = LiveRun(session.path, [self._make(verdict)], launch=target, journal=self._journal)
        live = LiveSession(session, self._live, argv=target.argv, failed=self._give_up)
        self._pass_on()
        began = time.monotonic()
        # Held here and awaited on every way out: a task group may not be left by a yield.
        running = asyncio.create_task(live.run(self._take), name="probes")  # noqa: TID251
        try:
            while not running.done():
                await asyncio.wait({running}, timeout=_TICK_S)
                yield _progress(self._stage, time.monotonic() - began)
            finished = running.result()
        except TailflameError as error:
            await asyncio.to_thread(self._library.discard, session)
            yield Kept("", None, None, error)
            return
        finally:
            if not running.done():
                running.cancel()
                with contextlib.suppress(asyncio.CancelledError, TailflameError):
                    await running
        yield await asyncio.to_thread(self._keep, session, finished, verdict)

    def _judged(self) -> Verdict:
        """In a thread."""
        functions = functions_called(self._binary, self._functions)
        return judged(self._binary, functions, accepted_unwinding=self._accepted_unwinding)

    def _session(self) -> SessionFolder:
        """In a thread."""
        # The words for the folder are not known before it is there: the log's name in them is set by `planned`.
        target = self._target(Path())
        return self._library.new_session(
            tool=TOOL, binary=target.binary, args=target.args, cwd=target.cwd or "", env=target.env,
            group=self._group, origin=self._origin,
        )  # fmt: skip

    def _take(self, event: LiveEvent) -> None:
        match event:
            case LiveContinued():
                self._stage = Stage.RECORDING
            case SourceChanged(state=SourceState.FAILED, error=TailflameError() as error):
                self._give_up(error)

    def _give_up(self, problem: TailflameError) -> None:
        """Without probes, or a place to write to, the rest of the run is worth nothing."""
        self._problem = self._problem or problem
        if self._live is not None:
            self._live.stop()

    def _keep(self, session: SessionFolder, finished: LiveFinished, verdict: Verdict) -> Kept:
        """In a thread."""
        if self._cancelled:
            self._library.discard(session)
            return Kept("", None, finished, ToolFailed("It was cancelled."))
        name, outcome = session.path.name, finished.target
        try:
            if self._problem is not None:
                session.failed(self._problem.sentence)
                return Kept(name, None, finished, self._problem)
            session.recorded(
                outcome=finished.sentence,
                exit_code=outcome.status if outcome is not None else None,
                duration_s=finished.seconds,
                artifacts=finished.artifacts,
            )
            recording = self._shape(load(session.path / LOG))
            recording = replace(recording, meta=replace(recording.meta, duration_s=finished.seconds))
            if outcome is not None and not outcome.ok:
                recording = recording.with_warnings(Caution(f"{outcome.what}: {outcome.sentence}."))
            cautions = (*(Caution(text) for text in verdict.cautions), *probe_cautions(recording))
            return Kept(name, session.complete(recording.with_warnings(*cautions)), finished, None)
        except TailflameError as error:
            if not isinstance(error, StoreError):
                with contextlib.suppress(StoreError):
                    session.failed(error.sentence)
            crashed = outcome is not None and outcome.crashed
            return Kept(
                name,
                None,
                finished,
                ToolFailed(f"The program ended badly: {outcome.sentence}.") if outcome and crashed else error,
            )


def probe_cautions(recording: Recording) -> tuple[Caution, ...]:
    """What the probes themselves add to what they tell, and which functions were never called."""
    found = []
    series = recording.histograms
    if series is not None:
        found += [
            Caution(
                f"{tag} was not called, or not from outside: the compiler may have put it into its callers.",
                "Probe one of its callers.",
            )
            for tag in series.distinct_tags()
            if not series.whole(tag).total
        ]
    for cost in recording.live.costs if recording.live is not None else ():
        if cost.calls_per_s:
            found.append(_cost(cost))
    return tuple(found)


def _cost(cost: Cost) -> Caution:
    if math.isnan(cost.per_call_ns):
        return Caution(
            f"What a probe on {cost.series} costs is not known on this machine: compare it with itself alone."
        )
    share = f", {percent(cost.share)} of the program’s CPU time" if cost.share >= _WORTH_TELLING else ""
    lost = f" {cost.lost:,} calls were not counted." if cost.lost else ""
    return Caution(
        f"A probe delays each call of {cost.series} by {nanoseconds(cost.per_call_ns)}{share}, and an empty function "
        f"would read {nanoseconds(cost.floor_ns)}: compare it with probed runs alone.{lost}",
        "Probe functions that are called less often, for less." if cost.share > COST_LIMIT else "",
    )


def _progress(stage: Stage, elapsed_s: float) -> Progress:
    return Progress(stage, elapsed_s, None, bytes=0, samples=None, lost=None, samples_are_estimate=False)
