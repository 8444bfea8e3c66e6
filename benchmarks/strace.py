"""How many lines of a strace log are read a second, and what the simplest script that sums up calls takes for them.

    strace.py [--lines N] [--rounds R]

The log is that of the demo target with two engines (tests/data/strace), again and again: many lines are halves of calls
that another thread came between. Both read it R times in turn; the best of each counts, by the clock, and beside it
what it took of all processors: Tailflame reads with two threads. It keeps every call; awk counts calls, errors
and time by name, as `strace -c` does. The log's own memory is not held: "memory" is what the process grew to, columns
and profile included.
"""

from __future__ import annotations

import argparse
import gzip
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SAMPLE = ROOT / "tests" / "data" / "strace" / "6.1" / "trading.log.gz"
OURS = """
import sys, time
from pathlib import Path
from tailflame.parse import load
began = time.monotonic()
calls = len(load(Path(sys.argv[1]), format="strace-log").syscalls)
print(time.monotonic() - began, calls)
"""
AWK = r"""
{
  if (match($0, /[a-z_][a-z0-9_]*\(/)) {
    name = substr($0, RSTART, RLENGTH - 1)
    calls[name]++
    if (match($NF, /^<[0-9.]+>$/)) seconds[name] += substr($NF, 2, length($NF) - 2)
    if (index($0, " = -1 E")) errors[name]++
  }
}
END { for (name in calls) print name, calls[name], errors[name], seconds[name] }
"""


def sample() -> tuple[bytes, int]:
    """The log without its table, and its lines."""
    text = gzip.decompress(SAMPLE.read_bytes())
    text = text[: text.index(b"% time")]
    return text, text.count(b"\n")


def run(argv: list[str]) -> tuple[float, float, float, str]:
    """(seconds, CPU seconds, MB at most, what it printed) of a process of its own."""
    # As an installed application starts: its modules compiled.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    began = time.monotonic()
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        said = process.stdout.read()
        _pid, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{argv[0]} ended with {process.returncode}")
    return time.monotonic() - began, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1000, said


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--lines", type=int, default=1_000_000)
    options.add_argument("--rounds", type=int, default=3)
    asked = options.parse_args()
    awk = shutil.which("mawk") or shutil.which("gawk") or shutil.which("awk")
    text, length = sample()
    times = max(asked.lines // length, 1)
    lines = times * length
    ours: list[tuple[float, float, float]] = []
    rival: list[tuple[float, float, float]] = []
    calls = 0
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder, "strace.log")
        with log.open("wb") as file:
            for _ in range(times):
                file.write(text)
        size, load = log.stat().st_size / 1e6, os.getloadavg()[0]
        print(f"{lines:,} lines, {size:,.0f} MB; load {load:.1f} on {os.cpu_count()} CPUs")
        for _ in range(asked.rounds):
            _seconds, cpu, memory, said = run([sys.executable, "-c", OURS, str(log)])
            seconds, held = said.split()
            ours.append((float(seconds), cpu, memory))
            calls = int(held)
            if awk is not None:
                whole, cpu, memory, _said = run([awk, AWK, str(log)])
                rival.append((whole, cpu, memory))
    for name, found in (("tailflame", ours), (Path(awk).name if awk else "", rival)):
        if found:
            best, cpu, memory = min(found)
            print(f"{name:10} {best:7.2f} s {cpu:7.2f} s CPU {lines / best:12,.0f} lines/s {memory:8,.0f} MB")
    print(f"{calls:,} calls")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
