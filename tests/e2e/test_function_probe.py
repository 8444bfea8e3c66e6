"""Function probes on real programs, with the real bpftrace: counts are exact, and nothing is left behind.

As root: bpftrace runs as nobody else.
"""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing, asynccontextmanager, contextmanager
from pathlib import Path

import pytest

from helpers.environment import ROOT, refuse
from helpers.loop import in_loop
from tailflame.host.functions import functions_of
from tailflame.host.probe_safety import FirstInstruction, Probed, judge
from tailflame.live.calibration import calibrate
from tailflame.live.function_probe import FunctionProbe
from tailflame.live.probe_run import as_ourselves
from tailflame.model.histogram import Histogram
from tailflame.model.live import Armed, Cost, LatencySlice, Said, Update
from tailflame.run import stopped_start

pytestmark = [
    pytest.mark.tool("bpftrace"),
    pytest.mark.skipif(os.geteuid() != 0, reason="bpftrace runs as root alone"),
    pytest.mark.skipif(os.uname().machine != "x86_64", reason="written for x86-64"),
]

DEMO = ROOT / "resources" / "demo" / "trading-system"
C = """
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
static volatile long sink;
__attribute__((noinline)) void leaf(long n) { for (long i = 0; i < n; i++) sink += i; }
__attribute__((noinline)) long descend(long n) { sink++; return n > 1 ? n + descend(n - 1) + sink : 1; }
static void *worker(void *of) {
    for (long i = 0, n = (long)of; i < n; i++) { leaf(30); descend(6); }
    return 0;
}
int main(int argc, char **argv) {
    long n = atol(argv[1]);
    if (n == 0) for (;;) leaf(argc > 2 ? atol(argv[2]) : 30);
    pthread_t threads[3];
    for (int i = 0; i < 3; i++) pthread_create(threads + i, 0, worker, (void *)n);
    for (int i = 0; i < 3; i++) pthread_join(threads[i], 0);
    printf("%ld\\n", 3 * n);
}
"""
RUST = """
use std::hint::black_box;
pub struct Book { best: u64 }
impl Book { #[inline(never)] pub fn match_order(&self, price: u64) -> u64 { black_box(price) ^ self.best } }
fn main() {
    let n: u64 = std::env::args().nth(1).unwrap().parse().unwrap();
    let book = Book { best: black_box(3) };
    println!("{n} {}", (0..n).map(|price| book.match_order(price)).max().unwrap());
}
"""


