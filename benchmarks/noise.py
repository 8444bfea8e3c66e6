"""How often equal binaries are told apart, and how often a 15 % regression is found: on real recordings.

    noise.py [--pairs N] [--seconds S] [--frequency HZ]

Records the demo target N times as it is and N times with --regress 15, alternating, and compares every pair.
Prints both rates over all pairs, and 95 % Clopper-Pearson bounds over pairs that share no recording: the others are not
independent, and bounds over all of them would be too narrow. Then the spread of each function's share over the equal
runs beside what counting alone explains: what RUN_TO_RUN and MISPLACED in analyse.noise were read from.
"""

from __future__ import annotations

import argparse
import itertools
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from tailflame.analyse.diff import Comparison, compare
from tailflame.analyse.hotspots import hotspots
from tailflame.analyse.names import short
from tailflame.model import StackProfile
from tailflame.parse import load

ROOT = Path(__file__).resolve().parent.parent
BINARY = ROOT / "resources" / "demo" / "trading-system" / "target" / "release-with-debug" / "trading-system"
REGRESSED = "check_exposure"


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--pairs", type=int, default=5)
    options.add_argument("--seconds", type=float, default=8)
    options.add_argument("--frequency", type=int, default=1999)
    asked = options.parse_args()
    if not BINARY.exists():
        print(f"the demo target is not built ({BINARY}): run `make run` first")
        return 1
    equal, slower = [], []
    with tempfile.TemporaryDirectory() as folder:
        for number in range(asked.pairs):
            equal.append(record(Path(folder) / f"a{number}.data", asked, []))
            slower.append(record(Path(folder) / f"r{number}.data", asked, ["--regress", "15"]))
    print(f"{asked.pairs} recordings each, {asked.seconds:g} s at {asked.frequency} Hz")
    alarms = [bool(marked(compare(a, b))) for a, b in itertools.combinations(equal, 2)]
    apart = [bool(marked(compare(a, b))) for a, b in zip(equal[::2], equal[1::2], strict=False)]
    rate("equal pairs with any function marked", alarms, apart)
    found = [[marked(compare(a, b)) for b in slower] for a in equal]
    for title, holds in (
        ("marked", lambda names: REGRESSED in names),
        ("marked alone", lambda names: names == [REGRESSED]),
    ):
        every = [holds(names) for row in found for names in row]
        rate(f"regressions with {REGRESSED} {title}", every, [holds(found[i][i]) for i in range(asked.pairs)])
    spread(equal)
    return 0


def record(path: Path, asked: argparse.Namespace, extra: list[str]) -> StackProfile:
    command = ["perf", "record", "-q", "-k", "CLOCK_MONOTONIC", "-F", str(asked.frequency), "-e", "cpu-clock",
               "--call-graph", "fp", "-o", str(path), "--", str(BINARY), "--mode", "benchmark",
               "--seconds", str(asked.seconds), *extra]  # fmt: skip
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    profile = load(path).profile
    assert profile is not None
    return profile


def marked(comparison: Comparison) -> list[str]:
    table = comparison.table
    return [short(table.names[i]).rpartition("::")[2] for i in np.flatnonzero(table.significant)]


def rate(title: str, every: list[bool], apart: list[bool]) -> None:
    """`every`: all pairs. `apart`: pairs that share no recording."""
    print(f"{title}: {sum(every)} of {len(every)} = {np.mean(every):.1%}")
    if apart:
        low, high = bounds(sum(apart), len(apart))
        print(
            f"    of pairs that share no recording: {sum(apart)} of {len(apart)} (95 % bounds {low:.0%} to {high:.0%})"
        )


def bounds(hits: int, trials: int) -> tuple[float, float]:
    """Clopper-Pearson bounds by bisection of the binomial tail."""

    def tail(p: float, first: int) -> float:
        k = np.arange(first, trials + 1)
        log = np.array([_log_choose(trials, int(i)) for i in k]) + k * np.log(p) + (trials - k) * np.log1p(-p)
        return float(np.exp(log).sum())

    def solve(target: float, first: int) -> float:
        low, high = 1e-12, 1 - 1e-12
        for _ in range(60):
            middle = (low + high) / 2
            low, high = (middle, high) if tail(middle, first) < target else (low, middle)
        return low

    return (solve(0.025, hits) if hits else 0.0), (solve(0.975, hits + 1) if hits < trials else 1.0)


def _log_choose(n: int, k: int) -> float:
    return float(np.log(np.arange(k + 1, n + 1)).sum() - np.log(np.arange(1, n - k + 1)).sum())


def spread(profiles: list[StackProfile]) -> None:
    tables = [hotspots(p) for p in profiles]
    print(f"{'function':40} {'share':>7} {'spread':>7} {'counting':>9}")
    for row in tables[0].hottest(15):
        key = tables[0].key[row]
        shares = np.array([t.self_weight[t.row(key)] / t.total if t.row(key) >= 0 else 0.0 for t in tables])
        mean = shares.mean()
        counting = np.sqrt((1 - mean) / mean / np.mean([t.total for t in tables]))
        print(f"{short(key)[:40]:40} {mean:7.1%} {shares.std(ddof=1) / mean:7.1%} {counting:9.1%}")


if __name__ == "__main__":
    sys.exit(main())
