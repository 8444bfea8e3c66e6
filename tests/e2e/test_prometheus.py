"""The demo's own exporter and Debian's Prometheus, for real: what is told agrees with what they say."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import aclosing
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from helpers.loop import PATIENCE_S
from helpers.web import Answer, Question, answering
from tailflame.errors import ToolFailed
from tailflame.live.prometheus import PrometheusScrape
from tailflame.live.prometheus_query import PrometheusQuery
from tailflame.live.source import LiveSource
from tailflame.model.live import Reading, Said, Update
from tailflame.parse.prometheus_series import interpolated

QUANTILE = re.compile(r'^trading_stage_seconds\{stage="(\w+)",quantile="([\d.]+)"\} (\S+)$', re.MULTILINE)
ORDERS = re.compile(r"^trading_orders_total (\d+)$", re.MULTILINE)
NAMES = {"0.5": "p50", "0.9": "p90", "0.95": "p95", "0.99": "p99", "0.999": "p99.9", "0.9999": "p99.99", "1": "max"}


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def get(url: str) -> str:
    with urllib.request.urlopen(url, timeout=30) as answer:
        return str(answer.read().decode())


def listen(source: LiveSource, until: Callable[[list[Update]], bool]) -> list[Update]:
    updates: list[Update] = []

    async def told() -> None:
        async with asyncio.timeout(PATIENCE_S), aclosing(source.updates()) as stream:
            async for update in stream:
                updates.append(update)
                if until(updates):
                    return

    asyncio.run(told())
    return updates


def values(updates: list[Update], series: str) -> list[float]:
    return [u.value for u in updates if isinstance(u, Reading) and u.series == series and u.value is not None]


def wait_for(url: str, *, until: Callable[[str], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        try:
            if until(get(url)):
                return
        except OSError:
            pass
        time.sleep(0.05)
    raise AssertionError(f"{url} does not answer as it should")


@pytest.fixture(scope="module")
def demo_port(demo_binary: Path) -> Iterator[int]:
    port = free_port()
    program = subprocess.Popen(
        [demo_binary, "--mode", "serve", "--rate", "20000", "--slow-path", "1000", "--metrics-port", str(port)],
        stdout=subprocess.DEVNULL,
    )
    with program:
        try:
            whole = f"http://127.0.0.1:{port}/metrics"
            wait_for(whole, until=lambda text: len(QUANTILE.findall(text)) == 28 and ORDERS.findall(text) > ["0"])
            yield port
        finally:
            program.terminate()


def test_the_endpoint_agrees_with_the_exporter_s_text(demo_port: int) -> None:
    """A relay in between keeps each text that was scraped: every figure of it is told, and no other."""
    texts: list[str] = []

    def relay(_: Question) -> Answer:
        texts.append(get(f"http://127.0.0.1:{demo_port}/metrics"))
        return Answer(texts[-1].encode())

    orders = "trading_orders_total"
    with answering(relay) as port:
        updates = listen(PrometheusScrape(f"127.0.0.1:{port}", interval_s=1.2), lambda u: len(values(u, orders)) == 3)
    starts = sorted({u.start_s for u in updates if isinstance(u, Reading)})
    for number, text in enumerate(texts[:3]):  # those that have been told whole
        told = {u.series: u for u in updates if isinstance(u, Reading) and u.start_s == starts[number]}
        quantiles = QUANTILE.findall(text)
        for stage, quantile, value in quantiles:
            reading = told[f'trading_stage_seconds{{stage="{stage}"}} {NAMES[quantile]}']
            assert reading.unit == "ns"
            assert reading.value == pytest.approx(float(value) * 1e9, rel=1e-12)
        assert len([name for name in told if re.search(r" (p[\d.]+|max)$", name)]) == len(quantiles)
    rates = [u for u in updates if isinstance(u, Reading) and u.series == orders]
    counts = [int(ORDERS.findall(text)[0]) for text in texts]
    gained = [after - before for before, after in pairwise(counts)]
    assert [rate.value * rate.length_s for rate in rates if rate.value is not None] == pytest.approx(gained[:3])


def test_rates_are_those_of_the_counters(demo_port: int) -> None:
    url = f"http://127.0.0.1:{demo_port}/metrics"
    before, began = int(ORDERS.findall(get(url))[0]), time.monotonic()
    updates = listen(PrometheusScrape(url, interval_s=0.2), lambda u: len(values(u, "trading_orders_total")) >= 11)
    after, ended = int(ORDERS.findall(get(url))[0]), time.monotonic()
    readings = [u for u in updates if isinstance(u, Reading) and u.series == "trading_orders_total"]
    counted = sum((reading.value or 0.0) * reading.length_s for reading in readings)
    assert counted == pytest.approx(round(counted), abs=1e-3), "whole orders"
    assert 0 < counted <= after - before
    assert began <= readings[0].start_s <= readings[-1].start_s <= ended
    assert any("60 s with metrics-exporter-prometheus" in u.text for u in updates if isinstance(u, Said))


@pytest.fixture(scope="module")
def server(demo_port: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Prometheus that scrapes the demo, and itself, four times a second."""
    folder = tmp_path_factory.mktemp("prometheus")
    port = free_port()
    (folder / "prometheus.yml").write_text(
        "global: {scrape_interval: 250ms}\n"
        "scrape_configs:\n"
        f"- {{job_name: demo, static_configs: [{{targets: ['127.0.0.1:{demo_port}']}}]}}\n"
        f"- {{job_name: itself, static_configs: [{{targets: ['127.0.0.1:{port}']}}]}}\n"
    )
    url = f"http://127.0.0.1:{port}"
    with (folder / "log.txt").open("wb") as log:
        process = subprocess.Popen(
            [
                "prometheus", f"--config.file={folder / 'prometheus.yml'}", f"--storage.tsdb.path={folder / 'data'}",
                f"--web.listen-address=127.0.0.1:{port}", "--log.level=warn",
            ],
            stdout=log, stderr=log,
        )  # fmt: skip
    with process:
        try:
            query = urllib.parse.urlencode({"query": "sum(rate(trading_orders_total[2s])) > 0 and sum(up) == 2"})
            wait_for(f"{url}/api/v1/query?{query}", until=lambda text: bool(_rows(text)))
            yield url
        finally:
            process.kill()


