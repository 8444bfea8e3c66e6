"""Criterion's folder: the estimates that it printed, and its verdicts by its own rule."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.stack_counts import DATA
from tailflame.analyse.criterion_rule import Verdict, judge
from tailflame.errors import ParseError
from tailflame.model.benchmarks import Benchmark, BenchmarkRun
from tailflame.parse import load
from tailflame.store.codec import decode, encode
from tailflame.store.files import Fields

REAL = DATA / "criterion" / "0.5.1"
RUNS = ("run1", "run2", "run3")
_UNITS = {"ns": 1.0, "µs": 1e3, "ms": 1e6}
_PRINTED = re.compile(
    r"(?P<name>\S+)\s+time:   \[(?P<time>[^\]]+)\]\n\s+change: \[(?P<change>[^\]]+)\] \(p = (?P<p>[\d.]+) [<>] 0.05\)"
    r"\n\s+(?P<verdict>\S.*)"
)


def runs_of(folder: Path) -> tuple[BenchmarkRun, ...]:
    return load(folder).benchmarks


def pair(run: str, name: str) -> tuple[Benchmark, Benchmark]:
    """The saved baseline's and the new one."""
    new, main = runs_of(REAL / run / "criterion")
    before, after = main.named(name), new.named(name)
    assert before is not None and after is not None
    return before, after


def printed(run: str) -> dict[str, re.Match[str]]:
    found = {m["name"]: m for m in _PRINTED.finditer((REAL / run / "printed.txt").read_text())}
    assert len(found) == 4
    return found


@pytest.mark.parametrize("run", RUNS)
def test_the_times_are_those_that_criterion_printed(run: str) -> None:
    for name, match in printed(run).items():
        _before, after = pair(run, name)
        low, _, typical, _, high, _ = match["time"].split()
        units = match["time"].split()[1::2]
        for text, unit, value in zip(
            (low, typical, high), units, (after.typical.low, after.typical.point, after.typical.high), strict=True
        ):
            assert value / _UNITS[unit] == pytest.approx(float(text), rel=1e-4), name


@pytest.mark.parametrize("run", RUNS)
def test_the_verdicts_are_those_that_criterion_printed(run: str) -> None:
    for name, match in printed(run).items():
        judged = judge(*pair(run, name))
        low, point, high = (float(text.rstrip("%")) / 100 for text in match["change"].split())
        assert judged.change.point == pytest.approx(point, abs=6e-6), name
        # Both draw their own resamples: of twenty samples the ends of an interval differ by some percent of it.
        width = high - low
        assert judged.change.low == pytest.approx(low, abs=0.06 * width), name
        assert judged.change.high == pytest.approx(high, abs=0.06 * width), name
        assert judged.p == pytest.approx(float(match["p"]), abs=0.012), name
        assert judged.verdict.value == match["verdict"], name


def test_what_criterion_kept_of_the_change_is_read(tmp_path: Path) -> None:
    _before, after = pair("run2", "stages/check_risk")
    low, point, high = (
        float(text.rstrip("%")) / 100 for text in printed("run2")["stages/check_risk"]["change"].split()
    )
    assert after.change_mean is not None
    assert (after.change_mean.low, after.change_mean.point, after.change_mean.high) == pytest.approx(
        (low, point, high), rel=1e-3
    )


def test_a_run_that_was_copied_to_base_is_no_other_run(tmp_path: Path) -> None:
    folder = tmp_path / "criterion"
    shutil.copytree(REAL / "run1" / "criterion", folder)
    for bench in (folder / "stages").iterdir():
        shutil.copytree(bench / "new", bench / "base")
    assert [run.name for run in runs_of(folder)] == ["new", "main"]
    for bench in (folder / "stages").iterdir():
        shutil.rmtree(bench / "base")
        shutil.copytree(bench / "main", bench / "base")
    assert [run.name for run in runs_of(folder)] == ["new", "main", "base"]


def test_one_benchmark_opens_by_itself() -> None:
    (new, main) = runs_of(REAL / "run1" / "criterion" / "stages" / "check_risk")
    assert [b.name for b in new.benchmarks] == ["stages/check_risk"] and main.name == "main"


def test_it_reads_back_as_it_was() -> None:
    recording = load(REAL / "run1" / "criterion")
    header, columns = encode(recording)
    back = decode(Fields(json.loads(json.dumps(header)), "a copy"), columns)
    for one, other in zip(recording.benchmarks, back.benchmarks, strict=True):
        assert one.name == other.name
        for a, b in zip(one.benchmarks, other.benchmarks, strict=True):
            assert np.array_equal(a.times_ns, b.times_ns) and np.array_equal(a.iterations, b.iterations)
            assert (a.name, a.typical, a.median, a.fences, a.throughput, a.change_mean) == (
                b.name, b.typical, b.median, b.fences, b.throughput, b.change_mean,
            )  # fmt: skip


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("sample.json", ""),
        ("sample.json", "[]"),
        ("sample.json", '{"iters": [1, 2], "times": [1]}'),
        ("sample.json", '{"iters": [0], "times": [1]}'),
        ("sample.json", '{"iters": [1], "times": [-5]}'),
        ("sample.json", '{"iters": ["x"], "times": [1e999]}'),
        ("estimates.json", "{}"),
        ("estimates.json", '{"mean": 3, "median": null}'),
        ("benchmark.json", "\0"),
    ],
)
def test_a_damaged_benchmark_is_left_out_and_told(tmp_path: Path, file: str, text: str) -> None:
    folder = tmp_path / "criterion"
    shutil.copytree(REAL / "run1" / "criterion", folder)
    (folder / "stages" / "check_risk" / "new" / file).write_text(text)
    recording = load(folder)
    assert len(recording.benchmarks[0].benchmarks) == 3
    assert "1 benchmark was left out" in recording.warnings[0].text and file in recording.warnings[0].text
    with pytest.raises(ParseError, match=re.escape(file)):
        load(folder / "stages" / "check_risk" / "new")


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=200))
def test_no_bytes_make_it_fail_otherwise(data: bytes) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as made:
        new = Path(made) / "bench" / "new"
        shutil.copytree(REAL / "run1" / "criterion" / "stages" / "check_risk" / "new", new)
        (new / "sample.json").write_bytes(data)
        with pytest.raises(ParseError):
            load(Path(made))


def test_a_link_in_a_circle_ends(tmp_path: Path) -> None:
    (tmp_path / "again").symlink_to(tmp_path)
    with pytest.raises(ParseError, match="is a folder"):
        load(tmp_path)


def test_equal_samples_are_no_change() -> None:
    before, _after = pair("run1", "stages/check_risk")
    judged = judge(before, before, resamples=20_000)
    assert judged.verdict is Verdict.NONE and judged.change.point == 0.0
