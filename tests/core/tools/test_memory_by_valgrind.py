"""massif and DHAT: exact command lines, what they leave, and what speaks against a run."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tailflame.host.system import Host
from tailflame.tools import FIELD_TOOLS, Target, ToolOptions
from tailflame.tools.base import OptionKind, OptionValue, TargetIs
from tailflame.tools.dhat import Dhat
from tailflame.tools.findings import Level
from tailflame.tools.massif import Massif

MASSIF, DHAT = Massif(), Dhat()
TARGET = Target(Path("/p/engine"), ("--seconds", "1"), cwd=Path("/p"))
OUT = Path("/profiles/one")
USUAL = (
    *("--detailed-freq=10", "--max-snapshots=100", "--threshold=1", "--depth=30", "--peak-inaccuracy=1"),
    *("--", "/p/engine", "--seconds", "1"),
)


def massif(**values: OptionValue) -> tuple[str, ...]:
    named = {name.replace("_", "-"): value for name, value in values.items()}
    return MASSIF.plan(TARGET, ToolOptions(values=named), OUT).argv


HEAD = ("valgrind", "--tool=massif", "--fullpath-after=")


def test_massif_as_it_is() -> None:
    assert massif() == (*HEAD, "--massif-out-file=/profiles/one/massif.out", "--time-unit=i", *USUAL)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"time_unit": "ms"}, ["--time-unit=ms"]),
        ({"stacks": True}, ["--stacks=yes"]),
        ({"pages": True}, ["--pages-as-heap=yes"]),
        ({"detailed_freq": 1, "max_snapshots": 1000}, ["--detailed-freq=1", "--max-snapshots=1000"]),
        (
            {"threshold": 0.25, "depth": 60, "peak_inaccuracy": 0.0},
            ["--threshold=0.25", "--depth=60", "--peak-inaccuracy=0"],
        ),
        ({"children": True}, ["--massif-out-file=/profiles/one/massif.out.%p", "--trace-children=yes"]),
    ],
)
def test_massif_with_wishes(values: dict[str, OptionValue], words: list[str]) -> None:
    argv = massif(**values)
    assert [word for word in words if word not in argv] == []
    assert argv[-4:] == ("--", "/p/engine", "--seconds", "1")


def test_massif_takes_stacks_or_pages() -> None:
    assert "--pages-as-heap=yes" not in massif(stacks=True, pages=True)
    options = ToolOptions(values={"stacks": True, "pages": True})
    titles = [found.title for found in MASSIF.checks(TARGET, options, Host())]
    assert titles == ["Pages are not counted: massif takes them or stacks, not both."]


def test_massif_tells_what_it_leaves() -> None:
    plan = MASSIF.plan(TARGET, ToolOptions(duration_s=5.0), OUT)
    assert (plan.result, plan.duration_s, plan.target_is) == (OUT / "massif.out", 5.0, TargetIs.ITSELF)
    assert plan.mirrors_target
    (request,) = plan.requests
    assert request.argv == ("vgdb", "--pid={pid}", "detailed_snapshot", "/profiles/one/massif.snapshot.{n}")
    assert request.artifact == "massif.snapshot.{n}"
    # valgrind would end the path at its blank.
    (request,) = MASSIF.plan(TARGET, ToolOptions(), Path("/my profiles")).requests
    assert request.argv[1:] == ("-m", "tailflame.host.massif_snapshot", "{pid}", "/my profiles/massif.snapshot.{n}")
    assert "massif.snapshot.*" in plan.leaves
    every = MASSIF.plan(TARGET, ToolOptions(values={"children": True}), OUT)
    assert every.result.name == "massif.out.*"
    assert "massif.out.*" in every.leaves


def test_a_percent_sign_in_the_folder() -> None:
    argv = MASSIF.plan(TARGET, ToolOptions(), Path("/p/100%p")).argv
    assert "--massif-out-file=/p/100%%p/massif.out" in argv


@pytest.mark.parametrize("mode", ["heap", "copy", "ad-hoc"])
def test_dhat(mode: str) -> None:
    plan = DHAT.plan(TARGET, ToolOptions(values={"mode": mode}, extra=("--max-threads=900",)), OUT)
    assert plan.argv == (
        *("valgrind", "--tool=dhat", "--fullpath-after=", "--dhat-out-file=/profiles/one/dhat.out"),
        *(f"--mode={mode}", "--num-callers=30", "--max-threads=900", "--", "/p/engine", "--seconds", "1"),
    )
    assert plan.result == OUT / "dhat.out"
    assert (plan.cwd, plan.target_is) == (Path("/p"), TargetIs.ITSELF)


def test_heaps_that_hide_block_what_watches_malloc_alone(tmp_path: Path) -> None:
    if shutil.which("gcc") is None:
        pytest.skip("gcc is not installed")
    source, program = tmp_path / "engine.c", tmp_path / "engine"
    source.write_text("int _rjem_mallctl(void) { return 0; } int main(void) { return 0; }")
    subprocess.run(["gcc", "-O1", "-o", str(program), str(source)], check=True)
    target = Target(program)

    def blocked(tool: Massif | Dhat, **values: OptionValue) -> bool:
        found = tool.checks(target, ToolOptions(values=values), Host())
        return any(finding.level is Level.BLOCKER for finding in found)

    assert blocked(MASSIF)
    assert not blocked(MASSIF, pages=True)
    assert blocked(MASSIF, pages=True, stacks=True)
    assert blocked(DHAT)
    assert not blocked(DHAT, mode="copy")


@pytest.mark.parametrize("tool", [MASSIF, DHAT], ids=lambda tool: tool.name)
def test_fields_are_whole(tool: Massif | Dhat) -> None:
    fields = tool.fields(Host())
    names = [field.name for field in fields]
    assert len(set(names)) == len(names)
    for field in fields:
        assert field.tip.endswith(".")
        assert field.only_with is None or field.only_with[0] in names
        if field.kind is OptionKind.CHOICE:
            assert field.default in [value for value, _ in field.choices]
        if field.kind in (OptionKind.WHOLE, OptionKind.NUMBER):
            assert field.low <= float(field.default) <= field.high
    assert tool.name in [known.name for known in FIELD_TOOLS]
    assert tool.defaults(Host()).tool == tool.name
