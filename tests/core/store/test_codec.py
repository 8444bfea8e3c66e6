"""A recording reads back exactly, and a hostile file is a sentence."""

from __future__ import annotations

import io
import json
import pickle
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers import heaps
from helpers.recordings import as_results, counters, histograms, recording, same
from helpers.stack_counts import DATA
from helpers.stacks import profile
from tailflame.errors import StoreError, StoreVersionError
from tailflame.model import (
    NONE,
    CounterSeries,
    Event,
    FrameKind,
    Histogram,
    HistogramSeries,
    Recording,
    SiteTable,
    StackBuilder,
    StackProfile,
    Thread,
)
from tailflame.model.counters import Kept
from tailflame.model.heap import Counted, HeapFacts
from tailflame.model.live import Reading
from tailflame.model.live_record import LiveRecord, Mark
from tailflame.model.slow_calls import SlowCalls
from tailflame.model.stacks import readonly
from tailflame.parse import load
from tailflame.store.codec import encode
from tailflame.store.columns import write_columns
from tailflame.store.session import load_recording, save_recording
from tailflame.units import Unit

NAMES = st.text(max_size=8) | st.sampled_from(["core::ops::FnOnce", "\udcff\udc80", "\0", "ünïcode;x"])


@st.composite
def profiles(draw: st.DrawFn) -> StackProfile:
    builder = StackBuilder(events=[Event("cycles", Unit.EVENTS, has_period=True), Event("faults")])
    for _ in range(draw(st.integers(0, 12))):
        frames = [
            builder.frame(
                draw(NAMES),
                module=draw(NAMES),
                file=draw(NAMES),
                line=draw(st.integers(-1, 2**31 - 1)),
                kind=draw(st.sampled_from(list(FrameKind))),
            )
            for _ in range(draw(st.integers(0, 5)))
        ]
        builder.sample(
            builder.stack(frames),
            count=draw(st.floats(-1e9, 1e9)),
            period=draw(st.floats(-1e18, 1e18)),
            time_ns=draw(st.integers(-1, 2**63 - 1)),
            thread=builder.thread(Thread(draw(NAMES), draw(st.integers(-1, 2**31)), draw(st.integers(-1, 2**31)))),
            cpu=draw(st.integers(-1, 1000)),
            event=draw(st.integers(0, 1)),
        )
    built = builder.build(approximate=draw(st.booleans()), in_time_order=draw(st.booleans()))
    return with_sites(built, draw(st.lists(st.integers(0, 2**64 - 1), max_size=3))) if draw(st.booleans()) else built


def with_sites(profile: StackProfile, addresses: list[int]) -> StackProfile:
    """Every sample at one of these addresses, or at none."""
    rows = np.arange(len(profile.samples)) % (len(addresses) + 1) - 1
    sites = SiteTable(
        module=readonly(np.full(len(addresses), NONE), np.int32), address=readonly(np.array(addresses, "u8"), np.uint64)
    )
    return replace(profile, sites=sites, samples=replace(profile.samples, site=readonly(rows, np.int32)))


@given(profiles(), profiles())
@settings(max_examples=40, deadline=None)
def test_any_profile_reads_back_exactly(tmp_path: Path, one: StackProfile, other: StackProfile) -> None:
    kept = as_results(one, baseline=other)
    save_recording(tmp_path, kept)
    assert same(load_recording(tmp_path), kept)


def test_everything_known_of_a_run_reads_back(tmp_path: Path) -> None:
    kept = recording(command=("/opt/book", "--mode", "benchmark"))
    save_recording(tmp_path, kept)
    assert same(load_recording(tmp_path), kept)


def test_histograms_read_back(tmp_path: Path) -> None:
    nothing = HistogramSeries(tags=(), start_s=(), length_s=(), histograms=())
    fine = HistogramSeries(
        tags=("",), start_s=(0.0,), length_s=(1.0,), unit="µs",
        histograms=(Histogram(np.zeros(0, dtype=np.int64), lowest=1000, digits=2),),
    )  # fmt: skip
    kept = as_results(histograms(), nothing, fine, profile("a;b 3"))
    save_recording(tmp_path, kept)
    back = load_recording(tmp_path)
    assert [r.tags for r in back.results[:2] if isinstance(r, HistogramSeries)] == [("total", "risk"), ()]
    series = back.histograms
    assert series is not None
    assert series.histograms[0].counts.tolist() == list(range(40))
    assert (series.histograms[1].counts.tolist(), series.histograms[1].digits) == ([1] * 7, 2)
    assert (series.start_s, series.length_s, series.unit) == ((0.5, 1.5), (1.0, 1.0), "ns")
    last = back.results[2]
    assert isinstance(last, HistogramSeries)
    assert (last.histograms[0].lowest, len(last.histograms[0].counts), last.unit) == (1000, 0, "µs")


