"""Every tool for real, from the command line: launched, attached, stopped, cancelled, crashed, Tailflame killed."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from helpers.environment import open_to_others, refuse
from tailflame.host.running import process_of
from tailflame.tools import FIELD_TOOLS, FieldTool

pytestmark = [pytest.mark.beside, pytest.mark.timeout(300)]

COMMAND = (sys.executable, "-c", "import sys; from tailflame.cli.main import main; sys.exit(main())")
NOBODY = 65534
AS_NOBODY = (
    *("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"),
    *("--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"),
)
BUSY = "echo ready; while :; do read -r line < /dev/null; done"
"""Without an exec, behind which valgrind does not look."""
DEAF = f"trap '' TERM; {BUSY}"


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    return {
        **os.environ,
        "TAILFLAME_PROFILES": str(tmp_path / "profiles"),
        "TAILFLAME_CONFIG_DIR": str(tmp_path / "config"),
        "XDG_STATE_HOME": str(tmp_path / "state"),
    }


@pytest.fixture
def tailflame(environment: dict[str, str], tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    def run(*words: str | Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*COMMAND, *map(str, words)], env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=250,
            check=False,
        )  # fmt: skip

    return run


@pytest.fixture
def begun(environment: dict[str, str], tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts a command and goes on; its stderr and stdout are one stream."""
    started: list[subprocess.Popen[str]] = []

    def start(*words: str | Path) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [*COMMAND, *map(str, words)], env=environment, cwd=tmp_path, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture
def serving(demo_binary: Path) -> Iterator[subprocess.Popen[bytes]]:
    """The demo, with two engines, until the test ends."""
    words = ("--mode", "serve", "--rate", "2000", "--threads", "2", "--churn=1")
    with subprocess.Popen([demo_binary, *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        yield process
        process.kill()


def until(process: subprocess.Popen[str], words: str) -> None:
    """Read its output up to a line that `words`, a pattern, is in."""
    assert process.stdout is not None
    seen = []
    for line in process.stdout:
        seen.append(line)
        if re.search(words, line):
            return
    raise AssertionError("".join(seen))


def usable(tool: FieldTool) -> None:
    from tailflame.host.system import probe_host

    can = tool.probe(probe_host())
    if not can.available:
        refuse(can.reason or f"{tool.title} is not installed")


def kept(tmp_path: Path) -> list[dict[str, Any]]:
    """The sessions' documents, oldest first."""
    return [json.loads(path.read_text()) for path in sorted((tmp_path / "profiles").glob("2*/session.json"))]


def pipes(pid: int) -> list[Path]:
    return list(Path("/tmp").glob(f"vgdb-pipe-*-{pid}-by-*"))


@pytest.mark.parametrize("tool", FIELD_TOOLS, ids=lambda tool: tool.name)
def test_each_tool_records_a_program(
    tool: FieldTool,
    tailflame: Callable[..., subprocess.CompletedProcess[str]],
    demo_binary: Path,
    tmp_path: Path,
) -> None:
    """What it prints is read from its own file; nothing is left behind, in the folder or running."""
    if not tool.launches:
        pytest.skip("it attaches alone")
    usable(tool)
    # On a simulated processor the demo takes half a minute to come up.
    target = ("/bin/ls", "-lR", "/etc/init.d") if tool.program == "valgrind" else (demo_binary, "--seconds", "1")
    done = tailflame("record", "--json", "--tool", tool.name, "--", *target)
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    session = document["session"]
    assert (session["tool"], session["state"], session["exit_code"]) == (tool.name, "complete", 0)
    assert document["result"]["session"] == session["id"]
    assert not [child for child in psutil.Process().children(recursive=True) if child.status() != "zombie"]
    assert not [name for name in os.listdir(session["path"]) if name.startswith(".")]
    shown = tailflame("show", "--json")
    assert shown.returncode == 0, shown.stderr
    listed = json.loads(tailflame("list", "--json").stdout)["sessions"]
    assert listed[0]["measures"] in ("memory", "costs", "system calls", "counters", "probe maps")


@pytest.mark.parametrize("name", ["strace", "perf-stat", "bpftrace", "perf-record"])
def test_attached_to_a_program_that_runs_on(
    name: str,
    tailflame: Callable[..., subprocess.CompletedProcess[str]],
    serving: subprocess.Popen[bytes],
    tmp_path: Path,
) -> None:
    if os.geteuid() != 0:
        pytest.skip("some of them work for root alone")
    done = tailflame("record", "--json", "--tool", name, "--pid", str(serving.pid), "-d", "2")
    if done.returncode and "is not installed" in done.stderr:
        refuse(f"{name} is not installed")
    assert done.returncode == 0, done.stderr
    session = json.loads(done.stdout)["session"]
    assert session["outcome"].startswith("runs on; it was recorded for")
    assert Path(session["binary"]).name == "trading-system"
    assert serving.poll() is None
    process = process_of(serving.pid)
    assert process is not None
    assert "TracerPid:\t0" in Path(f"/proc/{serving.pid}/status").read_text()


@pytest.mark.tool("strace", "perf")
def test_two_tools_in_turn_on_two_threads_as_a_user(
    demo_binary: Path, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, environment: dict[str, str]
) -> None:
    if os.geteuid() != 0 or shutil.which("setpriv") is None:
        pytest.skip("only root can become nobody")
    home = tmp_path / "home"
    home.mkdir()
    open_to_others(tmp_path, tmp_path_factory.getbasetemp())
    shutil.copy(demo_binary, home / "trading-system")
    os.chown(home, NOBODY, NOBODY)
    mine = {**environment, "HOME": str(home), "TAILFLAME_PROFILES": str(home / "profiles")}
    mine |= {"TAILFLAME_CONFIG_DIR": str(home / "config"), "XDG_STATE_HOME": str(home / "state")}

    def as_nobody(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*AS_NOBODY, *COMMAND, *words], env=mine, cwd=home, capture_output=True, text=True, timeout=200, check=False
        )

    words = ("--json", "--tool", "strace,perf-stat", "--", "./trading-system", "--threads", "2", "--seconds", "1")
    done = as_nobody("record", *words)
    if "performance events" in done.stderr:
        refuse("the kernel lets nobody here count with perf")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert [part["session"]["tool"] for part in document["recordings"]] == ["strace", "perf-stat"]
    assert {part["session"]["group"] for part in document["recordings"]} == {document["group"]}
    assert document["recordings"][0]["result"]["session"] is not None
    log = next((home / "profiles").glob("*_strace")) / "strace.log"
    assert log.stat().st_uid == NOBODY
    threads = {line.split("<")[0].split()[0] for line in log.read_text().splitlines()}
    assert len(threads) >= 3
    # A stranger's program is refused before anything is started.
    refused = as_nobody("record", "--tool", "strace", "--pid", str(os.getpid()))
    assert refused.returncode == 5
    assert "it belongs to root" in refused.stderr


@pytest.mark.tool("valgrind")
def test_ctrl_c_keeps_what_valgrind_has(begun: Callable[..., subprocess.Popen[str]], tmp_path: Path) -> None:
    process = begun("record", "--tool", "cachegrind", "--", "/bin/sh", "-c", BUSY)
    until(process, "^ready$")
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=120)
    assert process.returncode == 0, out
    assert "stopped by you after" in out
    (session,) = kept(tmp_path)
    assert session["state"] == "complete"


