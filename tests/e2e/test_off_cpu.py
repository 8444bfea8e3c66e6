"""Time off the CPU with the real perf: a thread that sleeps, and one that computes beside it."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import numpy as np
import pytest

from tailflame.analyse.filter_language import parse
from tailflame.analyse.sample_filter import OFF_CPU, SampleFilter, rows
from tailflame.analyse.sample_timeline import off_cpu_event, waits
from tailflame.host.system import probe_host
from tailflame.model import StackProfile
from tailflame.parse import load
from tailflame.tools import PERF_RECORD, CallGraph, PerfOptions, Target
from tailflame.tools.perf_record import SWITCH

pytestmark = [pytest.mark.tool("perf"), pytest.mark.tool("gcc")]

SLEEPS, EACH_MS = 20, 25
PROGRAM = r"""
#define _GNU_SOURCE
#include <pthread.h>
#include <stdio.h>
#include <time.h>
static double now(void) { struct timespec t; clock_gettime(CLOCK_MONOTONIC, &t); return t.tv_sec + t.tv_nsec * 1e-9; }
static volatile int done;
static void *spin(void *unused) { pthread_setname_np(pthread_self(), "spinner"); while (!done); return unused; }
int main(void) {
  pthread_t thread;
  double slept = 0;
  pthread_setname_np(pthread_self(), "sleeper");
  pthread_create(&thread, 0, spin, 0);
  for (int i = 0; i < SLEEPS; i++) {
    struct timespec length = {0, EACH_MS * 1000000L};
    double before = now();
    nanosleep(&length, 0);
    slept += now() - before;
  }
  done = 1;
  pthread_join(thread, 0);
  printf("%.9f\n", slept);
}
"""


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> tuple[StackProfile, float]:
    """The profile, and how long the program says its sleeps took."""
    if not probe_host().event(SWITCH).available:
        pytest.skip("the scheduler's tracepoint takes root")
    folder: Path = tmp_path_factory.mktemp("off-cpu")
    source, binary = folder / "sleeper.c", folder / "sleeper"
    source.write_text(PROGRAM)
    sizes = [f"-DSLEEPS={SLEEPS}", f"-DEACH_MS={EACH_MS}"]
    subprocess.run(
        ["gcc", "-O1", "-g", "-fno-omit-frame-pointer", *sizes, str(source), "-o", str(binary), "-pthread"], check=True
    )
    options = PerfOptions(call_graph=CallGraph.FRAME_POINTERS, frequency=997, events=("cpu-clock",), off_cpu=True)
    plan = PERF_RECORD.plan(Target(binary), options, folder)
    run = subprocess.run(
        plan.argv, check=True, capture_output=True, text=True, env={**os.environ, "LC_ALL": "C"}, timeout=60
    )
    profile = load(plan.result).profile
    assert profile is not None
    return profile, float(run.stdout)


def test_the_sleeping_thread_waited_as_long_as_it_slept(recorded: tuple[StackProfile, float]) -> None:
    """No less than it asked for, and no more than its own clock says the calls took."""
    profile, slept_s = recorded
    event = off_cpu_event(profile)
    assert profile.events[event].name == OFF_CPU
    mine = rows(profile, SampleFilter(terms=parse(f"event:{OFF_CPU} thread:sleeper function:nanosleep")))
    waited_s = profile.samples.period[mine].sum() / 1e9
    assert mine.sum() >= SLEEPS  # more where a call was interrupted on its way
    assert 0.98 * SLEEPS * EACH_MS / 1e3 <= waited_s <= slept_s


def test_waiting_is_an_event_of_its_own_beside_the_cpu(recorded: tuple[StackProfile, float]) -> None:
    """The one that computes fills the CPU, the one that sleeps has hardly a sample, and each waits in its own lane."""
    profile, _slept = recorded
    on_cpu = profile.samples.event == [event.name for event in profile.events].index("cpu-clock")
    spinner = rows(profile, SampleFilter(terms=parse("thread:spinner")))
    sleeper = rows(profile, SampleFilter(terms=parse("thread:sleeper")))
    assert (on_cpu & spinner).sum() > 10 * (on_cpu & sleeper).sum()
    # A thread is called as its program is before it gives itself a name: there may be two of this one.
    threads = tuple(index for index, thread in enumerate(profile.threads) if thread.name == "sleeper")
    waited = float(waits(profile).time_ns(threads, np.array([-1.0, 3600.0]))[0])
    off_cpu = profile.samples.event == off_cpu_event(profile)
    assert waited >= 0.98e6 * SLEEPS * EACH_MS
    assert waited == pytest.approx(profile.samples.period[off_cpu & sleeper].sum(), rel=1e-6)
