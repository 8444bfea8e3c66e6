"""The command line that was recorded, and what `perf script --header` tells."""

from __future__ import annotations

import numpy as np
import pytest

from tailflame.model import SampleTable
from tailflame.model.stacks import readonly
from tailflame.parse.perf_header import asked_frequency, event_of, from_comments, profiled_command
from tailflame.units import Unit


def samples(*times: int) -> SampleTable:
    whole = readonly(np.zeros(len(times)), np.int32)
    weight = readonly(np.ones(len(times)), np.float64)
    return SampleTable(whole, weight, weight, readonly(times, np.int64), whole, whole, whole)


@pytest.mark.parametrize(
    ("argv", "command"),
    [
        ("perf record ./t 1 2", "./t 1 2"),
        ("perf record -F 997 -g -o x.data -- ./t -F 5", "./t -F 5"),
        ("/usr/bin/perf record -k CLOCK_MONOTONIC -F 997 -e cpu-clock --call-graph fp -o t.data ./t 50", "./t 50"),
        ("perf record --call-graph=dwarf,8192 --freq=99 ./t", "./t"),
        ("perf record -F99 -gm 4M ./t", "./t"),
        ("perf record -z1 -z -I -S ./t", "./t"),
        ("perf record -qNF 997 ./t", "./t"),
        ("perf record -a -- sleep 10", ""),
        ("perf record -ag sleep 10", ""),
        ("perf record -p 77 sleep 10", ""),
        ("perf record --pid=77", ""),
        ("perf record --all-cpus sleep 1", ""),
        ("perf record", ""),
        ("perf stat ls", ""),
        ("", ""),
    ],
)
def test_the_profiled_command(argv: str, command: str) -> None:
    assert profiled_command(argv.split()) == tuple(command.split())


@pytest.mark.parametrize(
    ("argv", "frequency"),
    [
        ("perf record -F 997 ./t", 997),
        ("perf record -F997 ./t", 997),
        ("perf record --freq 99 --freq=4000 ./t -F 5", 4000),
        ("perf record -F max ./t", None),
        ("perf record -c 10000 ./t", None),
        ("perf record ./t -F 5", None),
    ],
)
def test_the_frequency_that_was_asked_for(argv: str, frequency: int | None) -> None:
    assert asked_frequency(argv.split()) == frequency


@pytest.mark.parametrize("name", ["cpu-clock", "task-clock", "cpu-clock:u", "task-clock:ppp"])
def test_clocks_count_nanoseconds(name: str) -> None:
    assert event_of(name, has_period=True).unit is Unit.NANOSECONDS
    assert event_of(name, has_period=False).unit is Unit.SAMPLES


def test_other_events_count_themselves() -> None:
    assert event_of("cycles:u", has_period=True).unit is Unit.EVENTS


def test_the_comments_of_an_old_perf() -> None:
    header = from_comments(
        [
            "# ========",
            "# captured on: Mon Jan  5 10:00:00 2015",
            "# hostname : box: one",
            "# os release : 3.13.0",
            "# arch : armv7l",
            "# nrcpus online : 4",
            "# cmdline : /usr/bin/perf record -F 99 -a -g -- sleep 30 ",
            "# event : name = cycles, type = 0, config = 0x0, config1 = 0x0, excl_usr = 0, attr_mmap2 = 0,"
            " { sample_period, sample_freq } = 99, sample_type = IP|TID|TIME|CPU|PERIOD, freq = 1",
            "# event : name = sched:sched_switch, , type = 2, sample_period = 1, sample_type = IP|TID|RAW",
            "# time of first sample : 100.500000",
            "# time of last sample : 102.750000",
        ]
    )
    assert (header.hostname, header.kernel, header.arch, header.cpus) == ("box: one", "3.13.0", "armv7l", 4)
    assert [(e.name, e.frequency_hz, e.period) for e in header.events] == [
        ("cycles", 99, None),
        ("sched:sched_switch", None, 1),
    ]
    assert header.fields == {"IP", "TID"}
    meta = header.meta(samples(-1), lost=None)
    assert (meta.duration_s, meta.rate_asked_hz, meta.lost, meta.command) == (2.25, 99, None, ())
    assert header.meta(samples(5_000_000_000, 5_500_000_000), lost=3).duration_s == 0.5


def test_no_comments_tell_nothing() -> None:
    meta = from_comments([]).meta(samples(), lost=None)
    assert (meta.duration_s, meta.rate_asked_hz, meta.started_at, meta.command) == (None, None, None, ())
