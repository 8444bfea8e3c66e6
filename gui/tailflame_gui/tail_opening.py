"""The tail of a live run: its slow calls against the fast ones, and what was captured when a rule was crossed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from tailflame.errors import TargetError
from tailflame.model import Caution, Recording
from tailflame_gui import tasks, warm
from tailflame_gui.controller import Controller
from tailflame_gui.state import OpenComparison, OpenResult
from tailflame_gui.tasks import Progress

if TYPE_CHECKING:
    from tailflame.analyse.diff import Comparison


def compare_slow(controller: Controller, result: OpenResult) -> None:
    """Fast calls as "before", slow calls as "after", each by its own total, in a tab of its own."""
    recording = result.recording
    if recording is None:
        return
    tab = OpenComparison(f"{result.title}, fast calls", "slow calls")

    def fill() -> None:
        job = controller.jobs.start(f"Comparing slow calls with fast ones of {result.title}")
        tab.loading(job)

        async def run() -> None:
            tab.ready(*await tasks.run_job(job, lambda progress: slow_against_fast(recording, progress)))

        controller.into_tab(tab, job, run(), "comparing slow calls with fast ones")

    tab.again = fill
    controller.state.comparisons.add(tab)
    fill()


def slow_against_fast(
    recording: Recording, _progress: Progress | None = None
) -> tuple[Recording, Recording, Comparison]:
    """In a thread. What could not be told stands with the slow side."""
    warm.load(warm.COMPARISONS)
    from tailflame.analyse.slow_calls import split, verdict

    if recording.profile is None or recording.live is None:
        raise TargetError("There is no CPU profile beside the slow calls.", advice="Record the CPU with them.")
    try:
        parts = split(recording.profile, recording.live)
    except ValueError as problem:
        raise TargetError(f"{problem}.", advice="Choose a lower threshold, or look for longer.") from None
    facts = parts.facts(rate_hz=recording.meta.rate_granted_hz)
    if not len(parts.slow.samples) or not len(parts.fast.samples):
        raise TargetError(
            "There is nothing to compare: one side has no samples.",
            advice="Look for longer, or choose another threshold.",
            details="\n".join(facts),
        )
    made = parts.compared()
    fast = replace(recording, results=(parts.fast,), warnings=())
    slow = replace(recording, results=(parts.slow,), warnings=tuple(map(Caution, facts)))
    return fast, slow, replace(made, verdict=verdict(parts, made))


def open_capture(controller: Controller, folder: Path, name: str) -> None:
    """The last seconds before a rule was crossed, as a result of their own."""
    path = folder / name
    if "/" in name or not path.is_file():
        controller.warn(f"{name} is not there any more.", "It was beside the run's own files.")
        return
    controller.open_file(path)
