"""Slices on disk: whole or not there, merged exactly, and taken up again after any crash."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from helpers.stacks import profile
from tailflame.analyse.slices import FEW, Slice, merge
from tailflame.errors import StoreError
from tailflame.model import Recording
from tailflame.model.slices import SliceFigures, SliceSeries
from tailflame.store import load_recording, save_recording
from tailflame.store.columns import read_columns, write_columns
from tailflame.store.slice_store import INDEX, SlicesHead, SliceStore

TEXT = "main;a 10\nmain;b 5"
HEAD = SlicesHead(epoch_s=1000.0, pid=7, program="book", slice_s=1.0, frequency=99)


def filled(folder: Path, count: int, *, raw: bool = False) -> SliceStore:
    store = SliceStore(folder)
    store.begin(HEAD)
    for n in range(1, count + 1):
        path = folder / f"perf.data.{n:016d}"
        if raw:
            path.write_bytes(b"x" * 100_000)
            os.utime(path, (1000 + n + 1, 1000 + n + 1))
        store.add(Slice(float(n), 1.0, profile(f"{TEXT}\nmain;s{n} 1"), path.name, n, n), raw=path if raw else None)
    return store


def test_slices_come_back_as_they_were_kept(tmp_path: Path) -> None:
    store = filled(tmp_path, 3)
    again = SliceStore(tmp_path)
    again.open()
    assert again.head() == HEAD
    assert again.rows == store.rows
    part = again.load(again.rows[1])
    assert (part.start_s, part.length_s, part.first, part.source) == (2.0, 1.0, 2, f"perf.data.{2:016d}")
    assert part.profile.total() == 16
    assert [one.first for one in again.chosen(1.0, 3.0)] == [1, 2]


def test_old_slices_merge_exactly_under_a_budget(tmp_path: Path) -> None:
    store = filled(tmp_path, 20, raw=True)
    assert store.coarsen(budget=1 << 30, most=10)
    assert len(store.rows) == 10
    assert sum(row.samples for row in store.rows) == 20 * 16
    whole = merge([part.profile for part in store.all()])
    assert whole.total() == 20 * 16
    again = SliceStore(tmp_path)
    again.open()
    assert again.rows == store.rows
    assert [row.parts for row in store.rows][-2:] == [1, 1]


def test_raw_files_are_dropped_before_anything_is_merged(tmp_path: Path) -> None:
    store = filled(tmp_path, 9, raw=True)
    assert not store.coarsen(budget=store.bytes() - 150_000, most=720)
    assert [path.name for path in store.raws()] == [f"perf.data.{n:016d}" for n in range(3, 10)]
    assert len(store.rows) == 9


def test_a_budget_that_cannot_be_kept_leaves_a_few(tmp_path: Path) -> None:
    store = filled(tmp_path, 12, raw=True)
    assert store.coarsen(budget=1, most=720)
    assert len(store.rows) == FEW
    assert not store.raws()
    assert not store.coarsen(budget=1, most=720)


def test_a_crash_while_merging_counts_nothing_twice(tmp_path: Path) -> None:
    store = filled(tmp_path, 12)
    parts = {path.name: path.read_bytes() for path in (tmp_path / "slices").iterdir()}
    store.coarsen(budget=1 << 30, most=11)
    for name, data in parts.items():  # as if the two had not been removed yet
        (tmp_path / "slices" / name).write_bytes(data)
    again = SliceStore(tmp_path)
    again.open()
    assert again.rows == store.rows


def test_what_cannot_be_read_is_left_out_and_left_alone(tmp_path: Path) -> None:
    filled(tmp_path, 3)
    broken = tmp_path / "slices" / "000002-000002.npz"
    broken.write_bytes(broken.read_bytes()[:200])
    again = SliceStore(tmp_path)
    again.open()
    assert [row.first for row in again.rows] == [1, 3]
    assert broken.exists()


def test_only_what_was_closed_later_waits_to_be_read(tmp_path: Path) -> None:
    store = filled(tmp_path, 2, raw=True)
    late = tmp_path / f"perf.data.{9:016d}"
    late.write_bytes(b"x")
    os.utime(late, (1009, 1009))
    (tmp_path / "perf.data").write_bytes(b"x")
    assert store.unread(HEAD.epoch_s) == [late]


def test_a_folder_that_takes_nothing_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot be made"):
        SliceStore(tmp_path / "file").begin(HEAD)


def test_slices_are_a_result_like_others(tmp_path: Path) -> None:
    rows = tuple(
        SliceFigures(first=n, last=n, start_s=float(n), length_s=1.0, samples=3.0, cpu_s=0.1, top="f", note="odd")
        for n in range(3)
    )
    series = SliceSeries(rows, epoch_s=5.0, pid=3, cumulative=True)
    save_recording(tmp_path, Recording("perf", "slices", INDEX, (profile(TEXT), series)))
    found = load_recording(tmp_path).slices
    assert found is not None
    assert (found.rows, found.epoch_s, found.pid, found.cumulative) == (rows, 5.0, 3, True)
    assert (found.first_s, found.end_s) == (0.0, 3.0)


@pytest.mark.parametrize(
    "changed", [{"start_s": 9.0}, {"length_s": -1.0}, {"last": 0, "first": 2}, {"samples": "many"}, {"top": 5}]
)
def test_hostile_slices_are_refused(tmp_path: Path, changed: dict[str, object]) -> None:
    rows = tuple(SliceFigures(first=n, last=n, start_s=float(n), length_s=1.0) for n in range(2))
    save_recording(tmp_path, Recording("perf", "slices", INDEX, (SliceSeries(rows),)))
    fields, columns = read_columns(tmp_path / "recording.npz")
    document = dict(fields.document)
    document["results"][0]["slices"][0] |= changed
    write_columns(tmp_path / "recording.npz", document, columns)
    with pytest.raises(StoreError, match="damaged"):
        load_recording(tmp_path)
