"""What the pages show, as plain data: the controller makes it from core's objects, the views know nothing else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path


class Level(StrEnum):
    """How serious a notice or a finding is; always shown with a shape and a word."""

    OK = "ok"
    NOTE = "note"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Offer:
    """A button beside a sentence."""

    text: str
    act: Callable[[], None]


@dataclass(frozen=True, slots=True)
class Notice:
    """A sentence for the user, with what to do about it. `key`: a later one with the same key replaces it."""

    level: Level
    sentence: str
    advice: str = ""
    details: str = ""
    """For "copy details"; "" for none."""
    offers: tuple[Offer, ...] = ()
    key: str = ""
    on_dismiss: Callable[[], None] | None = None
    seconds: float | None = None
    """It leaves by itself after this; None: it stays until dismissed."""


@dataclass(frozen=True, slots=True)
class SessionRow:
    """One session of the library. None and "" mean "not known"."""

    id: str
    path: Path
    title: str
    binary: str
    tool: str
    state: str
    """complete, recorded, recording, failed, interrupted, unreadable."""
    started_at: datetime | None = None
    duration_s: float | None = None
    samples: int | None = None
    lost: int | None = None
    commit: str = ""
    branch: str = ""
    profile: str = ""
    outcome: str = ""
    """How the target ended, or what is wrong with the session."""
    baseline: bool = False
    project: str = ""
    """The root of the git checkout that the binary was built in."""
    binary_key: str = ""
    """What a baseline belongs to: equal for all builds of one binary."""
    group: str = ""
    """What sessions that were recorded one after the other have in common."""
    place: str = ""
    """ "2 of 4" in its group."""
    measures: str = "time"
    """ "time" (where it goes) or "latency": a binary has a baseline of each."""

    @property
    def readable(self) -> bool:
        return self.state in {"complete", "recorded", "interrupted"}

    @property
    def binary_name(self) -> str:
        return Path(self.binary).name


@dataclass(frozen=True, slots=True)
class TargetRow:
    """The program at hand, for the header line."""

    binary: str
    profile: str = ""
    commit: str = ""
    baseline: str = ""
    """Title of its baseline."""

    @property
    def name(self) -> str:
        return Path(self.binary).name


@dataclass(frozen=True, slots=True)
class FindingRow:
    """What the preflight knows of this machine, in one line, with its fix."""

    level: Level
    title: str
    detail: str = ""
    fix: str = ""
    """What to do, as a sentence."""
    command: str = ""
    """The fix as one command line, to copy."""


@dataclass(frozen=True, slots=True)
class RunRow:
    """One program that was started. `outcome` is "" while it runs."""

    number: int
    started_at: datetime
    command_line: str
    outcome: str = ""
    ok: bool | None = None
    pid: int | None = None


@dataclass(frozen=True, slots=True)
class DropRow:
    """What a drop would do: `sentence` is shown while the files hover, `works` False where nothing could be done."""

    sentence: str
    works: bool = True
    icon: str = "file"
    paths: tuple[Path, ...] = field(default=())


@dataclass(frozen=True, slots=True)
class ProgressRow:
    """How far a recording is. `samples` is an estimate where it says so; None, as `lost`, where none are taken."""

    stage: str
    """starting, building, recording, stopping, finishing."""
    elapsed_s: float
    remaining_s: float | None
    bytes: int
    samples: int | None
    lost: int | None
    samples_are_estimate: bool
    step: str = ""
    """What is done of the tool's files after it has ended: "interpreting"."""


@dataclass(frozen=True, slots=True)
class OutputRow:
    """Text that came: from the target's stdout or stderr, or from the tool itself."""

    stream: str
    text: str


@dataclass(frozen=True, slots=True)
class EndRow:
    """How a recording ended."""

    target: str
    sentence: str
    """ "killed by SIGSEGV after 12.3 s"."""
    crashed: bool
    cancelled: bool
    notes: tuple[str, ...] = ()
