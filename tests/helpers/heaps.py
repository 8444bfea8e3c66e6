"""Heaps made by hand: a timeline with snapshots, and the call trees that its events hold."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from tailflame.model import Event, Meta, Recording, StackBuilder, StackProfile
from tailflame.model.heap import ALLOCATED, LEAKED, PEAK, TEMPORARY, HeapFacts, HeapTimeline, TimeUnit
from tailflame.model.stacks import readonly
from tailflame.units import Unit

BOOK = "engine::book::OrderBook::insert"
INTERN = "engine::validation::intern"
PARSE = "engine::feed::parse"
_PLACES = {BOOK: "src/book.rs", INTERN: "src/validation.rs", PARSE: "src/feed.rs"}

Rows = Sequence[tuple[str, float, float]]
"""(stack as "A;B", count, bytes)."""

SITES: dict[str, tuple[Unit, bool, Rows]] = {
    PEAK: (Unit.BLOCKS, True, ((f"main;{BOOK}", 400, 6_000_000), (f"main;{INTERN}", 5_000, 2_500_000),
                               (f"main;engine::run;{PARSE}", 3, 400_000))),
    ALLOCATED: (Unit.ALLOCATIONS, True, ((f"main;{BOOK}", 9_000, 12_000_000), (f"main;{INTERN}", 5_000, 2_500_000),
                                         (f"main;engine::run;{PARSE}", 21_000, 1_344_000))),
    TEMPORARY: (Unit.ALLOCATIONS, False, ((f"main;engine::run;{PARSE}", 20_000, 0), (f"main;{BOOK}", 40, 0))),
    LEAKED: (Unit.BLOCKS, True, ((f"main;{INTERN}", 5_000, 2_500_000),)),
}  # fmt: skip


def profile(sites: dict[str, tuple[Unit, bool, Rows]] | None = None) -> StackProfile:
    """A profile with one exact event for each entry: what it counts in, whether bytes are known, its rows."""
    builder = StackBuilder()
    for name, (counted_in, has_period, rows) in (SITES if sites is None else sites).items():
        unit = Unit.BYTES if has_period else Unit.ALLOCATIONS
        event = builder.event(Event(name, unit, has_period, counted_in, exact=True))
        for stack, number, size in rows:
            frames = [
                builder.frame(frame, module="/opt/engine/engine", file=_PLACES.get(frame, "src/main.rs"), line=12)
                for frame in stack.split(";")
            ]
            builder.sample(builder.stack(frames), count=number, period=size, event=event)
    return builder.build()


def timeline(
    *,
    heap: Iterable[float] = (0, 2_000_000, 5_000_000, 8_900_000, 6_000_000, 2_500_000),
    extra: Iterable[float] | None = None,
    stacks: Iterable[float] | None = None,
    rss: Iterable[float] | None = None,
    allocations: Iterable[float] | None = None,
    events: Sequence[tuple[int, int]] = (),
    unit: TimeUnit = TimeUnit.SECONDS,
    step: float = 0.5,
    facts: HeapFacts | None = None,
    sizes: Sequence[tuple[float, float]] = (),
    suppressions: tuple[str, ...] = (),
    peak_marked: bool = True,
) -> HeapTimeline:
    """A timeline of one row a `step`; events are (row, event of the profile); what is left out is not known."""
    used = np.array(tuple(heap), dtype=np.float64)
    rows = len(used)

    def column(values: Iterable[float] | None) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        return readonly(np.full(rows, np.nan) if values is None else tuple(values), np.float64)

    event = np.full(rows, -1)
    for row, index in events:
        event[row] = index
    return HeapTimeline(
        time_unit=unit,
        time=readonly(np.arange(rows) * step, np.float64),
        heap=readonly(used, np.float64),
        extra=column(extra),
        stacks=column(stacks),
        rss=column(rss),
        allocations=column(allocations),
        temporary=column(None),
        event=readonly(event, np.int32),
        number=readonly(np.arange(rows), np.int32),
        peak=int(np.argmax(used)) if rows else -1,
        peak_marked=peak_marked,
        sizes=readonly([size for size, _calls in sizes], np.float64),
        size_calls=readonly([calls for _size, calls in sizes], np.float64),
        facts=facts or HeapFacts(peak=float(used.max()) if rows else None),
        suppressions=suppressions,
    )


def heaptrack() -> Recording:
    """What a file of heaptrack tells: everything but snapshots."""
    facts = HeapFacts(
        allocations=35_000, allocated=15_844_000, temporary=20_040, temporary_reported=24_000, peak=8_900_000,
        peak_time=1.5, peak_rss=14_500_000, leaked=2_500_000, leaked_blocks=5_000, suppressed=31_000,
    )  # fmt: skip
    heap = timeline(
        rss=(3e6, 6e6, 9e6, 14.5e6, 14e6, 13e6),
        allocations=(0, 9_000, 17_000, 30_000, 33_000, 35_000),
        facts=facts,
        sizes=((8, 2_000), (16, 14_000), (32, 9_000), (64, 5_000), (128, 4_000), (float("inf"), 1_000)),
        suppressions=("_dl_init", "pthread_create"),
    )
    return Recording(
        tool="heaptrack", format="heaptrack", source="/home/user/profiles/heaptrack.engine.812.zst",
        results=(heap, profile()), meta=Meta(command=("/opt/engine/engine", "--orders", "50000"), duration_s=2.5),
    )  # fmt: skip


def massif() -> Recording:
    """What a file of massif tells: snapshots, of which three have a call tree, and no counts."""
    rows = {
        "Snapshot 1": ((f"main;{BOOK}", 0, 2_000_000),),
        "Snapshot 3, peak": ((f"main;{BOOK}", 0, 6_000_000), (f"main;{INTERN}", 0, 2_900_000)),
        "Snapshot 5": ((f"main;{INTERN}", 0, 2_500_000),),
    }
    heap = timeline(
        extra=(0, 80_000, 210_000, 420_000, 300_000, 90_000),
        stacks=(1_000, 9_000, 12_000, 30_000, 9_000, 2_000),
        events=((1, 0), (3, 1), (5, 2)),
        unit=TimeUnit.INSTRUCTIONS,
        step=12_400_000,
    )
    trees = profile({name: (Unit.BLOCKS, True, sites) for name, sites in rows.items()})
    return Recording(
        tool="massif", format="massif", source="/home/user/profiles/massif.out.812", results=(heap, trees),
        meta=Meta(command=("/opt/engine/engine",)),
    )  # fmt: skip


def grown() -> Recording:
    """The same as `heaptrack` after a change: interning takes 3 MB more, parsing allocates nothing any longer."""
    before = heaptrack()
    sites = dict(SITES)
    sites[PEAK] = (Unit.BLOCKS, True, ((f"main;{BOOK}", 400, 6_000_000), (f"main;{INTERN}", 11_000, 5_600_000)))
    sites[ALLOCATED] = (
        Unit.ALLOCATIONS,
        True,
        ((f"main;{BOOK}", 9_000, 12_000_000), (f"main;{INTERN}", 11_000, 5_600_000)),
    )
    sites[LEAKED] = (Unit.BLOCKS, True, ((f"main;{INTERN}", 11_000, 5_600_000),))
    sites[TEMPORARY] = (Unit.ALLOCATIONS, False, ((f"main;{BOOK}", 40, 0),))
    facts = HeapFacts(
        allocations=20_000, allocated=17_600_000, temporary=40, temporary_reported=60, peak=11_600_000, peak_time=1.6,
        peak_rss=17_900_000, leaked=5_600_000, leaked_blocks=11_000, suppressed=31_000,
    )  # fmt: skip
    heap = timeline(
        heap=(0, 3_000_000, 7_000_000, 11_600_000, 9_000_000, 5_600_000),
        rss=(3e6, 7e6, 11e6, 17.9e6, 17e6, 16e6),
        allocations=(0, 5_000, 11_000, 17_000, 19_000, 20_000),
        facts=facts,
    )
    return Recording(
        tool=before.tool, format=before.format, source="/home/user/profiles/heaptrack.engine.977.zst",
        results=(heap, profile(sites)), meta=before.meta,
    )  # fmt: skip
