"""Figures of a process tree, compared with the kernel's own and with what the children know of themselves."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from tailflame.host import processes
from tailflame.host.processes import ProcessTree, _is_recording, descendants, end_session, exit_status, find_target

Program = Callable[[str], subprocess.Popen[str]]


@pytest.fixture
def program() -> Iterator[Program]:
    """Run Python code that prints a line when it is ready and waits for stdin to close."""
    running: list[subprocess.Popen[str]] = []

    def run(code: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", code],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        running.append(process)
        return process

    yield run
    for process in running:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


THREADS = """
import json, os, resource, sys, threading, time
def nap():
    for _ in range(50): time.sleep(0.001)
def stay(event): event.wait()
event = threading.Event()
short = [threading.Thread(target=nap) for _ in range(2)]
long = [threading.Thread(target=stay, args=(event,), daemon=True) for _ in range(2)]
for thread in short + long: thread.start()
def figures():
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return [usage.ru_nvcsw, usage.ru_nivcsw, usage.ru_minflt, usage.ru_majflt]
sys.stdin.readline()
for thread in short: thread.join()
held = bytearray(20_000_000)
print(json.dumps(figures()), flush=True)
sys.stdin.readline()
"""


def test_threads_switches_faults_and_memory(program: Program) -> None:
    process = program(THREADS)
    tree = ProcessTree(process.pid)
    assert process.stdin is not None
    while (first := tree.observe()) is None or first.threads < 5:
        pass
    before = first
    process.stdin.write("\n")
    process.stdin.flush()
    while not select.select([process.stdout], [], [], 0.0)[0]:
        before = tree.observe() or before
    own = json.loads(line(process))
    after = tree.observe()
    assert after is not None
    assert after.threads == 3  # the main one and the two that stay
    assert after.processes == 1
    # The naps of threads that have ended since are kept, up to the last look at them.
    main_thread_alone = psutil.Process(process.pid).num_ctx_switches().voluntary
    assert main_thread_alone < 60 < after.voluntary <= own[0] + 5
    assert abs(after.minor_faults - own[2]) <= 20
    assert after.minor_faults - before.minor_faults >= 0
    assert after.rss > 20_000_000
    assert after.read_bytes is not None


CHILD = """
import os, subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "x = bytearray(30_000_000); import time; t = time.process_time()\\n"
    "while time.process_time() - t < 0.3: pass\\nprint('busy', flush=True)\\ninput()"],
    stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
