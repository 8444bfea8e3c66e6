"""Text that other tools wrote, beside inferno on the same files: `perf script`, folded stacks, SVGs, and a comparison.

    text.py [perf] [folded] [diff] [svg] [--repeat N] [--quick] [--keep FOLDER]

Makes the inputs (the same on every machine), then times each piece of work in a process of its own and prints the
median of N runs (five), the peak of its memory, and the ratio to inferno (from .tools/bin or the PATH) where that does
the same, run in turn with ours. Needs 4 GB of disk in TMPDIR. --quick makes every input a tenth of its size.

perf     `perf script` text of 50,000 samples (164 MB) and ten times as much, to a profile: with stacks that repeat as
         those of a program at work do, and with stacks none of which comes twice. Beside inferno-collapse-perf.
folded   1,000,000 distinct stacks (760 MB) until the picture is complete (profile, call tree, layout), beside
         inferno-flamegraph until its SVG is; once with callers shared as a program shares them, once with hardly any.
diff     two profiles of 100,000 stacks: comparison, its tree and its layout.
svg      an SVG of about a million frames (224 MB) until the picture is complete.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import random
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PARTS = ("perf", "folded", "diff", "svg")
_WORDS = (
    "order_book", "matching", "gateway", "market_data", "session", "journal", "risk", "codec", "decode", "encode",
    "insert", "cancel", "match_orders", "publish", "apply", "poll", "next_tick", "warm_up", "drain", "advance",
)  # fmt: skip
_MODULES = ("/opt/trading/bin/trading-system", "/usr/lib/x86_64-linux-gnu/libc.so.6", "[kernel.kallsyms]",
            "/opt/trading/lib/libfeed-handler.so.3", "/usr/lib/x86_64-linux-gnu/libstdc++.so.6.0.30")  # fmt: skip


def names(count: int, seed: int) -> list[str]:
    """Function names as long as Rust's are, each of them another."""
    chance = random.Random(seed)
    return [f"trading::{chance.choice(_WORDS)}::{chance.choice(_WORDS)}_{number}" for number in range(count)]


def walks(functions: int, depth: tuple[int, int], *, even: bool, seed: int) -> Iterator[list[int]]:
    """Stacks as walks through a call graph, root first: for ever.

    even: every callee is as likely as any other, so that hardly a stack comes twice; otherwise each function has a
    few callees, of which the first is taken most often.
    """
    chance = random.Random(seed)
    callees = [[chance.randrange(functions) for _ in range(12 if even else 6)] for _ in range(functions)]
    draw = chance.random
    while True:
        at = 0
        stack = [0]
        length = depth[0] + int((depth[1] - depth[0]) * draw())
        for _ in range(length - 1):
            choice = draw()
            at = callees[at][int(choice * 12) if even else int(choice**6 * 6)]
            stack.append(at)
        yield stack


def write_perf_text(path: Path, samples: int, *, even: bool) -> None:
    """About 3.3 kB a sample: 36 frames on average, 5,600 distinct lines.

    even: no stack comes twice; otherwise one in ten is new, as the leaf of a stack that was there before.
    """
    chance = random.Random(7)
    lines = []
    for name in names(5_600, 3):
        module = 0 if chance.random() < 0.8 else chance.randrange(len(_MODULES))
        address = (0xFFFFFFFF81000000 if module == 2 else 0x10000) + chance.randrange(1 << 22)
        lines.append(f"\t{address:16x} {name}+0x{chance.randrange(999):x} ({_MODULES[module]})\n")
    at = 1_000_000_000_000
    walk = walks(len(lines), (26, 46), even=even, seed=11)
    usual = [] if even else [next(walk) for _ in range(2_000)]
    with path.open("w") as out:
        for number in range(samples):
            if even:
                stack = next(walk)
            else:
                stack = usual[int(len(usual) * chance.random() ** 3)]
                if chance.random() < 0.1:
                    stack = [*stack, chance.randrange(len(lines))]
            at += 10_101_010 + number % 977
            header = f"worker-{number % 4} 4711/{4712 + number % 4} [{number % 8:03d}] {at // 10**9}.{at % 10**9:09d}: "
            out.write(f"{header}   10101010 cpu-clock: \n{''.join([lines[f] for f in reversed(stack)])}\n")


