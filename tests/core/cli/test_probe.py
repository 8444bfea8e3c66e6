"""`tailflame probe`: what can be asked, and what would run, without bpftrace."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from helpers.targets import python_target
from tailflame.cli.main import main


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    status = main(["probe", *words])
    said = capsys.readouterr()
    return status, said.out, said.err


def test_without_a_recipe_it_lists_them(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = run(capsys)
    assert status == 0
    assert "Which system calls does the program make" in out and "least_us" in out
    status, out, _ = run(capsys, "--json")
    recipes = {one["name"]: one for one in json.loads(out)["recipes"]}
    assert recipes["off-cpu"]["parameters"][0]["default"] == "1"


def test_a_dry_run_shows_the_program_and_the_command(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    status, out, _ = run(capsys, "off-cpu", "--dry-run", "--set", "least_us=50", "--", "/bin/true", "a b")
    assert status == 0
    assert "(uint64)50 * 1000" in out and "pid == cpid" in out
    assert "bpftrace -f json -B line -c" in out
    with python_target("import time\nprint(flush=True)\ntime.sleep(600)") as process:
        status, out, _ = run(capsys, "cpu", "--dry-run", "--json", "--pid", str(process.pid))
    assert json.loads(out)["argv"][5:7] == ["-p", str(process.pid)]
    own = tmp_path / "own.bt"
    own.write_text("BEGIN { exit(); }")
    status, out, _ = run(capsys, "--program", str(own), "--dry-run")
    assert status == 0 and "BEGIN { exit(); }" in out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("nosuch", "--", "/bin/true"), "no recipe “nosuch”"),
        (("syscalls",), "Which program?"),
        (("syscalls", "--pid", "1", "--", "/bin/true"), "--pid looks at a running program"),
        (("calls", "--", "/bin/true"), "Function is missing"),
        (("cpu", "--set", "hertz=0", "--", "/bin/true"), "Samples lies between"),
        (("cpu", "--set", "hertz", "--", "/bin/true"), "sets nothing"),
        (("cpu", "--set", "other=1", "--", "/bin/true"), "does not ask for 'other'"),
        (("syscalls", "--function", "f", "--", "/bin/true"), "takes no function"),
        (("calls", "--function", "no_such_function", "--", "/bin/true"), "no function no_such_function"),
        (("syscalls", "--program", "x.bt"), "two things"),
        (("--program", "/nowhere.bt"), "cannot be read"),
        (("--program", "x.bt", "--set", "a=b"), "for recipes"),
        (("cpu", "-d", "-1", "--", "/bin/true"), "seconds above 0"),
        (("cpu", "--", "/nowhere/program"), "/nowhere/program"),
    ],
)
def test_what_makes_no_sense_is_a_sentence(
    capsys: pytest.CaptureFixture[str], words: tuple[str, ...], said: str
) -> None:
    status, out, err = run(capsys, *words)
    assert status not in (0, 1) and said in err and "Traceback" not in err
    assert out == ""


def test_a_program_that_is_no_text_is_refused(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    own = tmp_path / "own.bt"
    own.write_bytes(b"\xff\xfe\x00")
    assert "is no text" in run(capsys, "--program", str(own))[2]
    own.write_bytes(b"x" * (1 << 20))
    assert "longer than a program" in run(capsys, "--program", str(own))[2]
