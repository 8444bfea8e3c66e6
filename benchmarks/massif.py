"""A massif file beside ms_print on the same file: time, and the peak of memory as a multiple of the file's size.

    massif.py [--full] [--repeat N]

The file has as many detailed snapshots as massif keeps at most (--full: 1,000 in 200 MB; otherwise 200 in 40 MB), each
a call tree of some 2,500 lines with names as long as C++ and Rust have them. Both run in turn, N times (three); ours is
timed until the profile is complete. Beside the time, which suffers from what else the machine does, stands that of the
processors.
"""

from __future__ import annotations

import argparse
import random
import resource
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

from text import ours, theirs

_WORDS = (
    "order_book", "matching", "gateway", "market_data", "session", "journal", "risk", "codec", "decode", "encode",
    "insert", "cancel", "match_orders", "publish", "apply", "poll", "next_tick", "warm_up", "drain", "advance",
)  # fmt: skip
_BYTES_A_SNAPSHOT = 200_000


def write_massif(path: Path, snapshots: int) -> None:
    chance = random.Random(7)
    names = []
    for number in range(6_000):
        words = "::".join(chance.choices(_WORDS, k=chance.randint(2, 5)))
        generic = f"<alloc::vec::Vec<{chance.choice(_WORDS)}::{chance.choice(_WORDS)}>>" * (number % 3)
        place = f"/home/user/engine/src/{chance.choice(_WORDS)}.rs:{chance.randint(1, 900)}"
        names.append(f"0x{chance.randrange(1 << 20, 1 << 22):X}: engine::{words}{generic} ({place})")
    with path.open("w") as out:
        out.write("desc: --detailed-freq=1 --max-snapshots=1000\ncmd: ./engine\ntime_unit: i\n")
        lines: list[tuple[int, int, int, str]] = []
        for number in range(snapshots):
            if number % 20 == 0:
                lines = tree(chance, names)
            scale = 1 + number % 20
            heap = lines[0][2] * scale
            text = "".join([f"{' ' * depth}n{below}: {size * scale} {name}\n" for depth, below, size, name in lines])
            out.write(
                f"#-----------\nsnapshot={number}\n#-----------\ntime={number * 1000}\nmem_heap_B={heap}\n"
                f"mem_heap_extra_B=0\nmem_stacks_B=0\nheap_tree=detailed\n{text}"
            )


def tree(chance: random.Random, names: list[str]) -> list[tuple[int, int, int, str]]:
    """Lines of a tree that adds up: depth, how many hang on it, bytes, what it is.

    All stacks weigh about the same: massif writes none below 1 %, and ms_print would leave them out.
    """
    lines: list[tuple[int, int, int, str]] = []
    written = 0
    below = 0
    while written < _BYTES_A_SNAPSHOT:
        depth = chance.randint(12, 45)
        size = chance.randint(95_000, 100_000)
        walk = chance.sample(names, depth)
        # Some lines further down several callers hang on one line.
        fork = chance.randint(1, depth - 1)
        sizes = [size, size - 1_000, size - 2_000]
        total = sum(sizes)
        lines += [(1 + at, 3 if at == fork - 1 else 1, total, walk[at]) for at in range(fork)]
        for part in sizes:
            lines += [(1 + at, int(at < depth - 1), part, walk[at]) for at in range(fork, depth)]
            chance.shuffle(walk)
        below += 1
        written = sum(len(name) + 20 + depth for depth, _, _, name in lines)
    heap = sum(size for depth, _, size, _ in lines if depth == 1)
    return [(0, below, heap, "(heap allocation functions) malloc/new/new[], --alloc-fns, etc."), *lines]


def read(path: Path) -> str:
    """What was made, and behind it the seconds of the processors."""
    from tailflame.parse import load

    began = time.process_time()
    made = load(path)
    used = time.process_time() - began
    assert made.profile is not None and made.heap is not None
    assert not made.warnings, made.warnings
    snapshots, rows = len(made.heap), len(made.profile.samples)
    return f"{snapshots:,} snapshots, {rows:,} rows, {len(made.profile.stacks):,} stack rows;{used:.3f}"


def children_s() -> float:
    """Processor time of the children that have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--full", action="store_true", help="200 MB")
    options.add_argument("--repeat", type=int, default=3)
    asked = options.parse_args()
    program = shutil.which("ms_print")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "massif.out")
        write_massif(path, 1_000 if asked.full else 200)
        size = path.stat().st_size
        mine, other, used = [], [], []
        for _ in range(asked.repeat):
            mine.append(ours(read, path))
            if program is not None:
                before = children_s()
                other.append(theirs(program, str(path)))
                used.append(children_s() - before)
    took = statistics.median(run[0] for run in mine)
    memory = max(run[1] for run in mine)
    print(f"massif, {size / 1e6:,.0f} MB: {took:.2f} s, {size / took / 1e6:,.0f} MB/s; {mine[0][2].partition(';')[0]}")
    print(f"  memory {memory / 1e6:,.0f} MB, {memory / size:.2f} x the file (Python and its libraries included)")
    if program is None:
        print("  ms_print is not installed (it is a part of valgrind)")
        return 0
    theirs_took = statistics.median(run[0] for run in other)
    print(f"  ms_print {theirs_took:.2f} s: ours is {theirs_took / took:.1f} times faster")
    own = statistics.median(float(run[2].partition(";")[2]) for run in mine)
    its = statistics.median(used)
    print(f"  processor time {own:.2f} s and {its:.2f} s: {its / own:.1f} times less")
    return 0


if __name__ == "__main__":
    sys.exit(main())
