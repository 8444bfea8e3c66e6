"""jemalloc's heap dumps: one, several joined into a file, or a folder of them; and gperftools' heap profiles.

Addresses are named by our own symbolizer, from the files that were mapped. A dump was sampled: its figures are
jeprof's estimates. What several dumps hold is memory over time, each of them an event.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from tailflame.errors import ParseError
from tailflame.model import NONE, Caution, Event, Meta, Recording
from tailflame.model.heap import ALLOCATED, IN_USE, HeapFacts, HeapTimeline, TimeUnit
from tailflame.model.stacks import Float64, Int64, readonly
from tailflame.parse import perf_cautions
from tailflame.parse.jemalloc_heap_files import JOINED, MAGIC, dump_name, dumps_of_one, is_dump
from tailflame.parse.jemalloc_heap_names import Places, Runs, named_places, stacks_of
from tailflame.parse.jemalloc_heap_text import Dump, read_dumps
from tailflame.parse.profile_tables import ProfileTables
from tailflame.parse.registry import NO
from tailflame.parse.source import Progress, Source
from tailflame.parse.symbolize import State, Symbolizer
from tailflame.units import Unit, count

_TREES_SHOWN = 200
"""Dumps whose stacks are kept, of more: prof_gdump writes thousands."""
_READ_SHARE = 0.3
_OLD = b"heap profile: "


class JemallocHeap:
    name = "jemalloc-heap"
    title = "jemalloc heap dumps"

    def sniff(self, head: bytes, name: str) -> float:
        if head.startswith((MAGIC, JOINED.encode())):
            return 0.97
        return 0.9 if head.startswith(_OLD) and b" @ heap" in head[:200] else NO

    def load(self, source: Source) -> Recording:
        dumps = list(read_dumps(source))
        for dump in dumps:
            dump.name = dump.name or source.bare_name
        if not dumps:
            raise _without_dumps(source.name)
        return _recording(source, dumps, source.path.stat().st_mtime)


class JemallocFolder:
    """The dumps of a process, as jemalloc leaves them."""

    def holds(self, path: Path) -> bool:
        try:
            return any(dump_name(file.name) is not None and is_dump(file) for file in path.glob("*.heap"))
        except OSError:
            return False

    def load(self, path: Path, *, progress: Progress | None = None) -> Recording:
        """What of them cannot be read is left out, and told."""
        files, others = dumps_of_one(file for file in path.glob("*.heap") if is_dump(file))
        dumps: list[Dump] = []
        cautions: list[Caution] = []
        last: Source | None = None
        for number, file in enumerate(files):
            try:
                watch = None if progress is None else partial(_share_of, progress, number, len(files))
                source = Source(file, progress=watch)
                found = list(read_dumps(source))
            except ParseError as error:
                cautions.append(Caution(error.sentence, error.advice))
                continue
            for dump in found:
                dump.name, dump.written = file.name, file.stat().st_mtime
            dumps += found
            last = source
        if last is None or not dumps:
            raise _without_dumps(str(path))
        last.name = str(path)
        if others:
            name = dump_name(files[0].name)
            pid = name.pid if name is not None else NONE
            cautions.append(
                Caution(
                    f"The folder holds dumps of {others + 1} processes: those of process {pid} are shown, which left"
                    " most of them.",
                    "Open a dump of another one by itself.",
                )
            )
        return _recording(last, dumps, files[-1].stat().st_mtime).with_warnings(*cautions)


JEMALLOC_HEAP = JemallocHeap()
JEMALLOC_FOLDER = JemallocFolder()


def _share_of(progress: Progress, number: int, of: int, share: float) -> None:
    progress(_READ_SHARE * (number + share) / of)


def _without_dumps(name: str) -> ParseError:
    return ParseError(
        f"{name} holds no heap dump of jemalloc.",
        source=name,
        advice="jemalloc writes them with prof:true, and with prof_final:true one when the program ends.",
    )


@dataclass(slots=True)
class _Figures:
    """Sums of a dump, as they are estimated."""

    in_use: float
    blocks: float
    ever: float
    allocations: float


def _recording(source: Source, dumps: Sequence[Dump], recorded_at: float) -> Recording:
    estimates = [dump.estimated() for dump in dumps]
    for dump, figures in zip(dumps, estimates, strict=True):
        if not np.isfinite(figures).all() or figures.sum() > 2**63:
            raise ParseError(
                f"{dump.name} holds figures beyond all bounds: it is damaged.",
                source=source.name,
                advice="Copy it again.",
            )
    sums = [_Figures(*figures.sum(axis=0)[[1, 0, 3, 2]].tolist()) for figures in estimates]
    shown = _shown(sums)
    places = Places()
    for at in shown:
        places.add(dumps[at])
    module, offset, place_of = places.distinct()

    def made(symbolizer: Symbolizer, *, lines: bool) -> Recording:
        tables = ProfileTables()
        runs = named_places(places, module, offset, tables, symbolizer, watch, lines=lines)
        event = _events(tables, dumps, estimates, shown, place_of, runs)
        results = (_timeline(dumps, sums, event), tables.profile()) if len(tables) else (_timeline(dumps, sums, event),)
        return Recording(
            tool="gperftools" if dumps[-1].old else "jemalloc",
            format=JEMALLOC_HEAP.name,
            source=source.name,
            results=results,
            meta=Meta(command=_command(dumps[-1])),
            warnings=_cautions(dumps, shown, symbolizer, runs),
        )

    def watch(share: float) -> None:
        source.report(_READ_SHARE + (1 - _READ_SHARE) * share)

    with Symbolizer(recorded_at=recorded_at, watch=lambda: source.report(0.9)) as symbolizer:
        if source.wants_early:
            source.offer(made(symbolizer, lines=False))
        return made(symbolizer, lines=True)


def _shown(sums: Sequence[_Figures]) -> list[int]:
    """Which dumps' stacks are kept: the last one, the largest one, and of the others as many as fit, evenly."""
    last = len(sums) - 1
    largest = max(range(len(sums)), key=lambda at: sums[at].in_use)
    evenly = np.linspace(0, last, min(len(sums), _TREES_SHOWN)).astype(int).tolist()
    return sorted({*evenly, last, largest})


