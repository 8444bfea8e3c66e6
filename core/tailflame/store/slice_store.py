"""The slices of a continuous recording on disk, while it goes on: each is whole or not there, at any moment.

profiles/20261123_120455_trading-system_continuous/
    session.json
    slices.json                      what is recorded, written first
    perf.data                        what perf writes now
    perf.data.2026112312045512       slices that perf has closed; the oldest are dropped when the budget asks for it
    slices/000001-000001.npz         the same, read: a recording of one slice (codec.py)
    slices/000001-000002.npz         two neighbours merged into one

Merging writes the new file before it removes the two; what a crash leaves of them is covered by the wider one.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Container, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tailflame.analyse.slices import Coarsening, Held, Slice, coarsen, figures, merged
from tailflame.errors import StoreError
from tailflame.model import Meta, Recording, StackProfile
from tailflame.model.slices import SliceFigures, SliceSeries
from tailflame.store.codec import decode, encode
from tailflame.store.columns import read_columns, write_columns
from tailflame.store.files import Fields, read_json, reason, write_json
from tailflame.store.upgrade import SLICES

INDEX = "slices.json"
RAW = "perf.data"
_FOLDER = "slices"
_SAME_S = 1e-3
_NAME = re.compile(r"(\d{6,12})-(\d{6,12})\.npz")


@dataclass(frozen=True, slots=True, kw_only=True)
class SlicesHead:
    """What was to be recorded. epoch_s: seconds since the epoch at the zero of the slices' clock."""

    epoch_s: float
    pid: int = 0
    program: str = ""
    slice_s: float = 60.0
    frequency: int = 0
    cumulative: bool = False

    def document(self) -> dict[str, Any]:
        return {
            "format": "tailflame slices",
            "version": SLICES.version,
            "epoch_s": self.epoch_s,
            "pid": self.pid,
            "program": self.program,
            "slice_s": self.slice_s,
            "frequency": self.frequency,
            "cumulative": self.cumulative,
        }

    @classmethod
    def from_fields(cls, fields: Fields) -> SlicesHead:
        fields = SLICES.upgraded(fields)
        return cls(
            epoch_s=fields.number("epoch_s") or 0.0,
            pid=fields.integer("pid", 0),
            program=fields.text("program", ""),
            slice_s=fields.number("slice_s") or 0.0,
            frequency=fields.integer("frequency", 0),
            cumulative=fields.flag("cumulative", False),
        )


@dataclass(frozen=True, slots=True)
class _Kept:
    """One slice on disk. `raw` is the tool's file beside it, None where it has been dropped."""

    row: SliceFigures
    path: Path
    bytes: int
    raw: Path | None = None
    raw_bytes: int = 0


