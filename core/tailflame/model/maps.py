"""What a bpftrace program leaves: its maps, and what it printed."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

STACK = "stack"
"""The kind of a key that is a call stack: its frames, the outermost first, one a line."""


class MapKind(StrEnum):
    """How the values of a map are to be read."""

    VALUES = "values"  # one number per key: count(), sum(), min(), max(), avg()
    STATS = "stats"  # count, average and total per key: stats()
    HIST = "hist"  # powers of two
    LHIST = "lhist"  # steps of one width


@dataclass(frozen=True, slots=True)
class Bucket:
    """[low, high] of a histogram, both inclusive; None where it is open at that end."""

    low: int | None
    high: int | None
    count: int


@dataclass(frozen=True, slots=True)
class MapRow:
    """One key of a map. key: its parts, () for a map without keys. values: one number, or count, average and total;
    none where the map holds something else, which `text` says as it was printed.
    """

    key: tuple[str, ...]
    values: tuple[int | float, ...] = ()
    buckets: tuple[Bucket, ...] = ()
    text: str = ""

    @property
    def number(self) -> float:
        """What the row is sorted and compared by: its value, the total of stats, the count of a histogram."""
        if self.buckets:
            return sum(bucket.count for bucket in self.buckets)
        return self.values[-1] if self.values else 0


@dataclass(frozen=True, slots=True)
class ProbeMap:
    """A map as it was printed last. name: "@calls".

    title, unit and keys are what a recipe says of it: in words, "calls" or "ns" or "bytes" for its values, and the kind
    of each part of a key ("syscall", "thread", STACK, "text"); "" and () where nobody tells.
    """

    name: str
    kind: MapKind
    rows: tuple[MapRow, ...]
    title: str = ""
    unit: str = ""
    keys: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        return self.title or self.name

    @property
    def total(self) -> float:
        return sum(row.number for row in self.rows)


@dataclass(frozen=True, slots=True)
class ProbeMaps:
    """All maps of a run. text: what it printed beside them, as it came. lost: events the kernel dropped, None unknown.

    recipe: the recipe it was, "" for a program of one's own; program: its text.
    """

    maps: tuple[ProbeMap, ...] = ()
    text: str = ""
    lost: int | None = None
    probes: int | None = None
    recipe: str = ""
    program: str = ""

    def named(self, name: str) -> ProbeMap | None:
        return next((one for one in self.maps if one.name == name), None)
