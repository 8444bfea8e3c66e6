"""What would spoil a recording is told before it, with the fix."""

from __future__ import annotations

import dataclasses
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from tailflame.host.binary import BinaryFacts, Kind
from tailflame.host.system import EVENTS, HARDWARE_EVENTS, Host, Support
from tailflame.tools import CallGraph, CargoOptions, Finding, Level, PerfOptions, Target, doctor, preflight
from tailflame.tools.checks import paranoid_meaning
from tailflame.tools.perf_record import SWITCH

HOST = Host(
    perf=Path("/usr/bin/perf"),
    perf_version="6.1.0",
    perf_event_paranoid=1,
    kptr_restrict=0,
    max_sample_rate=100_000,
    events=dict.fromkeys(EVENTS, Support(True)),
    lbr=Support(True),
    uid=1000,
    sees_kernel_addresses=True,
)
VIRTUAL = dataclasses.replace(
    HOST, events={**HOST.events, **dict.fromkeys(HARDWARE_EVENTS, Support(False, "no counters here"))}
)
FP = PerfOptions(call_graph=CallGraph.FRAME_POINTERS)


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """A program that is in order; it is not ELF, so that `facts` can say of it what a test wants."""
    path = tmp_path / "engine"
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


GOOD = BinaryFacts(
    path=Path("/p/engine"),
    kind=Kind.ELF,
    has_symbols=True,
    has_debug_info=True,
    language="rust",
    optimised=True,
    frame_pointers=True,
    frame_pointer_share=1.0,
)


@pytest.fixture
def facts(program: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SimpleNamespace]:
    """Set `.now` to what the binary is to be."""
    holder = SimpleNamespace(now=dataclasses.replace(GOOD, path=program))
    monkeypatch.setattr("tailflame.tools.program_checks.binary_facts", lambda _path: holder.now)
    yield holder


def told(findings: tuple[Finding, ...], words: str) -> Finding:
    """The one finding with these words in its title."""
    (found,) = [finding for finding in findings if words in finding.title]
    return found


def bad(findings: tuple[Finding, ...]) -> list[str]:
    return [finding.title for finding in findings if finding.level > Level.OK]


def test_time_off_the_cpu_needs_the_schedulers_tracepoint(facts: SimpleNamespace, program: Path) -> None:
    """Without it perf would refuse to start: said before, with the reason."""
    wanted = dataclasses.replace(FP, off_cpu=True)
    for support in (Support(False, "tracepoints can be read by root alone here"), Support(True)):
        host = dataclasses.replace(HOST, events={**HOST.events, SWITCH: support})
        found = preflight(Target(program), wanted, host)
        if support.available:
            assert told(found, "Switches of threads").level is Level.OK
        else:
            title = "Time off the CPU cannot be recorded: tracepoints can be read by root alone here."
            assert told(found, title).level is Level.BLOCKER
        assert not any("Switches" in finding.title for finding in preflight(Target(program), FP, host))


def test_nothing_to_complain(program: Path, facts: SimpleNamespace) -> None:
    assert bad(preflight(Target(program), FP, HOST)) == []


def test_what_is_in_order_is_said_too(program: Path, facts: SimpleNamespace, tmp_path: Path) -> None:
    good = [f.title for f in preflight(Target(program), FP, HOST, out=tmp_path) if f.level is Level.OK]
    for words in (
        "can be sampled",
        "within the kernel's limit",
        "is optimised",
        "has symbols",
        "keeps frame pointers",
        "are free",
    ):
        assert any(words in title for title in good), words
    facts.now = dataclasses.replace(facts.now, optimised=None, frame_pointers=None, frame_pointer_share=None)
    unknown = [f.title for f in preflight(Target(program), FP, HOST) if f.level is Level.OK]
    assert not any("is optimised" in title or "frame pointers" in title for title in unknown)


def test_worst_first(program: Path, facts: SimpleNamespace) -> None:
    facts.now = dataclasses.replace(facts.now, has_debug_info=False, frame_pointers=False, frame_pointer_share=0.0)
    levels = [f.level for f in preflight(Target(program), dataclasses.replace(FP, events=("nosuch",)), HOST)]
    assert levels == sorted(levels, reverse=True)
    assert levels[0] is Level.BLOCKER


# The machine.


def test_perf_missing_names_the_install_command() -> None:
    finding = told(doctor(dataclasses.replace(HOST, perf=None)), "perf is not installed")
    assert finding.level is Level.BLOCKER
    assert "perf" in finding.fix


def test_perf_that_does_not_run_says_so() -> None:
    host = dataclasses.replace(
        HOST, perf=None, perf_problem="/usr/bin/perf does not run: perf not found for kernel 6.8"
    )
    assert told(doctor(host), "perf not found for kernel").level is Level.BLOCKER


@pytest.mark.parametrize(
    ("level", "meaning"),
    [
        (-1, "everything"),
        (0, "raw tracepoints"),
        (1, "kernel included"),
        (2, "without the kernel"),
        (3, "Debian"),
        (4, "Debian"),
    ],
)
def test_each_level_of_paranoia_has_its_meaning(level: int, meaning: str) -> None:
    assert meaning in paranoid_meaning(level)


