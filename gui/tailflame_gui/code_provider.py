"""Gives the source view of a result what it asks for: files, machine code, lines. It is the view's way to the disk."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import shiboken6
from PySide6.QtCore import QObject
from PySide6.QtWidgets import QWidget

from tailflame.analyse.annotate import InstructionLines
from tailflame.errors import Cancelled, TailflameError
from tailflame.host.disassembly import FunctionCode
from tailflame.host.source_files import Found, MissingSource, PathMap, SourceText
from tailflame.model import Meta
from tailflame.parse.debug_info import State
from tailflame.run.machine_code import instruction_lines, read_code, read_lines
from tailflame_gui import tasks
from tailflame_gui.controller import Controller
from tailflame_gui.dialogs.path_map import PathMapDialog
from tailflame_gui.models.source_figures import CodeQuestion, SourceQuestion
from tailflame_gui.state import OpenResult
from tailflame_gui.views.source_view import SourceView

_NO_LINES = {
    State.NO_DEBUG_INFO: "No debug information: instructions and source are not linked.",
    State.MISSING: "The binary is gone: instructions and source are not linked.",
    State.CHANGED: "The debug information is of another build: instructions and source are not linked.",
    State.TOO_LARGE: "The debug information is too large to be read: instructions and source are not linked.",
}


class CodeProvider(QObject):
    """Lives as long as its view. path_map, roots: asked anew each time; roots are where relative names begin."""

    def __init__(
        self,
        view: SourceView,
        meta: Meta,
        *,
        path_map: Callable[[], PathMap],
        roots: Callable[[], tuple[Path, ...]],
    ) -> None:
        super().__init__(view)
        self._view, self._meta = view, meta
        self._path_map, self._roots = path_map, roots
        self._source = tasks.Latest(self)
        self._code = tasks.Latest(self)
        view.answered = True
        for questions in (self._source, self._code):
            questions.busy_changed.connect(lambda _busy: view.show_busy())
        view.source_wanted.connect(self._read_source)
        view.code_wanted.connect(self._read_code)

    @property
    def busy(self) -> bool:
        return self._source.busy or self._code.busy

    def _read_source(self, question: SourceQuestion) -> None:
        path_map, roots = self._path_map(), self._roots()

        def work(_progress: tasks.Progress) -> tuple[Found, SourceText]:
            return read_lines(question.name, path_map=path_map, roots=roots, binary=question.module)

        def answer(read: tuple[Found, SourceText]) -> None:
            self._view.take_source(question, *read, None)

        def failed(error: TailflameError) -> None:
            if shiboken6.isValid(self._view):
                found = error.found if isinstance(error, MissingSource) else None
                self._view.take_source(question, found, None, error)

        if not question.other:
            self._source.ask(work, answer, name=f"reading {question.name}", on_error=failed)
            return

        async def read() -> None:
            known = await tasks.in_thread(work)
            if shiboken6.isValid(self._view):
                answer(known)

        # Text of inlined lines: their names are shown without it, so what fails is no news.
        tasks.spawn(read(), name=f"reading {question.name}", on_error=failed)

    def _read_code(self, question: CodeQuestion) -> None:
        meta, view = self._meta, self._view

        def work(progress: tasks.Progress) -> FunctionCode:
            return read_code(question.place, meta, watch=partial(progress, 0.0), symbol=question.symbol)

        def answer(code: FunctionCode) -> None:
            view.take_code(question, code, None)
            self._read_lines(question, code)

        def failed(error: TailflameError) -> None:
            if shiboken6.isValid(view):
                view.take_code(question, None, error)

        self._code.ask(work, answer, name=f"disassembling {question.place.name}", on_error=failed)

    def _read_lines(self, question: CodeQuestion, code: FunctionCode) -> None:
        """The instructions stand already; the index of a large binary takes seconds to make."""
        meta, view = self._meta, self._view

        def work(progress: tasks.Progress) -> tuple[InstructionLines | None, State]:
            return instruction_lines(code, question.place.module, meta, watch=partial(progress, 0.0))

        def answer(found: tuple[InstructionLines | None, State]) -> None:
            lines, state = found
            view.take_lines(question, lines, _NO_LINES.get(state, "") if lines is None else "")

        def failed(error: TailflameError) -> None:
            if shiboken6.isValid(view) and not isinstance(error, Cancelled):
                view.take_lines(question, None, error.sentence)

        self._code.ask(work, answer, name=f"reading lines of {question.place.name}", on_error=failed)


def attach(view: SourceView, result: OpenResult, controller: Controller, window: QWidget | None) -> None:
    """Lets a result's source view have what it asks for, and its user say where sources are."""
    recording = result.recording
    if recording is None:
        return
    CodeProvider(
        view,
        recording.meta,
        path_map=lambda: controller.settings.source_map,
        roots=partial(controller.source_bases, result),
    )
    view.map_wanted.connect(lambda missing: ask_path_map(controller, window, missing=missing, then=view.ask_again))


def ask_path_map(
    controller: Controller, window: QWidget | None, *, missing: str = "", then: Callable[[], None] | None = None
) -> PathMapDialog:
    """Lets the user change the path map; `then` is called when that is done."""
    dialog = PathMapDialog(controller.settings.source_map, missing=missing, parent=window)

    def save() -> None:
        controller.change_settings(source_map=dialog.pairs)
        if then is not None:
            then()

    dialog.accepted.connect(save)
    dialog.finished.connect(dialog.deleteLater)
    dialog.open()
    return dialog
