"""bpftrace as a tool: its command lines without the tool, and its own words explained."""

from __future__ import annotations

import dataclasses
import os
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailflame.errors import TailflameError, TargetError, ToolDenied, ToolFailed
from tailflame.host.system import Host, probe_host
from tailflame.tools import Level, Target, TargetIs, ToolOptions, bpftrace
from tailflame.tools.bpftrace import OWN, PROGRAM, RECIPE, Bpftrace, child_command, impossible, offered, program_argv
from tailflame.tools.bpftrace_words import explained, mistakes, serious

TOOL = Bpftrace()
ENGINE = Target(Path("/opt/engine"), ("--seconds", "2"))
OUT = Path("/profiles/s")
MEMLOCK = (
    "ERROR: Unknown error -1: couldn't set RLIMIT_MEMLOCK for bpftrace. If your program is not loading, you can try "
    '"ulimit -l 8192" to fix the problem\n'
)


def host(uid: int) -> Host:
    return dataclasses.replace(probe_host(), uid=uid)


def text_of(argv: tuple[str, ...]) -> str:
    return argv[argv.index("-e") + 1]


def test_a_launched_program_is_bpftraces_child() -> None:
    plan = TOOL.plan(ENGINE, ToolOptions(values={"recipe": "syscalls"}, duration_s=3.0), OUT)
    assert plan.argv[:9] == (
        "bpftrace", "-f", "json", "-B", "line", "-o", "/profiles/s/bpftrace.json", "-c", "/opt/engine --seconds 2",
    )  # fmt: skip
    assert "/pid == cpid/" in text_of(plan.argv)
    assert (plan.target_is, plan.stop_signal, plan.duration_s) == (TargetIs.CHILD, signal.SIGTERM, 3.0)
    assert plan.result == OUT / "bpftrace.json"
    assert "LC_ALL" not in plan.env, "the program inherits it"


def test_a_running_program_is_attached_to_and_never_signalled() -> None:
    target = dataclasses.replace(ENGINE, pid=4711)
    plan = TOOL.plan(target, ToolOptions(values={"recipe": "off-cpu", "off-cpu-least-us": 50}), OUT)
    assert plan.argv[7:9] == ("-p", "4711") and "-c" not in plan.argv
    assert "pid == 4711" in text_of(plan.argv) and "(uint64)50 * 1000" in text_of(plan.argv)
    assert (plan.target_is, plan.stop_signal) == (TargetIs.RUNNING, signal.SIGINT)


def test_the_program_itself_stands_for_a_file_that_nobody_named() -> None:
    plan = TOOL.plan(ENGINE, ToolOptions(values={"recipe": "calls", "calls-symbol": "_ZN4book5matchE"}), OUT)
    assert 'uprobe:"/opt/engine":"_ZN4book5matchE"' in text_of(plan.argv)
    plan = TOOL.plan(ENGINE, ToolOptions(values={"recipe": "malloc", "malloc-file": "/x/libjemalloc.so"}), OUT)
    assert 'uprobe:"/x/libjemalloc.so":"malloc"' in text_of(plan.argv)


def test_a_program_of_ones_own_is_a_file() -> None:
    plan = TOOL.plan(ENGINE, ToolOptions(values={"recipe": OWN, "program": "/home/me/my probe.bt"}), OUT)
    assert plan.argv[-1] == "/home/me/my probe.bt" and "-e" not in plan.argv
    with pytest.raises(ToolFailed, match="needs its file"):
        TOOL.plan(ENGINE, ToolOptions(values={"recipe": OWN}), OUT)


def test_what_cannot_be_asked_is_a_sentence() -> None:
    with pytest.raises(TargetError, match="Function is missing") as caught:
        TOOL.plan(ENGINE, ToolOptions(values={"recipe": "calls"}), OUT)
    assert "--set calls-symbol=…" in caught.value.advice
    with pytest.raises(ToolFailed, match="no recipe 'nosuch'"):
        TOOL.plan(ENGINE, ToolOptions(values={"recipe": "nosuch"}), OUT)
    with pytest.raises(TargetError, match="absolute path"):
        TOOL.plan(Target(Path("/opt/a:b")), ToolOptions(values={"recipe": "calls", "calls-symbol": "f"}), OUT)


