"""How often a verdict cries wolf, and how often it finds a true regression of a tenth.

    false_alarms.py [--pairs N] [--repetitions N] [--seconds S] [--idle]

A comparison is `repetitions` fresh processes a side, in random order, both sides mixed, with the second processor
loaded (unless --idle): first of the demo against itself, then against itself with one stage slowed down until its
median is a tenth higher. What is judged is a whole verdict (analyse/verdict.py) over every percentile of every stage.
Where the verdict is that runs differ too much, and says how many more would settle it, these are made, and it is
judged anew, at most ROUNDS times and with MOST_MORE more of each side: what a user does who follows it. Criterion's
rule is put to the same runs, the median of each taken as a sample. Rates with their 95 % bounds (Clopper and Pearson).
"""

from __future__ import annotations

import argparse
import math
import random
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from tailflame.analyse.criterion_rule import Verdict as Criterions
from tailflame.analyse.criterion_rule import judge as criterion
from tailflame.analyse.metrics import metrics_of
from tailflame.analyse.verdict import Decision, Mark, Verdict, judge
from tailflame.model import Recording
from tailflame.model.benchmarks import Benchmark, Estimate
from tailflame.parse import load

ROOT = Path(__file__).resolve().parent.parent
DEMO = ROOT / "resources/demo/trading-system/target/release-with-debug/trading-system"
GOAL = "p50 risk_check"
FIND = "a regression of a tenth"
MOST_MORE, ROUNDS = 30, 3
DECIDED = (Decision.KEEP, Decision.REVERT)
"""What is a false alarm, or a find."""


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--pairs", type=int, default=200)
    options.add_argument("--repetitions", type=int, default=5)
    options.add_argument("--seconds", type=float, default=0.4)
    options.add_argument("--idle", action="store_true", help="leave the second processor idle")
    asked = options.parse_args()
    load_on = None if asked.idle else subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        with tempfile.TemporaryDirectory() as folder:
            bench = Bench(Path(folder), asked.seconds, asked.repetitions)
            slower = bench.calibrate()
            for name, change in (("the same program twice", 0), (FIND, slower)):
                bench.compare(name, change, asked.pairs)
    finally:
        if load_on is not None:
            load_on.kill()
            load_on.wait()
    return 0


class Bench:
    """Runs the demo and judges."""

    def __init__(self, folder: Path, seconds: float, repetitions: int) -> None:
        self._log = folder / "latency.hlog"
        self._seconds = seconds
        self._repetitions = repetitions

    def run(self, regress: int) -> Recording:
        argv = [
            str(DEMO),
            "--seconds",
            str(self._seconds),
            "--hlog",
            str(self._log),
            "--seed",
            str(random.randrange(1 << 30)),
        ]
        subprocess.run([*argv, "--regress", str(regress)], check=True, stdout=subprocess.DEVNULL)
        return load(self._log)

    def median(self, regress: int) -> float:
        metrics = metrics_of([self.run(regress) for _ in range(5)], fixed_work=False)
        return float(np.median(next(metric.values for metric in metrics if metric.key == GOAL)))

    def calibrate(self) -> int:
        """The switch that makes the goal a tenth slower."""
        plain = self.median(0)
        share = (self.median(100) / plain - 1) / 100
        asked = round(0.10 / max(share, 1e-4))
        print(f"--regress {asked} makes {GOAL} {100 * (self.median(asked) / plain - 1):.1f} % slower (10 wanted)")
        return asked

    def sides(self, regress: int, runs: int) -> tuple[list[Recording], list[Recording]]:
        """Fresh processes of both sides in random order."""
        mixed = [(False, 0)] * runs + [(True, regress)] * runs
        random.shuffle(mixed)
        found: dict[bool, list[Recording]] = {False: [], True: []}
        for after, switch in mixed:
            found[after].append(self.run(switch))
        return found[False], found[True]

    def compare(self, name: str, regress: int, pairs: int) -> None:
        ours = rows = theirs = undecided = asked = at_once = runs = 0
        for done in range(1, pairs + 1):
            before, after = self.sides(regress, self._repetitions)
            verdict = judged(before, after)
            at_once += verdict.decision in DECIDED
            for _round in range(ROUNDS):
                left = self._repetitions + MOST_MORE - len(before)
                if not verdict.more_repetitions or verdict.decision in DECIDED or not left:
                    break
                asked += _round == 0
                more = self.sides(regress, min(verdict.more_repetitions, left))
                before, after = before + more[0], after + more[1]
                verdict = judged(before, after)
            runs += len(before)
            # An alarm is any claim that something got worse or better.
            moved = [row for row in verdict.rows if row.mark in (Mark.WORSE, Mark.BETTER)]
            ours += verdict.decision in DECIDED
            undecided += verdict.decision is Decision.UNDECIDED
            rows += bool(moved)
            theirs += criterion(benchmark(before), benchmark(after), resamples=20_000).verdict in (
                Criterions.IMPROVED, Criterions.REGRESSED,
            )  # fmt: skip
            if sys.stderr.isatty():
                print(f"\r{name}: {done} of {pairs}", end="", file=sys.stderr)
        what = "found" if name == FIND else "false alarms"
        print(f"{name}, {pairs} comparisons of {self._repetitions} runs of {self._seconds} s a side:")
        print(f"  verdict      {what} {rate(ours, pairs)}, not enough data {undecided}, any row marked {rows}")
        print(
            f"               at once {rate(at_once, pairs)}; more runs were asked for {asked} times,"
            f" {runs / pairs:.1f} a side on average"
        )
        print(f"  criterion    {what} {rate(theirs, pairs)} (its own rule on the runs' medians)")


def judged(before: list[Recording], after: list[Recording]) -> Verdict:
    return judge(metrics_of(before, fixed_work=False), metrics_of(after, fixed_work=False), goal=GOAL)


def benchmark(recordings: list[Recording]) -> Benchmark:
    """The goal's medians as criterion's samples."""
    values = next(metric.values for metric in metrics_of(recordings, fixed_work=False) if metric.key == GOAL)
    times = np.array(values)
    mean = Estimate(point=float(times.mean()), low=0.0, high=0.0, error=0.0)
    return Benchmark(name=GOAL, iterations=np.ones(len(times)), times_ns=times, linear=False, mean=mean, median=mean)


def rate(found: int, of: int) -> str:
    """ "4 of 200, 2.0 % (0.5 to 5.0)" """
    low, high = bounds(found, of)
    return f"{found} of {of}, {100 * found / of:.1f} % ({100 * low:.1f} to {100 * high:.1f})"


def bounds(found: int, of: int, level: float = 0.05) -> tuple[float, float]:
    """Clopper and Pearson's interval of a rate, by bisection of the binomial's tails."""

    def at_least(k: int, p: float) -> float:
        return math.fsum(math.comb(of, i) * p**i * (1 - p) ** (of - i) for i in range(k, of + 1))

    def solve(tail: float, k: int) -> float:
        low, high = 0.0, 1.0
        for _ in range(60):
            middle = (low + high) / 2
            low, high = (low, middle) if at_least(k, middle) > tail else (middle, high)
        return (low + high) / 2

    lower = solve(level / 2, found) if found else 0.0
    upper = solve(1 - level / 2, found + 1) if found < of else 1.0
    return lower, upper


if __name__ == "__main__":
    sys.exit(main())
