"""The privileged helper: attacked by the user it serves, and doing its work for a user who is not root.

It is started as pkexec starts it, by root with PKEXEC_UID in a clean environment, here through sudo where that works;
what it says is read by this process, what it looks at belongs to the user nobody.
"""

from __future__ import annotations

import base64
import contextlib
import importlib.util
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers.environment import ROOT

NOBODY = 65534
SOURCE = ROOT / "packaging" / "helper"
PATIENCE_S = 60.0
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, as the helper does")

BUSY = "import os\nprint(flush=True)\nwhile True:\n  for _ in range(1000): os.getppid()"


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The helper as it is installed, below a folder of root's own."""
    destination = tmp_path_factory.mktemp("root")
    subprocess.run(
        [sys.executable, str(ROOT / "packaging" / "install.py"), "install-helper"],
        env={**os.environ, "DESTDIR": str(destination)},
        check=True,
    )
    return destination / "usr" / "libexec" / "tailflame" / "tailflame-helper"


class Conversation:
    """A running helper. `said` is all it has said so far."""

    def __init__(self, helper: Path, *, uid: int | str = NOBODY, **environment: str) -> None:
        self.process = subprocess.Popen(
            [*_as_pkexec(), f"PKEXEC_UID={uid}", *(f"{k}={v}" for k, v in environment.items()), str(helper)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self.said: list[dict[str, Any]] = []
        self._news = threading.Condition()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self._news:
                self.said.append(json.loads(line))
                self._news.notify_all()
        with self._news:
            self.said.append({"event": "gone"})
            self._news.notify_all()

    def send(self, data: bytes) -> None:
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.write(data)
            self.process.stdin.flush()

    def ask(self, **message: Any) -> None:
        self.send(json.dumps(message).encode() + b"\n")

    def until(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE_S
        with self._news:
            while not condition():
                assert time.monotonic() < deadline, self.said[-3:]
                self._news.wait(1.0)

    def wait_for(self, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        deadline = time.monotonic() + PATIENCE_S
        with self._news:
            while True:
                for message in self.said:
                    if wanted(message):
                        return message
                assert time.monotonic() < deadline, self.said
                self._news.wait(1.0)

    def event(self, name: str, job: int | None = None) -> dict[str, Any]:
        return self.wait_for(lambda m: m.get("event") == name and (job is None or m.get("job") == job))

    def refusal(self, job: int | None = None) -> str:
        return str(self.event("refused", job)["reason"])

    def stream(self, job: int, name: str) -> bytes:
        mine = [m for m in self.said if m.get("job") == job and m.get("stream") == name]
        return b"".join(base64.b64decode(m["data"]) for m in mine)

    def file(self, job: int) -> bytes:
        whole = bytearray()
        for message in self.said:
            if message.get("job") == job and message.get("stream") == "file":
                data = base64.b64decode(message["data"])
                whole[message["at"] : message["at"] + len(data)] = data
        return bytes(whole)

    def hang_up(self) -> int:
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        status = self.process.wait(PATIENCE_S)
        self._reader.join(PATIENCE_S)
        if self.process.stdout is not None:
            self.process.stdout.close()
        return status


def _as_pkexec() -> list[str]:
    """sudo, which tells of itself in SUDO_UID, where it works; else the bare change of the environment."""
    if shutil.which("sudo") and subprocess.run(["sudo", "-n", "true"], capture_output=True).returncode == 0:
        return ["sudo", "-n"]
    return ["env", "-i", "PATH=/usr/bin:/bin"]


@pytest.fixture
def helper(installed: Path) -> Iterator[Conversation]:
    talk = Conversation(installed)
    talk.event("hello")
    yield talk
    talk.hang_up()


@pytest.fixture
def target() -> Iterator[Callable[..., int]]:
    """Starts a program of the user nobody and gives its pid."""
    started: list[subprocess.Popen[bytes]] = []

    def start(*argv: str, uid: int = NOBODY) -> int:
        words = argv or ("/usr/bin/python3", "-c", BUSY)
        process = subprocess.Popen(
            words, user=uid, group=uid, extra_groups=[], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd="/"
        )
        started.append(process)
        assert process.stdout is not None
        process.stdout.readline()
        return process.pid

    yield start
    for process in started:
        process.kill()
        process.communicate()


def start_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])


def counting(pid: int, job: int = 1, **changes: Any) -> dict[str, Any]:
    request = {
        "job": job, "verb": "perf-stat", "pid": pid, "start": start_of(pid),
        "events": [["task-clock", "page-faults"]], "interval_ms": 100, "per_thread": False,
    }  # fmt: skip
    return {**request, **changes}


def recording(pid: int, job: int = 1, **changes: Any) -> dict[str, Any]:
    request = {
        "job": job, "verb": "perf-record", "pid": pid, "start": start_of(pid), "events": ["cpu-clock"],
        "frequency": 499, "call_graph": "dwarf", "dwarf_stack": 4096, "pages": 0,
    }  # fmt: skip
    return {**request, **changes}


def probing(pid: int, job: int = 1, **changes: Any) -> dict[str, Any]:
    request = {
        "job": job, "verb": "probe", "pid": pid, "start": start_of(pid), "binary": os.readlink(f"/proc/{pid}/exe"),
        "symbols": ["work"], "recursive": [False], "interval_ms": 100, "slow_ns": [], "slow_per_s": 2000,
    }  # fmt: skip
    return {**request, **changes}


def asking(pid: int, job: int = 1, **changes: Any) -> dict[str, Any]:
    request = {
        "job": job, "verb": "recipe", "pid": pid, "start": start_of(pid), "recipe": "syscalls", "values": {},
        "interval_ms": 200,
    }  # fmt: skip
    return {**request, **changes}


def ringing(pid: int, job: int = 1, **changes: Any) -> dict[str, Any]:
    return {**recording(pid, job, call_graph="fp", pages=64), "verb": "perf-ring", **changes}


def tracer(pid: int) -> str:
    return Path(f"/proc/{pid}/status").read_text().partition("TracerPid:")[2].split()[0]


def children(pid: int) -> set[int]:
    """All below `pid`."""
    found = set()
    for task in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            if int(task.read_text().rpartition(")")[2].split()[1]) == pid:
                found |= {int(task.parent.name), *children(int(task.parent.name))}
    return found


def gone(pids: set[int]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while any(Path(f"/proc/{pid}").exists() for pid in pids):
        assert time.monotonic() < deadline
        time.sleep(0.02)


# Who may ask.


@needs_root
@pytest.mark.parametrize(
    "environment", [{}, {"PKEXEC_UID": ""}, {"PKEXEC_UID": "-1"}, {"PKEXEC_UID": "1000\n"}, {"PKEXEC_UID": "root"},
                    {"SUDO_UID": "65534"}, {"PKEXEC_UID": "65534", "SUDO_UID": "1000"}]
)  # fmt: skip
def test_it_serves_nobody_in_particular_not_at_all(installed: Path, environment: dict[str, str]) -> None:
    done = subprocess.run(
        [str(installed)], env={"PATH": "/usr/bin:/bin", **environment}, capture_output=True, text=True
    )
    assert done.returncode == 2
    assert json.loads(done.stdout)["event"] == "refused"


def test_it_is_of_no_use_without_root(installed: Path) -> None:
    options: dict[str, Any] = {"user": NOBODY, "group": NOBODY, "extra_groups": []} if os.geteuid() == 0 else {}
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        shutil.copytree(installed.parent, folder, dirs_exist_ok=True)
        done = subprocess.run(
            ["/usr/bin/python3", "-I", f"{folder}/tailflame-helper"], env={"PKEXEC_UID": str(NOBODY)},
            capture_output=True, text=True, cwd="/", **options,
        )  # fmt: skip
    assert (done.returncode, json.loads(done.stdout)["event"]) == (2, "refused")


@needs_root
@pytest.mark.parametrize("name", ["rules.py", "probe_program.py"])
def test_modules_that_others_can_write_are_not_run(
    name: str, installed: Path, tmp_path: Path, target: Callable[..., int]
) -> None:
    folder = shutil.copytree(installed.parent, tmp_path / "helper")
    (folder / name).chmod(0o666)
    talk = Conversation(folder / "tailflame-helper")
    if name == "probe_program.py":
        pid = target()
        talk.ask(**probing(pid))
    talk.event("gone")
    assert talk.hang_up() != 0
    assert not [m for m in talk.said if m["event"] == "started"]


# Whose processes.


@needs_root
def test_other_users_processes_are_refused(helper: Conversation, target: Callable[..., int]) -> None:
    for job, pid in enumerate((1, os.getpid(), target(uid=65533)), start=1):
        helper.ask(**counting(pid, job))
        assert "does not belong to the user" in helper.refusal(job)
    assert not children(helper.process.pid) - _helper_itself(helper)


def _helper_itself(helper: Conversation) -> set[int]:
    """sudo may have a child of its own: the helper."""
    below = children(helper.process.pid)
    return {pid for pid in below if b"tailflame-helper" in Path(f"/proc/{pid}/cmdline").read_bytes()}


@needs_root
def test_a_number_that_has_become_somebody_elses_is_refused(helper: Conversation, target: Callable[..., int]) -> None:
    pid = target()
    helper.ask(**counting(pid, start=start_of(pid) + 1))
    assert "is not the one that was chosen" in helper.refusal(1)
    helper.ask(**{**counting(pid, 2), "pid": 4194000})
    assert "no process" in helper.refusal(2)


@needs_root
@pytest.mark.parametrize(
    "preparation",
    [
        "os.setresuid(65534, 65534, 0)",
        "os.setresuid(0, 65534, 65534)",
        "os.setresuid(65534, 65534, 65534)",  # root's memory: the kernel keeps its new user out
    ],
)
def test_processes_that_are_or_were_somebody_elses_are_refused(
    preparation: str, helper: Conversation, target: Callable[..., int]
) -> None:
    pid = target("/usr/bin/python3", "-c", f"import os, time; {preparation}; print(flush=True); time.sleep(60)", uid=0)
    helper.ask(**counting(pid))
    assert re.search("does not belong|may not be looked into", helper.refusal(1))


@needs_root
@pytest.mark.tool("perf")
def test_what_becomes_somebody_elses_is_let_go_of(helper: Conversation, target: Callable[..., int]) -> None:
    """As a setuid program does; here the other way round, because its user cannot."""
    code = "import ctypes, time; print(flush=True); input(); ctypes.CDLL(None).prctl(4, 0); time.sleep(60)"
    process = subprocess.Popen(
        ["/usr/bin/python3", "-c", code], user=NOBODY, group=NOBODY, extra_groups=[],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    with process:
        assert process.stdout is not None and process.stdin is not None
        process.stdout.readline()
        helper.ask(**counting(process.pid))
        helper.wait_for(lambda m: m.get("stream") == "out")
        process.stdin.write(b"\n")
        process.stdin.flush()
        assert "may not be looked into" in helper.event("said", 1)["reason"]
        assert helper.event("ended", 1)["status"] == -signal.SIGKILL
        process.kill()


# What may be asked.

HOSTILE: list[dict[str, Any]] = [
    {"verb": "shell"},
    {"verb": ["perf-stat"]},
    {"verb": None},
    {"pid": "1"},
    {"pid": -1},
    {"pid": True},
    {"pid": 10**30},
    {"pid": 1.5},
    {"start": None},
    {"events": []},
    {"events": "cycles"},
    {"events": ["cycles,-o/etc/passwd"]},
    {"events": ["--config=/tmp/x"]},
    {"events": ["-o", "/etc/passwd"]},
    {"events": ["cycles\n"]},
    {"events": ["cycles:u\n-a"]},
    {"events": ["r1a8"]},
    {"events": ["cpu/config=0x1/"]},
    {"events": ["cpu_core/../cycles/"]},
    {"events": ["sched:sched_switch"]},
    {"events": ["probe:x"]},
    {"events": ["{cycles,instructions}"]},
    {"events": ["cycles"] * 33},
    {"events": [["cycles", "-a"]]},
    {"events": [["cycles", ["cycles"]]]},
    {"events": [[]]},
    {"interval_ms": 0},
    {"interval_ms": "100"},
    {"interval_ms": 10**12},
    {"per_thread": "yes"},
    {"argv": ["/bin/sh"]},
    {"program": "BEGIN { system(\"id\"); }"},
    {"-o": "/etc/passwd"},
]  # fmt: skip


@needs_root
def test_hostile_requests_start_nothing(helper: Conversation, target: Callable[..., int]) -> None:
    pid = target()
    for job, change in enumerate(HOSTILE, start=1):
        helper.ask(**{**counting(pid, job), **change})
        helper.refusal(job)
    for job, change in enumerate(
        (
            {"events": [["cycles"]]},
            {"frequency": 0}, {"frequency": "max"}, {"call_graph": "dwarf,8192 -a"}, {"call_graph": "fp\n"},
            {"dwarf_stack": 65536}, {"pages": -1}, {"out": "/etc/passwd"}, {"o": "x"},
        ),
        start=100,
    ):  # fmt: skip
        helper.ask(**{**recording(pid, job), **change})
        helper.refusal(job)
    for job, change in enumerate(
        (
            {"pages": 5000}, {"switch": "size"}, {"signal": 9}, {"file": "/etc/ring"}, {"events": ["probe:x"]},
        ),
        start=200,
    ):  # fmt: skip
        helper.ask(**{**ringing(pid, job), **change})
        helper.refusal(job)
    assert not children(helper.process.pid) - _helper_itself(helper)
    assert {m["event"] for m in helper.said} == {"hello", "refused"}


@needs_root
@pytest.mark.tool("bpftrace")
@pytest.mark.parametrize(
    "change",
    [
        {"symbols": ['work" { system("id"); }']},
        {"symbols": ["work\nBEGIN { exit(); }"]},
        {"symbols": ["*"]},
        {"symbols": ["work", "work"]},
        {"symbols": [1]},
        {"symbols": []},
        {"symbols": "work"},
        {"recursive": [False, True]},
        {"recursive": ["true"]},
        {"interval_ms": 1},
        {"slow_ns": [1, 2]},
        {"slow_ns": [-1]},
        {"slow_ns": ["1) { system(0); }"]},
        {"slow_ns": 1000},
        {"slow_per_s": 0},
        {"slow_per_s": 10**9},
        {"binary": "/etc/shadow"},
        {"binary": "bin/python3"},
        {"binary": "/usr/bin/../bin/python3"},
        {"binary": '/tmp/x":"y'},
        {"binary": None},
        {"unsafe": True},
    ],
)
def test_hostile_probes_start_nothing(change: dict[str, Any], helper: Conversation, probed: Callable[[], int]) -> None:
    helper.ask(**{**probing(probed()), **change})
    helper.refusal(1)
    assert not children(helper.process.pid) - _helper_itself(helper)


@needs_root
def test_a_symbolic_link_does_not_lead_elsewhere(helper: Conversation, probed: Callable[[], int], public: Path) -> None:
    """A link to the program is not what it runs; a link, or another name, of a file of root's is not the user's own."""
    pid = probed()
    image = Path(os.readlink(f"/proc/{pid}/exe"))
    link, hard = public / "link", public / "hard"
    link.symlink_to(image)
    hard.hardlink_to(image)
    os.chown(link, NOBODY, NOBODY, follow_symlinks=False)
    for job, path in enumerate((link, hard, public, "/etc/shadow", "/proc/self/mem", "/dev/zero"), start=1):
        helper.ask(**probing(pid, job, binary=str(path)))
        assert re.search("does not run .* and that is no file of the user's own|is not a file", helper.refusal(job))


@needs_root
@pytest.mark.tool("bpftrace")
def test_a_program_that_is_started_stopped_is_probed_before_it_executes(
    helper: Conversation, probed: Callable[[], int], public: Path
) -> None:
    """As a launched one is: what holds still is the launcher. The file is the user's own, and opened as the user."""
    image = Path(shutil.copy(os.readlink(f"/proc/{probed()}/exe"), public / "own"))
    waits = ["/bin/sh", "-c", 'echo; read line; exec "$0"', str(image)]
    with subprocess.Popen(
        waits, user=NOBODY, group=NOBODY, extra_groups=[], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert child.stdin is not None and child.stdout is not None
        child.stdout.readline()
        helper.ask(**probing(child.pid, 1, binary=str(image)))
        assert "no file of the user's own" in helper.refusal(1)
        os.chown(image, NOBODY, NOBODY)
        image.chmod(0)
        helper.ask(**probing(child.pid, 2, binary=str(image)))
        assert "no file of the user's own" in helper.refusal(2), "not with root's rights"
        image.chmod(0o755)
        helper.ask(**probing(child.pid, 3, binary=str(image)))
        helper.until(lambda: has_armed(helper, 3) or bool(over(helper, 3)))
        child.stdin.write(b"\n")
        child.stdin.flush()
        helper.until(lambda: has_counted(helper, 3) or bool(over(helper, 3)))
        assert has_counted(helper, 3), helper.said[-3:]
        child.kill()


def over(helper: Conversation, job: int) -> list[dict[str, Any]]:
    """What was said of a job that was refused or has ended."""
    return [m for m in helper.said if m.get("job") == job and m.get("event") in ("refused", "ended")]


def json_lines(helper: Conversation, job: int) -> list[dict[str, Any]]:
    return [json.loads(line) for line in helper.stream(job, "out").split(b"\n")[:-1] if line.strip()]


def has_armed(helper: Conversation, job: int) -> bool:
    return any(line["type"] == "value" for line in json_lines(helper, job))


def has_counted(helper: Conversation, job: int) -> bool:
    """bpftrace has counted a call of the first function."""
    return any(line["type"] == "map" and line["data"].get("@h0") for line in json_lines(helper, job))


@needs_root
def test_files_that_other_users_run_are_not_probed(helper: Conversation, target: Callable[..., int]) -> None:
    pid = target()
    target(uid=65533)
    libc = next(
        line.split()[5]
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines()
        if re.search(r"r-xp.*libc\.", line)
    )
    helper.ask(**probing(pid, binary=libc))
    assert "another user" in helper.refusal(1)


@pytest.fixture
def public() -> Iterator[Path]:
    """A folder that the user nobody may read."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        os.chmod(folder, 0o755)
        yield Path(folder)


WORK = """
#include <stdio.h>
#include <unistd.h>
__attribute__((noinline)) int work(int n) { volatile int s = 0; for (int i = 0; i < n; i++) s += i; return s; }
int main(void) { puts(""); fflush(stdout); for (;;) { work(1000); usleep(1000); } }
"""


@pytest.fixture
def probed(public: Path, target: Callable[..., int]) -> Callable[[], int]:
    """Starts a program with a function `work`, whose file nobody else runs."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler is installed")
    (public / "work.c").write_text(WORK)
    subprocess.run([compiler, "-g", "-O1", "-o", public / "work", public / "work.c"], check=True)
    return lambda: target(str(public / "work"))


@needs_root
def test_noise_is_answered_and_the_work_goes_on(helper: Conversation, target: Callable[..., int]) -> None:
    for line in (b"", b"[]", b"null", b"{", b"\xff\xfe", b"1", b'"x"', b"[" * 5000, b'{"job": 1e999}', b'{"stop": "1"}',
                 b'{"stop": 77}', b'{"job": {"a": 1}}', b'{"job": ' + b"9" * 5000 + b"}"):  # fmt: skip
        helper.send(line + b"\n")
    helper.ask(**counting(target(), 7))
    helper.event("started", 7)


@needs_root
def test_a_line_without_end_ends_it(installed: Path) -> None:
    talk = Conversation(installed)
    talk.event("hello")
    talk.send(b"x" * 200_000)
    assert "longer" in talk.refusal()
    talk.event("gone")
    assert talk.hang_up() == 0


# What it does.


@needs_root
@pytest.mark.tool("perf")
@pytest.mark.tool("strace")
def test_it_counts_records_and_traces_and_lets_go(
    helper: Conversation, target: Callable[..., int], tmp_path: Path
) -> None:
    pid = target()
    before = _dispositions(pid)
    helper.ask(**counting(pid, 1))
    helper.ask(**recording(pid, 2))
    helper.ask(job=3, verb="strace-summary", pid=pid, start=start_of(pid))
    helper.wait_for(lambda m: m.get("job") == 3 and m.get("stream") == "err")
    assert tracer(pid) != "0"
    # Stacks of 4 KiB: so much holds samples. And some intervals later the program has got on, traced or not.
    helper.wait_for(lambda m: m.get("job") == 2 and m.get("stream") == "file" and m["at"] > 100_000)
    intervals = helper.stream(1, "out").count(b"task-clock")
    helper.until(lambda: helper.stream(1, "out").count(b"task-clock") > intervals + 2)
    for job in (1, 2, 3):
        helper.ask(stop=job)
    assert all(helper.event("ended", job)["attached"] for job in (1, 2, 3))
    lines = [json.loads(line) for line in helper.stream(1, "out").splitlines() if line.startswith(b"{")]
    assert {line["event"] for line in lines} == {"task-clock", "page-faults"}
    # "<not counted>": on a busy machine the traced program may get no processor for an interval.
    counted = [line["counter-value"] for line in lines if line["event"] == "task-clock"]
    assert sum(float(value) for value in counted if not value.startswith("<")) > 0
    assert b"getppid" in helper.stream(3, "out")
    data = tmp_path / "perf.data"
    data.write_bytes(helper.file(2))
    report = subprocess.run(["perf", "script", "-i", data, "-F", "pid,ip,sym"], capture_output=True, text=True)
    assert report.returncode == 0, report.stderr
    assert re.search(rf"^ *{pid} *\n\s+[0-9a-f]+ \S", report.stdout, re.MULTILINE), report.stdout
    assert (tracer(pid), _dispositions(pid)) == ("0", before)


@needs_root
@pytest.mark.tool("perf")
def test_a_snapshot_is_for_a_ring_that_it_has_started_itself_and_seldom(
    helper: Conversation, target: Callable[..., int]
) -> None:
    """The signal is death to whatever does not wait for it: nothing else gets it, however it is asked for."""
    pid, rings = target(), set(Path("/var/tmp").glob("tailflame-*"))
    helper.ask(**counting(pid, 1))
    helper.ask(**recording(pid, 2))
    helper.ask(**ringing(pid, 3))
    helper.ask(snapshot=3)  # its handler is not there yet
    helper.event("armed", 3)
    (ring,) = set(Path("/var/tmp").glob("tailflame-*")) - rings
    assert (ring.stat().st_mode & 0o777, ring.stat().st_uid) == (0o700, 0)
    for wrong in (1, 2, 4, pid, -1, 0, True, None, "3", [3], {"job": 3}, 3.0, 10**40):
        helper.ask(snapshot=wrong)
    helper.ask(snapshot=3, signal=9)
    helper.ask(snapshot=3, stop=3)
    helper.ask(snapshot=3, pid=pid)
    for _ in range(500):
        helper.ask(snapshot=3)
    helper.event("snapshot", 3)
    helper.ask(**counting(pid, 5))
    helper.until(lambda: helper.stream(5, "out").count(b"task-clock") > 2)  # all of that has been heard
    for job in (1, 2, 3, 5):
        helper.ask(stop=job)
    # Those that were let alone end by SIGINT; the target lives.
    assert [helper.event("ended", job)["status"] for job in (1, 2, 5)] == [-2, helper.event("ended", 2)["status"], -2]
    assert helper.event("ended", 2)["status"] in (0, 130, -2)
    helper.event("ended", 3)
    assert sum(m.get("event") == "snapshot" for m in helper.said) <= 3
    assert Path(f"/proc/{pid}").exists() and not ring.exists()


@needs_root
@pytest.mark.tool("perf")
def test_each_snapshot_is_a_recording_of_its_own(
    helper: Conversation, target: Callable[..., int], tmp_path: Path
) -> None:
    pid = target()
    helper.ask(**ringing(pid))
    helper.event("armed", 1)
    spans: list[tuple[float, float]] = []
    for number in (1, 2):
        helper.until(lambda: helper.ask(snapshot=1) or _snapshots(helper) >= number)  # type: ignore[func-returns-value]  # noqa: B023
        messages = helper.said[:]
        ends = [i for i, m in enumerate(messages) if m.get("event") == "snapshot"]
        begin = ends[number - 2] if number > 1 else 0
        data = b"".join(
            base64.b64decode(m["data"]) for m in messages[begin : ends[number - 1]] if m.get("stream") == "file"
        )
        file = tmp_path / f"ring.{number}"
        file.write_bytes(data)
        report = subprocess.run(["perf", "script", "-i", file, "-F", "pid,time"], capture_output=True, text=True)
        assert report.returncode == 0, report.stderr
        times = [
            float(line.split()[1].rstrip(":")) for line in report.stdout.splitlines() if line.split()[:1] == [str(pid)]
        ]
        assert times
        spans.append((min(times), max(times)))
    assert spans[0][1] <= spans[1][0]
    helper.ask(stop=1)
    helper.event("ended", 1)


def _snapshots(helper: Conversation) -> int:
    return sum(m.get("event") == "snapshot" for m in helper.said)


def _dispositions(pid: int) -> list[str]:
    return [
        line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith(("SigIgn", "SigCgt"))
    ]


@needs_root
@pytest.mark.tool("bpftrace")
@pytest.mark.parametrize("deleted", [False, True])
def test_it_probes_what_the_program_runs(helper: Conversation, probed: Callable[[], int], deleted: bool) -> None:
    """Also where the file was built anew since: the probe sits in what runs."""
    pid = probed()
    path = Path(os.readlink(f"/proc/{pid}/exe"))
    if deleted:
        path.unlink()
        path.write_text("another file")
    helper.ask(**probing(pid, binary=str(path)))

    helper.until(lambda: has_counted(helper, 1) or bool(over(helper, 1)))
    assert has_counted(helper, 1), helper.said[-3:]
    helper.ask(stop=1)
    assert helper.event("ended", 1)["status"] == 0


@needs_root
@pytest.mark.tool("strace")
@pytest.mark.tool("perf")
def test_a_closed_pipe_ends_everything(installed: Path, target: Callable[..., int]) -> None:
    talk, pid = Conversation(installed), target()
    talk.ask(job=1, verb="strace-summary", pid=pid, start=start_of(pid))
    talk.ask(**counting(pid, 2))
    talk.wait_for(lambda m: m.get("job") == 1 and m.get("stream") == "err")
    tools = children(talk.process.pid)
    assert tools
    assert talk.hang_up() == 0
    gone(tools)
    assert tracer(pid) == "0"
    assert talk.event("ended", 1)["attached"], "what it had seen came before it went"


@needs_root
@pytest.mark.tool("strace")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_dead_helper_takes_its_tools_along(installed: Path, target: Callable[..., int], number: int) -> None:
    talk, pid = Conversation(installed), target()
    talk.ask(job=1, verb="strace-summary", pid=pid, start=start_of(pid))
    talk.wait_for(lambda m: m.get("stream") == "err")
    tools = children(talk.process.pid)
    itself = _helper_itself(talk) or {talk.process.pid}
    for helper_pid in itself:
        os.kill(helper_pid, number)
    gone(tools)
    talk.hang_up()
    assert tracer(pid) == "0"


@needs_root
@pytest.mark.tool("perf")
def test_a_reader_that_is_gone_ends_everything(installed: Path, target: Callable[..., int]) -> None:
    process = subprocess.Popen(
        [str(installed)], env={"PKEXEC_UID": str(NOBODY)}, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdin is not None and process.stdout is not None
    process.stdin.write(json.dumps(counting(target())).encode() + b"\n")
    process.stdin.flush()
    while b"started" not in process.stdout.readline():
        pass
    tools = children(process.pid)
    process.stdout.close()
    assert process.wait(PATIENCE_S) == 0
    process.stdin.close()
    gone(tools)


@needs_root
@pytest.mark.tool("perf")
def test_the_end_of_the_program_ends_its_jobs(helper: Conversation, target: Callable[..., int]) -> None:
    pid = target()
    helper.ask(**counting(pid, 1))
    helper.wait_for(lambda m: m.get("stream") == "out")
    os.kill(pid, signal.SIGKILL)
    assert helper.event("ended", 1)["attached"]


@needs_root
@pytest.mark.tool("perf")
def test_not_too_many_at_once(helper: Conversation, target: Callable[..., int]) -> None:
    pid = target()
    for job in range(9):
        helper.ask(**counting(pid, job))
    assert "too many" in helper.refusal(8)
    helper.ask(**counting(pid, 3))
    assert "runs already" in helper.refusal(3)


# What is checked, without root.


def _rules() -> ModuleType:
    specification = importlib.util.spec_from_file_location("rules", SOURCE / "rules.py")
    assert specification is not None and specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


rules: Any = _rules()
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from(sorted(rules.EVENTS)),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)
FIELD_NAMES = st.sampled_from(sorted({*rules.COMMON, *(name for fields in rules.FIELDS.values() for name in fields)}))


@given(st.dictionaries(FIELD_NAMES | st.text(max_size=6), JSON | st.sampled_from(sorted(rules.FIELDS)), max_size=9))
def test_any_object_is_refused_in_words_or_harmless(request_: dict[str, Any]) -> None:
    try:
        checked = rules.checked(request_)
    except rules.Refused as refusal:
        assert str(refusal)
    else:
        assert set(checked) == set(rules.COMMON) | set(rules.FIELDS[checked["verb"]])


@given(st.text() | st.from_regex(r"[a-z-]{2,20}[:/,\n ].*"))
def test_events_are_those_of_the_list_with_a_modifier(event: str) -> None:
    try:
        rules.event_names("events", [event])
    except rules.Refused:
        return
    assert re.fullmatch(r"[A-Za-z0-9-]+(:[ukp]+)?|cpu_(core|atom)/[A-Za-z0-9-]+/[ukp]*", event)
    assert "\n" not in event


def test_every_event_of_ours_may_be_asked_for() -> None:
    from tailflame.host.system import EVENTS

    assert rules.event_names("events", list(EVENTS)) == list(EVENTS)
    assert rules.event_names("events", ["cycles:u", "cpu_core/cycles/", "cpu_atom/instructions/u"])


def test_only_what_root_alone_can_change_is_run(tmp_path: Path) -> None:
    assert rules.guarded(os.path.realpath("/usr/bin/env"))
    loose = tmp_path / "perf"
    loose.write_text("#!/bin/sh\n")
    loose.chmod(0o777)
    assert not rules.guarded(str(loose))
    with pytest.raises(rules.Refused, match="not installed"):
        rules.tool("no-such-tool")


# Recipes.


@needs_root
@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"recipe": "../rules"}, "name of a recipe"),
        ({"recipe": "nosuch"}, "no recipe 'nosuch'"),
        ({"recipe": 3}, "name of a recipe"),
        ({"recipe": "block-io"}, "what other users' programs do"),
        ({"recipe": "tcp-retransmits"}, "what other users' programs do"),
        ({"values": {"pid": "1"}}, "does not ask for 'pid'"),
        ({"values": {"least_us": "1"}}, "does not ask for"),
        ({"recipe": "off-cpu", "values": {"least_us": "1) { exit(); } //"}}, "whole number"),
        ({"recipe": "off-cpu", "values": {"least_us": "-1"}}, "lies between"),
        ({"recipe": "cpu", "values": {"hertz": 99}}, "texts by name"),
        ({"recipe": "calls", "values": {"file": "/etc/shadow", "symbol": "main"}}, "does not run"),
        ({"recipe": "calls", "values": {"file": "/bin/ls", "symbol": 'x" { system("id") }'}}, "symbol"),
        ({"recipe": "calls", "values": {"symbol": "main"}}, "File is missing"),
        ({"values": []}, "texts by name"),
        ({"values": {"x": "y" * 5000}}, "texts by name"),
        ({"program": "BEGIN {}"}, "takes exactly"),
        ({"interval_ms": 1}, "whole number"),
    ],
)
def test_hostile_recipes_start_nothing(
    change: dict[str, Any], reason: str, helper: Conversation, target: Callable[..., int]
) -> None:
    helper.ask(**asking(target(), **change))
    assert reason in helper.refusal(1 if "program" not in change else None)
    assert not any(m.get("event") == "started" for m in helper.said)


