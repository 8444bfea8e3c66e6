"""The text of a Prometheus exporter, saved to a file: `curl http://127.0.0.1:9000/metrics > metrics.txt`.

One moment: counters and means are since the program's start, gauges as they were.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator

from tailflame.errors import ParseError
from tailflame.model import Caution, CounterSeries, Recording
from tailflame.model.live import Reading, Status
from tailflame.parse.prometheus_series import (
    PERCENTILES,
    TEXT_LIMIT,
    Kind,
    Series,
    interpolated,
    percentile_name,
    read_series,
)
from tailflame.parse.registry import NO
from tailflame.parse.source import Source, decode_head

_TYPE = re.compile(
    r"^# TYPE [a-zA-Z_:][\w:]* (?:counter|gauge|summary|histogram|untyped|unknown|info|stateset|gaugehistogram)\s*$",
    re.MULTILINE,
)
_HELP = re.compile(r"^# HELP [a-zA-Z_:][\w:]*(?: |$)", re.MULTILINE)
_VALUE = r"[-+]?(?:\d[\d.eE+\-]*|\.\d+|Inf|inf|NaN|nan)"
_LABELS = r"\{(?:[a-zA-Z_]\w*=\"(?:[^\"\\\n]|\\.)*\",?\s*)*\}"
_SAMPLE = re.compile(rf"[a-zA-Z_:][\w:]*\s*({_LABELS})?\s*{_VALUE}(?:\s+-?[\d.]+)?(?:\s*#.*)?\s*")


class PrometheusText:
    name = "prometheus"
    title = "Prometheus metrics (text)"

    def sniff(self, head: bytes, name: str) -> float:
        text = decode_head(head)
        if _TYPE.search(text):
            return 0.9
        lines = [line for line in text.split("\n") if line.strip()]
        if not text.endswith("\n"):
            lines = lines[:-1] or lines  # the last may be cut off
        plain = [match for line in lines if not line.startswith("#") for match in [_SAMPLE.fullmatch(line)]]
        if not plain or not all(plain):
            return NO
        if _HELP.search(text):
            return 0.8
        # "name 12" is a folded stack of one frame as well.
        return 0.6 if any(match is not None and match[1] for match in plain) else NO

    def load(self, source: Source) -> Recording:
        text = source.text(TEXT_LIMIT)
        cautions = []
        openmetrics = text.rstrip().endswith("# EOF")
        if not text.endswith("\n") and not openmetrics:
            # Nobody can tell "12" from the beginning of "1234".
            text = text[: text.rfind("\n") + 1]
            cautions.append(Caution("The last line has no end and is left out.", "The file may have been cut off."))
        series = _series(text, source.name, openmetrics)
        if any(one.kind is Kind.SUMMARY for one in series):
            cautions.append(
                Caution(
                    "Quantiles of summaries are the exporter's own, over a window that it chooses (60 s with"
                    " metrics-exporter-prometheus), and cannot be merged."
                )
            )
        if any(one.kind is Kind.HISTOGRAM for one in series):
            cautions.append(
                Caution(
                    "Percentiles of histograms are interpolated within their buckets, and are off by a bucket's width"
                    " at most."
                )
            )
        readings = CounterSeries.of_readings(reading for one in series for reading in _readings(one))
        return Recording(tool="", format=self.name, source=source.name, results=(readings,), warnings=tuple(cautions))


PROMETHEUS_TEXT = PrometheusText()


def _series(text: str, name: str, openmetrics: bool) -> tuple[Series, ...]:
    line = None
    try:
        series = read_series(text, openmetrics=openmetrics)
    except ValueError:
        lines = enumerate(text.split("\n"), 1)
        line = next((n for n, s in lines if s.strip() and s[:1] != "#" and not _SAMPLE.fullmatch(s)), None)
        series = ()
    if not series:
        where = "" if line is None else f", line {line}"
        raise ParseError(
            f"{name}{where}: it holds no metric that can be read.",
            source=name,
            line=line,
            advice="Save what the exporter answers, for example: curl -s http://HOST:PORT/metrics > metrics.txt",
        )
    return series


def _readings(one: Series) -> Iterator[Reading]:
    if one.kind in (Kind.COUNTER, Kind.GAUGE):
        yield _reading(one.title, one.value, one.unit)
        return
    for quantile, value in one.quantiles:
        # metrics-exporter-prometheus prints 0 where its window had no call.
        idle = not any(value for _, value in one.quantiles)
        yield _reading(f"{one.title} {percentile_name(quantile)}", None if idle else value, one.unit)
    if one.kind is Kind.HISTOGRAM:
        for percentile in PERCENTILES:
            known = interpolated(one.buckets, percentile / 100)
            yield _reading(
                f"{one.title} p{percentile:g} (interpolated)", None if known is None else known.value, one.unit
            )
    if one.count is not None:
        yield _reading(f"{one.title} calls", one.count, "")
        if one.sum is not None:
            yield _reading(f"{one.title} mean", one.sum / one.count if one.count else None, one.unit)


def _reading(name: str, value: float | None, unit: str) -> Reading:
    if value is None or not math.isfinite(value):
        return Reading(series=name, start_s=0.0, length_s=0.0, value=None, unit=unit, status=Status.EMPTY)
    return Reading(series=name, start_s=0.0, length_s=0.0, value=value, unit=unit)
