"""dhat.out, as valgrind's DHAT and Rust's dhat crate write it: one JSON document, version 2.

`pps` holds the places of allocation: bytes and blocks in total (tb, tbk), at the peak (gb, gbk) and at the end (eb,
ebk), bytes read and written (rb, wb), and the stack `fs`, innermost first, as indices into `ftbl`, whose first entry is
"[root]". In the modes `copy` and `ad-hoc` (`bklt` false) there are only tb and tbk: bytes copied and calls, or units
and events of the program's own. Described in dhat/dh_main.c of valgrind.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from tailflame.errors import ParseError
from tailflame.model import NONE, Caution, Event, FrameKind, Meta, Recording
from tailflame.model.heap import ALLOCATED, LEAKED, PEAK, HeapFacts, HeapTimeline, TimeUnit
from tailflame.model.stacks import Bool, Int32, Int64, readonly
from tailflame.parse.json_file import broken, document, listed
from tailflame.parse.profile_tables import ProfileTables
from tailflame.parse.registry import NO
from tailflame.parse.source import Source, decode_head
from tailflame.parse.valgrind_frames import UNKNOWN, ValgrindFrame, valgrind_frame
from tailflame.units import Unit

READ = "Read"
"""What was read of allocated memory, in bytes."""
WRITTEN = "Written"
COPIED = "Copied"
"""By memcpy and its kin: bytes, counted in calls."""
AD_HOC = "Ad hoc"
"""Units of the program's own, counted in its events."""

_WHAT = "a DHAT profile"
_MOST = 2**62
_KEY = re.compile(r'\s*\{\s*"dhatFileVersion"\s*:')
# What stands in for malloc while DHAT watches, no part of the program.
_OWN_MODULE = "/vgpreload_"


class _Figures(NamedTuple):
    """An event and the members of a place that hold its bytes and how many they are in ("": not told)."""

    name: str
    size: str
    number: str
    counted_in: Unit


_HEAP = (
    _Figures(PEAK, "gb", "gbk", Unit.BLOCKS),
    _Figures(ALLOCATED, "tb", "tbk", Unit.ALLOCATIONS),
    _Figures(LEAKED, "eb", "ebk", Unit.BLOCKS),
)
_ACCESSES = (_Figures(READ, "rb", "", Unit.BLOCKS), _Figures(WRITTEN, "wb", "", Unit.BLOCKS))


class Dhat:
    name = "dhat"
    title = "dhat.out"

    def sniff(self, head: bytes, name: str) -> float:
        text = decode_head(head)
        if _KEY.match(text):
            return 0.97
        return 0.9 if text.lstrip()[:1] == "{" and '"dhatFileVersion"' in text and '"pps"' in text else NO

    def load(self, source: Source) -> Recording:
        whole = document(source, _WHAT)
        version = whole.get("dhatFileVersion")
        if version != 2:
            raise ParseError(
                f"{source.name} is of version {version} of DHAT's format; Tailflame reads version 2.",
                source=source.name,
                advice="valgrind 3.17 and newer write it.",
            )
        return _read(source, whole)


DHAT = Dhat()


def _read(source: Source, whole: dict[str, Any]) -> Recording:
    places = listed(whole.get("pps"))
    if not all(isinstance(place, dict) for place in places):
        raise broken(source, _WHAT, "what it lists in pps are no places of allocation")
    heap = whole.get("bklt") is True
    tables = ProfileTables()
    # That it was copied by memcpy or by strcpy is worth telling; that it was allocated by malloc is not.
    hidden = _OWN_MODULE if heap else "\n"
    stack = _stacks(source, tables, places, listed(whole.get("ftbl")), hidden)
    sums: dict[str, int] = {}
    told = whole.get("bkacc") is True and any("rb" in place or "wb" in place for place in places)
    figures = (*_HEAP, *(_ACCESSES if told else ())) if heap else (_of_mode(str(whole.get("mode", ""))),)
    for of in figures:
        size = _column(source, places, of.size)
        count = _column(source, places, of.number) if of.number else [0] * len(places)
        sums[of.size], sums[of.number] = sum(size), sum(count)
        unit = Unit.EVENTS if of.name == AD_HOC else Unit.BYTES
        event = tables.event(Event(of.name, unit, True, of.counted_in, exact=True))
        some = np.array([bool(s or c) for s, c in zip(size, count, strict=True)], np.bool_)
        tables.add(
            stack[some],
            count=np.array(count, np.float64)[some],
            period=np.array(size, np.float64)[some],
            event=event,
        )
    source.report(0.95)
    profile = tables.profile()
    command = whole.get("cmd")
    meta = Meta(command=tuple(command.split()) if isinstance(command, str) else ())
    if not heap:
        return Recording(tool=DHAT.name, format=DHAT.name, source=source.name, results=(profile,), meta=meta)
    return Recording(
        tool=DHAT.name,
        format=DHAT.name,
        source=source.name,
        results=(_timeline(source, whole, sums), profile),
        meta=meta,
        warnings=_cautions(whole),
    )


