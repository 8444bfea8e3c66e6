"""What the loop page shows, as plain data."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from tailflame.analyse.verdict import Verdict
from tailflame.model.iteration import Iteration, Step


class Phase(StrEnum):
    """Where in the loop one is."""

    PLAN = "Plan"
    BASELINE = "Baseline"
    HOTSPOTS = "Hotspots"
    CHANGE = "Change"
    MEASURE = "Measure"
    VERDICT = "Verdict"


class When(StrEnum):
    """The three checklists."""

    BEFORE = "Before the change"
    DURING = "While you look"
    AFTER = "After the change"


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """A point of a checklist. evidence: what shows it is done, "" where nothing does; by_hand: only its user can know,
    and ticks it.
    """

    key: str
    when: When
    text: str
    evidence: str = ""
    by_hand: bool = False
    ticked: bool = False

    @property
    def is_done(self) -> bool:
        return bool(self.evidence) or self.ticked


@dataclass(frozen=True, slots=True, eq=False)
class LoopView:
    """Everything on the page. project: the folder with the plan; problem: why there is no plan, with its fix.

    iterations: newest first; baseline: the id of the baseline; verdict: of `shown` against it, None where there is no
    other; more: how many more repetitions of both would settle it, 0 where that is not known, or where they cannot be
    made any more.
    hotspots: the three functions with the most CPU time of the shown measurement, (name, share).
    """

    project: str = ""
    plan: str = ""
    problem: str = ""
    fix: str = ""
    iterations: tuple[Iteration, ...] = ()
    baseline: str = ""
    shown: Iteration | None = None
    verdict: Verdict | None = None
    more: int = 0
    hotspots: tuple[tuple[str, float], ...] = ()
    points: tuple[Point, ...] = ()
    notes: tuple[str, ...] = field(default_factory=tuple)

    @property
    def phase(self) -> Phase:
        if not self.plan and not self.iterations:
            return Phase.PLAN
        if not self.baseline:
            return Phase.BASELINE
        if self.shown is not None and self.shown.id != self.baseline:
            return Phase.VERDICT if self.verdict is not None else Phase.MEASURE
        return Phase.CHANGE if self.hotspots else Phase.HOTSPOTS


@dataclass(frozen=True, slots=True)
class RunningStep:
    """A step as it runs or has ended. stage: a word for what is done now."""

    step: Step
    stage: str = ""
    elapsed_s: float = 0.0


LOOKED = "looked"
"""Ticked, in a measurement, by whoever opens its CPU profile."""
POINTS: tuple[tuple[str, When, str, bool], ...] = (
    ("baseline", When.BEFORE, "A baseline is recorded", False),
    ("release", When.BEFORE, "It is a release build with symbols", False),
    ("committed", When.BEFORE, "The tree is committed", False),
    ("samples", When.BEFORE, "Five repetitions or more", False),
    ("quiet", When.BEFORE, "Nothing else runs on the machine", True),
    ("cpu", When.DURING, "The flame graph is analysed", False),
    ("caches", When.DURING, "Caches and branches are profiled", False),
    ("heap", When.DURING, "Memory is profiled", False),
    ("latency", When.DURING, "Latencies, without a profiler", False),
    ("top", When.DURING, "The top three hotspots are understood", True),
    ("tests", When.AFTER, "The tests pass", False),
    ("verdict", When.AFTER, "There is a verdict with enough data", False),
    ("gain", When.AFTER, "The goal is better by what was wanted", False),
    ("worse", When.AFTER, "Nothing else got worse", False),
    ("written", When.AFTER, "What was learnt is written down", True),
)
"""(key, checklist, text, only by hand)."""
