"""Bundles that were dropped or named: brought into the library in a thread, and shown."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tailflame.model.iteration import Iteration
from tailflame.store.bundle import Unpacked, read_bundle
from tailflame.units import count
from tailflame_gui import tasks
from tailflame_gui.controller import Controller
from tailflame_gui.state import Page


def bring(controller: Controller, show: Callable[[Iteration], object], path: Path) -> None:
    """All of what a bundle holds, or nothing; `show` is given its newest measurement, if it has any."""
    job = controller.jobs.start(f"Unpacking {path.name}")
    library = controller.library

    async def run() -> None:
        unpacked = await tasks.run_job(job, lambda progress: read_bundle(path, library, progress=progress))
        controller.refresh_library()
        controller.say(f"{path.name} is in the library: {_words(unpacked)}.")
        if unpacked.iterations:
            show(max(unpacked.iterations, key=lambda one: one.started_at))
        elif len(unpacked.sessions) == 1:
            controller.open_file(unpacked.sessions[0].path)
        else:
            controller.state.set_page(Page.LIBRARY)

    controller.spawn(run(), f"unpacking {path.name}")


def _words(unpacked: Unpacked) -> str:
    parts = []
    for many, one, several in (
        (len(unpacked.iterations), "measurement", "measurements"),
        (len(unpacked.sessions), "session", "sessions"),
    ):
        if many:
            parts.append(f"{count(many)} {one if many == 1 else several}")
    return " with ".join(parts) or "it holds nothing"
