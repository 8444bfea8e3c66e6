"""A large perf.data file from disk to a complete flame graph's data, beside perf and hotspot on the same file.

    python benchmarks/perf_data.py [--file PERF_DATA] [--samples N] [--runs N] [--limit SECONDS] [--skip NAME ...]

Every run is a process of its own. Ours starts with an empty cache of debug information, and is timed twice: until the
first picture (symbols), and until inlined functions and source lines are in it. perf script is run as Tailflame used to
run it (--no-inline) and as it comes; a run that is not ready after --limit seconds counts as that long, with a ">".
Printed are medians of the wall clock, of processor time (all processes and threads, which tells of the work where the
machine is busy with something else), and the most memory that the largest process of a run held.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from perf_data_input import SAMPLES, write

ROOT = Path(__file__).resolve().parent.parent
DEMO = ROOT / "resources/demo/trading-system/target/release-with-debug/trading-system"
PARSERS = (
    "/usr/lib/x86_64-linux-gnu/libexec/hotspot-perfparser",
    "/usr/lib/aarch64-linux-gnu/libexec/hotspot-perfparser",
    "/usr/libexec/hotspot-perfparser",
)
FIRST = """
import os, sys
from pathlib import Path
from tailflame.parse import load
def early(recording):
    os._exit(0)
load(Path(sys.argv[1]), early=early)
"""
WHOLE = """
import sys
from pathlib import Path
from tailflame.parse import load
load(Path(sys.argv[1]), early=lambda recording: None)
"""


@dataclass(frozen=True)
class Run:
    wall_s: float
    cpu_s: float
    memory_mb: float
    ended: bool


def run(argv: Sequence[str], limit_s: float, cache: Path) -> Run:
    environment = {**os.environ, "LC_ALL": "C", "PAGER": "cat", "XDG_CACHE_HOME": str(cache), "DEBUGINFOD_URLS": ""}
    began = time.monotonic()
    child = subprocess.Popen(
        argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment
    )
    killed = threading.Event()

    def stop() -> None:
        killed.set()
        child.kill()

    timer = threading.Timer(limit_s, stop)
    timer.start()
    _, status, usage = os.wait4(child.pid, 0)
    timer.cancel()
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode and not killed.is_set():
        raise SystemExit(f"{argv[0]} failed with {child.returncode}: {' '.join(argv)}")
    return Run(time.monotonic() - began, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, not killed.is_set())


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--file", type=Path)
    options.add_argument("--samples", type=int, default=SAMPLES)
    options.add_argument("--runs", type=int, default=5)
    options.add_argument("--limit", type=float, default=600.0)
    options.add_argument("--skip", nargs="*", default=[])
    asked = options.parse_args()
    parser = next((path for path in PARSERS if Path(path).exists()), shutil.which("hotspot-perfparser") or "")
    with tempfile.TemporaryDirectory() as folder:
        path = asked.file or Path(folder) / "perf.data"
        if asked.file is None:
            write(path, DEMO, samples=asked.samples)
        print(f"{path.stat().st_size / 1e6:.0f} MB")
        out = Path(folder) / "out.perfparser"
        programs: dict[str, list[str]] = {
            "first picture": [sys.executable, "-c", FIRST, str(path)],
            "whole": [sys.executable, "-c", WHOLE, str(path)],
            "perf script --no-inline": ["perf", "script", "-f", "--no-inline", "-i", str(path)],
            "perf report": ["perf", "report", "-f", "--stdio", "--no-inline", "-g", "none", "-i", str(path)],
            "hotspot-perfparser": [parser, "--input", str(path), "--output", str(out), "--max-frames", "1024"],
            "perf script": ["perf", "script", "-f", "-i", str(path)],
        }
        ours = 0.0
        for name, argv in programs.items():
            if name in asked.skip or not argv[0] or shutil.which(argv[0]) is None:
                print(f"{name:24} not run")
                continue
            runs: list[Run] = []
            for number in range(asked.runs):
                runs.append(run(argv, asked.limit, Path(folder) / f"cache-{name}-{number}"))
                if not runs[-1].ended:
                    break
            wall = statistics.median(one.wall_s for one in runs)
            cpu = statistics.median(one.cpu_s for one in runs)
            memory = statistics.median(one.memory_mb for one in runs)
            if name == "whole":
                ours = cpu
            mark = " " if runs[-1].ended else ">"
            ratio = f"whole / this = {ours / cpu:.3f}" if ours else ""
            print(f"{name:24} {mark}{wall:8.2f} s wall {mark}{cpu:8.2f} s processor {memory:8.0f} MB  {ratio}")
            out.unlink(missing_ok=True)


if __name__ == "__main__":
    main()
