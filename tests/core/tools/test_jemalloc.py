"""jemalloc: its settings, how a program gets it, what its words mean, and what speaks against a run."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tailflame.errors import ToolFailed, ToolMissing
from tailflame.host import jemalloc as host_jemalloc
from tailflame.host.system import Host
from tailflame.host.with_jemalloc import NO_LIBRARY
from tailflame.tools import Target, ToolOptions
from tailflame.tools import jemalloc as tool_jemalloc
from tailflame.tools.base import OptionValue, Plan, TargetIs
from tailflame.tools.findings import Level
from tailflame.tools.jemalloc import JemallocProfiler

TOOL = JemallocProfiler()
TARGET = Target(Path("/p/engine"), ("--seconds", "1"))
OUT = Path("/profiles/one")
USUAL = (
    "prof:true,lg_prof_sample:17,lg_prof_interval:28,prof_final:true,prof_accum:true,prof_prefix:/profiles/one/jeprof"
)


def planned(target: Target = TARGET, **values: OptionValue) -> Plan:
    named = {name.replace("_", "-"): value for name, value in values.items()}
    return TOOL.plan(target, ToolOptions(values=named), OUT)


def test_by_itself_it_looks_at_the_program_when_it_starts() -> None:
    plan = planned()
    assert plan.argv == (
        *(sys.executable, "-m", "tailflame.host.with_jemalloc", USUAL, "--"),
        *("/p/engine", "--seconds", "1"),
    )
    assert not plan.env


def test_linked_and_preloaded_are_variables() -> None:
    assert planned(jemalloc="linked").argv == ("/p/engine", "--seconds", "1")
    assert planned(jemalloc="linked").env == {"MALLOC_CONF": USUAL, "_RJEM_MALLOC_CONF": USUAL}
    assert planned(jemalloc="preload").env == {"MALLOC_CONF": USUAL, "LD_PRELOAD": "libjemalloc.so.2"}
    hooked = Target(Path("/p/engine"), env={"LD_PRELOAD": "/opt/hook.so"})
    assert planned(hooked, jemalloc="preload").env["LD_PRELOAD"] == "libjemalloc.so.2:/opt/hook.so"


@pytest.mark.parametrize(
    ("values", "configuration"),
    [
        ({"lg_sample": 12, "lg_interval": 0}, "prof:true,lg_prof_sample:12,prof_final:true,prof_accum:true"),
        ({"final": False, "accum": False}, "prof:true,lg_prof_sample:17,lg_prof_interval:28"),
        (
            {"leak": True, "gdump": True, "lg_interval": 0},
            "prof:true,lg_prof_sample:17,prof_final:true,prof_accum:true,prof_leak:true,prof_gdump:true",
        ),
    ],
)
def test_settings(values: dict[str, OptionValue], configuration: str) -> None:
    plan = planned(jemalloc="linked", **values)
    assert plan.env["MALLOC_CONF"] == f"{configuration},prof_prefix:/profiles/one/jeprof"


def test_what_it_leaves_is_joined() -> None:
    plan = planned()
    assert plan.result == OUT / "jemalloc.heap"
    assert plan.leaves == ("jeprof.*.heap",)
    assert plan.target_is is TargetIs.ITSELF
    (step,) = plan.after
    assert step.argv == (
        sys.executable,
        "-m",
        "tailflame.run.jemalloc_dumps",
        "/profiles/one",
        "/profiles/one/jemalloc.heap",
    )
    (dump,) = plan.requests
    assert dump.argv[:3] == ("gdb", "-p", "{pid}")


@pytest.mark.parametrize(
    ("output", "words"),
    [
        ("<jemalloc>: Invalid conf pair: prof:true\n", "The jemalloc in engine has no profiler (prof:true)."),
        ("<jemalloc>: Invalid conf pair: bogus:1\n", "jemalloc does not know the setting bogus:1."),
        ("<jemalloc>: Conf string ends with comma\n", "jemalloc could not read its settings."),
        ('<jemalloc>: failed to open "/root/x.3122.0.f.heap"\n', "jemalloc could not write /root/x.3122.0.f.heap."),
        (
            "ERROR: ld.so: object 'libjemalloc.so.2' from LD_PRELOAD cannot be preloaded"
            " (cannot open shared object file): ignored.\n",
            "libjemalloc.so.2 could not be preloaded.",
        ),
        ("jemalloc wrote no dump\n", "engine wrote no dump of its heap."),
        ("", "engine wrote no dump of its heap."),
    ],
)
def test_its_words(output: str, words: str) -> None:
    error = TOOL.explain(output, planned())
    assert isinstance(error, ToolFailed)
    assert error.sentence == words
    assert error.advice


def test_without_the_library() -> None:
    error = TOOL.explain(f"{NO_LIBRARY}. sudo apt install libjemalloc2\n", planned())
    assert isinstance(error, ToolMissing)
    assert "engine links no jemalloc" in error.sentence


def test_own_lines() -> None:
    own = planned().own_lines
    assert own is not None
    for line in (
        "<jemalloc>: Invalid conf pair: a:1",
        "ERROR: ld.so: object 'x' from LD_PRELOAD cannot be",
        "tailflame: x",
    ):
        assert own.match(line)
    for line in ("engine: <jemalloc>: x", "ERROR: no book", ""):
        assert not own.match(line)


def compiled(folder: Path, text: str, *options: str) -> Target:
    if shutil.which("gcc") is None:
        pytest.skip("gcc is not installed")
    source, program = folder / "engine.c", folder / "engine"
    source.write_text(text)
    if subprocess.run(["gcc", "-O1", *options, "-o", str(program), str(source)], check=False).returncode:
        pytest.skip("gcc cannot link so here")
    return Target(program)


LINKED = "int _rjem_mallctl(void) { return 0; } int main(void) { return 0; }"
PLAIN = "int main(void) { return 0; }"


def found(target: Target, **values: OptionValue) -> dict[str, Level]:
    named = {name.replace("_", "-"): value for name, value in values.items()}
    return {finding.title: finding.level for finding in TOOL.checks(target, ToolOptions(values=named), Host())}


def test_a_program_that_links_it(tmp_path: Path) -> None:
    target = compiled(tmp_path, LINKED)
    assert found(target)["engine has jemalloc in itself."] is Level.OK
    assert found(target, jemalloc="linked")["engine has jemalloc in itself."] is Level.OK
    assert found(target, jemalloc="preload")["engine links jemalloc statically."] is Level.BLOCKER


def test_a_program_that_does_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = compiled(tmp_path, PLAIN)
    assert found(target, jemalloc="linked") == {"engine links no jemalloc.": Level.BLOCKER}
    monkeypatch.setattr(tool_jemalloc, "preload_library", lambda: Path("/usr/lib/libjemalloc.so.2"))
    assert found(target) == {}
    assert TOOL.probe(Host()).options == ()
    monkeypatch.setattr(tool_jemalloc, "preload_library", lambda: None)
    assert found(target) == {"libjemalloc.so.2 is not installed.": Level.BLOCKER}
    assert not TOOL.probe(Host()).option("jemalloc=preload").available


def test_nothing_is_preloaded_into_a_static_program(tmp_path: Path) -> None:
    titles = found(compiled(tmp_path, PLAIN, "-static"))
    assert titles["engine is linked statically, the C library included."] is Level.BLOCKER


def test_wishes_that_leave_nothing_or_too_much(tmp_path: Path) -> None:
    target = compiled(tmp_path, LINKED)
    assert found(target, final=False, lg_interval=0)["No dump would be written."] is Level.BLOCKER
    assert found(target, gdump=True)["A dump at each new high can be thousands of files."] is Level.WARNING
    assert found(target, lg_sample=9)["So many samples slow the program down."] is Level.WARNING
    assert found(target, lg_interval=0)["The dump at the end is written when the program ends by itself."] is Level.NOTE


def test_the_library_of_this_system_is_found_or_not() -> None:
    place = host_jemalloc.preload_library()
    assert place is None or place.is_file()
