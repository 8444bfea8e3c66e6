"""A PromQL query, asked again and again of a Prometheus server: the way from one host to many.

histogram_quantile(0.99, sum by (le) (rate(order_seconds_bucket[1m])))
"""

from __future__ import annotations

import asyncio
import json
import math
import re
import time
import urllib.parse
from collections.abc import AsyncGenerator, Mapping
from typing import Any

from tailflame.errors import ParseError, ToolFailed
from tailflame.live.fetch import NoPage, address, fetch, shown
from tailflame.live.lifetime import Lifetime
from tailflame.live.scrape_readings import GONE_AFTER
from tailflame.model.live import Armed, Reading, Said, Status, Update
from tailflame.parse.log_line import NS
from tailflame.parse.prometheus_series import unit_of

SERIES_LIMIT = 100
_BODY_LIMIT = 16 << 20
_BACK_OFF_S = 5.0
_TIMEOUT_S = 10.0
_QUANTILE = re.compile(r"histogram_quantile\s*\(")
_METRIC = re.compile(r"[a-zA-Z_:][\w:]*")


class PrometheusQuery:
    """Asks one server one query (`LiveSource`): a reading per series of the answer."""

    name = "query"
    title = "Prometheus query"

    def __init__(
        self,
        base_url: str,
        query: str,
        *,
        interval_s: float = 5.0,
        unit: str | None = None,
        pid: int | None = None,
    ) -> None:
        """
        base_url: of the server, as in a browser: "http://prometheus:9090".
        query: PromQL that gives an instant vector or a scalar.
        unit: of the answer: "s", "ms", "us" and "ns" give readings in ns; "" is a pure number. None takes it from
            the metric's name where the answer is a time for certain: histogram_quantile(…) of seconds, or the metric.
        pid: whose end ends this source; None never ends.

        Raises ParseError where `base_url` is none, or the query is empty. ValueError for a unit that is none.
        """
        if unit and unit not in NS:
            raise ValueError(f"“{unit}” is no unit of time: ns, us, ms or s")
        if not query.strip():
            raise ParseError("The query is empty.", advice="Enter PromQL, such as up or rate(requests_total[1m]).")
        self._base = address(base_url, path="").rstrip("/")
        self._query = query.strip()
        self._interval_s = interval_s
        self._unit, self._scale = _unit_of_query(self._query) if unit is None else _unit_chosen(unit)
        self._guessed = unit is None
        self._pid = pid
        self._told: dict[str, str] = {}
        self._absent: dict[str, int] = {}
        self._failing = ""
        self._answered = False
        self._said: set[str] = set()
        self._before_s: float | None = None

    async def updates(self) -> AsyncGenerator[Update, None]:
        """Raises ToolFailed where the server refuses the query: it would do so for ever."""
        lifetime = Lifetime(self._pid)
        try:
            yield Armed(detail=f"{shown(self._base)}: {self._query}")
            failures = 0
            while not lifetime.ended:
                began = time.monotonic()
                updates, answered = await asyncio.to_thread(self._ask)
                for update in updates:
                    yield update
                failures = 0 if answered else failures + 1
                pause = self._interval_s
                if not answered:
                    pause = min(2.0 ** min(failures - 1, 10), _BACK_OFF_S, max(self._interval_s, 0.25))
                await lifetime.wait(began + pause)
        finally:
            lifetime.close()

    def _ask(self) -> tuple[list[Update], bool]:
        """In a thread: the readings, and whether there was an answer."""
        form = urllib.parse.urlencode({"query": self._query}).encode()
        url = f"{self._base}/api/v1/query"
        page = fetch(url, accept="application/json", timeout_s=_TIMEOUT_S, limit=_BODY_LIMIT, form=form)
        if isinstance(page, NoPage):
            answer = _object(page.body)
            if answer.get("errorType") == "bad_data":
                raise ToolFailed(
                    f"Prometheus refuses the query: {answer.get('error')}.",
                    advice="Try it in Prometheus' own page first.",
                    details=self._query,
                )
            reason = str(answer.get("error") or page.reason)
            return self._failed(reason, page.asked_s), False
        answer = _object(page.text)
        data = answer.get("data")
        if answer.get("status") != "success" or not isinstance(data, dict):
            reason = str(answer.get("error") or "what answers there is not a Prometheus server")
            return self._failed(reason, page.asked_s), False
        updates: list[Update] = []
        if self._failing:
            self._failing = ""
            updates += [Said(text=f"{shown(self._base)} answers again.")] if self._answered else []
        self._answered = True
        warnings = answer.get("warnings")
        for warning in warnings if isinstance(warnings, list) else ():
            updates += self._say(f"Prometheus warns: {warning}.")
        return [*updates, *self._readings(data, page.asked_s)], True

    def _readings(self, data: Mapping[str, Any], asked_s: float) -> list[Update]:
        kind, result = data.get("resultType"), data.get("result")
        if kind == "scalar":
            series: list[tuple[Mapping[str, str], Any]] = [({}, result)]
        elif kind == "vector" and isinstance(result, list):
            series = [(row.get("metric", {}), row.get("value")) for row in result if isinstance(row, dict)]
        else:
            what = "a range of time" if kind == "matrix" else f"a {kind}"
            raise ToolFailed(
                f"The query gives {what}, and no value for now.",
                advice="Put a function around it, such as rate(…) or avg_over_time(…).",
                details=self._query,
            )
        start = self._before_s if self._before_s is not None else asked_s - self._interval_s
        length = max(asked_s - start, 1e-6)
        self._before_s = asked_s
        updates: list[Update] = []
        if len(series) > SERIES_LIMIT:
            updates += self._say(f"The query gives {len(series):,} series: the first {SERIES_LIMIT} are shown.")
        values: dict[str, float] = {}
        present: set[str] = set()
        for labels, pair in series[:SERIES_LIMIT]:
            value = _number(pair)
            name, unit, scale = self._named(labels)
            self._told[name] = unit
            present.add(name)
            if value is not None:
                values[name] = value * scale
        if not series:
            updates += self._say("The query gives no series (yet): nothing matches it.")
        updates += [_reading(name, unit, start, length, values.get(name)) for name, unit in self._told.items()]
        self._absent = {name: self._absent.get(name, 0) + 1 for name in self._told if name not in present}
        for name, times in self._absent.items():
            if times >= GONE_AFTER:
                del self._told[name]
        return updates

    def _named(self, labels: Mapping[str, str]) -> tuple[str, str, float]:
        """(name, unit, scale) of a series of the answer."""
        metric = labels.get("__name__", "")
        rest = ",".join(f'{name}="{value}"' for name, value in sorted(labels.items()) if name != "__name__")
        unit, scale = self._unit, self._scale
        if self._guessed and metric and not metric.endswith(("_total", "_count", "_bucket")):
            unit, scale = unit_of(metric.removesuffix("_sum"))
        return (f"{metric}{{{rest}}}" if rest else metric or self._query), unit, scale

    def _failed(self, reason: str, asked_s: float) -> list[Update]:
        updates: list[Update] = []
        if reason != self._failing:
            self._failing = reason
            tail = "" if self._answered else " It is tried again until it does."
            updates.append(
                Said(
                    text=f"{shown(self._base)} does not answer the query: {reason}.{tail}",
                    fix="Check the address, and that Prometheus runs there.",
                )
            )
        self._before_s = None
        start = asked_s - self._interval_s
        return [*updates, *(_reading(name, unit, start, self._interval_s, None) for name, unit in self._told.items())]

    def _say(self, text: str) -> list[Update]:
        if text in self._said or len(self._said) > 20:
            return []
        self._said.add(text)
        return [Said(text=text)]


