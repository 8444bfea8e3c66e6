"""A moment of the machine and a process, from files as the kernel writes them, and from this very process."""

from __future__ import annotations

import os
import time
from pathlib import Path

from tailflame.host import moment


def proc(folder: Path, *, steal: int = 20, waited: int = 500_000_000, threads: int = 2) -> Path:
    tasks = folder / "7" / "task"
    for tid in range(7, 7 + threads):
        (tasks / str(tid)).mkdir(parents=True, exist_ok=True)
        state = "R" if tid == 7 else "D"
        (tasks / str(tid) / "stat").write_text(f"{tid} (a) b) {state} 1 7 7 0\n")
        (tasks / str(tid) / "wchan").write_text("0" if tid == 7 else "futex_do_wait")
        (tasks / str(tid) / "schedstat").write_text(f"1000000000 {waited} 3\n")
    (folder / "7" / "status").write_text("Name:\ta) b\n")
    (folder / "7" / "sched").write_text("x" * 100_000)
    (folder / "loadavg").write_text("4.20 3.00 2.00 5/300 9\n")
    (folder / "stat").write_text(f"cpu  100 0 50 800 3 0 1 {steal} 40 0\ncpu0 1\nintr {'0 ' * 5000}\n")
    (folder / "softirqs").write_text("          CPU0  CPU1\n   TIMER:   10   20\n  NET_RX:   1   900\n")
    return folder


def test_a_moment_is_bounded_and_says_what_stands_out(tmp_path: Path) -> None:
    before = moment.sums(7, 10.0, proc=proc(tmp_path))
    (tmp_path / "softirqs").write_text("   TIMER:   10   20\n")
    now = moment.look(7, 11.0, proc=proc(tmp_path, steal=70, waited=600_000_000))
    assert len(now.files["sched"]) == 4096 and len(now.files["machine/stat"]) <= 4096
    assert now.files["task/8/wchan"] == "futex_do_wait" and now.left_out == 0
    assert (before.steal_s, before.waited_s, before.softirqs["NET_RX"]) == (0.2, 1.0, 901)
    text = now.summary(before)
    assert "load 4.20, 5 runnable" in text and "1 running, 1 in uninterruptible wait" in text
    assert "waiting in futex_do_wait (1)" in text
    assert "in the last 1.0 s: stolen by the hypervisor 100.0%, waited for a processor 200 ms" in text
    assert "last" not in now.summary()


def test_many_threads_are_left_out_and_counted(tmp_path: Path) -> None:
    now = moment.look(7, 1.0, proc=proc(tmp_path, threads=moment.THREADS_AT_MOST + 9))
    assert now.left_out == 9 and sum(name.endswith("/wchan") for name in now.files) == moment.THREADS_AT_MOST


def test_nothing_there_is_no_error(tmp_path: Path) -> None:
    now = moment.look(7, 1.0, proc=tmp_path)
    assert now.files == {} and now.summary(moment.sums(7, 0.5, proc=tmp_path)) == ""
    (tmp_path / "stat").write_text("cpu x y\n")
    (tmp_path / "softirqs").write_bytes(b"\xff\xff: 1 2\nNET_RX")
    assert moment.look(7, 1.0, proc=tmp_path).sums.cpu_s == 0


def test_this_process_has_a_moment() -> None:
    now = moment.look(os.getpid(), time.monotonic())
    assert f"task/{os.getpid()}/stat" in now.files and "load " in now.summary()
