"""Costs of two runs compared: totals, rates and functions, to the last count."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from helpers.costs import CHECK, MATCH, SUMMARY, TEXT, cost_recording, costs_of
from helpers.stack_counts import DATA
from tailflame.analyse.cache_compare import CostChanges, compare_costs, cost_sentences, worse_rates
from tailflame.analyse.cache_rates import D1
from tailflame.model import CostTable
from tailflame.parse import load

VALGRIND = DATA / "cachegrind" / "3.19.0"


def table_of(name: str) -> CostTable:
    return costs_of(load(VALGRIND / f"{name}.out.gz"))


@pytest.fixture(scope="module")
def demo() -> CostChanges:
    return compare_costs(table_of("trading-plain"), table_of("trading-hostile"))


def test_the_cache_hostile_walk_is_found(demo: CostChanges) -> None:
    at = demo.event("DLmr")
    first = demo.by(at, 1)[0]
    assert demo.names[first] == "trading_system::market_data::MarketData::look_up_collar"
    assert demo.delta(at)[first] > 600_000
    rate = next(change for change in demo.rates if change.rate is D1)
    assert rate.crossed == "now above 5%"
    sentences = cost_sentences(demo)
    assert sentences[1].startswith("D1 misses 4.7% to 5.4% (now above 5%), LL misses 0.01% to 0.15%")
    assert any("look_up_collar" in sentence for sentence in sentences)
    assert worse_rates(demo, beyond=0.5) == ("D1 misses 4.7% to 5.4% (now above 5%)",)
    assert worse_rates(demo, beyond=0.1)[1] == "estimated cycles +20.2%"


def test_every_function_is_there_once_and_they_add_up(demo: CostChanges) -> None:
    counted = len(table_of("trading-plain").events)
    assert np.array_equal(demo.before[:, :counted].sum(axis=0), table_of("trading-plain").totals)
    assert np.array_equal(demo.after.sum(axis=0), demo.totals_after)
    assert len(set(demo.names)) == len(demo)
    assert demo.events[counted:] == ("CEst", "L1m", "LLm", "Bm")


def test_the_same_is_the_same() -> None:
    changes = compare_costs(table_of("matrix"), table_of("matrix"))
    assert cost_sentences(changes) == ("Both cost 26,558,424 estimated cycles, function by function.",)
    assert not changes.by(0, 5) and not worse_rates(changes, beyond=0.0)
    assert np.nan_to_num(changes.change(0)).max() == 0


def test_names_match_without_hashes_and_what_comes_and_goes_is_told(tmp_path: Path) -> None:
    def renamed(one: str, text: str) -> str:
        return text.replace(MATCH, f"{MATCH}::h{one * 16}")

    before = costs_of(cost_recording(tmp_path, renamed("a", TEXT) + SUMMARY))
    new = renamed("b", TEXT).replace(f"fn={CHECK}", "fn=engine::new_check").replace("300 30", "900 30")
    after = costs_of(cost_recording(tmp_path, new, "cachegrind.out.2"))
    changes = compare_costs(before, after)
    assert sorted(changes.names) == sorted([MATCH, CHECK, "engine::new_check"])
    change = dict(zip(changes.names, changes.change(0).tolist(), strict=True))
    assert change[MATCH] == 0 and change[CHECK] == -1 and np.isinf(change["engine::new_check"])
    assert "engine::new_check +" in " ".join(cost_sentences(changes))
    assert "(gone)" in " ".join(cost_sentences(changes))


def test_sides_that_counted_different_events() -> None:
    changes = compare_costs(table_of("matrix-ir"), table_of("matrix"))
    assert changes.events == ("Ir",) and not changes.rates
    assert cost_sentences(changes)[0].endswith("Ir (±0.0%).")
