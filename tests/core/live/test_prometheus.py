"""A scraped endpoint: the figures of the exporter's text, rates between scrapes, gaps where there is nothing."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Callable, Iterable
from contextlib import aclosing

import pytest

from helpers.loop import PATIENCE_S
from helpers.stack_counts import DATA
from helpers.web import Answer, Question, answering
from tailflame.errors import ParseError
from tailflame.live import prometheus
from tailflame.live.prometheus import SERIES_LIMIT, PrometheusScrape
from tailflame.live.scrape_readings import GONE_AFTER, ScrapeReadings
from tailflame.model.live import Armed, Found, Reading, Said, Status, Update
from tailflame.parse.prometheus_series import read_series

EXPORTER = DATA / "prometheus" / "metrics-exporter-0.18.3"


def told(source: PrometheusScrape, until: Callable[[list[Update]], bool]) -> list[Update]:
    updates: list[Update] = []

    async def listen() -> None:
        async with asyncio.timeout(PATIENCE_S), aclosing(source.updates()) as stream:
            async for update in stream:
                updates.append(update)
                if until(updates):
                    return

    asyncio.run(listen())
    return updates


def in_turn(*texts: str) -> Callable[[Question], Answer]:
    """The last one again and again."""
    left = list(texts)
    return lambda _: Answer((left.pop(0) if len(left) > 1 else left[0]).encode())


def readings(updates: Iterable[Update]) -> dict[str, list[float | None]]:
    by_name: dict[str, list[float | None]] = {}
    for update in updates:
        if isinstance(update, Reading):
            assert (update.value is None) == (update.status is Status.EMPTY)
            by_name.setdefault(update.series, []).append(update.value)
    return by_name


def said(updates: Iterable[Update]) -> list[str]:
    return [update.text for update in updates if isinstance(update, Said)]


def count(updates: list[Update], series: str) -> int:
    return sum(isinstance(update, Reading) and update.series == series for update in updates)


def between(*texts: str, length_s: float = 2.0) -> list[list[Update]]:
    """What scrapes of these texts say, `length_s` apart."""
    seen = ScrapeReadings()
    return [seen.of(read_series(text), 100.0 + n * length_s, length_s) for n, text in enumerate(texts)]


def test_the_values_are_those_of_the_exporter_s_text() -> None:
    text = (EXPORTER / "demo.txt").read_text()
    with answering(in_turn(text)) as port:
        updates = told(
            PrometheusScrape(f"127.0.0.1:{port}", interval_s=0.02),
            lambda u: count(u, 'trading_stage_seconds{stage="total"} calls') > 1,
        )
    assert updates[0] == Armed(detail=f"http://127.0.0.1:{port}/metrics")
    values = readings(updates)
    names = {"1": "max", "0.5": "p50", "0.9": "p90", "0.95": "p95", "0.99": "p99", "0.999": "p99.9", "0.9999": "p99.99"}
    quantiles = re.findall(r'^trading_stage_seconds\{stage="(\w+)",quantile="([\d.]+)"\} (\S+)$', text, re.MULTILINE)
    assert len(quantiles) == 28
    for stage, quantile, value in quantiles:
        name = f'trading_stage_seconds{{stage="{stage}"}} {names[quantile]}'
        assert values[name][0] == pytest.approx(float(value) * 1e9, rel=1e-12)
    assert values["trading_book_orders"][0] == 1328
    # The same text again: nothing has been counted.
    assert set(values["trading_orders_total"]) == {0.0}
    assert set(values['trading_stage_seconds{stage="total"} mean']) == {None}
    assert [text for text in said(updates) if "window that rolls" in text]
    assert not any(isinstance(update, Found) for update in updates)


def test_what_two_scrapes_say_of_the_time_between_them() -> None:
    first, second = between(*((EXPORTER / f"histogram-{n}.txt").read_text() for n in (1, 2)))
    assert set(readings(first)) == {"resting_orders", *(f"queue_seconds {q}" for q in QUANTILES)}
    values = {name: told[0] for name, told in readings(second).items()}
    before, after = ({s.title: s for s in read_series((EXPORTER / f"histogram-{n}.txt").read_text())} for n in (1, 2))
    buy = 'order_seconds{side="buy"}'
    calls = (after[buy].count or 0) - (before[buy].count or 0)
    assert calls > 1000
    assert values[f"{buy} calls"] == calls / 2
    assert values[f"{buy} mean"] == pytest.approx(((after[buy].sum or 0) - (before[buy].sum or 0)) / calls)
    # The program records n % 40 * 100 ns for every second n: 0.1 µs to 3.9 µs, and 400 µs for one in 250.
    assert values[f"{buy} p50 (interpolated)"] == pytest.approx(1900, abs=200)
    assert 2500 < (values[f"{buy} p99 (interpolated)"] or 0) <= 5000
    assert values[f"{buy} p99.9 (interpolated)"] == pytest.approx(1e5 + 9e5 * 0.75, rel=0.2)
    assert values[f"{buy} p99.99 (interpolated)"] is None, "of 2,000 calls there is no p99.99"
    assert values['orders_total{side="buy",venue="A \\"B\\" \\\\ C"}'] == pytest.approx(calls / 2, rel=0.1)
    (text,) = (text for text in said(second) if "interpolated" in text)
    assert text.startswith(
        "Percentiles of order_seconds are interpolated within its 6 buckets"
        " (1.00 µs to 1.00 ms, each up to 10 times the one before)"
    )
    (reading,) = (u for u in second if isinstance(u, Reading) and u.series == "resting_orders")
    assert (reading.start_s, reading.length_s) == (100.0, 2.0)


QUANTILES = ("min", "p50", "p90", "p95", "p99", "p99.9", "max", "calls", "mean")[:7]


def summary(count: int, *values: float) -> str:
    rows = [f'x_seconds{{quantile="{q}"}} {value}' for q, value in zip((0.5, 1), values, strict=False)]
    return "\n".join(["# TYPE x_seconds summary", *rows, f"x_seconds_sum {count}", f"x_seconds_count {count}", ""])


def test_an_empty_window_is_a_gap_and_no_zero() -> None:
    scrapes = between(
        summary(0, 0, 0), summary(4, 0, 2e-6), summary(4, 0, 2e-6), summary(4, 0, 0), summary(5, 0, 0),
        summary(6, float("nan"), 1),
    )  # fmt: skip
    values = [{name: told[0] for name, told in readings(updates).items()} for updates in scrapes]
    assert (values[0]["x_seconds p50"], values[0]["x_seconds max"]) == (None, None)
    # A zero that was measured, because something was counted.
    assert (values[1]["x_seconds p50"], values[1]["x_seconds max"]) == (0.0, 2000.0)
    assert values[2]["x_seconds max"] == 2000.0, "still in the exporter's window"
    assert (values[3]["x_seconds p50"], values[3]["x_seconds max"]) == (None, None)
    assert values[4]["x_seconds max"] == 0.0
    assert values[5]["x_seconds p50"] is None
    assert [value.get("x_seconds calls") for value in values] == [None, 2.0, 0.0, 0.0, 0.5, 0.5]


def test_a_restart_is_told_and_no_rate_is_negative() -> None:
    def text(orders: int) -> str:
        return f"# TYPE orders_total counter\norders_total {orders}\n# TYPE depth gauge\ndepth 7\n"

    scrapes = between(text(1000), text(1100), text(50), text(90))
    assert [readings(updates).get("orders_total") for updates in scrapes] == [None, [50.0], [None], [20.0]]
    assert [readings(updates)["depth"] for updates in scrapes] == [[7.0]] * 4
    assert [len(said(updates)) for updates in scrapes] == [0, 0, 1, 0]
    assert "has restarted" in said(scrapes[2])[0]


def test_series_that_come_and_go() -> None:
    scrapes = between("a 1\nb 2\n", "a 1\n", "b 3\nc 4\n")
    assert [readings(updates) for updates in scrapes] == [
        {"a": [1.0], "b": [2.0]},
        {"a": [1.0], "b": [None]},
        {"b": [3.0], "c": [4.0], "a": [None]},
    ]


def test_series_that_stay_away_are_gaps_no_more() -> None:
    scrapes = between("a 1\nb 2\n", *["a 1\n"] * (GONE_AFTER + 5), length_s=0.1)
    told_of_b = [readings(updates).get("b") for updates in scrapes]
    assert told_of_b == [[2.0], *[[None]] * GONE_AFTER, *[None] * 5]


def test_percentiles_above_the_highest_bucket_say_so() -> None:
    def text(low: int, all_calls: int) -> str:
        buckets = f'x_seconds_bucket{{le="0.001"}} {low}\nx_seconds_bucket{{le="+Inf"}} {all_calls}\n'
        return f"# TYPE x_seconds histogram\n{buckets}x_seconds_count {all_calls}\n"

    _, updates = between(text(0, 0), text(60, 1000))
    assert readings(updates)["x_seconds p90 (interpolated)"] == [1e6]
    assert any("lie above its highest bucket, 1.00 ms" in text for text in said(updates))


def test_units_of_rates_and_gauges() -> None:
    text = "cpu_seconds_total {}\nsent_bytes_total {}\nx_bytes 5\ny_seconds 2\n"
    _, updates = between(text.format(10, 1000), text.format(11, 3000))
    by_name = {u.series: (u.value, u.unit) for u in updates if isinstance(u, Reading)}
    assert by_name == {
        "cpu_seconds_total": (pytest.approx(0.5), ""),
        "sent_bytes_total": (1000.0, "B/s"),
        "x_bytes": (5.0, "B"),
        "y_seconds": (2e9, "ns"),
    }


def test_nobody_answers_and_then_somebody_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prometheus, "START_S", 0.0)
    with answering(in_turn("a 1\n")) as port:
        pass
    source = PrometheusScrape(f"127.0.0.1:{port}", interval_s=0.01)
    server = answering(in_turn("a 1\n", "a 2\n", "<html>", "a 3\n"), port=port)
    entered = []

    def until(updates: list[Update]) -> bool:
        if said(updates) and not entered:
            entered.append(server.__enter__())
        return readings(updates).get("a", [])[-1:] == [3.0]

    try:
        updates = told(source, until)
    finally:
        if entered:
            server.__exit__(None, None, None)
    where = f"http://127.0.0.1:{port}/metrics"
    *failures, again = said(updates)
    assert failures == [
        f"{where} does not answer with metrics: connection refused. It is tried again until it does.",
        f"{where} does not answer with metrics: what answers there is not the text of a Prometheus exporter.",
    ]
    assert again.startswith(f"{where} answers again, after ")
    assert readings(updates)["a"] == [1.0, 2.0, None, 3.0]


def test_a_program_that_is_being_started_may_take_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prometheus, "START_S", PATIENCE_S)
    asked = 0

    def answer(_: Question) -> Answer:
        nonlocal asked
        asked += 1
        return Answer(b"a 1\n", status=503 if asked < 3 else 200)

    with answering(answer) as port:
        updates = told(PrometheusScrape(f"127.0.0.1:{port}", interval_s=0.01), lambda u: count(u, "a") > 0)
    assert said(updates) == []


def test_what_is_followed_by_itself_and_what_is_offered() -> None:
    many = "".join(f'shelf{{n="{n}"}} {n}\n' for n in range(SERIES_LIMIT))
    text = f"go_goroutines 5\nprocess_cpu_seconds_total 1\n{many}{summary(1, 1, 1)}depth 1\n"
    with answering(in_turn(text)) as port:
        source = PrometheusScrape(f"127.0.0.1:{port}", interval_s=0.01)
        chosen = []

        def until(updates: list[Update]) -> bool:
            if not chosen and any(isinstance(u, Found) for u in updates):
                source.choose("go_goroutines")
                source.leave("depth")
                chosen.append(True)
            return count(updates, "go_goroutines") > 1

        updates = told(source, until)
    found = [update.names for update in updates if isinstance(update, Found)]
    assert found == [
        {"go_goroutines": "", "process_cpu_seconds_total": "ns", "shelf": ""},
        {"process_cpu_seconds_total": "ns", "shelf": "", "depth": ""},
    ]
    assert count(updates, "depth") == 1
    assert count(updates, 'shelf{n="1"}') == 0
    assert count(updates, "x_seconds p50") > 1


def test_chosen_metrics() -> None:
    with answering(in_turn("a 1\nb 2\n")) as port:
        source = PrometheusScrape(f"127.0.0.1:{port}", interval_s=0.01, metrics=["b", "absent"])
        updates = told(source, lambda u: count(u, "b") > 1)
    assert set(readings(updates)) == {"b"}
    assert [u.names for u in updates if isinstance(u, Found)] == [{"a": ""}]
    assert said(updates) == [f"http://127.0.0.1:{port}/metrics has no metric called absent yet."]


def test_a_program_that_says_when_it_began_has_restarted_when_it_says_another_time() -> None:
    texts = [f"process_start_time_seconds 1.7e9\norders_total {n}\n" for n in (1, 2)]
    texts += [f"process_start_time_seconds 1.8e9\norders_total {n}\n" for n in (5000, 5001)]
    with answering(in_turn(*texts)) as port:
        source = PrometheusScrape(f"127.0.0.1:{port}", interval_s=0.01)
        updates = told(source, lambda u: count(u, "orders_total") > 2)
    rates = readings(updates)["orders_total"]
    assert rates[1] is None
    assert rates[2] is not None
    assert rates[2] < 1000
    assert any("has restarted" in text for text in said(updates))


def test_openmetrics_where_the_exporter_says_so() -> None:
    text = "# TYPE orders counter\norders_total 5.0\norders_created 1.7e9\n# EOF\n"
    kind = "application/openmetrics-text; version=1.0.0; charset=utf-8"
    with answering(lambda _: Answer(text.encode(), headers={"Content-Type": kind})) as port:
        source = PrometheusScrape(f"127.0.0.1:{port}", interval_s=0.01)
        updates = told(source, lambda u: count(u, "orders_total") > 0)
    assert set(readings(updates)) == {"orders_total"}


def test_it_ends_with_the_target() -> None:
    pid = os.posix_spawn("/bin/true", ["true"], {})
    with answering(in_turn("a 1\n")) as port:
        source = PrometheusScrape(f"127.0.0.1:{port}", interval_s=0.01, pid=pid)
        updates = told(source, lambda _: False)
    os.waitpid(pid, 0)
    assert isinstance(updates[0], Armed)


def test_what_is_no_address_is_refused_at_once() -> None:
    with pytest.raises(ParseError, match="is not the address"):
        PrometheusScrape("file:///etc/passwd")