def test_its_fields_are_those_of_the_recipes() -> None:
    fields = {field.name: field for field in TOOL.fields(host(0))}
    assert [name for name, _ in RECIPE.choices] == [*(recipe.name for recipe in offered()), OWN]
    assert fields["off-cpu-least-us"].only_with == ("recipe", "off-cpu")
    assert (fields["cpu-hertz"].default, fields["cpu-hertz"].low, fields["cpu-hertz"].high) == (99, 1, 10000)
    assert fields[PROGRAM.name].only_with == ("recipe", OWN)
    assert "latency" not in {recipe.name for recipe in offered()}, "the live probe tells latencies better"


def test_it_needs_root() -> None:
    (finding,) = TOOL.checks(ENGINE, ToolOptions(), host(1000))
    assert finding.level is Level.BLOCKER and "root" in finding.title
    capabilities = TOOL.probe(host(1000))
    assert not capabilities.available
    if shutil.which("bpftrace"):
        assert "root" in capabilities.reason and "Probes" in capabilities.fix


def test_what_this_kernel_lacks_is_said_before_the_start(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    events = tmp_path / "events"
    (events / "raw_syscalls" / "sys_enter").mkdir(parents=True)
    monkeypatch.setattr(bpftrace, "_EVENTS", events)
    monkeypatch.setattr(bpftrace, "_UPROBES", tmp_path / "uprobe")
    reasons = {recipe.name: impossible(recipe) for recipe in offered()}
    assert reasons["syscalls"] == "this kernel has no tracepoint raw_syscalls:sys_exit"
    assert reasons["malloc"] == "this kernel was built without uprobes (CONFIG_UPROBE_EVENTS)"
    assert reasons["cpu"] == "" and reasons["page-faults"] == ""
    (finding,) = TOOL.checks(ENGINE, ToolOptions(values={"recipe": "syscalls"}), host(0))
    assert finding.level is Level.BLOCKER and "sys_exit" in finding.title
    monkeypatch.setattr(bpftrace, "_EVENTS", tmp_path / "not readable")
    assert impossible(offered()[0]) == "", "where nobody knows, nothing is claimed"


def test_a_kernel_without_kprobes_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(bpftrace, "_KPROBES", tmp_path / "kprobe_events")
    probe = dataclasses.replace(offered()[0], needs=("kprobe:vfs_read",))
    assert impossible(probe) == "this kernel was built without kprobes (CONFIG_KPROBES)"


def test_checks_name_the_cost_and_the_missing_file() -> None:
    found = TOOL.checks(ENGINE, ToolOptions(values={"recipe": OWN, "program": "/nowhere.bt"}), host(0))
    assert found[0].level is Level.BLOCKER
    found = TOOL.checks(ENGINE, ToolOptions(values={"recipe": "cpu"}), host(0))
    assert [finding.level for finding in found] == [Level.NOTE]


def test_plain_words_are_given_as_they_are() -> None:
    assert child_command(("/bin/x", "-a", "b=c")) == "/bin/x -a b=c"


@given(st.lists(st.text(st.characters(min_codepoint=1, max_codepoint=0x2FF), max_size=6), min_size=1, max_size=4))
def test_env_puts_the_words_together_again(words: list[str]) -> None:
    """bpftrace splits at blanks and knows no quotes; what it starts gets the very words."""
    command = child_command((sys.executable, "-c", "import sys; print(ascii(sys.argv[1:]))", *words))
    parts = [part for part in command.split(" ") if part]
    done = subprocess.run(parts, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ascii(words)


def test_without_a_file_it_writes_to_stdout() -> None:
    assert program_argv(("-e", "x"), None, pid=3) == ("bpftrace", "-f", "json", "-B", "line", "-p", "3", "-e", "x")


@pytest.mark.parametrize(
    ("said", "kind", "words"),
    [
        ("ERROR: bpftrace currently only supports running as the root user.", ToolDenied, "root alone"),
        ("create_probe_event: open(/sys/kernel/tracing/kprobe_events): No such file or directory\n"
         "ERROR: Error attaching probe: 'kprobe:vfs_read'", ToolDenied, "without kprobes"),
        ("stdin:1:1-24: ERROR: tracepoint not found: nosuch:thing", ToolFailed, "no tracepoint nosuch:thing (line 1"),
        ("stdin:2:7-8: ERROR: syntax error, unexpected ;\n @x = ; }", ToolFailed, "line 2, column 7: syntax error"),
        ("stdin:1:1-15: ERROR: kfunc/kretfunc not available for your kernel version.", ToolDenied, "BTF"),
        ("stdin:1:9-21: ERROR: system() is an unsafe function being used in safe mode", ToolDenied, "unsafe"),
        ("perf_event_open failed: No such file or directory\nERROR: Error attaching probe: hardware:cache-misses:1000",
         ToolFailed, "refuses the probe hardware:cache-misses:1000"),
        ("No probes to attach", TargetError, "none of the probes"),
        ("ERROR: : No such process", TargetError, "no such process"),
        ("stdin:1:1-17: ERROR: uprobe target file '/nosuch' does not exist or is not executable", TargetError,
         "/nosuch"),
        ("ERROR: Failed to fork child: path '/opt/start' does not exist or is not executable", TargetError,
         "/opt/start is a script"),
        ("ERROR: something new", ToolFailed, "something new"),
        ("Could not open perf buffer: Operation not permitted", ToolDenied, "does not let bpftrace run"),
    ],
)  # fmt: skip
def test_its_words_are_explained(said: str, kind: type[TailflameError], words: str) -> None:
    error = explained(MEMLOCK + said)
    assert type(error) is kind
    assert words in error.sentence
    assert "RLIMIT_MEMLOCK" not in error.details


def test_what_means_nothing_is_no_failure() -> None:
    assert explained(MEMLOCK) is None
    assert explained("ERROR: failed to look up stack id -17 (pid -1): -2\n") is None
    assert serious(MEMLOCK + "x") == "x"


def test_mistakes_have_their_places() -> None:
    found = mistakes("x.bt:3:5-9: WARNING: careful\nstdin:2: ERROR: odd\n~~~\nstdin:4-6: ERROR: over lines\n")
    assert [(one.line, one.first, one.last, one.text, one.fatal) for one in found] == [
        (3, 5, 9, "careful", False), (2, 0, 0, "odd", True), (4, 0, 0, "over lines", True),
    ]  # fmt: skip


@pytest.mark.tool("bpftrace")
@pytest.mark.skipif(os.geteuid() != 0, reason="bpftrace needs root")
@pytest.mark.parametrize("recipe", offered(), ids=lambda recipe: recipe.name)
def test_every_recipe_is_a_program_that_bpftrace_takes(recipe: bpftrace.Recipe) -> None:
    if impossible(recipe):
        pytest.skip(impossible(recipe))
    target = Target(Path(sys.executable).resolve(), pid=os.getpid())
    values = {"recipe": recipe.name, f"{recipe.name}-symbol": "malloc", f"{recipe.name}-file": bpftrace.libc_path()}
    plan = TOOL.plan(target, ToolOptions(values=values), OUT)
    # -d shows what it would do, and does nothing.
    done = subprocess.run(["bpftrace", "-d", "-e", text_of(plan.argv)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, serious(done.stderr)
    assert not mistakes(done.stderr)


def test_the_command_is_one_for_a_terminal() -> None:
    plan = TOOL.plan(ENGINE, ToolOptions(values={"recipe": "syscalls"}), OUT)
    assert shlex.split(plan.command_line)[-1] == text_of(plan.argv)
