"""How a process ended, as a person says it."""

from __future__ import annotations

import pytest

from tailflame.run import Ending, Outcome
from tailflame.run.outcome import signal_told


def outcome(returncode: int | None, seconds: float = 12.3, by: Ending = Ending.ITSELF, forced: bool = False) -> Outcome:
    return Outcome.of("engine", returncode, seconds, ended_by=by, forced=forced)


def plain(text: str) -> str:
    return text.replace(" ", " ")


@pytest.mark.parametrize(
    ("ended", "sentence"),
    [
        (outcome(0), "finished after 12.3 s"),
        (outcome(3), "exited with code 3 after 12.3 s"),
        (outcome(-11), "killed by SIGSEGV after 12.3 s"),
        (outcome(-9, 125.0), "killed by SIGKILL after 2 min 05 s"),
        (outcome(-60), "killed by signal 60 after 12.3 s"),
        (outcome(None), "ended after 12.3 s"),
        (outcome(-15, 5.0, Ending.USER), "stopped by you after 5.0 s"),
        (outcome(0, 5.0, Ending.USER), "stopped by you after 5.0 s"),
        (outcome(3, 5.0, Ending.USER), "stopped by you after 5.0 s; exited with code 3 while it stopped"),
        (outcome(-11, 5.0, Ending.USER), "stopped by you after 5.0 s; killed by SIGSEGV while it stopped"),
        (outcome(-9, 5.0, Ending.USER, True), "stopped by you after 5.0 s; it ignored SIGTERM and was killed"),
        (outcome(-15, 5.0, Ending.DURATION), "stopped after 5.0 s, when its time was up"),
        (
            outcome(-9, 6.0, Ending.DURATION, True),
            "stopped when its time was up; it ignored SIGTERM and was killed after 6.0 s",
        ),
        (outcome(None, 5.0, Ending.RECORDER), "stopped after 5.0 s because the recording could not go on"),
    ],
)
def test_sentence(ended: Outcome, sentence: str) -> None:
    assert plain(ended.sentence) == sentence


@pytest.mark.parametrize(
    ("ended", "ok", "crashed", "status"),
    [
        (outcome(0), True, False, 0),
        (outcome(3), False, False, 3),
        (outcome(-11), False, True, 139),
        (outcome(-15), False, True, 143),
        (outcome(-15, by=Ending.USER), True, False, 143),
        (outcome(-2, by=Ending.USER), True, False, 130),
        (outcome(-9, by=Ending.DURATION, forced=True), True, False, 137),
        (outcome(-9, by=Ending.DURATION), False, True, 137),
        (outcome(-6, by=Ending.USER), False, True, 134),
        (outcome(None), False, False, 125),
    ],
)
def test_what_it_means(ended: Outcome, ok: bool, crashed: bool, status: int) -> None:
    assert (ended.ok, ended.crashed, ended.status) == (ok, crashed, status)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("Aborted\n/opt/engine: Segmentation fault\n", 11),
        ("/opt/engine: Killed", 9),
        ("/opt/other: Killed", None),
        ("/opt/engine: no such order", None),
        ("", None),
    ],
)
def test_a_signal_that_a_tool_tells_of(text: str, number: int | None) -> None:
    assert signal_told(text, "/opt/engine") == number


def test_what_runs_on_ended_well() -> None:
    left = outcome(None, 12.0, Ending.NOBODY)
    assert (left.ok, left.crashed, left.status) == (True, False, 0)
    assert plain(left.sentence) == "runs on; it was recorded for 12.0 s"
