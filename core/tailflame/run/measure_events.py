"""What happens while something is measured, step by step."""

from __future__ import annotations

from dataclasses import dataclass

from tailflame.analyse.verdict import Verdict
from tailflame.model.iteration import Iteration, Step


@dataclass(frozen=True, slots=True)
class StepStarted:
    step: Step


@dataclass(frozen=True, slots=True)
class StepProgress:
    """stage: a word for what is done now; elapsed_s: of the step; words: what came on its output, "" for nothing."""

    step: Step
    stage: str
    elapsed_s: float
    words: str = ""


@dataclass(frozen=True, slots=True)
class StepEnded:
    step: Step


@dataclass(frozen=True, slots=True)
class Told:
    """Something to know about the measurement as a whole."""

    text: str
    fix: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Done:
    """The end. verdict: against the baseline, None where there is none. broken: bounds that do not hold."""

    iteration: Iteration
    verdict: Verdict | None
    broken: tuple[str, ...] = ()


MeasureEvent = StepStarted | StepProgress | StepEnded | Told | Done
