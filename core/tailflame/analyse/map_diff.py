"""What changed between two runs of a bpftrace program: each key's number before and after.

The figures are counts and sums of two runs of whatever length: nothing here says that a difference means something.
"""

from __future__ import annotations

from dataclasses import dataclass

from tailflame.model.maps import MapKind, ProbeMap, ProbeMaps


@dataclass(frozen=True, slots=True)
class KeyChange:
    """None where a side does not have the key."""

    key: tuple[str, ...]
    before: float | None
    after: float | None

    @property
    def difference(self) -> float:
        return (self.after or 0) - (self.before or 0)

    @property
    def change(self) -> float | None:
        """Relative: 0.15 is 15 % more. None where there is nothing to relate to."""
        return self.difference / self.before if self.before and self.after is not None else None


@dataclass(frozen=True, slots=True)
class MapChange:
    """`map` is the later one: its titles and unit. rows: the largest difference first."""

    map: ProbeMap
    rows: tuple[KeyChange, ...]
    before: float
    after: float


@dataclass(frozen=True, slots=True)
class MapsChange:
    """maps: those that both have, in the order of the later run. alone: names that only one has."""

    maps: tuple[MapChange, ...]
    alone_before: tuple[str, ...] = ()
    alone_after: tuple[str, ...] = ()

    @property
    def sentence(self) -> str:
        """What they have in common."""
        if not self.maps:
            return "The two runs have no map in common."
        return "Counts of the two runs as they are: a longer or busier run has more of everything."


def compare_maps(before: ProbeMaps, after: ProbeMaps) -> MapsChange:
    """Maps are paired by name; those whose values mean different things are not."""
    old = {one.name: one for one in before.maps}
    paired = [one for one in after.maps if one.name in old and _alike(old[one.name], one)]
    names = {one.name for one in paired}
    return MapsChange(
        tuple(_compared(old[one.name], one) for one in paired),
        tuple(one.name for one in before.maps if one.name not in names),
        tuple(one.name for one in after.maps if one.name not in names),
    )


def _alike(one: ProbeMap, other: ProbeMap) -> bool:
    histograms = (MapKind.HIST, MapKind.LHIST)
    return one.unit == other.unit and (one.kind is other.kind or (one.kind in histograms and other.kind in histograms))


def _compared(before: ProbeMap, after: ProbeMap) -> MapChange:
    old = {row.key: row.number for row in before.rows}
    new = {row.key: row.number for row in after.rows}
    rows = [KeyChange(key, old.get(key), new.get(key)) for key in {**new, **old}]
    rows.sort(key=lambda row: (-abs(row.difference), -max(row.before or 0, row.after or 0), row.key))
    return MapChange(after, tuple(rows), sum(old.values()), sum(new.values()))
