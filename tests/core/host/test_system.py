"""The host's facts, asked of a perf that says what a test wants, and of the real one."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tailflame.host import system
from tailflame.host.system import EVENTS, HARDWARE_EVENTS, Host, Support, _last_level, find_tool, probe_host

Perf = Callable[[str], Host]
SUPPORTED = "\n".join(f"1;;{event};1000;100.00;;" for event in EVENTS)


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    system.forget_host()
    yield
    system.forget_host()


@pytest.fixture
def perf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Perf:
    """Put a shell script in the place of perf, and probe."""

    def make(script: str) -> Host:
        path = tmp_path / "perf"
        path.write_text(f'#!/bin/sh\ncase "$1" in version) echo "perf version 6.1.2";; {script}\nesac\n')
        path.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
        system.forget_host()
        return probe_host()

    return make


def stat(lines: str, code: int = 0) -> str:
    """A branch of the script that answers `perf stat`; `record` works."""
    return f"stat) cat >&2 <<'END'\n{lines}\nEND\nexit {code};; record) exit 0;;"


def test_physical_machine(perf: Perf) -> None:
    host = perf(stat(SUPPORTED))
    assert host.perf_version == "6.1.2"
    assert host.has_hardware_events
    assert host.default_event == "cycles"
    assert host.lbr.available
    assert not host.user_only
    assert not host.refused


def test_no_counters(perf: Perf) -> None:
    lines = SUPPORTED.replace("1;;cycles;", "<not supported>;;cycles;")
    host = perf(stat(lines))
    assert host.default_event == "cpu-clock"
    assert "counters" in host.event("cycles").reason
    assert host.event("cycles:u").available is False
    assert not host.lbr.available
    assert host.lbr.reason


def test_not_counted_is_not_unsupported(perf: Perf) -> None:
    assert perf(stat(SUPPORTED.replace("1;;cycles;", "<not counted>;;cycles;"))).event("cycles").available


def test_user_space_alone(perf: Perf) -> None:
    lines = "\n".join(f"1;;{event}:u;1000;100.00;;" for event in EVENTS)
    host = perf(stat(lines))
    assert host.user_only
    assert host.default_event == "cycles:u"
    assert host.event("page-faults").available


@pytest.mark.parametrize(
    "words",
    [
        "Error:\nAccess to performance monitoring and observability operations is limited.",
        "Error:\nNo permission to enable cycles event.",
    ],
)
def test_refused(perf: Perf, words: str) -> None:
    host = perf(stat(words, 255))
    assert words in host.refused
    assert not any(support.available for support in host.events.values())


def test_a_perf_that_does_not_know_one_event_is_asked_one_by_one(perf: Perf) -> None:
    host = perf(
        'stat) case "$5" in *,*|dTLB*) echo "event syntax error: \'dTLB\'" >&2; exit 129;; '
        '*) echo "1;;$5;1;100.00;;" >&2;; esac;; record) exit 0;;'
    )
    assert host.event("cycles").available
    assert host.event("dTLB-load-misses") == Support(False, "perf does not know this event")


def test_counting_without_sampling(perf: Perf) -> None:
    refusal = "instructions: PMU Hardware doesn't support sampling/overflow-interrupts. Try 'perf stat'"
    host = perf(
        stat(SUPPORTED).replace("record) exit 0;;", f'record) echo "{refusal}" >&2; exit 255;;'),
    )
    assert "cannot interrupt" in host.event("cycles").reason
    assert host.default_event == "cpu-clock"


def test_lbr_refused_by_perf(perf: Perf) -> None:
    host = perf(stat(SUPPORTED).replace("record) exit 0;;", 'record) case "$*" in *lbr*) exit 255;; esac;;'))
    assert "Intel" in host.lbr.reason
    assert host.default_event == "cycles"


def test_tracepoints_are_probed_by_their_whole_name(perf: Perf) -> None:
    host = perf(stat(SUPPORTED))
    assert system._is_tracepoint("sched:sched_switch")
    assert not system._is_tracepoint("cycles:upp")
    assert host.event("sched:sched_switch").available


def test_a_wrapper_without_its_perf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "perf").write_text("#!/bin/sh\necho 'WARNING: perf not found for kernel 6.8.0' >&2\nexit 2\n")
    (tmp_path / "perf").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    host = probe_host()
    assert host.perf is None
    assert "not found for kernel 6.8.0" in host.perf_problem
    assert host.event("cycles") == Support(False, host.perf_problem.rstrip("."))


def test_the_last_level_cache_is_the_largest_that_holds_code_and_data(tmp_path: Path) -> None:
    def cache(number: int, kind: str, level: int, size: str) -> None:
        folder = tmp_path / f"index{number}"
        folder.mkdir()
        words = {"type": kind, "level": level, "size": size, "ways_of_associativity": 16, "coherency_line_size": 64}
        for name, word in words.items():
            (folder / name).write_text(f"{word}\n")

    assert _last_level(tmp_path) == ""
    cache(0, "Data", 1, "32K")
    cache(1, "Instruction", 4, "32K")
    assert _last_level(tmp_path) == ""
    cache(2, "Unified", 2, "1536K")
    assert _last_level(tmp_path) == "1536K,16,64"
    cache(3, "Unified", 3, "32768K")
    assert _last_level(tmp_path) == "32M,16,64"
    (tmp_path / "index3" / "ways_of_associativity").unlink()  # as firmware has left it
    assert _last_level(tmp_path) == "1536K,16,64"


def test_no_perf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("CARGO_HOME", str(tmp_path))
    host = probe_host()
    assert host.perf is None
    assert host.event("cycles") == Support(False, "perf is not installed")
    assert host.kernel == os.uname().release


def test_probed_once(perf: Perf, tmp_path: Path) -> None:
    first = perf(f"stat) echo x >> {tmp_path}/calls; echo '1;;cycles;1;100;;' >&2;; record) exit 0;;")
    assert probe_host() is first
    assert (tmp_path / "calls").read_text() == "x\n"


def test_tools_of_cargo_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tool = tmp_path / "bin/cargo-flamegraph"
    tool.parent.mkdir()
    tool.write_text("")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setenv("CARGO_HOME", str(tmp_path))
    assert find_tool("cargo-flamegraph") == tool
    assert find_tool("nosuch") is None


@pytest.mark.tool("perf")
def test_the_real_perf_answers_for_every_event() -> None:
    host = probe_host()
    assert set(host.events) == set(EVENTS)
    assert host.perf_version
    assert host.refused or host.event("cpu-clock").available
    assert host.event("no-such-event") == Support(False, "perf does not know this event") or host.refused
    for event in HARDWARE_EVENTS:
        assert host.event(event).available or host.event(event).reason
