"""The frame: rail, header line, notices, pages, bottom line. It shows the state and says what the user asks for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from PySide6.QtCore import QRect, QSize, Qt, Signal
from PySide6.QtGui import (
    QAction,
    QCloseEvent,
    QDragEnterEvent,
    QDragLeaveEvent,
    QDragMoveEvent,
    QDropEvent,
    QGuiApplication,
    QKeySequence,
    QResizeEvent,
)
from PySide6.QtWidgets import QLineEdit, QMainWindow, QMenu, QPlainTextEdit, QStackedWidget, QTextEdit, QWidget

from tailflame.model import Recording
from tailflame_gui import warm
from tailflame_gui.actions import EXPORTED, Actions
from tailflame_gui.dialogs.keys import KeysDialog
from tailflame_gui.models.session_table import moment
from tailflame_gui.rows import DropRow, SessionRow
from tailflame_gui.state import AppState, Page, Stage, Tab, Tabs
from tailflame_gui.tasks import JobList
from tailflame_gui.views.compare_page import ComparePicker, choices_of
from tailflame_gui.views.console_page import ConsolePage
from tailflame_gui.views.header import Header
from tailflame_gui.views.job_bar import JobBar
from tailflame_gui.views.library_page import LibraryPage
from tailflame_gui.views.rail import Rail
from tailflame_gui.views.start_page import StartPage
from tailflame_gui.views.tab_area import TabArea
from tailflame_gui.views.view_keys import key_entries, key_lines
from tailflame_gui.widgets.drop_overlay import DropOverlay
from tailflame_gui.widgets.empty_state import EmptyState
from tailflame_gui.widgets.late_place import LatePlace
from tailflame_gui.widgets.notices import NoticeArea
from tailflame_gui.widgets.palette import Entry, Palette
from tailflame_gui.widgets.parts import ActionButton, button, column, row

Inspect = Callable[[tuple[Path, ...]], tuple[DropRow, ...]]
_RAIL = {
    Page.START: "start",
    Page.RECORD: "record_page",
    Page.LIVE: "live",
    Page.RESULTS: "results",
    Page.COMPARE: "compare",
    Page.LOOP: "loop",
    Page.LIBRARY: "library",
    Page.CONSOLE: "console",
    Page.TOOLS: "tools",
}
_SETTINGS = (
    "theme_system",
    "theme_light",
    "theme_dark",
    "",
    "editor",
    "source_map",
    "debuginfod",
    "profiles",
    "",
    "demo",
    "record_demo",
    "",
    "quit",
)
_SESSIONS_IN_PALETTE = 200
_MOST = QSize(16384, 16384)


class MainWindow(QMainWindow):
    """opened(SessionRow), dropped(paths), compared(before, after), tab_closed(Tab), tab_retried(Tab).

    `make_live`, `make_loop` and `make_recipes` build their pages when these are first looked at, `make_result` and
    `make_comparison` the view of a tab that is ready; `inspect` says what a drop would do.
    """

    opened = Signal(object)
    dropped = Signal(object)
    compared = Signal(object, object)
    tab_closed = Signal(object)
    tab_retried = Signal(object)

    def __init__(
        self,
        state: AppState,
        jobs: JobList,
        actions: Actions,
        *,
        record_page: QWidget,
        tools_page: QWidget,
        make_live: Callable[[], QWidget],
        make_recipes: Callable[[], QWidget],
        make_loop: Callable[[], QWidget],
        make_result: Callable[[Tab], QWidget],
        make_comparison: Callable[[Tab], QWidget],
        inspect: Inspect,
    ) -> None:
        super().__init__()
        self._state = state
        self._jobs = jobs
        self._actions = actions
        self._inspect = inspect
        self._ask_before_close: Callable[[], bool] | None = None
        self.setMinimumSize(960, 600)
        self.resize(1280, 800)
        self.setAcceptDrops(True)

        self.start_page = StartPage(actions)
        self.record_page = record_page
        self._make_live = make_live
        self._live: QWidget | None = None
        self._live_place = LatePlace("live", needs=warm.LIVE, parent=self)
        self._live_place.turn.connect(lambda _number: self.live_page)
        self._make_recipes = make_recipes
        self._recipes: QWidget | None = None
        self._make_loop = make_loop
        self._loop: QWidget | None = None
        self._loop_place = LatePlace("the loop", needs=warm.LOOP, parent=self)
        self._loop_place.turn.connect(lambda _number: self.loop_page)
        self._recipes_place = LatePlace("probes", needs=warm.RECIPES, parent=self)
        self._recipes_place.turn.connect(lambda _number: self.recipes_page)
        self.library_page = LibraryPage(actions)
        self.console_page = ConsolePage()
        self.picker = ComparePicker()
        self.results = TabArea(state.results, make_result, self._no_result())
        self._pick = button("Compare others…", self._pick_again, rank="quiet", icon="plus")
        self.comparisons = TabArea(state.comparisons, make_comparison, self.picker, corner=self._pick)
        self._pages: dict[Page, QWidget] = {
            Page.START: self.start_page,
            Page.RECORD: record_page,
            Page.LIVE: self._live_place,
            Page.RESULTS: self.results,
            Page.COMPARE: self.comparisons,
            Page.LIBRARY: self.library_page,
            Page.CONSOLE: self.console_page,
            Page.TOOLS: tools_page,
            Page.RECIPES: self._recipes_place,
            Page.LOOP: self._loop_place,
        }
        self._stack = QStackedWidget()
        for page in self._pages.values():
            self._stack.addWidget(page)
            leave_drops(page)
        pages = {page: actions[name] for page, name in _RAIL.items()}
        self.rail = Rail(pages, (actions["settings"], actions["keys"]))
        self.header = Header(actions)
        self.notices = NoticeArea()
        self.job_bar = JobBar(jobs)
        self._build()
        self.overlay = DropOverlay(self)
        self.palette_box = Palette(self)
        self.addActions(actions.all())
        self._connect()
        self._show_page(state.page)
        self._results_changed()
        self._sessions_changed()
        self._update_actions()

    # Building

    def _no_result(self) -> EmptyState:
        return EmptyState(
            "flame",
            "No result is open",
            "A result shows where the time goes: a flame graph, the hottest functions, who calls them.",
            (
                ActionButton(self._actions["record_page"], rank="primary"),
                ActionButton(self._actions["open"]),
                ActionButton(self._actions["demo"]),
            ),
        )

    def _build(self) -> None:
        view = column(spacing=0)
        view.addWidget(self.notices)
        view.addWidget(self._stack, 1)
        middle = row(spacing=0)
        middle.addWidget(self.rail)
        middle.addLayout(view, 1)
        whole = column(spacing=0)
        whole.addWidget(self.header)
        whole.addLayout(middle, 1)
        whole.addWidget(self.job_bar)
        central = QWidget()
        central.setLayout(whole)
        self.setCentralWidget(central)

    def _connect(self) -> None:
        state, actions = self._state, self._actions
        state.page_changed.connect(self._show_page)
        state.sessions_changed.connect(self._sessions_changed)
        state.target_changed.connect(self._target_changed)
        state.findings_changed.connect(self._findings_changed)
        state.runs_changed.connect(self._runs_changed)
        state.profiles_changed.connect(self._profiles_changed)
        state.noticed.connect(self.notices.show_notice)
        state.recording_changed.connect(self.header.show_recording)
        state.recording_changed.connect(self._update_actions)
        for tabs in (state.results, state.comparisons):
            tabs.added.connect(self._tab_added)
            tabs.removed.connect(self._results_changed)
            tabs.current_changed.connect(self._update_actions)
        for page, name in _RAIL.items():
            actions[name].triggered.connect(lambda _=False, page=page: state.set_page(page))
        actions["recipes"].triggered.connect(lambda: state.set_page(Page.RECIPES))
        actions["palette"].triggered.connect(self.open_palette)
        actions["settings"].triggered.connect(self.open_settings)
        actions["keys"].triggered.connect(self.show_keys)
        actions["close_tab"].triggered.connect(self._close_current)
        actions["next_tab"].triggered.connect(lambda: self._step(1))
        actions["previous_tab"].triggered.connect(lambda: self._step(-1))
        for area in (self.results, self.comparisons):
            area.closed.connect(self.tab_closed)
            area.retried.connect(self.tab_retried)
            area.menu.connect(self._tab_menu)
        self._jobs.changed.connect(self._progressed)
        self.start_page.opened.connect(self.opened)
        self.library_page.opened.connect(self.opened)
        self.library_page.compared.connect(self.compared)
        self.picker.compared.connect(self.compared)
        self.picker.browse.connect(actions["open"].trigger)

    # What the state says

    @property
    def live_page(self) -> QWidget:
        """Made when it is first asked for."""
        if self._live is None:
            self._live = self._make_live()
            self._live_place.hold(self._live)
            leave_drops(self._live)
        return self._live

    @property
    def recipes_page(self) -> QWidget:
        """Made when it is first asked for."""
        if self._recipes is None:
            self._recipes = self._make_recipes()
            self._recipes_place.hold(self._recipes)
            leave_drops(self._recipes)
        return self._recipes

    @property
    def loop_page(self) -> QWidget:
        """Made when it is first asked for."""
        if self._loop is None:
            self._loop = self._make_loop()
            self._loop_place.hold(self._loop)
            leave_drops(self._loop)
        return self._loop

    def _show_page(self, page: Page) -> None:
        shown = self._pages[page]
        self._stack.setCurrentWidget(shown)
        shown.setFocus()
        self.rail.show_page(Page.LIVE if page is Page.RECIPES else page)
        self._update_actions()

    def _sessions_changed(self) -> None:
        sessions, known = self._state.sessions, self._state.sessions_known
        self.start_page.show_sessions(sessions, known=known)
        self.library_page.show_sessions(sessions, known=known)
        self._offer_choices()

    def _target_changed(self) -> None:
        self.header.show_target(self._state.target)

    def _findings_changed(self) -> None:
        self.start_page.show_findings(self._state.findings)

    def _runs_changed(self) -> None:
        self.console_page.show_runs(self._state.runs)

    def _profiles_changed(self) -> None:
        self.library_page.show_folder(self._state.profiles)

    def _tab_added(self, tab: Tab) -> None:
        tab.changed.connect(self._results_changed)
        self._results_changed()
        self._state.set_page(Page.RESULTS if tab in self._state.results.all else Page.COMPARE)

    def _results_changed(self, _tab: object = None) -> None:
        self.rail.set_count(Page.RESULTS, len(self._state.results.all))
        self.rail.set_count(Page.COMPARE, len(self._state.comparisons.all))
        for area in (self.results, self.comparisons):
            leave_drops(area.page)
        self._offer_choices()
        self._update_actions()

    def _offer_choices(self) -> None:
        self.picker.offer(choices_of(self._state.open_results, self._state.sessions))

    def _progressed(self) -> None:
        self.results.refresh_progress()
        self.comparisons.refresh_progress()

    def _update_actions(self, _what: object = None) -> None:
        state, actions = self._state, self._actions
        tabs = self._tabs()
        shown = tabs.current.title if tabs is not None and tabs.current is not None else state.page.value
        self.setWindowTitle(f"{shown} – Tailflame")
        actions["close_tab"].setEnabled(tabs is not None and tabs.current is not None)
        for name in ("next_tab", "previous_tab"):
            actions[name].setEnabled(tabs is not None and len(tabs.all) > 1)
        result = state.result
        ready = result is not None and result.stage is Stage.READY and state.page is Page.RESULTS
        recording = result.recording if ready and result is not None else None
        profile = recording is not None and recording.profile is not None
        comparable = recording is not None and _is_comparable(recording)
        pinned = result is not None and result.baseline
        actions["pin"].setEnabled(comparable and not pinned)
        actions["unpin"].setEnabled(comparable and pinned)
        actions["compare_baseline"].setEnabled(comparable and not pinned)
        for name in (f"export_{kind}" for kind in EXPORTED):
            actions[name].setEnabled(bool(profile))
        actions["stop"].setEnabled(state.recording)
        actions["cancel"].setEnabled(state.recording)

    # What the user does

    def _tabs(self) -> Tabs | None:
        return {Page.RESULTS: self._state.results, Page.COMPARE: self._state.comparisons}.get(self._state.page)

    def _close_current(self) -> None:
        tabs = self._tabs()
        if tabs is not None and tabs.current is not None:
            self.tab_closed.emit(tabs.current)

    def _step(self, by: int) -> None:
        tabs = self._tabs()
        if tabs is not None:
            tabs.step(by)

    def _tab_menu(self, tab: Tab, menu: QMenu) -> None:
        names = ["close_tab"]
        if tab in self._state.results.all:
            names = ["pin", "unpin", "compare_baseline", "", *(f"export_{kind}" for kind in EXPORTED), "", "close_tab"]
        for name in names:
            if not name:
                menu.addSeparator()
            elif self._actions[name].isEnabled():
                menu.addAction(self._actions[name])

    def _pick_again(self) -> None:
        self._offer_choices()
        self.comparisons.show_empty()

    def open_settings(self) -> None:
        """What is set once and seldom again, as a menu beside its entry in the rail."""
        menu = QMenu(self)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        for name in _SETTINGS:
            if name:
                menu.addAction(self._actions[name])
            else:
                menu.addSeparator()
        self.rail.open_menu(self._actions["settings"], menu)

    def show_keys(self) -> None:
        page = self._stack.currentWidget()
        dialog = KeysDialog(self._all_actions(), key_lines(page) if page is not None else (), parent=self)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.open()

    def open_palette(self, query: str = "") -> None:
        self.palette_box.open(self.palette_entries(), query if isinstance(query, str) else "")

    def palette_entries(self) -> list[Entry]:
        """Every action that is possible now, what the views have keys for, every open tab, the newest sessions."""
        entries = [_entry_of(action) for action in self._all_actions() if action.isEnabled() and action.text()]
        entries = [entry for entry in entries if entry.text != self._actions["palette"].text()]
        page_shown = self._stack.currentWidget()
        entries += key_entries(page_shown) if page_shown is not None else []
        for tabs, word, page in (
            (self._state.results, "open result", Page.RESULTS),
            (self._state.comparisons, "open comparison", Page.COMPARE),
        ):
            entries += [
                Entry(tab.title, word, lambda t=tab, ts=tabs, p=page: self._go_to(t, ts, p), icon="flame")  # type: ignore[misc]
                for tab in tabs.all
            ]
        entries += [
            Entry(
                session.title,
                "session",
                lambda s=session: self.opened.emit(s),  # type: ignore[misc]
                icon="pin" if session.baseline else "history",
                hint=_hint(session),
            )
            for session in self._state.sessions[:_SESSIONS_IN_PALETTE]
            if session.readable
        ]
        return entries

    def _go_to(self, tab: Tab, tabs: Tabs, page: Page) -> None:
        tabs.show(tab)
        self._state.set_page(page)

    def _all_actions(self) -> list[QAction]:
        """The window's own, then those of the page that is shown."""
        own = list(self._actions.all())
        page = self._stack.currentWidget()
        theirs = page.findChildren(QAction) if page is not None else []
        return own + [a for a in theirs if a.text() and a.isVisible() and a.menu() is None and a not in own]

    # Dropping

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        paths = _paths(event)
        if paths:
            rows = self._inspect(paths)
            self.overlay.announce(rows)
            if any(row.works for row in rows):
                event.acceptProposedAction()

    def dragMoveEvent(self, event: QDragMoveEvent) -> None:
        event.acceptProposedAction()

    def dragLeaveEvent(self, _event: QDragLeaveEvent) -> None:
        self.overlay.hide()

    def dropEvent(self, event: QDropEvent) -> None:
        self.overlay.hide()
        paths = _paths(event)
        if paths:
            event.acceptProposedAction()
            self.dropped.emit(paths)

    # The window itself

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self.overlay.setGeometry(self.rect())
        self.palette_box.place()

    def ask_before_close(self, ask: Callable[[], bool] | None) -> None:
        """`ask()` may refuse to close now, and close later by itself."""
        self._ask_before_close = ask

    def closeEvent(self, event: QCloseEvent) -> None:
        if self._ask_before_close is not None and not self._ask_before_close():
            event.ignore()
            return
        self.palette_box.close_it()
        super().closeEvent(event)

    def geometry_document(self) -> dict[str, object]:
        """Where the window stands, as JSON values."""
        size = self.normalGeometry().size()
        return {
            "place": [self.x(), self.y(), size.width(), size.height()],
            "maximised": self.isMaximized(),
        }

    def restore_geometry(self, document: Mapping[str, object]) -> None:
        """Puts the window where `geometry_document` found it, if that is on a screen still.

        What is not such a document changes nothing.
        """
        numbers = document.get("place")
        if isinstance(numbers, list) and len(numbers) == 4 and all(isinstance(n, int) for n in numbers):
            place = QRect(*numbers)
            self.resize(place.size().boundedTo(_MOST))
            if any(screen.availableGeometry().contains(place.center()) for screen in QGuiApplication.screens()):
                self.move(place.topLeft())
        if document.get("maximised") is True:
            self.setWindowState(Qt.WindowState.WindowMaximized)


def _is_comparable(recording: Recording) -> bool:
    """Whether it can be a side of a comparison, and so a baseline."""
    if recording.profile is not None or recording.histograms is not None:
        return True
    from tailflame_gui.views.compared_parts import compared_kinds  # late: no start has a use for it

    return bool(compared_kinds(recording, recording))


def leave_drops(page: QWidget) -> None:
    """Text fields would take a dropped file for text; the window knows better what to do with it."""
    for kind in (QLineEdit, QPlainTextEdit, QTextEdit):
        for field in page.findChildren(kind):
            field.setAcceptDrops(False)


def _paths(event: QDropEvent) -> tuple[Path, ...]:
    return tuple(Path(url.toLocalFile()) for url in event.mimeData().urls() if url.isLocalFile())


def _entry_of(action: QAction) -> Entry:
    return Entry(
        action.text(),
        str(action.property("group") or "This view"),
        action.trigger,
        keys=action.shortcut().toString(QKeySequence.SequenceFormat.NativeText),
        icon=str(action.property("glyph") or ""),
    )


def _hint(session: SessionRow) -> str:
    return "  ".join(part for part in (moment(session.started_at), session.tool, session.commit) if part)