@needs_root
def test_a_recipe_is_for_programs_of_the_users_own(helper: Conversation, target: Callable[..., int]) -> None:
    helper.ask(**asking(target(uid=12345)))
    assert "does not belong to the user" in helper.refusal(1)


@needs_root
@pytest.mark.skipif(shutil.which("bpftrace") is None, reason="bpftrace is not installed")
def test_it_runs_its_own_copy_of_a_recipe(helper: Conversation, target: Callable[..., int]) -> None:
    pid = target()
    helper.ask(**asking(pid))
    argv = helper.event("started", 1)["argv"]
    assert argv[1:6] == ["-f", "json", "-B", "line", "-e"]
    assert f"/pid == {pid}/" in argv[6] and "tailflame-recipe|syscalls" in argv[6]
    helper.until(lambda: b'"@calls"' in helper.stream(1, "out"))
    helper.ask(stop=1)
    helper.event("ended", 1)
    lines = [json.loads(line) for line in helper.stream(1, "out").splitlines() if line.strip()]
    calls = next(line["data"]["@calls"] for line in reversed(lines) if "@calls" in line.get("data", {}))
    getppid = "110" if os.uname().machine == "x86_64" else "173"
    assert calls[getppid] > 1000


@needs_root
@pytest.mark.skipif(shutil.which("bpftrace") is None, reason="bpftrace is not installed")
def test_a_recipe_probes_the_file_that_the_program_runs(helper: Conversation, probed: Callable[[], int]) -> None:
    pid = probed()
    values = {"file": os.readlink(f"/proc/{pid}/exe"), "symbol": "work"}
    helper.ask(**asking(pid, recipe="calls", values=values))
    assert 'uprobe:"/proc/self/fd/' in helper.event("started", 1)["argv"][6]
    helper.until(lambda: b'"@calls"' in helper.stream(1, "out"))
    helper.ask(stop=1)
    helper.event("ended", 1)


