"""The command line as a user who may do nothing special, on a program of two threads. As root: it becomes nobody."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from helpers.environment import open_to_others, refuse
from tailflame.host.system import read_setting

pytestmark = [pytest.mark.tool("perf", "setpriv"), pytest.mark.timeout(300)]

NOBODY = 65534
# This Python may stand where others cannot look: reading is allowed, performance events are not.
AS_NOBODY = (
    *("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"),
    *("--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"),
)
TAILFLAME = (sys.executable, "-c", "import sys; from tailflame.cli.main import main; sys.exit(main())")


def test_recording_two_threads_as_nobody(
    demo_binary: Path, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can become nobody")
    if (paranoid := read_setting("kernel/perf_event_paranoid")) is None or paranoid > 2:
        refuse("the kernel lets nobody here record with perf")
    home = tmp_path / "home"
    home.mkdir()
    open_to_others(tmp_path, tmp_path_factory.getbasetemp())
    shutil.copy(demo_binary, home / "trading-system")
    os.chown(home, NOBODY, NOBODY)
    environment = {
        **os.environ,
        "HOME": str(home),
        "TAILFLAME_PROFILES": str(home / "profiles"),
        "TAILFLAME_CONFIG_DIR": str(home / "config"),
    }

    def tailflame(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*AS_NOBODY, *TAILFLAME, *words], env=environment, cwd=home, capture_output=True, text=True, timeout=200,
            check=False,
        )  # fmt: skip

    done = tailflame("record", "--", "./trading-system", *["--mode", "benchmark", "--threads", "2", "--seconds", "2"])
    assert done.returncode == 0, done.stderr
    if paranoid == 2:
        assert "Kernel functions will be missing." in done.stderr
        assert "-e cpu-clock:u " in done.stderr or "-e cycles:u " in done.stderr
    shown = json.loads(tailflame("show", "latest", "--json").stdout)
    assert shown["result"]["threads"] >= 2
    assert shown["hotspots"][0]["name"] == "trading_system::risk::check_exposure"
    (session,) = (home / "profiles").glob("*trading-system*")
    assert session.stat().st_uid == NOBODY
