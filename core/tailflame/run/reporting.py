"""From measurements in a library to what a report is made of."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from tailflame.analyse.bounds import Limit, broken
from tailflame.analyse.hotspots import hotspots
from tailflame.analyse.metrics import metrics_of
from tailflame.analyse.pitfalls import pitfalls
from tailflame.analyse.verdict import judge
from tailflame.errors import StoreError
from tailflame.model import Recording
from tailflame.model.iteration import Iteration
from tailflame.report.measurement import MeasurementReport, Side, differences
from tailflame.run.pipeline import recordings_of, usual_goal
from tailflame.store import Library


def report_of(
    library: Library,
    after: Iteration,
    before: Iteration | None = None,
    *,
    goal: str = "",
    wanted: float | None = None,
    bounds: tuple[Limit, ...] = (),
) -> MeasurementReport:
    """Reads every recording of both: seconds, so in a thread. goal, wanted: `after`'s own where they are not given."""
    later = side_of(library, after)
    metrics = metrics_of(later.recordings, fixed_work=after.fixed_work)
    limits = broken(bounds, metrics)
    spoilt = tuple(f"{one.text} {one.fix}".rstrip() for one in pitfalls(after, later.recordings))
    name = after.project.rstrip("/").rpartition("/")[2] or after.project
    if before is None:
        return MeasurementReport(title=f"{name}: measurement {after.number}", after=later, broken=limits, notes=spoilt)
    earlier = side_of(library, before)
    verdict = judge(
        metrics_of(earlier.recordings, fixed_work=after.fixed_work),
        metrics,
        goal=goal or after.goal or usual_goal(metrics),
        wanted=after.wanted if wanted is None else wanted,
    )
    return MeasurementReport(
        title=f"{name}: measurement {after.number} against {before.number}",
        after=later,
        before=earlier,
        verdict=verdict,
        broken=limits,
        notes=(*differences(before, after), *spoilt),
    )


def side_of(library: Library, iteration: Iteration) -> Side:
    """A measurement with its recordings and the commands that made them."""
    commands = []
    for step in iteration.steps:
        if step.session:
            try:
                manifest = library.session(step.session).manifest
            except StoreError:
                continue
            if manifest is not None and manifest.tool_argv:
                commands.append((f"{step.name} {step.repetition}", shlex.join(manifest.tool_argv)))
    return Side(iteration, recordings_of(iteration, library), tuple(commands))


def hottest(recordings: Sequence[Recording], number: int = 3) -> tuple[tuple[str, float], ...]:
    """The functions with the most CPU time of the first CPU profile: (name, share of the time)."""
    profile = next(
        (r.profile for r in recordings if r.profile is not None and r.profile.events and not r.profile.events[0].exact),
        None,
    )
    if profile is None:
        return ()
    table = hotspots(profile)
    whole = table.total or 1.0
    return tuple((table.key[at], float(table.self_weight[at]) / whole) for at in table.hottest(number))
