"""Ranges of a continuous profile: one is a flame graph in a tab of its own, two are a comparison."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from tailflame.errors import StoreError
from tailflame.model import Caution, Meta, Recording
from tailflame.model.slices import SliceFigures
from tailflame_gui import opening, tasks
from tailflame_gui.controller import Controller
from tailflame_gui.state import OpenComparison, OpenResult
from tailflame_gui.tasks import Progress

Span = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Strip:
    """Slices that can be cut. `cut` makes the recording of a range, in a thread; `zero_s` is what its axis calls 0."""

    title: str
    path: Path
    zero_s: float
    cut: Callable[[Span], Recording]

    def words(self, span: Span) -> str:
        return f"{span[0] - self.zero_s:.1f} to {span[1] - self.zero_s:.1f} s"


def of_result(tab: OpenResult) -> Strip | None:
    """The slices of a result; None where it has none."""
    recording = tab.recording
    if recording is None or recording.slices is None or recording.slice_profile is None:
        return None
    zero = recording.live.began_s if recording.live is not None else recording.slices.first_s
    return Strip(tab.title, tab.path, zero, partial(_cut, recording))


def of_folder(folder: Path, title: str, rows: tuple[SliceFigures, ...], zero_s: float) -> Strip:
    """The slices of a recording that goes on, read from its folder."""
    return Strip(title, folder, zero_s, partial(_read, folder, rows))


def open_range(controller: Controller, strip: Strip, start_s: float, end_s: float) -> OpenResult:
    """The flame graph of a range."""
    span = (start_s, end_s)
    words = strip.words(span)
    tab = OpenResult(f"{strip.title}, {words}", path=strip.path.with_name(f"{strip.path.name} {words}"))

    def fill() -> None:
        job = controller.jobs.start(f"Cutting {words} out of {strip.title}")
        tab.loading(job)

        async def run() -> None:
            tab.ready(await tasks.run_job(job, lambda _progress: strip.cut(span)), title=tab.title, session=None)

        controller.into_tab(tab, job, run(), "cutting a range of slices")

    tab.again = fill
    controller.state.results.add(tab)
    fill()
    return tab


def compare_ranges(controller: Controller, strip: Strip, before: Span, after: Span) -> OpenComparison:
    """What changed from one range to another."""
    tab = OpenComparison(f"{strip.title}, {strip.words(before)}", strip.words(after))

    def fill() -> None:
        job = controller.jobs.start(f"Comparing two ranges of {strip.title}")
        tab.loading(job)

        def work(progress: Progress) -> tuple[Recording, Recording, object]:
            one, other = strip.cut(before), strip.cut(after)
            progress(0.5)
            assert one.profile is not None and other.profile is not None
            return one, other, opening.compared(one.profile, other.profile)

        async def run() -> None:
            one, other, made = await tasks.run_job(job, work)
            tab.ready(one, other, made)  # type: ignore[arg-type]

        controller.into_tab(tab, job, run(), "comparing two ranges")

    tab.again = fill
    controller.state.comparisons.add(tab)
    fill()
    return tab


def open_range_of(controller: Controller, tab: OpenResult, start_s: float, end_s: float) -> None:
    """Of a result: from its slices, unless a CPU recording beside them knows the range better."""
    recording, strip = tab.recording, of_result(tab)
    if strip is None or recording is None:
        controller.open_range(tab, start_s, end_s)
        return
    if recording.profile is not recording.slice_profile and recording.profile is not None:
        from tailflame.analyse.time_range import between

        if between(recording.profile, start_s, end_s).total():
            controller.open_range(tab, start_s, end_s)
            return
    open_range(controller, strip, start_s, end_s)


def compare_ranges_of(controller: Controller, tab: OpenResult, before: Span, after: Span) -> None:
    strip = of_result(tab)
    if strip is not None:
        compare_ranges(controller, strip, before, after)


def _cut(recording: Recording, span: Span) -> Recording:
    from tailflame.analyse.time_range import between

    slices, profile = recording.slices, recording.slice_profile
    assert slices is not None and profile is not None
    rows = [row for row in slices.rows if span[0] <= row.start_s + row.length_s / 2 < span[1]]
    if not rows:
        raise _nothing()
    part = between(profile, rows[0].start_s, rows[-1].end_s)
    meta = replace(recording.meta, duration_s=sum(row.length_s for row in rows), lost=None)
    return replace(recording, results=(part,), meta=meta, warnings=())


def _read(folder: Path, rows: tuple[SliceFigures, ...], span: Span) -> Recording:
    from tailflame.analyse.slices import merge, within
    from tailflame.store.slice_store import load_chosen

    inside = [row for row in rows if span[0] <= row.start_s + row.length_s / 2 < span[1]]
    chosen = [row for row in inside if not row.waiting]
    left = len(inside) - len(chosen)
    parts = load_chosen(folder, chosen)
    if not parts:
        raise _nothing()
    return Recording(
        tool="perf",
        format="slices",
        source=str(folder),
        results=(merge([within(part.profile, part.start_s, part.length_s) for part in parts]),),
        meta=Meta(duration_s=sum(part.length_s for part in parts)),
        warnings=(Caution(_left_out(left, len(inside)), "Open the range again in a moment."),) if left else (),
    )


def _left_out(left: int, of: int) -> str:
    """ "1 of 5 slices was not read yet, and is left out."""
    was = "was not read yet, and is left out" if left == 1 else "were not read yet, and are left out"
    return f"{left} of {of} slices {was}."


def _nothing() -> StoreError:
    return StoreError("No slice that is read lies in this range.", advice="Select at least one whole slice.")
