"""heaptrack's files (https://invent.kde.org/sdk/heaptrack): every allocation and every free, with its call stack.

An interpreted file names functions; the raw one that the preloaded library writes goes through heaptrack_interpret
first. The figures equal heaptrack_print's on the same file, but for temporary allocations: those it counts by place and
size, and some that are none.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from itertools import pairwise

import numpy as np

from tailflame.errors import ParseError
from tailflame.model import NONE, Caution, Event, Meta, Recording, StackProfile
from tailflame.model.heap import ALLOCATED, LEAKED, PEAK, TEMPORARY, HeapFacts, HeapTimeline, TimeUnit
from tailflame.model.stacks import Float64, Int64, readonly
from tailflame.parse.heaptrack_counts import Stamp
from tailflame.parse.heaptrack_file import HeaptrackFile, version_of, version_text
from tailflame.parse.heaptrack_lines import Blocks
from tailflame.parse.heaptrack_old import modern
from tailflame.parse.heaptrack_raw import interpreted, is_raw
from tailflame.parse.heaptrack_stacks import StackRows, stacks_of
from tailflame.parse.profile_tables import ProfileTables
from tailflame.parse.registry import NO
from tailflame.parse.source import Source, decode_head
from tailflame.units import Unit, count, size

ROWS = 20_000
"""Most rows of the timeline: heaptrack writes a time stamp every 10 ms, a day of them is 8.6 million."""

BUILT_IN = (
    "__nss_module_allocate",
    "__gconv_read_conf",
    "__new_exitfn",
    "tzset_internal",
    "dl_open_worker",
    "g_main_context_new",
    "g_thread_self",
)
"""Functions whose leaks heaptrack never counts (analyze/suppressions.cpp)."""

SIZES = (8, 16, 32, 64, 128, 256, 512, 1024, 4096, 16384, 65536, 1 << 20, np.inf)

_FIRST = re.compile(r"v [0-9a-f]{1,8}(?: [0-9a-f]{1,8})?\n")
_SECOND = re.compile(r"(?:X .*|x .*|I [0-9a-f]+ [0-9a-f]+|s .+|# .*|A|S .*)(?:\n|\Z)")
_OLD = re.compile(r"X [^\n]+\n(?:I [0-9a-f]+ [0-9a-f]+\n)?(?:s [^\n]+\n)+[it] [0-9a-f ]+\n")


class Heaptrack:
    name = "heaptrack"
    title = "heaptrack files"

    def sniff(self, head: bytes, name: str) -> float:
        if b"\0" in head[:512]:
            return NO
        text = decode_head(head[:4096])
        first = _FIRST.match(text)
        if first is not None and (first.end() == len(text) or _SECOND.match(text, first.end())):
            return 0.95
        return 0.9 if _OLD.match(text) else NO

    def load(self, source: Source) -> Recording:
        if is_raw(source.head):
            with interpreted(source) as made:
                return self._load(made, source.name)
        return self._load(source, source.name)

    def _load(self, source: Source, name: str) -> Recording:
        blocks = Blocks(source)
        file = HeaptrackFile(name)
        by_pointer = version_of(source.head.partition(b"\n")[0])[1] == 0
        file.read(modern(blocks) if by_pointer else blocks)
        if not file.counts.allocations and not file.counts.stamps:
            raise ParseError(
                f"{name} holds no allocations.",
                source=name,
                advice="heaptrack sees what the program itself allocates with malloc: not what a program does that a"
                " script starts, nor an allocator that is linked into it.",
            )
        return _Result(file, blocks, by_pointer).recording()


HEAPTRACK = Heaptrack()


class _Result:
    """The recording that a file which is read makes."""

    def __init__(self, file: HeaptrackFile, blocks: Blocks, old: bool) -> None:
        self.file = file
        self.blocks = blocks
        self.old = old
        self.infos = file.counts.table()
        self.size = file.infos.size.values.astype(np.float64)
        self.trace = file.infos.trace.values
        self.patterns = (*BUILT_IN, *dict.fromkeys(file.suppressions))
        pointers = file.pointers
        self.exact = pointers.total >= 0 and pointers.total == sum(calls for _, calls, _ in pointers.traces)
        self.peak_row = NONE

    def recording(self) -> Recording:
        tables = ProfileTables()
        stacks = stacks_of(self.file.traces, tables, self.patterns)
        hidden = stacks.suppressed[self.trace]
        leaked = np.where(hidden, 0.0, self.infos.leaked)
        self._fill(tables, stacks, leaked)
        profile = tables.profile()
        timeline = self._timeline(profile, leaked)
        return Recording(
            tool="heaptrack",
            format=HEAPTRACK.name,
            source=self.file.name,
            results=(timeline, profile),
            meta=Meta(
                command=tuple(self.file.command.split()),
                tool_version=version_text(self.file.version[0]),
                duration_s=self.file.counts.time / 1000 if self.file.counts.stamps else None,
            ),
            warnings=self._cautions(stacks.complete),
        )

    def _fill(self, tables: ProfileTables, stacks: StackRows, leaked: Float64) -> None:
        """The events, heaviest question first: what was there at the peak."""
        infos = self.infos
        self._event(tables, stacks, PEAK, Unit.BLOCKS, infos.peak)
        self._event(tables, stacks, ALLOCATED, Unit.ALLOCATIONS, infos.allocations)
        if self.exact:
            told = np.array(self.file.pointers.traces, np.float64).reshape(-1, 3)
            trace = told[:, 0].astype(np.int64)
            right = trace < len(stacks.rows)
            event = tables.event(Event(TEMPORARY, Unit.BYTES, True, Unit.ALLOCATIONS, True))
            tables.add(stacks.rows[trace[right]], count=told[right, 1], period=told[right, 2], event=event)
        else:
            self._event(tables, stacks, TEMPORARY, Unit.ALLOCATIONS, infos.temporary)
        self._event(tables, stacks, LEAKED, Unit.BLOCKS, leaked)

    def _event(self, tables: ProfileTables, stacks: StackRows, name: str, counted_in: Unit, blocks: Float64) -> None:
        event = tables.event(Event(name, Unit.BYTES, True, counted_in, True))
        # By trace: infos of one trace differ in size alone.
        calls = np.bincount(self.trace, weights=np.maximum(blocks, 0), minlength=1)
        weight = np.bincount(self.trace, weights=np.maximum(blocks, 0) * self.size, minlength=1)
        held = np.flatnonzero(calls)
        tables.add(stacks.rows[held], count=calls[held], period=weight[held], event=event)

    def _timeline(self, profile: StackProfile, leaked: Float64) -> HeapTimeline:
        file, counts = self.file, self.file.counts
        stamps = list(counts.stamps)
        last = Stamp(counts.time, counts.heap, counts.allocations, counts.temporary, number=counts.seen)
        if not stamps or stamps[-1][:4] != last[:4]:
            stamps.append(last)
        peak = NONE
        if counts.peak_at is not None:
            peak = bisect_left(stamps, counts.peak_at.number, key=lambda stamp: stamp.number)
            stamps.insert(peak, counts.peak_at)
        columns = np.array(stamps, np.float64).reshape(-1, 6)
        number = columns[:, 5].astype(np.int64)
        if self.exact:
            columns[:, 3] = self._temporary_by_pointer(columns[:, 3], number, peak)
        columns[:, 4] = np.where(columns[:, 4] >= 0, columns[:, 4] * file.page, np.nan)
        rows = thinned(columns[:, 1], peak)
        at = int(np.searchsorted(rows, peak)) if peak >= 0 else NONE
        columns = columns[rows]
        event = np.full(len(rows), NONE)
        if at >= 0:
            event[at] = next(index for index, known in enumerate(profile.events) if known.name == PEAK)
        unknown = readonly(np.full(len(rows), np.nan), np.float64)
        return HeapTimeline(
            time_unit=TimeUnit.SECONDS,
            time=readonly(columns[:, 0] / 1000, np.float64),
            heap=readonly(columns[:, 1], np.float64),
            extra=unknown,
            stacks=unknown,
            rss=readonly(columns[:, 4], np.float64),
            allocations=readonly(columns[:, 2], np.float64),
            temporary=readonly(columns[:, 3], np.float64),
            event=readonly(event, np.int32),
            number=readonly(np.minimum(number[rows], 2**31 - 1), np.int32),
            peak=at,
            peak_marked=at >= 0,
            sizes=readonly(SIZES, np.float64),
            size_calls=readonly(self._size_calls(), np.float64),
            facts=self._facts(leaked),
            suppressions=self.patterns,
        )

    def _temporary_by_pointer(self, counted: Float64, number: Int64, peak: int) -> Float64:
        """The calls up to each row, by the pointer: told between stamps, the peak's row is as far as it got."""
        whole = float(self.file.pointers.total)
        told = np.append(np.cumsum(np.array(self.file.pointers.stamps, np.float64)), whole)
        exact = np.asarray(told[np.minimum(number, len(told) - 1)], np.float64)
        if peak >= 0:
            # Between two stamps the pointers are not told: as many as the stamp before, and the share of those since.
            before = exact[peak - 1] if peak else 0.0
            after = exact[peak + 1] if peak + 1 < len(exact) else whole
            exact[peak] = min(max(before, counted[peak] - (counted[peak - 1] if peak else 0.0) + before), after)
        return exact

    def _facts(self, leaked: Float64) -> HeapFacts:
        file, counts = self.file, self.file.counts
        temporary = file.pointers.total if self.exact else counts.temporary
        left = float((leaked * self.size).sum())
        return HeapFacts(
            allocations=float(counts.allocations),
            allocated=float((self.infos.allocations * self.size).sum()),
            temporary=float(temporary),
            temporary_reported=float(temporary if self.old else counts.reported),
            peak=float(counts.peak),
            peak_time=counts.peak_at.time / 1000 if counts.peak_at is not None else None,
            peak_rss=float(file.peak_rss * file.page) if file.peak_rss else None,
            leaked=left,
            leaked_blocks=float(leaked.sum()),
            suppressed=float((self.infos.leaked * self.size).sum()) - left,
        )

    def _size_calls(self) -> Float64:
        bucket = np.searchsorted(SIZES, self.size, side="left")
        return np.bincount(bucket, weights=self.infos.allocations, minlength=len(SIZES))

    def _cautions(self, complete: bool) -> tuple[Caution, ...]:
        file, told = self.file, []
        counts = file.counts
        if not self.blocks.ended or file.cut:
            told.append(
                Caution(
                    f"The file ends in the middle: what was read goes up to {counts.time / 1000:.2f} s,"
                    f" {count(counts.allocations)} allocations. That is usual where heaptrack was taken off a running"
                    " program; what was freed later counts as leaked.",
                    "Record again with Tailflame, which closes the file.",
                )
            )
        if file.attached:
            told.append(
                Caution(
                    "It was recorded from a running program: what was allocated before is not in it, and what was still"
                    " in use at the end counts as leaked."
                )
            )
        if not self.exact and counts.temporary:
            told.append(self._temporary_caution())
        if file.damaged:
            what = "1 line is" if file.damaged == 1 else f"{file.damaged:,} lines are"
            told.append(Caution(f"{what} damaged and left out (the first: “{file.first_damaged}”)."))
        if file.damaged_times:
            what = "1 time stamp goes" if file.damaged_times == 1 else f"{file.damaged_times:,} time stamps go"
            told.append(Caution(f"{what} back in time and were left out."))
        if (self.infos.leaked < 0).any():
            told.append(
                Caution("More blocks are freed than were allocated: the file is damaged, or not from the start.")
            )
        if not complete:
            told.append(Caution("Names of functions are mangled.", "Install binutils, whose c++filt reads them."))
        return tuple(told)

    def _temporary_caution(self) -> Caution:
        counts = self.file.counts
        text = (
            f"Temporary allocations are counted by place and size, {count(counts.temporary)} of them: the file does not"
            " tell which block was freed, so that another one of the same place and size is taken for the one that was"
            " allocated just before."
        )
        if counts.reported != counts.temporary:
            text += (
                f" heaptrack_print says {count(counts.reported)}, because it also counts each free of the file's first"
                f" place ({size(float(self.size[0]))}) that follows another free."
            )
        return Caution(text, "Record with Tailflame, or open the raw file (heaptrack --raw), for the true number.")


def thinned(heap: Float64, peak: int) -> Float64:
    """The rows to keep, ROWS at most: of each run of rows the one with the most, besides the first, the last and the
    peak.
    """
    number = len(heap)
    if number <= ROWS:
        return np.arange(number)
    bounds = np.linspace(0, number, ROWS - 2).astype(np.int64)
    kept = {0, number - 1}
    kept.update(int(a + heap[a:b].argmax()) for a, b in pairwise(bounds.tolist()) if b > a)
    if peak >= 0:
        kept.add(peak)
    return np.array(sorted(kept), np.int64)
