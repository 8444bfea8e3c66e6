"""A program that gets jemalloc: by its own variable, or preloaded."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tailflame.host import with_jemalloc
from tailflame.host.with_jemalloc import NO_LIBRARY, main, preloaded, set_up


def compiled(folder: Path, text: str) -> Path:
    if shutil.which("gcc") is None:
        pytest.skip("gcc is not installed")
    source, program = folder / "engine.c", folder / "engine"
    source.write_text(text)
    subprocess.run(["gcc", "-o", str(program), str(source)], check=True)
    return program


def test_a_program_that_links_it_is_told_by_its_own_variable(tmp_path: Path) -> None:
    program = compiled(tmp_path, "int _rjem_mallctl(void) { return 0; } int main(void) { return 0; }")
    environment: dict[str, str] = {}
    assert set_up(program, "prof:true", environment) == ""
    assert environment == {"_RJEM_MALLOC_CONF": "prof:true"}


def test_another_gets_it_preloaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(with_jemalloc, "preload_library", lambda: Path("/usr/lib/libjemalloc.so.2"))
    environment = {"LD_PRELOAD": "/opt/hook.so"}
    assert set_up(tmp_path / "run.sh", "prof:true", environment) == ""
    assert environment == {"MALLOC_CONF": "prof:true", "LD_PRELOAD": "/usr/lib/libjemalloc.so.2:/opt/hook.so"}
    assert preloaded("l.so", "a") == {"MALLOC_CONF": "a", "LD_PRELOAD": "l.so"}


def test_without_a_library_it_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(with_jemalloc, "preload_library", lambda: None)
    assert main(["prof:true", "--", str(tmp_path / "engine")]) == 127
    assert NO_LIBRARY in capsys.readouterr().err


def test_it_becomes_the_program_with_its_arguments_and_its_end() -> None:
    argv = [
        sys.executable,
        "-m",
        "tailflame.host.with_jemalloc",
        "prof:false",
        "--",
        "sh",
        "-c",
        'echo "$0 $$"; exit 7',
        "a b",
    ]
    process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    out, said = process.communicate(timeout=60)
    if NO_LIBRARY in said:
        pytest.skip("libjemalloc is not installed")
    assert out.split() == ["a", "b", str(process.pid)]
    assert process.returncode == 7