def test_counters_read_back(tmp_path: Path) -> None:
    nothing = CounterSeries.of_readings([])
    simulated = CounterSeries.of_readings(
        [Reading(series="ünïcode", start_s=-1.5, length_s=0.25, value=1e300, unit="%", simulated=True)]
    )
    kept = as_results(counters(), nothing, simulated, histograms())
    save_recording(tmp_path, kept)
    back = load_recording(tmp_path)
    assert same(back.results[:3], kept.results[:3])
    assert back.counters is back.results[0]
    assert back.histograms is not None


def test_what_memory_is_counted_reads_back(tmp_path: Path) -> None:
    facts = HeapFacts(peak=5.0, peak_extra=3.0, peak_stacks=1.0)
    heap = replace(heaps.timeline(heap=(1, 2), facts=facts), counted=Counted.PAGES)
    save_recording(tmp_path, as_results(heap))
    assert same(load_recording(tmp_path), as_results(heap))
    header, columns = encode(as_results(heap))
    told = header["results"][0]
    del told["counted"], told["facts"]["peak_extra"], told["facts"]["peak_stacks"]  # as it was before these were known
    write_columns(tmp_path / "recording.npz", header, columns)
    old = load_recording(tmp_path).heap
    assert old is not None and old.counted is Counted.BLOCKS
    assert old.facts == HeapFacts(peak=5.0)
    told["counted"] = "wishes"
    write_columns(tmp_path / "recording.npz", header, columns)
    with pytest.raises(StoreError, match="what memory is counted"):
        load_recording(tmp_path)


def test_a_recording_of_the_first_version_still_reads(tmp_path: Path) -> None:
    assert same(load_recording(hostile(tmp_path, version=1)), recording())


@pytest.mark.parametrize("name", ["repeated.txt", "repeated.csv", "runs.csv"])
def test_repeated_counters_read_back(tmp_path: Path, name: str) -> None:
    recording = load(DATA / "perf-stat" / "6.1.187" / name)
    save_recording(tmp_path, recording)
    assert same(load_recording(tmp_path).counters, recording.counters)


def test_a_number_of_runs_that_was_made_up_is_forgotten(tmp_path: Path) -> None:
    """Counters were stored as of 2 runs where their file had not told how many."""
    header, columns = encode(load(DATA / "perf-stat" / "6.1.187" / "repeated.csv"))
    (result,) = header["results"]
    assert (result.pop("kept"), result["runs"]) == ("last", 0)
    result["runs"] = 2
    path = tmp_path / "recording.npz"
    write_columns(path, header, columns)
    series = load_recording(tmp_path).counters
    assert series is not None and (series.runs, series.kept) == (0, Kept.MEAN)
    write_columns(path, header, columns | {"0.spread": np.full(len(series), np.nan)})
    series = load_recording(tmp_path).counters
    assert series is not None and (series.runs, series.kept) == (0, Kept.LAST)
    result["kept"] = "some"
    write_columns(path, header, columns)
    with pytest.raises(StoreError, match="nothing is kept of runs as “some”"):
        load_recording(tmp_path)


def test_hostile_counters_are_a_sentence(tmp_path: Path) -> None:
    header, columns = encode(as_results(counters()))
    (about,) = header["results"]
    for name, value in (
        ("series", [0, 1, 2, 0, 1, 3]),
        ("status", [0, 0, 0, 9, 0, 0]),
        ("value", [np.inf, 1, 1, np.nan, 1, np.nan]),
        ("value", [1, 1, 1, 1, 1, 1]),
        ("running", [1, 1, 1, 1, 1, 1.5]),
        ("start_s", [1, 0, 0, 0, 0, 0]),
        ("length_s", [np.nan, 0, 0, 0, 0, 0]),
    ):
        broken = {**columns, f"0.{name}": np.array(value, dtype=columns[f"0.{name}"].dtype)}
        write_columns(tmp_path / "recording.npz", header, broken)
        with pytest.raises(StoreError, match="do not fit together"):
            load_recording(tmp_path)
    twice = {**header, "results": [{**about, "series": [about["series"][0]] * 3}]}
    write_columns(tmp_path / "recording.npz", twice, columns)
    with pytest.raises(StoreError, match="do not fit together"):
        load_recording(tmp_path)


