"""What the live screen shows of its sources and of the run, as plain data."""

from __future__ import annotations

from dataclasses import dataclass

from tailflame_gui.rows import Level


@dataclass(frozen=True, slots=True)
class SourceRow:
    """One source of the run. `name` is its own, unique and stable; `state` a sentence that says what it does now."""

    name: str
    title: str
    state: str
    on: bool = True
    level: Level = Level.OK
    """OK: it works. NOTE: off, waiting, or caught up late. WARNING: behind, or loses events. ERROR: it has failed."""
    fix: str = ""
    """What to do about it."""
    can_switch: bool = True


@dataclass(frozen=True, slots=True)
class RunLine:
    """The run itself: "order-book, pid 8812, attached". `ended` is how it ended, "" while it runs."""

    title: str
    detail: str = ""
    attached: bool = True
    """It runs on after we leave; False: we started it."""
    cost: str = ""
    """Our own cost: "0.6% CPU, 84 MB"."""
