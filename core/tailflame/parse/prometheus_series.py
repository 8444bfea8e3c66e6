"""What an exporter tells of each of its series, read from its text with the Prometheus project's own parser.

Times become nanoseconds: a metric's name ends with its unit (`_seconds`), which is the convention of every exporter.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from prometheus_client import Metric

PERCENTILES = (50.0, 90.0, 95.0, 99.0, 99.9, 99.99)
"""Of classic histograms, whose buckets tell any."""
TEXT_LIMIT = 32 << 20
"""Bytes of the longest text; a node exporter with everything on writes less than 1 MB."""

_MOST_NS = 1e17
"""Three years. A larger time is a point in time (process_start_time_seconds), told in seconds since 1970."""

_UNITS = (
    ("_seconds", "ns", 1e9),
    ("_milliseconds", "ns", 1e6),
    ("_ms", "ns", 1e6),
    ("_microseconds", "ns", 1e3),
    ("_us", "ns", 1e3),
    ("_nanoseconds", "ns", 1.0),
    ("_ns", "ns", 1.0),
    ("_bytes", "B", 1.0),
)
_COUNTER_TYPE = re.compile(r"^#[ \t]+TYPE[ \t]+(\S+)[ \t]+counter[ \t]*\r?$", re.MULTILINE)


class Kind(StrEnum):
    COUNTER = "counter"
    GAUGE = "gauge"
    SUMMARY = "summary"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """One metric with one set of labels, at the moment of the text. Values in `unit`."""

    metric: str
    """As the exporter names it: "trading_stage_seconds"."""
    labels: str
    """'stage="total"', sorted by name; "" for none."""
    kind: Kind
    unit: str
    """ "ns", "B" or ""."""
    value: float = math.nan
    """Of a counter or a gauge."""
    quantiles: tuple[tuple[float, float], ...] = ()
    """(0 to 1, value) of a summary, ascending."""
    buckets: tuple[tuple[float, float], ...] = ()
    """(upper bound, calls up to it since the program's start) of a classic histogram, ascending."""
    count: float | None = None
    """Calls since the program's start, of a summary or a histogram."""
    sum: float | None = None

    @property
    def title(self) -> str:
        """As people and PromQL write it: 'trading_stage_seconds{stage="total"}'."""
        return f"{self.metric}{{{self.labels}}}" if self.labels else self.metric


@dataclass(frozen=True, slots=True)
class Quantile:
    """An interpolated value, and what is known for sure: that it lies between `low` and `high`."""

    value: float
    low: float
    high: float
    """Infinite where the value lies above the highest bucket; `value` is then `low`."""


def read_series(text: str, *, openmetrics: bool = False) -> tuple[Series, ...]:
    """Every counter, gauge, summary and classic histogram of the text, in its order.

    Native histograms stand in no text; states and infos are no measurements. ValueError where it is no such text.
    """
    # A whole web server comes with the parser: not for every start of the command line.
    from prometheus_client.openmetrics import parser as openmetrics_parser
    from prometheus_client.parser import text_string_to_metric_families

    parse = openmetrics_parser.text_string_to_metric_families if openmetrics else text_string_to_metric_families
    # The parser for plain text knows every counter with "_total", also one that has it not.
    plain = frozenset() if openmetrics else frozenset(_COUNTER_TYPE.findall(text))
    found: dict[tuple[str, str], Series] = {}
    try:
        for metric in parse(text):
            _read_metric(metric, plain, found)
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, OverflowError) as problem:
        raise ValueError("it is not the text of a Prometheus exporter") from problem
    return tuple(found.values())


def unit_of(metric: str) -> tuple[str, float]:
    """(unit, what one of the exporter's is in it): ("ns", 1e9) for "x_seconds" and "x_seconds_total"."""
    name = metric.removesuffix("_total")
    return next(((unit, scale) for suffix, unit, scale in _UNITS if name.endswith(suffix)), ("", 1.0))


