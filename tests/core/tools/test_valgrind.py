"""What valgrind's tools have in common: whose line is whose, what refusals mean, what speaks against a run."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from types import MappingProxyType

import pytest

from tailflame.errors import TailflameError, ToolDenied, ToolFailed, ToolMissing
from tailflame.host.system import Host
from tailflame.tools import valgrind
from tailflame.tools.base import Plan, Target
from tailflame.tools.findings import Level

TARGET = Target(Path("/p/engine"), ("--seconds", "1"))
PLAN = Plan("massif", (), TARGET, Path("/out"), MappingProxyType({"massif": Path("/out/massif.out")}), "massif")


def test_the_command_line_keeps_source_paths_and_ends_its_own_options() -> None:
    assert valgrind.argv("dhat", "--mode=heap", target=TARGET) == (
        *("valgrind", "--tool=dhat", "--fullpath-after=", "--mode=heap"),
        *("--", "/p/engine", "--seconds", "1"),
    )


def test_a_percent_sign_in_a_path_is_meant_as_such() -> None:
    assert valgrind.file_name(Path("/p/50%p/massif.out")) == "/p/50%%p/massif.out"


@pytest.mark.parametrize(
    "line",
    [
        "==1234== Massif, a heap profiler",
        "==1234==",
        "--1234-- warning: L3 cache found, using its data for the LL simulation.",
        "**1234** from a client request",
        "valgrind: ./engine: Permission denied",
    ],
)
def test_own_lines(line: str) -> None:
    assert valgrind.OWN_LINES.match(line)


@pytest.mark.parametrize("line", ["engine: ready", "== summary ==", "==12-- odd", "--help", "==x== no", ""])
def test_lines_of_the_program(line: str) -> None:
    assert not valgrind.OWN_LINES.match(line)


@pytest.mark.parametrize(
    ("output", "kind", "words"),
    [
        (
            "==7== \n==7== Warning: Can't execute setuid/setgid/setcap executable: ./s\n"
            "==7== Possible workaround: remove --trace-children=yes, if in effect\n==7== \n"
            "valgrind: ./s: Permission denied\n",
            ToolDenied,
            "valgrind refuses engine, which runs with rights of its own",
        ),
        ("valgrind: Unknown option: --bogus=1\nvalgrind: Use --help\n", ToolFailed, "the option --bogus=1."),
        (
            "valgrind: Bad option: --depth=9999\nvalgrind: '--depth' argument must be between 1 and 200\n",
            ToolFailed,
            "the option --depth=9999.",
        ),
        ("==7== error: can't open DHAT output file '/nonexist/d'\n", ToolFailed, "cannot write /nonexist/d."),
        ("Error: can not open xtree output file `/root/vm.out'\n", ToolFailed, "cannot write /root/vm.out."),
        (
            "valgrind:  Fatal error at startup: a function redirection\n"
            "valgrind:  which is mandatory for this platform-tool combination\n",
            ToolMissing,
            "needs the symbols of the C library",
        ),
        (
            "valgrind: failed to start tool 'massif' for platform 'x86-linux': No such file or directory\n",
            ToolMissing,
            "has no massif for programs of this kind",
        ),
        (
            "vex amd64->IR: unhandled instruction bytes: 0x62 0xF1 0x7C 0x48\n"
            "==7== valgrind: Unrecognised instruction at address 0x10916d.\n",
            ToolFailed,
            "uses an instruction that this valgrind does not know",
        ),
        ("valgrind: /etc/passwd: Permission denied\n", ToolFailed, "could not start the program: /etc/passwd"),
        ("valgrind: /no: No such file or directory\n", ToolFailed, "/no: No such file or directory."),
        (
            "\nvalgrind: the 'impossible' happened:\n   LibVEX called failure_exit().\n",
            ToolFailed,
            "a fault of its own: LibVEX called failure_exit().",
        ),
        (
            "\nMassif: ms_main.c:1500 (find): Assertion 'xpt != 0' failed.\n",
            ToolFailed,
            "a fault of its own: ms_main.c:1500 (find): Assertion 'xpt != 0' failed.",
        ),
        ("Use --max-threads=INT to specify a larger number of threads\n", ToolFailed, "more threads"),
        ("==7==     Valgrind's memory management: out of memory:\n", ToolFailed, "out of memory"),
    ],
)
def test_refusals(output: str, kind: type[TailflameError], words: str) -> None:
    error = valgrind.explain(output, PLAN)
    assert isinstance(error, kind)
    assert words in error.sentence
    assert error.advice
    assert error.details == output


def test_a_good_run_is_no_failure() -> None:
    assert valgrind.explain("==7== Massif, a heap profiler\nready\n==7== \n", PLAN) is None


def compiled(folder: Path, *options: str) -> Path:
    if shutil.which("gcc") is None:
        pytest.skip("gcc is not installed")
    source, program = folder / "engine.c", folder / "engine"
    source.write_text("int main(void) { return 0; }")
    if subprocess.run(["gcc", "-O2", "-g", *options, "-o", str(program), str(source)], check=False).returncode:
        pytest.skip("gcc cannot link so here")
    return program


def levels(program: Path, **wishes: bool) -> list[tuple[Level, str]]:
    return [(found.level, found.title) for found in valgrind.checks(Target(program), Host(), **wishes)]


def test_nothing_speaks_against_an_ordinary_program(tmp_path: Path) -> None:
    assert levels(compiled(tmp_path), replaces_malloc=True) == []


def test_rights_of_its_own(tmp_path: Path) -> None:
    program = compiled(tmp_path)
    program.chmod(0o4755)
    if not os.stat(program).st_mode & 0o4000:
        pytest.skip("this file system keeps no setuid")
    assert levels(program) == [(Level.BLOCKER, "engine runs with rights of its own (setuid, setgid or capabilities).")]


def test_a_static_program_hides_its_heap(tmp_path: Path) -> None:
    program = compiled(tmp_path, "-static")
    assert levels(program) == []
    assert levels(program, replaces_malloc=True) == [
        (Level.BLOCKER, "engine is linked statically, the C library included.")
    ]


def test_so_does_a_jemalloc_under_names_of_its_own(tmp_path: Path) -> None:
    source = tmp_path / "je.c"
    source.write_text("int _rjem_mallctl(void) { return 0; } int _rjem_malloc(void) { return 0; }")
    program = compiled(tmp_path, str(source))
    assert levels(program, replaces_malloc=True) == [(Level.BLOCKER, "engine links jemalloc statically.")]
    assert levels(program) == []


def test_a_script_and_what_is_not_there(tmp_path: Path) -> None:
    script = tmp_path / "run.sh"
    script.write_text("#!/bin/sh\n")
    assert levels(script) == [(Level.WARNING, "run.sh is a script: valgrind looks at its interpreter, /bin/sh.")]
    assert levels(tmp_path / "absent") == []


@pytest.mark.tool("valgrind")
def test_the_version_of_this_machine() -> None:
    capabilities = valgrind.probe(Host())
    assert capabilities.available
    assert valgrind.version(Host())[0] >= 3
