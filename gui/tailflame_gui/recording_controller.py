"""Between the record page and core: reads what the page wishes, checks it, starts it, and shows what happens."""

from __future__ import annotations

import time
import uuid
from dataclasses import replace
from pathlib import Path
from typing import Any

from PySide6.QtCore import QObject, QTimer
from PySide6.QtGui import QKeySequence

from tailflame.errors import TailflameError
from tailflame.host.binary import BinaryFacts, binary_facts
from tailflame.host.processes import ProcessSample
from tailflame.host.system import Host, forget_host, probe_host
from tailflame.store import Settings, binary_key
from tailflame.tools import Plan
from tailflame_gui import adapt, dropping, record_facts, tool_facts
from tailflame_gui.actions import Actions
from tailflame_gui.controller import Controller
from tailflame_gui.record_facts import OwnCost, Project, Rates, Undecided
from tailflame_gui.record_model import (
    CARGO_FLAMEGRAPH,
    Assessment,
    Draft,
    OptionsDraft,
    ProjectChoice,
    TargetDraft,
    ToolChoice,
)
from tailflame_gui.recording import QueuedRun, RecordController
from tailflame_gui.rows import EndRow, Level, Notice, Offer
from tailflame_gui.state import OpenResult, Page
from tailflame_gui.tasks import Latest, Progress
from tailflame_gui.views.record_page import RecordPage, Side

_PAUSE_MS = 150
"""After the last edit, before the form is checked."""
_COST_MS = 1000
_LAST, _NAMED = "last", "named"


