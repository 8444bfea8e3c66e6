"""perf.data files: read here, and by `perf script` what is not read here (copied stacks above all)."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import struct
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import BinaryIO

from tailflame.errors import ParseError, ToolFailed
from tailflame.model import NONE, Caution, Recording
from tailflame.parse import perf_cautions
from tailflame.parse.perf_file import PerfFile, is_perf_data, read_perf_file
from tailflame.parse.perf_run import Ended, fields_for
from tailflame.parse.perf_script import PerfText
from tailflame.parse.perf_unwind import Reading, unwind
from tailflame.parse.perfdata.many import joined
from tailflame.parse.perfdata.reader import Content, Unread, content_of, kernel_of, read, times_of
from tailflame.parse.perfdata.sideband import KERNEL_PID
from tailflame.parse.perfdata.spaces import KERNEL
from tailflame.parse.registry import NO
from tailflame.parse.source import Progress, Source
from tailflame.parse.symbolize import RecordedKernel, Symbolizer
from tailflame.parse.symbols import refine

_READ_SHARE = 0.85
"""Of the progress: reading; the rest is debug information."""
_WALKED_SHARE, _NAMED_SHARE = 0.3, 0.7
"""Where perf is not needed: all but the names; the names."""
_COPY = 4 * 1024 * 1024
_DATA_SIZE_AT, _FEATURES_AT = 48, 72
"""Where a perf.data file's header says how large its data is, and what follows it."""


class PerfData:
    name = "perf-data"
    title = "perf.data"

    def sniff(self, head: bytes, name: str) -> float:
        return 1.0 if is_perf_data(head) else NO

    def load(self, source: Source) -> Recording:
        """Beside ParseError and Cancelled it raises ToolMissing and ToolFailed, where perf has to read the file."""
        with _plain(source) as path:
            file = replace(read_perf_file(path, watch=lambda: source.report(0.0)), path=source.path)
            try:
                return _native(source, path, file)
            except Unread as unread:
                why = str(unread)
            with _whole(file, path, source) as readable:
                carried = file.header.fields
                reader, ended = unwind(
                    readable,
                    fields=fields_for(carried),
                    has_chains=not carried or "CALLCHAIN" in carried,
                    first_ns=file.header.first_ns if "STACK_USER" in carried else NONE,
                    last_ns=file.header.last_ns,
                    samples=file.tally.samples,
                    times=times_of(path, file) if "STACK_USER" in carried else None,
                    watch=lambda text: _report(source, file, text),
                )
        said = (Caution(f"perf script read this file, which takes longer: {why}."),) if why else ()
        return _recording(source, file, reader, ended).with_warnings(*said)


PERF_DATA = PerfData()


def holds_recordings(path: Path) -> bool:
    """Whether `path` is a folder with perf.data files in it."""
    try:
        return path.is_dir() and any(_is_recording(file) for file in path.glob("*perf.data*"))
    except OSError:
        return False


def _is_recording(file: Path) -> bool:
    if not file.is_file():
        return False
    with file.open("rb") as raw:
        return is_perf_data(raw.read(8))


def load_many(paths: Sequence[Path], *, progress: Progress | None = None) -> Recording:
    """Several recordings as one: those of `perf record --switch-output`, in any order, or a folder that holds them.

    What of them cannot be read is left out, and told. Raises ParseError where that is all, and what `load` raises.
    """
    files = [file for path in paths for file in (sorted(path.iterdir()) if path.is_dir() else [path]) if file.is_file()]
    read: list[Recording] = []
    failed: list[Caution] = []
    for number, file in enumerate(files):
        watch = None if progress is None else partial(_share_of, progress, number, len(files))
        try:
            source = Source(file, progress=watch)
            if not is_perf_data(source.head):
                continue
            read.append(PERF_DATA.load(source))
        except ParseError as error:
            failed.append(Caution(error.sentence, error.advice))
    if not read:
        said = failed[0].text if failed else "There is no perf.data file in what was chosen."
        raise ParseError(said, source=str(paths[0]) if paths else "")
    if len(read) == 1:
        return read[0].with_warnings(*failed)
    profile = joined([recording.profile for recording in read if recording.profile is not None])
    times = profile.samples.time_ns[profile.samples.time_ns >= 0]
    first = read[0]
    meta = replace(
        first.meta,
        lost=sum(recording.meta.lost or 0 for recording in read),
        duration_s=float(times.max() - times.min()) / 1e9 if len(times) else None,
        started_at=min((r.meta.started_at for r in read if r.meta.started_at), default=None),
        build_ids=tuple(dict.fromkeys(pair for recording in read for pair in recording.meta.build_ids)),
    )
    warnings = [caution for recording in read for caution in recording.warnings]
    name = str(paths[0]) if len(paths) == 1 else first.source
    whole = replace(first, source=name, results=(profile,), meta=meta, warnings=())
    return whole.with_warnings(*dict.fromkeys((*failed, *warnings)))


