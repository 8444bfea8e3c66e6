"""A large cachegrind file from disk to costs of lines and a profile, beside cg_annotate on the same file.

    python benchmarks/cachegrind.py [--megabytes N] [--runs N] [--sample FILE]

The file is a real one over and over, each time with other functions. Every run is a process of its own, its start
included. cg_annotate runs as it comes: it keeps what each line costs, as we do, and finds no sources. Printed are the
least wall clock and processor time of the runs, which tell of the work where the machine is busy with something else,
and the most memory.
"""

from __future__ import annotations

import argparse
import gzip
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

DATA = Path(__file__).resolve().parent.parent / "tests" / "data"
SAMPLE = DATA / "cachegrind" / "3.19.0" / "trading-hostile.out.gz"
OURS = "import sys; from pathlib import Path; from tailflame.parse import load; load(Path(sys.argv[1]))"
_FUNCTION = re.compile(r"^(fn=.*)$", re.MULTILINE)


@dataclass(frozen=True)
class Run:
    wall_s: float
    cpu_s: float
    memory_mb: float


def text_of(path: Path) -> str:
    return gzip.decompress(path.read_bytes()).decode() if path.suffix == ".gz" else path.read_text()


def write(sample: Path, megabytes: int, to: Path) -> int:
    """Writes the file; its size in bytes."""
    head, body = text_of(sample).split("fl=", 1)
    body, summary = ("fl=" + body).rsplit("summary:", 1)
    copies = max(megabytes * 1_000_000 // len(body), 1)
    with to.open("w") as stream:
        stream.write(head)
        for copy in range(copies):
            stream.write(_FUNCTION.sub(rf"\1.{copy}", body))
        sums = " ".join(str(int(word) * copies) for word in summary.split())
        stream.write(f"summary: {sums}\n")
    return to.stat().st_size


def run(argv: Sequence[str]) -> Run:
    began = time.monotonic()
    environment = {**os.environ, "LC_ALL": "C"}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # as an installed application starts: its modules compiled
    child = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment)
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise SystemExit(f"{argv[0]} failed with {child.returncode}: {' '.join(argv)}")
    return Run(time.monotonic() - began, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


def least(runs: Sequence[Run]) -> Run:
    return Run(min(r.wall_s for r in runs), min(r.cpu_s for r in runs), max(r.memory_mb for r in runs))


def beside(rival: str, sample: Path, make: Callable[[Path, int, Path], int], about: str | None) -> int:
    """Runs both by turns on a file that `make` writes, and prints how much faster we are."""
    options = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument(
        "--megabytes", type=int, default=20, help="size of the file (20; 200 for the full measurement)"
    )
    options.add_argument("--runs", type=int, default=2, help="runs of each (2)")
    options.add_argument("--sample", type=Path, default=sample, help="the file that is repeated")
    asked = options.parse_args()
    with tempfile.TemporaryDirectory(prefix="tailflame-") as folder:
        path = Path(folder, "large.out")
        size = make(asked.sample, asked.megabytes, path)
        print(f"{size / 1e6:.0f} MB, {asked.runs} runs of each; load of the machine {os.getloadavg()[0]:.1f}")
        ours, theirs = [], []
        for _ in range(asked.runs):
            ours.append(run([sys.executable, "-c", OURS, str(path)]))
            theirs.append(run([rival, str(path)]))
    mine, other = least(ours), least(theirs)
    for name, figures in (("tailflame", mine), (rival, other)):
        print(f"{name:20} {figures.wall_s:8.2f} s   {figures.cpu_s:8.2f} s CPU   {figures.memory_mb:6.0f} MB")
    print(f"{other.wall_s / mine.wall_s:.1f} times faster by the clock, {other.cpu_s / mine.cpu_s:.1f} times less work")
    return 0


if __name__ == "__main__":
    sys.exit(beside("cg_annotate", SAMPLE, write, __doc__))
