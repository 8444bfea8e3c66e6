"""`tools`, and what `record` makes of --tool, --set and --pid; the recording itself is real."""

from __future__ import annotations

import dataclasses
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from helpers.toy_tool import ToyTool, program
from tailflame import tools
from tailflame.cli.tool_options import possible, value_of
from tailflame.host.system import Host
from tailflame.store import Library
from tailflame.tools import CARGO_FLAMEGRAPH, PERF_RECORD, Capabilities, Finding, Level, Request, SlowDown, Step

Run = Callable[..., Any]
TOY = ToyTool()
OTHER = ToyTool(name="other", title="Other", option_fields=TOY.option_fields[1:3], attaches=False)


@pytest.fixture(autouse=True)
def _toys(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, TOY, OTHER)
    for module in ("record", "tools"):
        monkeypatch.setattr(f"tailflame.cli.{module}.probe_host", lambda: Host(uid=1000))


def install(monkeypatch: pytest.MonkeyPatch, *toys: ToyTool) -> None:
    monkeypatch.setattr(tools, "FIELD_TOOLS", toys)
    monkeypatch.setattr(tools, "TOOLS", (PERF_RECORD, CARGO_FLAMEGRAPH, *toys))


@pytest.fixture
def sleeper() -> Iterator[int]:
    with subprocess.Popen(["/bin/sleep", "60"]) as process:
        yield process.pid
        process.kill()


# The list.


