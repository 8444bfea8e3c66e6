"""What every test shares: tools that may be missing, and a place of its own for settings and sessions."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from pytestqt.qtbot import QtBot

from helpers.environment import ROOT, refuse

# How long an example takes says something of the machine and what else runs there, and nothing of our code.
settings.register_profile(
    "patient", deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)
settings.load_profile("patient")

LOCAL_TOOLS = ROOT / ".tools" / "bin"


def pytest_configure(config: pytest.Config) -> None:
    # `make test` installs cargo-flamegraph and inferno here; a user's own installation wins.
    os.environ["PATH"] = os.pathsep.join([os.environ.get("PATH", ""), str(LOCAL_TOOLS)])
    # Tests must not depend on who runs them or in which language.
    os.environ.pop("DEBUGINFOD_URLS", None)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """`@pytest.mark.tool("perf")` skips where the tool is missing; in CI a missing tool is a failure."""
    for mark in item.iter_markers("tool"):
        for name in mark.args:
            if shutil.which(name) is None:
                refuse(f"{name} is not installed")


PATIENCE_MS = 30_000
"""How long a test waits for what must happen: pytest-qt's five seconds are too few on a busy machine."""


class PatientBot(QtBot):
    """pytest-qt's robot with more patience: waiting ends when the thing happens, so patience costs nothing."""

    def waitUntil(self, callback: Any, *, timeout: int = PATIENCE_MS) -> Any:
        return super().waitUntil(callback, timeout=timeout)

    def waitSignal(self, signal: Any, *, timeout: int = PATIENCE_MS, **options: Any) -> Any:
        return super().waitSignal(signal, timeout=timeout, **options)

    def waitSignals(self, signals: Any, *, timeout: int = PATIENCE_MS, **options: Any) -> Any:
        return super().waitSignals(signals, timeout=timeout, **options)


@pytest.fixture
def qtbot(qapp: Any, request: pytest.FixtureRequest) -> QtBot:
    return PatientBot(request)


@pytest.fixture(autouse=True)
def _own_settings(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No test reads or writes the user's settings and sessions."""
    home = tmp_path_factory.mktemp("user")
    monkeypatch.setenv("TAILFLAME_CONFIG_DIR", str(home / "config"))
    monkeypatch.setenv("TAILFLAME_PROFILES", str(home / "profiles"))
    # One for all tests: what a probe costs on this machine is measured once.
    monkeypatch.setenv("TAILFLAME_CACHE_DIR", str(tmp_path_factory.getbasetemp() / "cache"))
    yield
