"""What a verdict says of measurements whose truth is known."""

from __future__ import annotations

import math
import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tailflame.analyse.verdict import Decision, Mark, Verdict, compared, judge, repetitions_needed, tolerating
from tailflame.model.metrics import Better, Family, Metric

GOAL = "p99 total_us"


def metric(
    key: str,
    values: tuple[float, ...],
    *,
    family: Family = Family.LATENCY,
    better: Better = Better.LESS,
    unit: str = "ns",
) -> Metric:
    return Metric(family=family, key=key, unit=unit, better=better, values=values, scaled=family is Family.CPU)


def drawn(random_: random.Random, mean: float, n: int = 5, *, spread: float = 0.02) -> tuple[float, ...]:
    return tuple(mean * math.exp(random_.gauss(0, spread)) for _ in range(n))


def side(
    random_: random.Random, *, goal: float = 1.0, cpu: float = 1.0, n: int = 5, spread: float = 0.02
) -> list[Metric]:
    """A measurement of `n` repetitions: the goal is `goal` times what it is otherwise, one function takes `cpu` times.

    The shares of functions are those of one run and sum up to a hundred.
    """
    metrics = [metric(GOAL, drawn(random_, 184_000 * goal, n, spread=spread))]
    metrics += [metric(f"p{p} total_us", drawn(random_, 90_000, n, spread=spread)) for p in (50, 95)]
    work = {"check_exposure": 40 * cpu, "match_order": 25.0, "validate": 20.0, "parse": 10.0, "log": 5.0}
    runs = [{name: share * math.exp(random_.gauss(0, 0.02)) for name, share in work.items()} for _ in range(n)]
    for name in work:
        shares = tuple(100 * run[name] / sum(run.values()) for run in runs)
        metrics.append(metric(name, shares, family=Family.CPU, unit="%"))
    metrics.append(
        metric("page-faults", tuple(1000 + random_.randrange(3) for _ in range(n)), family=Family.COUNTERS, unit="")
    )
    return metrics


def verdict(before: list[Metric], after: list[Metric], goal: str = GOAL) -> Verdict:
    return judge(before, after, goal=goal)


FIGURES = st.lists(st.floats(1e-3, 1e9), min_size=1, max_size=8).map(tuple)


@given(FIGURES, FIGURES)
def test_a_change_is_that_of_the_figures_beside_it(before: tuple[float, ...], after: tuple[float, ...]) -> None:
    """Whatever single runs do to a mean, and whether or not some are left out."""
    (row,) = compared([metric(GOAL, before)], [metric(GOAL, after)])
    assert row.after_mean / row.before_mean - 1 == pytest.approx(row.change, rel=1e-6, abs=1e-9)


def test_a_clear_improvement_of_the_goal_is_kept() -> None:
    random_ = random.Random(1)
    told = verdict(side(random_), side(random_, goal=0.7))
    assert told.decision is Decision.KEEP
    assert told.sentence.startswith("Keep: p99 total_us is ") and told.sentence.endswith("better and nothing is worse.")
    assert told.goal is not None and told.goal.low < -0.3 < told.goal.high


def test_a_slower_function_is_named_and_the_change_reverted() -> None:
    random_ = random.Random(2)
    told = verdict(side(random_), side(random_, goal=1.3, cpu=1.5))
    assert told.decision is Decision.REVERT
    assert told.sentence.startswith("Revert: p99 total_us got worse by ")
    assert "check_exposure" in {row.key for row in told.worse}
    assert any("check_exposure" in reason for reason in told.reasons)


def test_when_one_function_grows_the_others_have_not_got_better() -> None:
    """Its share rises from 40 to 50 %, and the shares of all others fall by a sixth."""
    random_ = random.Random(3)
    rows = {row.key: row for row in compared(side(random_, spread=0.005), side(random_, cpu=1.5, spread=0.005))}
    assert rows["check_exposure"].mark is Mark.WORSE
    assert rows["check_exposure"].change == pytest.approx(0.5, abs=0.08)
    for name in ("match_order", "validate", "parse", "log"):
        assert rows[name].mark is Mark.NOISE and abs(rows[name].change) < 0.08, name


def test_an_improvement_that_breaks_something_else_is_reverted() -> None:
    random_ = random.Random(4)
    after = [*side(random_, goal=0.7), metric("peak heap", drawn(random_, 12e6), family=Family.HEAP, unit="B")]
    before = [*side(random_), metric("peak heap", drawn(random_, 8e6), family=Family.HEAP, unit="B")]
    told = verdict(before, after)
    assert told.decision is Decision.REVERT and told.sentence == "Revert: peak heap got worse."


