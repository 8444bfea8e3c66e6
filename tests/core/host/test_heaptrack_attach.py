"""heaptrack put into a running program and taken out again: nothing is left behind, and the program goes on."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tailflame.host import heaptrack_attach
from tailflame.host.heaptrack_attach import gdb_argv, inject_commands, main, quoted, stop_commands

_PROGRAM = """
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
static void churn(void) { for (int i = 0; i < 50; ++i) { char* volatile p = malloc(100); p[0] = 1; free(p); } }
static void leak(void) { char* volatile p = malloc(1000); p[0] = 1; }
int main(void) {
    puts("ready"); fflush(stdout);
    while (getppid() > 1) { churn(); leak(); usleep(2000); }
    return 0;
}
"""


def test_what_gdb_is_asked() -> None:
    argv = gdb_argv(7, *inject_commands('dlopen("/l.so", 2)', Path("/a b/x.raw")))
    assert argv[:3] == ["gdb", "--batch", "-n"]
    assert argv[argv.index("-p") + 1] == "7"
    assert argv[-2:] == ["-ex", "detach"]
    assert any('heaptrack_inject("/a b/x.raw")' in word for word in argv)
    # Whatever the language of the frame that the program is stopped in: "No symbol 'void'" is what Rust's says.
    assert argv.index("set language c") < argv.index('call (void) dlopen("/l.so", 2)')
    assert 'call (void) dlopen("/l.so", 2)' in argv
    assert "heaptrack_stop()" in stop_commands()[-1]


def test_strings_of_c() -> None:
    assert quoted('a "b"\\c\n') == r'"a \"b\"\\c\012"'


def test_no_such_process(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    child = subprocess.Popen(["true"])
    child.wait()
    assert main(str(child.pid), str(tmp_path / "x.raw"), "/usr/lib/heaptrack") == 1
    assert capsys.readouterr().err == f"heaptrack: there is no process {child.pid}.\n"


def test_a_folder_without_the_library(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    try:
        assert main(str(os.getpid()), str(tmp_path / "x.raw"), str(tmp_path)) == 1
    finally:
        signal.signal(signal.SIGINT, before[0])
        signal.signal(signal.SIGTERM, before[1])
    assert "libheaptrack_inject.so is not there" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ("[New LWP 3]\nptrace: Operation not permitted.\n", "ptrace: Operation not permitted."),
        ("one\ntwo\n", "one."),
        ("", "gdb says nothing."),
    ],
)
def test_the_reason_is_the_telling_line(words: str, reason: str) -> None:
    assert heaptrack_attach._reason(words) == reason


@pytest.fixture
def program(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A program that allocates, leaks and runs until its starter ends."""
    if shutil.which("gcc") is None:
        pytest.skip("needs a compiler")
    (tmp_path / "p.c").write_text(_PROGRAM)
    subprocess.run(["gcc", "-g", "-O1", "-fno-builtin", "-o", "p", "p.c"], cwd=tmp_path, check=True)
    child = subprocess.Popen([str(tmp_path / "p")], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    assert child.stdout.readline() == "ready\n"
    yield child
    child.kill()
    child.wait()
    child.stdout.close()


def attach(pid: int, raw: Path) -> subprocess.Popen[str]:
    """The attaching process, once heaptrack is in."""
    argv = [sys.executable, "-m", "tailflame.host.heaptrack_attach", str(pid), str(raw), "/usr/lib/heaptrack"]
    tool = subprocess.Popen(argv, stderr=subprocess.PIPE, text=True)
    assert tool.stderr is not None
    assert tool.stderr.readline() == "heaptrack: recording\n"
    return tool


@pytest.mark.tool("heaptrack")
@pytest.mark.tool("gdb")
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_in_and_out_of_a_running_program(program: subprocess.Popen[str], tmp_path: Path, how: signal.Signals) -> None:
    raw = tmp_path / "with blanks" / "heap track.raw"
    raw.parent.mkdir()
    tool = attach(program.pid, raw)
    deadline = time.monotonic() + 30
    while raw.stat().st_size < 20_000 and time.monotonic() < deadline:
        time.sleep(0.02)
    tool.send_signal(how)
    _, words = tool.communicate(timeout=60)
    assert (tool.returncode, words) == (0, "heaptrack: taken out\n")
    size = raw.stat().st_size
    assert raw.read_bytes().endswith(b"\n")
    assert program.poll() is None
    # Nothing goes on: the file is closed, and no thread of heaptrack's is left.
    assert str(raw) not in {os.readlink(entry) for entry in Path(f"/proc/{program.pid}/fd").iterdir()}
    assert len(list(Path(f"/proc/{program.pid}/task").iterdir())) == 1
    assert raw.stat().st_size == size


@pytest.mark.tool("heaptrack")
@pytest.mark.tool("gdb")
def test_a_program_that_ends_by_itself(program: subprocess.Popen[str], tmp_path: Path) -> None:
    tool = attach(program.pid, tmp_path / "x.raw")
    program.terminate()
    program.wait(30)
    _, words = tool.communicate(timeout=60)
    assert (tool.returncode, words) == (0, "")


@pytest.mark.tool("heaptrack")
@pytest.mark.tool("gdb")
def test_a_second_time(program: subprocess.Popen[str], tmp_path: Path) -> None:
    for number in range(2):
        raw = tmp_path / f"{number}.raw"
        tool = attach(program.pid, raw)
        tool.send_signal(signal.SIGINT)
        _, words = tool.communicate(timeout=60)
        assert (tool.returncode, words) == (0, "heaptrack: taken out\n")
        assert raw.read_bytes().startswith(b"v ")
    assert program.poll() is None
