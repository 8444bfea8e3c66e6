"""perf record: exact command lines, whose line is whose, and what its refusals mean."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from helpers.environment import ROOT
from tailflame.errors import TailflameError, ToolDenied, ToolFailed
from tailflame.host.system import EVENTS, Host, Support
from tailflame.tools import PERF_RECORD, CallGraph, PerfOptions, Target
from tailflame.tools.perf_record import OWN_LINES

MESSAGES = ROOT / "tests/data/perf/6.1.187/messages"
TARGET = Target(Path("/p/target/release/engine"), ("--seconds", "10"))
OUT = Path("/profiles/one")


def argv(**wishes: object) -> list[str]:
    options = dataclasses.replace(PerfOptions(), **wishes)  # type: ignore[arg-type]
    return list(PERF_RECORD.plan(TARGET, options, OUT).argv)


HEAD = ["perf", "record", "-k", "CLOCK_MONOTONIC"]
TAIL = ["-o", "/profiles/one/perf.data", "--", "/p/target/release/engine", "--seconds", "10"]


@pytest.mark.parametrize(
    ("wishes", "middle"),
    [
        ({}, ["-F", "1999", "-e", "cpu-clock", "--call-graph", "dwarf,8192"]),
        (
            {"call_graph": CallGraph.FRAME_POINTERS, "frequency": 4999},
            ["-F", "4999", "-e", "cpu-clock", "--call-graph", "fp"],
        ),
        ({"call_graph": CallGraph.LBR, "events": ("cycles",)}, ["-F", "1999", "-e", "cycles", "--call-graph", "lbr"]),
        ({"call_graph": CallGraph.NONE}, ["-F", "1999", "-e", "cpu-clock"]),
        (
            {"dwarf_stack": 16384, "events": ("cycles:u",), "large_buffer": True},
            ["-F", "1999", "-e", "cycles:u", "--call-graph", "dwarf,16384", "-m", "2048"],
        ),
        (
            {"call_graph": CallGraph.FRAME_POINTERS, "large_buffer": True},
            ["-F", "1999", "-e", "cpu-clock", "--call-graph", "fp"],
        ),
        (
            {
                "call_graph": CallGraph.FRAME_POINTERS,
                "events": ("cycles", "instructions", "cache-misses", "branch-misses"),
                "extra": ("--switch-events",),
            },
            [
                *("-F", "1999", "-e", "cycles,instructions,cache-misses,branch-misses", "--call-graph", "fp"),
                "--switch-events",
            ],
        ),
    ],
)
def test_command_line(wishes: dict[str, object], middle: list[str]) -> None:
    assert argv(**wishes) == [*HEAD, *middle, *TAIL]


def test_plan_names_what_it_leaves() -> None:
    plan = PERF_RECORD.plan(TARGET, PerfOptions(duration_s=5.0), OUT)
    assert plan.result == OUT / "perf.data"
    assert plan.duration_s == 5.0
    assert plan.mirrors_target
    assert not plan.builds_first


def test_command_line_to_paste_holds_folder_and_environment() -> None:
    target = Target(Path("/p/my engine"), ("it's",), cwd=Path("/p/run here"), env={"RUST_LOG": "a b"})
    plan = PERF_RECORD.plan(target, PerfOptions(call_graph=CallGraph.NONE), OUT)
    assert plan.command_line == (
        "cd '/p/run here' && RUST_LOG='a b' perf record -k CLOCK_MONOTONIC -F 1999 -e cpu-clock "
        "-o /profiles/one/perf.data -- '/p/my engine' 'it'\"'\"'s'"
    )


def test_target_keeps_the_users_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LC_ALL", "de_DE.UTF-8")
    monkeypatch.setenv("USERS_OWN", "1")
    environment = PERF_RECORD.plan(dataclasses.replace(TARGET, env={"MORE": "2"}), PerfOptions(), OUT).environment()
    assert environment["LC_ALL"] == "de_DE.UTF-8"
    assert (environment["USERS_OWN"], environment["MORE"]) == ("1", "2")


@pytest.mark.parametrize(
    ("events", "rate"),
    [(("cpu-clock",), 1999.0), (("cycles:u", "instructions:u"), 3998.0), (("cycles", "page-faults"), 1999.0)],
)
def test_expected_rate(events: tuple[str, ...], rate: float) -> None:
    assert PERF_RECORD.plan(TARGET, PerfOptions(events=events), OUT).samples_hz == rate


PHYSICAL = Host(perf=Path("/usr/bin/perf"), events=dict.fromkeys(("cycles", "cpu-clock"), Support(True)), uid=1000)
VIRTUAL = dataclasses.replace(PHYSICAL, events={"cycles": Support(False, "no counters"), "cpu-clock": Support(True)})


def test_defaults_fit_the_host() -> None:
    assert PERF_RECORD.defaults(PHYSICAL).events == ("cycles",)
    assert PERF_RECORD.defaults(VIRTUAL).events == ("cpu-clock",)
    assert PERF_RECORD.defaults(dataclasses.replace(PHYSICAL, user_only=True)).events == ("cycles:u",)
    assert not PERF_RECORD.defaults(PHYSICAL).large_buffer
    assert PERF_RECORD.defaults(dataclasses.replace(PHYSICAL, uid=0)).large_buffer


@pytest.mark.parametrize(
    ("keeps", "chosen"), [(True, CallGraph.FRAME_POINTERS), (False, CallGraph.DWARF), (None, CallGraph.DWARF)]
)
def test_defaults_fit_the_binary(keeps: bool | None, chosen: CallGraph) -> None:
    assert PERF_RECORD.defaults(PHYSICAL, frame_pointers=keeps).call_graph is chosen


def test_options_that_cannot_work_say_why() -> None:
    events = dict.fromkeys(EVENTS, Support(True)) | {"cycles": Support(False, "no counters")}
    host = dataclasses.replace(VIRTUAL, events=events, lbr=Support(False, "no branch records"), user_only=True)
    capabilities = PERF_RECORD.probe(host)
    assert capabilities.available
    assert capabilities.option("event=cycles").reason == "no counters"
    assert capabilities.option("event=cpu-clock").available
    assert capabilities.option("call graph=lbr").reason == "no branch records"
    assert not capabilities.option("kernel frames").available
    assert capabilities.option("call graph=fp").available


def test_without_perf_or_permission() -> None:
    assert not PERF_RECORD.probe(Host()).available
    refused = PERF_RECORD.probe(dataclasses.replace(PHYSICAL, refused="Error:"))
    assert not refused.available
    assert "refuses" in refused.reason


# What perf says.


def explained(message: str) -> TailflameError | None:
    return PERF_RECORD.explain((MESSAGES / f"{message}.txt").read_text(), PERF_RECORD.plan(TARGET, PerfOptions(), OUT))


@pytest.mark.parametrize(
    ("message", "kind", "sentence", "advice"),
    [
        ("unsupported-event", ToolFailed, "cannot sample the event instructions", "cpu-clock"),
        ("lbr", ToolFailed, "cannot sample the event cpu-clock as asked", "other than lbr"),
        ("unknown-event", ToolFailed, "does not know the event “nosuch”", "perf list"),
        ("missing-program", ToolFailed, "could not start the program: No such file or directory", "exists"),
        ("not-executable", ToolFailed, "could not start the program: Permission denied", "executable"),
        ("missing-folder", ToolFailed, "cannot write /profiles/one/perf.data", "profiles folder"),
        ("unwritable", ToolFailed, "cannot write /profiles/one/perf.data", "profiles folder"),
        ("refused", ToolDenied, "refuses performance events", "perf_event_paranoid=1"),
        ("other-user", ToolDenied, "refuses performance events", "perf_event_paranoid=1"),
        ("tracepoint", ToolDenied, "Tracepoints", "root"),
        ("mlock", ToolDenied, "ring buffer", "perf_event_mlock_kb"),
        ("strict-frequency", ToolFailed, "above the kernel's limit", "perf_event_max_sample_rate"),
        ("disk-full", ToolFailed, "disk filled up", "Free space"),
    ],
)
def test_refusals_become_a_sentence_and_a_fix(
    message: str, kind: type[TailflameError], sentence: str, advice: str
) -> None:
    problem = explained(message)
    assert type(problem) is kind
    assert problem is not None
    assert sentence in problem.sentence
    assert advice in problem.advice
    assert "\n" not in problem.sentence
    assert problem.details


@pytest.mark.parametrize("message", ["finished", "throttled"])
def test_no_error_where_all_is_well(message: str) -> None:
    assert explained(message) is None


def test_containers_are_told_apart() -> None:
    problem = PERF_RECORD.explain(
        "Error:\nNo permission to enable task-clock event.\n", PERF_RECORD.plan(TARGET, PerfOptions(), OUT)
    )
    assert problem is not None
    assert "containers" in problem.sentence


@pytest.mark.parametrize("message", ["finished", "throttled", "disk-full"])
def test_perfs_own_lines_are_known(message: str) -> None:
    lines = (MESSAGES / f"{message}.txt").read_text().splitlines()
    assert [line for line in lines if not OWN_LINES.match(line)] == (["hello"] if message == "disk-full" else [])


@pytest.mark.parametrize("line", ["hello", "[ engine ] started", "Error: no market data", "perf record: what?", ""])
def test_the_targets_lines_stay_its_own(line: str) -> None:
    assert not OWN_LINES.match(line)


@pytest.mark.parametrize(
    ("events", "sampled"),
    [
        (("cpu-clock",), "cpu-clock/freq=1999,name=cpu-clock/"),
        (("cycles:u", "page-faults"), "cycles/freq=1999,name=cycles:u/u,page-faults/freq=1999,name=page-faults/"),
        (("cpu/event=0xc2,umask=1/u",), "cpu/event=0xc2,umask=1,freq=1999/u"),
        (("r01c2", "sched:sched_wakeup"), "r01c2/freq=1999,name=r01c2/,sched:sched_wakeup"),
    ],
)
def test_time_off_the_cpu_takes_every_switch_whatever_the_frequency(events: tuple[str, ...], sampled: str) -> None:
    made = argv(call_graph=CallGraph.FRAME_POINTERS, off_cpu=True, events=events)
    middle = ["-e", sampled, "-e", "sched:sched_switch", "--switch-events", "--call-graph", "fp"]
    assert made == [*HEAD, *middle, *TAIL]


def test_the_switches_are_asked_for_once() -> None:
    made = argv(off_cpu=True, events=("cpu-clock", "sched:sched_switch"))
    assert made.count("sched:sched_switch") == 0
    assert "cpu-clock/freq=1999,name=cpu-clock/,sched:sched_switch" in made
