"""bpftrace's histograms: no percentile is told more exactly than the buckets are."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.stack_counts import DATA
from tailflame.errors import ParseError
from tailflame.model import HistogramSeries, Recording
from tailflame.parse import load
from tailflame.parse.bpftrace import BPFTRACE
from tailflame.parse.bpftrace_hist import unit_of

REAL = DATA / "bpftrace" / "0.17.0" / "hist"
BOTH = pytest.mark.parametrize("name", ["hist.txt", "hist.json"])
N = range(1, 201)
PERCENTILES = (1.0, 25.0, 50.0, 90.0, 99.0, 99.9, 100.0)


def read(folder: Path, text: str) -> Recording:
    path = folder / "out"
    path.write_text(text)
    return load(path)


def by_tag(recording: Recording) -> dict[str, HistogramSeries]:
    found = {}
    for series in recording.results:
        if not isinstance(series, HistogramSeries):
            continue
        for tag in series.tags:
            found[tag.replace(", ", ",")] = series
    return found


def true_percentile(values: Iterable[int], p: float) -> int:
    ordered = sorted(values)
    return ordered[max(math.ceil(len(ordered) * p / 100), 1) - 1]


def upper_end_of_power(value: int) -> int:
    return (1 << value.bit_length()) - 1


@BOTH
@pytest.mark.parametrize(
    ("tag", "values"),
    [
        ("@us", lambda: [n * n for n in N]),
        ("@ns[0]", lambda: [n * 1000 for n in N if n % 3 == 0]),
        ("@ns[1]", lambda: [n * 1000 for n in N if n % 3 == 1]),
        ("@two[0,a,b]", lambda: [n for n in N if n % 2 == 0]),
        ("@neg", lambda: [50 - n for n in N if n <= 50]),
    ],
)
def test_percentiles_are_the_upper_ends_of_powers_of_two(name: str, tag: str, values: Callable[[], list[int]]) -> None:
    recording = load(REAL / name)
    series = by_tag(recording)[tag]
    whole = next(h for t, h in zip(series.tags, series.histograms, strict=True) if t.replace(", ", ",") == tag)
    assert whole.total == len(values())
    # "@us" and "@ns" stand in one file: they are shown in ns alike
    factor = 1000 if tag == "@us" else 1
    for p in PERCENTILES:
        end = (upper_end_of_power(true_percentile(values(), p)) + 1) * factor - 1
        if factor == 1:
            assert whole.percentiles((p,)) == (end,)
        else:  # 1024 µs are no power of two in ns: 3 digits
            assert whole.percentiles((p,))[0] == pytest.approx(end, rel=1e-3)
            assert whole.percentiles((p,))[0] >= end


@BOTH
def test_linear_steps(name: str) -> None:
    recording = load(REAL / name)
    series = by_tag(recording)["@lin"]
    whole = series.whole("@lin")
    assert whole.total == 200
    assert whole.percentiles((1.0, 9.5, 10.0, 50.0, 99.0)) == (19, 19, 29, 109, 150)
    assert series.unit == ""
    texts = [caution.text for caution in recording.warnings]
    assert "51 values of @lin lie beyond its last step, at 150 or far above." in texts
    assert "37 values of @big lie beyond its last step, at 16,384 or far above." in texts
    assert "Values are known to a step of 1,024: each percentile is the upper end of a step." in texts


@BOTH
def test_what_is_not_known_is_said(name: str) -> None:
    recording = load(REAL / name)
    texts = [caution.text for caution in recording.warnings]
    assert texts[0].startswith("Values are known to a factor of two")
    assert "150 values below 0 are left out." in texts
    assert "Nothing tells the unit of @big, @lin, @neg, @two." in texts
    assert recording.histograms is not None
    assert recording.histograms.unit == "ns"
    assert {tag.partition("[")[0] for tag in recording.histograms.tags} == {"@ns", "@us"}


def test_text_and_json_say_the_same(tmp_path: Path) -> None:
    one, other = (load(REAL / name) for name in ("hist.txt", "hist.json"))
    assert one.warnings[:4] == other.warnings[:4]
    for tag, series in by_tag(one).items():
        twin = by_tag(other)[tag]
        mine = dict(zip((t.replace(", ", ",") for t in series.tags), series.histograms, strict=True))[tag]
        theirs = dict(zip(twin.tags, twin.histograms, strict=True))[tag]
        assert (mine.counts.tolist(), mine.digits, series.unit) == (theirs.counts.tolist(), theirs.digits, twin.unit)
    unknown = tmp_path / "unknown"
    unknown.write_bytes((REAL / "hist.txt").read_bytes())
    assert load(unknown).format == "bpftrace"


def hist(*counts: int, tag: str = "@ns") -> str:
    buckets = [{"min": 1 << k, "max": (2 << k) - 1, "count": number} for k, number in enumerate(counts)]
    return json.dumps({"type": "hist", "data": {tag: buckets}}) + "\n"


def test_a_map_that_is_printed_again_and_grows_is_not_added_up(tmp_path: Path) -> None:
    recording = read(tmp_path, hist(1, 2) + '{"type": "printf", "data": "x"}\n' + hist(1, 5, 1) + hist(1, 5, 1))
    assert recording.histograms is not None
    assert recording.histograms.whole("@ns").total == 7
    assert recording.warnings[-1].text.startswith("@ns was printed 3 times and never shrank")


def test_a_map_that_is_cleared_between_prints_is_added_up(tmp_path: Path) -> None:
    recording = read(tmp_path, hist(4, 2) + hist(1, 5, 1))
    assert recording.histograms is not None
    assert recording.histograms.whole("@ns").total == 13
    assert recording.warnings[-1].text.startswith("@ns was printed 2 times and cleared in between")


@pytest.mark.parametrize(
    ("tag", "unit"),
    [
        ("@ns", "ns"), ("@usecs", "µs"), ("@read_latency_ms[sshd,3]", "ms"), ("@seconds", "s"), ("@bytes", "bytes"),
        ("@", ""), ("@s[1]", ""), ("@dist", ""), ("@[usecs]", ""), ("@nsx", ""),
    ],
)  # fmt: skip
def test_units_are_told_by_names(tag: str, unit: str) -> None:
    assert unit_of(tag) == unit


@pytest.mark.parametrize(
    "text",
    [
        '{"event": "x", "counter-value": "1"}\n',
        '{"type": "event", "data": 3}\n',
        "@mention: hello\n",
        "@us: \nnothing\n",
        "main;parse;read 42\n[1K, 2K) 12\n",
        "",
    ],
)
def test_other_texts_are_not_taken(text: str) -> None:
    assert BPFTRACE.sniff(text.encode(), "out.txt") < 0


@pytest.mark.parametrize(
    "bucket",
    [
        {"min": 1, "max": 1},
        {"min": 1, "max": 1, "count": -3},
        {"min": 1, "max": 1, "count": 2**63},
        {"min": 5, "max": 1, "count": 1},
        {"min": "1", "max": 1, "count": 1},
        {"min": 2**70, "count": 1},
        {"count": 1},
        7,
    ],
)
def test_a_hostile_bucket_is_a_sentence(tmp_path: Path, bucket: object) -> None:
    line = json.dumps({"type": "hist", "data": {"@ns": [bucket]}})
    path = tmp_path / "out"
    path.write_text(line)
    with pytest.raises(ParseError, match=r"bucket|count|value"):
        load(path, format="bpftrace")
    recording = read(tmp_path, hist(1) + line)
    assert recording.histograms is not None
    assert recording.histograms.whole("@ns").total == 1


@BOTH
def test_a_file_cut_anywhere_is_read_or_a_sentence(tmp_path: Path, name: str) -> None:
    data = (REAL / name).read_bytes()
    for end in range(1, len(data), len(data) // 60):
        (tmp_path / "cut").write_bytes(data[:end])
        try:
            recording = load(tmp_path / "cut", format="bpftrace")
        except ParseError as error:
            assert error.sentence
        else:
            assert recording.maps is not None


BUCKETS = st.lists(
    st.fixed_dictionaries(
        {"count": st.integers(-1, 2**54)},
        optional={"min": st.integers(-(2**65), 2**65), "max": st.integers(-(2**65), 2**65)},
    ),
    max_size=6,
)


@settings(max_examples=120, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["@ns", "@us", "@x", "@y[1]"]), BUCKETS), max_size=5))
def test_any_json_is_read_or_a_sentence(
    tmp_path_factory: pytest.TempPathFactory, prints: list[tuple[str, list[object]]]
) -> None:
    path = tmp_path_factory.mktemp("h") / "out"
    path.write_text(
        "".join(json.dumps({"type": "hist", "data": {tag: buckets}}) + "\n" for tag, buckets in prints) + "x"
    )
    try:
        recording = load(path, format="bpftrace")
    except ParseError as error:
        assert error.sentence
        return
    for series in recording.results:
        if not isinstance(series, HistogramSeries):
            continue
        for histogram in series.histograms:
            values = histogram.percentiles()
            assert list(values) == sorted(values)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(0, 2**50), min_size=1, max_size=60))
def test_any_values_lie_at_or_below_their_percentile_and_above_half_of_it(
    tmp_path_factory: pytest.TempPathFactory, values: list[int]
) -> None:
    counts: dict[int, int] = {}
    for value in values:
        counts[value.bit_length()] = counts.get(value.bit_length(), 0) + 1
    buckets = [
        {"min": 0 if not k else 1 << (k - 1), "max": (1 << k) - 1, "count": number}
        for k, number in sorted(counts.items())
    ]
    path = tmp_path_factory.mktemp("h") / "out"
    path.write_text(json.dumps({"type": "hist", "data": {"@nsecs": buckets}}))
    series = load(path).histograms
    assert series is not None
    for p in PERCENTILES:
        (told,) = series.whole("@nsecs").percentiles((p,))
        truth = true_percentile(values, p)
        assert truth <= told <= max(2 * truth - 1, truth)
