"""Writes a result in a form that others read: the flame graph as it is shown, its stacks, a picture."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

from PySide6.QtGui import QGuiApplication, QImage
from PySide6.QtWidgets import QWidget

from tailflame.analyse.sample_filter import filtered
from tailflame.errors import StoreError
from tailflame.model import Caution
from tailflame.report import firefox, folded, pprof, speedscope, svg
from tailflame_gui import tasks
from tailflame_gui.controller import Controller
from tailflame_gui.dialogs.files import choose_target
from tailflame_gui.rows import Level, Notice, Offer
from tailflame_gui.state import OpenResult
from tailflame_gui.views.flame_view import FlameView

Work = Callable[[], tuple[Caution, ...]]

FORMS = {
    "svg": ("SVG", ".svg"),
    "png": ("PNG", ".png"),
    "png@2x": ("PNG", "@2x.png"),
    "folded": ("folded stacks", ".folded"),
    "speedscope": ("speedscope JSON", ".speedscope.json"),
    "firefox": ("Firefox Profiler JSON", ".profile.json.gz"),
    "pprof": ("pprof", ".pb.gz"),
}
"""(words, suffix) of each kind of file."""


def suggested(result: OpenResult, kind: str, folder: Path) -> Path:
    """A file name from the tab's title, in `folder`."""
    stem = re.sub(r"[^\w.+-]+", "_", result.title).strip("._") or "result"
    return folder / f"{stem}{FORMS[kind][1]}"


class Exporter:
    """Asks where to, writes in a thread, says where it is."""

    def __init__(self, controller: Controller, window: QWidget) -> None:
        self._controller = controller
        self._window = window
        self._folder = Path.cwd() if Path.cwd() != Path("/") else Path.home()

    def ask(self, kind: str, result: OpenResult, view: FlameView) -> None:
        words = FORMS[kind][0]
        choose_target(
            self._window,
            f"Export as {words}",
            suggested(result, kind, self._folder),
            lambda target: self.write(kind, result, view, target),
        )

    def write(self, kind: str, result: OpenResult, view: FlameView, target: Path) -> None:
        self._folder = target.parent
        try:
            work = _work(kind, result, view, target)
        except StoreError as error:
            self._controller.fail(error)
            return
        job = self._controller.jobs.start(f"Writing {target.name}")

        async def run() -> None:
            cautions = await tasks.run_job(job, lambda _progress: work())
            words = " ".join(caution.text for caution in cautions)
            self._controller.state.notify(
                Notice(
                    Level.OK,
                    f"{target} is written. {words}".strip(),
                    offers=(Offer("Copy the path", lambda: _copy(target)),),
                    seconds=None if words else 10.0,
                )
            )

        self._controller.spawn(run(), f"writing {target.name}")


def _work(kind: str, result: OpenResult, view: FlameView, target: Path) -> Work:
    """What a thread is to do. Pictures are painted here: only the window's own thread may."""
    recording = result.recording
    tree, profile = view.tree, recording.profile if recording else None
    if recording is None or profile is None or tree is None:
        raise StoreError("There is no flame graph to export yet.", advice="Wait until it is drawn.")
    options, title, order = view.options, result.title, view.settings.order
    if kind in ("png", "png@2x"):
        return partial(_save, view.image(2 if kind == "png@2x" else 1), target)
    if kind == "folded":
        return partial(folded.write, tree, target)
    if kind == "svg":
        name = profile.events[options.event].name
        return _quiet(partial(svg.write, tree, target, event_name=name, title=title, order=order))
    # What the views show: the range of time, the threads and the expression that are chosen.
    part = partial(filtered, profile, replace(options.samples, threads=options.threads))
    meta, event, weight = recording.meta, options.event, options.weight
    if kind == "pprof":
        return lambda: pprof.write(part(), target, meta=meta)
    if kind == "firefox":
        return lambda: firefox.write(part(), target, name=title, meta=meta, event=event, weight=weight)
    return _quiet(lambda: speedscope.write(part(), target, name=title, event=event, weight=weight))


def _quiet(write: Callable[[], None]) -> Work:
    """For writers that have nothing to add."""

    def work() -> tuple[Caution, ...]:
        write()
        return ()

    return work


def _save(image: QImage, target: Path) -> tuple[Caution, ...]:
    if not image.save(str(target)):
        raise StoreError(f"{target} cannot be written.", advice="Choose another folder, or make room.")
    return ()


def _copy(target: Path) -> None:
    QGuiApplication.clipboard().setText(str(target))