def test_user_space_alone_is_a_note_with_the_fix() -> None:
    host = dataclasses.replace(HOST, perf_event_paranoid=2, user_only=True)
    finding = told(doctor(host), "Kernel functions will be missing")
    assert finding.level is Level.NOTE
    assert "is 2" in finding.detail
    assert finding.fix_argv == ("sudo", "sysctl", "kernel.perf_event_paranoid=1")


def test_refusal_is_a_blocker_and_containers_are_told_apart() -> None:
    refused = dataclasses.replace(HOST, perf_event_paranoid=3, refused="Error:\nAccess to performance monitoring …")
    finding = told(doctor(refused), "refuses")
    assert finding.level is Level.BLOCKER
    assert finding.fix_argv
    container = dataclasses.replace(HOST, refused="Error:\nNo permission to enable cpu-clock event.")
    assert "cap-add" in told(doctor(container), "forbids").fix


def test_root_is_exempt_from_the_level() -> None:
    host = dataclasses.replace(HOST, uid=0, perf_event_paranoid=2)
    assert "exempt" in told(doctor(host), "the program and the kernel").detail


@pytest.mark.parametrize(
    ("restrict", "sees", "finding"), [(0, True, False), (1, True, False), (1, False, True), (2, True, True)]
)
def test_hidden_kernel_names(restrict: int, sees: bool, finding: bool) -> None:
    host = dataclasses.replace(HOST, kptr_restrict=restrict, sees_kernel_addresses=sees)
    notes = [f for f in doctor(host) if "no names" in f.title]
    assert bool(notes) is finding
    for note in notes:
        assert note.fix_argv == ("sudo", "sysctl", "kernel.kptr_restrict=0")


def test_a_virtual_machine_without_counters_is_told() -> None:
    assert told(doctor(VIRTUAL), "counters are not available").level is Level.NOTE


# The wishes.


def test_unsupported_event_blocks_and_cycles_is_replaced(program: Path, facts: SimpleNamespace) -> None:
    options = dataclasses.replace(FP, events=("cycles:u", "cache-misses", "cpu-clock"))
    findings = preflight(Target(program), options, VIRTUAL)
    assert told(findings, "cycles:u cannot be sampled here: no counters here").level is Level.WARNING
    assert told(findings, "cache-misses cannot").level is Level.BLOCKER
    assert not any("cpu-clock cannot" in f.title for f in findings)


def test_frequency_above_the_limit(program: Path, facts: SimpleNamespace) -> None:
    finding = told(preflight(Target(program), dataclasses.replace(FP, frequency=200_000), HOST), "200,000 Hz")
    assert finding.level is Level.WARNING
    assert finding.fix_argv == ("sudo", "sysctl", "kernel.perf_event_max_sample_rate=200000")
    assert bad(preflight(Target(program), dataclasses.replace(FP, frequency=100_000), HOST)) == []


def test_lbr_that_is_not_there(program: Path, facts: SimpleNamespace) -> None:
    host = dataclasses.replace(HOST, lbr=Support(False, "Intel alone has them"))
    options = PerfOptions(call_graph=CallGraph.LBR)
    assert told(preflight(Target(program), options, host), "Intel alone").level is Level.BLOCKER
    assert bad(preflight(Target(program), options, HOST)) == []


def test_a_flood_of_stacks(program: Path, facts: SimpleNamespace) -> None:
    heavy = PerfOptions(frequency=4999, dwarf_stack=16384)
    assert "83.4" in told(preflight(Target(program), heavy, HOST), "Each busy CPU writes").title
    assert bad(preflight(Target(program), PerfOptions(), HOST)) == []


