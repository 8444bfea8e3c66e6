"""The formats Tailflame reads, and the one way in: `load`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Protocol

from tailflame.errors import ParseError, UnknownFormat
from tailflame.model import Recording
from tailflame.parse.bpftrace import BPFTRACE
from tailflame.parse.cachegrind import CACHEGRIND
from tailflame.parse.callgrind import CALLGRIND, CALLGRIND_THREADS
from tailflame.parse.cpuprofile import CPUPROFILE
from tailflame.parse.criterion import CRITERION
from tailflame.parse.dhat import DHAT
from tailflame.parse.firefox import FIREFOX
from tailflame.parse.flamegraph_svg import FLAMEGRAPH_SVG
from tailflame.parse.folded import FOLDED
from tailflame.parse.heaptrack import HEAPTRACK
from tailflame.parse.hgrm import HGRM
from tailflame.parse.hlog import HLOG
from tailflame.parse.jemalloc_heap import JEMALLOC_FOLDER, JEMALLOC_HEAP
from tailflame.parse.live_log import LIVE_LOG
from tailflame.parse.looks import archive_of, looks_like, report_of
from tailflame.parse.massif import MASSIF
from tailflame.parse.perf_annotate import PERF_ANNOTATE
from tailflame.parse.perf_data import PERF_DATA, holds_recordings, load_many
from tailflame.parse.perf_script import PERF_SCRIPT
from tailflame.parse.perf_stat import PERF_STAT
from tailflame.parse.pprof import PPROF
from tailflame.parse.prometheus_text import PROMETHEUS_TEXT
from tailflame.parse.registry import Format
from tailflame.parse.source import Early, Progress, Source
from tailflame.parse.speedscope import SPEEDSCOPE
from tailflame.parse.strace_log import STRACE_LOG
from tailflame.parse.strace_table import STRACE_TABLE
from tailflame.parse.trie import ROWS_LIMIT, TooManyStacks

FORMATS: tuple[Format, ...] = (
    PERF_DATA,
    PERF_SCRIPT,
    PERF_ANNOTATE,
    FLAMEGRAPH_SVG,
    PPROF,
    SPEEDSCOPE,
    FIREFOX,
    CALLGRIND,
    CACHEGRIND,
    CPUPROFILE,
    MASSIF,
    DHAT,
    JEMALLOC_HEAP,
    HEAPTRACK,
    HLOG,
    HGRM,
    LIVE_LOG,
    PERF_STAT,
    BPFTRACE,
    PROMETHEUS_TEXT,
    STRACE_LOG,
    STRACE_TABLE,
    FOLDED,
)


class FolderKind(Protocol):
    """A folder whose files are one result, or what stands for several files beside it."""

    def holds(self, path: Path) -> bool:
        """Whether `path` is one; reads as little as it can."""

    def load(self, path: Path, *, progress: Progress | None = None) -> Recording: ...


class _PerfFolder:
    """What `perf record --switch-output` writes."""

    holds = staticmethod(holds_recordings)

    def load(self, path: Path, *, progress: Progress | None = None) -> Recording:
        return load_many([path], progress=progress)


FOLDERS: tuple[FolderKind, ...] = (_PerfFolder(), CRITERION, JEMALLOC_FOLDER)


def load(
    path: Path, *, format: str | None = None, progress: Progress | None = None, early: Early | None = None
) -> Recording:
    """Reads any result file, or a folder that holds one result (FOLDERS).

    early: is given a first picture, where the format has one to give before all is known.
    format: a format's name; its error is then shown. Without it the content decides: the most likely format
    is tried first, then the next; where all fail, the most likely one's error is shown.
    Raises ParseError (UnknownFormat where no format takes the file), Cancelled, and what a tool's run raises.
    """
    folder: FolderKind | None = None
    if format is None and os.path.isdir(path):  # noqa: PTH112 - the one that does not raise where a folder is closed
        folder = next((kind for kind in FOLDERS if kind.holds(Path(path))), None)
    elif format in (None, CALLGRIND.name) and CALLGRIND_THREADS.holds(Path(path)):
        folder = CALLGRIND_THREADS
    try:
        if folder is not None:
            return folder.load(Path(path), progress=progress)
        return _read(Source(Path(path), progress=progress, early=early), format)
    except TooManyStacks:
        raise ParseError(
            f"{path} holds more than {ROWS_LIMIT:,} different stacks and parts of stacks, too many to show.",
            source=str(path),
            advice="Open a shorter part of it, or leave out the stacks that were seen once.",
        ) from None


def _read(source: Source, format: str | None) -> Recording:
    if format is not None:
        return named(format).load(source)
    other = archive_of(source.head) or report_of(source.head)
    asked = FORMATS if other is None else ()
    scored = [(f.sniff(source.head, source.bare_name), f) for f in asked]
    candidates = sorted((pair for pair in scored if pair[0] >= 0), key=lambda pair: -pair[0])
    if not candidates:
        what, advice = other or looks_like(source.head)
        raise UnknownFormat(
            f"{source.name} is none of the formats that Tailflame reads: it looks like {what}.",
            source=source.name,
            advice=advice or f"Tailflame reads {_titles()}.",
        )
    first: ParseError | None = None
    for _, candidate in candidates:
        try:
            return candidate.load(source)
        except ParseError as error:
            first = first or error
    assert first is not None
    raise first


def named(name: str) -> Format:
    """The format called `name`; UnknownFormat if there is none."""
    for known in FORMATS:
        if known.name == name:
            return known
    names = ", ".join(known.name for known in FORMATS)
    raise UnknownFormat(f"There is no format called “{name}”.", advice=f"Choose one of: {names}.")


def _titles() -> str:
    titles = [known.title for known in FORMATS]
    return f"{', '.join(titles[:-1])} and {titles[-1]}" if len(titles) > 1 else titles[0]
