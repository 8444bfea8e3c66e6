"""A project's benchmarks over its runs, and criterion's verdict beside ours."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tailflame.analyse.bench_history import PastRun, histories
from tailflame.analyse.criterion_rule import Verdict
from tailflame.analyse.verdict import Mark
from tailflame.model.benchmarks import Benchmark, BenchmarkRun, Estimate

SAMPLES = 60


def benchmark(median: float, *, name: str = "stages/match", seed: int = 1) -> Benchmark:
    """Samples that differ little within a run."""
    each = median * (1 + 0.001 * np.random.default_rng(seed).standard_normal(SAMPLES))
    iterations = np.full(SAMPLES, 100.0)
    estimate = Estimate(point=median, low=median * 0.999, high=median * 1.001, error=median * 0.0005)
    return Benchmark(
        name=name, iterations=iterations, times_ns=each * iterations, linear=False, mean=estimate, median=estimate
    )


def run(state: str, *medians: float, at: float = 0.0) -> PastRun:
    benchmarks = tuple(benchmark(median, name=f"stages/{n}", seed=int(at) + n) for n, median in enumerate(medians))
    return PastRun(f"{state}-{at:g}", state, at, BenchmarkRun("new", benchmarks))


def test_points_go_from_the_oldest_to_the_shown() -> None:
    (one,) = histories([run("a", 100.0, at=1), run("a", 103.0, at=2), run("b", 90.0, at=3)], judging=False)
    assert [(p.session, p.typical.point) for p in one.points] == [("a-1", 100.0), ("a-2", 103.0), ("b-3", 90.0)]
    assert one.criterion is None and one.ours is None


def test_criterion_cries_wolf_where_repeated_runs_do_not() -> None:
    # Runs of one and the same program differ by some percent, the samples within a run by a thousandth.
    before = [run("a", value, at=n) for n, value in enumerate((100.0, 104.0, 97.0, 102.0))]
    after = [run("b", value, at=4 + n) for n, value in enumerate((99.0, 96.5, 101.5, 104.5))]
    (one,) = histories([*before, *after])
    assert one.criterion is not None and one.criterion.verdict is Verdict.REGRESSED
    assert one.ours is not None and one.ours.mark is Mark.NOISE
    assert one.ours.before == (100.0, 104.0, 97.0, 102.0) and len(one.ours.after) == 4


def test_a_true_change_is_found_by_both() -> None:
    before = [run("a", value, at=n) for n, value in enumerate((100.0, 101.0, 99.5, 100.5))]
    after = [run("b", value, at=4 + n) for n, value in enumerate((80.0, 80.5, 79.6, 80.2))]
    (one,) = histories([*before, *after])
    assert one.ours is not None and one.ours.mark is Mark.BETTER and -0.22 < one.ours.change < -0.18
    # Criterion looks at the last two runs, which are of one state.
    assert one.criterion is not None and one.criterion.verdict is not Verdict.IMPROVED


def test_one_state_is_nothing_to_compare_and_one_run_each_is_said() -> None:
    (one,) = histories([run("a", 100.0, at=1), run("a", 120.0, at=2)])
    assert one.ours is None and one.criterion is not None
    (two,) = histories([run("a", 100.0, at=1), run("b", 120.0, at=2)])
    assert two.ours is not None and two.ours.mark is Mark.UNKNOWN
    assert histories([]) == ()


def test_benchmarks_that_came_later_have_shorter_histories() -> None:
    known, new = histories([run("a", 100.0, at=1), run("b", 100.0, 50.0, at=2)])
    assert len(known.points) == 2 and len(new.points) == 1
    assert new.ours is None and new.criterion is None
    gone = run("b", 100.0, at=3)
    (left,) = histories([run("a", 100.0, 50.0, at=1), replace(gone)])
    assert left.name == "stages/0"