def test_what_is_tolerated_is_not_worse_and_said_so() -> None:
    random_ = random.Random(6)
    told = verdict(side(random_, spread=0.001), side(random_, goal=1.04, cpu=1.5, spread=0.001))
    assert {row.key for row in told.worse} == {GOAL, "check_exposure"} and told.decision is Decision.REVERT
    assert tolerating(told, 0.0) is told and tolerating(told, 0.01) is told
    some = tolerating(told, 0.06)
    assert [row.key for row in some.worse] == ["check_exposure"] and some.decision is Decision.REVERT
    assert some.sentence == "Revert: check_exposure got worse by more than 6%."
    assert some.goal in some.rows and some.goal is not None and some.goal.mark is Mark.TOLERATED
    every = tolerating(told, 0.8)
    assert not every.worse and every.decision is Decision.TOLERATED
    assert every.sentence == f"Tolerated: check_exposure, {GOAL} got worse by no more than 80%."
    kinds = [reason.partition(":")[0] for reason in every.reasons]
    assert kinds[0] == "Goal" and kinds.count("Tolerated") == 1 and "Worse" not in kinds


def test_what_was_nothing_before_is_never_tolerated() -> None:
    zero, some = (metric("leaked", (n, n, n), family=Family.HEAP, unit="B") for n in (0.0, 500.0))
    told = judge([zero], [some], goal=GOAL)
    assert [row.key for row in tolerating(told, 10.0).worse] == ["leaked"]


def test_less_than_a_tenth_is_not_kept() -> None:
    random_ = random.Random(5)
    told = verdict(side(random_, spread=0.005), side(random_, goal=0.96, spread=0.005))
    assert told.decision is Decision.REVERT and "and 10% is wanted" in told.sentence


def test_one_repetition_is_not_enough_data() -> None:
    random_ = random.Random(6)
    told = verdict(side(random_, n=1), side(random_, n=1, goal=0.5))
    assert told.decision is Decision.UNDECIDED and told.more_repetitions == 4
    assert "does not tell how much runs differ" in told.sentence
    assert all(row.mark is not Mark.WORSE for row in told.rows)


def test_how_many_more_repetitions_settle_it_is_told_and_true() -> None:
    random_ = random.Random(7)
    tried = (verdict(side(random_, spread=0.1), side(random_, goal=0.80, spread=0.1)) for _ in range(50))
    told = next(one for one in tried if one.decision is Decision.UNDECIDED)
    more = told.more_repetitions
    assert more is not None and any(f"Some {more} more repetition" in reason for reason in told.reasons)
    settled = sum(
        verdict(
            side(random_, n=5 + 2 * more, spread=0.1), side(random_, n=5 + 2 * more, goal=0.80, spread=0.1)
        ).decision is Decision.KEEP
        for _ in range(40)
    )  # fmt: skip
    assert settled >= 20


def test_a_goal_that_nobody_measured_is_said_so() -> None:
    random_ = random.Random(9)
    told = verdict(side(random_), side(random_), goal="p99 of something else")
    assert told.decision is Decision.UNDECIDED and told.sentence.startswith("Not enough data: p99 of something else")


def test_an_unchanged_program_is_within_noise_nineteen_times_out_of_twenty() -> None:
    random_ = random.Random(10)
    told = [verdict(side(random_, spread=0.03), side(random_, spread=0.03)).decision for _ in range(400)]
    assert told.count(Decision.NOTHING) >= 380
    assert told.count(Decision.KEEP) <= 4


def test_a_true_regression_of_a_tenth_is_found() -> None:
    random_ = random.Random(11)
    told = [verdict(side(random_), side(random_, goal=1.10)).decision for _ in range(200)]
    assert told.count(Decision.REVERT) >= 190


def test_the_direction_of_a_figure_counts() -> None:
    random_ = random.Random(12)
    before = [metric("IPC", drawn(random_, 1.0), better=Better.MORE, family=Family.COUNTERS, unit="")]
    after = [metric("IPC", drawn(random_, 1.5), better=Better.MORE, family=Family.COUNTERS, unit="")]
    told = judge(before, after, goal="IPC")
    assert told.decision is Decision.KEEP and told.rows[0].mark is Mark.BETTER
    neither = [metric("branches", drawn(random_, 1.0), better=Better.NEITHER, family=Family.COUNTERS, unit="")]
    more = [metric("branches", drawn(random_, 3.0), better=Better.NEITHER, family=Family.COUNTERS, unit="")]
    assert judge([*before, *neither], [*after, *more], goal="IPC").decision is Decision.KEEP