def _rows(text: str) -> list[Any]:
    rows = json.loads(text)["data"]["result"]
    assert isinstance(rows, list)
    return rows


def _numbers(text: str) -> list[Any]:
    return [row for row in _rows(text) if row["value"][1] != "NaN"]


@pytest.mark.tool("prometheus")
def test_a_server_s_answers(server: str, demo_port: int) -> None:
    name = f'up{{instance="127.0.0.1:{demo_port}",job="demo"}}'
    updates = listen(PrometheusQuery(server, "up", interval_s=0.1), lambda u: len(values(u, name)) > 1)
    assert set(values(updates, name)) == {1.0}
    rate = "sum by (job) (rate(trading_orders_total[2s]))"
    updates = listen(PrometheusQuery(server, rate, interval_s=0.1), lambda u: bool(values(u, '{job="demo"}')))
    assert values(updates, '{job="demo"}')[0] > 0
    with pytest.raises(ToolFailed, match=r"Prometheus refuses the query: .*parse error"):
        listen(PrometheusQuery(server, "rate(up"), lambda _: False)


@pytest.mark.tool("prometheus")
def test_percentiles_of_a_histogram_are_those_of_promql(server: str) -> None:
    """Prometheus' own answer and ours, of the same buckets."""
    metric = "prometheus_http_request_duration_seconds"
    # Buckets at one moment, and what histogram_quantile makes of them.
    selector = f'{metric}_bucket{{handler="/api/v1/query"}}'
    query = urllib.parse.urlencode({"query": f"histogram_quantile(0.9, {selector})"})
    wait_for(f"{server}/api/v1/query?{query}", until=lambda text: bool(_numbers(text)))
    for row in _numbers(get(f"{server}/api/v1/query?{query}")):
        at = urllib.parse.urlencode({"query": selector, "time": row["value"][0]})
        buckets = sorted(
            (float(b["metric"]["le"]), float(b["value"][1])) for b in _rows(get(f"{server}/api/v1/query?{at}"))
        )
        known = interpolated(buckets, 0.9)
        assert known is not None
        assert known.value == pytest.approx(float(row["value"][1]), rel=1e-12)
    quantile = f"histogram_quantile(0.9, {metric}_bucket)"
    name = f'{{handler="/api/v1/query",instance="{server.removeprefix("http://")}",job="itself"}}'
    updates = listen(PrometheusQuery(server, quantile, interval_s=0.1), lambda u: bool(values(u, name)))
    (reading,) = (u for u in updates if isinstance(u, Reading) and u.series == name and u.value is not None)
    assert reading.unit == "ns"
    assert 0 < (reading.value or 0) < PATIENCE_S * 1e9


@pytest.mark.tool("prometheus")
def test_the_endpoint_of_prometheus_itself(server: str) -> None:
    metric = "prometheus_http_request_duration_seconds"
    calls = f'{metric}{{handler="/metrics"}} calls'
    updates = listen(PrometheusScrape(server, interval_s=0.5, metrics=[metric]), lambda u: bool(values(u, calls)))
    assert values(updates, calls)[0] > 0
    assert any("interpolated within its" in u.text for u in updates if isinstance(u, Said))
