"""The preflight of tools that describe their options by fields."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from helpers.toy_tool import ToyTool, program
from tailflame import tools
from tailflame.host import privilege
from tailflame.host.system import Host
from tailflame.tools import Capabilities, Finding, Level, SlowDown, Target, ToolOptions, preflight

HOST = Host(uid=1000)
OPTIONS = ToolOptions()
TOY = ToyTool()


def told(findings: tuple[Finding, ...], words: str) -> Finding:
    (found,) = [finding for finding in findings if words in finding.title]
    return found


def bad(findings: tuple[Finding, ...]) -> list[str]:
    return [finding.title for finding in findings if finding.level > Level.NOTE]


def test_all_in_order(tmp_path: Path) -> None:
    findings = preflight(Target(program(tmp_path)), OPTIONS, HOST, out=tmp_path, tool=TOY)
    assert bad(findings) == []
    assert told(findings, "Toy 1.2.3 is installed.").level is Level.OK
    assert not [finding for finding in findings if "perf" in finding.title]  # which it does not need


def test_the_options_say_which_tool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tools, "FIELD_TOOLS", (TOY,))
    assert told(preflight(Target(program(tmp_path)), ToolOptions(tool="toy"), HOST), "Toy 1.2.3")
    with pytest.raises(LookupError, match="no-such"):
        preflight(Target(program(tmp_path)), ToolOptions(tool="no-such"), HOST)


def test_a_tool_that_is_not_there(tmp_path: Path) -> None:
    missing = TOY.but(can=Capabilities(False, "toy is not installed", "sudo apt install toy"))
    first = preflight(Target(program(tmp_path)), OPTIONS, HOST, tool=missing)[0]
    assert (first.level, first.title) == (Level.BLOCKER, "Toy is not installed.")
    assert first.fix_argv == ("sudo", "apt", "install", "toy")
    nothing = TOY.but(can=Capabilities(False))
    assert told(preflight(Target(program(tmp_path)), OPTIONS, HOST, tool=nothing), "Toy cannot be used.")


def test_a_program_that_cannot_start(tmp_path: Path) -> None:
    findings = preflight(Target(tmp_path / "none", cwd=tmp_path / "nowhere"), OPTIONS, HOST, tool=TOY)
    assert told(findings, "There is no file").level is Level.BLOCKER
    assert told(findings, "The working directory").level is Level.BLOCKER
    named = program(tmp_path, name="two\nlines")
    assert told(preflight(Target(named), OPTIONS, HOST, tool=TOY), "line break").level is Level.BLOCKER


@pytest.mark.parametrize(("typical", "worst", "level"), [(1, 1.2, 0), (3, 60, 1), (19, 170, 1), (22, 336, 2)])
def test_how_much_slower_it_gets(tmp_path: Path, typical: float, worst: float, level: int) -> None:
    slow = TOY.but(slow_down=SlowDown(typical=typical, worst=worst, worst_for="threads that only allocate"))
    findings = preflight(Target(program(tmp_path)), OPTIONS, HOST, tool=slow)
    assert told(findings, "for threads that only allocate.").level == level


def test_the_tools_own_words_and_each_thing_once(tmp_path: Path) -> None:
    mine = (Finding(Level.WARNING, "It rains."), Finding(Level.NOTE, "It rains."), Finding(Level.BLOCKER, "It hails."))
    findings = preflight(Target(program(tmp_path)), OPTIONS, HOST, tool=TOY.but(found=mine))
    assert bad(findings) == ["It hails.", "It rains."]


def test_what_it_cannot_do(tmp_path: Path) -> None:
    findings = preflight(Target(program(tmp_path)), OPTIONS, HOST, tool=TOY.but(launches=False))
    assert told(findings, "starts no programs").level is Level.BLOCKER
    findings = preflight(Target(Path("/x"), pid=os.getppid()), OPTIONS, HOST, tool=TOY.but(attaches=False))
    assert told(findings, "cannot attach").level is Level.BLOCKER


def test_a_running_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with subprocess.Popen(["/bin/sleep", "60"]) as process:
        target = Target(Path("/bin/sleep"), ("60",), pid=process.pid)
        assert bad(preflight(target, OPTIONS, HOST, tool=TOY)) == []
        # What only those mind that trace.
        monkeypatch.setattr(privilege.os, "geteuid", lambda: 1000)
        monkeypatch.setattr(privilege, "hides_memory", lambda _pid: False)
        monkeypatch.setattr(privilege, "read_setting", lambda _name: 1)
        monkeypatch.setattr("tailflame.tools.program_checks.process_of", _as_mine)
        assert bad(preflight(target, OPTIONS, HOST, tool=TOY)) == []
        (refused,) = bad(preflight(target, OPTIONS, HOST, tool=TOY.but(program="strace")))
        assert "ptrace_scope is 1" in refused
        process.kill()
    monkeypatch.undo()
    assert bad(preflight(target, OPTIONS, HOST, tool=TOY)) == [f"There is no process {process.pid}."]


def _as_mine(pid: int) -> object:
    import dataclasses

    from tailflame.host.running import process_of

    process = process_of(pid)
    assert process is not None
    return dataclasses.replace(process, attachable=True, reason="")
