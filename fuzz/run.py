"""Fuzzes each parser for a while, and writes what came of it to fuzz/RESULTS.md.

    run.py [--seconds N] [--only FORMAT ...] [--jobs N]

Seeds are the recorded files of tests/data that a format takes for its own. A find is kept in fuzz/finds, and fails the
run: make it a test, then mend it.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from symbol_targets import TARGETS, seeds

from tailflame.errors import TailflameError
from tailflame.parse.formats import FORMATS
from tailflame.parse.source import Source

HERE = Path(__file__).resolve().parent
DATA = HERE.parent / "tests" / "data"
FINDS = HERE / "finds"
RESULTS = HERE / "RESULTS.md"
SEED_LIMIT = 64 * 1024
SEEDS = 40
TIMEOUT_S = 20
MEMORY_MB = 3072
GRACE_S = 120

_DONE = re.compile(r"Done (\d+) runs? in (\d+) second")
_COVERED = re.compile(r"cov: (\d+)")
_PEAK = re.compile(r"rss: (\d+)Mb")
_FOUND = re.compile(r"Test unit written to (\S+)")


@dataclass(frozen=True, slots=True)
class Figures:
    format: str
    seconds: int
    seeds: int
    runs: int
    covered: int
    peak_mb: int
    finds: int


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--seconds", type=int, default=600, help="for each parser (600)")
    options.add_argument("--only", nargs="*", default=[], metavar="FORMAT")
    options.add_argument("--jobs", type=int, default=1, help="parsers at the same time (1)")
    asked = options.parse_args()
    every = (*(known.name for known in FORMATS), *TARGETS)
    names = [name for name in every if not asked.only or name in asked.only]
    FINDS.mkdir(exist_ok=True)
    with ThreadPoolExecutor(asked.jobs) as pool:
        done = list(pool.map(partial(fuzz, seconds=asked.seconds), names))
    if not asked.only:
        write(done)
    return 1 if any(figures.finds for figures in done) else 0


def fuzz(name: str, *, seconds: int) -> Figures:
    with tempfile.TemporaryDirectory() as corpus:
        seeds = plant(name, Path(corpus))
        code, said = run(
            [
                *(sys.executable, str(HERE / "target.py"), name, corpus),
                *(
                    f"-max_total_time={seconds}",
                    f"-timeout={TIMEOUT_S}",
                    f"-report_slow_units={TIMEOUT_S}",
                    f"-rss_limit_mb={MEMORY_MB}",
                ),
                *(f"-max_len={2 * SEED_LIMIT}", f"-artifact_prefix={FINDS}/{name}-", "-print_final_stats=1"),
            ],
            timeout=seconds + GRACE_S,
        )
    ended = _DONE.search(said)
    figures = Figures(
        format=name,
        seconds=int(ended[2]) if ended else seconds,
        seeds=seeds,
        runs=int(ended[1]) if ended else int((re.findall(r"#(\d+)", said) or ["0"])[-1]),
        covered=max(map(int, _COVERED.findall(said)), default=0),
        peak_mb=max(map(int, _PEAK.findall(said)), default=0),
        finds=len(_FOUND.findall(said)) or int(code != 0),
    )
    print(figures, flush=True)
    if figures.finds:
        (FINDS / f"{name}.txt").write_text(said[-20_000:])
    return figures


def run(argv: list[str], *, timeout: int) -> tuple[int, str]:
    """The exit status and what was said; a fuzzer that does not end counts as failed, and the next one runs."""
    try:
        done = subprocess.run(argv, capture_output=True, text=True, errors="replace", timeout=timeout, check=False)
    except subprocess.TimeoutExpired as hung:
        said = b"".join(part for part in (hung.stderr, hung.stdout) if isinstance(part, bytes))
        return -1, said.decode(errors="replace")
    return done.returncode, done.stderr + done.stdout


def plant(name: str, corpus: Path) -> int:
    """Copies what the format takes for its own, unpacked and at most SEED_LIMIT of it; the number of files."""
    planted = 0
    if name in TARGETS:
        for seed in seeds(name):
            (corpus / f"{planted}").write_bytes(seed)
            planted += 1
        return planted
    known = next(f for f in FORMATS if f.name == name)
    files = sorted((path for path in DATA.rglob("*") if path.is_file()), key=lambda path: path.stat().st_size)
    for path in files:
        if planted >= SEEDS:
            break
        try:
            source = Source(path)
            if known.sniff(source.head, source.bare_name) > 0:
                (corpus / f"{planted}").write_bytes(next(source.chunks(SEED_LIMIT)))
                planted += 1
        except TailflameError:
            continue
    return planted


def write(done: list[Figures]) -> None:
    lines = [
        "# The last run of `make fuzz`",
        "",
        f"{datetime.now(UTC):%Y-%m-%d}, one parser after another, guided by coverage (atheris). A run takes a file"
        f" of up to {2 * SEED_LIMIT // 1024} kB. Finds: anything but a recording or a sentence, above {TIMEOUT_S} s,"
        f" or more than {MEMORY_MB} MB.",
        "",
        "| format | seconds | seeds | runs | covered | peak MB | finds |",
        "|---|---:|---:|---:|---:|---:|---:|",
        *(
            f"| {f.format} | {f.seconds} | {f.seeds} | {f.runs:,} | {f.covered:,} | {f.peak_mb:,} | {f.finds} |"
            for f in done
        ),
    ]
    RESULTS.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    sys.exit(main())
