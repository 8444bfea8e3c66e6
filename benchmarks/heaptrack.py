"""A heaptrack file against heaptrack_print, in one run.

    heaptrack.py [--allocations N] [--file FILE] [--repeat N]

Makes a file of format 3 (deterministic: 20,000 traces, 60,000 sizes at places, two in five allocations temporary, one
in a thousand never freed, a time stamp every 10 ms), or takes one, and reads it with `parse.load` and with
heaptrack_print, turn by turn. heaptrack_print is asked for its totals alone, which is the least it can do. The best of
each is compared: the aim is half of heaptrack_print's time at 10 million allocations. The totals of both must be the
same.
"""

from __future__ import annotations

import argparse
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import zstandard

from tailflame.parse import load

TRACES, INFOS, FUNCTIONS = 20_000, 60_000, 4_000


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--allocations", type=int, default=1_000_000, help="the aim is measured with 10000000")
    options.add_argument("--file", type=Path, help="a file to read in place of a made one")
    options.add_argument("--repeat", type=int, default=3)
    asked = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = asked.file or Path(folder, "heaptrack.made.zst")
        if asked.file is None:
            write(path, asked.allocations)
        return compare(path, asked.repeat)


def compare(path: Path, repeat: int) -> int:
    print(f"{path.name}: {path.stat().st_size / 1e6:.1f} MB on the disk")
    ours: list[float] = []
    theirs: list[float] = []
    told = ""
    for _ in range(repeat):
        began = time.perf_counter()
        recording = load(path, format="heaptrack")
        ours.append(time.perf_counter() - began)
        if shutil.which("heaptrack_print"):
            argv = ["heaptrack_print", "-p", "0", "-a", "0", "-T", "0", "-f", str(path)]
            began = time.perf_counter()
            told = subprocess.run(argv, capture_output=True, text=True, check=True).stdout
            theirs.append(time.perf_counter() - began)
    assert recording.heap is not None
    facts = recording.heap.facts
    print(f"{facts.allocations:,.0f} allocations, peak {facts.peak:,.0f} B, {len(recording.heap):,} rows")
    print(f"parse.load       {min(ours):6.2f} s  ({min(ours) / (facts.allocations or 1) * 1e9:.0f} ns an allocation)")
    print(f"memory at most   {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:6.0f} MiB")
    if not theirs:
        print("heaptrack_print is not installed.")
        return 0
    print(f"heaptrack_print  {min(theirs):6.2f} s")
    print(f"ratio            {min(ours) / min(theirs):6.2f}")
    same = {
        "calls to allocation functions": facts.allocations,
        "temporary memory allocations": facts.temporary_reported,
    }
    for words, figure in same.items():
        found = re.search(rf"^{words}: (\d+)", told, re.MULTILINE)
        if found is None or int(found[1]) != figure:
            print(f"{words}: {found[1] if found else 'not told'} and {figure:,.0f} differ")
            return 1
    return 0


def write(path: Path, allocations: int) -> None:
    """A file as heaptrack_interpret writes them."""
    random = np.random.default_rng(1)
    with path.open("wb") as file, zstandard.ZstdCompressor(level=3).stream_writer(file) as out:
        out.write(b"v 10400 3\nX ./engine --made-up\nI 1000 100000\n")
        names = [
            "/opt/engine/bin/engine",
            "main",
            "src/engine.rs",
            *(f"engine::function_{n}" for n in range(FUNCTIONS)),
        ]
        out.write(b"".join(b"s %x %b\n" % (len(name), name.encode()) for name in names))
        out.write(b"i 1000 1 2 3 a\n")
        out.write(b"".join(b"i %x 1 %x 3 %x\n" % (0x2000 + 16 * n, 4 + n, 20 + n % 900) for n in range(FUNCTIONS)))
        parents = np.maximum(random.integers(0, np.arange(1, TRACES)), 1)
        pointers = random.integers(2, FUNCTIONS + 2, TRACES - 1)
        lines = [b"t 1 0\n", *(b"t %x %x\n" % pair for pair in zip(pointers.tolist(), parents.tolist(), strict=True))]
        sizes = np.minimum(random.lognormal(4.5, 1.5, INFOS), 1e6).astype(int) + 1
        traces = random.integers(1, TRACES + 1, INFOS)
        lines += [b"a %x %x\n" % pair for pair in zip(sizes.tolist(), traces.tolist(), strict=True)]
        out.write(b"".join(lines))
        plus = [b"+ %x\n" % info for info in range(INFOS)]
        minus = [b"- %x\n" % info for info in range(INFOS)]
        stamp, held = 0, np.empty(0, int)
        for first in range(0, allocations, 500_000):
            number = min(500_000, allocations - first)
            # A few places allocate most.
            infos = np.minimum(random.pareto(0.7, number) * 40, INFOS - 1).astype(int)
            after = np.where(random.random(number) < 0.4, 0.5, 1 + random.exponential(2000, number))
            after[random.random(number) < 0.001] = np.inf
            began = np.arange(number, dtype=float)
            ended = began + after
            now = np.flatnonzero(ended < number)
            events = np.concatenate([infos, infos[now]])
            freed = np.concatenate([np.zeros(number, bool), np.ones(len(now), bool)])
            order = np.argsort(np.concatenate([began, ended[now]]), kind="stable")
            text = [minus[info] for info in held.tolist()]
            text += [
                (minus if free else plus)[info]
                for info, free in zip(events[order].tolist(), freed[order].tolist(), strict=True)
            ]
            for at in range(0, len(text), 40_000):
                out.write(b"".join(text[at : at + 40_000]))
                stamp += 10
                out.write(b"c %x\nR %x\n" % (stamp, 5000 + stamp % 900))
            held = infos[np.isfinite(ended) & (ended >= number)]


if __name__ == "__main__":
    sys.exit(main())
