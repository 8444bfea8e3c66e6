"""Samples that read counters (PERF_SAMPLE_READ): each value is a sample of its own event, as perf takes it.

deliver_sample_value and deliver_sample_group in tools/perf/util/session.c: the period is what the counter has grown by
since the last sample that read it; what has not grown is no sample.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from tailflame.model.stacks import Bool, Int64, UInt64
from tailflame.parse.perfdata.attrs import Attr, Field
from tailflame.parse.perfdata.hashing import gathered
from tailflame.parse.perfdata.samples import (
    FORMAT_ENABLED,
    FORMAT_GROUP,
    FORMAT_ID,
    FORMAT_LOST,
    FORMAT_RUNNING,
    Columns,
)


def by_counter(words: UInt64, columns: Columns, attrs: Sequence[Attr]) -> tuple[Columns, Int64]:
    """The samples, those that read counters once for each of them; and of each the row that it comes from.

    columns: in the order of time.
    """
    rows = np.arange(len(columns))
    if not any(attr.has(Field.READ) and attr.read_format & FORMAT_ID for attr in attrs):
        return columns, rows
    parts = [rows[[not _is_read(attrs, int(number)) for number in columns.attr]]]
    values, ids = [np.zeros(len(parts[0]), np.uint64)], [np.zeros(len(parts[0]), np.uint64)]
    for number, attr in enumerate(attrs):
        if not _is_read(attrs, number):
            continue
        mine = np.flatnonzero((columns.attr == number) & (columns.read_size > 0))
        at = columns.read_at[mine]
        kept = attr.read_format
        times = bool(kept & FORMAT_ENABLED) + bool(kept & FORMAT_RUNNING)
        each = 2 + bool(kept & FORMAT_LOST)
        if kept & FORMAT_GROUP:
            counters = words[at].astype(np.int64)
            at, size = at + 1 + times, counters * each
            entries = gathered(at, size).reshape(-1, each)[:, 0]
            value, identity = words[entries], words[entries + 1]
            parts.append(np.repeat(mine, counters))
        else:
            value, identity = words[at], words[at + 1 + times]
            parts.append(mine)
        values.append(value)
        ids.append(identity)
    row, value, identity = np.concatenate(parts), np.concatenate(values), np.concatenate(ids)
    order = np.argsort(row, kind="stable")
    row, value, identity = row[order], value[order], identity[order]
    is_read = np.ones(len(row), np.bool_)
    is_read[np.argsort(order)[: len(parts[0])]] = False
    return _grown(columns, attrs, row, value, identity, is_read)


def _is_read(attrs: Sequence[Attr], number: int) -> bool:
    return number >= 0 and attrs[number].has(Field.READ) and bool(attrs[number].read_format & FORMAT_ID)


def _grown(
    columns: Columns, attrs: Sequence[Attr], row: Int64, value: UInt64, identity: UInt64, is_read: Bool
) -> tuple[Columns, Int64]:
    found = columns.at(row)
    owner = {number: index for index, attr in enumerate(attrs) for number in attr.ids}
    period = found.period.copy()
    attr = found.attr.copy()
    keep = ~is_read
    if owner:
        numbers = np.array(sorted(owner), np.uint64)
        place = np.minimum(np.searchsorted(numbers, identity), len(numbers) - 1)
        rows = np.flatnonzero(is_read & (numbers[place] == identity))
        # Counter by counter, each in the order of time: what it has grown by since the row before.
        rows = rows[np.argsort(place[rows], kind="stable")]
        counted = value[rows].astype(np.int64)
        grown = np.diff(counted, prepend=0)
        begins = np.diff(place[rows], prepend=-1) != 0
        grown[begins] = counted[begins]
        period[rows] = np.maximum(grown, 0).astype(np.uint64)
        attr[rows] = np.array([owner[number] for number in numbers.tolist()], np.int64)[place[rows]]
        keep[rows] = grown > 0
    return replace(found, period=period, attr=attr).at(np.flatnonzero(keep)), row[keep]
