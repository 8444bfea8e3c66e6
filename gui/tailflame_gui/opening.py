"""What a tab shows: read, compared and kept in a worker's thread; what that takes is imported there as well."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from tailflame.errors import ParseError
from tailflame.model import Caution, Recording, StackProfile
from tailflame.parse import Early
from tailflame.store import Library, Opened, SessionInfo, open_result
from tailflame_gui import warm
from tailflame_gui.tasks import Progress

if TYPE_CHECKING:
    from tailflame.analyse.diff import Comparison

UNREFINED = Caution("Inlined functions and source lines are still being looked up: they join in a moment.")


def opened(path: Path, library: Library, progress: Progress, *, early: Early | None = None) -> Opened:
    """A result file or a session. early: is given a first picture, with a caution that says so; see parse.load."""
    warm.load(warm.RESULTS)
    from tailflame.report import svg
    from tailflame.run.live_session import load_raw
    from tailflame.run.perf_file import mend

    def show(recording: Recording) -> None:
        if early is not None:
            early(recording.with_warnings(UNREFINED))

    read = partial(load_raw, progress=progress, early=show if early is not None else None)
    return open_result(path, library, load=read, draw=svg.write, mend=mend)


def comparable(before: Recording, after: Recording) -> bool:
    """Whether there is anything to compare beside call stacks."""
    from tailflame_gui.views.compared_parts import compared_kinds

    latencies = before.histograms is not None and after.histograms is not None
    return latencies or bool(compared_kinds(before, after))


def compared_sides(before: Recording, after: Recording, titles: tuple[str, str]) -> Comparison:
    """NotComparable where their heaps count different things, ParseError where one has no call stacks."""
    from tailflame.analyse.heap_diff import refuse_unlike

    refuse_unlike(before, after)
    left, right = (_profile(side, title) for side, title in zip((before, after), titles, strict=True))
    return compared(left, right)


def compared(before: StackProfile, after: StackProfile) -> Comparison:
    warm.load(warm.COMPARISONS)
    from tailflame.analyse.diff import compare

    return compare(before, after)


def kept(recording: Recording, library: Library, *, source: Path, binary: str) -> SessionInfo:
    """A recording that was opened as a file, or cut out of another one, as a session of its own."""
    from tailflame.report import svg

    return library.keep(recording, source=source, binary=binary, draw=svg.write, copied=source.is_file())


def _profile(recording: Recording, title: str) -> StackProfile:
    if recording.profile is None:
        raise ParseError(
            f"{title} holds no call stacks, so there is nothing to compare.",
            source=recording.source,
            advice="Compare recordings of perf, flame graphs, or folded stacks.",
        )
    return recording.profile
