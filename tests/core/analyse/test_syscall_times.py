"""Which time the seconds of strace are, and that two kinds of them are not compared."""

from __future__ import annotations

from dataclasses import replace

import pytest

from helpers.stack_counts import DATA
from tailflame.analyse.reading import cautions
from tailflame.analyse.syscall_diff import compare_calls
from tailflame.analyse.syscall_times import tells_wall_time, time_cautions, unlike_times
from tailflame.model import Recording
from tailflame.parse import load

STRACE = DATA / "strace" / "6.1"
UNTOLD = (
    "The seconds are CPU time inside the kernel, unless strace was run with -w: its table does not tell.",
    "Record with strace -c -w, or every call by itself, to see how long calls take.",
)


def asked(*argv: str) -> Recording:
    recording = load(STRACE / "attach-cpu.txt")
    return replace(recording, meta=replace(recording.meta, tool_argv=argv))


@pytest.mark.parametrize(
    ("argv", "wall"),
    [
        ((), None),
        (("sh", "-c", "strace -w"), None),
        (("strace", "-f", "-w", "-c", "--", "/opt/book"), True),
        (("/usr/bin/strace", "-fcw", "/opt/book"), True),
        (("strace", "--summary-wall-clock", "-c"), True),
        (("strace", "-f", "-c", "-o", "x", "--", "/opt/book", "-w"), False),
    ],
)
def test_the_command_line_tells_which_time_it_is(argv: tuple[str, ...], wall: bool | None) -> None:
    recording = asked(*argv)
    assert tells_wall_time(recording) is wall
    told = time_cautions(recording)
    assert bool(told) == (not wall)
    if wall is False:
        assert told[0].text == "The seconds are CPU time inside the kernel, not how long calls took."


def test_a_table_alone_does_not_tell() -> None:
    (told,) = cautions(load(STRACE / "attach-cpu.txt"))
    assert (told.text, told.fix) == UNTOLD
    assert tells_wall_time(load(STRACE / "trading.log.gz")) is True
    assert not time_cautions(load(STRACE / "trading.log.gz"))


def test_two_kinds_of_time_are_not_compared() -> None:
    table, log = load(STRACE / "attach-cpu.txt"), load(STRACE / "trading.log.gz")
    why = unlike_times(table, log)
    assert why == (
        "Times are not compared: the baseline's are CPU time inside the kernel unless strace was run with -w, the"
        " candidate's how long calls took."
    )
    assert unlike_times(asked("strace", "-c", "-w"), log) == unlike_times(log, log) == unlike_times(table, table) == ""
    assert unlike_times(asked("strace", "-c"), asked("strace", "-cw"))
    assert table.syscalls is not None and log.syscalls is not None
    changes = compare_calls(table.syscalls, log.syscalls, unlike=why).changes
    moved = [abs(change.after.calls - change.before.calls) for change in changes]
    assert moved == sorted(moved, reverse=True), "time says nothing, so that calls are what is sorted by"
