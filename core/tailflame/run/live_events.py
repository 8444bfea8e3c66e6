"""What a live run tells."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import TypeAlias

from tailflame.errors import TailflameError
from tailflame.live.permission import Permission
from tailflame.live.source import LiveSource
from tailflame.model.live import Update
from tailflame.run.outcome import Outcome
from tailflame.run.process import Output


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveTarget:
    """The running program, as sources need to know it."""

    pid: int
    binary: Path | None
    """None where the kernel does not tell (another user's process)."""
    out: Path
    """The folder that files may be written to."""
    permission: Permission
    """Starts the tools that need one."""
    stdout: Path | None = None
    """Where a launched program's own words go; None for one that was attached to."""
    stderr: Path | None = None

    @property
    def launched(self) -> bool:
        return self.stdout is not None

    @property
    def image(self) -> Path | None:
        """The file that holds its code: what the kernel has mapped, once it runs. One that stands before its exec is
        still our starter, so there it is the program's file.
        """
        return self.binary if self.launched else Path(f"/proc/{self.pid}/exe")


@dataclass(frozen=True, slots=True)
class SourceWish:
    """A source that is to run: made anew whenever it is switched on. `make` may raise TailflameError."""

    name: str
    title: str
    make: Callable[[LiveTarget], LiveSource]


class SourceState(StrEnum):
    STARTING = "starting"
    ON = "on"
    ENDING = "ending"
    OFF = "off"
    """Switched off."""
    ENDED = "ended"
    """It has nothing more to see: the target has ended, or its own time is up."""
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class SourceChanged:
    """A source began, is armed, ended, or failed with `error`."""

    name: str
    title: str
    state: SourceState
    error: TailflameError | None = None


@dataclass(frozen=True, slots=True)
class SourceTold:
    """What a source saw."""

    name: str
    update: Update


@dataclass(frozen=True, slots=True)
class LiveStarted:
    """The target is known; launched ones stand still until their sources are armed."""

    pid: int
    argv: tuple[str, ...]
    launched: bool


@dataclass(frozen=True, slots=True)
class LiveContinued:
    """Every source that was asked for is armed or has failed, and the target runs. `time_s` is CLOCK_MONOTONIC."""

    time_s: float


@dataclass(frozen=True, slots=True)
class LiveFinished:
    """The end, always the last event. `target` is how the program ended; None where it lives on."""

    target: Outcome | None
    seconds: float
    artifacts: Mapping[str, Path] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def sentence(self) -> str:
        """As a person says it."""
        return self.target.sentence if self.target is not None else "detached; the program runs on"


LiveEvent: TypeAlias = LiveStarted | LiveContinued | SourceChanged | SourceTold | Output | LiveFinished
