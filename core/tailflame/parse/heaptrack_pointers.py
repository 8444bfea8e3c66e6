"""Temporary allocations by the block that is freed, which raw heaptrack files alone tell.

`+ size trace pointer` followed by `- pointer` of the same pointer, with no other allocation or free between them, is
one; so heaptrack_interpret counts, too.
"""

from __future__ import annotations

import numpy as np

from tailflame.model.stacks import Bool, Float64, Int64, UInt8, UInt64
from tailflame.parse.heaptrack_lines import LineReader, in_words
from tailflame.parse.heaptrack_old import pointer_lines

_PLUS, _MINUS, _BLANK, _LINE_END, _STAMP = b"+- \nc"
_PAD = 24
_MOST_DIGITS = 16
_MOST_TRACES = 1 << 26


class PointerCounts:
    """Takes a raw file in blocks of whole lines."""

    def __init__(self) -> None:
        self._calls: Float64 = np.zeros(0)
        self._bytes: Float64 = np.zeros(0)
        self._reader = LineReader()
        self._stamps: list[int] = []
        self.allocations = 0
        self._total = 0
        self._since = 0
        self._last = b""
        """The last line that was an allocation or a free, without its end."""

    def add(self, block: bytes) -> None:
        """A block of whole lines."""
        # The last event of the block before comes first again: it may be freed here.
        lead = self._last + b"\n" if self._last[:1] == b"+" else b""
        padded = in_words(lead + block, before=_PAD)
        text: UInt8 = np.frombuffer(padded, np.uint8)
        end = np.flatnonzero(text == _LINE_END)
        if not len(end):
            return
        start = np.concatenate([[_PAD], end[:-1] + 1])
        mark = text[start]
        stamps = np.flatnonzero((mark == _STAMP) & (text[start + 1] == _BLANK))
        event = np.flatnonzero((mark == _PLUS) | (mark == _MINUS))
        freed = mark[event] == _MINUS
        self.allocations += int(np.count_nonzero(~freed)) - bool(lead)
        pairs = np.flatnonzero(freed[1:] & ~freed[:-1])  # allocation i, then free i + 1
        pairs = pairs[self._same(padded, text, start[event], end[event], pairs)]
        at = event[pairs + 1]
        if len(pairs):
            self._count(padded, text, end[event[pairs]], end[at] - start[at] - 2)
        upto = np.searchsorted(at, stamps)
        counts = np.diff(upto, prepend=0).tolist()
        if counts:
            counts[0] += self._since
            self._stamps += counts
            self._since = len(at) - int(upto[-1])
        else:
            self._since += len(at)
        self._total += len(at)
        if len(event):
            self._last = padded[int(start[event[-1]]) : int(end[event[-1]])]

    def lines(self) -> bytes:
        """What was counted, as the comments that an interpreted file keeps it in."""
        traces = np.flatnonzero(self._calls).tolist()
        told = {trace: (int(self._calls[trace]), int(self._bytes[trace])) for trace in traces}
        return pointer_lines(told, self._stamps, self._total)

    def _same(self, padded: bytes, text: UInt8, start: Int64, end: Int64, pairs: Int64) -> Bool:
        """Where the allocation's last word is the free's."""
        free_end, alloc_end = end[pairs + 1], end[pairs]
        digits = free_end - start[pairs + 1] - 2
        right: Bool = (digits > 0) & (digits <= _MOST_DIGITS) & (alloc_end - start[pairs] > digits + 4)
        right &= text[np.maximum(alloc_end - digits - 1, 0)] == _BLANK
        eight: UInt64 = np.ndarray((len(padded) - 7,), "<u8", padded, strides=(1,))
        for back in (0, 8):
            count = np.clip(digits - back, 0, 8).astype(np.uint64)
            differ = eight[free_end - 8 - back] ^ eight[alloc_end - 8 - back]
            # The bytes nearest to the end are the highest.
            shift = (np.uint64(8) - count) << np.uint64(3)
            right &= (count == 0) | (differ >> np.minimum(shift, np.uint64(63)) == 0)
        return right

    def _count(self, padded: bytes, text: UInt8, end: Int64, digits: Int64) -> None:
        """Adds temporary allocations, whose pointers have so many digits, to their traces."""
        blanks = np.flatnonzero(text == _BLANK)
        trace_end = end - digits - 1
        before = np.searchsorted(blanks, trace_end) - 1
        trace_start = blanks[before] + 1
        right = np.ones(len(end), bool)
        trace = self._reader.hex(padded, trace_end, trace_end - trace_start, right).copy()
        size_start = blanks[np.maximum(before - 1, 0)] + 1
        size = self._reader.hex(padded, trace_start - 1, trace_start - 1 - size_start, right)
        trace, size = trace[right], size[right]
        trace, size = trace[trace <= _MOST_TRACES], size[trace <= _MOST_TRACES]
        if not len(trace):
            return
        room = max(int(trace.max()) + 1, len(self._calls))
        self._calls = _added(self._calls, np.bincount(trace, minlength=room))
        self._bytes = _added(self._bytes, np.bincount(trace, weights=size, minlength=room))


def _added(sums: Float64, more: Float64) -> Float64:
    whole: Float64 = more.astype(np.float64)
    whole[: len(sums)] += sums
    return whole
