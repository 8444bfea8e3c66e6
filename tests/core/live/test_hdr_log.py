"""Interval logs that grow, on the clock of everything else."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from contextlib import aclosing
from pathlib import Path

import pytest
from hdrh.histogram import HdrHistogram

from helpers.loop import PATIENCE_S
from helpers.stack_counts import DATA
from tailflame.live.hdr_log import HdrLogTail
from tailflame.model.live import Armed, Found, LatencySlice, Said, Update
from tailflame.parse import load

SAMPLE = DATA / "hlog" / "trading-system" / "demo.hlog"
VERSION = "#[Histogram log format version 1.3]\n"


def payload(*values: int) -> str:
    histogram = HdrHistogram(1, 3_600_000_000_000, 3)
    for value in values:
        histogram.record_value(value)
    return str(histogram.encode().decode())


def append(path: Path, text: str) -> None:
    with path.open("a") as file:
        file.write(text)


def told(
    source: HdrLogTail, until: Callable[[list[Update]], bool], *, armed: Callable[[], None] = lambda: None
) -> list[Update]:
    updates: list[Update] = []

    async def listen() -> None:
        async with asyncio.timeout(PATIENCE_S), aclosing(source.updates()) as stream:
            async for update in stream:
                updates.append(update)
                if isinstance(update, Armed):
                    armed()
                if until(updates):
                    return

    asyncio.run(listen())
    return updates


def slices(updates: list[Update]) -> list[LatencySlice]:
    return [update for update in updates if isinstance(update, LatencySlice)]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "latency.hlog"


def test_the_demo_s_log_is_told_whole() -> None:
    pid = os.posix_spawn("/bin/true", ["true"], {})
    updates = told(HdrLogTail(SAMPLE, from_start=True, pid=pid, interval_s=0.01), lambda _: False)
    os.waitpid(pid, 0)
    series = load(SAMPLE).histograms
    assert series is not None
    live = slices(updates)
    assert [s.series for s in live] == [tag or "untagged" for tag in series.tags]
    assert [s.histogram.counts.tolist() for s in live] == [h.counts.tolist() for h in series.histograms]
    epoch = time.time() - time.monotonic()
    assert [s.start_s + epoch for s in live] == pytest.approx(series.start_s, abs=0.5)
    assert [s.length_s for s in live] == list(series.length_s)


def test_intervals_as_they_are_written_and_no_older_ones(path: Path) -> None:
    began = time.time()
    path.write_text(f"{VERSION}#[StartTime: {began:.3f} (seconds since epoch)]\nTag=a,0.5,1.0,0,{payload(7)}\n")
    parts = iter(
        [f"Tag=a,1.5,1.0,0,{payload(1, 2)}\n2.5,0.25,0,{payload(3)[:20]}", f"{payload(3)[20:]}\n2.75,1,0,{payload()}\n"]
    )
    seen = [0]

    def until(updates: list[Update]) -> bool:
        if len(slices(updates)) > seen[0] and (part := next(parts, None)) is not None:
            seen[0] = len(slices(updates))
            append(path, part)
        return len(slices(updates)) == 3

    updates = told(HdrLogTail(path, interval_s=0.01), until, armed=lambda: append(path, next(parts)))
    assert [(s.series, s.histogram.total, s.length_s) for s in slices(updates)] == [
        ("a", 2, 1.0),
        ("untagged", 1, 0.25),
        ("untagged", 0, 1.0),
    ]
    # The stamps count from the start of the log, on the clock of the machine.
    epoch = time.time() - time.monotonic()
    assert slices(updates)[0].start_s + epoch == pytest.approx(began + 1.5, abs=0.5)


def test_a_log_that_begins_anew_is_another_run(path: Path) -> None:
    def of_run(start: float, stamp: float, value: int) -> str:
        return f"{VERSION}#[StartTime: {start:.3f} (seconds since epoch)]\n{stamp:.3f},1.0,0,{payload(value)}\n"

    now = time.time()

    def until(updates: list[Update]) -> bool:
        if len(slices(updates)) == 1 and isinstance(updates[-1], LatencySlice):
            path.write_text(of_run(now, now + 2, 2))  # absolute stamps
        elif len(slices(updates)) == 2 and isinstance(updates[-1], LatencySlice):
            path.unlink()
            path.write_text(of_run(now + 1000, 5.0, 3))  # relative ones
        return len(slices(updates)) == 3

    updates = told(HdrLogTail(path, interval_s=0.01), until, armed=lambda: append(path, of_run(now - 500, 1.0, 1)))
    epoch = time.time() - time.monotonic()
    starts = [s.start_s + epoch - now for s in slices(updates)]
    assert starts == pytest.approx([-499.0, 2.0, 1005.0], abs=0.5)
    assert [u.text for u in updates if isinstance(u, Said)][1:] == [
        "latency.hlog has begun anew: what follows is of another run."
    ]


def test_a_log_that_does_not_tell_its_start_counts_from_when_it_came(path: Path) -> None:
    lines = "".join(f"{stamp},1.0,0,{payload(1)}\n" for stamp in (100.0, 101.0))
    before = time.monotonic()
    updates = told(HdrLogTail(path, interval_s=0.01), lambda u: len(slices(u)) == 2, armed=lambda: append(path, lines))
    one, two = slices(updates)
    assert before - 1 <= one.start_s <= time.monotonic() - 1
    assert two.start_s == pytest.approx(one.start_s + 1)


def test_tags_are_chosen_and_offered(path: Path) -> None:
    text = "".join(f"{tag}1.0,1.0,0,{payload(1)}\n" for tag in ("Tag=a,", "Tag=b,", "", "Tag=a,"))
    source = HdrLogTail(path, tags=["", "b"], interval_s=0.01)
    updates = told(source, lambda u: isinstance(u[-1], Found), armed=lambda: append(path, text))
    assert [s.series for s in slices(updates)] == ["b", "untagged"]
    assert updates[-1] == Found(names={"a": "ns"})


def test_lines_that_cannot_be_read_are_told_once(path: Path) -> None:
    good = f"1.0,1.0,0,{payload(1)}\n"
    text = f"{good}nonsense\n1.0,1.0,0,{payload(1)[:30]}\n\x00\xff\n#comment\n\n{good}nonsense\n{good}"
    updates = told(HdrLogTail(path, interval_s=0.01), lambda u: len(slices(u)) == 3, armed=lambda: append(path, text))
    said = [u.text for u in updates if isinstance(u, Said)][1:]
    assert len(said) == 2
    assert said[0] == "An interval of latency.hlog was left out: it is not an interval of a histogram log."
    assert "cut off" in said[1] or "damaged" in said[1]


def test_a_log_that_is_not_there_yet_is_said(tmp_path: Path) -> None:
    path = tmp_path / "late.hlog"
    updates = told(HdrLogTail(path, interval_s=0.01), lambda u: isinstance(u[-1], Said))
    assert updates[-1] == Said(text=f"There is no {path} yet; it is read as soon as it is there.")
