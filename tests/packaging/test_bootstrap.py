"""The set-up script on machines that lack something: it says what, and how to get it, and goes on where it can."""

from __future__ import annotations

import importlib.util
import subprocess
from pathlib import Path
from types import ModuleType

import pytest

from helpers.environment import ROOT


@pytest.fixture
def bootstrap() -> ModuleType:
    spec = importlib.util.spec_from_file_location("bootstrap", ROOT / "scripts" / "bootstrap.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_without_root_the_one_command_is_printed(
    bootstrap: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(bootstrap.shutil, "which", lambda name: "/usr/bin/dpkg-query" if name == "dpkg-query" else None)
    monkeypatch.setattr(bootstrap, "installed", lambda package: package == "libegl1")
    monkeypatch.setattr(bootstrap.os, "geteuid", lambda: 1000)
    bootstrap.system_packages(("libegl1", "linux-perf", "binutils"))
    assert "sudo apt-get install -y --no-install-recommends linux-perf binutils" in capsys.readouterr().out


def test_root_installs_only_what_is_missing(bootstrap: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[list[str]] = []

    def record(argv: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        ran.append(argv)
        return subprocess.CompletedProcess(argv, 0, "", "")

    monkeypatch.setattr(bootstrap, "installed", lambda package: package == "libegl1")
    monkeypatch.setattr(bootstrap.os, "geteuid", lambda: 0)
    monkeypatch.setattr(bootstrap.subprocess, "run", record)
    monkeypatch.setattr(bootstrap.shutil, "which", lambda name: f"/usr/bin/{name}")
    bootstrap.system_packages(("libegl1", "linux-perf"))
    assert ran[-1] == ["apt-get", "install", "-y", "--no-install-recommends", "linux-perf"]
    ran.clear()
    bootstrap.system_packages(("libegl1",))
    assert ran == []


def test_without_cargo_the_demo_falls_back_and_says_so(
    bootstrap: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(bootstrap, "find_cargo", lambda: None)
    assert bootstrap.demo_target() is False
    assert "sample session" in capsys.readouterr().out


def test_debians_own_cargo_is_too_old(
    bootstrap: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    cargo = tmp_path / "cargo"
    cargo.write_text("#!/bin/sh\necho 'cargo 1.65.0 (4bc8f24d3 2022-10-20)'\n")
    cargo.chmod(0o755)
    monkeypatch.setattr(bootstrap, "find_cargo", lambda: str(cargo))
    assert bootstrap.demo_target() is False
    said = capsys.readouterr().out
    assert "cargo 1.65.0" in said and "too old" in said and "sample session" in said


def test_versions_compare_as_numbers(bootstrap: ModuleType) -> None:
    assert bootstrap.numbers("cargo 1.95.0 (f2d3ce0bd 2026-03-21)") > bootstrap.numbers("1.9")