# The program.


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (lambda path: None, "There is no file"),
        (lambda path: path.mkdir(), "is a folder"),
        (lambda path: path.write_text("x"), "is not executable"),
        (lambda path: (path.write_text("x = 1"), path.chmod(0o755)), "neither ELF nor a script"),
        (lambda path: (path.touch(), path.chmod(0o755)), "is empty"),
        (lambda path: (path.write_text("#!/no/such/shell\n"), path.chmod(0o755)), "/no/such/shell"),
    ],
)
def test_what_cannot_be_started_blocks(made, words: str, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "thing"
    made(path)
    finding = told(preflight(Target(path), FP, HOST), words)
    assert finding.level is Level.BLOCKER
    assert finding.fix


def test_missing_working_directory_blocks(program: Path, facts: SimpleNamespace) -> None:
    findings = preflight(Target(program, cwd=Path("/no/such/folder")), FP, HOST)
    assert told(findings, "working directory").level is Level.BLOCKER


def test_a_path_that_perf_cannot_write_on_a_line_blocks(program: Path, facts: SimpleNamespace) -> None:
    folder = program.parent / "two\nlines"
    folder.mkdir()
    copy = Path(shutil.copy(program, folder))
    finding = told(preflight(Target(copy), FP, HOST), "line break")
    assert finding.level is Level.BLOCKER
    assert finding.fix


def test_a_script_names_what_is_recorded(program: Path) -> None:
    assert "records its interpreter, /bin/sh" in told(preflight(Target(program), FP, HOST), "is a script").title


def test_debug_build(program: Path, facts: SimpleNamespace) -> None:
    facts.now = dataclasses.replace(facts.now, debug_build=True, optimised=False)
    finding = told(preflight(Target(program), FP, HOST), "debug build")
    assert finding.level is Level.WARNING
    assert finding.fix_argv == ("cargo", "build", "--release")
    assert "without optimisation" in finding.detail


def test_stripped_and_separated(program: Path, facts: SimpleNamespace) -> None:
    facts.now = dataclasses.replace(facts.now, has_symbols=False, frame_pointers=None, frame_pointer_share=None)
    finding = told(preflight(Target(program), FP, HOST), "is stripped")
    assert finding.level is Level.WARNING
    assert "strip = false" in finding.fix
    facts.now = dataclasses.replace(facts.now, debug_link="engine.debug")
    assert told(preflight(Target(program), FP, HOST), "is stripped").level is Level.NOTE


def test_no_debug_information_is_a_note(program: Path, facts: SimpleNamespace) -> None:
    facts.now = dataclasses.replace(facts.now, has_debug_info=False)
    assert told(preflight(Target(program), FP, HOST), "no debug information").level is Level.NOTE


def test_frame_pointers_matter_only_where_they_are_used(program: Path, facts: SimpleNamespace) -> None:
    facts.now = dataclasses.replace(facts.now, frame_pointers=False, frame_pointer_share=0.02)
    finding = told(preflight(Target(program), FP, HOST), "keeps no frame pointers")
    assert finding.level is Level.WARNING
    assert 'RUSTFLAGS="-C force-frame-pointers=yes"' in finding.fix
    assert "dwarf" in finding.fix
    assert bad(preflight(Target(program), PerfOptions(), HOST)) == []
    facts.now = dataclasses.replace(facts.now, frame_pointers=None, frame_pointer_share=0.5, language="c")
    partly = told(preflight(Target(program), FP, HOST), "Only some functions")
    assert partly.level is Level.NOTE
    assert "-fno-omit-frame-pointer" in partly.fix
    facts.now = dataclasses.replace(facts.now, frame_pointer_share=None)
    assert bad(preflight(Target(program), FP, HOST)) == []  # nobody knows: nothing is claimed


def test_older_than_its_sources(tmp_path: Path, facts: SimpleNamespace) -> None:
    folder = tmp_path / "p/target/release-with-debug"
    folder.mkdir(parents=True)
    (tmp_path / "p/Cargo.toml").touch()
    binary = folder / "engine"
    binary.write_text("#!/bin/sh\n")
    binary.chmod(0o755)
    facts.now = dataclasses.replace(facts.now, path=binary, newer_source=tmp_path / "p/src/risk.rs")
    finding = told(preflight(Target(binary), FP, HOST), "is older than its source src/risk.rs")
    assert finding.level is Level.WARNING
    assert finding.fix_argv == ("cargo", "build", "--profile", "release-with-debug")


def test_setuid(program: Path, facts: SimpleNamespace) -> None:
    program.chmod(0o4755)
    if not program.stat().st_mode & 0o4000:
        pytest.skip("this file system keeps no setuid bit")
    assert told(preflight(Target(program), FP, HOST), "setuid").level is Level.WARNING
    assert bad(preflight(Target(program), FP, dataclasses.replace(HOST, uid=0))) == []


# The disk.


@pytest.mark.parametrize(("free", "level"), [(10**6, Level.BLOCKER), (5 * 10**8, Level.WARNING), (10**11, Level.OK)])
def test_little_space(
    free: int, level: Level, program: Path, facts: SimpleNamespace, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: SimpleNamespace(free=free))
    findings = preflight(Target(program), FP, HOST, out=tmp_path / "not/yet/there")
    assert max(f.level for f in findings) is level


def test_a_long_recording_needs_more_space(
    program: Path, facts: SimpleNamespace, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: SimpleNamespace(free=5 * 10**9))
    assert bad(preflight(Target(program), PerfOptions(duration_s=60), HOST, out=tmp_path)) == []
    long = PerfOptions(duration_s=3600)
    assert told(preflight(Target(program), long, HOST, out=tmp_path), "are free").level is Level.WARNING


def test_a_folder_that_may_not_be_written(
    program: Path, facts: SimpleNamespace, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: mode != os.W_OK)
    assert told(preflight(Target(program), FP, HOST, out=tmp_path), "may not be written").level is Level.BLOCKER


# cargo flamegraph.


def test_cargo_needs_a_project_and_its_tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("CARGO_HOME", str(tmp_path))
    options = CargoOptions(project=tmp_path)
    findings = preflight(Target(tmp_path / "engine", cwd=Path("/")), options, HOST)
    assert told(findings, "cargo-flamegraph is not installed").fix_argv[:2] == ("cargo", "install")
    assert told(findings, "no cargo project").level is Level.BLOCKER
    assert told(findings, "project's folder").level is Level.NOTE
