"""One turn of the loop: everything that was measured of one state of a program, step by step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

DEBUG_INFO, SYMBOLS = "debug information", "symbols, but no lines"
WITH_SYMBOLS = frozenset({DEBUG_INFO, SYMBOLS})
"""What the environment of a measurement says of its program under "symbols", where it has some."""


class StepState(StrEnum):
    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One run of one step. name: "test", "build", or what is measured: "cpu", "counters", "caches", "heap", "latency",
    "probes", "syscalls", "benches". repetition: from 1 on; 0 for a step that is not repeated. repetitions: how many
    of it the plan asks for, 0 where that was not written down. session: the id of the session that holds its result, ""
    for none. problem: why it failed or was skipped, a sentence; fix: what to do about
    it.
    """

    name: str
    tool: str = ""
    repetition: int = 0
    repetitions: int = 0
    state: StepState = StepState.WAITING
    session: str = ""
    problem: str = ""
    fix: str = ""
    seconds: float = 0.0

    @property
    def title(self) -> str:
        """ "cpu 3 of 5", "heap", "test"."""
        if self.repetition == 0 or self.repetitions == 1:
            return self.name
        return f"{self.name} {self.repetition}" + (f" of {self.repetitions}" if self.repetitions else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Iteration:
    """id: sortable by time, unique in a profiles folder. number: from 1 on within a project.

    goal: the key of the metric that is judged, wanted: the least improvement that is kept. fixed_work: see
    analyse.metrics. environment: facts of the machine and the build by name ("rustc", "governor", "load").
    baseline: the id of the iteration that it was judged against, "" for none; decision and sentence: that verdict's.
    """

    id: str
    number: int
    project: str
    binary: str
    started_at: datetime
    finished_at: datetime | None = None
    goal: str = ""
    wanted: float = 0.10
    fixed_work: bool = False
    commit: str = ""
    branch: str = ""
    dirty: bool = False
    state: str = ""
    """The code itself, also where changes on one commit follow each other; "" in no repository."""
    note: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)
    steps: tuple[Step, ...] = ()
    baseline: str = ""
    decision: str = ""
    sentence: str = ""
    goal_values: tuple[float, ...] = ()
    """The goal's figure of each repetition, for the history."""
    goal_unit: str = ""
    checked: tuple[str, ...] = ()
    """Points of the checklists that were ticked by hand."""
    program: str = ""
    """The SHA-256 of the program that was measured, by which it is kept here; "" where it is not."""
    plan: str = ""
    """What the plan said then; "" of a measurement from elsewhere."""

    @property
    def measured(self) -> bool:
        """Whether anything of it is there."""
        return any(step.session and step.state is StepState.DONE for step in self.steps)

    @property
    def is_finished(self) -> bool:
        return self.finished_at is not None
