"""What a live source is."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Protocol, runtime_checkable

from tailflame.model.live import Update


class LiveSource(Protocol):
    """Looks at one running program, made for its pid or its file.

    `updates()` yields `Armed` first, then whatever it sees, and ends when there is nothing more to see (the target has
    ended). What keeps it from working is raised as a TailflameError with its fix, and ends this source alone. Closing
    the generator (`aclose`, or cancelling whoever iterates it) takes every probe, tracer and child process away before
    it returns, and leaves the target as it was. It runs in asyncio's loop or Qt's, never blocks it (asyncio.to_thread),
    and starts no bare task.
    """

    @property
    def name(self) -> str:
        """Unique among the sources of a run, stable, for files and the command line: "counters", "probe"."""

    @property
    def title(self) -> str:
        """For people: "Function probe"."""

    def updates(self) -> AsyncGenerator[Update, None]: ...


@runtime_checkable
class Finishing(Protocol):
    """A source that has something to hand over at its end: a file that its tool completes, a table.

    After `finish()` its `updates` yield that and end by themselves; closing the generator instead loses it.
    """

    def finish(self) -> None: ...


@runtime_checkable
class Watching(Protocol):
    """A source that hears what the others tell."""

    def watch(self, update: Update) -> None:
        """In the loop, for each update of another source: must return at once."""


@runtime_checkable
class Deferring(Protocol):
    """A source that leaves unread what its budget does not allow."""

    def read_until(self, time_s: float) -> None:
        """Reads what is of before that time, whatever it costs: somebody wants to see it."""


@runtime_checkable
class Choosing(Protocol):
    """A source that offers further series by `Found`."""

    def choose(self, name: str, unit: str = "") -> None:
        """Tells that series too, from the next interval on. ValueError for a unit that is none."""