def test_numpy_itself_opens_the_file(tmp_path: Path) -> None:
    save_recording(tmp_path, recording())
    with np.load(tmp_path / "recording.npz", allow_pickle=False) as archive:
        assert archive["0.samples.count"].tolist() == [600.0, 250.0, 350.0]
        assert json.loads(archive["header"].tobytes())["format"] == "tailflame recording"


def test_a_missing_recording_is_said(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="holds no finished recording"):
        load_recording(tmp_path)


def hostile(tmp_path: Path, **changes: object) -> Path:
    """A recording with some columns or header fields replaced."""
    header, columns = encode(recording())
    for name, value in changes.items():
        if isinstance(value, np.ndarray):
            columns[name.replace("__", ".")] = value
        elif value is None:
            del columns[name.replace("__", ".")]
        else:
            header[name] = value
    write_columns(tmp_path / "recording.npz", header, columns)
    return tmp_path


def i4(*values: int) -> np.ndarray:  # type: ignore[type-arg]
    return np.array(values, dtype=np.int32)


FRAMES, STACKS = 6, 6


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"0__samples__stack": i4(0, 1, 99)}, "points outside its table"),
        ({"0__samples__stack": i4(0, 1, -2)}, "points outside its table"),
        ({"0__samples__event": i4(0, 0, 1)}, "points outside its table"),
        ({"0__samples__thread": i4(0, 0, 7)}, "points outside its table"),
        ({"0__stacks__frame": i4(*range(1, STACKS + 1))}, "points outside its table"),
        ({"0__stacks__parent": i4(*range(STACKS))}, "parent behind its child"),
        ({"0__frames__name": i4(*[1000] * FRAMES)}, "points outside its table"),
        ({"0__frames__kind": np.full(FRAMES, 77, dtype=np.uint8)}, "points outside its table"),
        ({"0__samples__count": np.array([1, np.nan, 1])}, "no number"),
        ({"0__samples__count": np.array([1.0, 1.0])}, "differ in length"),
        ({"0__samples__count": i4(1, 1, 1)}, "wrong type"),
        ({"0__samples__cpu": None}, "is missing"),
        ({"results": "x"}, "should be a list, found a text"),
        ({"results": [{"kind": "pie"}]}, "“kind” should be"),
        ({"results": [7]}, "expected an object, found a number"),
        ({"meta": {"duration_s": "long"}}, "should be a number"),
        ({"meta": {"started_at": "yesterday"}}, "should be a time"),
        ({"version": 0}, "version"),
        ({"version": True}, "should be a whole number"),
        ({"tool": 3}, "should be text"),
    ],
)
def test_a_hostile_recording_is_a_sentence(tmp_path: Path, changes: dict[str, object], sentence: str) -> None:
    with pytest.raises(StoreError, match=sentence) as caught:
        load_recording(hostile(tmp_path, **changes))
    assert "recording.npz" in caught.value.sentence


def test_hostile_histograms_are_a_sentence(tmp_path: Path) -> None:
    header, columns = encode(as_results(histograms()))
    for name, value in (("length", [2**62, 2**62]), ("length", [40, 6]), ("digits", [3, 9]), ("lowest", [0, 1])):
        broken = {**columns, f"0.{name}": np.array(value, dtype=columns[f"0.{name}"].dtype)}
        write_columns(tmp_path / "recording.npz", header, broken)
        with pytest.raises(StoreError, match="do not fit together"):
            load_recording(tmp_path)


def test_a_newer_recording_asks_for_an_update(tmp_path: Path) -> None:
    with pytest.raises(StoreVersionError, match="newer Tailflame") as caught:
        load_recording(hostile(tmp_path, version=99))
    assert caught.value.advice == "Update Tailflame to read it."


class Evil:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        raise AssertionError("a pickle was read")


def archive(path: Path, members: dict[str, bytes]) -> None:
    with zipfile.ZipFile(path / "recording.npz", "w") as stream:
        for name, data in members.items():
            stream.writestr(name, data)


def npy(array: np.ndarray, *, allow_pickle: bool = False) -> bytes:  # type: ignore[type-arg]
    stream = io.BytesIO()
    np.lib.format.write_array(stream, array, allow_pickle=allow_pickle)
    return stream.getvalue()


