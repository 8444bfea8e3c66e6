"""live.jsonl: what a run saw comes back as it was, from whole files and from ones that were cut off."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailflame.errors import ParseError, StoreError
from tailflame.model import Histogram
from tailflame.model.live import Cost, LatencySlice, Reading, Said, StageSlice, Status
from tailflame.model.live_record import Mark
from tailflame.model.slow_calls import SlowCalls
from tailflame.parse import live_lines, load
from tailflame.report.live_log import LiveLogWriter

FINITE = st.floats(allow_nan=False, allow_infinity=False, width=64)
POSITIVE = st.floats(min_value=0, max_value=1e11)
TIMES = st.floats(min_value=-1e11, max_value=1e11)
NAMES = st.text(max_size=20)
WHOLE = st.integers(0, 2**40)

readings = st.builds(
    Reading,
    series=NAMES,
    start_s=TIMES,
    length_s=POSITIVE,
    value=FINITE,
    unit=NAMES,
    running=st.floats(0, 1),
    simulated=st.booleans(),
)
stages = st.integers(0, 4).flatmap(
    lambda n: st.builds(
        StageSlice,
        series=NAMES,
        stages=st.tuples(*[NAMES] * n),
        start_s=TIMES,
        length_s=POSITIVE,
        events=WHOLE,
        sums_ns=st.tuples(*[FINITE] * n),
        tail_events=WHOLE,
        tail_sums_ns=st.tuples(*[FINITE] * n),
    )
)
costs = st.builds(
    Cost, series=NAMES, floor_ns=POSITIVE, per_call_ns=POSITIVE, calls_per_s=POSITIVE, share=POSITIVE, lost=WHOLE
)
others = st.one_of(st.builds(Said, text=NAMES, fix=NAMES), st.builds(Mark, time_s=FINITE, text=NAMES))


@given(st.one_of(readings, stages, costs, others))
def test_what_is_written_is_read(line: live_lines.Line) -> None:
    assert live_lines.read(json.loads(json.dumps(live_lines.write(line)))) == line


@given(st.lists(st.integers(1, 10**9), max_size=50))
def test_a_histogram_comes_back_count_for_count(values: list[int]) -> None:
    written = LatencySlice(series="x", start_s=1.0, length_s=0.2, histogram=Histogram.of(np.array(values, np.int64)))
    read = live_lines.read(json.loads(json.dumps(live_lines.write(written))))
    assert isinstance(read, LatencySlice)
    assert read.histogram.total == len(values)
    assert read.histogram.percentiles() == written.histogram.percentiles()


def written(tmp_path: Path, *lines: live_lines.Line) -> Path:
    path = tmp_path / "live.jsonl"
    with LiveLogWriter(path, pid=8812, argv=("engine", "--x"), launched=True, clock=(1000.0, 1_700_000_000.0)) as log:
        for line in lines:
            log.write(line)
    return path


def latency(start: float, *values: int, series: str = "match_order") -> LatencySlice:
    return LatencySlice(series=series, start_s=start, length_s=0.2, histogram=Histogram.of(np.array(values, np.int64)))


def test_a_run_is_read_as_one_recording(tmp_path: Path) -> None:
    stage = StageSlice(
        series="total_us",
        stages=("validation_us", "risk_check_us"),
        start_s=1000.0,
        length_s=0.2,
        events=3,
        sums_ns=(1e3, 2e3),
        tail_events=1,
        tail_sums_ns=(5e2, 1e3),
    )
    path = written(
        tmp_path,
        latency(1000.2, 3000),
        latency(1000.0, 1000, 2000),
        Reading(series="IPC", start_s=1000.0, length_s=0.2, value=1.5),
        Reading(series="cycles", start_s=1000.0, length_s=0.2, value=None, status=Status.NOT_SUPPORTED),
        stage,
        Mark(1000.1, "deploy"),
        Said(text="A summary's quantiles cannot be merged."),
        Cost(series="match_order", floor_ns=1100.0, per_call_ns=2300.0, calls_per_s=4e4, share=0.05, lost=2),
    )
    recording = load(path)
    assert (recording.tool, recording.format) == ("live", "live")
    histograms, counters, live = recording.histograms, recording.counters, recording.live
    assert histograms is not None and counters is not None and live is not None
    assert histograms.start_s == (1000.0, 1000.2)
    assert histograms.whole("match_order").total == 3
    assert counters.names == ("IPC", "cycles")
    assert live.stages == (stage,) and live.marks == (Mark(1000.1, "deploy"),)
    assert (live.began_s, live.pid, live.launched) == (1000.0, 8812, True)
    assert live.ended_s == pytest.approx(1000.4)
    assert live.epoch_s + live.began_s == 1_700_000_000.0
    assert recording.meta.command == ("engine", "--x")
    assert recording.meta.lost == 2
    assert [w.text for w in recording.warnings] == ["A summary's quantiles cannot be merged."]


def slow(start: float, *calls: tuple[int, int, int], lost: int = 0) -> SlowCalls:
    return SlowCalls.of("match_order", 100_000, start, 0.2, calls, lost=lost)


def test_slow_calls_are_read_as_stretches_of_watching(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        latency(1000.0, 5),
        slow(1000.0, (7, 10**12, 10**12 + 5)),
        slow(1000.2, lost=2),
        slow(1000.4, (7, 10**12 + 9, 10**12 + 9), (8, 1, 2)),
        slow(1010.0, (7, 3, 4)),
    )
    with path.open("a") as file:
        for calls in (
            "[[7, 2, 1]]",
            "[[7, 1]]",
            "[[7, 1, 9e99]]",
            "[[7, 1, 4611686018427387904]]",
            "7",
            '[["7", 1, 2]]',
        ):
            file.write(f'{{"slow":"x","above":5,"start":1.0,"length":0.2,"calls":{calls}}}\n')
    recording = load(path)
    live = recording.live
    assert live is not None
    assert [(part.start_s, len(part), part.lost) for part in live.slow] == [(1000.0, 3, 2), (1010.0, 1, 0)]
    assert live.slow[0].tid.tolist() == [7, 7, 8] and live.slow[0].end_ns.tolist() == [10**12 + 5, 10**12 + 9, 2]
    assert "6 lines were left out" in recording.warnings[0].text


def test_a_run_that_was_cut_off_is_read_up_to_there(tmp_path: Path) -> None:
    path = written(tmp_path, latency(1000.0, 5), latency(1000.2, 6))
    path.write_bytes(path.read_bytes()[:-20])
    recording = load(path)
    assert recording.histograms is not None and len(recording.histograms.histograms) == 1
    assert "left out" in recording.warnings[0].text


def test_of_a_long_run_neighbours_are_merged_and_every_value_counts(tmp_path: Path) -> None:
    slices = [latency(1000 + 0.2 * n, n + 1) for n in range(8000)]
    recording = load(written(tmp_path, *slices))
    assert recording.histograms is not None
    assert len(recording.histograms.histograms) == 2000
    assert recording.histograms.whole("match_order").total == 8000
    assert "up to 4 neighbouring intervals are shown as one" in recording.warnings[0].text


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"format":"tailflame live","version":99,"clock":{}}', "newer Tailflame"),
        ('{"format":"tailflame live","version":1}', "clock"),
        ('{"format":"tailflame live"}', "version"),
        ('{"format":"tailflame live","version":1,"clock":{"monotonic_s":1,"epoch_s":2}}', "nothing that was seen"),
        (
            '{"format":"tailflame live","version":1,"clock":{"monotonic_s":1,"epoch_s":1e300}}\n{"reading":"a"}',
            "nothing",
        ),
    ],
)
def test_what_cannot_be_read_is_said(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "live.jsonl"
    path.write_text(text + "\n")
    with pytest.raises(ParseError, match=words):
        load(path, format="live")


def test_a_time_of_no_calendar_is_left_out(tmp_path: Path) -> None:
    path = written(tmp_path, latency(1000.0, 5), latency(1e30, 6))
    recording = load(path)
    assert recording.histograms is not None and len(recording.histograms.histograms) == 1
    assert "none of this world" in recording.warnings[0].text


@given(st.recursive(st.none() | st.booleans() | FINITE | NAMES, lambda inner: st.lists(inner, max_size=3)))
def test_no_field_of_the_wrong_kind_gets_through(value: object) -> None:
    for name in ("latency", "reading", "stages", "cost", "said", "mark"):
        with contextlib.suppress(ValueError):
            live_lines.read({name: value, "start": value, "length": value, "histogram": value, "time": value})


def test_a_log_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="cannot be written"):
        LiveLogWriter(tmp_path / "no" / "live.jsonl", pid=1, argv=(), launched=False)
    with pytest.raises(StoreError, match="No space left"):
        LiveLogWriter(Path("/dev/full"), pid=1, argv=(), launched=False)


def test_names_with_bytes_that_are_no_utf8(tmp_path: Path) -> None:
    path = tmp_path / "live.jsonl"
    with LiveLogWriter(path, pid=1, argv=("/bin/a\udcff",), launched=True) as log:
        log.write(Reading(series="CPU, a\udcff", start_s=1.0, length_s=0.2, value=5.0, unit="%"))
    recording = load(path)
    assert recording.meta.command == ("/bin/a\\udcff",)
    assert recording.counters is not None
    assert not recording.warnings
