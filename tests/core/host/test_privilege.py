"""Which way a tool gets its permission: the order of the ways, what is said of them, and what root cannot do either."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import pytest

from tailflame.host import privilege
from tailflame.host.privilege import Means, Need, Way, access, hides_memory, means, tracer_of
from tailflame.host.running import RunningProcess, process_of
from tailflame.host.system import Host

HELPER = Path("/usr/libexec/tailflame/tailflame-helper")
FULL = Host(perf=Path("/usr/bin/perf"), perf_event_paranoid=-1, events=MappingProxyType({}))
USER_ONLY = replace(FULL, user_only=True, perf_event_paranoid=2)
REFUSED = replace(FULL, refused="Access to performance monitoring and observability operations is limited.")
CONTAINER = replace(FULL, refused="Error:\nNo permission to enable task-clock event.")
NOTHING = Means()
WITH_HELPER = Means(helper=HELPER, pkexec=True)
WITH_SUDO = Means(sudo=True, bundled=Path("/src/packaging/helper/tailflame-helper"))
AS_ROOT = Means(root=True)


@pytest.fixture
def sleeper() -> Iterator[RunningProcess]:
    """A program of ours, as the list of processes has it."""
    with subprocess.Popen(["sleep", "60"]) as child:
        process = process_of(child.pid)
        assert process is not None
        yield replace(process, name="engine", mine=True, attachable=True, reason="")
        child.kill()


@pytest.fixture(autouse=True)
def _plain_system(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(privilege, "read_setting", lambda _name: None)
    monkeypatch.setattr(Host, "has_tool", lambda _self, name: Path("/usr/bin", name))


@pytest.mark.parametrize(
    ("need", "host", "has", "ways"),
    [
        (Need.RECORD, FULL, NOTHING, [Way.AS_IS]),
        (Need.COUNT, FULL, WITH_HELPER, [Way.AS_IS]),
        (Need.TRACE, FULL, WITH_HELPER, [Way.AS_IS]),
        (Need.RECORD, USER_ONLY, NOTHING, [Way.REDUCED]),
        (Need.RECORD, USER_ONLY, WITH_HELPER, [Way.HELPER, Way.REDUCED]),
        (Need.COUNT, USER_ONLY, WITH_SUDO, [Way.SUDO, Way.REDUCED]),
        (Need.COUNT, USER_ONLY, replace(WITH_HELPER, sudo=True), [Way.HELPER, Way.SUDO, Way.REDUCED]),
        (Need.RECORD, USER_ONLY, replace(WITH_HELPER, pkexec=False), [Way.REDUCED]),
        (Need.RECORD, REFUSED, NOTHING, []),
        (Need.RECORD, REFUSED, WITH_HELPER, [Way.HELPER]),
        (Need.RECORD, CONTAINER, WITH_HELPER, []),
        (Need.PROBE, FULL, NOTHING, []),
        (Need.PROBE, FULL, WITH_HELPER, [Way.HELPER]),
        (Need.PROBE, FULL, AS_ROOT, [Way.AS_IS]),
        (Need.RECORD, USER_ONLY, AS_ROOT, [Way.AS_IS]),
        (Need.RECORD, CONTAINER, AS_ROOT, []),
    ],
)
def test_the_ways_in_their_order(need: Need, host: Host, has: Means, ways: list[Way], sleeper: RunningProcess) -> None:
    found = access(need, sleeper, host, has)
    assert list(found.ways) == ways
    assert found.sentence.endswith((".", "is 2)."))
    assert found.possible is bool(ways)
    assert found.full is (bool(ways) and ways[0] is not Way.REDUCED)
    if not found.full:
        assert found.fix, "what is missing has a fix"


def test_what_is_missing_is_said_with_its_fix(sleeper: RunningProcess) -> None:
    reduced = access(Need.RECORD, sleeper, USER_ONLY, NOTHING)
    assert "user space alone" in reduced.sentence
    assert reduced.fix_argv == ("sudo", "sysctl", "kernel.perf_event_paranoid=1")
    install = access(Need.PROBE, sleeper, FULL, Means(pkexec=True))
    assert install.fix_argv == ("make", "install-helper")
    asked = access(Need.PROBE, sleeper, FULL, WITH_HELPER)
    assert "asked for the password once" in asked.sentence


@pytest.mark.parametrize(("scope", "ways"), [(1, [Way.HELPER]), (2, [Way.HELPER]), (3, [])])
def test_yama_leaves_tracing_to_root(
    scope: int, ways: list[Way], sleeper: RunningProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(privilege, "read_setting", lambda _name: scope)
    found = access(Need.TRACE, sleeper, FULL, WITH_HELPER)
    assert (list(found.ways), "ptrace_scope" in found.sentence) == (ways, True)
    assert access(Need.TRACE, sleeper, FULL, AS_ROOT).possible is (scope < 3)


def test_a_tool_that_is_not_installed(sleeper: RunningProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Host, "has_tool", lambda _self, _name: None)
    assert access(Need.TRACE, sleeper, FULL, AS_ROOT).sentence == "strace is not installed."
    assert access(Need.RECORD, sleeper, Host(), AS_ROOT).sentence == "perf is not installed."


def test_somebody_elses_program_is_nobodys_business(sleeper: RunningProcess) -> None:
    other = replace(sleeper, uid=os.geteuid() + 1, user="postgres", attachable=False, reason="it belongs to postgres")
    found = access(Need.COUNT, other, FULL, WITH_HELPER)
    assert not found.possible
    assert "postgres" in found.fix


@pytest.mark.tool("strace")
def test_only_one_can_trace(sleeper: RunningProcess) -> None:
    argv = ["strace", "-o", "/dev/null", "-p", str(sleeper.pid)]
    with subprocess.Popen(argv, stderr=subprocess.PIPE, text=True) as strace:
        assert strace.stderr is not None
        line = strace.stderr.readline()
        if "attached" not in line:
            strace.kill()
            pytest.skip(f"this system does not let us trace: {line.strip()}")
        assert tracer_of(sleeper.pid) == strace.pid
        found = access(Need.TRACE, sleeper, FULL, AS_ROOT)
        assert (found.ways, str(strace.pid) in found.sentence) == ((), True)
        strace.terminate()
    assert tracer_of(sleeper.pid) == 0


def test_a_program_that_hides_its_memory_is_refused_as_the_kernel_does() -> None:
    """As root the owner of /proc/PID/maps does not change: the program has to be another user's."""
    if os.geteuid() != 0:
        pytest.skip("needs root, to start a program of another user")
    # prctl(PR_SET_DUMPABLE)
    code = "import ctypes, sys; ctypes.CDLL(None).prctl(4, int(sys.argv[1])); print(flush=True); sys.stdin.read()"
    for dumpable in (1, 0):
        with subprocess.Popen(
            ["/usr/bin/python3", "-c", code, str(dumpable)],
            user=65534, group=65534, extra_groups=[],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        ) as child:  # fmt: skip
            assert child.stdout is not None
            child.stdout.readline()
            process = process_of(child.pid)
            assert process is not None
            assert hides_memory(child.pid) is (dumpable == 0)
            found = access(Need.TRACE, replace(process, attachable=True, reason=""), FULL, WITH_HELPER)
            assert found.possible is (dumpable == 1)
            child.kill()


