"""A command that is run again and again: each run's figures are kept, a run that was cut short is not."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

# Stands for perf: starts a program and adds a line to the file when that has ended.
TOOL = """
import subprocess, sys
file, *argv = sys.argv[1:]
code = subprocess.call(argv)
with open(file, "a") as out: out.write("run\\n")
sys.exit(code if code >= 0 else 0)
"""


def command(result: Path, times: int, *program: str) -> list[str]:
    tool = [sys.executable, "-c", TOOL, str(result), *program]
    return [sys.executable, "-m", "tailflame.host.repeat", str(times), str(result), "--", *tool]


def test_every_run_adds_its_figures(tmp_path: Path) -> None:
    result = tmp_path / "result"
    assert subprocess.call(command(result, 3, "true")) == 0
    assert result.read_text() == "run\n" * 3


def test_the_exit_code_of_the_last_run_is_passed_on(tmp_path: Path) -> None:
    result = tmp_path / "result"
    assert subprocess.call(command(result, 2, sys.executable, "-c", "raise SystemExit(7)")) == 7
    assert result.read_text() == "run\n" * 2


def test_what_cannot_be_measured_is_not_tried_again(tmp_path: Path) -> None:
    counted = tmp_path / "counted"
    failing = [sys.executable, "-c", f"open({str(counted)!r}, 'a').write('x'); raise SystemExit(129)"]
    argv = [sys.executable, "-m", "tailflame.host.repeat", "5", str(tmp_path / "result"), "--", *failing]
    assert subprocess.call(argv) == 129
    assert counted.read_text() == "x"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_run_that_is_cut_short_is_taken_away_again(tmp_path: Path, number: signal.Signals) -> None:
    result, first, second = tmp_path / "result", tmp_path / "first", tmp_path / "second"
    os.mkfifo(second)
    # The first run ends by itself; the second one waits, and says that it does.
    program = (
        "import pathlib, signal\n"
        f"first, second = pathlib.Path({str(first)!r}), pathlib.Path({str(second)!r})\n"
        "again = first.exists()\n"
        "first.touch()\n"
        "second.write_text('x') and signal.pause() if again else None\n"
    )
    running = subprocess.Popen(command(result, 9, sys.executable, "-c", program))
    assert second.read_text() == "x"
    os.kill(running.pid, number)
    assert running.wait(60) == 0
    assert result.read_text() == "run\n", "the first run alone"


def test_the_only_run_is_kept_though_it_was_cut_short(tmp_path: Path) -> None:
    result, started = tmp_path / "result", tmp_path / "started"
    os.mkfifo(started)
    program = f"import pathlib, signal; pathlib.Path({str(started)!r}).write_text('x'); signal.pause()"
    running = subprocess.Popen(command(result, 9, sys.executable, "-c", program))
    assert started.read_text() == "x"
    running.terminate()
    assert running.wait(60) == 0
    assert result.read_text() == "run\n"
