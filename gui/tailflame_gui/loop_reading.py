"""What the loop page shows of a project, read from its plan and its measurements. In a thread: recordings are read."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from tailflame.analyse.verdict import Decision, Verdict
from tailflame.errors import StoreError, StoreVersionError
from tailflame.host.cargo import project_root
from tailflame.model.iteration import WITH_SYMBOLS, Iteration, StepState
from tailflame.report.measurement import MeasurementReport
from tailflame.run.plan_file import find_plan
from tailflame.run.reporting import hottest, report_of
from tailflame.store import Library
from tailflame.store.iterations import BASELINE, Iterations
from tailflame_gui.loop_model import LOOKED, POINTS, LoopView, Point

_ENOUGH = 5


def view_of(library: Library, start: Path | None, shown: str) -> LoopView:
    """Everything the page shows; reads the recordings of two measurements, so in a thread."""
    if start is None:
        return LoopView()
    iterations = Iterations(library.root)
    everywhere = iterations.all()
    path, project = _plan_of(start, frozenset(one.project for one in everywhere))
    if project is None:
        folder = start if start.is_dir() else start.parent
        return LoopView(problem=f"{folder} belongs to no cargo project.", fix="Choose the project's folder.")
    every = tuple(one for one in everywhere if one.project == str(project))
    current = next((one for one in every if one.id == shown), every[0] if every else None)
    held = _held_against(iterations, current, str(project))
    problem = iterations.problem()
    verdict: Verdict | None = None
    notes: tuple[str, ...] = ()
    hotspots: tuple[tuple[str, float], ...] = ()
    if current is not None:
        other = held if held is not None and held.id != current.id else None
        report = report_of(library, current, other)
        verdict, notes = report.verdict, (*report.broken, *report.notes)
        hotspots = hottest(report.after.recordings)
    return LoopView(
        project=str(project),
        plan=str(path) if path is not None else "",
        iterations=every,
        baseline=held.id if held is not None else "",
        shown=current,
        verdict=verdict,
        more=_more(verdict, current, held),
        hotspots=hotspots,
        points=_points(current, held, verdict),
        notes=notes if problem is None else (str(problem), *notes),
    )


def usual_project(library: Library, likely: Path | None) -> Path | None:
    """Where none was chosen: that of the program which is looked at, else the one that was measured last."""
    every = Iterations(library.root).all()
    if likely is not None and _plan_of(likely, frozenset(one.project for one in every))[1] is not None:
        return likely
    return Path(every[0].project) if every else likely


def _plan_of(start: Path, measured: frozenset[str]) -> tuple[Path | None, Path | None]:
    """The plan, and the project's folder. measured: projects that have measurements, which need not be here."""
    if str(start) in measured and not start.is_dir():
        return None, start
    folder = start if start.is_dir() else start.parent
    path = find_plan(folder)
    if path is not None:
        return path, path.parent
    root = project_root(start)
    return None, root if root is not None else folder if str(folder) in measured else None


def _held_against(iterations: Iterations, current: Iteration | None, project: str) -> Iteration | None:
    """The project's baseline; where it has none, what the measurement was held against when it was made."""
    baseline = iterations.baseline(BASELINE, project=project)
    if baseline is not None and baseline.project == project:
        return baseline
    if current is None or not current.baseline:
        return None
    try:
        return iterations.get(current.baseline)
    except StoreError:
        return None


def _more(verdict: Verdict | None, *sides: Iteration | None) -> int:
    """How many more repetitions of both settle it, where their programs are kept."""
    kept = all(side is not None and side.program and side.plan for side in sides)
    return (verdict.more_repetitions or 0) if verdict is not None and kept else 0


def report_for(library: Library, one: Iteration) -> MeasurementReport:
    held = _held_against(Iterations(library.root), one, one.project)
    return report_of(library, one, held if held is not None and held.id != one.id else None)


def first_is_baseline(library: Library, one: Iteration) -> None:
    """In a thread. The first whole measurement of a project is what later ones are held against."""
    iterations = Iterations(library.root)
    held = iterations.baseline(BASELINE, project=one.project)
    if one.is_finished and (held is None or held.project != one.project):
        with suppress(StoreVersionError):  # the page tells it of the names
            iterations.name_baseline(BASELINE, one)


def _points(one: Iteration | None, baseline: Iteration | None, verdict: Verdict | None) -> tuple[Point, ...]:
    """The checklists, with what shows each point to be done."""
    evidence: dict[str, str] = {}
    if baseline is not None:
        evidence["baseline"] = f"Measurement {baseline.number} is the baseline."
    if one is not None:
        evidence |= _of_steps(one)
        if one.commit and not one.dirty:
            evidence["committed"] = f"Commit {one.commit[:9]}."
    if verdict is not None:
        if verdict.decision is not Decision.UNDECIDED:
            evidence["verdict"] = verdict.sentence
        if verdict.decision is Decision.KEEP:
            evidence["gain"] = verdict.sentence
        if not verdict.worse and verdict.decision is not Decision.UNDECIDED:
            evidence["worse"] = "No figure got worse beyond what runs differ by."
    ticked = one.checked if one is not None else ()
    return tuple(
        Point(key=key, when=when, text=text, evidence=evidence.get(key, ""), by_hand=by_hand, ticked=key in ticked)
        for key, when, text, by_hand in POINTS
    )


def _of_steps(one: Iteration) -> dict[str, str]:
    done: dict[str, int] = {}
    for step in one.steps:
        if step.state is StepState.DONE:
            done[step.name] = done.get(step.name, 0) + 1
    evidence = {
        key: f"Measured {done[step]} {'time' if done[step] == 1 else 'times'}."
        for key, step in (("caches", "caches"), ("heap", "heap"), ("latency", "latency"))
        if done.get(step)
    }
    if LOOKED in one.checked:
        evidence["cpu"] = "Its CPU profile, or the page of a hotspot, was opened."
    if max(done.get("cpu", 0), done.get("latency", 0)) >= _ENOUGH:
        evidence["samples"] = f"{max(done.get('cpu', 0), done.get('latency', 0))} repetitions."
    symbols = one.environment.get("symbols", "")
    if symbols in WITH_SYMBOLS:
        evidence["release"] = f"A debug build is not measured; it has {symbols}."
    if done.get("test"):
        evidence["tests"] = "They passed before it was measured."
    return evidence
