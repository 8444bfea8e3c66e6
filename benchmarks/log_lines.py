"""How many log lines a second are followed: tracing's JSON and text, with and without colours.

    log_lines.py [--rate N] [--seconds S] [--samples FOLDER]

For each form, a process of its own writes N lines a second into a file for S seconds, and LogFields follows them with
four fields and their stages: the CPU that takes, of one core, and by how much it was behind at worst (0: below 1 s).
Lines are those of the demo target and of tracing-subscriber (tests/data/tracing).
"""

from __future__ import annotations

import argparse
import asyncio
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import aclosing
from pathlib import Path

from tailflame.live.log_fields import LogFields
from tailflame.model.live import Armed, Behind, LatencySlice

ROOT = Path(__file__).resolve().parent.parent
SAMPLES = ROOT / "tests" / "data" / "tracing" / "0.3.23"
FORMS = {"JSON": "demo.jsonl", "JSON, flattened": "flattened.jsonl", "text": "text.txt", "text, colours": "ansi.txt"}

WRITER = r"""
import sys, time
lines = open(sys.argv[1], "rb").read().splitlines(keepends=True)
rate, seconds = int(sys.argv[2]), float(sys.argv[3])
step = 0.01
block = b"".join(lines[n % len(lines)] for n in range(int(rate * step)))
with open(sys.argv[4], "ab", buffering=0) as file:
    due = time.monotonic()
    for _ in range(int(seconds / step)):
        file.write(block)
        due += step
        time.sleep(max(due - time.monotonic(), 0))
"""


async def follow(source: LogFields, writer: Callable[[], subprocess.Popen[bytes]]) -> tuple[int, float, float]:
    """(lines with a total, CPU seconds of ours, worst seconds behind) until the writer has ended and all is read."""
    lines, behind = 0, 0.0
    process: subprocess.Popen[bytes] | None = None
    cpu = time.process_time()
    async with aclosing(source.updates()) as updates:
        async for update in updates:
            if isinstance(update, Armed):
                process = writer()
                cpu = time.process_time()
            elif isinstance(update, LatencySlice) and update.series == "total_us":
                lines += update.histogram.total
                if process is not None and process.poll() is not None and lines and not update.histogram.total:
                    break
            elif isinstance(update, Behind):
                behind = max(behind, update.seconds)
    return lines, time.process_time() - cpu, behind


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--rate", type=int, default=100_000)
    options.add_argument("--seconds", type=float, default=5)
    options.add_argument("--samples", type=Path, default=SAMPLES)
    asked = options.parse_args()
    print(f"{'form':16} {'followed at':>16} {'CPU':>6} {'per second of CPU':>20} {'behind at worst':>16}")
    with tempfile.TemporaryDirectory() as folder:
        for form, name in FORMS.items():
            path = Path(folder, "log.txt")
            path.write_bytes(b"")
            command = [sys.executable, "-c", WRITER, str(asked.samples / name), str(asked.rate), str(asked.seconds)]

            def write(command: list[str] = [*command, str(path)]) -> subprocess.Popen[bytes]:  # noqa: B006
                return subprocess.Popen(command)

            lines, cpu, behind = asyncio.run(follow(LogFields(path), write))
            rate = f"{lines / asked.seconds:,.0f} lines/s"
            speed = f"{lines / cpu:,.0f} lines"
            print(f"{form:16} {rate:>16} {cpu / asked.seconds:>6.0%} {speed:>20} {behind:>14.1f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
