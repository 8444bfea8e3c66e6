"""From measurements in a library to what a report is made of."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from statistics import median

from tailflame.analyse.bounds import Limit, broken
from tailflame.analyse.hotspots import hotspots
from tailflame.analyse.metrics import is_counted, metrics_of
from tailflame.analyse.pitfalls import pitfalls
from tailflame.analyse.verdict import judge
from tailflame.errors import StoreError
from tailflame.model import Recording
from tailflame.model.iteration import Iteration
from tailflame.report.measurement import MeasurementReport, Side, differences
from tailflame.run.judging import recordings_of, usual_goal
from tailflame.run.measured_plan import bounds_of, plan_differences
from tailflame.store import Library


def report_of(
    library: Library,
    after: Iteration,
    before: Iteration | None = None,
    *,
    goal: str = "",
    wanted: float | None = None,
    bounds: tuple[Limit, ...] | None = None,
) -> MeasurementReport:
    """Reads every recording of both: seconds, so in a thread. goal, wanted, bounds: `after`'s own where they are not
    given.
    """
    later = side_of(library, after)
    metrics = metrics_of(later.recordings, fixed_work=after.fixed_work)
    limits = broken(bounds_of(after) if bounds is None else bounds, metrics)
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
    different = (*differences(earlier, later), *plan_differences(before, after))
    return MeasurementReport(
        title=f"{name}: measurement {after.number} against {before.number}",
        after=later,
        before=earlier,
        verdict=verdict,
        broken=limits,
        different=different,
        notes=(*different, *spoilt),
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
                commands.append((step.title, shlex.join(manifest.tool_argv)))
    return Side(iteration, recordings_of(iteration, library), tuple(commands))


def hottest(recordings: Sequence[Recording], number: int = 3) -> tuple[tuple[str, float], ...]:
    """The functions with the most CPU time: (name, share of the time, the median of the repetitions' CPU profiles)."""
    profiles = [one.profile for one in recordings if one.profile is not None and not is_counted(one)]
    shares: dict[str, list[float]] = {}
    for profile in profiles:
        table = hotspots(profile)
        for at in table.hottest(len(table)):
            shares.setdefault(table.key[at], []).append(float(table.self_weight[at]) / (table.total or 1.0))
    medians = [(name, median(found + [0.0] * (len(profiles) - len(found)))) for name, found in shares.items()]
    return tuple(sorted((one for one in medians if one[1] > 0), key=lambda one: -one[1])[:number])