@pytest.mark.parametrize(("misses", "mark"), [((900.0, 900.0), Mark.MORE), ((1100.0, 1100.0), Mark.WORSE)])
def test_a_larger_share_of_fewer_reads_is_not_worse(misses: tuple[float, ...], mark: Mark) -> None:
    rate = metric("D1 miss rate", (4.5, 4.5), family=Family.CACHES, unit="%")
    before = replace(rate, amounts=(1000.0, 1000.0))
    after = replace(rate, values=(4.7, 4.7), amounts=misses)
    assert compared([before], [after])[0].mark is mark


def test_what_is_counted_the_same_every_time_needs_no_spread() -> None:
    before = [metric("Ir", (1e6, 1e6, 1e6), family=Family.CACHES, unit="")]
    same = compared(before, before)
    assert same[0].mark is Mark.SAME
    changed = compared(before, [metric("Ir", (1.2e6, 1.2e6, 1.2e6), family=Family.CACHES, unit="")])
    assert changed[0].mark is Mark.WORSE and changed[0].change == pytest.approx(0.2)
    hardly = compared(before, [metric("Ir", (1.001e6,) * 3, family=Family.CACHES, unit="")])
    assert hardly[0].mark is Mark.NOISE, "a thousandth does not matter, however sure it is"


@settings(max_examples=80, deadline=None)
@given(
    st.lists(st.floats(-1e12, 1e12), max_size=4),
    st.lists(st.floats(-1e12, 1e12), max_size=4),
)
def test_no_figures_make_it_fail(before: list[float], after: list[float]) -> None:
    told = judge([metric(GOAL, tuple(before))], [metric(GOAL, tuple(after))], goal=GOAL)
    assert told.sentence
    if told.goal is not None:
        assert told.goal.sentence
        assert repetitions_needed(told.goal) != 0


def test_a_disturbed_run_is_left_out_and_that_is_said() -> None:
    before = [metric(GOAL, (982.0, 982.0, 1203.0, 982.0, 981.0))]
    told = judge(before, [metric(GOAL, (1072.0, 1072.0, 1073.0, 1072.0, 1072.0))], goal=GOAL)
    assert told.decision is Decision.REVERT
    assert told.reasons[0] == (
        "Goal: p99 total_us 982 ns to 1.07 µs, +9.2% (+6 to +12), without the lowest and the highest of 5"
        " repetitions of each side."
    )


def test_what_cannot_be_ruled_out_yet_is_said_in_both_directions() -> None:
    before = [metric(GOAL, (100.0, 120.0, 100.0, 120.0, 100.0))]
    told = judge(before, [metric(GOAL, (102.0, 122.0, 101.0, 121.0, 100.0))], goal=GOAL)
    assert told.decision is Decision.NOTHING and told.more_repetitions is not None
    assert "better or" in told.reasons[-1] and "worse cannot be ruled out yet" in told.reasons[-1]
    assert f"Some {told.more_repetitions} more repetitions" in told.reasons[-1]
    # A tenth worse is as far from nothing as it can be settled; that it is a tenth exactly need not be.
    worse = judge(before, [metric(GOAL, (110.0, 131.0, 111.0, 132.0, 109.0))], goal=GOAL)
    assert worse.decision is Decision.NOTHING and worse.more_repetitions is not None and worse.more_repetitions < 20
    sure = judge(before, before, goal=GOAL, wanted=0.5)
    assert sure.decision is Decision.NOTHING and sure.more_repetitions is None and len(sure.reasons) == 1


def test_the_goal_is_marked_by_its_own_test() -> None:
    quiet = [metric(f"p{n} other", (100.0, 90.0, 110.0, 95.0, 105.0)) for n in range(200)]
    before = [metric(GOAL, (100.0, 101.0, 99.0, 100.5, 99.5)), *quiet]
    after = [metric(GOAL, (101.5, 102.5, 101.0, 103.0, 101.8)), *quiet]
    assert compared(before, after)[0].mark is Mark.NOISE
    told = verdict(before, after)
    assert told.goal is not None and told.goal.mark is Mark.WORSE and told.goal in told.worse
    assert told.decision is Decision.REVERT


def test_benches_are_not_repeated_by_more_repetitions() -> None:
    one, other = (metric("stages/check_risk", (mean,), family=Family.BENCHMARKS) for mean in (1410.0, 1820.0))
    told = verdict([one], [other], goal="stages/check_risk")
    assert told.decision is Decision.UNDECIDED and told.more_repetitions is None
    assert "Benches ran once. runs = 5 under [tools.cargo-bench]" in told.reasons[-1]


def test_families_of_which_nothing_is_compared_are_named() -> None:
    heap = metric("peak heap", (6e6, 6e6), family=Family.HEAP, unit="B")
    random_ = random.Random(7)
    assert verdict(side(random_), [*side(random_), heap]).on_one_side == (Family.HEAP,)
    assert verdict([*side(random_), heap], [*side(random_), heap]).on_one_side == ()
