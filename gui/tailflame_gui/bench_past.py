"""What earlier runs of a project's benchmarks took, and the flame graphs they left, for the view of one run."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QObject

from tailflame.analyse.bench_history import BenchHistory, histories
from tailflame.errors import TailflameError
from tailflame.parse.criterion import flame_graphs
from tailflame.store import Library
from tailflame.store.bench_sessions import past_runs, project_flame_graphs
from tailflame_gui import tasks
from tailflame_gui.controller import Controller
from tailflame_gui.state import OpenResult
from tailflame_gui.views.benchmarks_view import BenchmarksView


def attach(view: BenchmarksView, tab: OpenResult, controller: Controller) -> None:
    """Reads both in a thread, and opens the flame graphs that are asked for."""
    view.open_flame.connect(controller.open_file)
    _Question(view, tab, controller)


class _Question(QObject):
    """Lives as long as the view that it answers."""

    def __init__(self, view: BenchmarksView, tab: OpenResult, controller: Controller) -> None:
        super().__init__(view)
        self._latest = tasks.Latest(self)
        shown, path = tab.session, tab.path
        library = controller.library if shown is None else _library_of(shown.path, controller)

        def work(_progress: tasks.Progress) -> tuple[tuple[BenchHistory, ...], dict[str, Path]]:
            if shown is None:
                return (), flame_graphs(path)
            info = library.session(shown.id)
            return histories(past_runs(library, info)), project_flame_graphs(library, info)

        self._latest.ask(
            work, lambda found: view.set_past(*found), name="reading earlier benchmarks", on_error=_left_out
        )


def _library_of(path: Path, controller: Controller) -> Library:
    return controller.library if path.parent == controller.library.root else Library(path.parent)


def _left_out(_error: TailflameError) -> None:
    """What stands beside a result is no reason to speak of."""