HEADER = npy(np.frombuffer(b"{}", dtype=np.uint8))
HUGE = npy(np.zeros(2, dtype=np.float64)).replace(b"(2,)", b"(9,)")


@pytest.mark.parametrize(
    "members",
    [
        {"header.npy": npy(np.array([{"a": 1}], dtype=object), allow_pickle=True)},
        {"header.npy": pickle.dumps([1, 2])},
        {"header.npy": HUGE},
        {"header.npy": npy(np.zeros((2, 2)))},
        {"header.npy": b"\x93NUMPY\x01\x00\x10\x00{'descr': ((((((("},
        {"header.npy": b"\x93NUMPY\x09\x00"},
        {"header.npy": b""},
        {"other.npy": HEADER},
        {"header.npy": HEADER, "header": HEADER},
        {"header.npy": npy(np.frombuffer(b"[" * 100_000, dtype=np.uint8))},
        {"header.npy": npy(np.frombuffer(b'{"version": 1e999}', dtype=np.uint8))},
        {"header.npy": npy(np.frombuffer(b"\xff\xfe", dtype=np.uint8))},
    ],
)
def test_an_archive_of_anything_else_is_a_sentence(tmp_path: Path, members: dict[str, bytes]) -> None:
    archive(tmp_path, members)
    with pytest.raises(StoreError, match=r"recording\.npz") as caught:
        load_recording(tmp_path)
    assert "damaged" in caught.value.sentence


@pytest.mark.parametrize("keep", [0, 1, 100, -30, -400])
def test_a_cut_file_is_a_sentence(tmp_path: Path, keep: int) -> None:
    save_recording(tmp_path, recording())
    path = tmp_path / "recording.npz"
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(StoreError, match="damaged"):
        load_recording(tmp_path)


@given(st.integers(0, 10**6), st.integers(0, 255))
@settings(max_examples=80, deadline=None)
def test_a_flipped_byte_never_crashes(tmp_path: Path, place: int, value: int) -> None:
    path = tmp_path / "recording.npz"
    save_recording(tmp_path, recording())
    data = bytearray(path.read_bytes())
    data[place % len(data)] = value
    path.write_bytes(data)
    try:
        load_recording(tmp_path)
    except StoreError as error:
        assert error.sentence


def test_more_than_the_limit_is_refused_before_it_is_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_recording(tmp_path, recording())
    monkeypatch.setattr("tailflame.store.columns.TOTAL_LIMIT", 100)
    with pytest.raises(StoreError, match="unpack to more than"):
        load_recording(tmp_path)


def live_run(*slow: SlowCalls) -> Recording:
    return as_results(LiveRecord(1.0, 2.0, 3.0, pid=7, marks=(Mark(2.5, "deploy"),), slow=slow))


def test_slow_calls_read_back(tmp_path: Path) -> None:
    slow = (
        SlowCalls.of("work", 100_000, 2.0, 0.5, [(7, 5, 9), (8, 1, 2**62)], lost=4),
        SlowCalls.of("work", 100_000, 9.0, 0.5, []),
    )
    save_recording(tmp_path, live_run(*slow))
    live = load_recording(tmp_path).live
    assert live is not None and live.marks == (Mark(2.5, "deploy"),)
    for read, written in zip(live.slow, slow, strict=True):
        assert (read.series, read.threshold_ns, read.start_s, read.length_s, read.lost) == (
            written.series, written.threshold_ns, written.start_s, written.length_s, written.lost,
        )  # fmt: skip
        for column in ("tid", "start_ns", "end_ns"):
            assert np.array_equal(getattr(read, column), getattr(written, column))


def test_a_live_run_of_before_slow_calls_has_none_and_hostile_ones_are_a_sentence(tmp_path: Path) -> None:
    header, columns = encode(live_run(SlowCalls.of("work", 1000, 2.0, 0.5, [(7, 5, 9)])))
    write_columns(tmp_path / "recording.npz", header, {**columns, "0.slow0.end_ns": np.array([4], dtype="<i8")})
    with pytest.raises(StoreError, match="ends before it begins"):
        load_recording(tmp_path)
    del header["results"][0]["slow"]
    write_columns(tmp_path / "recording.npz", {**header, "version": 3}, {})
    live = load_recording(tmp_path).live
    assert live is not None and live.slow == ()
