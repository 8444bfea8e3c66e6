"""One recording from its plan to the kept session, for whoever runs many: no terminal, no window."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path

from tailflame.errors import TailflameError, ToolFailed
from tailflame.model import Caution, Recording
from tailflame.report import svg
from tailflame.run.events import Event, Finished, Started
from tailflame.run.journal import Journal
from tailflame.run.live_events import LiveFinished
from tailflame.run.recorder import Recorder
from tailflame.store import Library, SessionFolder
from tailflame.store.provenance import Origin
from tailflame.tools import Plan, Target


@dataclass(frozen=True, slots=True, eq=False)
class Kept:
    """How it ended. recording: None where nothing can be read, and `error` says why; `session` then has the files."""

    session: str
    recording: Recording | None
    finished: Finished | LiveFinished | None
    error: TailflameError | None


class KeptRun:
    """Records `plan(folder)` into a new session of `library`. stop(), cancel(): as the recorder's. origin: of a target
    that is not where it was built.
    """

    def __init__(
        self,
        library: Library,
        target: Target,
        plan: Callable[[Path], Plan],
        *,
        tool: str,
        group: str,
        read: Callable[[Finished, Callable[[float], None]], Recording],
        journal: Journal,
        origin: Origin | None = None,
    ) -> None:
        self._library = library
        self._target = target
        self._plan = plan
        self._tool = tool
        self._group = group
        self._read = read
        self._journal = journal
        self._origin = origin
        self._recorder: Recorder | None = None
        self._asked = ""

    def stop(self) -> None:
        self._asked = self._asked or "stop"
        self._pass_on()

    def cancel(self) -> None:
        self._asked = "cancel"
        self._pass_on()

    def _pass_on(self) -> None:
        if self._recorder is not None and self._asked:
            (self._recorder.cancel if self._asked == "cancel" else self._recorder.stop)()

    async def events(self) -> AsyncGenerator[Event | Kept, None]:
        """The recorder's events, then `Kept`."""
        target = self._target
        session = await asyncio.to_thread(
            self._library.new_session,
            tool=self._tool, binary=target.binary, args=target.args, cwd=target.cwd or "", env=target.env,
            group=self._group, origin=self._origin,
        )  # fmt: skip
        try:
            plan = self._plan(session.path)
            session.planned(
                argv=plan.argv,
                artifacts=plan.artifacts,
                primary=plan.primary,
                args=plan.target.args,
                leaves=plan.leaves,
            )
            self._recorder = Recorder(plan, journal=self._journal)
            self._pass_on()
            finished: Finished | None = None
            async with aclosing(self._recorder.events()) as events:
                async for event in events:
                    if isinstance(event, Started):
                        session.tool_started(event.pid)
                    if isinstance(event, Finished):
                        finished = event
                    yield event
        except TailflameError as error:
            await asyncio.to_thread(self._library.discard, session)
            yield Kept("", None, None, error)
            return
        yield await asyncio.to_thread(self._keep, session, finished)

    def _keep(self, session: SessionFolder, finished: Finished | None) -> Kept:
        """In a thread."""
        name = session.path.name
        if finished is None or finished.cancelled:
            self._library.discard(session)
            return Kept("", None, finished, ToolFailed("It was cancelled."))
        if finished.result is None:
            error = finished.error or ToolFailed(f"{self._tool} left nothing to read.")
            session.failed(error.sentence)
            return Kept(name, None, finished, error)
        try:
            session.recorded(
                outcome=finished.target.sentence,
                exit_code=finished.target.status,
                duration_s=finished.target.seconds,
                lost=finished.lost,
                artifacts=finished.artifacts,
                result=finished.result,
            )
            recording = self._read(finished, lambda _share: None)
            cautions = [Caution(note) for note in finished.notes]
            if finished.error is not None:
                cautions.append(Caution(finished.error.sentence, finished.error.advice))
            whole = session.complete(recording.with_warnings(*cautions), draw=svg.write)
        except TailflameError as error:
            return Kept(name, None, finished, error)
        return Kept(name, whole, finished, finished.error)
