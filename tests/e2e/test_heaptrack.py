"""heaptrack for real: the demo's leak and its churn at their lines, launched and attached, with nothing left behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tailflame.parse import load

pytestmark = [pytest.mark.beside, pytest.mark.tool("heaptrack"), pytest.mark.timeout(300)]

TAILFLAME = (sys.executable, "-c", "import sys; from tailflame.cli.main import main; sys.exit(main())")
Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def tailflame(tmp_path: Path) -> Run:
    environment = {
        **os.environ,
        "TAILFLAME_PROFILES": str(tmp_path / "my profiles"),
        "TAILFLAME_CONFIG_DIR": str(tmp_path / "config"),
    }

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*TAILFLAME, *words],
            env=environment,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=250,
            check=False,
        )

    return run


@pytest.fixture
def running(demo_binary: Path) -> Iterator[subprocess.Popen[bytes]]:
    """The demo that leaks and churns until it is told to stop."""
    argv = [str(demo_binary), "--mode", "serve", "--leak", "1e6", "--churn", "1", "--rate", "2000"]
    demo = subprocess.Popen(argv, stdout=subprocess.DEVNULL)
    yield demo
    demo.terminate()
    try:
        assert demo.wait(30) == 0  # it ends as it would have without us
    finally:
        demo.kill()
        demo.wait()


def heap_of(run: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    assert run.returncode == 0, run.stderr
    heap: dict[str, Any] = json.loads(run.stdout)["heap"]
    return heap


def most(heap: dict[str, Any], column: str) -> dict[str, Any]:
    site: dict[str, Any] = max(heap["sites"], key=lambda s: s[column])
    return site


def test_the_leak_and_the_churn_show_at_their_lines(tailflame: Run, demo_binary: Path, tmp_path: Path) -> None:
    run = tailflame(
        *("record", "--json", "--tool", "heaptrack", "--"),
        *(str(demo_binary), "--leak", "1e6", "--churn", "1", "--seconds", "1", "--rate", "500"),
    )
    heap = heap_of(run)
    leak, churn = most(heap, "leaked"), most(heap, "temporary")
    assert leak["name"] == "trading_system::churn::remember_session"
    assert churn["name"] == "trading_system::churn::rebuild_quotes"
    assert leak["file"].endswith("src/churn.rs") and leak["line"] > 0
    assert churn["name"] in heap["pooling_candidates"]
    assert {"leak", "temporary"} <= {finding["kind"] for finding in heap["findings"]}
    facts = heap["facts"]
    assert 0 < facts["temporary"] < facts["temporary_reported"]
    # One file is left, and heaptrack's own programs read it, folder with a blank and all.
    (session,) = (tmp_path / "my profiles").glob("*heaptrack*")
    assert not list(session.glob("*.raw*"))
    text = subprocess.run(
        ["heaptrack_print", "-f", str(session / "heaptrack.zst")], capture_output=True, text=True, check=True
    ).stdout
    assert f"calls to allocation functions: {facts['allocations']:.0f} " in text
    assert f"temporary memory allocations: {facts['temporary_reported']:.0f} " in text


def test_a_program_that_is_asked_to_end_leaves_its_file(tailflame: Run, demo_binary: Path) -> None:
    run = tailflame(
        *("record", "--json", "--tool", "heaptrack", "--duration", "1", "--"),
        *(str(demo_binary), "--mode", "serve", "--leak", "1e6", "--rate", "500"),
    )
    assert heap_of(run)["facts"]["leaked"] > 100_000


@pytest.mark.tool("gdb")
def test_in_and_out_of_a_running_program(tailflame: Run, running: subprocess.Popen[bytes]) -> None:
    run = tailflame("record", "--json", "--tool", "heaptrack", "--pid", str(running.pid), "--duration", "2")
    heap = heap_of(run)
    assert most(heap, "leaked")["name"] == "trading_system::churn::remember_session"
    assert most(heap, "temporary")["name"] == "trading_system::churn::rebuild_quotes"
    assert running.poll() is None
    opened = {os.readlink(entry) for entry in Path(f"/proc/{running.pid}/fd").iterdir()}
    assert not [name for name in opened if "heaptrack" in name]
    assert not list(Path("/tmp").glob(f"heaptrack_fifo{running.pid}*"))


@pytest.mark.tool("gdb")
def test_ctrl_c_while_attached_takes_it_out_again(running: subprocess.Popen[bytes], tmp_path: Path) -> None:
    raw = tmp_path / "heap.raw"
    argv = [sys.executable, "-m", "tailflame.host.heaptrack_attach", str(running.pid), str(raw), "/usr/lib/heaptrack"]
    tool = subprocess.Popen(argv, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while not (raw.exists() and raw.stat().st_size > 10_000) and time.monotonic() < deadline:
        time.sleep(0.05)
    tool.send_signal(signal.SIGINT)
    _, words = tool.communicate(timeout=100)
    assert (tool.returncode, words) == (0, "heaptrack: recording\nheaptrack: taken out\n")
    assert str(raw) not in {os.readlink(entry) for entry in Path(f"/proc/{running.pid}/fd").iterdir()}
    heap = load(raw).heap
    assert heap is not None
    assert heap.facts.allocations


def test_what_a_script_starts_is_recorded_when_it_is_asked_for(
    tailflame: Run, demo_binary: Path, tmp_path: Path
) -> None:
    script = tmp_path / "start both.sh"
    script.write_text(
        f"#!/bin/sh\n'{demo_binary}' --seconds 1 --rate 50\n'{demo_binary}' --seconds 1 --rate 50 --leak 1e6\n"
    )
    script.chmod(0o755)
    run = tailflame("record", "--json", "--tool", "heaptrack", "--set", "children=yes", "--", str(script))
    assert run.returncode == 0, run.stderr
    (session,) = (tmp_path / "my profiles").glob("*heaptrack*")
    files = sorted(session.glob("heaptrack.*.zst"))
    leaked = sorted(heap.facts.leaked or 0 for heap in (load(path).heap for path in files) if heap is not None)
    assert leaked[-1] > 500_000 > leaked[-2]
