"""A folder that profiles are written into, as a result that grows: one strip of slices in one tab."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject, QTimer

from tailflame.errors import StoreError, TailflameError
from tailflame.model import Caution, Meta, Recording
from tailflame_gui import adapt, tasks
from tailflame_gui.controller import Controller
from tailflame_gui.rows import Level, Notice, Offer, SessionRow
from tailflame_gui.state import OpenResult, Page
from tailflame_gui.tasks import Job, JobState

if TYPE_CHECKING:
    from tailflame.analyse.snapshots import Mode, Snapshot, SnapshotSlices
    from tailflame.live.watched_folder import WatchedFolder

_SHOW_MS = 500
"""Many files at once are shown together."""
_NOTES = 4


class FolderWatch(QObject):
    """Watches until its tab is closed; what came is then kept as a session, as the command line does.

    The switch between cumulative and each by itself is offered as a notice when it was guessed, and stands in the
    palette.
    """

    def __init__(self, controller: Controller, folder: Path, *, parent: QObject | None = None) -> None:
        super().__init__(parent)
        from tailflame.analyse.snapshots import Mode, SnapshotSlices
        from tailflame.live.watched_folder import WatchedFolder

        self._controller = controller
        self.folder = folder
        self.tab = OpenResult(f"{folder.name}, watched", path=folder)
        self.mode: Mode = Mode.AUTO
        self.source: WatchedFolder = WatchedFolder(folder)
        self._slicer: SnapshotSlices = SnapshotSlices()
        self._snapshots: list[Snapshot] = []
        self._said: list[Caution] = []
        self._cumulative: bool | None = None
        self._job: Job | None = None
        self._task: asyncio.Task[Any] | None = None
        self._making = tasks.Latest(self)
        self._pace = QTimer(self)
        self._pace.setSingleShot(True)
        self._pace.setInterval(_SHOW_MS)
        self._pace.timeout.connect(self._show)
        controller.state.results.removed.connect(self._removed)

    def start(self) -> None:
        """Opens the tab; it is filled when the first profile has come."""
        state = self._controller.state
        self._job = self._controller.jobs.start(f"Watching {self.folder}", stop=self.stop, cancellable=False)
        self._job.on_cancel(self.stop)
        words = f"{self.folder.name} is watched: each profile that is written there is a slice."
        state.notify(Notice(Level.NOTE, words))
        self.tab.grows = True
        self._task = tasks.spawn(self._watch(), name="watching a folder", on_error=self._failed, on_cancel=self._over)

    @property
    def running(self) -> bool:
        return self._task is not None and not self._task.done()

    def stop(self) -> None:
        """What came stays shown, and is kept."""
        self.source.finish()

    async def close(self) -> None:
        """At the end of the program: until it is kept."""
        self.stop()
        if self._task is not None:
            await asyncio.gather(self._task, return_exceptions=True)

    def set_mode(self, mode: Mode) -> None:
        """Whether each file counts from the program's start."""
        if mode is not self.mode:
            self.mode = mode
            self._show()

    async def _watch(self) -> None:
        from tailflame.live.watched_folder import Arrived
        from tailflame.model.live import Said

        try:
            async with aclosing(self.source.updates()) as updates:
                async for update in updates:
                    match update:
                        case Arrived(snapshot=snapshot, replaces=replaced):
                            self._snapshots = [one for one in self._snapshots if one is not replaced] + [snapshot]
                            self._later()
                        case Said() as said:
                            self._said = [*self._said, Caution(said.text, said.fix)][-_NOTES:]
                            self._later() if self._snapshots else self._controller.warn(said.text, said.fix)
        except StoreError as gone:
            self._controller.fail(gone)  # what came until then is kept
        self._pace.stop()
        self._making.drop()
        if self._snapshots:
            await self._keep()
        self._over()

    async def _keep(self) -> None:
        """As a session, as `tailflame watch --folder` does; a tab that is still there shows that one."""
        snapshots, said = tuple(self._snapshots), tuple(self._said)
        library, tab, slicer, mode = self._controller.library, self.tab, self._slicer, self.mode

        def keep(_progress: tasks.Progress) -> tuple[Recording, SessionRow]:
            from tailflame.report import svg
            from tailflame.run.continuous_session import keep_snapshots
            from tailflame.store.slice_store import SlicesHead

            found = slicer.of(snapshots, mode)
            session = library.new_session(tool="snapshots", binary=tab.binary, title=self.folder.name)
            head = SlicesHead(epoch_s=0.0, program=self.folder.name, cumulative=found.cumulative)
            try:
                kept = keep_snapshots(
                    session, list(found.slices), head=head, folder=self.folder, outcome=found.sentence, draw=svg.write,
                    cautions=(Caution(found.sentence), *said),
                )  # fmt: skip
            except BaseException:
                library.discard(session)
                raise
            return kept, adapt.session_row(library.session(session.id))

        recording, row = await tasks.in_thread(keep)
        self._controller.refresh_library()
        tab.grows = False
        if tab in self._controller.state.results.all:
            tab.path, tab.tip = row.path, str(row.path)
            tab.ready(recording, title=adapt.tab_title(row), session=row)
        else:
            self._controller.closed_as(self.folder, row.path)
        self._controller.say(f"What came into {self.folder.name} is kept as a session.")

    def _later(self) -> None:
        if not self._pace.isActive():
            self._pace.start()

    def _show(self) -> None:
        snapshots, mode = tuple(self._snapshots), self.mode
        if not snapshots:
            return
        said, slicer, folder = tuple(self._said), self._slicer, self.folder

        def make(_progress: tasks.Progress) -> tuple[Recording, bool, str]:
            from tailflame.analyse.slices import figures
            from tailflame.model.slices import SliceSeries
            from tailflame.run.continuous_session import recording_of

            found = slicer.of(snapshots, mode)
            series = SliceSeries(tuple(figures(part) for part in found.slices), cumulative=found.cumulative)
            recording = recording_of(list(found.slices), series, Meta(title=folder.name), tool="snapshots")
            recording = replace(recording, source=str(folder))
            return recording.with_warnings(Caution(found.sentence), *said), found.cumulative, found.sentence

        self._making.ask(make, self._made, name="laying out slices", on_error=self._controller.fail)

    def _made(self, made: tuple[Recording, bool, str]) -> None:
        recording, cumulative, sentence = made
        state = self._controller.state
        first = self.tab.recording is None
        self.tab.ready(recording, title=self.tab.title, session=None)
        if first:
            state.results.add(self.tab)
            state.set_page(Page.RESULTS)
        if cumulative != self._cumulative and (cumulative or self._cumulative is not None):
            self._offer_other(cumulative, sentence)
        self._cumulative = cumulative

    def _offer_other(self, cumulative: bool, sentence: str) -> None:
        from tailflame.analyse.snapshots import Mode

        words, other = ("Show each by itself", Mode.EACH) if cumulative else ("They are cumulative", Mode.CUMULATIVE)
        self._controller.state.notify(
            Notice(
                Level.NOTE,
                f"{self.folder.name}: {sentence}",
                offers=(Offer(words, lambda: self.set_mode(other)),),
                key=f"snapshots {self.folder}",
            )
        )

    def _removed(self, tab: object) -> None:
        if tab is self.tab:
            self.stop()

    def _failed(self, error: TailflameError) -> None:
        self._over(JobState.FAILED)
        self._controller.fail(error)

    def _over(self, state: JobState = JobState.DONE) -> None:
        self.tab.grows = False
        if self._job is not None:
            self._job.end(state)
            self._job = None


