"""`tail`: what slow calls do that fast ones do not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from helpers.slow_runs import slow_run
from tailflame.cli.exit_codes import ExitCode
from tailflame.model import Recording
from tailflame.parse import load
from tailflame.run.live_session import TOOL
from tailflame.store import Library

Run = Callable[..., Any]


def kept(library: Library, recording: Recording) -> None:
    session = library.new_session(tool=TOOL, binary=Path("/opt/engine"), args=())
    session.complete(recording)


def test_the_slow_path_is_named_first(tailflame: Run, library: Library, tmp_path: Path) -> None:
    kept(library, slow_run())
    run = tailflame("tail", "-o", tmp_path / "both.folded")
    assert run.code == 0
    assert "recheck is the slow calls' own: 100.0% of their samples, none of the fast ones'." in run.out
    assert "50 calls of engine::process_order took 100 µs or longer" in run.out
    both = load(tmp_path / "both.folded")
    assert both.baseline is not None and both.profile is not None
    assert (both.baseline.total(), both.profile.total()) == (2500, 500)
    document = tailflame("tail", "--json", "-f", "process_order").document
    assert set(document) == {
        "result", "function", "threshold_ns", "slow_calls", "lost", "slow_samples", "fast_samples", "facts", "verdict",
        "own", "regressions", "left_out",
    }  # fmt: skip
    assert document["own"] == [{"name": "recheck", "slow_share": 1.0, "fast_share": 0.0}]
    assert document["regressions"][0] == "recheck"
    assert (document["slow_calls"], document["slow_samples"], document["fast_samples"]) == (50, 500, 2500)


@pytest.mark.parametrize(
    ("recording", "words", "sentence"),
    [
        (slow_run(slow=False), (), "No slow calls were kept"),
        (slow_run(), ("-f", "on_tick"), "only of: engine::process_order"),
        (slow_run(spans=0), (), "No call of engine::process_order was slow"),
        (slow_run(profile=False), (), "no stacks"),
    ],
)
def test_what_cannot_be_compared_is_a_sentence(
    tailflame: Run, library: Library, recording: Recording, words: tuple[str, ...], sentence: str
) -> None:
    kept(library, recording)
    run = tailflame("tail", *words)
    assert run.code == ExitCode.USAGE and sentence in run.err


def test_a_result_that_is_no_live_run_is_refused(tailflame: Run, before: Path) -> None:
    run = tailflame("tail", before)
    assert run.code == ExitCode.USAGE and "is no live run" in run.err and "--slow-above" in run.err


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--slow-above", "100us"), "keeps calls of a probed function"),
        (("--slow-field", "total_us"), "takes --slow-above as well"),
        (("--slow-field", "total_us", "--slow-above", "soon"), "neither a duration"),
        (("--slow-field", "total_us=h", "--slow-above", "1ms"), "is no unit of time"),
        (("--capture-when", "late"), "is no rule"),
        (("--capture-when", "slow"), "needs --slow-above"),
        (("--capture-when", "max total_us > 1ms", "--capture-every", "0"), "a second or longer"),
        (("--capture-when", "max total_us > 1ms", "--capture-most", "0"), "1 to 100"),
        (("--cpu", "--cpu-rate", "0"), "--cpu-rate"),
    ],
)
def test_wrong_wishes_are_refused_before_anything_starts(tailflame: Run, words: tuple[str, ...], sentence: str) -> None:
    run = tailflame("live", *words, "--", "/bin/true")
    assert run.code == ExitCode.USAGE and sentence in run.err