@needs_root
def test_recipes_that_others_can_write_are_not_run(installed: Path, tmp_path: Path, target: Callable[..., int]) -> None:
    folder = shutil.copytree(installed.parent, tmp_path / "helper")
    (folder / "recipes" / "syscalls.bt").chmod(0o666)
    talk = Conversation(folder / "tailflame-helper")
    talk.event("hello")
    talk.ask(**asking(target()))
    assert "does not belong to root alone" in talk.refusal(1)
    talk.hang_up()


def test_the_helper_is_small_and_needs_no_packages() -> None:
    """So that it can be read before it is trusted; `-I` keeps the user's own modules away."""
    script = (SOURCE / "tailflame-helper").read_text()
    assert script.startswith("#!/usr/bin/python3 -I\n")
    assert len(script.splitlines()) < 430
    imported = set(re.findall(r"^(?:import|from) (\w+)", script + (SOURCE / "rules.py").read_text(), re.MULTILINE))
    assert imported <= set(sys.stdlib_module_names)


def test_the_composer_needs_no_packages_either(installed: Path) -> None:
    assert (installed.parent / "probe_program.py").read_text() == (
        ROOT / "core" / "tailflame" / "live" / "probe_program.py"
    ).read_text()
    code = "import runpy, sys; runpy.run_path(sys.argv[1])"
    subprocess.run(["/usr/bin/python3", "-I", "-c", code, str(installed.parent / "probe_program.py")], check=True)