class FolderWatches:
    """The folders that are watched in this window."""

    def __init__(self, controller: Controller) -> None:
        self._controller = controller
        self.all: list[FolderWatch] = []

    def watch(self, folder: Path) -> FolderWatch:
        """One that is watched already is shown."""
        folder = folder.absolute()
        results = self._controller.state.results
        for known in self.all:
            if known.folder == folder and known.running and known.tab in results.all:
                results.show(known.tab)
                self._controller.state.set_page(Page.RESULTS)
                return known
        made = FolderWatch(self._controller, folder)
        self.all = [one for one in self.all if one.running] + [made]
        made.start()
        return made

    def switch(self) -> None:
        """The watched folder in sight: from cumulative to each by itself, and back."""
        from tailflame.analyse.snapshots import Mode

        current = self._controller.state.result
        for one in self.all:
            if (
                one.running
                and one.tab is current
                and one.tab.recording is not None
                and one.tab.recording.slices is not None
            ):
                one.set_mode(Mode.EACH if one.tab.recording.slices.cumulative else Mode.CUMULATIVE)
                return
        self._controller.state.notify(
            Notice(Level.NOTE, "The result in sight is no watched folder.", "Watch a folder first.", key="no folder")
        )

    async def close(self) -> None:
        """At the end of the program: what came is kept."""
        for one in self.all:
            await one.close()
