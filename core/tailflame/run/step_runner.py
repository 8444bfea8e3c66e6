"""One run of a step of a measurement, from its begin to how it ended."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace

from tailflame.errors import ToolFailed
from tailflame.model.iteration import Step, StepState
from tailflame.run.events import Progress
from tailflame.run.journal import Journal
from tailflame.run.kept_probe import KeptProbe
from tailflame.run.kept_run import Kept, KeptRun
from tailflame.run.measure_events import StepProgress
from tailflame.run.measure_steps import StepRun
from tailflame.run.outcome import Outcome
from tailflame.store import Library

_OUTPUT = (
    "What it wrote is kept with its result. An exit code that is no failure is named in the plan: target.exit_codes."
)


class StepRunner:
    """Runs one step after the other. `stop` and `cancel` may be called from any thread: the one ends the step that runs
    politely and keeps it, the other drops it; what begins after either is ended at once.
    """

    def __init__(self, library: Library, journal: Journal) -> None:
        self._library = library
        self._journal = journal
        self._running: KeptRun | KeptProbe | None = None
        self._cancelling = False
        self.stopping = False

    def stop(self) -> None:
        self.stopping = True
        self._pass_on()

    def cancel(self) -> None:
        self.stopping = self._cancelling = True
        self._pass_on()

    def _pass_on(self) -> None:
        running = self._running
        if running is not None and self.stopping:
            (running.cancel if self._cancelling else running.stop)()

    async def events(self, run: StepRun, step: Step, *, group: str) -> AsyncGenerator[StepProgress | Step, None]:
        """How far it is, and as the last item the step as it ended: done, or failed with its problem."""
        began = time.monotonic()
        self._running = kept = run.begin(self._library, group, self._journal)
        self._pass_on()
        ended: Kept | None = None
        async with aclosing(kept.events()) as events:
            async for event in events:
                if isinstance(event, Progress):
                    yield StepProgress(step, event.stage.value, time.monotonic() - began)
                elif isinstance(event, Kept):
                    ended = event
        self._running = None
        assert ended is not None
        outcome = ended.finished.target if ended.finished is not None else None
        bad = "" if outcome is None or self.stopping else _bad_end(outcome, run.exit_codes)
        step = replace(step, session=ended.session, seconds=time.monotonic() - began)
        if bad:  # that nothing is left to read follows from it
            yield replace(step, state=StepState.FAILED, problem=bad, fix=_OUTPUT if ended.session else "")
        elif ended.recording is None:
            error = ended.error or ToolFailed("It left nothing.")
            yield replace(step, state=StepState.FAILED, problem=error.sentence, fix=error.advice)
        else:
            yield replace(step, state=StepState.DONE)


def _bad_end(outcome: Outcome, allowed: frozenset[int]) -> str:
    """A program that failed did something else than what is measured; "" where it ended well."""
    if outcome.crashed:
        return f"The program ended badly: {outcome.sentence}."
    if outcome.code is None or outcome.code in allowed:
        return ""
    return f"The program ended badly: {outcome.sentence}."
