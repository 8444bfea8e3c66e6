"""What counters come to, against perf's own sums, and what is called a change."""

from __future__ import annotations

import dataclasses
import math
import random
from pathlib import Path

import pytest

from helpers.stack_counts import DATA
from tailflame.analyse.counter_summary import (
    CounterFigure,
    Mark,
    column_title,
    compare_counters,
    counters_alone,
    summed_up,
    why_untested,
)
from tailflame.model import CounterSeries
from tailflame.model.counters import ELAPSED, Kept
from tailflame.parse import load

REAL = DATA / "perf-stat" / "6.1.187"
_LINE = (
    '{{"counter-value" : "{value}", "unit" : "", "event" : "{event}", "event-runtime" : 5, "pcnt-running" : 100.00}}\n'
)


def figures(name: str) -> dict[str, CounterFigure]:
    series = load(REAL / name).counters
    assert series is not None
    return {figure.name: figure for figure in summed_up(series)}


def repeated(folder: Path, **events: list[float]) -> CounterSeries:
    """A program that was run as often as there are values."""
    runs = []
    for values in zip(*events.values(), strict=True):
        lines = (
            _LINE.format(value=f"{value:.6f}", event=event.replace("_", "-"))
            for event, value in zip(events, values, strict=True)
        )
        runs.append("# started on Wed Nov 25 18:31:02 2026\n\n" + "".join(lines))
    path = folder / f"{random.random()}.json"
    path.write_text("".join(runs))
    series = load(path).counters
    assert series is not None and series.runs == len(runs)
    return series


def test_several_runs_have_a_mean_and_what_it_varies_by() -> None:
    faults = figures("runs.txt")["page-faults"]
    assert (faults.value, faults.low, faults.high, faults.counted) == (pytest.approx(1034.333, abs=1e-3), 1034, 1035, 3)
    assert faults.error == pytest.approx(1 / 3)
    assert faults.margin == pytest.approx(4.303 / 3, abs=1e-3)


def test_one_run_has_no_margin() -> None:
    assert math.isnan(figures("run.json")["page-faults"].margin)


def test_an_average_of_a_known_number_of_runs_has_a_margin_and_one_of_an_unknown_has_none() -> None:
    elapsed = figures("repeated.txt")[ELAPSED]
    assert (elapsed.value, elapsed.spread, elapsed.times) == (pytest.approx(137.38), 3.0, 3)
    assert elapsed.error == pytest.approx(137.38 * 0.03)
    assert elapsed.margin == pytest.approx(4.303 * 137.38 * 0.03, rel=1e-3)
    last = figures("repeated.txt")["page-faults"]
    assert (last.value, last.spread, last.kept, last.freedom) == (1004, 0.03, Kept.LAST, 0)
    assert last.error == pytest.approx(1004 * 0.0003) and math.isnan(last.margin)
    untold = figures("repeated.csv")["page-faults"]
    assert (untold.spread, untold.times) == (0.07, None) and math.isnan(untold.margin)


def test_the_elapsed_time_has_runs_where_perf_lists_them() -> None:
    elapsed = figures("table.txt")[ELAPSED]
    assert elapsed.runs == pytest.approx((134.52, 134.75, 146.90, 147.35))
    assert (elapsed.low, elapsed.high, elapsed.freedom) == (pytest.approx(134.52), pytest.approx(147.35), 3)
    assert elapsed.value == pytest.approx(140.88) and elapsed.spread == 2.56
    assert figures("table.txt")["page-faults"].runs == ()


@pytest.mark.parametrize(
    ("name", "title"),
    [
        ("run.json", "whole run"),
        ("runs.csv", "mean of 3 runs"),
        ("repeated.txt", "3 runs"),
        ("repeated.csv", "several runs"),
        ("repeated.json", "several runs"),
    ],
)
def test_a_column_is_called_what_it_holds(name: str, title: str) -> None:
    series = load(REAL / name).counters
    assert series is not None
    assert column_title(series) == title
    averaged = dataclasses.replace(series, kept=Kept.MEAN)
    assert column_title(averaged) == (
        title if name == "runs.csv" else f"mean of {title if series.runs else 'several runs'}"
    )


def test_intervals_are_summed_up_as_perf_sums_them() -> None:
    """The last lines of the file are perf's own --summary."""
    own = figures("intervals.json")
    assert own["page-faults"].value == pytest.approx(figures_of_summary()["page-faults"])
    assert own["context-switches"].value == pytest.approx(figures_of_summary()["context-switches"])
    lasted = load(REAL / "intervals.json").meta.duration_s
    assert lasted is not None
    assert own["page faults"].value == pytest.approx(own["page-faults"].value / lasted, rel=1e-6)