child.stdout.readline()
print(child.pid, flush=True)
input()
child.stdin.close()
child.wait()
print("gone", flush=True)
input()
"""


def test_what_ended_children_used_is_kept(program: Program) -> None:
    process = program(CHILD)
    tree = ProcessTree(process.pid)
    child = int(line(process))
    with_child = tree.observe()
    assert with_child is not None
    assert with_child.processes == 2
    assert with_child.cpu_s >= 0.3
    assert with_child.cpu_percent > 0
    assert descendants(process.pid) == [child]
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()
    assert line(process) == "gone"
    alone = tree.observe()
    assert alone is not None
    assert alone.processes == 1
    assert alone.rss < with_child.rss
    for count in ("cpu_s", "minor_faults", "major_faults", "voluntary", "involuntary"):
        assert getattr(alone, count) >= getattr(with_child, count)


def test_a_kernel_that_does_not_list_children(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    process = program(CHILD)
    child = int(line(process))
    assert descendants(process.pid) == [child]
    read_text = Path.read_text

    def without(self: Path) -> str:
        if self.name == "children":
            raise FileNotFoundError(self)
        return read_text(self)

    monkeypatch.setattr(Path, "read_text", without)
    monkeypatch.setattr("tailflame.host.processes._KERNEL_LISTS_CHILDREN", False)
    assert descendants(process.pid) == [child]


def test_the_end_of_the_process_is_none(program: Program) -> None:
    process = program("print('ready', flush=True); input()")
    line(process)
    tree = ProcessTree(process.pid)
    assert tree.observe() is not None
    process.communicate("\n")
    assert tree.observe() is None
    assert descendants(process.pid) == []


def test_a_zombie_is_no_longer_observed(program: Program) -> None:
    process = program("pass")
    descriptor = os.pidfd_open(process.pid)
    select.select([descriptor], [], [], 10)
    os.close(descriptor)
    assert ProcessTree(process.pid).observe() is None


def test_refused_io_figures_are_unknown_not_zero(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: psutil.Process) -> None:
        raise psutil.AccessDenied(self.pid)

    process = program("print('ready', flush=True); input()")
    line(process)
    monkeypatch.setattr(psutil.Process, "io_counters", refuse)
    sample = ProcessTree(process.pid).observe()
    assert sample is not None
    assert (sample.read_bytes, sample.write_bytes) == (None, None)
    assert sample.rss > 0


@pytest.mark.parametrize(
    ("code", "status"), [("raise SystemExit(3)", 3), ("import os; os.kill(os.getpid(), 9)", -9), ("pass", 0)]
)
def test_exit_status_of_somebody_elses_child(program: Program, code: str, status: int) -> None:
    process = program(code)
    descriptor = os.pidfd_open(process.pid)
    assert select.select([descriptor], [], [], 10)[0]
    os.close(descriptor)
    assert exit_status(process.pid) == status
    process.wait()
    assert exit_status(process.pid) is None


def test_exit_status_of_the_living_is_none() -> None:
    assert exit_status(os.getpid()) is None


@pytest.mark.parametrize(
    ("words", "recording"),
    [
        (["perf", "record", "-o", "x"], True),
        (["/usr/lib/linux-tools/6.8/perf", "record"], True),
        (["/bin/sh", "/usr/bin/perf", "record"], True),
        (["perf", "script", "record"], False),
        (["recorder", "record"], False),
        ([], False),
    ],
)
def test_which_process_records(words: list[str], recording: bool) -> None:
    assert _is_recording(words, "perf") is recording


def test_a_child_that_has_not_run_its_program_yet_is_no_target(
    program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    """perf's child is called as perf is in its first moment: on a busy machine somebody looks just then."""
    process = program(
        "import os, subprocess\n"
        "if os.fork() == 0:\n    os.read(0, 1)\n    os.execv('/bin/sleep', ['sleep', '60'])\n"
        "print('ready', flush=True)\nos.wait()"
    )
    line(process)
    (child,) = descendants(process.pid)
    monkeypatch.setattr(
        processes, "_is_recording", lambda words, _profiler: words == psutil.Process(process.pid).cmdline()
    )
    assert find_target(process.pid) is None
    assert process.stdin is not None
    process.stdin.write("x")
    process.stdin.flush()
    deadline = time.monotonic() + 30
    while find_target(process.pid) != child:
        assert time.monotonic() < deadline


def test_no_target_without_a_profiler(program: Program) -> None:
    process = program("print('ready', flush=True); input()")
    line(process)
    assert find_target(process.pid) is None


STUBBORN = """
import signal, subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "import signal, time\\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\\n"
    "print('deaf', flush=True)\\ntime.sleep(60)"], stdout=subprocess.PIPE, text=True)
child.stdout.readline()
print(child.pid, flush=True)
input()
"""


def test_a_session_is_ended_even_where_it_does_not_listen(program: Program) -> None:
    process = program(STUBBORN)
    child = psutil.Process(int(line(process)))
    process.communicate("\n")
    assert child.is_running()
    assert end_session(process.pid, grace_s=0.1) == 1
    with contextlib.suppress(ProcessLookupError):  # gone already
        descriptor = os.pidfd_open(child.pid)
        assert select.select([descriptor], [], [], 5)[0]
        os.close(descriptor)
    assert end_session(process.pid) == 0


def test_a_name_with_parentheses_does_not_shift_the_fields(tmp_path: Path, program: Program) -> None:
    process = program(
        "import ctypes; ctypes.CDLL(None).prctl(15, b'a) (b 1 2', 0, 0, 0); print('ready', flush=True); input()"
    )
    line(process)
    sample = ProcessTree(process.pid).observe()
    assert sample is not None
    assert sample.minor_faults > 100
