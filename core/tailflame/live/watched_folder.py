"""A folder that a program writes profiles into: each file is read once it is complete.

pprof-rs examples write profile_*.svg, perf record --switch-output perf.data.*, others folded stacks or pprof files.
Nothing tells when a file is finished; it is taken for complete when it has not changed for a moment, and when it can be
read: one that cannot be yet is tried again, and at last said.
"""

from __future__ import annotations

import asyncio
import os
import re
import time
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TypeAlias

from tailflame.analyse.snapshots import Snapshot
from tailflame.errors import Cancelled, ParseError, StoreError, TailflameError
from tailflame.live.cpu_recording import is_complete
from tailflame.model import Recording
from tailflame.model.live import Said
from tailflame.parse import load

_NAMES = re.compile(
    r"(?i).*\.(svg|folded|collapsed|stacks|txt|pb|pb\.gz|pprof|prof|perf|data|speedscope\.json|cpuprofile)(\.gz|\.zst)?"
    r"|perf\.data\..*|.*\.data\.\d+|callgrind\.out\..*"
)
_UNFINISHED = re.compile(r"(?i)^\.|\.(tmp|part|partial|swp|old)$|~$")
# A moment as programs put it into names; digits on either side belong to another number.
_STAMPS = (
    (re.compile(r"(?<!\d)(20\d\d)-?(\d\d)-?(\d\d)[T_ -]?(\d\d)[:-]?(\d\d)[:-]?(\d\d)(\d{2})?(?!\d)"), "date"),
    (re.compile(r"(?<!\d)(1\d{18})(?!\d)"), 1e9),
    (re.compile(r"(?<!\d)(1\d{15})(?!\d)"), 1e6),
    (re.compile(r"(?<!\d)(1\d{12})(?!\d)"), 1e3),
    (re.compile(r"(?<!\d)(1\d{9})(?!\d)"), 1.0),
)
_NOT_FINISHED = "perf is still writing it"


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderPatience:
    """In seconds."""

    tick: float = 0.5
    """Between two looks at the folder."""
    settle: float = 1.0
    """A file that has not changed for so long is taken for complete."""
    tries: int = 4
    """So often a file that cannot be read is tried, each time after twice as long."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrived:
    """A profile was read. `replaces`: the same file was read before, and has grown since."""

    snapshot: Snapshot
    recording: Recording
    path: Path
    replaces: Snapshot | None = None


@dataclass(frozen=True, slots=True)
class CaughtUp:
    """Everything that was there has been read, or been said."""

    files: int


FolderUpdate: TypeAlias = Arrived | Said | CaughtUp


@dataclass(frozen=True, slots=True)
class _State:
    inode: int
    size: int
    mtime_ns: int


@dataclass(slots=True)
class _File:
    state: _State
    since: float
    """When it was seen so first."""
    tried: int = 0
    next_try: float = 0.0
    done: bool = False
    """As it is now it has been read, or been given up."""
    snapshot: Snapshot | None = None
    inode: int = 0
    """Of the file that `snapshot` was read from."""


@dataclass(slots=True)
class WatchedFolder:
    """`updates()` yields what comes until `finish()` is called.

    epoch_s: seconds since the epoch at the zero of the snapshots' clock: 0 for times as clocks on the wall have them.
    """

    folder: Path
    epoch_s: float = 0.0
    read: Callable[[Path], Recording] = load
    patience: FolderPatience = field(default_factory=FolderPatience)
    _files: dict[str, _File] = field(default_factory=dict)
    _finishing: bool = False
    _woken: asyncio.Event = field(default_factory=asyncio.Event)

    def finish(self) -> None:
        self._finishing = True
        self._woken.set()

    async def updates(self) -> AsyncGenerator[FolderUpdate, None]:
        """StoreError where the folder is not one, or is gone."""
        count = 0
        told_caught_up = False
        while not self._finishing:
            ready, busy = await asyncio.to_thread(self._look, time.monotonic())
            for path in ready:
                if self._finishing:
                    return
                for update in await asyncio.to_thread(self._take, path):
                    count += isinstance(update, Arrived)
                    yield update
            if not ready and not busy and not told_caught_up:
                told_caught_up = True
                yield CaughtUp(count)
            self._woken.clear()
            if not self._finishing:
                try:
                    async with asyncio.timeout(self.patience.tick):
                        await self._woken.wait()
                except TimeoutError:
                    continue

    def _look(self, now: float) -> tuple[list[Path], bool]:
        """(files that can be read now, in the order of their time; whether others may follow soon). In a thread."""
        ready: list[Path] = []
        busy = False
        present: set[str] = set()
        try:
            entries = list(os.scandir(self.folder))
        except OSError as problem:
            raise StoreError(
                f"{self.folder} cannot be watched: {problem.strerror}.", advice="Choose a folder that can be read."
            ) from problem
        for entry in entries:
            state = _state_of(entry)
            if state is None:
                continue
            present.add(entry.name)
            file = self._files.get(entry.name)
            if file is None:
                # What is old when it is first seen need not be waited for.
                age = time.time() - state.mtime_ns / 1e9
                file = self._files[entry.name] = _File(state, now - max(age, 0.0))
            elif file.state != state:
                file.state, file.since, file.tried, file.next_try, file.done = state, now, 0, 0.0, False
            if file.done:
                continue
            busy = True
            if now - file.since >= self.patience.settle and now >= file.next_try:
                ready.append(self.folder / entry.name)
        for name in self._files.keys() - present:
            del self._files[name]  # taken away: what was read of it stays
        return sorted(ready, key=lambda path: (moment(path), path.name)), busy

    def _take(self, path: Path) -> list[FolderUpdate]:
        """In a thread."""
        file = self._files.get(path.name)
        if file is None:
            return []
        state = file.state
        try:
            if _is_perf(path) and not is_complete(path):
                raise ParseError(f"{path.name} is not finished: {_NOT_FINISHED}.", source=str(path))
            recording = self.read(path)
            if recording.profile is None:
                raise ParseError(f"{path.name} holds no stacks.", source=str(path))
        except Cancelled:
            raise
        except (TailflameError, OSError) as problem:
            return self._again(path, file, problem)
        file.done = True
        snapshot = Snapshot(
            end_s=_end(path, recording) - self.epoch_s,
            profile=recording.profile,
            source=path.name,
            length_s=recording.meta.duration_s,
        )
        grown = file.snapshot if file.snapshot is not None and file.inode == state.inode else None
        file.snapshot, file.inode = snapshot, state.inode
        return [Arrived(snapshot=snapshot, recording=recording, path=path, replaces=grown)]

    def _again(self, path: Path, file: _File, problem: TailflameError | OSError) -> list[FolderUpdate]:
        if isinstance(problem, FileNotFoundError):
            return []
        file.tried += 1
        file.next_try = time.monotonic() + self.patience.settle * 2**file.tried
        if file.tried < self.patience.tries:
            return []
        file.done = True  # until it changes
        sentence = problem.sentence if isinstance(problem, TailflameError) else f"{problem.strerror}."
        advice = problem.advice if isinstance(problem, TailflameError) else ""
        return [Said(text=f"{path.name} is left out: {sentence}", fix=advice)]


def _state_of(entry: os.DirEntry[str]) -> _State | None:
    if _UNFINISHED.search(entry.name) or not _NAMES.fullmatch(entry.name):
        return None
    try:
        if not entry.is_file():
            return None
        facts = entry.stat()
    except OSError:
        return None
    return _State(facts.st_ino, facts.st_size, facts.st_mtime_ns) if facts.st_size else None


def _is_perf(path: Path) -> bool:
    with path.open("rb") as stream:
        return stream.read(8) == b"PERFILE2" and int.from_bytes(stream.read(8), "little") != 16  # 16: written to a pipe


def named_moment(name: str) -> float | None:
    """The moment that a file's name tells, in seconds since the epoch; dates are local time."""
    for pattern, unit in _STAMPS:
        found = pattern.search(name)
        if found is None:
            continue
        if isinstance(unit, float):
            return int(found[1]) / unit
        year, month, day, hour, minute, second = (int(part) for part in found.groups()[:6])
        try:
            moment = datetime(year, month, day, hour, minute, second).astimezone()
        except ValueError:
            continue
        return moment.timestamp() + int(found[7] or 0) / 100
    return None


def moment(path: Path) -> float:
    """When a snapshot was taken: by its name, else by the file's last change."""
    named = named_moment(path.name)
    if named is not None:
        return named
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _end(path: Path, recording: Recording) -> float:
    """By the name; what a file tells of itself is when it began."""
    named = named_moment(path.name)
    if named is not None:
        return named
    meta = recording.meta
    if meta.started_at is not None and meta.duration_s is not None and recording.format == "pprof":
        return meta.started_at.timestamp() + meta.duration_s
    return moment(path)