def figures_of_summary() -> dict[str, float]:
    found = {}
    for line in (REAL / "intervals.json").read_text().splitlines():
        if line.startswith("{") and '"interval"' not in line:
            event = line.partition('"event" : "')[2].partition('"')[0]
            value = line.partition('"counter-value" : "')[2].partition('"')[0]
            found[event] = float(value) if value[0].isdigit() else math.nan
    return found


def test_a_change_beyond_what_runs_vary_by_is_called_one(tmp_path: Path) -> None:
    before = repeated(tmp_path, cache_misses=[100, 102, 98, 101, 99], branches=[50, 51, 52, 50, 51])
    after = repeated(tmp_path, cache_misses=[120, 118, 121, 119, 122], branches=[51, 50, 52, 51, 50])
    misses, branches = compare_counters(before, after)
    assert misses.mark is Mark.WORSE and misses.change == pytest.approx(0.20)
    assert misses.low < 0.2 < misses.high and misses.low > 0.15
    assert branches.mark is Mark.NOISE and branches.low < 0 < branches.high


def test_more_instructions_per_cycle_are_better(tmp_path: Path) -> None:
    before = repeated(tmp_path, cycles=[100, 101, 99], instructions=[100, 100, 100], branches=[1, 1, 1])
    after = repeated(tmp_path, cycles=[50, 51, 49], instructions=[100, 100, 100], branches=[9, 9, 9])
    marks = {change.name: change.mark for change in compare_counters(before, after)}
    assert (marks["IPC"], marks["cycles"], marks["instructions"]) == (Mark.BETTER, Mark.BETTER, Mark.SAME)
    assert marks["branches"] is Mark.MORE, "which is neither good nor bad by itself"


def test_one_run_a_side_is_no_test() -> None:
    series = load(REAL / "run.json").counters
    other = load(REAL / "run.csv").counters
    assert series is not None and other is not None
    marks = {change.name: change.mark for change in compare_counters(series, other)}
    assert marks["page-faults"] is Mark.UNKNOWN and marks["cycles"] is Mark.ABSENT


@pytest.mark.parametrize(
    ("one", "other", "mark"),
    [
        ("repeated.txt", "repeated.json", Mark.UNTESTED),
        ("repeated.csv", "runs.txt", Mark.UNTESTED),
        ("repeated.json", "run.csv", Mark.ALONE),
        ("run.csv", "runs.txt", Mark.ALONE),
        ("run.json", "run.csv", Mark.UNKNOWN),
    ],
)
def test_no_test_has_a_reason(one: str, other: str, mark: Mark) -> None:
    before, after = load(REAL / one).counters, load(REAL / other).counters
    assert before is not None and after is not None
    changes = {change.name: change for change in compare_counters(before, after)}
    assert changes["page-faults"].mark is mark
    assert math.isnan(changes["page-faults"].p)
    why, advice = why_untested(changes.values())
    assert why.startswith("perf has kept" if mark is Mark.UNTESTED else "One run on a side")
    assert advice.startswith("Record 5 runs or more of each")


def test_averages_of_a_known_number_of_runs_are_tested(tmp_path: Path) -> None:
    """ "3 runs" twice, with perf's own standard errors."""
    text = (REAL / "repeated.txt").read_text()
    (tmp_path / "one").write_text(text)
    (tmp_path / "other").write_text(text.replace("0.13738 +-", "0.23738 +-"))
    before, after = load(tmp_path / "one").counters, load(tmp_path / "other").counters
    assert before is not None and after is not None
    changes = {change.name: change for change in compare_counters(before, after)}
    assert changes[ELAPSED].mark is Mark.WORSE and changes[ELAPSED].change == pytest.approx(0.1 / 0.13738)
    assert why_untested([changes[ELAPSED]]) == ("", "")


def test_equal_programs_are_seldom_called_different(tmp_path: Path) -> None:
    """A hundred pairs of five runs from one distribution: at 5 % for all rows together some five may be."""
    drawn = random.Random(11)

    def run() -> CounterSeries:
        return repeated(tmp_path, **{name: [drawn.gauss(1000, 30) for _ in range(5)] for name in ("a", "b", "c", "d")})

    alarms = sum(any(change.is_significant for change in compare_counters(run(), run())) for _ in range(100))
    assert alarms <= 11


def test_what_a_live_run_keeps_is_no_plain_count() -> None:
    assert counters_alone(load(REAL / "run.json"))
