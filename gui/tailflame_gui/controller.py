"""Does what the user asks for, through core: opens, keeps, pins, compares, deletes. It writes the state.

Everything that reads or writes files runs in a thread; what fails becomes a failed tab or a notice, never a dialog.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Coroutine, Iterable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject, Signal

from tailflame.analyse.time_range import between
from tailflame.errors import StoreError, TailflameError, ToolFailed
from tailflame.model import Recording
from tailflame.run import Entry, Journal, Outcome
from tailflame.store import (
    Library,
    Opened,
    Settings,
    binary_key,
    load_settings,
    profiles_folder,
    update_settings,
)
from tailflame_gui import adapt, dropping, opening, tasks, theme
from tailflame_gui.dropping import Kind
from tailflame_gui.editor import find_source, open_in_editor
from tailflame_gui.rows import Level, Notice, Offer, SessionRow
from tailflame_gui.state import AppState, OpenComparison, OpenResult, Page, Stage, Tab
from tailflame_gui.tasks import Job, JobList, Latest, Progress

if TYPE_CHECKING:
    from tailflame.analyse.diff import Comparison

Side = OpenResult | SessionRow
_UNDO_S = 10.0
_CLOSED_KEPT = 20


class Controller(QObject):
    """target_chosen(binary), project_chosen(folder), bundle_chosen(file): something to record, or a bundle, was dropped
    or named.
    binary_wanted(OpenResult): a result shall become a baseline and does not tell whose.
    """

    target_chosen = Signal(object)
    project_chosen = Signal(object)
    bundle_chosen = Signal(object)
    binary_wanted = Signal(object)
    _editor_failed = Signal(str, int)

    def __init__(self, state: AppState, jobs: JobList) -> None:
        super().__init__()
        self.state = state
        self.jobs = jobs
        self.journal = Journal(self._journal_changed)
        loaded = load_settings()
        self.settings = loaded.settings
        self.library = Library(profiles_folder(self.settings))
        self._listing = Latest(self)
        self._closed: list[Path] = []
        self._deleting: dict[str, SessionRow] = {}
        state.set_profiles(self.library.root)
        state.results.current_changed.connect(self._current_changed)
        self._editor_failed.connect(self._editor_ended)
        if loaded.notice:
            self.warn(loaded.notice)

    # Telling the user

    def fail(self, error: TailflameError) -> None:
        """An error that belongs to no tab."""
        self.state.notify(
            Notice(Level.ERROR, error.sentence, error.advice, error.details or error.sentence, key=error.sentence)
        )

    def warn(self, sentence: str, advice: str = "") -> None:
        self.state.notify(Notice(Level.WARNING, sentence, advice))

    def say(self, sentence: str, *offers: Offer) -> None:
        self.state.notify(Notice(Level.OK, sentence, offers=offers, seconds=_UNDO_S))

    def spawn(self, coroutine: Coroutine[Any, Any, Any], name: str) -> None:
        """Runs a task whose failure is a notice."""
        tasks.spawn(coroutine, name=name, on_error=self.fail)

    # The library

    def refresh_library(self) -> None:
        """Reads the list of sessions anew."""
        library = self.library
        self._listing.ask(
            lambda _progress: adapt.session_rows(library.sessions()),
            self._listed,
            name="reading the library",
            on_error=self._not_listed,
        )

    def _listed(self, rows: tuple[SessionRow, ...]) -> None:
        rows = tuple(row for row in rows if row.id not in self._deleting)
        self.state.set_sessions(rows)
        by_path = {row.path: row for row in rows}
        for result in self.state.open_results:
            if result.session is not None:
                result.set_session(by_path.get(result.session.path, result.session))
        self._current_changed(self.state.results.current)

    def _not_listed(self, error: TailflameError) -> None:
        self.state.set_sessions(())
        self.fail(error)

    def set_profiles_folder(self, folder: Path, *, remember: bool = True) -> None:
        """Another folder keeps the sessions from now on; those elsewhere stay where they are."""
        before = self.library.root
        if not _can_keep(folder):
            self.fail(
                StoreError(f"Sessions cannot be kept in {folder}.", advice="Choose a folder that you may write to.")
            )
            return
        self.library = Library(folder)
        self.state.set_profiles(self.library.root)
        self.refresh_library()
        if remember:
            self.change_settings(profiles=str(self.library.root))
        if self.library.root != before:
            self.say(
                f"Sessions are kept in {self.library.root} from now on.",
                Offer("Back", partial(self.set_profiles_folder, before, remember=remember)),
            )

    def change_settings(self, **changes: object) -> None:
        """Applies and saves in the background."""
        self.remember(lambda settings: replace(settings, **changes))  # type: ignore[arg-type]

    def remember(self, change: Callable[[Settings], Settings]) -> None:
        self.settings = change(self.settings)

        async def save() -> None:
            await tasks.in_thread(lambda _progress: update_settings(change))

        self.spawn(save(), "saving the settings")

    def set_theme(self, mode: theme.Mode) -> None:
        theme.set_mode(mode)
        self.change_settings(theme=mode.value)

    # Opening

    def open_paths(self, paths: Iterable[Path]) -> None:
        """Files, session folders, a profiles folder, a program, a cargo project: each as what it is."""
        for path in paths:
            found = dropping.look_at(path)
            match found.kind:
                case Kind.PROGRAM:
                    self.choose_target(found.path)
                case Kind.PROJECT:
                    self.project_chosen.emit(found.path)
                    self.state.set_page(Page.RECORD)
                case Kind.PROFILES:
                    self.set_profiles_folder(found.path)
                    self.state.set_page(Page.LIBRARY)
                case Kind.NOTHING:
                    self.fail(dropping.nothing_in(found.path))
                case Kind.BUNDLE:
                    self.bundle_chosen.emit(found.path)
                case Kind.SESSION | Kind.RESULT:
                    self.open_file(found.path)

    def choose_target(self, binary: Path) -> None:
        """The program to record."""
        self.state.set_target(adapt.target_row(str(binary), binary_key(binary), self.state.sessions))
        self.target_chosen.emit(binary)
        self.state.set_page(Page.RECORD)

    def open_session(self, row: SessionRow) -> None:
        if row.state == "failed":
            self.fail(StoreError(f"{row.title} failed: {row.outcome}", advice="Record again."))
        else:
            self.open_file(row.path, session=row)

    def open_file(self, path: Path, *, session: SessionRow | None = None) -> OpenResult:
        """Opens a result or a session's folder in a tab, or shows the tab that has it."""
        path = path.absolute()
        for known in self.state.open_results:
            if known.path == path:
                self.state.results.show(known)
                self.state.set_page(Page.RESULTS)
                if known.stage is Stage.FAILED:
                    self._load(known)
                return known
        title = adapt.tab_title(session) if session else path.name
        tab = OpenResult(title, path=path, session=session)
        tab.again = partial(self._load, tab)
        self.state.results.add(tab)
        self._load(tab)
        return tab

    def retry(self, tab: Tab) -> None:
        if tab.again is not None:
            tab.again()

    def close_tab(self, tab: Tab) -> None:
        """Closes; what was loading is cancelled."""
        if isinstance(tab, OpenResult):
            self._closed = [*(p for p in self._closed if p != tab.path), tab.path][-_CLOSED_KEPT:]
            self.state.results.remove(tab)
        else:
            self.state.comparisons.remove(tab)

    def reopen_closed(self) -> None:
        """What was cut out of another result, or was not kept, cannot come back."""
        while self._closed:
            path = self._closed.pop()
            if path.exists() and dropping.look_at(path).kind in (Kind.SESSION, Kind.RESULT):
                self.open_file(path)
                return

    def closed_as(self, path: Path, kept: Path) -> None:
        """A tab that was closed has been kept: it is reopened from there."""
        self._closed = [*(p for p in self._closed if p not in (path, kept)), kept][-_CLOSED_KEPT:]

    def open_range(self, result: OpenResult, start_s: float, end_s: float) -> None:
        """The CPU profile of a range of time, in a tab of its own."""
        recording = result.recording
        profile = recording.profile if recording is not None else None
        if recording is None or profile is None:
            return
        zero = recording.live.began_s if recording.live is not None else 0.0
        span = f"{start_s - zero:.1f} to {end_s - zero:.1f} s"
        tab = OpenResult(f"{result.title}, {span}", path=result.path.with_name(f"{result.path.name} {span}"))

        def fill() -> None:
            job = self.jobs.start(f"Cutting {span} out of {result.title}")
            tab.loading(job)

            def cut(_progress: Progress) -> Recording:
                part = between(profile, start_s, end_s)
                if not part.total():
                    raise StoreError(f"The CPU was not recorded from {span}.", advice="Select a time at which it was.")
                meta = replace(recording.meta, duration_s=end_s - start_s, lost=None)
                return replace(recording, results=(part,), meta=meta, warnings=())

            async def run() -> None:
                tab.ready(await tasks.run_job(job, cut), title=tab.title, session=None)

            self.into_tab(tab, job, run(), "cutting a range of time")

        tab.again = fill
        self.state.results.add(tab)
        fill()

    def show_recording(self, path: Path, recording: Recording, session: SessionRow) -> OpenResult:
        """A recording that has just been read opens without being read again."""
        tab = OpenResult(adapt.tab_title(session), path=path, session=session)
        tab.ready(recording, title=tab.title, session=session)
        self.state.results.add(tab)
        return tab

    def _load(self, tab: OpenResult) -> None:
        job = self.jobs.start(f"Reading {tab.path.name}")
        tab.loading(job)
        library = self.library

        def show(recording: Recording) -> None:
            if tab.job is job and job.running and tab.stage is Stage.LOADING:
                tab.ready_early(recording)

        early = tasks.posted(show)

        def read(progress: Progress) -> Opened:
            return opening.opened(tab.path, library, progress, early=early)

        async def run() -> None:
            self._opened(tab, await tasks.run_job(job, read))

        self.into_tab(tab, job, run(), f"reading {tab.path.name}")

    def into_tab(self, tab: Tab, job: Job, coroutine: Coroutine[Any, Any, None], name: str) -> None:
        """Runs what fills a tab: a failure is shown in it, a cancel closes it."""
        home = self.state.results if isinstance(tab, OpenResult) else self.state.comparisons

        def failed(error: TailflameError) -> None:
            if tab.job is not job:
                return
            if tab.stage is Stage.READY:  # its first picture stays
                tab.settle()
                self.fail(error)
            else:
                tab.failed(error)

        def cancelled() -> None:
            if tab.job is not job:
                return
            if tab.stage is Stage.READY:
                tab.settle()
            else:
                home.remove(tab)

        tasks.spawn(coroutine, name=name, on_error=failed, on_cancel=cancelled)

    def _opened(self, tab: OpenResult, opened: Opened) -> None:
        row = adapt.session_row(opened.session) if opened.session is not None else None
        title = adapt.tab_title(row) if row is not None else opened.label
        tab.ready(opened.recording, title=title, session=row)
        if row is None:
            self.remember(lambda settings: settings.having_opened(tab.path))
        elif opened.recovered:
            self.refresh_library()
        self._current_changed(self.state.results.current)
        if opened.recording.baseline is not None and tab is self.state.results.current:
            # Whoever opens a file of two columns wants to see what changed; each side stays a click away.
            self.compare_columns(tab)

    def _current_changed(self, tab: object) -> None:
        """The header names the program of the result that is looked at."""
        if isinstance(tab, OpenResult) and tab.binary:
            key = tab.session.binary_key if tab.session and tab.session.binary_key else binary_key(tab.binary)
            self.state.set_target(adapt.target_row(tab.binary, key, self.state.sessions, of=tab.session))

    # Baselines

    def pin(self, result: OpenResult, *, binary: Path | None = None) -> None:
        """Makes a result the baseline of its binary; one that is no session yet is kept as one first."""
        if result.recording is None:
            return
        if result.refining:
            self.warn(f"{result.title} is still being refined.", "Pin it when that is done, or cancelled.")
            return
        whose = str(binary) if binary is not None else result.binary
        if not whose:
            self.binary_wanted.emit(result)
            return
        recording, session, source = result.recording, result.session, result.path

        def work(_progress: Progress) -> SessionRow:
            kept = session
            if kept is None:
                info = opening.kept(recording, self.library, source=source, binary=whose)
                kept = adapt.session_row(info)
            return self._pinned(kept, binary=whose if binary is not None else "")

        async def run() -> None:
            row = await tasks.in_thread(work)
            result.owner = whose
            if not result.grows:
                result.set_session(row)
            self._said_pinned(row)

        self.spawn(run(), "pinning the baseline")

    def pin_session(self, row: SessionRow) -> None:
        async def run() -> None:
            if row.state != "complete":
                # A baseline has to be read first: an interrupted session is finished on the way.
                job = self.jobs.start(f"Reading {row.title}")
                await tasks.run_job(job, lambda progress: self.read_session(row, progress))
            self._said_pinned(await tasks.in_thread(lambda _progress: self._pinned(row)))

        self.spawn(run(), "pinning the baseline")

    def _pinned(self, row: SessionRow, *, binary: str = "") -> SessionRow:
        """In a thread."""
        library = self.library if row.path.parent == self.library.root else Library(row.path.parent)
        return adapt.session_row(library.set_baseline(row.id, binary=binary))

    def _said_pinned(self, row: SessionRow) -> None:
        self.say(f"{row.title} is the baseline of {row.binary_name} now.", Offer("Unpin", partial(self.unpin, row)))
        self.refresh_library()

    def unpin(self, row: SessionRow) -> None:
        async def run() -> None:
            await tasks.in_thread(lambda _progress: self.library.clear_baseline(row.binary))
            self.say(f"{row.binary_name} has no baseline now.", Offer("Pin again", partial(self.pin_session, row)))
            self.refresh_library()

        self.spawn(run(), "unpinning the baseline")

    # Comparing

    def compare(self, before: Side, after: Side) -> None:
        tab = OpenComparison(_title(before), _title(after))
        tab.commits = (_commit(before), _commit(after))
        tab.again = partial(self._compare, tab, before, after)
        self.state.comparisons.add(tab)
        tab.again()

    def baseline_of(self, side: Side) -> SessionRow | None:
        """The baseline of a result's binary."""
        key = side.binary_key if isinstance(side, SessionRow) else _key_of(side)
        wanted = (True, key, side.measures)
        rows = self.state.sessions
        return next((row for row in rows if key and (row.baseline, row.binary_key, row.measures) == wanted), None)

    def compare_with_baseline(self, after: Side) -> None:
        """The baseline of its binary against it."""
        baseline = self.baseline_of(after)
        if baseline is None:
            name = after.binary_name if isinstance(after, SessionRow) else Path(after.binary).name
            self.state.notify(
                Notice(
                    Level.NOTE,
                    f"{name or 'This result'} has no baseline yet.",
                    "Pin a result as the baseline, or choose any two results on the compare page.",
                    offers=(Offer("Choose two", lambda: self.state.set_page(Page.COMPARE)),),
                    key="no baseline",
                )
            )
            return
        opened = next((r for r in self.state.open_results if r.session and r.session.id == baseline.id), None)
        self.compare(opened if opened and opened.recording else baseline, after)

    def _compare(self, tab: OpenComparison, before: Side, after: Side) -> None:
        job = self.jobs.start(f"Comparing {tab.before_title} with {tab.after_title}")
        tab.loading(job)

        def work(progress: Progress) -> tuple[Recording, Recording, Comparison | None]:
            # Reading is what takes long: a quarter for each side is left for the comparison itself.
            one = self._recording_of(before, lambda share: progress(0.4 * share))
            other = self._recording_of(after, lambda share: progress(0.4 + 0.4 * share))
            if not (one.profile and other.profile) and opening.comparable(one, other):
                return one, other, None
            return one, other, opening.compared_sides(one, other, (tab.before_title, tab.after_title))

        async def run() -> None:
            one, other, made = await tasks.run_job(job, work)
            tab.ready(one, other, made)

        self.into_tab(tab, job, run(), "comparing")

    def compare_columns(self, result: OpenResult) -> None:
        """The two sides that one file holds."""
        recording = result.recording
        baseline, profile = (recording.baseline, recording.profile) if recording else (None, None)
        if recording is None or baseline is None or profile is None:
            return
        first = replace(recording, results=(baseline,), baseline=None)
        tab = OpenComparison(f"{result.title}, first", f"{result.title}, second")

        def fill() -> None:
            job = self.jobs.start(f"Comparing both sides of {result.title}")
            tab.loading(job)

            async def run() -> None:
                made = await tasks.run_job(job, lambda _progress: opening.compared(baseline, profile))
                tab.ready(first, recording, made)

            self.into_tab(tab, job, run(), "comparing")

        tab.again = fill
        self.state.comparisons.add(tab)
        fill()

    def _recording_of(self, side: Side, progress: Progress) -> Recording:
        """In a thread."""
        if isinstance(side, OpenResult):
            if side.recording is None or side.refining:
                raise StoreError(f"{side.title} is not read yet.", advice="Wait for it, then try again.")
            progress(1.0)
            return side.recording
        return self.read_session(side, progress)

    def read_session(self, row: SessionRow, progress: Progress) -> Recording:
        """In a thread."""
        recording = opening.opened(row.path, self.library, progress).recording
        progress(1.0)
        return recording

    # Sources

    def open_source(self, result: OpenResult | None, file: str, line: int) -> None:
        """Opens a source line in the user's editor."""
        bases = self.source_bases(result)
        settings = self.settings

        async def run() -> None:
            path = await tasks.in_thread(lambda _progress: find_source(file, bases, settings.source_map))
            open_in_editor(path, line, settings=settings, journal=self.journal, failed=self._editor_failed.emit)

        self.spawn(run(), f"opening {file}")

    def _editor_ended(self, name: str, code: int) -> None:
        outcome = Outcome.of(name, code, 0.0)
        how = f"signal {outcome.signal}" if outcome.signal is not None else f"exit code {outcome.code}"
        self.fail(
            ToolFailed(
                f"The editor {name} ended at once with {how}.",
                advice="Check the editor command in the settings; it may need a window of its own.",
            )
        )

    def source_bases(self, result: OpenResult | None) -> tuple[Path, ...]:
        """Where relative names of sources may start: the project's root, the binary's folder and those above."""
        if result is None:
            return ()
        bases = [result.path.parent]
        if result.session is not None and result.session.project:
            bases.insert(0, Path(result.session.project))
        if result.binary:
            bases += Path(result.binary).parents
        return tuple(bases)

    # Deleting

    def delete_sessions(self, rows: tuple[SessionRow, ...]) -> None:
        """Takes sessions out of the list; their folders go when the offer to undo it has passed."""
        ids = {row.id for row in rows}
        self._deleting |= {row.id: row for row in rows}
        self.state.set_sessions(tuple(row for row in self.state.sessions if row.id not in ids))
        what = f"“{rows[0].title}”" if len(rows) == 1 else f"{len(rows)} sessions"
        self.state.notify(
            Notice(
                Level.NOTE,
                f"{what} will be deleted.",
                offers=(Offer("Undo", partial(self._keep, rows)),),
                on_dismiss=partial(self._delete_now, rows),
                seconds=_UNDO_S,
            )
        )

    def _keep(self, rows: tuple[SessionRow, ...]) -> None:
        for row in rows:
            self._deleting.pop(row.id, None)
        self.refresh_library()

    def _delete_now(self, rows: tuple[SessionRow, ...]) -> None:
        going = tuple(row for row in rows if row.id in self._deleting)
        open_paths = {row.path for row in going}
        for result in self.state.open_results:
            if result.path in open_paths:
                self.state.results.remove(result)

        async def run() -> None:
            try:
                for row in going:
                    await tasks.in_thread(partial(self._delete, row))
            finally:
                for row in going:
                    self._deleting.pop(row.id, None)
                self.refresh_library()

        self.spawn(run(), "deleting sessions")

    def _delete(self, row: SessionRow, _progress: Progress) -> None:
        """In a thread."""
        self._library_of(row).delete(row.id)

    async def close(self, *, window: Mapping[str, object]) -> None:
        """Before the window goes: deletions that could be undone until now are done, its place is remembered."""
        for row in tuple(self._deleting.values()):
            await tasks.in_thread(partial(self._delete, row))
        self._deleting.clear()
        if dict(self.settings.window) != dict(window):
            await tasks.in_thread(lambda _progress: update_settings(lambda settings: replace(settings, window=window)))

    def _library_of(self, row: SessionRow) -> Library:
        return self.library if row.path.parent == self.library.root else Library(row.path.parent)

    # The journal

    def _journal_changed(self, _entry: Entry) -> None:
        self.state.set_runs(tuple(adapt.run_row(entry) for entry in self.journal.entries))


def _can_keep(folder: Path) -> bool:
    """Whether sessions may be written to `folder`, or to a folder of this name that is yet to be made."""
    place = folder
    while not place.exists() and place != place.parent:
        place = place.parent
    return place.is_dir() and os.access(place, os.W_OK | os.X_OK)


def _title(side: Side) -> str:
    return adapt.tab_title(side) if isinstance(side, SessionRow) else side.title


def _commit(side: Side) -> str:
    row = side if isinstance(side, SessionRow) else side.session
    return row.commit if row else ""


def _key_of(result: OpenResult) -> str:
    if result.session is not None and result.session.binary_key:
        return result.session.binary_key
    return binary_key(result.binary) if result.binary else ""
