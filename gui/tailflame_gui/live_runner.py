"""Runs one live look for the window: kept from the first moment, handed on at the display's pace."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from PySide6.QtCore import QObject, QTimer, Signal

from tailflame import units
from tailflame.analyse.live_data import LiveData, Moment, MomentKind
from tailflame.errors import StoreError, TailflameError
from tailflame.model import Recording
from tailflame.model.live import Behind, Cost, Found, Said
from tailflame.model.slices import Sliced
from tailflame.report import svg
from tailflame.run.live_events import (
    LiveContinued,
    LiveEvent,
    LiveFinished,
    LiveStarted,
    SourceChanged,
    SourceState,
    SourceTold,
    SourceWish,
)
from tailflame.run.live_run import LiveRun
from tailflame.run.live_session import TOOL, LiveSession, keep
from tailflame.store import SessionFolder
from tailflame.tools import Target
from tailflame_gui import adapt, tasks
from tailflame_gui.controller import Controller
from tailflame_gui.live_rows import SourceRow
from tailflame_gui.rows import Level, Notice, SessionRow
from tailflame_gui.tasks import Job, JobState

PACE_MS = 33
"""What came is shown thirty times a second at most."""

_STATES = {
    SourceState.STARTING: ("getting ready", Level.NOTE, True),
    SourceState.ON: ("on", Level.OK, True),
    SourceState.ENDING: ("being taken away", Level.NOTE, False),
    SourceState.OFF: ("off", Level.NOTE, False),
    SourceState.ENDED: ("over: it has nothing more to see", Level.NOTE, False),
}


class LiveRunner(QObject):
    """One look at a time. `data` is what was seen so far.

    begun(): a look began, `data` is new. moved(): there may be more to show. sources_changed(tuple of SourceRow).
    ended(sentence): it is over; kept(OpenResult): it is read and open.
    """

    begun = Signal()
    moved = Signal()
    sources_changed = Signal(object)
    ended = Signal(str)
    kept = Signal(object)

    def __init__(self, controller: Controller) -> None:
        super().__init__()
        self._controller = controller
        self._run: LiveRun | None = None
        self._session: LiveSession | None = None
        self._folder: Path | None = None
        self._task: asyncio.Task[Any] | None = None
        self._wishes: dict[str, SourceWish] = {}
        self._rows: dict[str, SourceRow] = {}
        self._shares: dict[str, dict[str, Cost]] = {}
        """By source and series: what it costs. Each function has its own, and so have its slow calls."""
        self.offered: dict[str, dict[str, str]] = {}
        """By source: series that it could tell and does not, with their units where they are known."""
        self.data = LiveData()
        self.pid = 0
        self.launched = False
        self.began_s = 0.0
        self._pace = QTimer(self)
        self._pace.setSingleShot(True)
        self._pace.setInterval(PACE_MS)
        self._pace.timeout.connect(self.moved)

    @property
    def running(self) -> bool:
        return self._task is not None

    @property
    def folder(self) -> Path | None:
        """Where the look is kept: of the last one when it is over."""
        return self._folder

    @property
    def sources(self) -> tuple[SourceRow, ...]:
        return tuple(self._rows.values())

    def start(
        self,
        wishes: Sequence[SourceWish],
        *,
        launch: Target | None = None,
        attach: int | None = None,
        binary: Path | None = None,
        argv: Sequence[str] = (),
    ) -> None:
        """Looks at a program with these sources. While a look goes on, another is refused with a notice."""
        if self.running:
            self._controller.fail(
                StoreError("Tailflame looks at a program already.", advice="Stop or detach from it first.")
            )
            return
        self.data = LiveData()
        self.offered, self._shares = {}, {}
        self._wishes = {wish.name: wish for wish in wishes}
        self._rows = {wish.name: SourceRow(wish.name, wish.title, "waiting", level=Level.NOTE) for wish in wishes}
        self.began_s = time.monotonic()
        self._task = tasks.spawn(
            self._look(launch, attach, binary, tuple(argv)),
            name="the live run",
            on_error=self._failed,
            on_cancel=self._over,
        )
        self.begun.emit()
        self.sources_changed.emit(self.sources)

    def stop(self) -> None:
        """Ends a launched program politely, lets go of one that was attached to; what was seen is kept."""
        if self._run is not None:
            self._run.stop()

    def switch(self, name: str, on: bool) -> None:
        if self._run is None:
            return
        if on and name in self._wishes:
            self._run.switch_on(self._wishes[name])
        elif not on:
            self._run.switch_off(name)

    def add(self, wish: SourceWish) -> None:
        """Another source, while it runs; one of the same name is replaced by it."""
        self._wishes[wish.name] = wish
        if self._run is not None:
            self._rows.setdefault(wish.name, SourceRow(wish.name, wish.title, "waiting", level=Level.NOTE))
            self._run.switch_on(wish)

    def follow(self, name: str, series: str) -> None:
        """Has a source tell a series that it offers."""
        if self._run is not None and self._run.follow(name, series):
            self.offered.get(name, {}).pop(series, None)

    def read_slices(self, until_s: float) -> None:
        """Those that wait for the CPU budget, up to that time."""
        if self._run is not None:
            self._run.read_until("slices", until_s)

    def mark(self, text: str) -> None:
        if self._session is not None:
            mark = self._session.mark(text)
            self.data.add_moment(Moment(mark.time_s, text, MomentKind.NOTE))
            self._later()

    async def close(self) -> None:
        """At the end of the program: ends the look, and waits until it is kept."""
        if self._task is None:
            return
        self.stop()
        await asyncio.gather(self._task, return_exceptions=True)

    # One look

    async def _look(
        self, launch: Target | None, attach: int | None, binary: Path | None, argv: tuple[str, ...]
    ) -> None:
        library = self._controller.library
        program = launch.binary if launch is not None else binary

        def prepare(_progress: tasks.Progress) -> SessionFolder:
            return library.new_session(
                tool=TOOL,
                binary=program or "",
                args=argv[1:],
                cwd=(launch.cwd or "") if launch is not None else "",
                env=launch.env if launch is not None else None,
            )

        session = await tasks.in_thread(prepare)
        run = LiveRun(
            session.path,
            tuple(self._wishes.values()),
            launch=launch,
            attach=attach,
            binary=program,
            journal=self._controller.journal,
        )
        live = LiveSession(session, run, argv=argv, failed=self._controller.fail)
        name = program.name if program is not None else f"process {attach}"
        job = self._controller.jobs.start(f"live {name}", stop=self.stop, cancellable=False)
        job.on_cancel(self.stop)
        self._run, self._session, self._folder = run, live, session.path
        self._controller.refresh_library()
        try:
            finished = await live.run(self._take)
        except BaseException:
            job.end(JobState.FAILED)
            if not await tasks.in_thread(lambda _progress: live.leave()):
                await tasks.in_thread(lambda _progress: library.discard(session))
            raise
        self.moved.emit()
        job.end(JobState.DONE)
        self.ended.emit(finished.sentence)
        await self._keep(session, live, finished)

    async def _keep(self, session: SessionFolder, live: LiveSession, finished: LiveFinished) -> None:
        library = self._controller.library
        if not live.saw_anything:
            await tasks.in_thread(lambda _progress: library.discard(session))
            self._over()
            self._controller.refresh_library()
            self._controller.state.notify(
                Notice(
                    Level.WARNING,
                    "Nothing was seen, so nothing is kept.",
                    self._why_nothing() or "Choose other sources, or look for longer.",
                )
            )
            return

        def read(progress: tasks.Progress) -> tuple[Recording, SessionRow]:
            recording = keep(session, finished, draw=svg.write, progress=progress)
            return recording, adapt.session_row(library.session(session.id))

        job: Job = self._controller.jobs.start(f"Reading {session.id}")
        try:
            recording, row = await tasks.run_job(job, read)
        finally:
            self._over()
            self._controller.refresh_library()
        self.kept.emit(self._controller.show_recording(session.path, recording, row))

    def _why_nothing(self) -> str:
        return " ".join(row.state for row in self._rows.values() if row.level is Level.ERROR)

    # What it tells

    def _take(self, event: LiveEvent) -> None:
        match event:
            case LiveStarted():
                self.pid, self.launched = event.pid, event.launched
            case LiveContinued():
                self.began_s = self.data.origin_s = event.time_s
            case SourceChanged():
                self._source_changed(event)
            case SourceTold():
                if not self.data.take(event.update):
                    self._told(event)
                elif isinstance(event.update, Cost):
                    self._costs(event.name, event.update)
                elif isinstance(event.update, Sliced):
                    self._overhead(event.name, event.update)
            case _:
                return
        self._later()

    def _later(self) -> None:
        if not self._pace.isActive():
            self._pace.start()

    def _source_changed(self, event: SourceChanged) -> None:
        row = self._rows.get(event.name) or SourceRow(event.name, event.title, "")
        if event.error is not None:
            changed = replace(row, state=event.error.sentence, fix=event.error.advice, level=Level.ERROR, on=False)
        else:
            words, level, on = _STATES[event.state]
            changed = replace(row, state=words, level=level, on=on, fix="")
            if event.state is SourceState.ENDED and row.level is Level.WARNING:
                changed = replace(changed, state=row.state, fix=row.fix, level=Level.WARNING)
        self._show(changed)
        if event.state in (SourceState.ON, SourceState.OFF) and time.monotonic() > self.began_s + 2.0:
            words = "on" if event.state is SourceState.ON else "off"
            self.data.add_moment(Moment(time.monotonic(), f"{event.title} {words}", MomentKind.EVENT))

    def _told(self, event: SourceTold) -> None:
        row = self._rows.get(event.name)
        match event.update:
            case Said() as said if row is not None:
                self._show(replace(row, state=said.text, fix=said.fix, level=Level.WARNING))
            case Behind() as behind if row is not None:
                words = f"behind by {units.seconds(behind.seconds)}, {units.size(behind.bytes)}"
                late = behind.bytes > 0
                self._show(
                    replace(row, state=words if late else "on, caught up", level=Level.WARNING if late else Level.OK)
                )
            case Found() as found:
                self.offered[event.name] = dict(found.names)

    def _costs(self, name: str, cost: Cost) -> None:
        row = self._rows.get(name)
        if row is not None and row.level is Level.OK:
            self._shares.setdefault(name, {})[cost.series] = cost
            costs = self._shares[name].values()
            missing, whole = max(cost.lost for cost in costs), sum(cost.share for cost in costs)
            lost = f", lost {units.count(missing)}" if missing else ""
            share = units.percent(whole) if whole == whole else "an unknown share"
            self._show(replace(row, state=f"on, costs {share} of the program's time{lost}"))

    def _overhead(self, name: str, sliced: Sliced) -> None:
        row, cost = self._rows.get(name), sliced.overhead
        if row is not None and cost is not None and row.level is Level.OK:
            perf = "" if cost.perf_s is not None else ", perf itself unknown"
            share = units.percent(cost.share, digits=2)
            self._show(replace(row, state=f"on, costs {share} of a core and {units.size(cost.disk_bytes)}{perf}"))

    def _show(self, row: SourceRow) -> None:
        if self._rows.get(row.name) != row:
            self._rows[row.name] = row
            self.sources_changed.emit(self.sources)

    def _failed(self, error: TailflameError) -> None:
        self._over()
        self._controller.refresh_library()
        self.ended.emit(error.sentence)
        self._controller.fail(error)

    def _over(self) -> None:
        self._run = self._session = None
        self._task = None
        self._pace.stop()
