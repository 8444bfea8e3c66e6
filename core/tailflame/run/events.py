"""What a recording tells while it runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from tailflame.errors import TailflameError
from tailflame.host.processes import ProcessSample
from tailflame.run.outcome import Outcome
from tailflame.run.process import Output


class Stage(StrEnum):
    STARTING = "starting"
    BUILDING = "building"
    RECORDING = "recording"
    STOPPING = "stopping"
    FINISHING = "finishing"
    """The target has ended; the tool writes what it holds."""


@dataclass(frozen=True, slots=True)
class Started:
    """The tool runs. `argv` is the exact command line, the guard in front included."""

    pid: int
    argv: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TargetStarted:
    """The target runs, and its time counts from here on."""

    pid: int


@dataclass(frozen=True, slots=True)
class Progress:
    """How far it is. `samples` counts the records in the file, and is an estimate where it says so."""

    stage: Stage
    elapsed_s: float
    remaining_s: float | None
    bytes: int
    samples: int
    lost: int
    samples_are_estimate: bool


@dataclass(frozen=True, slots=True)
class Observed:
    """What the target and its children use."""

    sample: ProcessSample


@dataclass(frozen=True, slots=True)
class Finished:
    """The end, always the last event. `error` is set where the recording, not the target, failed.

    `artifacts` holds the files that are there, what the target wrote among them (roles "stdout" and "stderr", where it
    wrote anything); there may be something to open also where there is an error.
    """

    target: Outcome
    tool: Outcome
    artifacts: Mapping[str, Path]
    result: Path | None
    """The file to open; None after a cancel and where nothing was recorded."""
    samples: int
    lost: int
    cancelled: bool = False
    error: TailflameError | None = None
    notes: tuple[str, ...] = ()
    """What else should be known: a file that was mended, children that live on."""


Event = Started | TargetStarted | Output | Progress | Observed | Finished
