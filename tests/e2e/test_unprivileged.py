"""The command line as a user who may do nothing special, on a program of two threads. As root: it becomes nobody."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from helpers.environment import open_to_others, refuse
from tailflame.host.system import read_setting
from tailflame.parse import load

pytestmark = [pytest.mark.beside, pytest.mark.tool("perf", "setpriv"), pytest.mark.timeout(300)]

NOBODY = 65534
# This Python may stand where others cannot look: reading is allowed, performance events are not.
AS_NOBODY = (
    *("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"),
    *("--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"),
)
TAILFLAME = (sys.executable, "-c", "import sys; from tailflame.cli.main import main; sys.exit(main())")
TWO_THREADS = ("--mode", "benchmark", "--threads", "2")


@dataclass(frozen=True)
class Nobody:
    """A user with a home of his own, where the demo is."""

    home: Path

    def tailflame(self, *words: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        environment = {
            **os.environ,
            "HOME": str(self.home),
            "TAILFLAME_PROFILES": str(self.home / "profiles"),
            "TAILFLAME_CONFIG_DIR": str(self.home / "config"),
        }
        done = subprocess.run(
            [*AS_NOBODY, *TAILFLAME, *words], env=environment, cwd=self.home, capture_output=True, text=True,
            timeout=250, check=False,
        )  # fmt: skip
        assert done.returncode == code, done.stdout + done.stderr
        return done

    def session(self) -> Path:
        (session,) = (self.home / "profiles").glob("2*")
        assert session.stat().st_uid == NOBODY
        return session


@pytest.fixture
def nobody(demo_binary: Path, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Nobody:
    if os.geteuid() != 0:
        pytest.skip("only root can become nobody")
    home = tmp_path / "home"
    home.mkdir()
    open_to_others(tmp_path, tmp_path_factory.getbasetemp())
    shutil.copy(demo_binary, home / "trading-system")
    os.chown(home, NOBODY, NOBODY)
    return Nobody(home)


def test_recording_two_threads(nobody: Nobody) -> None:
    if (paranoid := read_setting("kernel/perf_event_paranoid")) is None or paranoid > 2:
        refuse("the kernel lets nobody here record with perf")
    done = nobody.tailflame("record", "--", "./trading-system", *TWO_THREADS, "--seconds", "2")
    if paranoid == 2:
        assert "Kernel functions will be missing." in done.stderr
        assert "-e cpu-clock:u " in done.stderr or "-e cycles:u " in done.stderr
    shown = json.loads(nobody.tailflame("show", "latest", "--json").stdout)
    assert shown["result"]["threads"] >= 2
    assert shown["hotspots"][0]["name"] == "trading_system::risk::check_exposure"
    nobody.session()


@pytest.mark.parametrize(
    ("tool", "result"),
    [
        pytest.param("massif", "massif.out", marks=pytest.mark.tool("valgrind")),
        pytest.param("heaptrack", "heaptrack.zst", marks=pytest.mark.tool("heaptrack")),
        ("jemalloc", "jemalloc.heap"),
    ],
)
def test_a_heap_of_two_threads(nobody: Nobody, tool: str, result: str) -> None:
    nobody.tailflame("record", "--tool", tool, "--", "./trading-system", *TWO_THREADS, "--seconds", "0.05")
    recording = load(nobody.session() / result)
    assert recording.heap is not None and bool(recording.heap.facts.peak or recording.profile)
    shown = nobody.tailflame("show", "latest").stdout
    assert len(shown.splitlines()) > 5