class RecordingController(QObject):
    """Lives with its page. `recorder` runs the recordings and opens their results."""

    def __init__(self, page: RecordPage, controller: Controller, recorder: RecordController, actions: Actions) -> None:
        super().__init__(page)
        self._page = page
        self._controller = controller
        self._recorder = recorder
        self._actions = actions
        self._host: Host | None = None
        self._project = Project(ProjectChoice(""))
        self._last: Draft | None = None
        self._result: OpenResult | None = None
        self._rates = Rates()
        self._cost = OwnCost()
        self._assessing, self._choosing = Latest(self), Latest(self)
        self._completing, self._reading = Latest(self), Latest(self)
        self._costing = Latest(self)
        self._pause = QTimer(self)
        self._pause.setSingleShot(True)
        self._pause.setInterval(_PAUSE_MS)
        self._pause.timeout.connect(self.assess)
        self._cost_timer = QTimer(self)
        self._cost_timer.setInterval(_COST_MS)
        self._cost_timer.timeout.connect(self._look_at_cost)
        self._connect_page()
        self._connect_recorder()
        self._connect_actions()
        page.show_start_folder(record_facts.home_short(Path.cwd()))
        self._offer_recent()

    def _connect_page(self) -> None:
        page = self._page
        page.shown.connect(self._shown)
        page.target_changed.connect(lambda _draft: self._edited())
        page.options_changed.connect(lambda _draft: self._edited())
        page.binary_chosen.connect(self.choose_binary)
        page.project_chosen.connect(lambda folder: self.choose_project(record_facts.absolute(folder)))
        page.completions_wanted.connect(self._complete)
        page.check_again.connect(self.check_again)
        page.record_requested.connect(self.record)
        page.again_requested.connect(self.record_again)
        page.stop_requested.connect(self._recorder.stop_recording)
        page.cancel_requested.connect(self._recorder.cancel_recording)
        page.cancel_all_requested.connect(self._recorder.cancel_all)
        page.request_made.connect(self._recorder.request)
        page.file_open_requested.connect(lambda path: self._controller.open_file(path))
        page.show_requested.connect(self._show_result)
        page.preset_apply_requested.connect(self._apply_preset)
        page.preset_save_requested.connect(self._save_preset)
        page.preset_delete_requested.connect(self._delete_preset)
        self._controller.target_chosen.connect(lambda path: self.choose_binary(str(path)))
        self._controller.project_chosen.connect(self.choose_project)

    def _connect_recorder(self) -> None:
        recorder, page = self._recorder, self._page
        recorder.started.connect(self._started)
        recorder.output.connect(page.show_output)
        recorder.observed.connect(self._observed)
        recorder.progressed.connect(page.show_progress)
        recorder.appeared.connect(page.show_files)
        recorder.ended.connect(self._ended)
        recorder.failed.connect(self._failed)
        recorder.kept.connect(self._kept)

    def _connect_actions(self) -> None:
        actions = self._actions
        actions["cancel"].triggered.connect(self.ask_cancel)
        actions["record_again"].triggered.connect(self.record_again)
        self._controller.state.recording_changed.connect(self._recording_changed)
        actions["record_again"].setEnabled(True)

        def keys(name: str) -> str:
            return actions[name].shortcut().toString(QKeySequence.SequenceFormat.NativeText)

        self._page.show_keys(stop=keys("stop"), cancel=keys("cancel"), again=keys("record_again"))

    # What is known of the machine and the form

    def _shown(self) -> None:
        """Header and form speak of one program: the form's, or the header's where the form has none yet."""
        binary = self._page.draft.target.binary
        if not self._page.draft.key:
            self._show_current()
        elif binary:
            self._name_target(Path(binary))
        if self._host is None and not self._assessing.busy:
            self.assess()

    def check_again(self) -> None:
        """After something was installed, built or set."""
        forget_host()
        self._host = None
        self.assess()

    def _edited(self) -> None:
        draft = self._page.draft
        named = self._named(draft.key)
        current = self._page.target.presets.current
        if current and Draft.from_document(named.get(current, {}), target=draft.target) != draft:
            self._page.target.presets.show_current("")
        self._pause.start()

    def assess(self) -> None:
        """Checks what stands in the form now; an older question is dropped."""
        self._pause.stop()
        draft, root = self._page.draft, self._controller.library.root
        target_folder = self._project.target_folder

        def work(_progress: Progress) -> tuple[Host, tuple[ToolChoice, ...], Assessment]:
            host = probe_host()
            made = record_facts.assess(draft, host, root, target_folder=target_folder)
            return host, tool_facts.tool_choices(host), made

        self._page.show_checking(True)
        self._assessing.ask(work, self._assessed, name="checking what is to be recorded", on_error=self._not_assessed)

    def _assessed(self, answer: tuple[Host, tuple[ToolChoice, ...], Assessment]) -> None:
        self._host, tools, assessment = answer
        self._page.show_checking(False)
        self._page.offer_tools(tools)
        self._page.show_assessment(assessment)

    def _not_assessed(self, error: TailflameError) -> None:
        self._page.show_checking(False)
        self._page.show_assessment(Assessment(problem=error.sentence))
        self._controller.fail(error)

    def _complete(self, text: str) -> None:
        self._completing.ask(
            lambda _progress: record_facts.paths_like(text),
            self._page.offer_paths,
            name="looking for programs",
            on_error=self._controller.fail,
        )

    # Choosing

    def choose_binary(self, text: str) -> None:
        """Shows a program with the settings it was recorded with last, else with those that fit it best."""
        path = record_facts.program(text)
        if dropping.look_at(path).kind is dropping.Kind.PROJECT:
            self.choose_project(path)
            return
        self._name_target(path)
        before = self._page.draft
        # What was typed before there was a program is meant for it.
        kept = before.target if not before.target.binary or before.target.binary == text else TargetDraft()
        target = TargetDraft(
            binary=str(path),
            arguments=kept.arguments,
            directory=kept.directory,
            environment=kept.environment,
            duration_s=before.target.duration_s,
        )
        saved = self._presets(str(path)).get(_LAST)

        def work(_progress: Progress) -> tuple[Draft, Path | None]:
            host, folder = probe_host(), record_facts.project_of(path)
            whole = replace(target, project=str(folder) if folder else "")
            if isinstance(saved, dict):
                return Draft.from_document(saved, target=whole), folder
            return Draft(whole, tool_facts.default_options(host, _facts_of(path))), folder

        self._choosing.ask(work, self._binary_known, name=f"looking at {path.name}", on_error=self._controller.fail)
        self._offer_presets(str(path))

    def _name_target(self, path: Path) -> None:
        state = self._controller.state
        state.set_target(adapt.target_row(str(path), binary_key(path), state.sessions))

    def _binary_known(self, answer: tuple[Draft, Path | None]) -> None:
        draft, folder = answer
        self._page.show_draft(draft)
        if not self._page.running:
            self._page.show_side(Side.SETTINGS)
        if folder is not None:
            self._read_project(folder)
        self.assess()

    def choose_project(self, folder: Path) -> None:
        """Shows a cargo project, to be recorded with cargo flamegraph."""
        root = record_facts.project_of(folder) or folder
        saved = self._presets(str(root)).get(_LAST)
        target = TargetDraft(project=str(root), binary=self._page.draft.target.binary)
        if isinstance(saved, dict):
            draft = Draft.from_document(saved, target=target)
        else:
            # cargo flamegraph's own defaults: what it builds need not keep frame pointers.
            event = self._host.default_event.partition(":")[0] if self._host else "cpu-clock"
            options = OptionsDraft(tool=CARGO_FLAMEGRAPH, frequency=997, dwarf_stack=16384, events=(event,))
            draft = Draft(target, options)
        self._page.show_draft(draft)
        if not self._page.running:
            self._page.show_side(Side.SETTINGS)
        self._offer_presets(str(root))
        self._read_project(root)

    def _read_project(self, folder: Path) -> None:
        self._reading.ask(
            lambda _progress: record_facts.read_project(folder),
            self._project_read,
            name=f"reading the project in {folder}",
            on_error=self._controller.fail,
        )

    def _project_read(self, project: Project) -> None:
        self._project = project
        self._page.offer_project(project.choice)
        self.assess()

    # Presets

    def _presets(self, key: str) -> dict[str, Any]:
        return dict(self._controller.settings.preset_of(key)) if key else {}

    def _named(self, key: str) -> dict[str, Any]:
        named = self._presets(key).get(_NAMED, {})
        return {name: made for name, made in named.items() if isinstance(made, dict)} if isinstance(named, dict) else {}

    def _offer_presets(self, key: str, *, current: str = "") -> None:
        self._page.offer_presets(sorted(self._named(key), key=str.casefold), current=current, possible=bool(key))

    def _offer_recent(self) -> None:
        self._page.offer_recent(self._controller.settings.recent_binaries)

    def _apply_preset(self, name: str) -> None:
        draft = self._page.draft
        made = self._named(draft.key).get(name)
        if made is not None:
            self._page.show_draft(Draft.from_document(made, target=draft.target))
            self.assess()

    def _save_preset(self, name: str) -> None:
        draft = self._page.draft
        if draft.key:
            self._keep(draft.key, {**self._named(draft.key), name: draft.document()})
            self._offer_presets(draft.key, current=name)

    def _delete_preset(self, name: str) -> None:
        key = self._page.draft.key
        left = self._named(key)
        gone = left.pop(name, None)
        if gone is None:
            return
        self._keep(key, left)
        self._offer_presets(key)
        self._controller.say(
            f"The preset “{name}” is deleted.",
            Offer("Undo", lambda: self._bring_back(key, name, gone)),
        )

    def _bring_back(self, key: str, name: str, made: dict[str, Any]) -> None:
        self._keep(key, {**self._named(key), name: made})
        if self._page.draft.key == key:
            self._offer_presets(key, current=name)

    def _keep(self, key: str, named: dict[str, Any], *, last: Draft | None = None) -> None:
        presets = {**self._presets(key), _NAMED: named}
        if last is not None:
            presets[_LAST] = last.document()

        def change(settings: Settings) -> Settings:
            return settings.remembering(key, presets)

        self._controller.remember(change)
        self._offer_recent()

    # Recording

    def record(self) -> None:
        """Records what stands in the form."""
        self._start(self._page.draft)

    def record_again(self) -> None:
        """Once more what this window recorded last; before that, what stands in the form; before that, the program
        whose result is looked at, as it was recorded last.
        """
        if self._recorder.running:
            return
        draft = self._last or (self._page.draft if self._page.draft.key else self._of_current())
        if draft is not None:
            self._start(draft)
            return
        self._controller.state.set_page(Page.RECORD)
        self._controller.state.notify(
            Notice(Level.NOTE, "Nothing was recorded here yet.", "Choose a program first.", key="again", seconds=8)
        )

    def _of_current(self) -> Draft | None:
        """The settings that the program in the window's header was recorded with last."""
        current = self._controller.state.target
        saved = self._presets(current.binary).get(_LAST) if current is not None else None
        if current is None or not isinstance(saved, dict):
            return None
        return Draft.from_document(saved, target=TargetDraft(binary=current.binary))

    def _show_current(self) -> None:
        """The form shows the program in the window's header."""
        current = self._controller.state.target
        if current is not None and current.binary:
            self.choose_binary(current.binary)

    def _start(self, draft: Draft) -> None:
        if self._recorder.running:
            return
        target_folder = self._project.target_folder if self._project.choice.folder == draft.target.project else None

        root = self._controller.library.root

        def work(_progress: Progress) -> tuple[list[QueuedRun], list[TailflameError]]:
            host = probe_host()
            runs: list[QueuedRun] = []
            problems: list[TailflameError] = []
            for one in draft.each:
                try:
                    wish = record_facts.wish_of(one, host, target_folder=target_folder)
                    if draft.queue:  # alone, the page has told and refused it
                        record_facts.refuse_blocked(wish, host, root)
                except Undecided as problem:
                    if not draft.queue:
                        raise
                    problems.append(problem)
                else:
                    runs.append(QueuedRun(wish.target, wish.tool, wish.options))
            return runs, problems

        def go(answer: tuple[list[QueuedRun], list[TailflameError]]) -> None:
            runs, problems = answer
            for problem in problems:
                self._controller.fail(problem)
            if not runs:
                return
            self._last = draft
            self._keep(draft.key, self._named(draft.key), last=replace(draft, queue=()))
            if draft.queue:
                self._page.clear_queue()
                self._recorder.start_queue(runs, group=uuid.uuid4().hex)
            else:
                self._recorder.start_recording(runs[0].target, runs[0].tool, runs[0].options)

        self._choosing.ask(work, go, name="starting the recording", on_error=self._not_started)

    def _not_started(self, error: TailflameError) -> None:
        self._controller.state.set_page(Page.RECORD)
        if isinstance(error, Undecided):
            self._controller.state.notify(Notice(Level.NOTE, error.sentence, key="undecided", seconds=8))
        else:
            self._controller.fail(error)

    def ask_cancel(self) -> None:
        """Asks on the page, which it shows, whether to throw the recording away."""
        if self._recorder.running:
            self._controller.state.set_page(Page.RECORD)
            self._page.ask_cancel()

    def _recording_changed(self, on: bool) -> None:
        self._actions["record_again"].setEnabled(not on)
        if not on:
            self._page.show_rest()

    def _started(self, plan: Plan) -> None:
        self._rates = Rates()
        self._cost = OwnCost()
        self._result = None
        self._page.begin(record_facts.run_head(plan, place=self._recorder.place))
        self._controller.state.set_page(Page.RECORD)
        self._cost_timer.start()
        self._look_at_cost()

    def _observed(self, samples: tuple[ProcessSample, ...]) -> None:
        self._page.show_observed([self._rates.of(sample) for sample in samples])

    def _look_at_cost(self) -> None:
        cost = self._cost
        self._costing.ask(
            lambda _progress: cost.look(time.monotonic()),
            lambda text: self._page.show_cost(text) if text else None,
            name="looking at our own cost",
            on_error=self._controller.fail,
        )

    def _ended(self, end: EndRow) -> None:
        self._stop_costing()
        self._page.show_end(end)

    def _failed(self, error: TailflameError) -> None:
        self._stop_costing()
        self._page.show_failed(error)

    def _kept(self, result: OpenResult) -> None:
        self._result = result
        self._page.show_kept()
        self.assess()

    def _stop_costing(self) -> None:
        self._cost_timer.stop()
        self._costing.drop()

    def _show_result(self) -> None:
        state = self._controller.state
        if self._result is None:
            return
        if self._result in state.results.all:
            state.results.show(self._result)
            state.set_page(Page.RESULTS)
        else:
            self._controller.open_file(self._result.path)


def _facts_of(path: Path) -> BinaryFacts | None:
    """None where the file tells nothing; the preflight says why."""
    try:
        return binary_facts(path)
    except TailflameError:
        return None
