"""The figures of a measurement, against what the tools print of the same recordings."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tailflame.analyse.metrics import metrics_of
from tailflame.model.metrics import Better, Family, Metric
from tailflame.parse import load

DATA = Path(__file__).resolve().parents[2] / "data"
CACHEGRIND = DATA / "cachegrind" / "3.19.0"
HEAPTRACK = DATA / "heaptrack" / "1.4.0"


def figures(*paths: Path, fixed_work: bool = True) -> dict[str, Metric]:
    return {metric.key: metric for metric in metrics_of(map(load, paths), fixed_work=fixed_work)}


@pytest.mark.parametrize(
    ("key", "printed"),
    [
        ("I1 miss rate", r"I1  miss rate: +([0-9.]+)%"),
        ("D1 miss rate", r"D1  miss rate: +([0-9.]+)%"),
        ("LL miss rate", r"LL miss rate: +([0-9.]+)%"),
        ("branch misprediction rate", r"Mispred rate: +([0-9.]+)%"),
    ],
)
def test_rates_are_those_that_cachegrind_prints(key: str, printed: str) -> None:
    found = re.search(printed, (CACHEGRIND / "matrix.log").read_text())
    assert found is not None
    digits = len(found[1].partition(".")[2])
    (rate,) = figures(CACHEGRIND / "matrix.out.gz")[key].values
    assert f"{rate:.{digits}f}" == found[1]


def test_allocations_are_what_heaptrack_print_prints() -> None:
    found = re.search(r"calls to allocation functions: ([0-9]+)", (HEAPTRACK / "alloc.print.txt").read_text())
    assert found is not None
    assert figures(HEAPTRACK / "alloc.zst")["allocations"].values == (float(found[1]),)


def test_repetitions_come_together_and_families_in_their_order() -> None:
    once, twice = CACHEGRIND / "matrix.out.gz", HEAPTRACK / "alloc.zst"
    metrics = metrics_of([load(twice), load(once), load(once)], fixed_work=True)
    assert [len(metric.values) for metric in metrics if metric.key in ("D1 miss rate", "peak heap")] == [2, 1]
    families = [metric.family for metric in metrics]
    assert families == sorted(families, key=list(Family).index)
    rate = next(metric for metric in metrics if metric.key == "D1 miss rate")
    assert len(rate.amounts) == 2


def test_what_ends_by_the_clock_is_not_judged_by_counts_and_their_shares() -> None:
    paths = CACHEGRIND / "matrix.out.gz", HEAPTRACK / "alloc.zst"
    fixed, by_clock = figures(*paths), figures(*paths, fixed_work=False)
    counted = ("Ir", "D1 miss rate", "allocations", "temporary share")
    assert {fixed[key].better for key in counted} == {Better.LESS}
    assert {by_clock[key].better for key in counted} == {Better.NEITHER}
    assert by_clock["peak heap"].better is Better.LESS
