"""The command lines of strace, what is said before it runs, and what its own words mean."""

from __future__ import annotations

import signal
from dataclasses import replace
from pathlib import Path

import pytest

from tailflame.errors import TailflameError, TargetError, ToolDenied, ToolFailed
from tailflame.host.system import Host
from tailflame.tools import Level, Target, TargetIs, ToolOptions, field_tool
from tailflame.tools.strace import Strace

TOOL = Strace()
OUT = Path("/profiles/one two")
PROGRAM = Target(binary=Path("/opt/engine"), args=("--seconds", "2"))
RUNNING = replace(PROGRAM, pid=4711)
HOST = Host()


def options(**values: str | bool | int) -> ToolOptions:
    return ToolOptions(tool=TOOL.name, values={name.replace("_", "-"): value for name, value in values.items()})


def test_every_call_with_its_time() -> None:
    plan = TOOL.plan(PROGRAM, options(), OUT)
    assert plan.argv == (
        "strace", "-f", "-w", "-C", "-T", "-ttt", "-yy", "--decode-pids=comm", "-o", "/profiles/one two/strace.log",
        "--", "/opt/engine", "--seconds", "2",
    )  # fmt: skip
    assert plan.target_is is TargetIs.CHILD and plan.stop_signal == signal.SIGTERM and plan.mirrors_target
    assert plan.result == OUT / "strace.log" and not plan.env, "the program's own language stays"


def test_sums_alone() -> None:
    plan = TOOL.plan(PROGRAM, options(mode="summary"), OUT)
    assert plan.argv[:4] == ("strace", "-f", "-w", "-c") and "-yy" not in plan.argv
    assert plan.result == OUT / "strace.txt"


@pytest.mark.parametrize(
    ("values", "asked"),
    [
        ({"calls": "network"}, "trace=%network"),
        ({"calls": "file"}, "trace=%file"),
        ({"calls": "memory"}, "trace=%memory"),
        ({"calls": "process"}, "trace=%process"),
        ({"calls": "list", "names": "write, fsync ,futex,"}, "trace=write,fsync,futex"),
    ],
)
def test_a_filter_spares_the_other_calls(values: dict[str, str], asked: str) -> None:
    argv = TOOL.plan(PROGRAM, options(**values), OUT).argv
    assert argv[argv.index("-e") + 1] == asked and "--seccomp-bpf" in argv
    attached = TOOL.plan(RUNNING, options(**values), OUT).argv
    assert asked in attached and "--seccomp-bpf" not in attached, "strace refuses it there"


def test_without_a_filter_there_is_nothing_to_spare() -> None:
    assert "--seccomp-bpf" not in TOOL.plan(PROGRAM, options(), OUT).argv
    assert "-e" not in TOOL.plan(PROGRAM, options(calls="list", names=" "), OUT).argv


def test_what_is_rare() -> None:
    argv = TOOL.plan(PROGRAM, options(stacks=True, strings=200, descriptors=False, thread_names=False), OUT).argv
    assert "-k" in argv and argv[argv.index("-s") + 1] == "200"
    assert "-yy" not in argv and "--decode-pids=comm" not in argv


def test_a_running_process_is_let_go_by_an_interrupt() -> None:
    plan = TOOL.plan(RUNNING, options(), OUT)
    assert plan.argv[-2:] == ("-p", "4711")
    assert plan.target_is is TargetIs.RUNNING and plan.stop_signal == signal.SIGINT and not plan.mirrors_target


@pytest.mark.parametrize(
    ("target", "values", "level", "words"),
    [
        (PROGRAM, {}, Level.NOTE, "Every system call is looked at."),
        (RUNNING, {"calls": "file"}, Level.NOTE, "Calls that are not asked for are slow as well."),
        (PROGRAM, {"calls": "list", "names": "write;rm"}, Level.BLOCKER, "The list of system calls cannot be read."),
        (PROGRAM, {"calls": "list", "names": ""}, Level.BLOCKER, "The list of system calls cannot be read."),
    ],
)
def test_what_spoils_it_is_told_before(target: Target, values: dict[str, str], level: Level, words: str) -> None:
    found = {finding.title: finding for finding in TOOL.checks(target, options(**values), HOST)}
    assert found[words].level is level and found[words].detail and found[words].fix


def test_the_slow_down_is_said() -> None:
    assert TOOL.slow_down.sentence == (
        "Hardly slower; up to 77 times for programs that do little but small system calls."
    )


@pytest.mark.parametrize(
    ("said", "target", "kind", "words"),
    [
        ("strace: attach: ptrace(PTRACE_SEIZE, 4711): No such process", RUNNING, TargetError, "had ended before"),
        (
            "strace: attach: ptrace(PTRACE_SEIZE, 4711): Operation not permitted",
            RUNNING,
            ToolDenied,
            "does not let this user",
        ),
        (
            "strace: ptrace(PTRACE_TRACEME, ...): Operation not permitted",
            PROGRAM,
            ToolDenied,
            "does not let programs be traced",
        ),
        ("strace: invalid system call 'nosuch'", PROGRAM, ToolFailed, "knows no system call “nosuch”"),
        ("strace: Can't fopen '/nodir/x': No such file or directory", PROGRAM, ToolFailed, "cannot write /nodir/x"),
        ("strace: Can't stat '/opt/engine': No such file or directory", PROGRAM, TargetError, "cannot be started"),
        ("strace: exec: Exec format error", PROGRAM, TargetError, "cannot be started: Exec format error."),
        ("strace: unrecognized option '--seccomp-bpf'", PROGRAM, ToolFailed, "has no option --seccomp-bpf"),
    ],
)
def test_its_own_words(said: str, target: Target, kind: type[TailflameError], words: str) -> None:
    error = TOOL.explain(f"something else\n{said}\n", TOOL.plan(target, options(), OUT))
    assert type(error) is kind and words in error.sentence and error.sentence.endswith(".")


def test_what_is_no_failure() -> None:
    plan = TOOL.plan(RUNNING, options(), OUT)
    assert TOOL.explain("strace: Process 4711 attached\nstrace: Process 4711 detached\n", plan) is None
    assert plan.own_lines is not None and plan.own_lines.match("strace: Process 4711 attached")


def test_it_is_in_the_list() -> None:
    assert isinstance(field_tool("strace"), Strace)
    names = [field.name for field in TOOL.fields(HOST)]
    assert names == ["mode", "calls", "names", "descriptors", "stacks", "thread-names", "strings"]


OLD = "strace -- version 5.2\nOptional features enabled: m32-mpers\n"


def test_what_an_old_one_cannot_do_is_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tailflame.tools.strace._about", lambda _host: OLD)
    off = {field.name: field.reason for field in TOOL.fields(HOST) if field.reason}
    assert off == {
        "stacks": "This strace was built without unwinding.",
        "thread-names": "It takes strace 5.17 or newer.",
    }
    assert "--decode-pids=comm" not in TOOL.plan(PROGRAM, TOOL.defaults(HOST), OUT).argv
    titles = {finding.title for finding in TOOL.checks(PROGRAM, options(calls="file"), HOST)}
    assert titles >= {"This strace has no --seccomp-bpf.", "This strace cannot write the names of threads."}


@pytest.mark.tool("strace")
def test_the_installed_one_takes_these_options() -> None:
    can = TOOL.probe(HOST)
    assert can.available and can.version
    assert TOOL.defaults(HOST).tool == "strace"