def percentile_name(quantile: float) -> str:
    """ "p99.9" for 0.999, "min" and "max" for 0 and 1."""
    if quantile in (0, 1):
        return "max" if quantile else "min"
    return f"p{quantile * 100:.10g}"


def interpolated(buckets: Sequence[tuple[float, float]], quantile: float) -> Quantile | None:
    """A percentile of a classic histogram, as PromQL's histogram_quantile has it: linear within the bucket. None
    without any call, or without the bucket "+Inf".

    https://github.com/prometheus/prometheus/blob/v2.42.0/promql/quantile.go (bucketQuantile)
    """
    if len(buckets) < 2 or buckets[-1][0] != math.inf:
        return None
    counts: list[float] = []
    for _, count in buckets:  # a scrape in the middle of an update, or float errors of rates: they never fall
        counts.append(max(count, counts[-1]) if counts else count)
    if not counts[-1] > 0:
        return None
    rank = quantile * counts[-1]
    place = next((i for i, count in enumerate(counts[:-1]) if count >= rank), len(counts) - 1)
    if place == len(counts) - 1:
        highest = buckets[-2][0]
        return Quantile(highest, highest, math.inf)
    high = buckets[place][0]
    if place == 0:
        if high <= 0:
            return Quantile(high, -math.inf, high)
        low, before = 0.0, 0.0
    else:
        low, before = buckets[place - 1][0], counts[place - 1]
    return Quantile(low + (high - low) * (rank - before) / (counts[place] - before), low, high)


def _read_metric(metric: Metric, plain_counters: frozenset[str], found: dict[tuple[str, str], Series]) -> None:
    kind = metric.type
    if kind == "unknown" and metric.name.endswith("_total"):
        kind = "counter"
    for sample in metric.samples:
        name, value = sample.name, float(sample.value)
        match kind:
            case "counter":
                if name.endswith("_created"):
                    continue
                if name.removesuffix("_total") in plain_counters and name not in plain_counters:
                    name = name.removesuffix("_total")
                _put(found, Kind.COUNTER, name, sample.labels, "value", value)
            case "gauge" | "unknown":
                _put(found, Kind.GAUGE, name, sample.labels, "value", value)
            case "summary" | "histogram":
                part = name.removeprefix(metric.name)
                if part in ("_count", "_sum"):
                    _put(found, Kind(kind), metric.name, sample.labels, part[1:], value)
                elif part == "" and kind == "summary" and "quantile" in sample.labels:
                    _put(found, Kind.SUMMARY, metric.name, sample.labels, "quantile", value)
                elif part == "_bucket" and kind == "histogram" and "le" in sample.labels:
                    _put(found, Kind.HISTOGRAM, metric.name, sample.labels, "le", value)


def _put(
    found: dict[tuple[str, str], Series], kind: Kind, name: str, labels: Mapping[str, str], part: str, value: float
) -> None:
    unit, scale = unit_of(name)
    text = _label_text((key, label) for key, label in labels.items() if key != part)
    key = (name, text)
    series = found.get(key) or Series(metric=name, labels=text, kind=kind, unit=unit)
    match part:
        case "value" if kind is Kind.GAUGE and unit == "ns" and value * scale > _MOST_NS:
            found[key] = replace(series, value=value * scale / 1e9, unit="s")
        case "value":
            found[key] = replace(series, value=value * scale)
        case "count":
            found[key] = replace(series, count=value)
        case "sum":
            found[key] = replace(series, sum=value * scale)
        case "quantile":
            pair = (float(labels["quantile"]), value * scale)
            found[key] = replace(series, quantiles=tuple(sorted((*series.quantiles, pair))))
        case "le":
            pair = (float(labels["le"]) * scale, value)
            found[key] = replace(series, buckets=tuple(sorted((*series.buckets, pair))))


def _label_text(labels: Iterable[tuple[str, str]]) -> str:
    def quoted(value: str) -> str:
        return value.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')

    return ",".join(f'{name}="{quoted(value)}"' for name, value in sorted(labels))
