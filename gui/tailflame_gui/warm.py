"""What the window needs only later is imported later, in a thread, so that it starts within a second.

The views of results and of live runs, their plots and the readers of all formats take longer to import than all the
rest. Nothing is made of them here: that is for the window's own thread.
"""

from __future__ import annotations

from importlib import import_module

from tailflame.errors import TailflameError
from tailflame_gui import tasks

RESULTS = ("tailflame.parse.formats", "tailflame_gui.views.result_view")
COMPARISONS = (
    "tailflame_gui.views.compare_view",
    "tailflame_gui.views.compared_parts",
    "tailflame_gui.views.latency_comparison",
)
LIVE = ("tailflame_gui.live_wiring",)
RECIPES = ("tailflame_gui.recipes_controller",)
LOOP = ("tailflame_gui.loop_controller", "tailflame_gui.views.loop_page")


def load(names: tuple[str, ...]) -> None:
    """Imports modules, in whatever thread it is called."""
    for name in names:
        import_module(name)


def begin() -> None:
    """Imports everything in the background."""
    work = tasks.in_thread(lambda _progress: load(RESULTS + COMPARISONS + LIVE))
    tasks.spawn(work, name="importing the other views", on_error=_told_where_used)


def _told_where_used(_error: TailflameError) -> None:
    """What cannot be imported fails again, and is told, where somebody wants it."""
