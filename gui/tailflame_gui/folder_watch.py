"""A folder that profiles are written into, as a result that grows: one strip of slices in one tab."""

from __future__ import annotations

from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, QTimer

from tailflame.errors import StoreError
from tailflame.model import Caution, Meta, Recording
from tailflame_gui import tasks
from tailflame_gui.controller import Controller
from tailflame_gui.rows import Level, Notice, Offer
from tailflame_gui.state import OpenResult, Page
from tailflame_gui.tasks import Job, JobState

if TYPE_CHECKING:
    from tailflame.analyse.snapshots import Mode, Snapshot, SnapshotSlices
    from tailflame.live.watched_folder import WatchedFolder

_SHOW_MS = 500
"""Many files at once are shown together."""
_NOTES = 4


class FolderWatch(QObject):
    """Watches until its tab is closed. The switch between cumulative and each by itself is offered as a notice when it
    was guessed, and stands in the palette."""

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
        tasks.spawn(self._watch(), name="watching a folder", on_error=self._failed, on_cancel=self._over)

    def stop(self) -> None:
        """What came stays shown."""
        self.source.finish()

    def set_mode(self, mode: Mode) -> None:
        """Whether each file counts from the program's start."""
        if mode is not self.mode:
            self.mode = mode
            self._show()

    async def _watch(self) -> None:
        from tailflame.live.watched_folder import Arrived
        from tailflame.model.live import Said

        async with aclosing(self.source.updates()) as updates:
            async for update in updates:
                match update:
                    case Arrived(snapshot=snapshot, replaces=replaced):
                        self._snapshots = [one for one in self._snapshots if one is not replaced] + [snapshot]
                        self._later()
                    case Said() as said:
                        self._said = [*self._said, Caution(said.text, said.fix)][-_NOTES:]
                        self._later() if self._snapshots else self._controller.warn(said.text, said.fix)
        self._over()

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

    def _failed(self, error: Exception) -> None:
        self._over(JobState.FAILED)
        if isinstance(error, StoreError):
            self._controller.fail(error)

    def _over(self, state: JobState = JobState.DONE) -> None:
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
            if known.folder == folder and known.tab in results.all:
                results.show(known.tab)
                self._controller.state.set_page(Page.RESULTS)
                return known
        made = FolderWatch(self._controller, folder)
        self.all = [one for one in self.all if one.tab in results.all or one.tab.recording is None] + [made]
        made.start()
        return made

    def switch(self) -> None:
        """The watched folder in sight: from cumulative to each by itself, and back."""
        from tailflame.analyse.snapshots import Mode

        current = self._controller.state.result
        for one in self.all:
            if one.tab is current and one.tab.recording is not None and one.tab.recording.slices is not None:
                one.set_mode(Mode.EACH if one.tab.recording.slices.cumulative else Mode.CUMULATIVE)
                return
        self._controller.state.notify(
            Notice(Level.NOTE, "The result in sight is no watched folder.", "Watch a folder first.", key="no folder")
        )

    def close(self) -> None:
        for one in self.all:
            one.stop()
