"""As a new user would: attach to the running demo, see the slow path in p99.9, let go, and the program is as before."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from helpers.environment import refuse
from tailflame.parse import load

pytestmark = [pytest.mark.tool("bpftrace", "perf"), pytest.mark.timeout(300)]

TAILFLAME = str(Path(sys.executable).with_name("tailflame"))
ORDERS = "trading_system::engine::Engine::process_order"
SLOW_ONE_IN = 200
RATE = 2000


@pytest.fixture(autouse=True)
def root() -> None:
    if os.geteuid():
        refuse("bpftrace runs as root only")


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    return {
        **os.environ,
        "TAILFLAME_PROFILES": str(tmp_path / "profiles"),
        "TAILFLAME_CONFIG_DIR": str(tmp_path / "config"),
    }


class Engine:
    """The demo, serving; its log, histogram log and metrics."""

    def __init__(self, binary: Path, folder: Path) -> None:
        self.log, self.hlog = folder / "engine.log", folder / "latency.hlog"
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = int(free.getsockname()[1])
        self.process = subprocess.Popen(
            [
                str(binary), "--mode", "serve", "--rate", str(RATE), "--slow-path", str(SLOW_ONE_IN),
                "--log", str(self.log), "--log-every", "2", "--hlog", str(self.hlog), "--metrics-port", str(self.port),
            ],
            stdout=subprocess.PIPE,
        )  # fmt: skip
        wait_for(lambda: self.hlog.exists() and self.log.exists() and self.log.stat().st_size > 0)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/metrics"

    def metrics(self) -> str:
        with urllib.request.urlopen(self.url, timeout=10) as answer:
            text: str = answer.read().decode()
        return text

    def orders(self) -> float:
        return sum(
            float(line.rsplit(" ", 1)[1])
            for line in self.metrics().splitlines()
            if line.startswith("trading_orders_total")
        )

    def status(self, *names: str) -> dict[str, str]:
        text = Path(f"/proc/{self.process.pid}/status").read_text()
        return {
            name: value.strip()
            for name, _, value in (line.partition(":") for line in text.splitlines())
            if name in names
        }

    def end(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        self.process.communicate(timeout=30)


def wait_for(condition: Any, *, seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)


@pytest.fixture
def engine(demo_binary: Path, tmp_path: Path) -> Iterator[Engine]:
    made = Engine(demo_binary, tmp_path)
    yield made
    if made.process.poll() is None:
        made.end()


def stream(argv: list[str], environ: dict[str, str]) -> list[dict[str, Any]]:
    done = subprocess.run([TAILFLAME, *argv], capture_output=True, text=True, check=False, env=environ, timeout=200)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_attaching_shows_the_slow_path_names_the_slow_stage_and_leaves_no_trace(
    engine: Engine, environ: dict[str, str]
) -> None:
    before = engine.status("TracerPid", "SigCgt", "SigIgn", "SigBlk")
    lines = stream(
        [
            "attach", str(engine.process.pid), "--json", "-d", "8", "--cost-limit", "none",
            "-f", "process_order", "--accept-unwinding",
            "--log", str(engine.log), "--hlog", str(engine.hlog), "--prometheus", engine.url,
        ],
        environ,
    )  # fmt: skip
    failed = [line for line in lines if line.get("state") == "failed"]
    assert failed == []
    assert lines[-1]["finished"].startswith("detached")
    assert engine.status("TracerPid", "SigCgt", "SigIgn", "SigBlk") == before
    assert engine.process.poll() is None

    # The slow path shows within 2 s of the first interval.
    probed = [line for line in lines if line.get("series") == ORDERS and line["count"]]
    soon = [line for line in probed if line["time"] < probed[0]["time"] + 2.0]
    assert max(line["percentiles"]["p99.9"] for line in soon) > 10 * min(line["percentiles"]["p50"] for line in soon)
    cost = next(line for line in lines if line.get("cost") == ORDERS)
    assert cost["lost"] == 0 and cost["calls_per_s"] > 0

    # The program's own fields name the stage that makes the tail. A busy machine now and then takes the processor away
    # from another stage for longer: so most intervals have to agree, not the sum of all.
    tails = [line["tail_mean_ns"] for line in lines if line.get("tail_mean_ns")]
    slowest = [max(tail, key=tail.__getitem__) for tail in tails]
    assert Counter(slowest).most_common(1)[0][0] == "risk_check_us", tails

    # What was kept agrees with the demo's own log, tag by tag and to the last digit, over the intervals both have.
    session = Path(environ["TAILFLAME_PROFILES"]) / lines[-1]["session"]
    kept, own = load(session / "live.jsonl"), load(engine.hlog)
    assert kept.histograms is not None and own.histograms is not None
    for tag in ("validation", "risk_check", "execution"):
        ours = [h for t, h in zip(kept.histograms.tags, kept.histograms.histograms, strict=True) if t == tag]
        theirs = [h for t, h in zip(own.histograms.tags, own.histograms.histograms, strict=True) if t == tag]
        assert len(ours) >= 5
        # Two intervals may well hold as many values: the whole of the first tells where ours begin.
        figures = [(h.total, h.percentiles(), h.mean) for h in theirs]
        at = figures.index((ours[0].total, ours[0].percentiles(), ours[0].mean))
        assert [h.percentiles() for h in ours] == [h.percentiles() for h in theirs[at : at + len(ours)]]

    # The probe reads what the program reads of itself, and its own floor and cost above it.
    total = kept.histograms.whole("untagged")
    probe = kept.histograms.whole(ORDERS)
    allowed = cost["floor_ns"] + cost["per_call_ns"]
    for p in (50.0, 90.0):
        (theirs_ns,), (ours_ns,) = total.percentiles((p,)), probe.percentiles((p,))
        assert theirs_ns * 0.8 - allowed < ours_ns < theirs_ns * 1.25 + 2 * allowed, p


def test_the_endpoint_agrees_with_its_own_text(engine: Engine, environ: dict[str, str]) -> None:
    first = engine.orders()
    began = time.monotonic()
    lines = stream(
        [
            "attach",
            str(engine.process.pid),
            "--json",
            "-d",
            "5",
            "--no-counters",
            "--no-process",
            "--prometheus",
            engine.url,
        ],
        environ,
    )
    own_rate = (engine.orders() - first) / (time.monotonic() - began)
    rates = [
        line["value"]
        for line in lines
        if "trading_orders" in line.get("reading", "") and line["value"] is not None and line["unit"] == "/s"
    ]
    assert rates, {line.get("reading") for line in lines}
    assert sorted(rates)[len(rates) // 2] == pytest.approx(own_rate, rel=0.35)


def test_launched_nothing_of_the_first_second_is_missed(
    demo_binary: Path, environ: dict[str, str], tmp_path: Path
) -> None:
    own = tmp_path / "own.hlog"
    lines = stream(
        [
            "live", "--json", "-f", "process_order", "--accept-unwinding", "--cost-limit", "none", "--no-process",
            "--", str(demo_binary), "--mode", "benchmark", "--seconds", "3", "--rate", "2000",
            "--slow-path", str(SLOW_ONE_IN), "--hlog", str(own), "--log", "-", "--log-every", "1",
        ],
        environ,
    )  # fmt: skip
    assert "finished after" in lines[-1]["finished"]
    probed = sum(line["count"] for line in lines if line.get("series") == ORDERS)
    measured = load(own).histograms
    assert measured is not None
    # Every order was seen by the probe, those of the warm-up, which the program does not count, as well.
    assert probed >= measured.whole("").total
    logged = sum(line["count"] for line in lines if line.get("series") == "total_us")
    assert logged == measured.whole("").total
    supported = [line for line in lines if line.get("reading") == "page-faults" and line["value"] is not None]
    assert supported


def test_killing_tailflame_leaves_the_program_alone(engine: Engine, environ: dict[str, str]) -> None:
    before = engine.status("TracerPid", "SigCgt", "SigIgn")
    looking = subprocess.Popen(
        [TAILFLAME, "attach", str(engine.process.pid), "--json", "-f", "process_order", "--accept-unwinding", "--cpu"],
        stdout=subprocess.PIPE, text=True, env=environ,
    )  # fmt: skip
    assert looking.stdout is not None
    for line in looking.stdout:
        document = json.loads(line)
        if document.get("series") == ORDERS and document["count"]:
            break
    looking.kill()
    looking.wait()
    looking.stdout.close()
    wait_for(lambda: not _probing(engine.process.pid))
    assert engine.status("TracerPid", "SigCgt", "SigIgn") == before
    orders = engine.orders()
    wait_for(lambda: engine.orders() > orders)


def _probing(pid: int) -> bool:
    """Whether a tool that looks at `pid` still runs."""
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with contextlib.suppress(OSError):
                words = (folder / "cmdline").read_bytes().split(b"\0")
                if Path(os.fsdecode(words[0])).name in ("bpftrace", "perf") and str(pid).encode() in words:
                    return True
    return False