def _of_mode(mode: str) -> _Figures:
    name = COPIED if mode.endswith("copy") else AD_HOC
    return _Figures(name, "tb", "tbk", Unit.CALLS)


def _column(source: Source, places: Sequence[dict[str, Any]], member: str) -> list[int]:
    values = [place.get(member, 0) for place in places]
    for value in values:
        if type(value) is not int or not 0 <= value < _MOST:
            raise broken(source, _WHAT, f"“{member}” of a place is {str(value)[:40]}, which is no size or count")
    if sum(values) >= _MOST:
        raise broken(source, _WHAT, f"its “{member}” add up beyond all bounds")
    return values


def _stacks(
    source: Source, tables: ProfileTables, places: Sequence[dict[str, Any]], texts: Sequence[Any], hidden: str
) -> Int32:
    """The stack of each place, outermost first and without the innermost functions of modules named like `hidden`."""
    frames = [_frame(text) for text in texts]
    rows: list[list[int]] = []
    for place in places:
        row = listed(place.get("fs"))
        if not all(type(index) is int and 0 <= index < len(frames) for index in row):
            raise broken(source, _WHAT, "a stack names a function that it does not list")
        begin = 0
        while begin < len(row) and hidden in frames[row[begin]].module:
            begin += 1
        rows.append(row[begin:][::-1])
    addresses: dict[str, int] = {}
    number = np.array(
        [addresses.setdefault(f.address, len(addresses)) if f.address.strip("0x") else NONE for f in frames] or [NONE]
    )
    flat: Int64 = np.array([index for row in rows for index in row], np.int64)
    lengths = np.array([len(row) for row in rows], np.int64)
    # An inlined function has the address of its caller, which stands before it: see massif_trees.py.
    inlined: Bool = np.zeros(len(flat), np.bool_)
    inlined[:-1] = (number[flat[:-1]] == number[flat[1:]]) & (number[flat[1:]] >= 0)
    inlined[np.cumsum(lengths)[lengths > 0] - 1] = False
    first = np.ones(len(flat), np.bool_)
    first[1:] = ~inlined[:-1]
    physical = np.zeros(len(frames) or 1, np.bool_)
    physical[flat[first]] = True
    numbers = np.array(
        [
            tables.frame(
                frame.name,
                module=frame.module,
                file=frame.file,
                line=frame.line,
                kind=FrameKind.INLINED if frame.kind is FrameKind.USER and not physical[at] else frame.kind,
            )
            for at, frame in enumerate(frames)
        ]
        or [0],
        np.int64,
    )
    return tables.stacks(numbers[flat], lengths)


def _frame(text: Any) -> ValgrindFrame:
    frame = valgrind_frame(text) if isinstance(text, str) else None
    if frame is not None:
        return frame
    return ValgrindFrame("", text if isinstance(text, str) and text else UNKNOWN, kind=FrameKind.OTHER)


def _timeline(source: Source, whole: dict[str, Any], sums: dict[str, int]) -> HeapTimeline:
    """Three rows are known: the beginning, the peak and the end."""
    peak, end = (whole.get(key, 0) for key in ("tg", "te"))
    if any(type(time) is not int or not 0 <= time < _MOST for time in (peak, end)) or peak > end:
        raise broken(source, _WHAT, "its times are none")
    word = str(whole.get("tu", ""))
    seconds = word.endswith("s") and word[:1] in "µμu" and len(word) == 2
    factor = 1e-6 if seconds else 1.0
    unknown = readonly(np.full(3, np.nan), np.float64)
    allocations = [0.0, np.nan, float(sums["tbk"])]
    return HeapTimeline(
        time_unit=TimeUnit.SECONDS if seconds else TimeUnit.INSTRUCTIONS,
        time=readonly([0.0, peak * factor, end * factor], np.float64),
        heap=readonly([0.0, float(sums["gb"]), float(sums["eb"])], np.float64),
        extra=unknown,
        stacks=unknown,
        rss=unknown,
        allocations=readonly(allocations, np.float64),
        temporary=unknown,
        event=readonly([NONE, 0, 2], np.int32),
        number=readonly([0, 1, 2], np.int32),
        peak=1,
        peak_marked=True,
        facts=HeapFacts(
            allocations=float(sums["tbk"]),
            allocated=float(sums["tb"]),
            peak=float(sums["gb"]),
            peak_time=peak * factor,
            leaked=float(sums["eb"]),
            leaked_blocks=float(sums["ebk"]),
        ),
    )


def _cautions(whole: dict[str, Any]) -> tuple[Caution, ...]:
    if whole.get("pps"):
        return ()
    return (
        Caution(
            "DHAT saw no allocation.",
            "A program that is linked statically, or brings an allocator of its own, hides its heap from valgrind.",
        ),
    )
