"""From measurements to what is told of them."""

from __future__ import annotations

from helpers.recordings import recording
from tailflame.run.reporting import hottest


def test_the_hottest_functions_are_those_of_all_repetitions() -> None:
    runs = [recording(text) for text in ("a;b 90\na 10", "a;b 20\na 80", "a;b 30\na;c 70")]
    assert hottest(runs[:1]) == (("b", 0.9), ("a", 0.1))
    # b had 90, 20 and 30 %, a 10, 80 and none, c nothing but 70 once: the median of a repetition has none of it.
    assert hottest(runs) == (("b", 0.3), ("a", 0.1))
    assert hottest(runs, 1) == (("b", 0.3),)
    assert hottest(()) == ()
