"""The demo's own lines and its interval log, followed while it writes them."""

from __future__ import annotations

import asyncio
import subprocess
import time
from collections import defaultdict
from contextlib import aclosing
from pathlib import Path

import pytest

from helpers.loop import PATIENCE_S
from tailflame.live.hdr_log import HdrLogTail
from tailflame.live.log_fields import LogFields
from tailflame.live.source import LiveSource
from tailflame.model import Histogram, merge_all
from tailflame.model.live import Armed, Behind, Found, LatencySlice, StageSlice, Update
from tailflame.parse import load

STAGES = ("validation_us", "risk_check_us", "execution_us")


def watch(source: LiveSource) -> list[Update]:
    """All that it tells until it ends with its target."""
    updates: list[Update] = []

    async def listen() -> None:
        async with asyncio.timeout(PATIENCE_S), aclosing(source.updates()) as stream:
            async for update in stream:
                updates.append(update)

    asyncio.run(listen())
    return updates


def wholes(updates: list[Update]) -> dict[str, Histogram]:
    parts: dict[str, list[Histogram]] = defaultdict(list)
    for update in updates:
        if isinstance(update, LatencySlice):
            parts[update.series].append(update.histogram)
    return {series: merge_all(histograms) for series, histograms in parts.items()}


def report_rows(text: str) -> dict[str, list[str]]:
    rows = text.split("latency percentiles (us)\n")[1].splitlines()[1:5]
    return {row.split()[0]: row.split()[1:] for row in rows}


def as_reported(histogram: Histogram) -> list[str]:
    return [*(f"{v / 1000:.3f}" for v in (*histogram.percentiles(), histogram.maximum)), str(histogram.total)]


def test_the_program_s_own_lines(demo_binary: Path, tmp_path: Path) -> None:
    """Every order is logged: the percentiles are those that the program prints, and the slow stage is named."""
    log, report = tmp_path / "stdout.txt", tmp_path / "stderr.txt"
    with log.open("wb") as stdout, report.open("wb") as stderr:
        program = subprocess.Popen(
            [demo_binary, "--seconds", "2", "--rate", "4000", "--slow-path", "100", "--log", "-", "--log-every", "1"],
            stdout=stdout, stderr=stderr,
        )  # fmt: skip
    with program:
        updates = watch(LogFields((log, report), pid=program.pid, from_start=True))
    assert isinstance(updates[0], Armed)
    histograms = wholes(updates)
    for stage, figures in report_rows(report.read_text()).items():
        assert as_reported(histograms[f"{stage}_us"]) == figures
    stages = [u for u in updates if isinstance(u, StageSlice)]
    assert {(s.series, s.stages) for s in stages} == {("total_us", STAGES)}
    assert sum(s.events for s in stages) == histograms["total_us"].total
    tail = [sum(s.tail_sums_ns[n] for s in stages) for n in range(3)]
    assert max(tail) == tail[1], "one order in a hundred takes the slow path of the risk check"
    assert any(isinstance(u, Found) and set(u.names) == {"order_id", "account"} for u in updates)
    # In line with the clock of everything else.
    slices = [u for u in updates if isinstance(u, LatencySlice) and u.series == "total_us"]
    assert time.monotonic() - PATIENCE_S < slices[0].start_s < slices[-1].start_s < time.monotonic()


def test_an_interval_log_that_grows(demo_binary: Path, tmp_path: Path) -> None:
    """The slices are the log's intervals, told while the program runs, on the clock of the machine."""
    log = tmp_path / "latency.hlog"
    began = time.monotonic()
    program = subprocess.Popen(
        [demo_binary, "--seconds", "3", "--rate", "20000", "--hlog", log], stdout=subprocess.DEVNULL
    )
    with program:
        updates = watch(HdrLogTail(log, pid=program.pid))
    series = load(log).histograms
    assert series is not None
    slices = [u for u in updates if isinstance(u, LatencySlice)]
    assert [s.series for s in slices] == [tag or "untagged" for tag in series.tags]
    assert [s.histogram.counts.tolist() for s in slices] == [h.counts.tolist() for h in series.histograms]
    assert began - 0.1 < slices[0].start_s < began + PATIENCE_S
    assert slices[-1].start_s + slices[-1].length_s < time.monotonic() + 0.1
    assert slices[-1].start_s - slices[0].start_s == pytest.approx(series.start_s[-1] - series.start_s[0], abs=1e-6)


def test_a_flood_of_lines_is_read_whole(demo_binary: Path, tmp_path: Path) -> None:
    """As fast as the program can write: no line is lost, whether or not reading them falls behind."""
    log = tmp_path / "orders.jsonl"
    program = subprocess.Popen(
        [demo_binary, "--seconds", "2", "--log", log, "--log-every", "2"], stdout=subprocess.DEVNULL
    )
    with program:
        updates = watch(LogFields(log, pid=program.pid))
    lines = log.read_bytes().count(b"\n")
    assert wholes(updates)["total_us"].total == lines > 20_000
    behind = [u for u in updates if isinstance(u, Behind)]
    assert not behind or behind[-1] == Behind(seconds=0.0, bytes=0)
