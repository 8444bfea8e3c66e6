"""What is good and what is bad in a counter, in words: the targets that are drawn as bands."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from tailflame.model.counter_ratios import PART, SIMULATED
from tailflame.units import reading


class Level(StrEnum):
    GOOD = "good"
    OK = "ok"
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class Bands:
    """Targets of one series. Where `high_is_good`, at or above `good` is good and below `bad` is bad; else the other
    way round. Two equal targets leave nothing in between.
    """

    good: float
    bad: float
    high_is_good: bool
    unit: str
    good_words: str
    ok_words: str
    bad_words: str

    def level(self, value: float) -> Level:
        if self.high_is_good:
            return Level.GOOD if value >= self.good else Level.BAD if value < self.bad else Level.OK
        return Level.GOOD if value < self.good else Level.BAD if value >= self.bad else Level.OK

    @property
    def target(self) -> str:
        """ "target: above 2", "target: under 5%"."""
        figure = f"{self.good:g}{self.unit}"
        return f"target: {'above' if self.high_is_good else 'under'} {figure}"


@dataclass(frozen=True, slots=True)
class Judgement:
    level: Level
    words: str


def _misses(what: str, cost: str) -> Bands:
    return Bands(
        good=5.0,
        bad=5.0,
        high_is_good=False,
        unit="%",
        good_words=f"few {what} miss",
        ok_words="",
        bad_words=f"many {what} miss: {cost}",
    )


_IPC = Bands(
    good=2.0,
    bad=1.0,
    high_is_good=True,
    unit="",
    good_words="the processor is well used",
    ok_words="the processor waits at times",
    bad_words="the processor waits most of the time, usually for memory",
)
_MEMORY = "data does not stay near; look at its layout and at the order of accesses"
_BRANCHES = "guesses go wrong; look at branches that depend on data"

BANDS: dict[str, Bands] = {
    "IPC": _IPC,
    "cache miss rate": _misses("cache references", _MEMORY),
    "L1d load miss rate": _misses("loads from L1", _MEMORY),
    "LLC load miss rate": _misses("loads from the last level cache", _MEMORY),
    "branch miss rate": _misses("branches", _BRANCHES),
    f"{SIMULATED}D1 miss rate": _misses("simulated loads and stores in L1", _MEMORY),
    f"{SIMULATED}LL miss rate": _misses("simulated references in the last level cache", _MEMORY),
    f"{SIMULATED}branch miss rate": _misses("simulated branches", _BRANCHES),
}


def bands_of(series: str) -> Bands | None:
    """The targets of a series or of a part of it ("IPC, cpu_core"); None where there are none."""
    return BANDS.get(series.partition(PART)[0])


def judge(series: str, value: float) -> Judgement | None:
    """What a value of a series means; None where there is no target for it, or no value (NaN)."""
    bands = bands_of(series)
    if bands is None or value != value:
        return None
    level = bands.level(value)
    words = {Level.GOOD: bands.good_words, Level.OK: bands.ok_words, Level.BAD: bands.bad_words}[level]
    return Judgement(level, f"{series} {reading(value, bands.unit)}: {words} ({bands.target}).")
