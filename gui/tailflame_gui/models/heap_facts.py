"""What is known of a heap, as figures with their words: "–" and why, where the file does not tell."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tailflame.model.heap import PEAK_OF, Counted, HeapFacts, HeapTimeline, TimeUnit
from tailflame.units import count, nanoseconds, percent, seconds, size

UNKNOWN = "–"
_NOT_TOLD = "the file does not tell"

_REPORTED = (
    "heaptrack_print takes one block for another of the same size and place, and counts some frees that follow another "
    "free: its figure is often higher. Where the file tells pointers, the figure above goes by them; a line under the "
    "title says so where it does not."
)


_PEAK_TIPS = {
    Counted.BLOCKS: "{} bytes in use at once, as the program asked for them, without what the allocator adds.",
    Counted.PAGES: "{} bytes mapped at once: code, data and what the allocator keeps, used or not.",
    Counted.STACKS: "{} bytes of all threads' stacks at once. The heap was not counted.",
}


@dataclass(frozen=True, slots=True)
class HeapFigure:
    """A figure and its words. below: a second line ("" for none); known: False where `text` only says so."""

    name: str
    text: str
    below: str = ""
    tip: str = ""
    known: bool = True


def time_text(value: float, unit: TimeUnit) -> str:
    """A moment of a heap's time: "1.50 s", "3.00 ms", "24.8 M instr.", "8.9 MB"."""
    match unit:
        case TimeUnit.SECONDS:
            if 0 < value < 0.1:
                return nanoseconds(value * 1e9)
            return seconds(value) if value >= 10 else f"{value:.2f} s"
        case TimeUnit.BYTES:
            return size(value)
        case _:
            return f"{short_count(value)} instr."


def short_count(value: float) -> str:
    """A large count at three digits: "12.4 k", "39.7 M"."""
    for unit, step in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if abs(value) >= step * 0.9995:
            scaled = value / step
            return f"{scaled:.{0 if abs(scaled) >= 99.95 else 1}f} {unit}"
    return count(value)


def heap_figures(heap: HeapTimeline) -> tuple[HeapFigure, ...]:
    """The figures of the run, in the order in which they are asked for."""
    facts = heap.facts
    beside = [] if heap.counted is Counted.STACKS else [_stacks(facts)] if facts.peak_stacks is not None else []
    return (
        _peak(heap),
        *beside,
        _allocations(facts),
        _temporary(facts),
        _leaked(facts),
        _bytes("Suppressed", facts.suppressed, _suppressed_tip(heap)),
        _bytes("Peak RSS", facts.peak_rss, "The most memory of the process that was resident, whatever it was for."),
    )


def estimated(heap: HeapTimeline) -> str:
    """What is said where the tool sampled allocations; "" where it counted each."""
    every = heap.facts.sampled_every
    return f"Estimated from one sample in {size(every)} of allocations." if every else ""


def _peak(heap: HeapTimeline) -> HeapFigure:
    of_stacks = heap.counted is Counted.STACKS
    peak = heap.facts.peak_stacks if of_stacks else heap.facts.peak
    if peak is None:
        return _in_use(heap)
    when = heap.facts.peak_time
    if when is None and heap.peak >= 0:
        when = float(heap.time[heap.peak])
    at = f"at {time_text(when, heap.time_unit)}" if when is not None else ""
    tip = _PEAK_TIPS[heap.counted].format(count(round(peak)))
    if (added := heap.facts.peak_extra) is not None:
        tip += f" The allocator adds {count(round(added))} bytes."
    if heap.peak >= 0 and not heap.peak_marked:
        at = f"at least, {at}" if at else "at least"
        tip += " It is the most of the moments that were looked at: between them there may have been more."
    return HeapFigure(PEAK_OF[heap.counted], size(peak), at, tip)


def _stacks(facts: HeapFacts) -> HeapFigure:
    assert facts.peak_stacks is not None
    tip = f"{count(round(facts.peak_stacks))} bytes of all threads' stacks when most was in use."
    return HeapFigure("Stacks", size(facts.peak_stacks), "at the same moment", tip)


def _in_use(heap: HeapTimeline) -> HeapFigure:
    """What was in use when the file was written, for a file that does not tell of a peak: one dump of jemalloc."""
    if not len(heap) or not np.isfinite(heap.heap[-1]):
        return _unknown("Peak heap")
    used, when = float(heap.heap[-1]), time_text(float(heap.time[-1]), heap.time_unit)
    tip = f"{count(round(used))} bytes in use when the file was written. There may have been more before."
    return HeapFigure("In use", size(used), f"at {when}", tip)


def _allocations(facts: HeapFacts) -> HeapFigure:
    if facts.allocations is None:
        return _unknown("Allocations")
    whole = f"{size(facts.allocated)} in all" if facts.allocated is not None else ""
    tip = "Calls of malloc, calloc, realloc, new and their kin."
    if facts.allocated is not None:
        tip += f" Together they asked for {count(round(facts.allocated))} bytes."
    return HeapFigure("Allocations", count(round(facts.allocations)), whole, tip)


def _temporary(facts: HeapFacts) -> HeapFigure:
    true, reported = facts.temporary, facts.temporary_reported
    below = f"heaptrack_print: {count(reported)}" if reported is not None else ""
    tip = "Freed before anything else was allocated: what a pool, or a buffer that is kept, would save."
    if reported is not None:
        tip = f"{tip}\n{_REPORTED}"
    if true is None:
        return HeapFigure("Temporary", UNKNOWN, below or _NOT_TOLD, tip, known=False)
    share = f" ({percent(true / facts.allocations)})" if facts.allocations else ""
    return HeapFigure("Temporary", f"{count(round(true))}{share}", below, tip)


def _leaked(facts: HeapFacts) -> HeapFigure:
    if facts.leaked is None:
        return _unknown("Leaked")
    blocks = f"{count(round(facts.leaked_blocks))} blocks" if facts.leaked_blocks is not None else ""
    never = f"{count(round(facts.leaked))} bytes never freed"
    tip = f"{never}, without what is suppressed. What is still reachable counts, too."
    return HeapFigure("Leaked", size(facts.leaked), blocks, tip)


def _suppressed_tip(heap: HeapTimeline) -> str:
    named = "\n".join(heap.suppressions[:12])
    more = f"\nand {count(len(heap.suppressions) - 12)} more" if len(heap.suppressions) > 12 else ""
    return "Never freed, and left out of what leaked by suppressions." + (f"\n{named}{more}" if named else "")


def _bytes(name: str, value: float | None, tip: str) -> HeapFigure:
    return _unknown(name) if value is None else HeapFigure(name, size(value), "", f"{count(value)} bytes. {tip}")


def _unknown(name: str) -> HeapFigure:
    return HeapFigure(name, UNKNOWN, _NOT_TOLD, "This file does not tell; another tool may.", known=False)
