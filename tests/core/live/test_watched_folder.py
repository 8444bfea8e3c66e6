"""A watched folder: files are read once they are complete, in the order of time, and what cannot be read is said."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import datetime
from pathlib import Path

import pytest

from helpers.loop import in_loop
from helpers.stacks import profile
from tailflame.analyse.slices import merge
from tailflame.analyse.snapshots import SnapshotSlices
from tailflame.errors import StoreError
from tailflame.live.watched_folder import (
    Arrived,
    CaughtUp,
    FolderPatience,
    FolderUpdate,
    WatchedFolder,
    moment,
    named_moment,
)
from tailflame.model import StackProfile
from tailflame.model.live import Said
from tailflame.report import svg

QUICK = FolderPatience(tick=0.02, settle=0.05, tries=3)
TEXT = "main;a 10\nmain;b 5"


def watched(folder: Path) -> WatchedFolder:
    return WatchedFolder(folder, patience=QUICK)


def settled(folder: Path) -> None:
    """All files of a folder were complete long ago."""
    for path in folder.iterdir():
        os.utime(path, (1795643000, 1795643000))


async def until_caught_up(source: WatchedFolder) -> list[FolderUpdate]:
    """What comes until everything that is there has been read."""
    found: list[FolderUpdate] = []
    async with aclosing(source.updates()) as updates:
        async for update in updates:
            if isinstance(update, CaughtUp):
                break
            found.append(update)
    return found


def drawn(folder: Path, name: str, one: StackProfile) -> Path:
    """A flame graph, as pprof-rs leaves it."""
    path = folder / name
    svg.write(one, path)
    return path


@in_loop
async def test_profiles_of_all_kinds_come_in_the_order_of_their_time(tmp_path: Path) -> None:
    drawn(tmp_path, "profile_1795643424281.svg", profile(TEXT))
    drawn(tmp_path, "profile_1795643422042.svg", profile(TEXT))
    (tmp_path / "stacks-20261125T235959.folded").write_text(TEXT)
    (tmp_path / "notes.md").write_text("not looked at")
    (tmp_path / ".profile_1.svg").write_text("hidden")
    (tmp_path / "profile_2.svg.tmp").write_text("unfinished")
    settled(tmp_path)
    came = await until_caught_up(watched(tmp_path))
    assert all(isinstance(one, Arrived) for one in came), came
    names = [one.snapshot.source for one in came if isinstance(one, Arrived)]
    early = ["profile_1795643422042.svg", "profile_1795643424281.svg"]
    assert [name for name in names if name in early] == early
    assert len(names) == 3
    first = next(one for one in came if isinstance(one, Arrived) and one.snapshot.source == early[0])
    assert (first.snapshot.end_s, first.snapshot.profile.total()) == (1795643422.042, 15)


@in_loop
async def test_cumulative_flame_graphs_are_shown_less_their_predecessor(tmp_path: Path) -> None:
    one = profile(TEXT)
    for n in range(1, 4):
        drawn(tmp_path, f"profile_{1795643420 + n}000.svg", merge([one] * n))
    came = await until_caught_up(watched(tmp_path))
    found = SnapshotSlices().of([update.snapshot for update in came if isinstance(update, Arrived)])
    assert found.cumulative
    assert [part.profile.total() for part in found.slices] == [15, 15, 15]


@in_loop
async def test_a_file_that_grows_is_read_when_it_is_whole(tmp_path: Path) -> None:
    whole = drawn(tmp_path, "whole.svg", profile(TEXT)).read_bytes()
    (tmp_path / "whole.svg").unlink()
    path = tmp_path / "profile_1.svg"
    source = watched(tmp_path)
    path.write_bytes(whole[:200])
    async with aclosing(source.updates()) as updates:
        said = await anext(updates)
        assert isinstance(said, Said)
        assert "profile_1.svg is left out" in said.text
        path.write_bytes(whole)
        came = await next_arrival(updates)
    assert came.snapshot.profile.total() == 15


async def next_arrival(updates: AsyncGenerator[FolderUpdate, None]) -> Arrived:
    async for update in updates:
        if isinstance(update, Arrived):
            return update
    raise AssertionError("nothing came")


@in_loop
async def test_a_file_that_is_renamed_over_is_a_new_snapshot_and_one_that_grows_is_the_same(tmp_path: Path) -> None:
    path = tmp_path / "latest.folded"
    path.write_text(TEXT)
    source = watched(tmp_path)
    async with aclosing(source.updates()) as updates:
        first = await next_arrival(updates)
        fresh = tmp_path / "latest.folded.tmp"
        fresh.write_text(TEXT + "\nmain;c 7")
        fresh.replace(path)
        second = await next_arrival(updates)
        assert (second.snapshot.profile.total(), second.replaces) == (22, None)
        with path.open("a") as stream:
            stream.write("\nmain;d 1")
        third = await next_arrival(updates)
        assert third.replaces is second.snapshot
        assert third.snapshot.profile.total() == 23
    assert first.snapshot.profile.total() == 15


@in_loop
async def test_what_perf_still_writes_is_waited_for(tmp_path: Path) -> None:
    head = b"PERFILE2" + (104).to_bytes(8, "little") + bytes(88)
    (tmp_path / "perf.data.2026112521260712").write_bytes(head)
    came = await until_caught_up(watched(tmp_path))
    assert len(came) == 1
    assert isinstance(came[0], Said)
    assert "perf is still writing it" in came[0].text


@in_loop
async def test_many_files_at_once_are_each_read_once(tmp_path: Path) -> None:
    for n in range(120):
        (tmp_path / f"p_{1795643000 + n}.folded").write_text(f"main;f{n} {n + 1}")
    came = await until_caught_up(watched(tmp_path))
    totals = [one.snapshot.profile.total() for one in came if isinstance(one, Arrived)]
    assert sorted(totals) == [float(n + 1) for n in range(120)]


@in_loop
async def test_it_ends_when_it_is_asked_to_and_when_the_folder_goes(tmp_path: Path) -> None:
    source = watched(tmp_path)
    came: list[FolderUpdate] = []
    async for update in source.updates():
        came.append(update)
        asyncio.get_running_loop().call_soon(source.finish)
    assert came == [CaughtUp(0)]
    with pytest.raises(StoreError, match="cannot be watched"):
        await anext(watched(tmp_path / "gone").updates())


@pytest.mark.parametrize(
    ("name", "seconds"),
    [
        ("profile_1795643422042.svg", 1795643422.042),
        ("profile_1795643422.svg", 1795643422.0),
        ("cpu-1795643422042000.pb.gz", 1795643422.042),
        ("cpu-1795643422042000000.pb.gz", 1795643422.042),
        ("perf.data.2026112521260712", datetime(2026, 11, 25, 21, 26, 7).timestamp() + 0.12),
        ("run_20261125_212607.folded", datetime(2026, 11, 25, 21, 26, 7).timestamp()),
        ("2026-11-25T21:26:07.svg", datetime(2026, 11, 25, 21, 26, 7).timestamp()),
        ("profile_3.svg", None),
        ("20269999999999.svg", None),
    ],
)
def test_moments_in_names(name: str, seconds: float | None) -> None:
    assert named_moment(name) == pytest.approx(seconds, abs=1e-3)


def test_without_one_the_last_change_tells(tmp_path: Path) -> None:
    path = tmp_path / "profile.svg"
    path.write_text("")
    os.utime(path, (1234.5, 1234.5))
    assert moment(path) == 1234.5
    assert moment(tmp_path / "gone.svg") == 0.0
