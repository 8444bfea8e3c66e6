"""Makes the window and connects it with the controllers: who asks for what, and who does it."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from PySide6.QtCore import QUrl
from PySide6.QtGui import QActionGroup, QDesktopServices, QGuiApplication

from tailflame_gui import bundles, dropping, theme
from tailflame_gui.actions import EXPORTED, Actions
from tailflame_gui.controller import Controller
from tailflame_gui.demo import Demo
from tailflame_gui.dialogs.editor import EditorDialog
from tailflame_gui.dialogs.files import choose_files, choose_folder, choose_program, choose_target
from tailflame_gui.folder_watch import FolderWatches
from tailflame_gui.machine import Machine
from tailflame_gui.recording import RecordController
from tailflame_gui.recording_controller import RecordingController
from tailflame_gui.rows import SessionRow
from tailflame_gui.state import AppState, OpenResult, Page
from tailflame_gui.tab_views import TabViews
from tailflame_gui.tasks import JobList
from tailflame_gui.tools_controller import ToolsController
from tailflame_gui.views.main_window import MainWindow
from tailflame_gui.views.record_page import RecordPage
from tailflame_gui.views.tools_page import ToolsPage

CONSENT = "TAILFLAME_DEBUGINFOD"
"""See parse.symbolize.debuginfod."""

if TYPE_CHECKING:
    from tailflame.model.iteration import Iteration
    from tailflame_gui.live_runner import LiveRunner
    from tailflame_gui.live_wiring import LiveParts
    from tailflame_gui.loop_controller import LoopController
    from tailflame_gui.recipes_controller import RecipesController
    from tailflame_gui.views.live_page import LivePage
    from tailflame_gui.views.loop_page import LoopPage
    from tailflame_gui.views.recipes_page import RecipesPage


class LateLive:
    """The live page with its controllers, made when it is first looked at."""

    def __init__(self, controller: Controller, actions: Actions) -> None:
        self._controller = controller
        self._actions = actions
        self._made: LiveParts | None = None

    @property
    def running(self) -> bool:
        """Whether a live run goes on."""
        return self._made is not None and self._made.runner.running

    @property
    def parts(self) -> LiveParts:
        if self._made is None:
            from tailflame_gui import live_wiring

            self._made = live_wiring.build(self._controller, self._actions)
        return self._made

    def page(self) -> LivePage:
        return self.parts.page


class LateRecipes:
    """The probes page with its controller, made when it is first looked at."""

    def __init__(self, controller: Controller) -> None:
        self._controller = controller
        self.made: RecipesController | None = None

    @property
    def running(self) -> bool:
        """Whether a probe goes on."""
        return self.made is not None and self.made.running

    def page(self) -> RecipesPage:
        from tailflame_gui.recipes_controller import RecipesController
        from tailflame_gui.views.recipes_page import RecipesPage

        page = RecipesPage()
        self.made = RecipesController(page, self._controller)
        return page

    async def close(self) -> None:
        """A probe that runs is stopped and kept."""
        if self.made is not None:
            await self.made.close()


class LateLoop:
    """The loop page with its controller, made when it is first looked at. `window`: over which it asks."""

    def __init__(self, controller: Controller, actions: Actions) -> None:
        self._controller = controller
        self._actions = actions
        self.window: MainWindow | None = None
        self.made: LoopController | None = None

    def page(self) -> LoopPage:
        from tailflame_gui.loop_controller import LoopController
        from tailflame_gui.views.loop_page import LoopPage

        window = self.window
        assert window is not None
        page = LoopPage()
        self.made = LoopController(
            page,
            self._controller,
            choose_folder=lambda start, take: choose_folder(window, "Choose a project", start, take),
            choose_target=lambda suggested, take: choose_target(window, "Save as", suggested, take),
        )
        return page

    def measure(self) -> None:
        """Shows the page, and measures once it knows the plan."""
        self._shown().measure("")

    def settle(self) -> None:
        """Shows the page, and measures as many more repetitions as its verdict asks for."""
        self._shown().settle()

    def show_iteration(self, one: Iteration) -> None:
        """Shows a measurement that has come from elsewhere."""
        self._shown().show_iteration(one)

    def _shown(self) -> LoopController:
        window = self.window
        assert window is not None
        self._controller.state.set_page(Page.LOOP)
        assert window.loop_page is not None  # made now, and not once its imports are done
        assert self.made is not None
        return self.made

    async def close(self) -> None:
        """A measurement that runs is stopped and kept."""
        if self.made is not None:
            await self.made.close()


@dataclass(frozen=True, slots=True, eq=False)
class Parts:
    """Everything that makes one window."""

    state: AppState
    jobs: JobList
    actions: Actions
    controller: Controller
    recorder: RecordController
    late_live: LateLive
    late_recipes: LateRecipes
    late_loop: LateLoop
    machine: Machine
    window: MainWindow
    views: TabViews
    demo: Demo
    watches: FolderWatches

    @property
    def live(self) -> LiveRunner:
        return self.late_live.parts.runner


def build() -> Parts:
    """The window with its controllers, connected, not yet shown."""
    state, jobs, actions = AppState(), JobList(), Actions()
    controller = Controller(state, jobs)
    recorder = RecordController(controller)
    machine = Machine(controller)
    views = TabViews(controller, actions)
    record_page = RecordPage()
    RecordingController(record_page, controller, recorder, actions)
    tools_page = ToolsPage()
    tools_page.probes_requested.connect(actions["recipes"].trigger)
    ToolsController(tools_page, controller, draft_for=record_page.draft_for, use=record_page.choose_tool)
    live = LateLive(controller, actions)
    probes = LateRecipes(controller)
    loop = LateLoop(controller, actions)
    window = MainWindow(
        state,
        jobs,
        actions,
        record_page=record_page,
        tools_page=tools_page,
        make_live=live.page,
        make_recipes=probes.page,
        make_loop=loop.page,
        make_result=views.result,
        make_comparison=views.comparison,
        inspect=dropping.announce,
    )
    views.window = loop.window = window
    demo = Demo(controller, recorder)
    watches = FolderWatches(controller)
    parts = Parts(state, jobs, actions, controller, recorder, live, probes, loop, machine, window, views, demo, watches)
    window.library_page.show_folder(state.profiles)
    window.restore_geometry(controller.settings.window)
    _connect_pages(parts)
    _connect_actions(parts)
    _connect_theme(parts)
    connect_debuginfod(parts)
    return parts


def _connect_pages(parts: Parts) -> None:
    window, controller = parts.window, parts.controller
    window.opened.connect(controller.open_session)
    window.dropped.connect(controller.open_paths)
    window.compared.connect(controller.compare)
    window.tab_closed.connect(controller.close_tab)
    window.tab_retried.connect(controller.retry)
    library = window.library_page
    library.pinned.connect(controller.pin_session)
    library.unpinned.connect(controller.unpin)
    library.compared_with_baseline.connect(controller.compare_with_baseline)
    library.deleted.connect(controller.delete_sessions)
    library.folder_opened.connect(_show_folder)
    window.start_page.check_again.connect(parts.machine.check_again)
    for signal in (parts.state.sessions_changed, parts.state.results.current_changed):
        signal.connect(partial(_mark_baselines, parts))
    controller.binary_wanted.connect(partial(_ask_binary, parts))
    controller.bundle_chosen.connect(partial(bundles.bring, controller, parts.late_loop.show_iteration))


def _connect_actions(parts: Parts) -> None:
    window, controller, recorder, actions = parts.window, parts.controller, parts.recorder, parts.actions
    state = parts.state
    actions["open"].triggered.connect(lambda: choose_files(window, controller.open_paths))
    actions["demo"].triggered.connect(lambda: parts.demo.open_sample())
    actions["record_demo"].triggered.connect(parts.demo.record)
    actions["measure"].triggered.connect(parts.late_loop.measure)
    actions["measure_more"].triggered.connect(parts.late_loop.settle)
    state.recording_changed.connect(lambda on: actions["record_demo"].setEnabled(not on))
    actions["profiles"].triggered.connect(
        lambda: choose_folder(
            window, "The folder that keeps the sessions", state.profiles, controller.set_profiles_folder
        )
    )
    actions["stop"].triggered.connect(recorder.stop_recording)
    actions["reopen_tab"].triggered.connect(controller.reopen_closed)
    actions["pin"].triggered.connect(partial(_with_result, state, controller.pin))
    actions["unpin"].triggered.connect(partial(_unpin, state, controller))
    actions["compare_baseline"].triggered.connect(partial(_with_result, state, controller.compare_with_baseline))
    for kind in EXPORTED:
        actions[f"export_{kind}"].triggered.connect(partial(_export, parts, kind))
    actions["editor"].triggered.connect(lambda: _ask_editor(parts))
    actions["source_map"].triggered.connect(lambda: _ask_path_map(parts))
    actions["quit"].triggered.connect(window.close)
    actions["stop_live"].setEnabled(False)
    actions["attach"].triggered.connect(lambda: parts.late_live.parts.controller.to_attach())
    actions["continuous"].triggered.connect(lambda: parts.late_live.parts.controller.to_continuous())
    actions["watch_folder"].triggered.connect(
        lambda: choose_folder(window, "The folder that profiles are written into", state.profiles, parts.watches.watch)
    )
    actions["snapshots"].triggered.connect(parts.watches.switch)


def _with_result(state: AppState, act: Callable[[OpenResult], None]) -> None:
    if state.result is not None:
        act(state.result)


def _unpin(state: AppState, controller: Controller) -> None:
    if state.result is not None and state.result.session is not None:
        controller.unpin(state.result.session)


def _connect_theme(parts: Parts) -> None:
    group = QActionGroup(parts.window)
    for mode in theme.Mode:
        action = parts.actions[f"theme_{mode.value}"]
        group.addAction(action)
        action.setChecked(theme.mode() is mode)
        action.triggered.connect(partial(parts.controller.set_theme, mode))


def connect_debuginfod(parts: Parts) -> None:
    """The environment tells the readers what may be asked."""
    action, controller = parts.actions["debuginfod"], parts.controller
    servers = os.environ.get("DEBUGINFOD_URLS", "").split()
    agreed = controller.settings.debuginfod or os.environ.get(CONSENT, "") != ""
    action.setEnabled(bool(servers))
    if not servers:
        action.setToolTip("DEBUGINFOD_URLS names no server.")
    action.setChecked(bool(servers) and agreed)
    if action.isChecked():
        os.environ[CONSENT] = "yes"

    def change(on: bool) -> None:
        if on:
            os.environ[CONSENT] = "yes"
        else:
            os.environ.pop(CONSENT, None)
        controller.change_settings(debuginfod=on)

    action.triggered.connect(change)


def _mark_baselines(parts: Parts, *_what: object) -> None:
    for result in parts.state.open_results:
        parts.views.mark(result, parts.window.results.page_of(result))


def _export(parts: Parts, kind: str) -> None:
    result = parts.state.result
    view = parts.window.results.page_of(result) if result is not None else None
    if result is not None and view is not None:
        parts.views.export(result, view, kind)


def _ask_editor(parts: Parts) -> None:
    dialog = EditorDialog(parts.controller.settings.editor, parts.window)
    dialog.accepted.connect(lambda: parts.controller.change_settings(editor=dialog.command))
    dialog.finished.connect(dialog.deleteLater)
    dialog.open()


def _ask_path_map(parts: Parts) -> None:
    from tailflame_gui.code_provider import ask_path_map

    ask_path_map(parts.controller, parts.window, then=partial(_look_again, parts))


def _look_again(parts: Parts) -> None:
    """Sources that were missing may be found now."""
    from tailflame_gui.views.source_view import SourceView

    for view in parts.window.findChildren(SourceView):
        view.ask_again()


def _ask_binary(parts: Parts, result: OpenResult) -> None:
    choose_program(
        parts.window,
        f"Whose baseline is {result.title}? Choose the binary",
        lambda binary: parts.controller.pin(result, binary=binary),
    )


def _show_folder(row: SessionRow) -> None:
    if QGuiApplication.platformName() != "offscreen":
        QDesktopServices.openUrl(QUrl.fromLocalFile(str(row.path)))
