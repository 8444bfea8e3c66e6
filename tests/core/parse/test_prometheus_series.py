"""Exporters' text: what is in it comes out, in nanoseconds where it is a time; percentiles as PromQL has them."""

from __future__ import annotations

import contextlib
import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, Enum, Gauge, Histogram, Info, Summary, generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics

from helpers.stack_counts import DATA
from tailflame.parse.prometheus_series import Kind, Series, interpolated, percentile_name, read_series, unit_of

SAMPLES = DATA / "prometheus"
EXPORTER = SAMPLES / "metrics-exporter-0.18.3"
INF = math.inf


def by_title(text: str, *, openmetrics: bool = False) -> dict[str, Series]:
    series = read_series(text, openmetrics=openmetrics)
    titles = {one.title: one for one in series}
    assert len(titles) == len(series)
    return titles


def test_every_figure_of_the_demo_s_text() -> None:
    text = (EXPORTER / "demo.txt").read_text()
    series = by_title(text)
    quantiles = re.findall(r'^trading_stage_seconds\{stage="(\w+)",quantile="([\d.]+)"\} (\S+)$', text, re.MULTILINE)
    assert len(quantiles) == 28
    for stage, quantile, value in quantiles:
        told = dict(series[f'trading_stage_seconds{{stage="{stage}"}}'].quantiles)
        assert told[float(quantile)] == pytest.approx(float(value) * 1e9, rel=1e-12)
    total = series['trading_stage_seconds{stage="total"}']
    assert (total.kind, total.unit, total.count) == (Kind.SUMMARY, "ns", 7430)
    assert total.sum == pytest.approx(24272496)
    counter = series["trading_orders_total"]
    assert (counter.kind, counter.value, counter.unit) == (Kind.COUNTER, 116851, "")
    assert series["trading_book_orders"].kind is Kind.GAUGE
    assert len(series) == 9


def test_a_classic_histogram_and_labels_with_quotes() -> None:
    series = by_title((EXPORTER / "histogram-2.txt").read_text())
    buy = series['order_seconds{side="buy"}']
    assert buy.kind is Kind.HISTOGRAM
    bounds = [1e3, 2.5e3, 5e3, 1e4, 1e5, 1e6]
    assert [bound for bound, _ in buy.buckets] == [*(pytest.approx(bound) for bound in bounds), INF]
    assert [count for _, count in buy.buckets] == [1782, 3859, 5945, 5945, 5945, 5968, 5968]
    assert r'orders_total{side="buy",venue="A \"B\" \\ C"}' in series


def test_the_text_of_prometheus_itself() -> None:
    text = (SAMPLES / "2.42.0" / "server.txt").read_text()
    series = by_title(text)
    declared = set(re.findall(r"^# TYPE (\S+) (?:counter|gauge|summary|histogram)$", text, re.MULTILINE))
    assert {one.metric for one in series.values()} == declared
    begun = series["process_start_time_seconds"]
    assert (begun.unit, begun.value) == ("s", pytest.approx(1.7956e9, rel=1e-3)), "a point in time is no latency"


def test_names_and_both_formats_of_the_official_client() -> None:
    registry = CollectorRegistry()
    Counter("shop_orders", "", ["side"], registry=registry).labels("buy").inc(3)
    Counter("cpu_seconds", "", registry=registry).inc(2.5)
    Gauge("memory_bytes", "", registry=registry).set(1e6)
    Summary("request_seconds", "", registry=registry).observe(0.25)
    Histogram("db_milliseconds", "", registry=registry, buckets=(1, 10)).observe(5)
    Info("build", "", registry=registry).info({"version": "1"})
    Enum("state", "", states=["up", "down"], registry=registry)
    plain = by_title(generate_latest(registry).decode())
    openmetrics = by_title(generate_openmetrics(registry).decode(), openmetrics=True)
    for series in (plain, openmetrics):
        assert series['shop_orders_total{side="buy"}'].value == 3
        assert series["cpu_seconds_total"].value == 2.5e9
        assert (series["memory_bytes"].value, series["memory_bytes"].unit) == (1e6, "B")
        assert (series["request_seconds"].count, series["request_seconds"].sum) == (1, 0.25e9)
        assert series["db_milliseconds"].buckets == ((1e6, 0.0), (1e7, 1.0), (INF, 1.0))
    assert set(openmetrics) <= set(plain), "what is no measurement stands in plain text as a gauge"


