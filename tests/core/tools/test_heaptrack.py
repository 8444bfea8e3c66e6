"""heaptrack's plans: a preloaded library or gdb, a raw file, and a step that finds the names."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tailflame.errors import TailflameError, ToolDenied, ToolFailed, ToolMissing
from tailflame.host.system import Host
from tailflame.tools import Target, TargetIs, ToolOptions, tool_named
from tailflame.tools import heaptrack as adapter
from tailflame.tools.base import FieldTool
from tailflame.tools.findings import Level
from tailflame.tools.heaptrack import CHILDREN, FOLDER, SUPPRESSIONS, Heaptrack

TOOL = Heaptrack()
TARGET = Target(Path("/p/my engine"), ("--seconds", "1"), cwd=Path("/p"))
OUT = Path("/out/a b")
OPTIONS = ToolOptions(tool="heaptrack")


def test_it_is_one_of_the_tools() -> None:
    found: FieldTool = tool_named("heaptrack")
    assert isinstance(found, Heaptrack)
    assert found.launches and found.attaches


def test_launching_preloads_the_library_into_the_program_itself() -> None:
    plan = TOOL.plan(TARGET, OPTIONS, OUT)
    assert plan.argv == ("/p/my engine", "--seconds", "1")
    assert plan.target_is is TargetIs.ITSELF
    assert plan.stop_signal == signal.SIGTERM
    assert dict(plan.env) == {
        "LD_PRELOAD": "/usr/lib/heaptrack/libheaptrack_preload.so",
        "DUMP_HEAPTRACK_OUTPUT": "/out/a b/heaptrack.raw",
    }
    assert plan.cwd == Path("/p")
    assert plan.result == OUT / "heaptrack.zst"
    assert plan.grows == ("heaptrack.raw",)
    (step,) = plan.after
    assert step.argv == (
        *(sys.executable, "-I", "-m", "tailflame.parse.heaptrack_raw"),
        *("/out/a b/heaptrack.raw", "/out/a b/heaptrack.zst"),
    )
    assert step.stdin == OUT / "heaptrack.raw"


def test_a_library_that_the_program_preloads_stays() -> None:
    target = Target(Path("/p/engine"), env={"LD_PRELOAD": "/p/mine.so"})
    plan = TOOL.plan(target, OPTIONS, OUT)
    assert plan.environment()["LD_PRELOAD"] == "/usr/lib/heaptrack/libheaptrack_preload.so:/p/mine.so"


def test_children_get_files_of_their_own() -> None:
    plan = TOOL.plan(TARGET, ToolOptions(values={CHILDREN.name: True}), OUT)
    assert dict(plan.env) == {
        "LD_PRELOAD": "/usr/lib/heaptrack/libheaptrack_inject.so",
        "DUMP_HEAPTRACK_OUTPUT": "/out/a b/heaptrack.$$.raw",
    }
    assert plan.result == OUT / "heaptrack.*.zst"
    assert plan.leaves == ("heaptrack.*.zst", "heaptrack.*.raw")
    assert plan.grows == ("heaptrack.*.raw",)
    (step,) = plan.after
    assert step.argv[1:] == ("-I", "-m", "tailflame.parse.heaptrack_raw", "--all", "/out/a b")
    assert step.stdin is None


def test_attaching_is_a_program_of_its_own() -> None:
    target = Target(Path("/p/engine"), pid=4711)
    plan = TOOL.plan(target, ToolOptions(values={FOLDER.name: "/opt/ht"}, duration_s=3), OUT)
    assert plan.argv == (
        *(sys.executable, "-I", "-m", "tailflame.host.heaptrack_attach"),
        *("4711", "/out/a b/heaptrack.raw", "/opt/ht"),
    )
    assert plan.target_is is TargetIs.RUNNING
    assert plan.stop_signal == signal.SIGINT
    assert not plan.env
    assert plan.duration_s == 3


def test_the_folder_is_the_hosts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adapter, "library_folder", lambda: Path("/usr/lib64/heaptrack"))
    options = TOOL.defaults(Host())
    assert options.text(FOLDER) == "/usr/lib64/heaptrack"
    plan = TOOL.plan(TARGET, options, OUT)
    assert plan.env["LD_PRELOAD"] == "/usr/lib64/heaptrack/libheaptrack_preload.so"
    assert TOOL.fields(Host()) == (CHILDREN, SUPPRESSIONS, FOLDER)


def test_what_is_missing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adapter, "library_folder", lambda: None)
    monkeypatch.setattr(Host, "has_tool", lambda self, name: None)
    can = TOOL.probe(Host())
    assert not can.available
    assert can.reason == "heaptrack is not installed"
    assert "heaptrack" in can.fix
    monkeypatch.setattr(adapter, "library_folder", lambda: Path("/usr/lib/heaptrack"))
    monkeypatch.setattr(adapter, "interpreter", lambda: None)
    assert TOOL.probe(Host()).reason == "heaptrack_interpret is not found"
    monkeypatch.setattr(adapter, "interpreter", lambda: Path("/usr/lib/heaptrack/libexec/heaptrack_interpret"))
    can = TOOL.probe(Host())
    assert can.available
    assert not can.option("attaching").available
    assert "gdb" in can.option("attaching").reason


@pytest.mark.tool("heaptrack")
def test_the_installed_one_is_found() -> None:
    can = TOOL.probe(Host())
    assert can.available
    assert can.version[0].isdigit()


@pytest.mark.parametrize(
    ("line", "own"),
    [
        ("ERROR: failed to open heaptrack output file /out/x: Permission denied (13)", True),
        ("WARNING: Failed to read RSS value from /proc/self/statm.", True),
        ("heaptrack warning [12:12]@3 something", True),
        ("ERROR: ld.so: object '/x/libheaptrack_preload.so' from LD_PRELOAD cannot be preloaded: ignored.", True),
        ("ERROR: the engine failed to open its journal", False),
        ("WARNING: queue is full", False),
    ],
)
def test_lines_of_the_library_and_of_the_program(line: str, own: bool) -> None:
    pattern = TOOL.plan(TARGET, OPTIONS, OUT).own_lines
    assert pattern is not None
    assert bool(pattern.match(line)) is own


@pytest.mark.parametrize(
    ("output", "kind", "words"),
    [
        (
            "ERROR: failed to open heaptrack output file /out/heaptrack.raw: Permission denied (13)\n",
            ToolDenied,
            "could not write heaptrack's file /out/heaptrack.raw: Permission denied",
        ),
        (
            "ERROR: ld.so: object '/usr/lib/heaptrack/libheaptrack_preload.so' from LD_PRELOAD cannot be preloaded"
            " (wrong ELF class: ELFCLASS64): ignored.\n",
            ToolFailed,
            "cannot be loaded into my engine",
        ),
        (
            "ptrace: Operation not permitted.\nheaptrack: heaptrack could not be loaded\n",
            ToolDenied,
            "does not let gdb",
        ),
        ("heaptrack: there is no process 4711.\n", ToolFailed, "my engine has ended"),
        (
            "heaptrack: heaptrack could not be loaded into the program: The program being debugged was signaled.\n",
            ToolFailed,
            "Heaptrack could not be loaded into the program",
        ),
        ("heaptrack: gdb: No such file or directory.\n", ToolMissing, "gdb is not installed"),
    ],
)
def test_what_its_words_mean(output: str, kind: type[TailflameError], words: str) -> None:
    error = TOOL.explain(output, TOOL.plan(TARGET, OPTIONS, OUT))
    assert isinstance(error, kind)
    assert words in error.sentence
    assert error.advice
    assert error.details == output


def test_words_of_no_failure() -> None:
    assert TOOL.explain("heaptrack: recording\nheaptrack: taken out\n", TOOL.plan(TARGET, OPTIONS, OUT)) is None


def test_a_script_is_told_of(tmp_path: Path) -> None:
    script = tmp_path / "run.sh"
    script.write_text("#!/bin/sh\nexec ./engine\n")
    script.chmod(0o755)
    (found,) = TOOL.checks(Target(script), OPTIONS, Host())
    assert found.level is Level.WARNING
    assert "is a script" in found.title
    assert "not recorded" in found.detail
    assert TOOL.checks(Target(script), ToolOptions(values={CHILDREN.name: True}), Host()) == ()


@pytest.mark.skipif(shutil.which("gcc") is None, reason="needs a compiler")
def test_a_static_program_is_blocked(tmp_path: Path) -> None:
    (tmp_path / "a.c").write_text("int main(void) { return 0; }\n")
    made = subprocess.run(["gcc", "-static", "-o", "a", "a.c"], cwd=tmp_path, capture_output=True, check=False)
    if made.returncode:
        pytest.skip("no static C library")
    (found,) = TOOL.checks(Target(tmp_path / "a"), OPTIONS, Host())
    assert found.level is Level.BLOCKER
    assert "linked statically" in found.title


def test_a_program_with_rights_of_its_own_is_blocked(tmp_path: Path) -> None:
    binary = tmp_path / "su"
    shutil.copy(sys.executable, binary)
    binary.chmod(0o4755)
    (found,) = TOOL.checks(Target(binary), OPTIONS, Host())
    assert found.level is Level.BLOCKER
    assert "rights of its own" in found.title


def test_a_program_that_brings_jemalloc_is_blocked(monkeypatch: pytest.MonkeyPatch) -> None:
    class Linked:
        hidden_from_preloading = True

    monkeypatch.setattr(adapter, "jemalloc_of", lambda binary: Linked())
    found = TOOL.checks(Target(Path(sys.executable)), OPTIONS, Host())
    assert [f.title for f in found if f.level is Level.BLOCKER] == [
        f"{Path(sys.executable).name} links jemalloc statically."
    ]


def test_attaching_is_warned_of_and_needs_gdb(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Host, "has_tool", lambda self, name: None)
    monkeypatch.setattr(adapter, "process_of", lambda pid: None)
    found = TOOL.checks(Target(Path(sys.executable), pid=1), OPTIONS, Host())
    assert [f.level for f in found[:2]] == [Level.BLOCKER, Level.WARNING]
    assert found[0].title == "gdb is not installed."
    assert found[1].title.startswith("Attaching may crash ")


def test_suppressions_go_into_the_file(tmp_path: Path) -> None:
    known = tmp_path / "known leaks.supp"
    options = ToolOptions(values={SUPPRESSIONS.name: str(known)})
    (step,) = TOOL.plan(TARGET, options, OUT).after
    assert step.argv[4:6] == ("--suppressions", str(known))
    target = Target(Path(sys.executable))
    (missing,) = TOOL.checks(target, options, Host())
    assert missing.level is Level.BLOCKER
    known.write_text("# what is known\nleak:Cache::*\n")
    assert TOOL.checks(target, options, Host()) == ()
    known.write_text("leak:Cache::*\nrace:x\n")
    (odd,) = TOOL.checks(target, options, Host())
    assert odd.level is Level.WARNING
    assert odd.title.startswith("1 line of ")
    known.write_text("# nothing\n")
    assert "holds no suppressions" in TOOL.checks(target, options, Host())[0].title


def test_a_container_is_out_of_reach(monkeypatch: pytest.MonkeyPatch) -> None:
    class Process:
        container = "docker 3f2a9c01b2aa"

    monkeypatch.setattr(adapter, "process_of", lambda pid: Process())
    found = TOOL.checks(Target(Path(sys.executable), pid=1), OPTIONS, Host())
    assert any(f.level is Level.BLOCKER and "container (docker 3f2a9c01b2aa)" in f.title for f in found)