@pytest.fixture(autouse=True, scope="module")
def _probes_work_and_are_calibrated_once(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    if os.readlink("/proc/self/ns/pid") != "pid:[4026531836]":
        pytest.skip("in a container with process numbers of its own, which bpftrace does not know")
    argv = ["bpftrace", "-e", "BEGIN { exit() }"]
    tried = subprocess.run(argv, capture_output=True, text=True, timeout=60)
    if tried.returncode:
        refuse(f"bpftrace does not work here: {tried.stderr[-200:]}")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TAILFLAME_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def counter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("counter")
    (folder / "counter.c").write_text(C)
    argv = ["gcc", "-O1", "-fno-pie", "-no-pie", "-fcf-protection=none", "-pthread", "-o", "counter", "counter.c"]
    subprocess.run(argv, cwd=folder, check=True, timeout=60)
    return folder / "counter"


def chosen(binary: Path, *names: str) -> tuple[Probed, ...]:
    table = functions_of(binary)
    found = [table.match(name) for name in names]
    assert [len(functions) for functions in found] == [1] * len(names)
    return judge(binary, [functions[0] for functions in found], accepted_unwinding=True).probed


def until(happened: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 60
    while not happened():
        assert time.monotonic() < deadline, f"in a minute not seen: {what}"
        time.sleep(0.02)


def status(pid: int, field: str) -> str:
    found = re.search(rf"^{field}:\s*(.*)$", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    assert found is not None
    return found[1]


@contextmanager
def stopped(*argv: str | Path) -> Iterator[subprocess.Popen[str]]:
    """A program that waits for SIGCONT before its first instruction, in its final pid."""
    stub = [sys.executable, "-I", "-S", stopped_start.__file__, *map(str, argv)]
    with subprocess.Popen(stub, stdout=subprocess.PIPE, text=True) as process:
        try:
            until(lambda: status(process.pid, "State").startswith("T"), "the program stopped")
            yield process
        finally:
            process.kill()


@contextmanager
def running(*argv: str | Path) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen([*map(str, argv)], stdout=subprocess.DEVNULL, text=True) as process:
        try:
            place = f"r-xp.* {re.escape(str(argv[0]))}"
            maps = Path(f"/proc/{process.pid}/maps")
            until(lambda: re.search(place, maps.read_text()) is not None, "the program's exec")
            yield process
        finally:
            process.kill()


def code(pid: int, address: int) -> bytes:
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        return os.pread(memory.fileno(), 16, address)


async def watch_to_the_end(
    probe: FunctionProbe, process: subprocess.Popen[str]
) -> tuple[dict[str, Histogram], Counter[str]]:
    """The merged histogram and the lost events of each series; the program is continued once the probes are on."""
    seen: dict[str, Histogram] = {}
    lost: Counter[str] = Counter()
    async with aclosing(probe.updates()) as updates:
        async for update in updates:
            if isinstance(update, Armed):
                process.send_signal(signal.SIGCONT)
            elif isinstance(update, LatencySlice):
                before = seen.get(update.series)
                seen[update.series] = update.histogram if before is None else before.merged(update.histogram)
            elif isinstance(update, Cost):
                lost[update.series] = update.lost
    return seen, lost


def wait_for_output(process: subprocess.Popen[str]) -> str:
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    return output


@pytest.mark.tool("gcc")
@in_loop
async def test_every_call_of_every_thread_is_counted_also_of_recursion(counter: Path, tmp_path: Path) -> None:
    with stopped(counter, "700") as process:
        probe = FunctionProbe(
            process.pid, counter, chosen(counter, "leaf", "descend"), cost_limit=None, raw=tmp_path / "probe.jsonl"
        )
        seen, lost = await watch_to_the_end(probe, process)
        calls = int(wait_for_output(process))
    assert calls == 2100
    assert {series: histogram.total for series, histogram in seen.items()} == {"leaf": calls, "descend": 6 * calls}
    assert sum(lost.values()) == 0
    assert (tmp_path / "probe.jsonl").stat().st_size > 0


@pytest.mark.tool("rustc", "c++filt")
@pytest.mark.parametrize(
    ("folder", "options"),
    [("a folder, with blanks (é)", ()), ('colon: and "quotes"', ("-C", "symbol-mangling-version=v0"))],
)
def test_rust_of_both_manglings_in_any_folder(tmp_path: Path, folder: str, options: tuple[str, ...]) -> None:
    (tmp_path / "engine.rs").write_text(RUST)
    place = tmp_path / folder
    place.mkdir()
    argv = ["rustc", "-O", *options, "-o", str(place / "engine"), "engine.rs"]
    subprocess.run(argv, cwd=tmp_path, check=True, timeout=120)
    functions = chosen(place / "engine", "Book::match_order")
    with stopped(place / "engine", "1234") as process:
        probe = FunctionProbe(process.pid, place / "engine", functions, cost_limit=None)
        seen, _ = asyncio.run(watch_to_the_end(probe, process))
        assert wait_for_output(process).startswith("1234 ")
    assert [histogram.total for histogram in seen.values()] == [1234]


@asynccontextmanager
async def armed(probe: FunctionProbe) -> AsyncIterator[AsyncIterator[Update]]:
    async with aclosing(probe.updates()) as updates:
        async for update in updates:
            if isinstance(update, Armed):
                break
        yield updates


@pytest.mark.tool("gcc")
@in_loop
async def test_switched_off_it_leaves_the_target_as_it_was(counter: Path) -> None:
    (leaf,) = chosen(counter, "leaf")
    with running(counter, "0", "20000") as process:
        before = code(process.pid, leaf.function.address)
        assert before == leaf.function.head
        caught = status(process.pid, "SigCgt"), status(process.pid, "SigIgn"), status(process.pid, "SigBlk")
        probe = FunctionProbe(process.pid, Path(f"/proc/{process.pid}/exe"), (leaf,), cost_limit=None)
        async with armed(probe) as updates:
            assert code(process.pid, leaf.function.address) != before
            async for update in updates:
                if isinstance(update, LatencySlice) and update.histogram.total:
                    break
        assert code(process.pid, leaf.function.address) == before
        assert status(process.pid, "TracerPid") == "0"
        assert caught == (status(process.pid, "SigCgt"), status(process.pid, "SigIgn"), status(process.pid, "SigBlk"))
        assert process.poll() is None


@pytest.mark.tool("gcc", "unshare", "chroot")
def test_a_program_with_a_root_of_its_own(tmp_path: Path) -> None:
    """As in a container: its path means nothing here, and its file is reached through /proc."""
    (tmp_path / "counter.c").write_text(C)
    argv = ["gcc", "-O1", "-static", "-pthread", "-o", "counter", "counter.c"]
    if subprocess.run(argv, cwd=tmp_path, timeout=60, capture_output=True).returncode:
        pytest.skip("gcc cannot link a static program here")
    with subprocess.Popen(["unshare", "-m", "chroot", str(tmp_path), "/counter", "0", "20000"]) as process:
        try:
            exe = Path(f"/proc/{process.pid}/exe")
            until(lambda: os.readlink(exe) == f"{tmp_path}/counter", "the program in its root")
            asyncio.run(until_called(FunctionProbe(process.pid, exe, chosen(exe, "leaf"), cost_limit=None)))
        finally:
            process.kill()


async def until_called(probe: FunctionProbe) -> None:
    async with armed(probe) as updates:
        async for update in updates:
            if isinstance(update, LatencySlice) and update.histogram.total:
                return


@pytest.mark.tool("gcc")
@in_loop
async def test_the_limit_takes_the_probe_off(counter: Path) -> None:
    (leaf,) = chosen(counter, "leaf")
    with running(counter, "0") as process:
        before = code(process.pid, leaf.function.address)
        updates = []
        async with aclosing(FunctionProbe(process.pid, counter, (leaf,)).updates()) as told:
            async for update in told:
                updates.append(update)
        said = updates[-1]
        assert isinstance(said, Said) and "was taken off" in said.text
        assert code(process.pid, leaf.function.address) == before
        assert process.poll() is None
        costs = [update for update in updates if isinstance(update, Cost)]
        assert all(cost.share > 0.1 and cost.per_call_ns > 0 and cost.floor_ns > 0 for cost in costs)


@pytest.mark.tool("gcc", "setpriv")
def test_killed_it_leaves_the_target_as_it_was(counter: Path) -> None:
    (leaf,) = chosen(counter, "leaf")
    script = f"""
import asyncio, sys
from pathlib import Path
from tailflame.host.functions import functions_of
from tailflame.host.probe_safety import judge
from tailflame.live.function_probe import FunctionProbe
from tailflame.model.live import LatencySlice
async def main(pid, binary):
    functions = judge(binary, functions_of(binary).match("leaf")).probed
    async for update in FunctionProbe(pid, binary, functions, cost_limit=None).updates():
        if isinstance(update, LatencySlice):
            print("seen", flush=True)
asyncio.run(main(int(sys.argv[1]), Path({str(counter)!r})))
"""
    with running(counter, "0", "20000") as process:
        before = code(process.pid, leaf.function.address)
        path = os.pathsep.join((str(ROOT / "core"), str(ROOT / "resources")))
        argv = [sys.executable, "-c", script, str(process.pid)]
        with subprocess.Popen(
            argv, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": path}
        ) as tailflame:
            assert tailflame.stdout is not None and tailflame.stdout.readline() == "seen\n"
            assert code(process.pid, leaf.function.address) != before
            tailflame.kill()
        until(lambda: code(process.pid, leaf.function.address) == before, "the code as it was")
        assert status(process.pid, "TracerPid") == "0"
        assert process.poll() is None


@in_loop
async def test_the_cost_is_measured_here_and_kept() -> None:
    made = await calibrate(as_ourselves(), fresh=True)
    assert made.problem == ""
    classes = (FirstInstruction.EMULATED, FirstInstruction.ENDBR64, FirstInstruction.STEPPED)
    assert all(made.floor_ns(first) > 0 and made.per_call_ns(first) > 0 for first in classes)
    assert await calibrate(as_ourselves()) == made


def test_the_demos_orders_are_all_counted_and_the_slow_path_is_its_tail(demo_binary: Path) -> None:
    functions = chosen(demo_binary, "Engine::process_order", "OrderBook::match_order", "recheck_margin")
    argv = ("--mode", "benchmark", "--seconds", "3", "--rate", "1500", "--slow-path", "20")
    with stopped(demo_binary, *argv) as process:
        probe = FunctionProbe(process.pid, demo_binary, functions, cost_limit=None)
        seen, lost = asyncio.run(watch_to_the_end(probe, process))
        report = wait_for_output(process)
    orders, slow = re.search(r"(\d+) orders in", report), re.search(r"slow (\d+)", report)
    assert orders is not None and slow is not None
    whole, matching, margin = (seen[series] for series in probe.series)
    warm_up = re.search(r"WARM_UP: u32 = ([\d_]+);", (DEMO / "src" / "engine.rs").read_text())
    assert warm_up is not None
    assert whole.total == int(orders[1]) + int(warm_up[1])
    assert 0 < margin.total <= int(slow[1])  # an order that validation rejects has no margin
    assert 0 < matching.total <= whole.total and sum(lost.values()) == 0
    # One order in twenty, after the warm-up, goes through recheck_margin: more than one in a thousand.
    assert margin.total > 2 * whole.total / 1000
    assert whole.percentiles((99.9,)) > margin.percentiles((50.0,))
