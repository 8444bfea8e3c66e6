"""A process and its threads over time."""

from __future__ import annotations

from contextlib import aclosing

import pytest

from helpers.loop import in_loop
from helpers.targets import python_target
from tailflame.errors import TargetError
from tailflame.host.threads import ThreadFigures
from tailflame.live.process import DISTINCT, THREADS, ProcessWatch, _Threads
from tailflame.model.live import Armed, Reading, Said, Status, Update

BUSY = """
import threading, time
def idle():
    while True: time.sleep(0.05)
threading.Thread(target=idle, daemon=True).start()
print("up", flush=True)
while True: sum(range(1000))
"""


@in_loop
async def test_a_busy_thread_and_an_idle_one_are_told_apart() -> None:
    told: list[Update] = []
    with python_target(BUSY) as process:
        busy = f"({process.pid})"
        async with aclosing(ProcessWatch(process.pid, interval_s=0.1).updates()) as updates:
            async for update in updates:
                told.append(update)
                if sum(isinstance(u, Reading) and u.series == "CPU" for u in told) == 6:
                    break
    assert told[0] == Armed(detail="2 threads")
    readings = [u for u in told if isinstance(u, Reading)]
    assert all(r.status is Status.COUNTED and r.length_s > 0 for r in readings)
    cpu = {r.series for r in readings if r.series.startswith("CPU, ")}
    assert len(cpu) == 2
    mine = sum(r.value or 0 for r in readings if r.series.startswith("CPU, ") and busy in r.series)
    other = sum(r.value or 0 for r in readings if r.series.startswith("CPU, ") and busy not in r.series)
    assert mine > other
    series = {r.series.partition(", ")[0]: r.unit for r in readings}
    assert series["run-queue wait"] == "ms/s"
    assert series["memory"] == "B"
    assert next(r.value for r in readings if r.series == "memory") > 1_000_000  # type: ignore[operator]
    assert next(r.value for r in readings if r.series == "threads") == 2


@in_loop
async def test_it_ends_with_the_process_and_says_where_there_is_none() -> None:
    with python_target(BUSY) as process:
        seen = 0
        async for update in ProcessWatch(process.pid, interval_s=0.1).updates():
            seen += isinstance(update, Reading)
            if seen == 1:
                process.kill()
        assert seen
    with pytest.raises(TargetError, match="There is no process"):
        async for _ in ProcessWatch(process.pid).updates():
            pass
    with pytest.raises(ValueError, match=r"0\.1 s"):
        ProcessWatch(process.pid, interval_s=0.01)


def look(number: int, at: int, *, first: int = 1, wait: float | None = 0.01) -> dict[int, ThreadFigures]:
    """Threads of which each uses as many ms a look as its place is."""
    return {
        tid: ThreadFigures(
            tid=tid, name=f"worker-{tid}", cpu_s=at * (tid - first) / 1000, wait_s=None if wait is None else at * wait,
            voluntary=0, involuntary=at * 2,
        )
        for tid in range(first, first + number)
    }  # fmt: skip


def test_the_busiest_are_told_one_by_one_and_the_others_together() -> None:
    threads = _Threads()
    assert list(threads.told(look(40, 0), 0.0, 0.0)) == []
    told = list(threads.told(look(40, 1), 10.0, 0.25))
    (said,) = [u for u in told if isinstance(u, Said)]
    assert said.text.startswith("There are 40 threads: the 16 that use the most CPU")
    cpu = {u.series: u.value for u in told if isinstance(u, Reading) and u.series.startswith("CPU")}
    assert len(cpu) == THREADS + 1
    assert cpu["CPU, worker-40 (40)"] == pytest.approx(100 * 0.039 / 0.25)
    assert "CPU, worker-24 (24)" not in cpu
    assert sum(v or 0 for v in cpu.values()) == pytest.approx(100 * sum(range(40)) / 1000 / 0.25)
    wait = {u.series: u.value for u in told if isinstance(u, Reading) and u.series.startswith("run-queue wait")}
    assert wait["run-queue wait"] == pytest.approx(40 * 10 / 0.25)
    assert wait["run-queue wait, other threads"] == pytest.approx(24 * 10 / 0.25)
    assert not any(isinstance(u, Said) for u in threads.told(look(40, 2), 10.25, 0.25))


def test_no_end_of_threads_makes_no_end_of_series() -> None:
    threads = _Threads()
    names: set[str] = set()
    for generation in range(30):
        for at in (0, 1):
            for update in threads.told(look(10, at, first=1 + 100 * generation), 0.0, 0.25):
                if isinstance(update, Reading):
                    names.add(update.series)
    assert len({name for name in names if name.startswith("CPU, worker")}) == DISTINCT
    assert "CPU, other threads" in names


def test_a_kernel_without_run_queue_times_says_so() -> None:
    threads = _Threads()
    list(threads.told(look(2, 0, wait=None), 0.0, 0.0))
    told = [u for u in threads.told(look(2, 1, wait=None), 0.0, 0.25) if isinstance(u, Reading)]
    assert {u.status for u in told if u.series.startswith("run-queue wait")} == {Status.NOT_SUPPORTED}
    assert {u.status for u in told if u.series.startswith("CPU")} == {Status.COUNTED}
