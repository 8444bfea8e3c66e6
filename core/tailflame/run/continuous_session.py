"""A continuous recording that is kept: read from its slices, also where nobody was left to finish it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from tailflame import units
from tailflame.analyse.slices import Slice, figures, strip_profile, within
from tailflame.errors import ParseError, StoreError
from tailflame.model import Caution, Meta, Recording, StackBuilder
from tailflame.model.slices import SliceSeries
from tailflame.parse import load
from tailflame.parse.source import Progress
from tailflame.run.continuous import left_name
from tailflame.run.perf_file import is_finished, mend
from tailflame.store import SessionFolder
from tailflame.store.session import Draw
from tailflame.store.slice_store import INDEX, RAW, SlicesHead, SliceStore, series

TOOL = "continuous"
FORMAT = "slices"
_NOTES = 5
"""Slices of which a result tells what is odd; the others tell it where they are pointed at."""

Load = Callable[[Path], Recording]


def planned(session: SessionFolder, *, argv: tuple[str, ...] = ()) -> None:
    """What is about to be recorded: a crash leaves it to be read by `load_slices`."""
    session.planned(argv=argv, artifacts={FORMAT: session.path / INDEX}, primary=FORMAT)


def keep(
    session: SessionFolder,
    store: SliceStore,
    *,
    outcome: str = "",
    draw: Draw | None = None,
    cautions: tuple[Caution, ...] = (),
) -> Recording:
    """Completes the session of a recording that has ended. Takes time: call it in a thread.

    StoreError where nothing was recorded; the session is then marked as failed.
    """
    if not store.rows:
        session.failed(outcome or "Nothing was recorded.")
        raise StoreError("Nothing was recorded.", advice="Let it run for at least one slice.")
    session.recorded(outcome=outcome)
    recording = _recording(store, store.head()).with_warnings(*cautions)
    whole = session.complete(replace(recording, meta=replace(recording.meta, outcome=outcome)), draw=draw)
    # Everything they hold is in recording.npz now.
    with contextlib.suppress(OSError):
        store.clear()
    return whole


def keep_snapshots(
    session: SessionFolder,
    parts: list[Slice],
    *,
    head: SlicesHead,
    folder: Path,
    outcome: str = "",
    draw: Draw | None = None,
    cautions: tuple[Caution, ...] = (),
) -> Recording:
    """Completes the session of a watched folder: the slices as they were shown."""
    if not parts:
        session.failed("No profile came.")
        raise StoreError(f"No profile has come into {folder}.", advice="Let the program write one, or choose another.")
    session.recorded(outcome=outcome)
    meta = Meta(title=folder.name, outcome=outcome)
    recording = recording_of(parts, series((figures(part) for part in parts), head), meta, tool="snapshots")
    return session.complete(recording.with_warnings(*cautions), draw=draw)


def recording_of(parts: list[Slice], slices: SliceSeries, meta: Meta, *, tool: str = "perf") -> Recording:
    """All slices as one result; its samples tell their slice by their time."""
    rows = slices.rows
    seconds = sum(row.length_s for row in rows)
    notes = tuple(Caution(f"{row.source}: {row.note}") for row in rows if row.note)
    return Recording(
        tool=tool,
        format=FORMAT,
        source=INDEX,
        results=(strip_profile(parts), slices),
        meta=replace(meta, duration_s=seconds),
        warnings=notes[:_NOTES],
    )


def _recording(store: SliceStore, head: SlicesHead) -> Recording:
    recording = recording_of(store.all(), series(store.rows, head), store.meta())
    merged = sum(row.parts > 1 for row in store.rows)
    if merged:
        recording = recording.with_warnings(
            Caution(
                f"{units.count(merged)} of {units.count(len(store.rows))} slices were merged from older ones, "
                "to keep the budget of the disk."
            )
        )
    return recording


def load_slices(
    path: Path, *, format: str | None = None, progress: Progress | None = None, read: Load | None = None
) -> Recording:
    """What a continuous recording has left in the folder of `path` (slices.json): its slices, and the files that perf
    closed and nobody has read.
    """
    store = SliceStore(path.parent)
    head = store.head()
    store.open()
    with contextlib.suppress(OSError, StoreError):
        _read_rest(store, head, read or load)
    if not store.rows:
        raise ParseError(
            f"{path.parent.name} holds no slice: the recording ended before the first was closed.",
            source=str(path),
            advice="Record again.",
        )
    return _recording(store, head)


def _read_rest(store: SliceStore, head: SlicesHead, read: Load) -> None:
    """Files without a slice become slices. The last may be one that perf could not close."""
    last = store.folder / RAW
    if last.is_file() and (is_finished(last) or mend(last)):
        last.rename(left_name(last))
    number = store.rows[-1].last if store.rows else 0
    since = store.rows[-1].end_s if store.rows else None
    for raw in store.unread(head.epoch_s):
        end = raw.stat().st_mtime_ns / 1e9 - head.epoch_s
        profile, meta, note = StackBuilder().build(), Meta(), ""
        try:
            recording = read(raw)
            profile, meta = recording.profile or profile, replace(recording.meta, duration_s=None, lost=None)
        except ParseError as problem:
            note = problem.sentence
        times = profile.samples.time_ns[profile.samples.time_ns >= 0]
        first = float(times.min()) / 1e9 if len(times) else end - head.slice_s
        # perf closes one file and opens the next: only where some are missing, the first sample tells the start.
        start = since if since is not None and end - since <= 2 * head.slice_s else min(first, end)
        number += 1
        profile = within(profile, start, max(end - start, 1e-3))
        store.add(Slice(start, max(end - start, 1e-3), profile, raw.name, number, number, note), meta=meta, raw=raw)
        since = end
