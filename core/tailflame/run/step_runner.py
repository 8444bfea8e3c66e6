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
from tailflame.store import Library


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
        crash = f"The program ended badly: {outcome.sentence}." if outcome is not None and outcome.crashed else ""
        step = replace(step, session=ended.session, seconds=time.monotonic() - began)
        if ended.recording is None:
            error = ended.error or ToolFailed("It left nothing.")
            # That nothing is left to read follows from the crash.
            told = (crash, "") if crash else (error.sentence, error.advice)
            yield replace(step, state=StepState.FAILED, problem=told[0], fix=told[1])
        else:
            yield replace(step, state=StepState.FAILED if crash else StepState.DONE, problem=crash)