@pytest.mark.tool("valgrind")
def test_a_second_ctrl_c_keeps_nothing(begun: Callable[..., subprocess.Popen[str]], tmp_path: Path) -> None:
    """Also where the program heeds no request: it is killed, and valgrind's pipes are taken away."""
    process = begun("record", "--tool", "cachegrind", "--", "/bin/sh", "-c", DEAF)
    until(process, "^ready$")
    target = next(c for c in psutil.Process(process.pid).children(recursive=True) if "cachegrind" in c.name())
    process.send_signal(signal.SIGINT)
    until(process, "again to cancel")
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=120)
    assert process.returncode == 130, out
    assert not target.is_running() or target.status() == psutil.STATUS_ZOMBIE
    assert kept(tmp_path) == []
    assert pipes(target.pid) == []


@pytest.mark.tool("valgrind")
def test_a_crash_under_valgrind_keeps_its_file(
    tailflame: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    words = ("--tool", "cachegrind", "--exit-code", "--", "/bin/sh", "-c", "kill -SEGV $$")
    done = tailflame("record", *words)
    assert done.returncode == 139, done.stderr
    assert "killed by SIGSEGV" in done.stdout
    (session,) = kept(tmp_path)
    assert (session["state"], session["exit_code"]) == ("complete", 139)


@pytest.mark.tool("setpriv")
@pytest.mark.parametrize(
    ("name", "code"),
    [
        pytest.param("strace", "echo ready; exec sleep 600", marks=pytest.mark.tool("strace")),
        pytest.param("cachegrind", BUSY, marks=pytest.mark.tool("valgrind")),
        pytest.param("perf-stat", "echo ready; exec sleep 600", marks=pytest.mark.tool("perf")),
    ],
)
def test_all_ends_with_a_tailflame_that_is_killed(
    name: str,
    code: str,
    begun: Callable[..., subprocess.Popen[str]],
    tailflame: Callable[..., subprocess.CompletedProcess[str]],
    tmp_path: Path,
) -> None:
    """And what was recorded until then is read."""
    process = begun("record", "--tool", name, "--", "/bin/sh", "-c", code)
    until(process, "^ready$")
    ours = psutil.Process(process.pid).children(recursive=True)
    watched = name == "cachegrind" or _watched(ours)
    assert watched
    process.kill()
    process.wait()
    _, alive = psutil.wait_procs(ours, timeout=60)
    for left in alive:
        left.kill()
    assert not [left for left in alive if left.status() != psutil.STATUS_ZOMBIE]
    shown = tailflame("show", "--json")
    assert shown.returncode == 0, shown.stderr
    assert "interrupted" in shown.stdout


def _watched(ours: list[psutil.Process]) -> bool:
    """Wait until the watchdog of the program holds it."""
    parent = ours[0].parent()
    assert parent is not None
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        for child in parent.children():
            try:
                ends = [os.readlink(f"/proc/{child.pid}/fd/{n}") for n in os.listdir(f"/proc/{child.pid}/fd")]
            except OSError:
                continue
            if any("pidfd" in end for end in ends) and "watchdog" in " ".join(child.cmdline()):
                ours.append(child)
                return True
        time.sleep(0.02)
    return False