def test_how_the_helper_is_started() -> None:
    assert WITH_HELPER.argv(Way.HELPER) == ("pkexec", "--disable-internal-agent", str(HELPER))
    uid = f"PKEXEC_UID={os.getuid()}"
    assert replace(WITH_HELPER, sudo=True).argv(Way.SUDO) == ("sudo", "-n", uid, str(HELPER))
    assert WITH_SUDO.argv(Way.SUDO)[:5] == ("sudo", "-n", uid, "/usr/bin/python3", "-I")
    assert WITH_SUDO.argv(Way.AS_IS) == ()


def test_the_means_of_this_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    found = means()
    assert found.root is (os.geteuid() == 0)
    assert found.bundled is not None and found.bundled.read_text().startswith("#!/usr/bin/python3 -I")
    # sudo that asks for a password is none.
    sudo = tmp_path / "sudo"
    sudo.write_text("#!/bin/sh\necho 'sudo: a password is required' >&2\nexit 1\n")
    sudo.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(os, "geteuid", lambda: 4711)
    privilege.forget_means()
    assert means().sudo is False
    sudo.write_text("#!/bin/sh\nexit 0\n")
    assert means().sudo is False, "it is asked once"
    privilege.forget_means()
    assert means().sudo is True
    privilege.forget_means()