def _share_of(progress: Progress, number: int, count: int, share: float) -> None:
    progress((number + share) / count)


def _native(source: Source, path: Path, file: PerfFile) -> Recording:
    """Reads it here. Raises Unread where perf script has to."""
    content = content_of(path, file, lambda: source.report(_WALKED_SHARE))
    if not file.whole and not len(content.columns):
        raise _cut_too_early(source)
    kernel = kernel_of(content, file.header.kernel, dict(file.header.build_ids))
    recorded_at = source.path.stat().st_mtime
    watch = partial(source.report, _NAMED_SHARE)
    with Symbolizer(kernel=kernel, recorded_at=recorded_at, watch=watch) as symbolizer:
        return _named(source, file, content, symbolizer, kernel)


def _named(
    source: Source, file: PerfFile, content: Content, symbolizer: Symbolizer, kernel: RecordedKernel
) -> Recording:
    reading = read(
        content,
        build_ids=file.header.build_ids,
        symbolizer=symbolizer,
        watch=lambda: source.report(_WALKED_SHARE),
        progress=lambda share: source.report(_WALKED_SHARE + (_NAMED_SHARE - _WALKED_SHARE) * share),
    )
    if not len(reading.rows.stack):
        raise _without_samples(source, file, Ended(0, ""))
    found, first = reading.first()
    header = file.header
    count = len(content.columns)
    warnings: list[Caution] = []
    warnings += perf_cautions.of_file(file, count, content.side)
    warnings += perf_cautions.broken_chains(reading.chains.broken, count)
    warnings += perf_cautions.of_samples(found, unwound=False, kernel=kernel, states=symbolizer.states)
    warnings += _of_owner(source.path)
    warnings += perf_cautions.of_reading(reading)
    recording = Recording(
        tool="perf",
        format=PERF_DATA.name,
        source=source.name,
        results=(first,),
        meta=header.meta(found.samples, lost=perf_cautions.lost_of(file, content.side)),
    ).with_warnings(*warnings)
    if source.wants_early:
        source.offer(recording)
    refined = reading.refined(lambda share: source.report(_NAMED_SHARE + (1 - _NAMED_SHARE) * share))
    said = perf_cautions.of_modules(symbolizer.states, demangled=symbolizer.demangled)
    return replace(recording, results=(refined,)).with_warnings(*said)


def _recording(source: Source, file: PerfFile, reader: PerfText, ended: Ended) -> Recording:
    found = reader.finish()
    if not len(reader):
        raise _without_samples(source, file, ended)
    found = found.ordered(event.name for event in file.header.events)
    header = file.header
    warnings: list[Caution] = []
    if ended.code:
        warnings.append(
            Caution(f"perf script stopped early ({ended.last_complaint or f'exit code {ended.code}'}).", "")
        )
    warnings += perf_cautions.of_file(file, len(reader))
    warnings += perf_cautions.broken_chains(reader.completed, len(reader))
    warnings += perf_cautions.of_samples(found, unwound="STACK_USER" in header.fields, kernel=_kernel_in(file, reader))
    warnings += _of_owner(source.path)
    warnings += reader.cautions()
    refined = refine(
        found,
        mappings=reader.records.mappings,
        build_ids=header.build_ids,
        recorded_at=source.path.stat().st_mtime,
        progress=lambda share: source.report(_READ_SHARE + (1 - _READ_SHARE) * share),
    )
    warnings += perf_cautions.of_modules(refined.states, demangled=refined.demangled)
    lost = file.lost if not file.tally.compressed else reader.records.lost
    return Recording(
        tool="perf",
        format=PERF_DATA.name,
        source=source.name,
        results=(refined.samples.profile(),),
        meta=header.meta(found.samples, lost=lost),
    ).with_warnings(*warnings)


