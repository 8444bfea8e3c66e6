"""strace for real: what the demo target writes is found, and so is what a running program does, by nobody special."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from helpers.environment import open_to_others

pytestmark = [pytest.mark.beside, pytest.mark.tool("strace"), pytest.mark.timeout(300)]

NOBODY = 65534
# This Python may stand where others cannot look: reading is allowed, tracing another user's programs is not.
AS_NOBODY = (
    *("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"),
    *("--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"),
)
TAILFLAME = (sys.executable, "-c", "import sys; from tailflame.cli.main import main; sys.exit(main())")
# Two threads that sleep a little, and look for what is not there.
LOOKER = """
import os, threading, time
def look():
    while True:
        time.sleep(0.002)
        os.path.exists("/nosuch/file")
threading.Thread(target=look, daemon=True).start()
print("ready", flush=True)
look()
"""


@pytest.fixture
def tailflame(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    environment = {
        **os.environ,
        "TAILFLAME_PROFILES": str(tmp_path / "profiles"),
        "TAILFLAME_CONFIG_DIR": str(tmp_path / "config"),
    }

    def run(*words: str, who: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*who, *TAILFLAME, *words], env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=200,
            check=False,
        )  # fmt: skip

    return run


Run = Callable[..., subprocess.CompletedProcess[str]]


def recorded(tailflame: Run, *words: str) -> dict[str, Any]:
    done = tailflame("record", "--json", "--tool", "strace", *words)
    assert done.returncode == 0, done.stderr
    document: dict[str, Any] = json.loads(done.stdout)
    return document


def demo(binary: Path, journal: Path) -> tuple[str, ...]:
    return (str(binary), "--log", str(journal), "--log-every", "10", "--seconds", "1", "--rate", "4000")


def by_name(rows: list[dict[str, Any]], key: str = "name") -> dict[str, dict[str, Any]]:
    return {row[key]: row for row in rows}


def table_of(session: Path) -> dict[str, tuple[int, int]]:
    """Calls and errors of strace's own table at the end of the session's log."""
    lines = (session / "strace.log").read_text(errors="replace").splitlines()
    begin = next(at for at, line in enumerate(lines) if line.startswith("% time"))
    found = {}
    for line in lines[begin + 2 :]:
        words = line.split()
        if len(words) in (5, 6) and words[-1] != "total" and not words[-1].startswith("-"):
            found[words[-1]] = (int(words[3]), int(words[4]) if len(words) == 6 else 0)
    return found


def test_the_journal_writes_of_the_demo_show(demo_binary: Path, tailflame: Run, tmp_path: Path) -> None:
    journal = tmp_path / "the journal.jsonl"
    calls = recorded(tailflame, "-n", "2000", "--", *demo(demo_binary, journal))["syscalls"]
    assert calls["single_calls"]
    lines = len(journal.read_text().splitlines())
    place = by_name(calls["places"], "place")[str(journal)]
    assert f"write {lines:,}" in place["by"] and place["max_ns"] > 0
    (session,) = (tmp_path / "profiles").glob("*strace*")
    theirs = table_of(session)
    ours = {row["name"]: (row["calls"], row["errors"]) for row in calls["calls"]}
    assert ours == theirs, "calls and errors are those of strace's own table of the same run"
    shown = json.loads(tailflame("show", "latest", "--json", "-n", "2000").stdout)
    assert shown["syscalls"] == calls


def test_a_filter_keeps_only_what_was_asked_for(demo_binary: Path, tailflame: Run, tmp_path: Path) -> None:
    journal = tmp_path / "journal.jsonl"
    words = ("--set", "calls=list", "--set", "names=write,fsync", "--", *demo(demo_binary, journal))
    document = recorded(tailflame, *words)
    assert "--seccomp-bpf" in (tmp_path / next((tmp_path / "profiles").glob("*strace*")) / "session.json").read_text()
    assert [row["name"] for row in document["syscalls"]["calls"]] == ["write"]
    assert by_name(document["syscalls"]["places"], "place")[str(journal)]["calls"] > 100


def test_sums_alone(demo_binary: Path, tailflame: Run, tmp_path: Path) -> None:
    words = ("--set", "mode=summary", "--", *demo(demo_binary, tmp_path / "journal.jsonl"))
    calls = recorded(tailflame, *words)["syscalls"]
    assert not calls["single_calls"]
    write = by_name(calls["calls"])["write"]
    assert write["calls"] >= len((tmp_path / "journal.jsonl").read_text().splitlines())
    assert write["p99_ns"] is None and write["max_ns"] > 0


def test_a_running_program_is_looked_at_and_left_alone(tailflame: Run) -> None:
    with subprocess.Popen([sys.executable, "-c", LOOKER], stdout=subprocess.PIPE, text=True) as looker:
        try:
            assert looker.stdout is not None and looker.stdout.readline() == "ready\n"
            document = recorded(tailflame, "--pid", str(looker.pid), "--duration", "1")
            assert looker.poll() is None, "it runs on"
            rows = by_name(document["syscalls"]["calls"])
            looks = [row for name, row in rows.items() if name in ("newfstatat", "stat", "statx")]
            assert sum(row["errors"] for row in looks) > 10 and "ENOENT" in looks[0]["failures"]
            assert len({call["thread"] for call in document["syscalls"]["slowest"]}) == 2
            assert by_name(document["syscalls"]["places"], "place")["/nosuch/file"]["errors"] > 10
        finally:
            looker.kill()


def test_a_stopped_run_keeps_what_is_there(demo_binary: Path, tmp_path: Path) -> None:
    environment = {**os.environ, "TAILFLAME_PROFILES": str(tmp_path / "p"), "TAILFLAME_CONFIG_DIR": str(tmp_path / "c")}
    program = (str(demo_binary), "--mode", "serve", "--rate", "2000")
    command = [*TAILFLAME, "record", "--json", "--tool", "strace", "--", *program]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True, cwd=tmp_path) as running:
        until = time.monotonic() + 60
        while not any(log.stat().st_size > 100_000 for log in tmp_path.glob("p/*/strace.log")):
            assert running.poll() is None and time.monotonic() < until
            time.sleep(0.05)
        running.send_signal(signal.SIGINT)
        said, _ = running.communicate(timeout=60)
    document = json.loads(said)
    assert by_name(document["syscalls"]["calls"])["clock_nanosleep"]["calls"] > 100


def test_as_nobody(demo_binary: Path, tailflame: Run, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """One's own program can be traced, another user's cannot; and that is told."""
    if os.geteuid() != 0:
        pytest.skip("only root can become nobody")
    if shutil.which("setpriv") is None:
        pytest.skip("setpriv is not installed")
    open_to_others(tmp_path, tmp_path_factory.getbasetemp())
    program = tmp_path / "trading-system"
    shutil.copy(demo_binary, program)
    os.chown(tmp_path, NOBODY, NOBODY)
    words = ("record", "--json", "--tool", "strace", "--", *demo(program, tmp_path / "journal.jsonl"))
    done = tailflame(*words, who=AS_NOBODY)
    assert done.returncode == 0, done.stderr
    rows = by_name(json.loads(done.stdout)["syscalls"]["places"], "place")
    assert str(tmp_path / "journal.jsonl") in rows
    with subprocess.Popen([sys.executable, "-c", LOOKER], stdout=subprocess.PIPE, text=True) as looker:
        try:
            assert looker.stdout is not None and looker.stdout.readline() == "ready\n"
            refused = tailflame("record", "--force", "--tool", "strace", "--pid", str(looker.pid), "--duration", "1",
                                who=AS_NOBODY)  # fmt: skip
            assert refused.returncode != 0
            assert "belongs to root" in refused.stderr or "let this user trace" in refused.stderr, refused.stderr
            assert looker.poll() is None
        finally:
            looker.kill()
