"""What two scrapes of an endpoint, one after the other, say of the time between them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import pairwise

from tailflame.model.live import Reading, Said, Status, Update
from tailflame.parse.prometheus_series import PERCENTILES, Kind, Series, interpolated, percentile_name
from tailflame.units import nanoseconds

GONE_AFTER = 60
"""Scrapes in a row without it after which a series is gone and no gap any more: labels come and go."""
_KEPT = 2000
"""Series whose last scrape is remembered."""
_RATES = {"": "/s", "B": "B/s", "ns": ""}
"""Seconds per second are a pure number: the share of a CPU, of a lock."""


class ScrapeReadings:
    """Remembers the scrape before."""

    def __init__(self) -> None:
        self._before: dict[str, Series] = {}
        self._before_s: float | None = None
        self._told: dict[str, str] = {}
        """Unit by reading's name, of all that there have been: without an answer they are gaps."""
        self._absent: dict[str, int] = {}
        self._said: set[str] = set()
        self._away = False

    def of(self, series: Sequence[Series], at_s: float, interval_s: float, *, restarted: bool = False) -> list[Update]:
        """The readings of a scrape at `at_s`, an interval after the one before (or the first)."""
        updates: list[Update] = []
        if restarted or any(_fell(one, self._before.get(one.title)) for one in series):
            # What it had counted when it ended is lost, so this interval has no rates.
            self._before = {}
            updates.append(Said(text="The counters have begun anew: the program behind the endpoint has restarted."))
        if self._away:  # for so long a time a rate would be no reading of this interval
            self._before, self._before_s, self._away = {}, None, False
        start = self._before_s if self._before_s is not None else at_s - interval_s
        length = max(at_s - start, 1e-6)
        readings: list[Reading] = []

        def tell(name: str, value: float | None, unit: str) -> None:
            counted = value is not None and math.isfinite(value)
            self._told[name] = unit
            readings.append(
                Reading(
                    series=name,
                    start_s=start,
                    length_s=length,
                    value=value if counted else None,
                    unit=unit,
                    status=Status.COUNTED if counted else Status.EMPTY,
                )
            )

        for one in series:
            before = self._before.get(one.title)
            match one.kind:
                case Kind.GAUGE:
                    tell(one.title, one.value, one.unit)
                case Kind.COUNTER:
                    scale = 1e9 if one.unit == "ns" else 1.0
                    rate = None if before is None else (one.value - before.value) / length / scale
                    if before is not None or one.title in self._told:
                        tell(one.title, rate, _RATES[one.unit])
                case Kind.SUMMARY | Kind.HISTOGRAM:
                    if one.kind is Kind.SUMMARY:
                        updates += self._say_of_summary(one)
                        for quantile, value in _window(one, before):
                            tell(f"{one.title} {percentile_name(quantile)}", value, one.unit)
                    elif before is not None or f"{one.title} calls" in self._told:
                        updates += self._say_of_histogram(one)
                        gained = _gained(one, before)
                        for percentile in PERCENTILES:
                            value = self._percentile(one, gained, percentile, updates)
                            tell(f"{one.title} p{percentile:g} (interpolated)", value, one.unit)
                    if one.count is not None and (before is not None or f"{one.title} calls" in self._told):
                        calls = None if before is None or before.count is None else one.count - before.count
                        tell(f"{one.title} calls", None if calls is None else calls / length, "/s")
                        if one.sum is not None:
                            whole = None if before is None or before.sum is None else one.sum - before.sum
                            mean = whole / calls if whole is not None and calls else None
                            tell(f"{one.title} mean", mean, one.unit)
        updates += readings
        present = {reading.series for reading in readings}
        absent = [name for name in self._told if name not in present]
        updates += self._gaps(absent, start, length)
        self._absent = {name: self._absent.get(name, 0) + 1 for name in absent}
        for name, times in self._absent.items():
            if times >= GONE_AFTER:
                del self._told[name]
        self._before = {one.title: one for one in series[:_KEPT]}
        self._before_s = at_s
        return updates

    def none(self, at_s: float, interval_s: float) -> list[Update]:
        """Gaps: nothing answered at `at_s`."""
        self._away = True
        return list(self._gaps(self._told, at_s - interval_s, interval_s))

    def forget(self, metric: str) -> None:
        """Its readings are no gaps any more, but unwanted."""
        own = (f"{metric}{{", f"{metric} ")
        self._told = {name: unit for name, unit in self._told.items() if name != metric and not name.startswith(own)}

    def _gaps(self, names: Iterable[str], start_s: float, length_s: float) -> Iterable[Reading]:
        for name in names:
            yield Reading(
                series=name,
                start_s=start_s,
                length_s=length_s,
                value=None,
                unit=self._told[name],
                status=Status.EMPTY,
            )

    def _percentile(
        self, one: Series, gained: tuple[tuple[float, float], ...], percentile: float, updates: list[Update]
    ) -> float | None:
        calls = gained[-1][1] if gained else 0.0
        if calls * (100 - percentile) < 100 * (1 - 1e-9):  # the p99 of fewer than 100 calls is no more than a guess
            return None
        quantile = interpolated(gained, percentile / 100)
        if quantile is None:
            return None
        if math.isinf(quantile.high):
            highest = _shown(quantile.low, one.unit)
            updates += self._say(
                f"beyond {one.title}",
                f"Percentiles of {one.title} lie above its highest bucket, {highest}: they are drawn there,"
                " and are longer in truth.",
                "Give the histogram higher buckets.",
            )
        return quantile.value

    def _say_of_summary(self, one: Series) -> list[Update]:
        return self._say(
            "summary",
            f"Quantiles of summaries ({one.metric}) are the exporter's own, over a window that rolls (60 s with"
            " metrics-exporter-prometheus): they follow late, and cannot be merged. Calls and means are of the"
            " interval.",
        )

    def _say_of_histogram(self, one: Series) -> list[Update]:
        bounds = [bound for bound, _ in one.buckets if math.isfinite(bound)]
        if not bounds:
            return []
        widths = [high / low for low, high in pairwise(bounds) if low > 0]
        step = f", each up to {max(widths):.3g} times the one before" if widths else ""
        return self._say(
            f"histogram {one.metric}",
            f"Percentiles of {one.metric} are interpolated within its {len(bounds)} buckets"
            f" ({_shown(bounds[0], one.unit)} to {_shown(bounds[-1], one.unit)}{step}), and are off by a bucket's width"
            " at most. One for which an interval has too few calls is left out.",
        )

    def _say(self, key: str, text: str, fix: str = "") -> list[Update]:
        if key in self._said:
            return []
        self._said.add(key)
        return [Said(text=text, fix=fix)]


def _window(one: Series, before: Series | None) -> Iterable[tuple[float, float | None]]:
    """(quantile, value) of a summary. metrics-exporter-prometheus prints 0 for a window without a call."""
    if before is None or before.count is None or one.count is None:
        idle = all(value == 0 for _, value in one.quantiles)
    else:
        idle = one.count == before.count
    for quantile, value in one.quantiles:
        yield quantile, None if idle and value == 0 else value


def _gained(one: Series, before: Series | None) -> tuple[tuple[float, float], ...]:
    """What each bucket, up to its bound, has gained."""
    if before is None:
        return ()
    then = dict(before.buckets)
    return tuple((bound, count - then.get(bound, 0.0)) for bound, count in one.buckets)


def _fell(one: Series, before: Series | None) -> bool:
    if before is None:
        return False
    if one.kind is Kind.COUNTER:
        return one.value < before.value
    return one.count is not None and before.count is not None and one.count < before.count


def _shown(value: float, unit: str) -> str:
    return nanoseconds(value) if unit == "ns" else f"{value:g} {unit}".rstrip()
