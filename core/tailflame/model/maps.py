"""What a bpftrace program leaves: its maps, and what it printed."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


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
    """One key of a map. key: its parts, () for a map without keys. values: one number, or count, average and total."""

    key: tuple[str, ...]
    values: tuple[float, ...] = ()
    buckets: tuple[Bucket, ...] = ()


@dataclass(frozen=True, slots=True)
class ProbeMap:
    """A map as it was printed last. name: "@calls"."""

    name: str
    kind: MapKind
    rows: tuple[MapRow, ...]


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