def write_folded(path: Path, stacks: int, *, even: bool, seed: int = 5, functions: int = 20_000) -> None:
    """About 760 bytes a stack, none twice, sorted as the collapsing tools leave them."""
    known = names(functions, 2)
    seen: set[tuple[int, ...]] = set()
    chance = random.Random(seed)
    lines = []
    for stack in walks(functions, (14, 36), even=even, seed=seed):
        key = tuple(stack)
        if not even or key not in seen:
            if key in seen:
                stack.append(chance.randrange(functions))  # another leaf
                key = tuple(stack)
                if key in seen:
                    continue
            seen.add(key)
            lines.append(f"{';'.join([known[f] for f in stack])} {1 + int(20 * chance.random() ** 4)}\n")
            if len(lines) == stacks:
                break
    lines.sort()
    with path.open("w") as out:
        out.writelines(lines)


def write_svg(folded: Path, path: Path) -> None:
    command = [tool("inferno-flamegraph"), "--minwidth", "0", str(folded)]
    with path.open("wb") as out:
        subprocess.run(command, check=True, stdout=out, stderr=subprocess.DEVNULL)


def tool(name: str) -> str:
    """inferno's programs, from `cargo install inferno` or the project's own .tools."""
    found = shutil.which(name, path=f"{ROOT / '.tools' / 'bin'}{os.pathsep}{os.environ.get('PATH', '')}")
    return found or ""


# What is measured. Each is run in a process of its own, and gives a word on what it made.


def profile(path: Path) -> str:
    from tailflame.parse import load

    made = load(path).profile
    assert made is not None
    return f"{len(made.samples):,} rows, {len(made.stacks):,} stack rows"


def picture(path: Path) -> str:
    from tailflame.analyse.layout import lay_out
    from tailflame.analyse.tree import build_tree
    from tailflame.parse import load

    made = load(path).profile
    assert made is not None
    tree = build_tree(made)
    return f"{len(lay_out(tree)):,} boxes, {tree.depths} deep"


def comparison(before: Path, after: Path) -> tuple[str, float]:
    """Without the reading: the time is its own."""
    from tailflame.analyse.diff import compare, lay_out_diff
    from tailflame.parse import load

    one, other = load(before).profile, load(after).profile
    assert one is not None and other is not None
    began = time.perf_counter()
    made = compare(one, other)
    boxes = lay_out_diff(made.tree)
    return f"{len(boxes):,} boxes, {len(made.table):,} functions", time.perf_counter() - began


def _child(pipe: Connection, work: Callable[..., str | tuple[str, float]], paths: tuple[Path, ...]) -> None:
    with tempfile.NamedTemporaryFile("w", suffix=".folded") as small:
        small.write("main;work 1\n")
        small.flush()
        picture(Path(small.name))  # all that has to be imported
    began = time.perf_counter()
    said = work(*paths)
    took = time.perf_counter() - began
    if isinstance(said, tuple):
        said, took = said
    pipe.send((took, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024, said))


def ours(work: Callable[..., str | tuple[str, float]], *paths: Path) -> tuple[float, float, str]:
    """(seconds, peak of memory in bytes, what was made); Python's start and imports are not in it."""
    here, there = multiprocessing.Pipe(duplex=False)
    process = multiprocessing.get_context("forkserver").Process(target=_child, args=(there, work, paths))
    process.start()
    there.close()
    answer: tuple[float, float, str] = here.recv()
    process.join()
    return answer


