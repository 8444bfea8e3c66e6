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
    """The target has ended, or the tool has let go of it; the tool writes what it holds, and its result is made."""


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
    """How far it is. `samples` counts the records in the file, and is an estimate where it says so.

    samples, lost: None for a tool that takes no samples; then `bytes` alone tells how it grows. step: what is done of
    its files after it has ended ("interpreting").
    """

    stage: Stage
    elapsed_s: float
    remaining_s: float | None
    bytes: int
    samples: int | None
    lost: int | None
    samples_are_estimate: bool
    step: str = ""


@dataclass(frozen=True, slots=True)
class Appeared:
    """A file that the tool has left while it goes on: a dump of the heap. It opens like any result."""

    path: Path


@dataclass(frozen=True, slots=True)
class Requested:
    """What became of a wish (`Recorder.request`): the file it left, if it leaves one, or why it could not be met."""

    name: str
    path: Path | None = None
    error: TailflameError | None = None


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
    samples: int | None
    """None, as `lost`, for a tool that takes no samples."""
    lost: int | None
    cancelled: bool = False
    error: TailflameError | None = None
    notes: tuple[str, ...] = ()
    """What else should be known: a file that was mended, children that live on."""


Event = Started | TargetStarted | Output | Progress | Observed | Appeared | Requested | Finished