class SliceStore:
    """Writes and reads the slices of one folder. Its methods block; one thread at a time.

    StoreError where the disk refuses.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._kept: list[_Kept] = []

    @property
    def rows(self) -> tuple[SliceFigures, ...]:
        """All slices, in the order of time."""
        return tuple(kept.row for kept in self._kept)

    def begin(self, head: SlicesHead) -> None:
        """Says what is going to be recorded."""
        _made(self.folder / _FOLDER)
        write_json(self.folder / INDEX, head.document())

    def head(self) -> SlicesHead:
        return SlicesHead.from_fields(read_json(self.folder / INDEX))

    def open(self) -> None:
        """Takes up what another process has left. What cannot be read is left out, and left where it is."""
        found: list[_Kept] = []
        with contextlib.suppress(FileNotFoundError):
            for entry in os.scandir(self.folder / _FOLDER):
                name = _NAME.fullmatch(entry.name)
                if name is None:
                    continue
                with contextlib.suppress(StoreError):
                    row = _row_of(Path(entry.path))
                    found.append(_Kept(row, Path(entry.path), entry.stat().st_size))
        wide = sorted(found, key=lambda kept: (kept.row.first, -kept.row.last))
        self._kept = []
        for kept in wide:
            if not self._kept or kept.row.last > self._kept[-1].row.last:
                raw = self.folder / kept.row.source if kept.row.source else None
                there = raw is not None and kept.row.parts == 1 and raw.is_file()
                size = raw.stat().st_size if there and raw is not None else 0
                self._kept.append(replace(kept, raw=raw if there else None, raw_bytes=size))

    def add(
        self, part: Slice, *, meta: Meta | None = None, tool: str = "perf", raw: Path | None = None
    ) -> SliceFigures:
        """Keeps a slice for good; `raw` is the tool's file that it was read from, which may be dropped later."""
        row = figures(part)
        path = self._write(part, row, meta or Meta(), tool)
        raw_bytes = raw.stat().st_size if raw is not None else 0
        self._kept.append(_Kept(row, path, path.stat().st_size, raw, raw_bytes))
        self._kept.sort(key=lambda kept: kept.row.first)
        return row

    def _write(self, part: Slice, row: SliceFigures, meta: Meta, tool: str) -> Path:
        _made(self.folder / _FOLDER)
        path = _path_of(self.folder, row)
        recording = Recording(
            tool=tool, format="slice", source=part.source, results=(part.profile, SliceSeries((row,))), meta=meta
        )
        header, columns = encode(recording)
        write_columns(path, header, columns)
        return path

    def load(self, row: SliceFigures) -> Slice:
        """A slice with its samples."""
        kept = next((one for one in self._kept if one.row.first <= row.first <= one.row.last), None)
        if kept is None:
            raise StoreError(f"Slice {row.first} is not kept in {self.folder}.")
        return _slice_of(kept.path)[0]

    def all(self) -> list[Slice]:
        return [_slice_of(kept.path)[0] for kept in self._kept]

    def meta(self) -> Meta:
        """What is known of the run, from the latest slice."""
        return _slice_of(self._kept[-1].path)[1].meta if self._kept else Meta()

    def chosen(self, start_s: float, end_s: float) -> list[Slice]:
        """The slices of which the middle lies in the range."""
        rows = [one.row for one in self._kept]
        return [self.load(row) for row in rows if start_s <= row.start_s + row.length_s / 2 < end_s]

    def bytes(self) -> int:
        """What the folder takes on the disk."""
        total = 0
        for place in (self.folder, self.folder / _FOLDER):
            with contextlib.suppress(FileNotFoundError):
                for entry in os.scandir(place):
                    with contextlib.suppress(FileNotFoundError):
                        if entry.is_file(follow_symlinks=False):
                            total += entry.stat(follow_symlinks=False).st_size
        return total

    def coarsen(self, *, budget: int, most: int) -> bool:
        """Takes steps until the budget is kept, or nothing more can be done. True where slices were merged.

        Exact: the merged slice weighs what its two did, stack by stack.
        """
        changed = False
        while True:
            step = self._plan(budget, most)
            for number in step.drop_raw:
                kept = self._kept[number]
                if kept.raw is not None:
                    kept.raw.unlink(missing_ok=True)
                self._kept[number] = replace(kept, raw=None, raw_bytes=0)
            if step.merge_at is None:
                return changed
            self._merge(step.merge_at)
            changed = True

    def _plan(self, budget: int, most: int) -> Coarsening:
        held = [Held(one.row.start_s, one.row.length_s, one.bytes, one.raw_bytes) for one in self._kept]
        spare = self.bytes() - sum(one.bytes + one.raw_bytes for one in held)
        return coarsen(held, budget=budget, most=most, spare=max(spare, 0))

    def _merge(self, at: int) -> None:
        one, other = self._kept[at : at + 2]
        (first, recording), (second, _) = _slice_of(one.path), _slice_of(other.path)
        part = merged((first, second))
        row = figures(part)
        path = self._write(part, row, recording.meta, recording.tool)
        for kept in (one, other):
            kept.path.unlink(missing_ok=True)
            if kept.raw is not None:
                kept.raw.unlink(missing_ok=True)
        self._kept[at : at + 2] = [_Kept(row, path, path.stat().st_size)]

    def raws(self, *, known: Container[str] = ()) -> list[Path]:
        """Files that perf has closed, in the order of their end, without those of these names."""
        found: list[tuple[int, str, Path]] = []
        with contextlib.suppress(FileNotFoundError):
            for entry in os.scandir(self.folder):
                name = entry.name
                if name not in known and name.startswith(f"{RAW}.") and name[len(RAW) + 1 :].isdecimal():
                    with contextlib.suppress(FileNotFoundError):
                        found.append((entry.stat().st_mtime_ns, name, Path(entry.path)))
        return [path for _, _, path in sorted(found)]

    def unread(self, epoch_s: float) -> list[Path]:
        """Of these, the ones that were closed after the last slice: they are read in their order."""
        last = self._kept[-1].row.end_s if self._kept else float("-inf")
        return [path for path in self.raws() if path.stat().st_mtime_ns / 1e9 - epoch_s > last + _SAME_S]

    def clear(self) -> None:
        """Removes the slices' own files, once they are kept elsewhere."""
        for kept in self._kept:
            kept.path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            (self.folder / _FOLDER).rmdir()
        self._kept = []


def load_chosen(folder: Path, rows: Iterable[SliceFigures]) -> list[Slice]:
    """These slices of a recording that may go on: found by their names, or by looking where they were merged since."""
    found: list[Slice] = []
    wanted = list(rows)
    for row in wanted:
        try:
            found.append(_slice_of(_path_of(folder, row))[0])
        except StoreError:
            store = SliceStore(folder)
            store.open()
            return store.chosen(wanted[0].start_s, wanted[-1].end_s)
    return found


def _path_of(folder: Path, row: SliceFigures) -> Path:
    return folder / _FOLDER / f"{row.first:06d}-{row.last:06d}.npz"


def series(rows: Iterable[SliceFigures], head: SlicesHead) -> SliceSeries:
    """The slices as a result."""
    return SliceSeries(tuple(rows), epoch_s=head.epoch_s, pid=head.pid, cumulative=head.cumulative)


def _slice_of(path: Path) -> tuple[Slice, Recording]:
    fields, columns = read_columns(path)
    recording = decode(fields, columns)
    profile, slices = recording.profile, recording.slices
    if profile is None or slices is None or len(slices.rows) != 1:
        raise StoreError(f"{path} is damaged: it is not a slice.")
    row = slices.rows[0]
    return _as_slice(row, profile), recording


def _as_slice(row: SliceFigures, profile: StackProfile) -> Slice:
    return Slice(row.start_s, row.length_s, profile, row.source, row.first, row.last, row.note)


def _row_of(path: Path) -> SliceFigures:
    _, recording = _slice_of(path)
    assert recording.slices is not None
    return recording.slices.rows[0]


def _made(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(
            f"The folder {folder} cannot be made: {reason(error)}.", advice="Choose another profiles folder."
        ) from error
