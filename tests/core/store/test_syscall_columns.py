"""System calls read back exactly, and a damaged file is a sentence."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest

from helpers.stack_counts import DATA
from tailflame.errors import StoreError
from tailflame.model import Recording
from tailflame.model.stacks import readonly
from tailflame.model.syscalls import SyscallSums, SyscallTrace
from tailflame.parse import load
from tailflame.store.session import load_recording, save_recording

STRACE = DATA / "strace" / "6.1"


def held(recording: Recording) -> SyscallTrace:
    assert recording.syscalls is not None
    return recording.syscalls


def kept(trace: SyscallTrace, folder: Path) -> SyscallTrace:
    folder.mkdir(exist_ok=True)
    save_recording(folder, Recording("strace", "strace-log", "x", (trace,)))
    return held(load_recording(folder))


@pytest.mark.parametrize("name", ["edge.log.gz", "names.log.gz", "two-modes.txt", "columns.txt", "clock.log.gz"])
def test_they_read_back_exactly(name: str, tmp_path: Path) -> None:
    trace = held(load(STRACE / name))
    again = kept(trace, tmp_path)
    for field in fields(SyscallTrace):
        one, other = getattr(trace, field.name), getattr(again, field.name)
        if isinstance(one, np.ndarray):
            assert np.array_equal(one, other, equal_nan=one.dtype.kind == "f") and one.dtype == other.dtype, field.name
            assert not other.flags.writeable
        elif field.name not in ("sums", "events"):
            assert one == other, field.name
    assert [event[1:] for event in again.events] == [event[1:] for event in trace.events]
    for one_table, other_table in zip(trace.sums, again.sums, strict=True):
        assert (one_table.names, one_table.title, one_table.wall) == (
            other_table.names,
            other_table.title,
            other_table.wall,
        )
        for column in ("calls", "errors", "seconds", "shortest_s", "longest_s"):
            assert np.array_equal(getattr(one_table, column), getattr(other_table, column), equal_nan=True), column


def test_a_table_without_its_longest(tmp_path: Path) -> None:
    numbers = readonly([1], np.int64)
    sums = SyscallSums(names=("read",), calls=numbers, errors=numbers, seconds=readonly([0.5], np.float64), wall=True)
    (again,) = kept(SyscallTrace(sums=(sums,)), tmp_path).sums
    assert again.wall is True and np.isnan(again.longest_s).all()


def test_what_does_not_fit_together_is_refused(tmp_path: Path) -> None:
    trace = held(load(STRACE / "edge.log.gz"))
    for number, damaged in enumerate(
        (
            replace(trace, names=trace.names[:1]),
            replace(trace, threads=()),
            replace(trace, places=trace.places[:1]),
            replace(trace, errnos=()),
            replace(trace, slow_text=trace.slow_text[:-1]),
            replace(trace, slow=readonly(trace.slow[::-1], np.int32)),
            replace(trace, slow=readonly(trace.slow + 100_000, np.int32)),
            replace(trace, fd=trace.fd[:3]),
            replace(trace, sums=(replace(trace.sums[0], names=("x",)),)),
            replace(trace, events=((0.0, 77, "exited"),)),
        )
    ):
        with pytest.raises(StoreError, match="damaged"):
            kept(damaged, tmp_path / str(number))