@pytest.mark.parametrize(
    ("text", "titles"),
    [
        ("# TYPE requests counter\nrequests 5\n", {"requests": Kind.COUNTER}),
        ("# TYPE requests_total counter\nrequests_total 5\n", {"requests_total": Kind.COUNTER}),
        ("requests_total 5\nload 0.5 1395066363000\n", {"requests_total": Kind.COUNTER, "load": Kind.GAUGE}),
        ('x{b="2",a="1"} 5\nx{a="2",b="2"} 6\n', {'x{a="1",b="2"}': Kind.GAUGE, 'x{a="2",b="2"}': Kind.GAUGE}),
        ("# HELP lonely\n", {}),
        ("", {}),
    ],
)
def test_kinds(text: str, titles: dict[str, Kind]) -> None:
    assert {title: one.kind for title, one in by_title(text).items()} == titles


@pytest.mark.parametrize("text", ["<!doctype html>\n<html>", "x", "x y z\n", 'x{a="1" 5\n', "# TYPE x nonsense\nx 1\n"])
def test_what_is_no_such_text(text: str) -> None:
    with pytest.raises(ValueError, match="not the text of a Prometheus exporter"):
        read_series(text)


@given(st.text(max_size=200), st.booleans())
def test_any_text_is_read_or_refused(text: str, openmetrics: bool) -> None:
    for sample in (
        text,
        f"# TYPE x summary\n{text}",
        f'x{{quantile="{text}"}} 1\n# TYPE y histogram\ny_bucket{{le="{text}"}} 2\n',
    ):
        with contextlib.suppress(ValueError):
            read_series(sample, openmetrics=openmetrics)


def test_units() -> None:
    assert unit_of("x_seconds") == unit_of("x_seconds_total") == ("ns", 1e9)
    assert unit_of("x_bytes") == ("B", 1.0)
    assert unit_of("orders_total") == ("", 1.0)
    assert [percentile_name(q) for q in (0, 0.5, 0.999, 0.9999, 1)] == ["min", "p50", "p99.9", "p99.99", "max"]


class TestInterpolated:
    BUCKETS = ((10.0, 10.0), (20.0, 30.0), (INF, 40.0))

    def test_linear_within_the_bucket(self) -> None:
        known = interpolated(self.BUCKETS, 0.5)
        assert known is not None
        assert (known.value, known.low, known.high) == (15.0, 10.0, 20.0)

    def test_the_first_bucket_begins_at_zero(self) -> None:
        known = interpolated(self.BUCKETS, 0.125)
        assert known is not None
        assert (known.value, known.low) == (5.0, 0.0)

    def test_above_the_highest_bucket(self) -> None:
        known = interpolated(self.BUCKETS, 0.9)
        assert known is not None
        assert (known.value, known.low, known.high) == (20.0, 20.0, INF)

    def test_without_calls_or_without_the_last_bucket(self) -> None:
        assert interpolated(((1.0, 0.0), (INF, 0.0)), 0.5) is None
        assert interpolated(((1.0, 5.0), (2.0, 6.0)), 0.5) is None
        assert interpolated((), 0.5) is None

    @given(
        st.lists(
            st.tuples(st.floats(0.001, 1e6), st.integers(0, 100)), min_size=1, max_size=8, unique_by=lambda p: p[0]
        ),
        st.floats(0, 1),
    )
    def test_never_outside_of_what_is_known(self, gains: list[tuple[float, int]], quantile: float) -> None:
        running, buckets = 0.0, []
        for bound, gain in sorted(gains):
            running += gain
            buckets.append((bound, running))
        known = interpolated((*buckets, (INF, running)), quantile)
        assert (known is None) == (running == 0)
        if known is not None:
            assert known.low - 1e-6 <= known.value <= known.high + 1e-6