def _events(
    tables: ProfileTables,
    dumps: Sequence[Dump],
    estimates: Sequence[Float64],
    shown: Sequence[int],
    place_of: Sequence[Int64],
    runs: Runs,
) -> dict[int, int]:
    """Adds the rows of each dump that is shown, the last one first; the event of each."""
    event: dict[int, int] = {}
    for at in sorted(shown, key=lambda at: (at != shown[-1], at)):
        figures = estimates[at]
        stack = stacks_of(tables, place_of[shown.index(at)], dumps[at].stacks()[1], runs)
        name = IN_USE if len(dumps) == 1 else f"Dump {_number(dumps, at)}"
        used = figures[:, 1] > 0
        tables.events.append(Event(name, Unit.BYTES, True, Unit.BLOCKS, exact=not dumps[at].rate))
        event[at] = len(tables.events) - 1
        tables.add(stack[used], count=figures[used, 0], period=figures[used, 1], event=event[at])
        if at == shown[-1] and (ever := figures[:, 3] > 0).any():
            allocated = (stack[ever], figures[ever, 2], figures[ever, 3])
        elif at == shown[-1]:
            allocated = None
    if allocated is not None:
        tables.events.append(Event(ALLOCATED, Unit.BYTES, True, Unit.ALLOCATIONS, exact=not dumps[-1].rate))
        ever_stack, number, size = allocated
        tables.add(ever_stack, count=number, period=size, event=len(tables.events) - 1)
    return event


def _number(dumps: Sequence[Dump], at: int) -> int:
    name = dump_name(Path(dumps[at].name).name)
    return name.number if name is not None else at


