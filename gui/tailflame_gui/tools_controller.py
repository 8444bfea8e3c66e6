"""Fills the tools page: what each tool is, what it would run now, and what its last result was."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from PySide6.QtCore import QObject

from tailflame.errors import TailflameError
from tailflame.host.system import Host, forget_host, probe_host
from tailflame_gui import record_facts, tool_facts
from tailflame_gui.controller import Controller
from tailflame_gui.record_model import Draft, TargetDraft, ToolChoice
from tailflame_gui.rows import SessionRow
from tailflame_gui.state import Page
from tailflame_gui.tasks import Latest, Progress
from tailflame_gui.tools_model import Reference, ToolReference
from tailflame_gui.views.tools_page import ToolsPage


class ToolsController(QObject):
    """Lives with its page. draft_for(tool): what the record page would record with it. use(tool): shows it there."""

    def __init__(
        self,
        page: ToolsPage,
        controller: Controller,
        *,
        draft_for: Callable[[str], Draft],
        use: Callable[[str], None],
    ) -> None:
        super().__init__(page)
        self._page = page
        self._controller = controller
        self._draft_for = draft_for
        self._use = use
        self._looking = Latest(self)
        page.shown.connect(self.look)
        page.check_again.connect(self.look_again)
        page.used.connect(self._use_tool)
        page.opened.connect(controller.open_session)
        controller.state.sessions_changed.connect(self._sessions_changed)

    def look(self) -> None:
        """Gathers everything in a thread; an older question is dropped."""
        state, root = self._controller.state, self._controller.library.root
        sessions, program = state.sessions, state.target.binary if state.target is not None else ""
        drafts = {name: self._with_program(self._draft_for(name), program) for name in tool_facts.names()}

        def work(_progress: Progress) -> Reference:
            return reference(probe_host(), drafts, root, sessions)

        self._looking.ask(work, self._page.show_reference, name="looking at the tools", on_error=self._controller.fail)

    def look_again(self) -> None:
        """After something was installed."""
        forget_host()
        self.look()

    def _with_program(self, draft: Draft, program: str) -> Draft:
        """Where the record page has no program yet, the one in the window's header."""
        if draft.target.binary or draft.target.attach or not program:
            return draft
        return replace(draft, target=replace(draft.target, binary=program))

    def _sessions_changed(self) -> None:
        if self._page.isVisible():
            self.look()

    def _use_tool(self, name: str) -> None:
        self._controller.state.set_page(Page.RECORD)
        self._use(name)


def reference(host: Host, drafts: dict[str, Draft], root: Path, sessions: tuple[SessionRow, ...]) -> Reference:
    """What is known of every tool; may ask perf and reads the binary's facts, so in a thread."""
    from tailflame.parse.formats import FORMATS  # late: a start has no use for the readers

    tools = tuple(
        _of(tool, drafts.get(tool.name, Draft()), host, root, sessions) for tool in tool_facts.tool_choices(host)
    )
    targets = [draft.target for draft in drafts.values() if draft.target.binary]
    return Reference(
        tools,
        tuple(sorted((known.title for known in FORMATS), key=str.casefold)),
        _name(targets[0]) if targets else "",
    )


def _of(tool: ToolChoice, draft: Draft, host: Host, root: Path, sessions: tuple[SessionRow, ...]) -> ToolReference:
    last = next((row for row in sessions if row.tool == tool.title and row.readable), None)
    try:
        wish = record_facts.wish_of(draft, host)
        command, to_copy = (wish.plan(place).command_line for place in (root / record_facts.SESSION, Path()))
    except TailflameError as problem:
        return ToolReference(tool=tool, problem=problem.sentence, last=last)
    return ToolReference(tool=tool, command_line=command, to_copy=to_copy, last=last)


def _name(target: TargetDraft) -> str:
    name = Path(target.binary).name
    return f"{name}, process {target.pid}" if target.pid is not None else name
