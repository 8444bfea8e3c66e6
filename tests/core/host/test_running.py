"""The list of running programs: what it says of real ones, and whom a name means."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tailflame.errors import TargetError
from tailflame.host import running
from tailflame.host.running import (
    Builds,
    ProcessList,
    RunningProcess,
    build_of,
    container_of,
    facts_of,
    find,
    process_of,
    running_processes,
    still_runs,
)

Start = Callable[..., subprocess.Popen[bytes]]
NOBODY = 65534
ROOT = os.geteuid() == 0


@pytest.fixture
def start() -> Iterator[Start]:
    """Start a program that says a line when it is ready, and end it after the test."""
    started: list[subprocess.Popen[bytes]] = []

    def begin(*argv: str | Path, **options: object) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [str(word) for word in argv],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            **options,  # type: ignore[call-overload]
        )
        started.append(process)
        return process

    yield begin
    for process in started:
        process.kill()
        process.communicate()


def python(start: Start, code: str, *words: str) -> subprocess.Popen[bytes]:
    process = start(sys.executable, "-c", f"import os, sys, time, threading\n{code}\nsys.stdin.read()", *words)
    return process


def ready(process: subprocess.Popen[bytes]) -> None:
    assert process.stdout is not None
    process.stdout.readline()


def by_pid(processes: tuple[RunningProcess, ...], pid: int) -> RunningProcess:
    return next(process for process in processes if process.pid == pid)


def test_a_process_is_told_as_the_kernel_does(start: Start) -> None:
    code = "for _ in range(3): threading.Thread(target=time.sleep, args=(60,), daemon=True).start()\nprint(flush=True)"
    child = python(start, code, "", "with blank")
    ready(child)
    process = by_pid(running_processes(), child.pid)
    assert process.command[-2:] == ("", "with blank")
    assert process.binary == Path(f"/proc/{child.pid}/exe").resolve()
    assert (process.uid, process.mine, process.attachable, process.reason) == (os.geteuid(), True, True, "")
    assert process.threads == 4
    assert process.rss > 1_000_000
    assert not process.deleted and process.cpu_percent is None
    assert process == process_of(child.pid)


def test_kernel_threads_are_left_out() -> None:
    listed = {process.pid for process in running_processes()}
    kernel = [int(p.name) for p in Path("/proc").glob("[0-9]*") if _is_kernel_thread(p)]
    if not kernel:
        pytest.skip("no kernel threads are seen here")
    assert listed.isdisjoint(kernel)
    assert process_of(kernel[0]) is None


def _is_kernel_thread(folder: Path) -> bool:
    try:
        return not (folder / "cmdline").read_bytes() and "Kthread:\t1" in (folder / "status").read_text()
    except OSError:
        return False


def test_cpu_time_is_that_between_two_looks(start: Start) -> None:
    busy = python(start, "print(flush=True)\nwhile True: pass")
    idle = python(start, "print(flush=True)")
    ready(busy), ready(idle)
    processes = ProcessList()
    processes.look()
    # Until it has got its share of a busy machine.
    _until(lambda: (by_pid(processes.look(), busy.pid).cpu_percent or 0) > 0)
    assert by_pid(processes.look(), idle.pid).cpu_percent == 0.0


def test_yours_come_first_and_the_latest_of_them(start: Start) -> None:
    first, second = python(start, "print(flush=True)"), python(start, "print(flush=True)")
    ready(first), ready(second)
    order = running_processes()
    assert [p.pid for p in order].index(second.pid) < [p.pid for p in order].index(first.pid)
    mine = [process.mine for process in order]
    assert mine == sorted(mine, reverse=True)


def test_a_program_that_was_built_anew_is_still_known(start: Start, tmp_path: Path) -> None:
    copy = shutil.copy(shutil.which("sleep") or "/bin/sleep", tmp_path / "a name (x) that is longer than 15")
    child = start(copy, "60")
    _until(lambda: (p := process_of(child.pid)) is not None and p.binary == Path(copy))
    Path(copy).unlink()
    process = process_of(child.pid)
    assert process is not None
    assert (process.deleted, process.binary, process.name) == (True, Path(copy), Path(copy).name)
    facts = facts_of(process)
    assert facts is not None and facts.arch


def _until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_an_exec_changes_what_is_kept(start: Start) -> None:
    child = start("/bin/sh", "-c", "echo; read line; exec sleep 60")
    ready(child)
    processes = ProcessList()
    assert by_pid(processes.look(), child.pid).command[0] == "/bin/sh"
    assert child.stdin is not None
    child.stdin.write(b"\n")
    child.stdin.flush()
    _until(lambda: by_pid(processes.look(), child.pid).command == ("sleep", "60"))


def test_what_cannot_be_attached_to_says_why(start: Start) -> None:
    ended = python(start, "os._exit(0)")
    os.waitid(os.P_PID, ended.pid, os.WEXITED | os.WNOWAIT)
    zombie, self = process_of(ended.pid), process_of(os.getpid())
    assert zombie is not None and self is not None
    assert not zombie.attachable and "has ended" in zombie.reason
    assert not self.attachable and "Tailflame itself" in self.reason
    assert not still_runs(zombie)
    with pytest.raises(TargetError, match="has ended"):
        find(str(ended.pid))


def test_the_same_number_is_not_the_same_process(start: Start) -> None:
    child = python(start, "print(flush=True)")
    ready(child)
    process = process_of(child.pid)
    assert process is not None and still_runs(process)
    assert not still_runs(replace(process, start_ticks=process.start_ticks - 1))
    child.send_signal(signal.SIGKILL)
    child.wait()
    assert not still_runs(process)


def test_of_somebody_else_a_user_sees_little_and_may_not_attach(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    if not ROOT:
        pytest.skip("needs root, to start a program of another user")
    child = start("/bin/sh", "-c", "echo; read line", user=NOBODY, group=NOBODY, extra_groups=[])
    ready(child)
    seen_by_root = process_of(child.pid)
    assert seen_by_root is not None and seen_by_root.attachable and not seen_by_root.mine
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    seen = process_of(child.pid)
    assert seen is not None and not seen.attachable
    assert seen.user in seen.reason


def candidates(*names: str, **changes: object) -> list[RunningProcess]:
    return [
        replace(
            RunningProcess(
                pid=9_000_000 + at, start_ticks=at, name=name, uid=1, user="u", command=(name,), binary=Path("/x", name)
            ),
            **changes,  # type: ignore[arg-type]
        )
        for at, name in enumerate(names)
    ]


def test_an_exact_name_goes_before_a_part_of_one() -> None:
    assert find("engine", candidates("engine-test", "engine", "search-engine")).pid == 9_000_001
    assert find("SEARCH", candidates("engine-test", "engine", "search-engine")).pid == 9_000_002


def test_your_own_go_before_others() -> None:
    (mine,) = candidates("engine", mine=True, pid=77)
    assert find("engine", [*candidates("engine"), mine]).pid == 77


def test_several_of_one_name_are_listed() -> None:
    many = candidates(*["engine"] * 11)
    with pytest.raises(TargetError, match="11 processes") as caught:
        find("engine", many)
    assert "9000000  u  engine" in caught.value.advice
    assert "and 3 more" in caught.value.advice
    assert "PID" in caught.value.advice


@pytest.mark.parametrize("text", ["", "  ", "no such thing", "4194999", "99999999999999999999", "١٢"])
def test_nobody_is_called_that(text: str) -> None:
    with pytest.raises(TargetError, match=r"There is no process|No running process"):
        find(text, candidates("engine"))


def test_we_are_not_meant_by_a_name() -> None:
    own = process_of(os.getpid())
    assert own is not None
    with pytest.raises(TargetError, match="No running process"):
        find(own.name, [own])


@pytest.mark.parametrize(
    ("groups", "container"),
    [
        (b"0::/system.slice/docker-3f2a9c01b2aa" + b"0" * 52 + b".scope\n", "docker 3f2a9c01b2aa"),
        (b"12:pids:/docker/3f2a9c01b2aa" + b"0" * 52 + b"\n11:cpu:/\n", "docker 3f2a9c01b2aa"),
        (b"0::/user.slice/libpod-0123456789ab" + b"f" * 52 + b".scope/container\n", "podman 0123456789ab"),
        (b"0::/kubepods.slice/pod1/cri-containerd-" + b"ab" * 32 + b".scope\n", "containerd abababababab"),
        (b"0::/machine.slice/systemd-nspawn@build.service/payload\n", "systemd-nspawn build"),
        (b"0::/lxc.payload.web/x\n", "lxc web"),
        (b"0::/user.slice/app.slice/app-flatpak-org.gnome.Maps-4711.scope\n", "flatpak org.gnome.Maps"),
        (b"0::/user.slice/user-1000.slice/session-2.scope\n", ""),
        (b"0::/system.slice/docker.service\n", ""),
        (b"", ""),
    ],
)
def test_containers_by_their_control_group(groups: bytes, container: str) -> None:
    assert container_of(groups) == container


@pytest.mark.tool("unshare")
def test_namespaces_of_its_own_are_a_container(start: Start) -> None:
    if not ROOT:
        pytest.skip("needs root, to make namespaces")
    child = start("unshare", "--pid", "--mount", "--fork", "/bin/sh", "-c", "echo; read line")
    ready(child)
    inside = next(p for p in running_processes() if p.command[:1] == ("/bin/sh",) and p.container)
    assert inside.container == "container"
    outside = process_of(os.getpid())
    assert outside is not None and outside.container != "container"


def test_release_or_debug(tmp_path: Path, start: Start) -> None:
    source = shutil.which("sleep") or "/bin/sleep"
    said = {}
    for folder in ("target/debug", "target/release", "elsewhere"):
        place = tmp_path / folder / "slow"
        place.parent.mkdir(parents=True)
        child = start(shutil.copy(source, place), "60")
        _until(lambda child=child, place=place: (p := process_of(child.pid)) is not None and p.binary == place)  # type: ignore[misc]
        process = process_of(child.pid)
        assert process is not None
        said[folder] = build_of(process)
    assert said == {"target/debug": "debug", "target/release": "release", "elsewhere": ""}


def test_a_hostile_name_does_not_shift_the_fields(start: Start) -> None:
    child = python(start, "open('/proc/self/comm', 'w').write('a) (b 1 2')\nprint(flush=True)")
    ready(child)
    process = process_of(child.pid)
    assert process is not None
    assert (process.name, process.threads) == ("a) (b 1 2", 1)


def test_a_process_that_ends_meanwhile_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running.os, "listdir", lambda _path: ["4194303", "self", "x1"])
    assert running_processes() == ()


def test_builds_are_read_once_and_not_of_the_distributions_own(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[int] = []
    monkeypatch.setattr(running, "build_of", lambda process: read.append(process.pid) or "release")
    systems = start("sleep", "60")
    copy = shutil.copy(shutil.which("sleep") or "/bin/sleep", tmp_path / "engine")
    first, second = start(copy, "60"), start(copy, "60")
    _until(lambda: all((p := process_of(c.pid)) is not None and p.name == "engine" for c in (first, second)))
    listed = [p for c in (first, second, systems) if (p := process_of(c.pid)) is not None]
    builds = Builds()
    assert builds.of(listed[0]) == ""
    assert not builds.learn(listed) and not builds.learn(listed)
    assert [builds.of(process) for process in listed] == ["release", "release", ""]
    assert read == [first.pid], "one file, one reading"
    assert Builds().learn(listed, budget_s=-1.0), "no time: some are left"
