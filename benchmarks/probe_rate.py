"""How many calls a second a function probe counts without loss, what a call costs, and whether the rate comes back.

    probe_rate.py [--calls N] [--threads N]

Compiles a C program that calls one function in a row in each thread (it begins with `push`, which the kernel emulates),
runs it once as it is, once under a probe with the limit lifted, and prints the program's own count beside the probe's.
Then, in one run: the calls a second before, with and after a probe. As root, with bpftrace and gcc.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tailflame.host.functions import functions_of
from tailflame.host.probe_safety import Probed, judge
from tailflame.live.calibration import calibrate
from tailflame.live.function_probe import FunctionProbe
from tailflame.live.probe_run import as_ourselves
from tailflame.model.live import Armed, Cost, LatencySlice
from tailflame.run import stopped_start

SOURCE = """
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
static volatile long sink;
volatile long done;
__asm__(".globl work\\n.type work, @function\\nwork: push %rbp\\n mov %rsp, %rbp\\n mov %rdi, %rax\\n"
        "1: dec %rax\\n jns 1b\\n pop %rbp\\n ret\\n.size work, .-work\\n");
void work(long);
static long now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000L + t.tv_nsec;
}
static void *calls(void *of) { for (long i = (long)of; i; i--) work(100); return 0; }
int main(int argc, char **argv) {
    long n = atol(argv[1]), count = atol(argv[2]);
    if (n == 0) for (long last = now(), i = 0;;) {
        for (int k = 0; k < 1000; k++, i++) work(100);
        if (now() - last > 100000000) { printf("%ld %ld\\n", now(), i); fflush(stdout); last = now(); }
    }
    pthread_t threads[64];
    long begin = now();
    for (long t = 0; t < count; t++) pthread_create(threads + t, 0, calls, (void *)n);
    for (long t = 0; t < count; t++) pthread_join(threads[t], 0);
    printf("%ld %.3f\\n", n * count, (now() - begin) / 1e9);
}
"""


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--calls", type=int, default=1_500_000, help="of each thread")
    options.add_argument("--threads", type=int, default=1)
    asked = options.parse_args()
    if os.geteuid() != 0:
        print("bpftrace runs as root alone")
        return 1
    with tempfile.TemporaryDirectory() as folder:
        binary = Path(folder, "calls")
        binary.with_suffix(".c").write_text(SOURCE)
        subprocess.run(
            ["gcc", "-O2", "-pthread", "-o", str(binary), str(binary.with_suffix(".c"))], check=True, timeout=60
        )
        probed = judge(binary, functions_of(binary).match("work")).probed
        plain = subprocess.run(
            [str(binary), str(asked.calls), str(asked.threads)], check=True, capture_output=True, text=True
        )
        made, seconds = plain.stdout.split()
        print(f"without a probe  {int(made):>12,} calls, {int(made) / float(seconds):>13,.0f} a second")
        lost = asyncio.run(count(binary, probed, asked.calls, asked.threads))
        asyncio.run(back(binary, probed))
    return 1 if lost else 0


async def count(binary: Path, probed: tuple[Probed, ...], calls: int, threads: int) -> int:
    """Whether something was lost."""
    argv = [sys.executable, "-I", "-S", stopped_start.__file__, str(binary), str(calls), str(threads)]
    target = await asyncio.create_subprocess_exec(*argv, stdout=subprocess.PIPE)
    await asyncio.to_thread(stopped, target.pid)
    seen, costs, reader = 0, [], 0.0
    async for update in FunctionProbe(target.pid, binary, probed, cost_limit=None).updates():
        if isinstance(update, Armed):
            target.send_signal(signal.SIGCONT)
            reader = time.process_time()
        elif isinstance(update, LatencySlice):
            seen += update.histogram.total
        elif isinstance(update, Cost):
            costs.append(update)
    reader = time.process_time() - reader
    output, _ = await target.communicate()
    made, seconds = output.decode().split()
    rate = int(made) / float(seconds)
    print(
        f"under the probe  {int(made):>12,} calls, {rate:>13,.0f} a second, {threads} thread(s), {float(seconds):.1f} s"
    )
    print(
        f"counted          {seen:>12,} calls, told as lost {costs[-1].lost if costs else 0}, reader {reader:.2f} s CPU"
    )
    known, first = await calibrate(as_ourselves()), probed[0].first
    print(f"calibrated: {known.per_call_ns(first):.0f} ns a call, floor {known.floor_ns(first):.0f} ns")
    return int(made) - seen


def stopped(pid: int) -> None:
    while Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "T":
        time.sleep(0.01)


async def back(binary: Path, probed: tuple[Probed, ...]) -> None:
    """Calls a second before, with and after a probe, in one run."""
    target = await asyncio.create_subprocess_exec(str(binary), "0", "1", stdout=subprocess.PIPE)
    assert target.stdout is not None
    told: list[tuple[float, int]] = []

    async def listen(seconds: float) -> float:
        until = time.monotonic() + seconds
        part = []
        while time.monotonic() < until:
            stamp, calls = map(int, (await target.stdout.readline()).split())  # type: ignore[union-attr]
            if stamp / 1e9 > until - seconds:
                part.append((stamp / 1e9, calls))
        told.extend(part)
        return (part[-1][1] - part[0][1]) / (part[-1][0] - part[0][0])

    before = await listen(2)
    updates = FunctionProbe(target.pid, binary, probed, cost_limit=None).updates()
    async for update in updates:
        if isinstance(update, Armed):
            break
    during = await listen(2)
    await updates.aclose()
    after = await listen(2)
    target.kill()
    await target.wait()
    print(
        f"in one run: {before:,.0f} calls a second before, {during:,.0f} with, {after:,.0f} after "
        f"({after / before:.3f})"
    )


if __name__ == "__main__":
    sys.exit(main())
