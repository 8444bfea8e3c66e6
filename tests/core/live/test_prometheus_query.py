"""PromQL over HTTP: what a server answers, refuses, or does not say."""

from __future__ import annotations

import asyncio
import json
import urllib.parse
from collections.abc import Callable
from contextlib import aclosing
from typing import Any

import pytest

from helpers.loop import PATIENCE_S
from helpers.web import Answer, Question, answering
from tailflame.errors import ParseError, ToolFailed
from tailflame.live.prometheus_query import PrometheusQuery
from tailflame.model.live import Reading, Said, Status, Update

P99 = "histogram_quantile(0.99, sum by (le) (rate(order_seconds_bucket[1m])))"


def told(source: PrometheusQuery, until: Callable[[list[Update]], bool]) -> list[Update]:
    updates: list[Update] = []

    async def listen() -> None:
        async with asyncio.timeout(PATIENCE_S), aclosing(source.updates()) as stream:
            async for update in stream:
                updates.append(update)
                if until(updates):
                    return

    asyncio.run(listen())
    return updates


def answer(data: Any, **more: Any) -> Answer:
    return Answer(json.dumps({"status": "success", "data": data, **more}).encode())


def vector(*rows: tuple[dict[str, str], str]) -> Any:
    return {
        "resultType": "vector",
        "result": [{"metric": labels, "value": [1435781451.781, value]} for labels, value in rows],
    }


def readings(updates: list[Update]) -> list[Reading]:
    return [update for update in updates if isinstance(update, Reading)]


def ask(query: str, *answers: Answer, **options: Any) -> list[Update]:
    """What is told until all these answers have been given; the last one is given again."""
    asked = 0

    def next_answer(_: Question) -> Answer:
        nonlocal asked
        asked += 1
        return answers[min(asked, len(answers)) - 1]

    with answering(next_answer) as port:
        source = PrometheusQuery(f"http://127.0.0.1:{port}/prefix/", query, interval_s=0.01, **options)
        return told(source, lambda _: asked > len(answers))


def test_one_reading_per_series() -> None:
    seen: list[Question] = []
    data = vector(({"__name__": "up", "job": "a"}, "1"), ({"__name__": "up", "job": "b"}, "NaN"))
    with answering(lambda q: (seen.append(q), answer(data))[1]) as port:
        source = PrometheusQuery(f"127.0.0.1:{port}/prefix/", "up", interval_s=0.01)
        updates = told(source, lambda u: len(readings(u)) == 4)
    assert [(r.series, r.value, r.status) for r in readings(updates)] == [
        ('up{job="a"}', 1.0, Status.COUNTED),
        ('up{job="b"}', None, Status.EMPTY),
    ] * 2
    assert seen[0].path == "/prefix/api/v1/query"
    assert urllib.parse.parse_qs(seen[0].body.decode()) == {"query": ["up"]}


@pytest.mark.parametrize(
    ("query", "labels", "options", "expected"),
    [
        (P99, {}, {}, (P99, 250e6, "ns")),
        (P99, {"side": "buy"}, {}, ('{side="buy"}', 250e6, "ns")),
        (f"{P99} * 1000", {}, {}, (f"{P99} * 1000", 0.25, "")),
        (f"{P99} * 1000", {}, {"unit": "ms"}, (f"{P99} * 1000", 250e3, "ns")),
        (P99, {}, {"unit": ""}, (P99, 0.25, "")),
        ("rate(x_seconds_count[1m])", {}, {}, ("rate(x_seconds_count[1m])", 0.25, "")),
        ("x_seconds", {"__name__": "x_seconds", "quantile": "0.99"}, {}, ('x_seconds{quantile="0.99"}', 250e6, "ns")),
        ("x_seconds_count", {"__name__": "x_seconds_count"}, {}, ("x_seconds_count", 0.25, "")),
        ("x_bytes", {"__name__": "x_bytes"}, {}, ("x_bytes", 0.25, "B")),
    ],
)
def test_names_and_units(
    query: str, labels: dict[str, str], options: dict[str, str], expected: tuple[str, float, str]
) -> None:
    reading = readings(ask(query, answer(vector((labels, "0.25"))), **options))[0]
    assert (reading.series, reading.value, reading.unit) == (expected[0], pytest.approx(expected[1]), expected[2])


def test_a_scalar_and_warnings() -> None:
    data = {"resultType": "scalar", "result": [1435781451.781, "42"]}
    updates = ask("42", answer(data), answer(data, warnings=["slow"]), answer(data, warnings=["slow"]))
    assert {(r.series, r.value) for r in readings(updates)} == {("42", 42.0)}
    assert [u.text for u in updates if isinstance(u, Said)] == ["Prometheus warns: slow."]


def test_series_that_are_gone_are_gaps_and_none_is_told() -> None:
    updates = ask("up", answer(vector(({"job": "a"}, "1"))), answer(vector()), answer(vector(({"job": "b"}, "1"))))
    told_of_a = [r.value for r in readings(updates) if r.series == '{job="a"}']
    assert told_of_a[:2] == [1.0, None]
    assert any(isinstance(u, Said) and "gives no series (yet)" in u.text for u in updates)


def test_a_query_that_is_wrong_is_refused_for_good() -> None:
    error = {"status": "error", "errorType": "bad_data", "error": "1:3: parse error: unexpected end"}
    with pytest.raises(
        ToolFailed, match="Prometheus refuses the query: 1:3: parse error: unexpected end"
    ) as told_error:
        ask("up{", Answer(json.dumps(error).encode(), status=400))
    assert told_error.value.advice
    with pytest.raises(ToolFailed, match="gives a range of time"):
        ask("up[5m]", answer({"resultType": "matrix", "result": []}))
    with pytest.raises(ToolFailed, match="gives a string"):
        ask('"text"', answer({"resultType": "string", "result": [1, "text"]}))


def test_errors_that_may_pass_are_told_and_tried_again() -> None:
    error = json.dumps({"status": "error", "errorType": "timeout", "error": "query timed out"}).encode()
    good = answer(vector(({}, "1")))
    updates = ask("up", good, Answer(error, status=503), Answer(b"<html>"), Answer(b"[" * 100_000), good)
    texts = [u.text.partition(": ")[2] for u in updates if isinstance(u, Said)]
    assert texts[0].endswith("query timed out.")
    assert any("what answers there is not a Prometheus server" in text for text in texts)
    values = [r.value for r in readings(updates)]
    assert values[0] == 1.0
    assert None in values


def test_what_cannot_be_asked() -> None:
    with pytest.raises(ParseError, match="The query is empty"):
        PrometheusQuery("127.0.0.1:9090", " ")
    with pytest.raises(ParseError, match="is not the address"):
        PrometheusQuery("file:///x", "up")
    with pytest.raises(ValueError, match="“h” is no unit"):
        PrometheusQuery("127.0.0.1:9090", "up", unit="h")
