"""Everything a live run sees is in its session's folder, and is read from there."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncGenerator
from pathlib import Path

import numpy as np
import pytest

from tailflame.errors import ParseError, StoreError
from tailflame.model import Histogram
from tailflame.model.live import Armed, Behind, Captured, LatencySlice, Reading, Said, Update
from tailflame.model.slow_calls import SlowCalls
from tailflame.parse import load
from tailflame.run.live_events import LiveContinued, LiveEvent, LiveFinished, LiveTarget, SourceTold, SourceWish
from tailflame.run.live_run import LivePatience, LiveRun
from tailflame.run.live_session import HLOG, LOG, PROFILE, TOOL, LiveSession, keep, load_raw
from tailflame.store import Library, SessionFolder, open_result
from tailflame.tools.base import Target

QUICK = LivePatience(arm=10, tick=0.01, grace=0.5, last_words=2)
PROGRAM = Target(Path(sys.executable), ("-c", "pass"))


class Seeing:
    """Tells what it is given, and ends."""

    name = "seeing"
    title = "Seeing"

    def __init__(self, *updates: Update) -> None:
        self._updates = updates

    async def updates(self) -> AsyncGenerator[Update, None]:
        yield Armed()
        for update in self._updates:
            yield update


def latency(start: float, *values: int) -> LatencySlice:
    histogram = Histogram.of(np.array(values, np.int64))
    return LatencySlice(series="book, match_order", start_s=start, length_s=0.2, histogram=histogram)


def run(tmp_path: Path, *updates: Update) -> tuple[SessionFolder, LiveSession, LiveFinished, list[StoreError]]:
    library = Library(tmp_path / "profiles")
    session = library.new_session(tool=TOOL, binary=PROGRAM.binary, args=PROGRAM.args)
    wish = SourceWish("seeing", "Seeing", lambda _target: Seeing(*updates))
    failures: list[StoreError] = []
    live = LiveSession(
        session,
        LiveRun(session.path, [wish], launch=PROGRAM, patience=QUICK),
        argv=PROGRAM.argv,
        failed=failures.append,
    )

    def sink(event: LiveEvent) -> None:
        if isinstance(event, SourceTold) and isinstance(event.update, Armed):
            live.mark("armed")

    async def bounded() -> LiveFinished:
        async with asyncio.timeout(60):
            return await live.run(sink)

    return session, live, asyncio.run(bounded()), failures


def test_what_was_seen_is_read_from_the_session(tmp_path: Path) -> None:
    seen = (
        latency(10.0, 1000, 2000),
        latency(10.2, 3000),
        Reading(series="IPC", start_s=10.0, length_s=0.2, value=1.5),
        Said(text="Few values."),
        Behind(seconds=1.0, bytes=5),
    )
    session, live, finished, failures = run(tmp_path, *seen)
    assert live.saw_anything and failures == []
    recording = keep(session, finished)
    assert recording.histograms is not None and recording.counters is not None and recording.live is not None
    assert recording.histograms.whole("book, match_order").total == 3
    assert [mark.text for mark in recording.live.marks] == ["armed"]
    assert [warning.text for warning in recording.warnings] == ["Few values."]
    assert recording.meta.duration_s == finished.seconds
    manifest = session.manifest
    assert (manifest.state.value, manifest.tool, manifest.primary) == ("complete", TOOL, LOG)
    again = session.load()
    assert again.histograms is not None and again.histograms.whole("book, match_order").total == 3
    assert again.live is not None and again.live.marks == recording.live.marks


def test_the_histogram_log_beside_it_is_for_other_tools(tmp_path: Path) -> None:
    session, _live, _finished, _failures = run(tmp_path, latency(10.0, 1000, 2000), latency(10.2, 3000))
    series = load(session.path / HLOG).histograms
    assert series is not None
    assert series.distinct_tags() == ("book_match_order",)
    assert series.whole("book_match_order").percentiles((50.0, 100.0)) == (2000, 3001)  # three digits


def test_what_was_seen_before_an_early_end_stays(tmp_path: Path) -> None:
    session, live, _finished, _failures = run(tmp_path, latency(10.0, 1000))
    assert live.leave()
    assert session.manifest.state.value == "recorded"
    opened = open_result(session.path, Library(tmp_path / "profiles"), load=load)
    assert opened.recording.histograms is not None
    _session, nothing, _finished, _failures = run(tmp_path / "other", Said(text="Nothing."))
    assert not nothing.leave()


def test_a_profile_beside_an_unfinished_run_is_read_with_it(tmp_path: Path) -> None:
    session, live, _finished, _failures = run(tmp_path, latency(10.0, 1000))
    (session.path / PROFILE).write_text("main;match_order 7\n")
    assert live.leave()
    opened = open_result(session.path, Library(tmp_path / "profiles"), load=load_raw)
    assert opened.recording.histograms is not None and opened.recording.profile is not None
    assert opened.recording.profile.total() == 7


def test_what_goes_wrong_in_a_run_comes_out_as_it_is(tmp_path: Path) -> None:
    session = Library(tmp_path / "profiles").new_session(tool=TOOL)
    live = LiveSession(
        session, LiveRun(session.path, [], launch=PROGRAM, patience=QUICK), argv=PROGRAM.argv, failed=lambda _: None
    )

    def sink(event: LiveEvent) -> None:
        if isinstance(event, LiveContinued):
            raise BrokenPipeError

    async def bounded() -> None:
        async with asyncio.timeout(60):
            await live.run(sink)

    with pytest.raises(BrokenPipeError):
        asyncio.run(bounded())


def test_a_run_that_saw_nothing_says_so(tmp_path: Path) -> None:
    session, live, finished, _failures = run(tmp_path, Said(text="Nothing here."))
    assert not live.saw_anything
    with pytest.raises(ParseError, match="nothing that was seen"):
        keep(session, finished)
    assert session.manifest.state.value == "failed"


def test_a_disk_that_takes_no_more_is_told_once_and_the_run_goes_on(tmp_path: Path) -> None:
    library = Library(tmp_path / "profiles")
    session = library.new_session(tool=TOOL, binary=PROGRAM.binary)
    (session.path / LOG).symlink_to("/dev/full")
    failures: list[StoreError] = []

    def make(_target: LiveTarget) -> Seeing:
        return Seeing(latency(10.0, 1000))

    live = LiveSession(
        session,
        LiveRun(session.path, [SourceWish("seeing", "Seeing", make)], launch=PROGRAM, patience=QUICK),
        argv=PROGRAM.argv,
        failed=failures.append,
    )
    seen: list[LiveEvent] = []
    finished = asyncio.run(live.run(seen.append))
    assert finished.target is not None and finished.target.ok
    assert len(failures) == 1 and "No space left" in failures[0].sentence
    assert any(isinstance(event, SourceTold) and isinstance(event.update, LatencySlice) for event in seen)


def test_captures_are_marked_with_the_file_they_open_and_slow_calls_are_kept(tmp_path: Path) -> None:
    kept = tmp_path / "tail-1.data"
    slow = SlowCalls.of("match_order", 1000, 10.0, 0.2, [(7, 5, 5000)], lost=1)
    captured = Captured(
        time_s=10.1, why="p99 of match_order was 2 ms", path=kept, summary="load 4.2", took_s=0.3, bytes=2000
    )
    session, live, finished, failures = run(tmp_path, latency(10.0, 2000), slow, captured)
    assert live.saw_anything and failures == []
    keep(session, finished)
    record = session.load().live
    assert record is not None
    mark = next(mark for mark in record.marks if mark.opens)
    assert (mark.time_s, mark.opens) == (10.1, "tail-1.data")
    assert mark.text == "captured: p99 of match_order was 2 ms (2.0 kB in 0.3 s; load 4.2)"
    assert [(calls.series, len(calls), calls.lost) for calls in record.slow] == [("match_order", 1, 1)]