def _kernel_in(file: PerfFile, reader: PerfText) -> RecordedKernel:
    """The same of a file that perf script read: pid -1 is the kernel."""
    build_ids, anchor, address = dict(file.header.build_ids), "", 0
    for mapping in reader.records.mappings:
        if mapping.pid == KERNEL_PID and mapping.path.startswith(KERNEL):
            anchor, address = mapping.path.removeprefix(KERNEL), mapping.offset
            break
    return RecordedKernel(build_ids.get(KERNEL, ""), file.header.kernel, anchor, address)


def _without_samples(source: Source, file: PerfFile, ended: Ended) -> ParseError | ToolFailed:
    if ended.code:
        return ToolFailed(
            f"perf cannot read {source.name}: {ended.last_complaint or f'it ended with exit code {ended.code}'}",
            advice="It may have been recorded by a newer perf: install that, or record again.",
            details=ended.complaints,
        )
    if file.lost:
        return ParseError(
            f"{source.name} holds no samples: all {file.lost:,} were lost while it was recorded.",
            source=source.name,
            advice="Record at a lower frequency, with a larger buffer (-m 4M), or with a smaller dwarf stack.",
        )
    return ParseError(
        f"{source.name} holds no samples.",
        source=source.name,
        advice="The program may have ended too soon, or waited all the time: record for longer, or sample cpu-clock.",
        details=ended.complaints,
    )


def _cut_too_early(source: Source) -> ParseError:
    return ParseError(
        f"{source.name} ends before its first sample.",
        source=source.name,
        advice="Copy it again, or record again: perf record was stopped too early, or killed.",
    )


def _report(source: Source, file: PerfFile, text: Reading) -> None:
    """Progress by samples; where these are compressed, by time."""
    if file.tally.samples:
        share = len(text) / file.tally.samples
    elif file.header.last_ns > file.header.first_ns and text.latest_ns != NONE:
        share = (text.latest_ns - file.header.first_ns) / (file.header.last_ns - file.header.first_ns)
    else:
        share = 0.0
    source.report(_READ_SHARE * share)


def _of_owner(path: Path) -> tuple[Caution, ...]:
    owner = path.stat().st_uid
    if owner in (0, os.geteuid()):
        return ()
    try:
        name = pwd.getpwuid(owner).pw_name
    except KeyError:
        name = f"user {owner}"
    return (
        Caution(
            f"This file belongs to {name}: perf by itself refuses what another user may have made up, and was told to"
            " read it (-f).",
        ),
    )


@contextlib.contextmanager
def _plain(source: Source) -> Iterator[Path]:
    """The file as perf can open it: itself, or unpacked for as long as that takes."""
    if not source.compression:
        yield source.path
        return
    with _temporary(source) as copy:
        for chunk in source.chunks(_COPY):
            copy.write(chunk)
        copy.flush()
        yield Path(copy.name)


@contextlib.contextmanager
def _whole(file: PerfFile, path: Path, source: Source) -> Iterator[Path]:
    """The file with its true size in its header, and without the record in which it was cut.

    perf shows nothing at all of a file that ends within a record, and little of one that was never closed.
    """
    if file.whole and file.closed:
        yield path
        return
    if not file.tally.samples and not file.tally.compressed:
        raise _cut_too_early(source)
    with path.open("rb") as raw, _temporary(source) as copy:
        left = file.tally.end
        while left:
            chunk = raw.read(min(_COPY, left))
            if not chunk:
                break
            copy.write(chunk)
            left -= len(chunk)
            source.report(0.0)
        if not file.is_pipe:
            order = ">" if file.big_endian else "<"
            copy.seek(_DATA_SIZE_AT - 8)
            raw.seek(_DATA_SIZE_AT - 8)
            (data_at,) = struct.unpack(f"{order}Q", raw.read(8))
            copy.write(struct.pack(f"{order}2Q", data_at, file.tally.end - data_at))
            copy.seek(_FEATURES_AT)
            copy.write(bytes(32))
        copy.flush()
        yield Path(copy.name)


@contextlib.contextmanager
def _temporary(source: Source) -> Iterator[BinaryIO]:
    """A file for as long as it is read."""
    folder = tempfile.gettempdir()
    try:
        with tempfile.NamedTemporaryFile(prefix="tailflame-", suffix=".perf.data", dir=folder) as copy:
            yield copy  # type: ignore[misc]
    except OSError as error:
        raise ParseError(
            f"{source.name} cannot be unpacked into {folder}: {error.strerror}.",
            source=source.name,
            advice=f"Make room in {folder} ({shutil.disk_usage(folder).free // 1_000_000:,} MB are free), or set TMPDIR"
            " to a folder that has more.",
        ) from error
