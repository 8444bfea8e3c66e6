"""The command lines of perf stat, and what is said before it runs."""

from __future__ import annotations

import signal
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tailflame.host.system import Host, Support
from tailflame.tools import Level, Target, TargetIs, ToolOptions, field_tool
from tailflame.tools.perf_stat import EVENTS, PerfStat

TOOL = PerfStat()
OUT = Path("/profiles/one two")
PROGRAM = Target(binary=Path("/opt/engine"), args=("--seconds", "2"))
HOST = Host(perf=Path("/usr/bin/perf"), perf_version="6.1", events={"cycles": Support(False, "no counters here")})


def options(**values: str | bool | int) -> ToolOptions:
    return ToolOptions(tool=TOOL.name, values=values)


def test_a_run_is_counted_as_json() -> None:
    plan = TOOL.plan(PROGRAM, options(events="task-clock, cpu/event=0xc2,umask=1/,cycles"), OUT)
    assert plan.argv == (
        "perf", "stat", "-j", "-o", "/profiles/one two/perf-stat.json",
        "-e", "task-clock", "-e", "cpu/event=0xc2,umask=1/", "-e", "cycles", "--", "/opt/engine", "--seconds", "2",
    )  # fmt: skip
    assert plan.target_is is TargetIs.CHILD and plan.stop_signal == signal.SIGTERM
    assert plan.env["LC_ALL"] == "C", "a comma for decimals is no JSON"
    assert plan.result == OUT / "perf-stat.json"


def test_no_event_is_asked_for_in_a_group() -> None:
    """In a group one event that the machine lacks would fail the whole run."""
    argv = TOOL.plan(PROGRAM, options(), OUT).argv
    assert [argv[at + 1] for at, word in enumerate(argv) if word == "-e"] == str(EVENTS.default).split(",")
    assert not any("{" in word for word in argv)


def test_several_runs_each_have_a_perf_of_their_own() -> None:
    plan = TOOL.plan(PROGRAM, options(runs=5, interval=100, events="cycles"), OUT)
    result = "/profiles/one two/perf-stat.json"
    assert plan.argv[:6] == (sys.executable, "-m", "tailflame.host.repeat", "5", result, "--")
    assert plan.argv[6:] == (
        "perf", "stat", "-j", "--append", "-o", result, "-e", "cycles", "--", "/opt/engine", "--seconds", "2",
    )  # fmt: skip
    assert plan.target_is is TargetIs.REPEATED


def test_intervals_are_those_that_perf_takes() -> None:
    argv = TOOL.plan(PROGRAM, options(interval=1), OUT).argv
    assert argv[argv.index("-I") + 1] == "10"


def test_a_running_process_is_attached_to_once() -> None:
    running = replace(PROGRAM, pid=4711)
    plan = TOOL.plan(running, options(runs=5, threads=True, interval=100, events="cycles"), OUT)
    assert plan.argv[-2:] == ("-p", "4711") and "--per-thread" in plan.argv and "-I" in plan.argv
    assert plan.target_is is TargetIs.RUNNING and plan.stop_signal == signal.SIGINT


@pytest.mark.parametrize(
    ("target", "values", "words"),
    [
        (PROGRAM, {}, "One run does not tell how much runs differ."),
        (PROGRAM, {}, "The processor's counters are not available."),
        (replace(PROGRAM, pid=1), {"runs": 5}, "A running program is counted once."),
    ],
)
def test_what_spoils_it_is_told_before(target: Target, values: dict[str, int], words: str) -> None:
    found = {finding.title: finding for finding in TOOL.checks(target, options(**values), HOST)}
    assert found[words].level is Level.NOTE and found[words].detail


def test_a_limit_of_time_holds_for_all_runs() -> None:
    (_counters, finding) = TOOL.checks(PROGRAM, replace(options(runs=5), duration_s=1.0), HOST)
    assert finding.title == "The time holds for all 5 runs together."


def test_a_kernel_that_refuses_blocks_it() -> None:
    (finding,) = TOOL.checks(PROGRAM, options(), replace(HOST, refused="Access to performance monitoring"))
    assert finding.level is Level.BLOCKER and finding.fix_argv
    assert not TOOL.probe(replace(HOST, refused="no")).available
    assert TOOL.probe(Host()).fix


def test_it_is_in_the_list() -> None:
    assert isinstance(field_tool("perf-stat"), PerfStat)
    assert [field.name for field in TOOL.fields(HOST)] == ["events", "runs", "interval", "threads"]