def test_all_tools_are_named(tailflame: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    slow = SlowDown(typical=3.38, worst=63, worst_for="threads that only allocate")
    missing = ToyTool(
        name="missing", slow_down=slow, can=Capabilities(False, "toy is not installed", "sudo apt install toy")
    )
    install(monkeypatch, TOY, missing)
    run = tailflame("tools")
    rows = {line.split()[0]: line for line in run.out.splitlines() if line.strip()}
    assert {"perf-record", "cargo-flamegraph", "toy", "missing"} <= set(rows)
    assert "What does a test want?" in rows["toy"]
    assert rows["toy"].endswith("1.2.3")
    assert "3.4 to 63 times" in rows["missing"]
    assert rows["missing"].endswith("no: toy is not installed; sudo apt install toy")
    document = tailflame("tools", "--json").document
    assert [tool["name"] for tool in document["tools"]] == ["perf-record", "cargo-flamegraph", "toy", "missing"]
    last = document["tools"][-1]
    assert (last["available"], last["install"], last["slow_down"]["worst"]) == (False, "sudo apt install toy", 63)


def test_one_tool_with_its_options(tailflame: Run) -> None:
    out = tailflame("tools", "toy").out
    assert "What does a test want?" in out
    assert "milliseconds" in out
    assert "1 to 200 frames" in out
    (tool,) = tailflame("tools", "--json", "toy").document["tools"]
    assert set(tool) == {
        "name", "title", "family", "answers", "cost", "slow_down", "available", "version", "reason", "install",
        "launches", "attaches", "options", "last",
    }  # fmt: skip
    assert [option["name"] for option in tool["options"]] == ["unit", "stacks", "depth", "threshold", "filter"]
    assert tailflame("record", "--tool", "toy", "--help-options").out.splitlines()[0] == "Toy"
    helped = tailflame("record", "--tool", "toy,perf-record", "--help-options", "--json").document["tools"]
    assert [len(tool["options"]) for tool in helped] == [5, 0]


def test_the_command_that_would_run(tailflame: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Asking(ToyTool):
        def plan(self, *args: Any) -> Any:
            request = Request(name="snap", title="Snapshot", tip="Of now.", argv=("vgdb",))
            step = Step(title="interpreting", argv=("interpret", "a b"))
            return dataclasses.replace(super().plan(*args), requests=(request,), after=(step,))

    install(monkeypatch, Asking(found=(Finding(Level.WARNING, "It rains."),)))
    engine = program(tmp_path)
    words = ("toy", "--set", "depth=7", "--tool-arg=--verbose", "--", engine, "--orders", "3")
    out = tailflame("tools", *words).out
    assert f"{engine} --orders 3 --depth=7 --verbose" in out
    assert "warning  It rains." in out
    assert "Snapshot. Of now." in out
    assert out.rstrip().endswith("interpret 'a b'")
    (tool,) = tailflame("tools", "--json", *words).document["tools"]
    assert tool["argv"] == [str(engine), "--orders", "3", "--depth=7", "--verbose"]
    assert tool["requests"] == [{"name": "snap", "title": "Snapshot", "meaning": "Of now."}]


def test_its_last_result(tailflame: Run, library: Library, tmp_path: Path) -> None:
    assert "last result" not in tailflame("tools", "toy").out
    assert tailflame("record", "--tool", "toy", "--", program(tmp_path)).code == 0
    (info,) = library.sessions()
    assert f"{info.id}, finished after" in tailflame("tools", "toy").out


# What is wrong.


@pytest.mark.parametrize(
    ("words", "sentence", "fix"),
    [
        (("--tool", "toi"), "There is no tool “toi”.", "Did you mean toy? The tools are perf-record, toy, other."),
        (("--tool", "cargo-flamegraph"), "cargo flamegraph is chosen by its target.", "Name a --bin"),
        (
            ("--tool", "toy", "--set", "dept=3"),
            "Toy has no option “dept”.",
            "Did you mean depth? The options are depth,",
        ),
        (("--tool", "toy,other", "--set", "x"), "None of these tools has an option “x”.", "The options are depth,"),
        (("--tool", "toy,other", "--set", "other.unit=i"), "Other has no option “unit”.", "depth and stacks"),
        (("--tool", "toy", "--set", "third.unit=i"), "third is not among the tools.", "They are toy."),
        (("--tool", "toy", "--set", "depth=0"), "depth cannot be 0.", "It can be 1 to 200 frames."),
        (("--tool", "toy", "--set", "depth=3.5"), "depth is a whole number, not “3.5”.", "1 to 200 frames"),
        (("--tool", "toy", "--set", "depth"), "depth takes a value.", "--set depth=30"),
        (("--tool", "toy", "--set", "threshold=nan"), "threshold cannot be nan.", "0 to 100 %"),
        (("--tool", "toy", "--set", "threshold=few"), "threshold is a number, not “few”.", "0 to 100 %"),
        (("--tool", "toy", "--set", "unit=s"), "unit cannot be “s”.", "i (instructions); ms (milliseconds); B (bytes)"),
        (("--tool", "toy", "--set", "stacks=maybe"), "stacks is yes or no, not “maybe”.", "--set stacks=yes"),
        (("--tool", "toy", "-F", "99"), "--frequency is for perf record.", "tailflame tools toy"),
        (("--tool", "toy", "--off-cpu"), "--off-cpu is for perf record.", "tailflame tools toy"),
        (("--tool", "toy", "--cargo"), "cargo flamegraph cannot be one of several tools.", "Build the program"),
        (("--set", "depth=3"), "perf record has no --set.", "tailflame record --help"),
        (("--tool", "toy", "-d", "0"), "--duration must be above zero.", ""),
        (("--tool", "toy", "-C", "/nowhere"), "/nowhere is not a folder.", ""),
        (("--tool", "toy", "--pid", "1"), "A program that runs has its arguments", "Give --pid alone"),
        (("--cargo", "--pid", "1"), "cargo flamegraph starts what it has built.", "Leave --pid out"),
    ],
)
def test_a_wrong_wish_names_what_there_is(tailflame: Run, words: tuple[str, ...], sentence: str, fix: str) -> None:
    run = tailflame("record", *words, "--", "/bin/true")
    assert (run.code, run.out) == (2, "")
    assert sentence in run.err
    assert fix in run.err


def test_options_that_mean_nothing_or_cannot_work_are_refused(tailflame: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    unit, stacks, depth, *_ = TOY.option_fields
    fields = (
        unit,
        dataclasses.replace(stacks, reason="this kernel has none"),
        dataclasses.replace(depth, only_with=("unit", "B")),
    )
    install(monkeypatch, ToyTool(option_fields=fields))
    run = tailflame("record", "--tool", "toy", "--set", "stacks", "--", "/bin/true")
    assert "stacks of Toy cannot be used here: this kernel has none." in run.err
    run = tailflame("record", "--tool", "toy", "--set", "depth=3", "--", "/bin/true")
    assert "depth of Toy has no meaning without unit=B." in run.err
    words = ("--set", "depth=3", "--set", "unit=B", "--set", "stacks=no")
    assert tailflame("record", "--dry-run", "--tool", "toy", *words, "--", "/bin/true").code == 0
    assert "Not here: this kernel has none" in tailflame("tools", "toy").out


def test_a_tool_needs_a_name_for_a_command(tailflame: Run) -> None:
    assert "Which tool?" in tailflame("tools", "--", "/bin/true").err
    assert "There is no tool “toi”." in tailflame("tools", "toi").err


@pytest.mark.parametrize("text", ["yes", "On", "1", None])
def test_yes(text: str | None) -> None:
    assert value_of(TOY.option_fields[1], text) is True


def test_what_an_option_takes() -> None:
    unit, stacks, depth, threshold, text = TOY.option_fields
    assert [possible(field) for field in (unit, stacks, depth, threshold, text)] == [
        "i, ms or B", "yes or no", "1 to 200 frames", "0 to 100 %", "text",
    ]  # fmt: skip


# Recordings.


def test_a_recording_with_options(tailflame: Run, library: Library, tmp_path: Path) -> None:
    engine = program(tmp_path, 'echo "$@" in $PWD with $RUST_LOG')
    words = ("--set", "depth=7", "--set", "stacks", "-C", tmp_path, "-E", "RUST_LOG=info")
    run = tailflame("record", "--tool", "toy", *words, "--", engine, "-x")
    assert run.code == 0, run.err
    assert f"-x --depth=7 --stacks=True in {tmp_path} with info" in run.out
    (info,) = library.sessions()
    assert (info.tool, info.state.value, info.manifest.group if info.manifest else None) == ("toy", "complete", "")
    assert "work" in run.out
    assert f"kept in {info.path}" in run.out


def test_several_tools_in_turn_are_a_group(tailflame: Run, library: Library, tmp_path: Path) -> None:
    engine = program(tmp_path, 'echo "$@"')
    run = tailflame("record", "--tool", "toy,other", "--set", "depth=7", "--set", "toy.unit=B", "--", engine)
    assert run.code == 0, run.err
    assert "--depth=7 --unit=B\n" in run.out
    assert "--depth=7\n" in run.out
    assert "Toy (1 of 2)" in run.err
    second, first = library.sessions()
    assert first.manifest is not None
    assert second.manifest is not None
    assert first.manifest.group == second.manifest.group != ""
    assert (first.tool, second.tool) == ("toy", "other")


def test_one_that_fails_is_told_and_the_others_go_on(
    tailflame: Run, library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocked = ToyTool(name="blocked", title="Blocked", found=(Finding(Level.BLOCKER, "It hails.", fix="Wait."),))
    install(monkeypatch, blocked, TOY)
    run = tailflame("record", "--json", "--tool", "blocked,toy", "--", program(tmp_path))
    assert run.code == 4
    assert "tailflame: It hails." in run.err
    assert run.document["recordings"][0] == {"tool": "blocked", "error": "It hails."}
    assert run.document["recordings"][1]["session"]["tool"] == "toy"
    assert [info.tool for info in library.sessions()] == ["toy"]
    assert tailflame("record", "--force", "--tool", "blocked", "--", program(tmp_path)).code == 0


def test_a_dry_run_of_several(tailflame: Run, tmp_path: Path) -> None:
    engine = program(tmp_path)
    run = tailflame("record", "--dry-run", "--json", "--tool", "toy,other", "--", engine)
    assert [plan["tool"] for plan in run.document["plans"]] == ["toy", "other"]
    assert set(run.document["plans"][0]) == {"tool", "argv", "command_line", "findings"}


def test_a_missing_tool_is_status_4(tailflame: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    install(monkeypatch, TOY.but(can=Capabilities(False, "toy is not installed", "sudo apt install toy")))
    run = tailflame("record", "--tool", "toy", "--", program(tmp_path))
    assert run.code == 4
    assert "tailflame: Toy is not installed." in run.err
    assert "fix: sudo apt install toy" in run.err


def test_a_running_program_by_its_number(tailflame: Run, library: Library, sleeper: int) -> None:
    run = tailflame("record", "--dry-run", "--json", "--tool", "toy", "--pid", str(sleeper))
    assert run.document["argv"] == ["/bin/sleep", "60"]  # the toy's own
    run = tailflame("record", "--tool", "toy", "--pid", str(sleeper), "-d", "0.2")
    assert run.code == 4  # it left nothing
    assert "Toy left no result" in run.err
    (info,) = library.sessions()
    assert (Path(info.binary).name, info.state.value) == ("sleep", "failed")
    os.kill(sleeper, 0)
    refused = tailflame("record", "--tool", "other", "--pid", str(sleeper))
    assert refused.code == 4
    assert "Other cannot attach to a running program." in refused.err
    assert "There is no process 99999999." in tailflame("record", "--tool", "toy", "--pid", "99999999").err
