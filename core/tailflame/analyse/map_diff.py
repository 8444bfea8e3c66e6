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
    """maps: those that both have, in the order of the later run. alone: names that only one has. longer: by what the
    later run took longer than the earlier one, 1 for as long; None where that is not known.
    """

    maps: tuple[MapChange, ...]
    alone_before: tuple[str, ...] = ()
    alone_after: tuple[str, ...] = ()
    longer: float | None = None

    @property
    def sentence(self) -> str:
        """What they have in common."""
        if not self.maps:
            return "The two runs have no map in common."
        if self.longer is None:
            return "Counts of the two runs as they are: a longer or busier run has more of everything."
        if abs(self.longer - 1) < _AS_LONG:
            return "Counts of the two runs, which took about as long: a busier run has more of everything."
        which, times = ("later", self.longer) if self.longer > 1 else ("earlier", 1 / self.longer)
        return f"Counts of the two runs as they are: the {which} one took {times:,.1f} times as long."


_AS_LONG = 0.05
"""A share that runs of one length differ by: they are started and stopped by hand."""


def compare_maps(
    before: ProbeMaps, after: ProbeMaps, *, took_s: tuple[float | None, float | None] = (None, None)
) -> MapsChange:
    """Maps are paired by name; those whose values mean different things are not. took_s: how long each run was."""
    old = {one.name: one for one in before.maps}
    paired = [one for one in after.maps if one.name in old and _alike(old[one.name], one)]
    names = {one.name for one in paired}
    return MapsChange(
        tuple(_compared(old[one.name], one) for one in paired),
        tuple(one.name for one in before.maps if one.name not in names),
        tuple(one.name for one in after.maps if one.name not in names),
        took_s[1] / took_s[0] if took_s[0] and took_s[1] else None,
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