def _timeline(dumps: Sequence[Dump], sums: Sequence[_Figures], event: dict[int, int]) -> HeapTimeline:
    """Time is what was allocated until then, where the dumps tell; otherwise when they were written."""
    ever = np.array([figures.ever for figures in sums])
    written = np.array([dump.written for dump in dumps])
    if (ever > 0).all():
        unit, time = TimeUnit.BYTES, ever
    elif np.isfinite(written).all():
        unit, time = TimeUnit.SECONDS, written - written[0]
    else:
        unit, time = TimeUnit.BYTES, np.zeros(len(dumps))
    in_use = np.array([figures.in_use for figures in sums])
    peak = int(np.argmax(in_use))
    unknown = readonly(np.full(len(dumps), np.nan), np.float64)
    name = dump_name(Path(dumps[-1].name).name)
    ended = name is not None and name.is_last
    known = bool(ever[-1] > 0)
    return HeapTimeline(
        time_unit=unit,
        # Files of one moment, and estimates that waver, do not go back in time.
        time=readonly(np.maximum.accumulate(np.maximum(time, 0)), np.float64),
        heap=readonly(in_use, np.float64),
        extra=unknown,
        stacks=unknown,
        rss=unknown,
        allocations=readonly([f.allocations if f.ever > 0 else np.nan for f in sums], np.float64),
        temporary=unknown,
        event=readonly([event.get(at, NONE) for at in range(len(dumps))], np.int32),
        number=readonly([_number(dumps, at) for at in range(len(dumps))], np.int32),
        peak=peak,
        facts=HeapFacts(
            allocations=sums[-1].allocations if known else None,
            allocated=sums[-1].ever if known else None,
            peak=float(in_use[peak]) if len(dumps) > 1 else None,
            leaked=sums[-1].in_use if ended else None,
            leaked_blocks=sums[-1].blocks if ended else None,
            sampled_every=dumps[-1].rate or None,
        ),
    )


def _command(dump: Dump) -> tuple[str, ...]:
    """The program: the first file that was mapped and is no library."""
    paths = (entry[4].removesuffix(" (deleted)") for entry in sorted(dump.maps) if entry[4].startswith("/"))
    return next(((path,) for path in paths if ".so" not in path.rsplit("/", 1)[-1]), ())


def _cautions(dumps: Sequence[Dump], shown: Sequence[int], symbolizer: Symbolizer, runs: Runs) -> tuple[Caution, ...]:
    said: list[Caution] = []
    cut = [dump for dump in dumps if not dump.whole]
    if cut:
        which = "The dump" if len(dumps) == 1 else f"A dump ({cut[0].name})"
        what = "does not tell which files were loaded" if not cut[0].maps else "breaks off"
        said.append(Caution(f"{which} {what}: it was cut short, what is there is shown.", "Copy it again."))
    if len(shown) < len(dumps):
        said.append(
            Caution(f"Of {count(len(dumps))} dumps, the stacks of {count(len(shown))} are shown; the curve holds all.")
        )
    missing = [path for path in runs.unnamed if symbolizer.states.get(path.removesuffix(" (deleted)")) is State.MISSING]
    if missing:
        said.append(
            Caution(
                f"{missing[0]} is not here: its functions are shown as addresses.",
                "Put the program back in its place, or open the dump where it was written.",
            )
        )
    changed = [path for path in runs.unnamed if symbolizer.states.get(path.removesuffix(" (deleted)")) is State.UNKNOWN]
    if changed:
        said.append(
            Caution(
                f"{changed[0]} was changed after the dump was written, or cannot be read: its functions are shown as"
                " addresses.",
                "Put the program back as it was, or dump again.",
            )
        )
    doubted = [path for path in runs.named if symbolizer.states.get(path.removesuffix(" (deleted)")) is State.UNKNOWN]
    if doubted:
        said.append(
            Caution(
                f"{doubted[0]} is not the very file that was running: if it is another build, its functions have wrong"
                " names.",
                "Open the dump where it was written, or put the same build in its place.",
            )
        )
    said += perf_cautions.of_modules(symbolizer.states, demangled=symbolizer.demangled)
    return tuple(said)
