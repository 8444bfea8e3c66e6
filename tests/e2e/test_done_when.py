"""The loop on real recordings: the same binary twice says nothing, a regression is named, in `tailflame diff` too.

One pair may be marked by chance (the test's level is 5 %), and a machine that is fought over may hide what changed in
one run or another: each claim is about several pairs, and where the first few do not settle it there are more. How
often it holds over many pairs is measured by benchmarks/noise.py.
"""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from tailflame.analyse.diff import Comparison, compare
from tailflame.analyse.hotspots import hotspots
from tailflame.model import StackProfile
from tailflame.parse import load

pytestmark = [pytest.mark.tool("perf"), pytest.mark.timeout(600)]

REGRESSED = "trading_system::risk::check_exposure"
PLAIN, SLOW = (), ("--regress", "15")
MOST = 6
"""Recordings of each kind, at most."""

TAILFLAME = str(Path(sys.executable).with_name("tailflame"))


def tailflame(*argv: str, environ: dict[str, str]) -> str:
    done = subprocess.run([TAILFLAME, *argv], capture_output=True, text=True, check=False, env=environ)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


class Loop:
    """Recordings of the demo as it is (`plain`) and 15 % slower in one function (`slow`), by `tailflame record`."""

    def __init__(self, demo: Path, home: Path) -> None:
        self._demo = demo
        self.profiles = home / "profiles"
        self._environ = {
            **os.environ,
            "TAILFLAME_PROFILES": str(self.profiles),
            "TAILFLAME_CONFIG_DIR": str(home / "config"),
        }
        self.plain: list[Path] = []
        self.slow: list[Path] = []
        self.record(self.plain, PLAIN)
        # In turn, so that a drift of the machine is in both.
        self.record(self.slow, SLOW)
        self.record(self.plain, PLAIN)

    def record(self, kept: list[Path], extra: tuple[str, ...]) -> None:
        out = tailflame(
            "record", "--json", "--frequency", "1999", "--", str(self._demo),
            "--mode", "benchmark", "--seconds", "8", *extra, environ=self._environ,
        )  # fmt: skip
        kept.append(Path(json.loads(out)["session"]["path"]))

    def until(self, settled: Callable[[], bool]) -> bool:
        """Records pair after pair until `settled`, or until there are MOST of each."""
        while not settled():
            if len(self.slow) >= MOST:
                return False
            self.record(self.slow, SLOW)
            self.record(self.plain, PLAIN)
        return True


@pytest.fixture(scope="module")
def loop(demo_binary: Path, tmp_path_factory: pytest.TempPathFactory) -> Loop:
    return Loop(demo_binary, tmp_path_factory.mktemp("loop"))


@cache
def profile(session: Path) -> StackProfile:
    result = load(session / "perf.data").profile
    assert result is not None
    return result


@cache
def compared(before: Path, after: Path) -> Comparison:
    return compare(profile(before), profile(after))


def names_it(verdict: str) -> bool:
    return "check_exposure regressed: +" in verdict


def test_the_regression_is_named(loop: Loop) -> None:
    def named() -> list[Comparison]:
        pairs = (compared(a, b) for a in loop.plain for b in loop.slow)
        return [pair for pair in pairs if names_it(pair.verdict[0])]

    assert loop.until(lambda: len(named()) >= 2), [compared(loop.plain[0], b).verdict for b in loop.slow]
    # Of 15 %, with what a machine that is fought over adds; how often the interval holds it, benchmarks/noise.py tells.
    changes = [float(r.table.change[r.table.row(REGRESSED)]) for r in named()]
    assert 0.04 < np.median(changes) < 0.5, changes


def test_the_command_line_names_it_too(loop: Loop) -> None:
    environ = {**os.environ, "TAILFLAME_PROFILES": str(loop.profiles), "COLUMNS": "160"}

    def agree() -> bool:
        told = False
        for before, after in itertools.product(loop.plain, loop.slow):
            verdict = compared(before, after).verdict[0]
            if names_it(verdict):
                assert names_it(tailflame("diff", str(before), str(after), environ=environ)), verdict
                told = True
        return told

    assert loop.until(agree)


def test_equal_recordings_mark_none_of_the_top_twenty(loop: Loop) -> None:
    def marked() -> list[list[str]]:
        found = []
        for a, b in itertools.combinations(loop.plain, 2):
            table = compared(a, b).table
            top = {hotspots(profile(a)).key[i] for i in hotspots(profile(a)).hottest(20)}
            found.append([table.names[i] for i in np.flatnonzero(table.significant) if table.names[i] in top])
        return found

    # One odd run among n spoils two in n of all pairs.
    assert loop.until(lambda: 2 * sum(map(bool, marked())) < len(marked())), marked()
