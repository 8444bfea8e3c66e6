"""Benchmarks as criterion leaves them: samples, estimates, and what it said of the change since the run before."""

from __future__ import annotations

from dataclasses import dataclass

from tailflame.model.stacks import Float64, readonly


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A statistic and its confidence interval, in ns; of a change, relative: 0.1 is 10 % more."""

    point: float
    low: float
    high: float
    error: float
    """Standard error."""
    level: float = 0.95


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Benchmark:
    """One benchmark of one run.

    name: criterion's full id, "group/function/value". iterations, times_ns: of each sample how often it was run and how
    long that took in all: a sample is a mean of its iterations, so it knows nothing of their tail. linear: the samples
    have more and more iterations, and `slope` is the estimate; otherwise it is the mean. fences: of outliers, in ns an
    iteration: low severe, low mild, high mild, high severe. throughput: ("Bytes" or "Elements", how many an iteration).
    change_mean, change_median: since the run before, as criterion has kept them. recorded_at: seconds since the epoch.
    """

    name: str
    group: str = ""
    function: str = ""
    value: str = ""
    iterations: Float64
    times_ns: Float64
    linear: bool
    mean: Estimate
    median: Estimate
    std_dev: Estimate | None = None
    slope: Estimate | None = None
    fences: tuple[float, float, float, float] | None = None
    throughput: tuple[str, float] | None = None
    change_mean: Estimate | None = None
    change_median: Estimate | None = None
    recorded_at: float = 0.0

    @property
    def per_iteration_ns(self) -> Float64:
        """Of each sample, the mean of its iterations."""
        return readonly(self.times_ns / self.iterations, self.times_ns.dtype)

    @property
    def typical(self) -> Estimate:
        """What criterion prints as the time: the slope where there is one, else the mean."""
        return self.slope if self.slope is not None else self.mean


@dataclass(frozen=True, slots=True, eq=False)
class BenchmarkRun:
    """All benchmarks of one run or of one saved baseline. name: "new" for the latest run, else the baseline's."""

    name: str
    benchmarks: tuple[Benchmark, ...]

    def named(self, name: str) -> Benchmark | None:
        return next((benchmark for benchmark in self.benchmarks if benchmark.name == name), None)
