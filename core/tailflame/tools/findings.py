"""What would spoil a recording, as data."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum


class Level(IntEnum):
    """How much it matters; a BLOCKER makes the recording fail or come out empty."""

    OK = 0
    NOTE = 1
    WARNING = 2
    BLOCKER = 3


@dataclass(frozen=True, slots=True)
class Finding:
    """`title` is one short sentence, `detail` what it means for the result, `fix` what to do (may be empty).

    `fix_argv` is the fix as a command, where one command is the whole fix. Nothing here ever runs it.
    """

    level: Level
    title: str
    detail: str = ""
    fix: str = ""
    fix_argv: tuple[str, ...] = ()
