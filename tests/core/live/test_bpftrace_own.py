"""A program of one's own for a user who is not root: asked for each time, and in the words that the dialog shows."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers.environment import ROOT
from helpers.loop import in_loop
from tailflame.errors import ToolDenied, ToolMissing
from tailflame.live import bpftrace_own
from tailflame.live.bpftrace_own import LONGEST, beginning, digest, own_argv, start_own, why_not
from tailflame.live.bpftrace_start import RecipeRequest, recipes_as_ourselves
from tailflame.parse.bpftrace_bundled import recipe_named

RUNNER = ROOT / "packaging" / "helper" / "tailflame-run-program"
HELLO = 'BEGIN { printf("hello\\n"); @n = 3; exit(); }'


@pytest.fixture
def user(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """As one who is not root, with a folder for a pkexec that plays its part."""
    monkeypatch.setattr(bpftrace_own.os, "geteuid", lambda: 1000)
    monkeypatch.setattr(bpftrace_own, "RUNNER", RUNNER)
    monkeypatch.setattr(bpftrace_own, "ACTION", RUNNER)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    return tmp_path


def pkexec(folder: Path, text: str) -> None:
    path = folder / "pkexec"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def test_what_the_dialog_shows() -> None:
    argv = own_argv("BEGIN {\n  exit();\n}\n", 4711)
    assert argv[0] == "pkexec" and argv[2] == str(bpftrace_own.RUNNER)
    assert argv[3:] == (
        "--sha256", hashlib.sha256(b"BEGIN {\n  exit();\n}\n").hexdigest(), "--pid", "4711", "--begins",
        "BEGIN { exit(); }",
    )  # fmt: skip


@given(st.text())
def test_the_beginning_is_one_short_line(program: str) -> None:
    assert len(beginning(program)) <= bpftrace_own.SHOWN
    assert not set("\n\r\t\v\f") & set(beginning(program))


@in_loop
async def test_the_text_goes_over_stdin_and_never_into_the_command(user: Path) -> None:
    pkexec(user, f'printf "%s\\n" "$@" > {user}/argv; echo \'{{"a": 1}}\'; exec cat > {user}/stdin')
    program = "BEGIN { }\n" * 50
    running = await start_own(program, None)
    async for line in running.lines():
        assert line == b'{"a": 1}'
        running.interrupt()
    assert await running.wait() == 0
    said = (user / "argv").read_text()
    assert digest(program) in said and program not in said
    head, _, text = (user / "stdin").read_text().partition("\n")
    assert json.loads(head) == {"bytes": len(program)} and text == program


@pytest.mark.parametrize(("status", "words"), [(126, "not given"), (127, "Nobody can ask you")])
@in_loop
async def test_who_says_no_is_heard(user: Path, status: int, words: str) -> None:
    pkexec(user, f"echo 'Error creating textual authentication agent' >&2; exit {status}")
    running = await start_own(HELLO, None)
    with pytest.raises(ToolDenied, match=words):
        await running.wait()


@in_loop
async def test_giving_up_ends_the_question(user: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bpftrace_own, "_END_S", 0.01)
    pkexec(user, "exec sleep 600")
    running = await start_own(HELLO, None)
    assert await running.stop(grace_s=0.01) != 0
    assert running.stderr_text() == ""


@pytest.mark.tool("bpftrace")
@pytest.mark.skipif(os.getuid() != 0, reason="pkexec is played by root")
@in_loop
async def test_what_was_shown_runs_as_root(user: Path) -> None:
    pkexec(user, 'shift; exec env -i PKEXEC_UID=65534 "$@"')
    running = await start_own(HELLO, None)
    lines = [json.loads(line) async for line in running.lines() if line.strip()]
    assert await running.wait() == 0
    assert {"type": "map", "data": {"@n": 3}} in lines


@in_loop
async def test_without_the_helper_it_says_what_is_missing(user: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pkexec(user, "exit 0")
    assert why_not() == ""
    monkeypatch.setattr(bpftrace_own, "ACTION", user / "nowhere")
    assert "helper is not installed" in why_not()
    with pytest.raises(ToolMissing, match="cannot be run"):
        await start_own(HELLO, None)
    monkeypatch.setattr(shutil, "which", lambda _name: None)
    assert "pkexec is not installed" in why_not()


@in_loop
async def test_a_program_has_a_length(user: Path) -> None:
    pkexec(user, "exit 0")
    with pytest.raises(ToolDenied, match="longer"):
        await start_own("x" * (LONGEST + 1), None)


@in_loop
async def test_root_runs_it_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bpftrace_own.os, "geteuid", lambda: 0)
    seen: list[tuple[str, ...]] = []

    async def launch(argv: tuple[str, ...], **_more: object) -> None:
        seen.append(tuple(argv))

    await start_own(HELLO, 7, launch=launch)  # type: ignore[arg-type]
    assert seen == [("bpftrace", "-f", "json", "-B", "line", "-p", "7", "-e", HELLO, "7")]


@in_loop
async def test_a_recipe_is_composed_for_its_process() -> None:
    seen: list[tuple[str, ...]] = []

    async def launch(argv: tuple[str, ...], **_more: object) -> None:
        seen.append(tuple(argv))

    recipe = recipe_named("syscalls")
    assert recipe is not None
    await recipes_as_ourselves(launch)(RecipeRequest(recipe=recipe, values={}, pid=7))  # type: ignore[arg-type]
    assert seen[0][5:7] == ("-p", "7") and "/pid == 7/" in seen[0][8]
