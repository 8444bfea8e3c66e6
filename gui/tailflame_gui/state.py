"""What the window knows: open results and comparisons, the library, the target, the page. One signal for each.

Setting what already holds does nothing, so everyone may write freely. Views read it; the controller writes it.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from PySide6.QtCore import QObject, Signal

from tailflame.errors import TailflameError
from tailflame.model import Recording
from tailflame.store.measures import Measures, measures_of
from tailflame_gui.rows import FindingRow, Notice, RunRow, SessionRow, TargetRow
from tailflame_gui.selection import Selection
from tailflame_gui.tasks import Job

if TYPE_CHECKING:
    from tailflame.analyse.diff import Comparison

_keys = count(1)


class Page(StrEnum):
    """The places the rail leads to, in its order."""

    START = "Start"
    RECORD = "Record"
    LIVE = "Live"
    RESULTS = "Results"
    COMPARE = "Compare"
    LOOP = "Loop"
    LIBRARY = "Library"
    CONSOLE = "Console"
    TOOLS = "Tools"
    RECIPES = "Probes"
    """Not in the rail: the Live and the Tools page lead there."""


class Stage(StrEnum):
    LOADING = "loading"
    READY = "ready"
    FAILED = "failed"


class Tab(QObject):
    """One tab. changed: title, stage, marks or content are others."""

    changed = Signal()

    def __init__(self, title: str, *, tip: str = "") -> None:
        super().__init__()
        self.key = next(_keys)
        self.title = title
        self.tip = tip
        self.stage = Stage.LOADING
        self.failure: TailflameError | None = None
        self.job: Job | None = None
        self.again: Callable[[], None] | None = None
        """Fills the tab once more, after a failure."""
        self.selection = Selection(self)

    def loading(self, job: Job) -> None:
        self.stage, self.job, self.failure = Stage.LOADING, job, None
        self.changed.emit()

    def failed(self, error: TailflameError) -> None:
        self.stage, self.job, self.failure = Stage.FAILED, None, error
        self.changed.emit()

    def settle(self) -> None:
        """Shows what there is: nothing more is coming."""
        self.stage, self.job, self.failure = Stage.READY, None, None
        self.changed.emit()


class OpenResult(Tab):
    """A result in a tab: a file, or a session of a profiles folder."""

    def __init__(self, title: str, *, path: Path, session: SessionRow | None = None) -> None:
        super().__init__(title, tip=str(path))
        self.path = path
        self.session = session
        self.recording: Recording | None = None
        self.grows = False
        """Whether more comes to it: what is kept of it is what there is now."""
        self.owner = ""
        """The binary that the user has named as the one it is of."""

    @property
    def binary(self) -> str:
        """Whose result it is, "" where that is not known."""
        if self.session is not None and self.session.binary:
            return self.session.binary
        if self.owner:
            return self.owner
        command = self.recording.meta.command if self.recording else ()
        return command[0] if command and Path(command[0]).is_absolute() else ""

    @property
    def baseline(self) -> bool:
        return self.session is not None and self.session.baseline

    @property
    def measures(self) -> str:
        """What it is compared by: "time", "latency", "memory", ... (store.measures)."""
        if self.session is not None:
            return self.session.measures
        return measures_of(self.recording).value if self.recording is not None else Measures.TIME.value

    def ready(self, recording: Recording, *, title: str, session: SessionRow | None) -> None:
        self.recording, self.title, self.session = recording, title, session
        self.settle()

    def ready_early(self, recording: Recording) -> None:
        """A first picture: the job that reads it goes on, to refine it."""
        self.recording, self.stage = recording, Stage.READY
        self.changed.emit()

    @property
    def refining(self) -> bool:
        """Whether what is shown is a first picture."""
        return self.stage is Stage.READY and self.job is not None

    def set_session(self, session: SessionRow | None) -> None:
        if session != self.session:
            self.session = session
            self.changed.emit()


class OpenComparison(Tab):
    """Two recordings compared in a tab."""

    def __init__(self, before: str, after: str) -> None:
        super().__init__(f"{before} → {after}", tip=f"{before} compared with {after}")
        self.before_title = before
        self.after_title = after
        self.before: Recording | None = None
        self.after: Recording | None = None
        self.comparison: Comparison | None = None
        self.commits = ("", "")

    def ready(self, before: Recording, after: Recording, comparison: Comparison | None) -> None:
        """`comparison` is None where not both hold stacks: they are compared by their latencies then."""
        self.before, self.after, self.comparison = before, after, comparison
        self.settle()


TabT = TypeVar("TabT", bound=Tab)


class Tabs(QObject):
    """An ordered set of tabs with one current. added(tab), removed(tab), current_changed(tab or None)."""

    added = Signal(object)
    removed = Signal(object)
    current_changed = Signal(object)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._tabs: list[Tab] = []
        self._current: Tab | None = None

    @property
    def all(self) -> tuple[Tab, ...]:
        return tuple(self._tabs)

    @property
    def current(self) -> Tab | None:
        return self._current

    def add(self, tab: Tab) -> None:
        """Behind the others, and current."""
        self._tabs.append(tab)
        self.added.emit(tab)
        self.show(tab)

    def show(self, tab: Tab | None) -> None:
        if tab is not self._current and (tab is None or tab in self._tabs):
            self._current = tab
            self.current_changed.emit(tab)

    def step(self, by: int) -> None:
        """To the next or the previous tab, round the end."""
        if self._current is not None:
            at = self._tabs.index(self._current)
            self.show(self._tabs[(at + by) % len(self._tabs)])

    def move(self, tab: Tab, to: int) -> None:
        """The user has dragged a tab."""
        self._tabs.remove(tab)
        self._tabs.insert(to, tab)

    def remove(self, tab: Tab) -> None:
        if tab not in self._tabs:
            return
        at = self._tabs.index(tab)
        self._tabs.remove(tab)
        if tab is self._current:
            self.show(self._tabs[min(at, len(self._tabs) - 1)] if self._tabs else None)
        if tab.job is not None:
            tab.job.cancel()
        self.removed.emit(tab)


class AppState(QObject):
    """The window's state. Every property has a signal that speaks when it becomes another one."""

    page_changed = Signal(object)
    sessions_changed = Signal()
    target_changed = Signal()
    findings_changed = Signal()
    runs_changed = Signal()
    recording_changed = Signal(bool)
    profiles_changed = Signal()
    noticed = Signal(object)
    """A Notice for the user."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.results = Tabs(self)
        self.comparisons = Tabs(self)
        self._page = Page.START
        self._sessions: tuple[SessionRow, ...] = ()
        self._sessions_known = False
        self._target: TargetRow | None = None
        self._findings: tuple[FindingRow, ...] | None = None
        self._runs: tuple[RunRow, ...] = ()
        self._recording = False
        self._profiles = Path()

    @property
    def page(self) -> Page:
        return self._page

    def set_page(self, page: Page) -> None:
        if page is not self._page:
            self._page = page
            self.page_changed.emit(page)

    @property
    def result(self) -> OpenResult | None:
        """The current result."""
        current = self.results.current
        return current if isinstance(current, OpenResult) else None

    @property
    def comparison(self) -> OpenComparison | None:
        current = self.comparisons.current
        return current if isinstance(current, OpenComparison) else None

    @property
    def open_results(self) -> tuple[OpenResult, ...]:
        return tuple(tab for tab in self.results.all if isinstance(tab, OpenResult))

    @property
    def sessions(self) -> tuple[SessionRow, ...]:
        """The library, newest first."""
        return self._sessions

    @property
    def sessions_known(self) -> bool:
        """False until the library has been read once."""
        return self._sessions_known

    def set_sessions(self, sessions: tuple[SessionRow, ...]) -> None:
        if sessions != self._sessions or not self._sessions_known:
            self._sessions, self._sessions_known = sessions, True
            self.sessions_changed.emit()

    @property
    def target(self) -> TargetRow | None:
        return self._target

    def set_target(self, target: TargetRow | None) -> None:
        if target != self._target:
            self._target = target
            self.target_changed.emit()

    @property
    def findings(self) -> tuple[FindingRow, ...] | None:
        """What this machine lets a profiler do; None until it has been probed."""
        return self._findings

    def set_findings(self, findings: tuple[FindingRow, ...]) -> None:
        if findings != self._findings:
            self._findings = findings
            self.findings_changed.emit()

    @property
    def runs(self) -> tuple[RunRow, ...]:
        """What was run in this window, oldest first."""
        return self._runs

    def set_runs(self, runs: tuple[RunRow, ...]) -> None:
        if runs != self._runs:
            self._runs = runs
            self.runs_changed.emit()

    @property
    def recording(self) -> bool:
        return self._recording

    def set_recording(self, recording: bool) -> None:
        if recording != self._recording:
            self._recording = recording
            self.recording_changed.emit(recording)

    @property
    def profiles(self) -> Path:
        """The profiles folder."""
        return self._profiles

    def set_profiles(self, folder: Path) -> None:
        if folder != self._profiles:
            self._profiles = folder
            self.profiles_changed.emit()

    def notify(self, notice: Notice) -> None:
        self.noticed.emit(notice)
