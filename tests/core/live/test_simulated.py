"""Counters that callgrind simulates, for real, and its files."""

from __future__ import annotations

from contextlib import aclosing
from itertools import pairwise
from pathlib import Path

import pytest

from helpers.loop import in_loop
from tailflame.errors import TailflameError, TargetError, ToolFailed, ToolMissing
from tailflame.live.simulated import EVENTS, SimulatedCounters, read_dump
from tailflame.model.live import Armed, Reading, Said, Status, Update

# What /bin/sh does here is all in itself: nothing is started, and it runs until it is stopped.
BUSY = ("/bin/sh", "-c", "i=0; while :; do i=$((i+1)); done")


def vgdb_pipes() -> set[Path]:
    return set(Path("/tmp").glob("vgdb-pipe-*"))


def names_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


@pytest.mark.tool("valgrind")
@in_loop
async def test_a_running_simulation_tells_miss_rates(tmp_path: Path) -> None:
    before = vgdb_pipes()
    told: list[Update] = []
    source = SimulatedCounters(BUSY, tmp_path, interval_s=0.5)
    async with aclosing(source.updates()) as updates:
        async for update in updates:
            told.append(update)
            if sum(isinstance(u, Reading) and u.series == "simulated branch miss rate" for u in told) == 3:
                break
    assert isinstance(told[0], Armed)
    assert isinstance(told[1], Said)
    assert "simulated" in told[1].text
    assert "D1 cache: " in told[1].text
    readings = [u for u in told if isinstance(u, Reading)]
    assert all(r.simulated and r.series.startswith("simulated ") for r in readings)
    series: dict[str, list[Reading]] = {}
    for reading in readings:
        series.setdefault(reading.series, []).append(reading)
    assert set(series) >= {f"simulated {event}" for event in EVENTS}
    for name in ("I1", "D1", "LL", "branch"):
        rates = series[f"simulated {name} miss rate"]
        assert len(rates) == 3
        # Where other programs had the processors all the time, there is nothing to divide by.
        assert all(0 <= r.value < 100 if r.value is not None else r.status is Status.EMPTY for r in rates)
        assert {r.unit for r in rates} == {"%"}
    assert any((r.value or 0) > 1000 for r in series["simulated instructions"])
    ir = series["simulated Ir"]
    assert all(a.start_s + a.length_s == pytest.approx(b.start_s) for a, b in pairwise(ir))
    assert vgdb_pipes() <= before
    assert names_in(tmp_path) == {"simulated.stdout", "simulated.stderr", "valgrind.log"}


@pytest.mark.tool("valgrind")
@in_loop
async def test_the_end_of_the_program_ends_it_with_the_last_counts(tmp_path: Path) -> None:
    command = ("/bin/sh", "-c", "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done; echo done")
    told = [u async for u in SimulatedCounters(command, tmp_path, interval_s=0.5).updates()]
    counted = [u for u in told if isinstance(u, Reading) and u.series == "simulated Ir"]
    assert sum(r.value or 0 for r in counted) > 20_000 * 500
    assert (tmp_path / "simulated.stdout").read_text() == "done\n"


@in_loop
async def test_what_cannot_be_simulated_is_a_sentence(tmp_path: Path) -> None:
    async def fails(source: SimulatedCounters) -> TailflameError:
        with pytest.raises(TailflameError) as caught:
            async for _ in source.updates():
                pass
        return caught.value

    assert isinstance(await fails(SimulatedCounters(BUSY, tmp_path, valgrind="no-valgrind")), ToolMissing)
    with pytest.raises(ValueError, match=r"0\.5 s"):
        SimulatedCounters(BUSY, tmp_path, interval_s=0.1)


@pytest.mark.tool("valgrind")
@in_loop
async def test_a_program_that_is_none_or_too_short_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(ToolFailed, match="could not run /no/such/program"):
        async for _ in SimulatedCounters(("/no/such/program",), tmp_path).updates():
            pass
    try:
        told = [u async for u in SimulatedCounters(("/bin/true",), tmp_path).updates()]
    except TargetError as error:
        assert "had ended before" in error.sentence
    else:  # this machine is so slow that callgrind was asked in time
        assert isinstance(told[0], Armed)


def test_dumps_of_callgrind(tmp_path: Path) -> None:
    path = tmp_path / "callgrind.out.1"
    path.write_text(
        "# callgrind format\nversion: 1\ncreator: callgrind-3.19.0\npid: 1\ncmd: x\npart: 1\n\n"
        "desc: I1 cache: 32768 B, 64 B, 8-way associative\ndesc: Trigger: dump\n\npositions: line\n"
        "events: Ir Dr Dw I1mr\nsummary: 42 7\n\nfn=(1) main\n1 42 7\n\ntotals: 42 7\n"
    )
    assert read_dump(path) == (
        {"Ir": 42, "Dr": 7, "Dw": 0, "I1mr": 0},
        ("I1 cache: 32768 B, 64 B, 8-way associative",),
    )
    for text in ("", "events: Ir\n", "summary: 1 2\n", "events: Ir\nsummary: many\n"):
        path.write_text(text)
        assert read_dump(path)[0] == {}
    assert read_dump(tmp_path / "missing") == ({}, ())
