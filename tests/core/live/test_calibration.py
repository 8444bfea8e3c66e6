"""What probes cost: kept where it holds, measured again where it does not, unknown where it cannot be measured."""

from __future__ import annotations

import asyncio
import json
import math
import subprocess
from pathlib import Path

import pytest

import tailflame_resources
from helpers.loop import in_loop
from tailflame.errors import ToolDenied, ToolFailed
from tailflame.host.functions import functions_of
from tailflame.host.probe_safety import FirstInstruction, judge
from tailflame.live import calibration
from tailflame.live.calibration import Calibration, calibrate
from tailflame.live.launcher import Running
from tailflame.live.probe_program import ProbeRequest
from tailflame_resources import bundled

SOURCE = Path(tailflame_resources.__file__).parent / "bpftrace" / "calibrate.S"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TAILFLAME_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache" / "probe-calibration.json"


def kept(key: str) -> str:
    figures = {"emulated": 1000.0, "endbr64": 11000.0, "single-stepped": 12000.0}
    known = {"floors_ns": figures, "per_call_ns": figures, "per_slow_call_ns": 5000.0}
    return json.dumps({"key": key, "when": 1.5, **known})


async def never(request: ProbeRequest) -> Running:
    raise ToolFailed("nobody should have measured.")


async def denied(request: ProbeRequest) -> Running:
    raise ToolDenied("bpftrace runs as root alone.")


def test_what_is_known_is_not_measured_again(cache: Path) -> None:
    cache.parent.mkdir()
    cache.write_text(kept(calibration._key()))
    known = asyncio.run(calibrate(never))
    assert known.problem == "" and known.when == 1.5
    assert known.floor_ns(FirstInstruction.EMULATED) == 1000
    assert known.per_call_ns(FirstInstruction.STEPPED) == 12000
    assert math.isnan(known.per_call_ns(FirstInstruction.UNKNOWN))


@pytest.mark.parametrize("text", ["", "{", "[]", "null", kept("another kernel"), kept("K").replace("1000.0", "-1"),
                                  kept("K").replace("endbr64", "nop"), kept("K").replace("1000.0", "NaN"),
                                  '{"key": "K"}', kept("K").replace("11000.0", '"x"')])  # fmt: skip
def test_what_does_not_hold_is_not_used(cache: Path, text: str) -> None:
    cache.parent.mkdir()
    cache.write_text(text)
    assert calibration._read(cache, "K") is None
    cache.write_text(kept("K"))
    assert calibration._read(cache, "K") is not None


@pytest.mark.skipif(calibration.platform.machine() != calibration.MACHINE, reason="calibrates on x86-64 alone")
def test_without_permission_it_is_refused_and_other_problems_are_told(cache: Path) -> None:
    with pytest.raises(ToolDenied):
        asyncio.run(calibrate(denied))
    failed = asyncio.run(calibrate(never))
    assert failed.problem == "nobody should have measured."
    assert math.isnan(failed.floor_ns(FirstInstruction.EMULATED))
    assert not cache.exists()


@in_loop
async def test_on_another_processor_it_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.machine", lambda: "aarch64")
    unknown = await calibrate(never)
    assert "aarch64" in unknown.problem


def test_figures_are_kept_and_read_back(cache: Path) -> None:
    figures = {first: 10.0 + n for n, first in enumerate(calibration._SYMBOLS)}
    made = Calibration(floors=figures, per_call=figures, per_slow_call_ns=5600.5, when=2.0)
    calibration._write(cache, "K", made)
    assert calibration._read(cache, "K") == made
    (cache.parent / "file").write_text("")
    calibration._write(cache.parent / "file" / "x", "K", made)  # no folder: it is measured again next time


def test_the_bundled_target_has_the_classes_that_it_stands_for(tmp_path: Path) -> None:
    binary = tmp_path / "calibrate"
    binary.write_bytes(bundled.calibration_target())
    table = functions_of(binary)
    functions = [found for symbol in calibration._SYMBOLS.values() for found in table.match(symbol)]
    verdict = judge(binary, functions)
    assert verdict.allowed
    assert tuple(probed.first for probed in verdict.probed) == tuple(calibration._SYMBOLS)


@pytest.mark.tool("gcc", "objcopy")
def test_the_bundled_target_is_its_source(tmp_path: Path) -> None:
    """Its code, at least: what the linker writes around it differs between versions."""
    if calibration.platform.machine() != calibration.MACHINE:
        pytest.skip("assembles x86-64")
    options = ["-nostdlib", "-static", "-no-pie", "-Wl,--build-id=none", "-Wl,-z,noseparate-code"]
    subprocess.run(["gcc", *options, "-o", "made", str(SOURCE)], cwd=tmp_path, check=True, timeout=60)
    (tmp_path / "shipped").write_bytes(bundled.calibration_target())
    code = []
    for name in ("made", "shipped"):
        argv = ["objcopy", "-O", "binary", "--only-section=.text", name, f"{name}.text"]
        subprocess.run(argv, cwd=tmp_path, check=True, timeout=60)
        code.append((tmp_path / f"{name}.text").read_bytes())
    # `lea functions(%rip)` depends on where the linker puts .rodata.
    assert len(code[0]) == len(code[1])
    assert sum(a != b for a, b in zip(*code, strict=True)) <= 4
