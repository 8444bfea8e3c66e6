"""What threads use and wait for, from /proc."""

from __future__ import annotations

import os
import threading
import time

from tailflame.host.threads import read_threads


def test_our_own_threads() -> None:
    up, end = threading.Event(), threading.Event()
    tids = []

    def work() -> None:
        tids.append(threading.get_native_id())
        while time.thread_time() < 0.05:
            pass
        up.set()
        end.wait()

    thread = threading.Thread(target=work)
    thread.start()
    try:
        assert up.wait(60)
        threads = read_threads(os.getpid())
    finally:
        end.set()
        thread.join()
    assert set(threads) >= {tids[0], threading.get_native_id()}
    worker = threads[tids[0]]
    assert worker.tid == tids[0]
    assert worker.name
    assert 0.04 < worker.cpu_s < 60
    assert worker.wait_s is None or worker.wait_s >= 0
    assert worker.voluntary + worker.involuntary >= 0
    again = read_threads(os.getpid())
    assert tids[0] not in again or again[tids[0]].cpu_s >= worker.cpu_s


def test_a_process_that_has_ended_has_none() -> None:
    assert read_threads(2**22 + 1) == {}