# Installing.


def test_installing_puts_the_files_in_place_and_takes_them_away(tmp_path: Path) -> None:
    def run(verb: str) -> list[str]:
        subprocess.run(
            [sys.executable, str(ROOT / "packaging" / "install.py"), verb],
            env={**os.environ, "DESTDIR": str(tmp_path)}, check=True, umask=0o077,
        )  # fmt: skip
        return sorted(str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*") if p.is_file())

    libexec = "usr/libexec/tailflame"
    actions = [f"usr/share/polkit-1/actions/org.tailflame.{name}.policy" for name in ("helper", "run-program")]
    recipes = [f"{libexec}/recipes/{recipe.name}" for recipe in (ROOT / "resources").glob("*/bpftrace/*.bt")]
    modules = [f"{libexec}/{name}.py" for name in ("bpftrace_recipe", "probe_program", "rules")]
    scripts = [f"{libexec}/{name}" for name in ("tailflame-helper", "tailflame-run-program")]
    expected = sorted([*modules, *scripts, *recipes, *actions])
    assert run("install-helper") == expected
    assert run("install-helper") == expected, "again, over the old ones"
    assert all((tmp_path / name).stat().st_mode & 0o777 == 0o755 for name in scripts)
    assert all((tmp_path / name).stat().st_mode & 0o777 == 0o644 for name in (*modules, *recipes, *actions))
    assert run("uninstall-helper") == []


def test_installing_for_real_is_for_root(monkeypatch: pytest.MonkeyPatch) -> None:
    if os.geteuid() == 0:
        options: dict[str, Any] = {"user": NOBODY, "group": NOBODY, "extra_groups": [], "cwd": "/"}
    else:
        options = {}
    text = (ROOT / "packaging" / "install.py").read_text()
    environ = {k: v for k, v in os.environ.items() if k != "DESTDIR"} | {"HOME": "/nonexistent"}
    code = (
        f"import sys; sys.argv = ['install.py', 'install-helper']; __file__ = '/x/packaging/install.py'\nexec({text!r})"
    )
    done = subprocess.run(["/usr/bin/python3", "-c", code], env=environ, capture_output=True, text=True, **options)
    assert done.returncode != 0
    assert "sudo make install-helper" in done.stderr


def test_the_action_names_the_helper_and_asks_an_administrator() -> None:
    action = ET.parse(SOURCE / "org.tailflame.helper.policy").getroot().find("action")
    assert action is not None
    notes = {note.get("key"): note.text for note in action.findall("annotate")}
    assert notes["org.freedesktop.policykit.exec.path"] == "/usr/libexec/tailflame/tailflame-helper"
    defaults = action.find("defaults")
    assert defaults is not None
    assert {d.tag: d.text for d in defaults} == {
        "allow_any": "auth_admin", "allow_inactive": "auth_admin", "allow_active": "auth_admin_keep",
    }  # fmt: skip