def _reading(name: str, unit: str, start_s: float, length_s: float, value: float | None) -> Reading:
    status = Status.EMPTY if value is None else Status.COUNTED
    return Reading(series=name, start_s=start_s, length_s=length_s, value=value, unit=unit, status=status)


def _number(pair: Any) -> float | None:
    """The value in `[1435781451.781, "0.25"]`; None for NaN and infinities, which are answers without a value."""
    try:
        value = float(pair[1])
    except (TypeError, ValueError, IndexError, KeyError):
        return None
    return value if math.isfinite(value) else None


def _object(text: str) -> Mapping[str, Any]:
    try:
        answer = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return answer if isinstance(answer, dict) else {}


def _unit_chosen(unit: str) -> tuple[str, float]:
    return ("ns", NS[unit]) if unit else ("", 1.0)


def _unit_of_query(query: str) -> tuple[str, float]:
    """A quantile has the unit of what it is taken of, unless something is done to it (`... * 1000`). Of other queries
    (rates, ratios, counts) nothing is certain."""
    if (match := _QUANTILE.match(query)) is None or _closing(query, match.end()) != len(query) - 1:
        return "", 1.0
    units = (unit_of(word.removesuffix("_bucket")) for word in _METRIC.findall(query))
    return next((pair for pair in units if pair[0]), ("", 1.0))


def _closing(query: str, start: int) -> int:
    """Where the parenthesis closes inside which `start` is; quoted ones count as well: then nothing is certain."""
    depth = 1
    for place in range(start, len(query)):
        depth += {"(": 1, ")": -1}.get(query[place], 0)
        if not depth:
            return place
    return -1