def theirs(program: str, *arguments: str) -> tuple[float, float, str]:
    began = time.perf_counter()
    process = subprocess.Popen([program, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return time.perf_counter() - began, used.ru_maxrss * 1024, "" if not process.returncode else "failed"


def compare_runs(
    title: str, size: float, repeat: int, mine: Callable[[], tuple[float, float, str]], peer: str = "", *arguments: str
) -> None:
    """Ours and theirs in turn, so that what else the machine does hits both."""
    program = tool(peer) if peer else ""
    runs, other = [], []
    for _ in range(repeat):
        runs.append(mine())
        if program:
            other.append(theirs(program, *arguments))
    took = statistics.median(run[0] for run in runs)
    rate = f"{size / took / 1e6:6.0f} MB/s" if size else " " * 11
    print(f"{title:44} {took:7.2f} s {rate}  {max(r[1] for r in runs) / 1e6:6,.0f} MB   {runs[0][2]}", flush=True)
    if program:
        peers = statistics.median(run[0] for run in other)
        ratio = f"ours takes {took / peers:.2f} of it"
        memory = max(run[1] for run in other) / 1e6
        print(f"  {peer:42} {peers:7.2f} s {size / peers / 1e6:6.0f} MB/s  {memory:6,.0f} MB   {ratio}", flush=True)
    elif peer:
        print(f"  {peer} is not installed (cargo install inferno)", flush=True)


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)} (all)")
    options.add_argument("--repeat", type=int, default=5)
    options.add_argument("--quick", action="store_true")
    options.add_argument("--keep", type=Path, help="keep the inputs here, and use them again")
    asked = options.parse_args()
    if unknown := set(asked.parts) - set(PARTS):
        options.error(f"there is no part {', '.join(sorted(unknown))}")
    parts = asked.parts or PARTS
    scale = 10 if asked.quick else 1
    with tempfile.TemporaryDirectory() as temporary:
        folder = asked.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        for part in PARTS:
            if part in parts:
                {"perf": perf, "folded": folded, "diff": diff, "svg": svg}[part](folder, scale, asked.repeat)
    return 0


def made(path: Path, write: Callable[[Path], None]) -> Path:
    if not path.exists():
        write(path)
    return path


def perf(folder: Path, scale: int, repeat: int) -> None:
    for samples in (50_000 // scale, 500_000 // scale):
        for even, word in ((False, "usual"), (True, "no stack twice")):
            path = made(
                folder / f"perf-{samples}-{word[0]}.txt", lambda p, n=samples, e=even: write_perf_text(p, n, even=e)
            )
            size = path.stat().st_size
            title = f"perf script, {size / 1e6:,.0f} MB, {word}"
            compare_runs(title, size, repeat, lambda p=path: ours(profile, p), "inferno-collapse-perf", str(path))
            if folder.name.startswith("tmp"):
                path.unlink()


def folded(folder: Path, scale: int, repeat: int) -> None:
    stacks = 1_000_000 // scale
    for even, word in ((False, "callers shared"), (True, "hardly shared")):
        path = made(folder / f"folded-{stacks}-{word[0]}.folded", lambda p, e=even: write_folded(p, stacks, even=e))
        size = path.stat().st_size
        title = f"folded, {size / 1e6:,.0f} MB, {word}, to picture"
        compare_runs(title, size, repeat, lambda p=path: ours(picture, p), "inferno-flamegraph", str(path))


def diff(folder: Path, scale: int, repeat: int) -> None:
    stacks = 100_000 // scale
    for even, word in ((False, "callers shared"), (True, "hardly shared")):
        before, after = (
            made(
                folder / f"diff-{stacks}-{word[0]}{seed}.folded",
                lambda p, e=even, s=seed: write_folded(p, stacks, even=e, seed=s),
            )
            for seed in (5, 6)
        )
        title = f"comparison of 2 x {stacks:,}, {word}"
        compare_runs(title, 0, repeat, lambda b=before, a=after: ours(comparison, b, a))


def svg(folder: Path, scale: int, repeat: int) -> None:
    stacks = 50_000 // scale
    source = made(folder / f"svg-{stacks}.folded", lambda p: write_folded(p, stacks, even=True))
    if not tool("inferno-flamegraph"):
        print("svg: inferno-flamegraph is not installed, and makes the input (cargo install inferno)")
        return
    path = made(folder / f"svg-{stacks}.svg", lambda p: write_svg(source, p))
    size = path.stat().st_size
    compare_runs(f"SVG, {size / 1e6:,.0f} MB, to picture", size, repeat, lambda: ours(picture, path))


if __name__ == "__main__":
    sys.exit(main())
