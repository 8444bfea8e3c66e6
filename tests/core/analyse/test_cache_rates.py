"""Rates and derived costs: what cachegrind prints at the end of a run, for the program and for each part of it."""

from __future__ import annotations

import re

import numpy as np
import pytest

from helpers.cost_reports import report_functions, text_of
from helpers.stack_counts import DATA
from tailflame.analyse.cache_rates import (
    BRANCHES,
    D1,
    I1,
    LL,
    RATES,
    CostBy,
    cost_rows,
    derived_costs,
    place_text,
    program_rates,
    rates_of,
    rates_text,
)
from tailflame.model import CostTable, CounterSeries
from tailflame.model.live import Reading
from tailflame.parse import load

VALGRIND = DATA / "cachegrind" / "3.19.0"


def table_of(name: str) -> CostTable:
    costs = load(VALGRIND / f"{name}.out.gz").costs
    assert costs is not None
    return costs


@pytest.fixture(scope="module")
def matrix() -> CostTable:
    return table_of("matrix")


def printed(words: str) -> float:
    """A rate that cachegrind printed: "==1== D1  miss rate:           36.5% ("."""
    found = re.search(rf"==1== {words}\s+(\d+\.\d+)%", (VALGRIND / "matrix.log").read_text())
    assert found is not None
    return float(found[1])


@pytest.mark.parametrize(
    ("rate", "words", "digits"),
    [(I1, "I1  miss rate:", 2), (D1, "D1  miss rate:", 1), (LL, "LL miss rate:", 1), (BRANCHES, "Mispred rate:", 1)],
)
def test_the_programs_rates_are_those_that_cachegrind_prints(
    matrix: CostTable, rate: object, words: str, digits: int
) -> None:
    value = next(r.value for r in program_rates(matrix) if r.rate is rate)
    assert f"{value * 100:.{digits}f}" == f"{printed(words):.{digits}f}"


def test_targets_are_met_or_not(matrix: CostTable) -> None:
    rates = {r.rate.name: r for r in program_rates(matrix)}
    assert [rates[rate.name].met for rate in RATES] == [True, False, True, None]
    assert [rates[rate.name].word for rate in RATES] == ["under 1%", "above 5%", "under 1%", ""]
    text = rates_text(rates.values())
    assert (
        text == "I1 misses 0.01% (under 1%), D1 misses 36.5% (above 5%), LL misses 0.61% (under 1%), Mispredicted 0.33%"
    )


def test_a_file_without_caches_has_no_rates() -> None:
    table = table_of("matrix-ir")
    assert program_rates(table) == () and rates_of(table.events) == () and derived_costs(table.events) == ()


def test_real_counters_stand_beside() -> None:
    readings = [
        Reading(series="L1-dcache-loads", start_s=0.0, length_s=1.0, value=100.0),
        Reading(series="L1-dcache-load-misses", start_s=0.0, length_s=1.0, value=7.0),
    ]
    rates = program_rates(table_of("matrix"), CounterSeries.of_readings(readings))
    assert [r.counted for r in rates] == [None, pytest.approx(0.07), None, None]


def test_nothing_to_divide_by_is_no_rate(matrix: CostTable) -> None:
    rows = cost_rows(matrix, CostBy.LINE)
    rate = rows.rate(D1)
    reads = rows.costs[:, matrix.event("Dr")] + rows.costs[:, matrix.event("Dw")]
    assert np.isnan(rate[reads == 0]).all() and np.isfinite(rate[reads > 0]).all()


def test_estimated_cycles_are_kcachegrinds(matrix: CostTable) -> None:
    cycles, l1, ll, wrong = derived_costs(matrix.events)
    told = dict(zip(matrix.events, matrix.totals.tolist(), strict=True))
    first = told["I1mr"] + told["D1mr"] + told["D1mw"]
    last = told["ILmr"] + told["DLmr"] + told["DLmw"]
    mispredicted = told["Bcm"] + told["Bim"]
    assert int(l1.of(matrix.totals, matrix.events)) == first
    assert int(ll.of(matrix.totals, matrix.events)) == last
    assert int(wrong.of(matrix.totals, matrix.events)) == mispredicted
    assert int(cycles.of(matrix.totals, matrix.events)) == told["Ir"] + 10 * (first + mispredicted) + 100 * last
    shown = derived_costs(("Ir", "I1mr", "D1mr", "D1mw", "ILmr", "DLmr", "DLmw"))
    assert [cost.name for cost in shown] == ["CEst", "L1m", "LLm"]


def test_functions_and_files_are_cg_annotates(matrix: CostTable) -> None:
    rows = cost_rows(matrix, CostBy.FUNCTION)
    assert rows.function[:3] == ("main", "by_columns", "by_rows")
    assert rows.file[:3] == ("matrix.c",) * 3
    report = report_functions(text_of(VALGRIND / "matrix.annotate.txt.gz"))
    by_columns = [
        sum(c) for c in zip(report["././matrix.c:by_columns"], report["././square.h:by_columns"], strict=True)
    ]
    assert rows.costs[1].tolist() == by_columns
    assert rows.line[1] == 21  # its costliest line
    files = cost_rows(matrix, CostBy.FILE)
    assert files.name(0) == "matrix.c" and files.function[0] == ""
    mine = np.array([f for key, f in report.items() if key.startswith("././matrix.c:")]).sum(axis=0)
    assert files.costs[0].tolist() == mine.tolist()
    for some in (rows, files, cost_rows(matrix, CostBy.LINE)):
        assert some.costs.sum(axis=0).tolist() == matrix.totals.tolist()


def test_lines_are_added_up_over_functions(matrix: CostTable) -> None:
    rows = cost_rows(matrix, CostBy.LINE)
    assert rows.name(0) == "matrix.c:42" and rows.function[0] == "main"
    assert rows.costs[0, matrix.event("D1mw")] == 30_625
    names = [rows.name(row) for row in range(len(rows))]
    known = [name for name, line in zip(names, rows.line.tolist(), strict=True) if line > 0]
    places = list(zip(rows.file, rows.line.tolist(), strict=True))
    assert len(known) == len({place for place in places if place[1] > 0})


def test_what_has_no_line_is_told_by_its_function() -> None:
    rows = cost_rows(table_of("trading-hostile"), CostBy.LINE)
    at = rows.events.index("DLmr")
    worst = int(np.argmax(rows.costs[:, at]))
    assert rows.name(worst) == "market_data.rs, no line"
    assert rows.function[worst].endswith("::look_up_collar")


def test_places_in_words() -> None:
    assert place_text("/a/b.rs", 3) == "b.rs:3"
    assert place_text("", -1) == "???, no line"
