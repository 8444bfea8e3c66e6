"""The scheduler's account: which thread left a processor, which one got it, which one was woken, and when.

From the tracepoints sched:sched_switch, sched_waking and sched_wakeup, and from PERF_RECORD_SWITCH, which perf record
--switch-events writes for the recorded threads.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tailflame.model import NONE
from tailflame.model.stacks import Bool, Int32, Int64, readonly
from tailflame.parse.perfdata.attrs import TYPE_TRACEPOINT, Attr
from tailflame.parse.perfdata.samples import Columns
from tailflame.parse.perfdata.sideband import Switched
from tailflame.parse.perfdata.tracing import Tracepoint, integers

SWITCH = "sched:sched_switch"
_WOKEN = ("sched:sched_waking", "sched:sched_wakeup", "sched:sched_wakeup_new")


@dataclass(frozen=True, slots=True, eq=False)
class Switches:
    """Rows in the order of time. A row is a thread that left or got a processor, or was woken.

    time_ns, tid, cpu: when, who, where (-1 unknown); kind: LEFT, GOT, WAKING or WOKEN; state: of LEFT, the kernel's
    number (0: it would have gone on; 1: it waits and can be interrupted; 2: it waits for a device), -1 unknown; by: of
    WAKING and WOKEN, the thread that woke it; sample: row of the profile's samples at which that was, -1 where there is
    none.
    """

    time_ns: Int64
    tid: Int32
    cpu: Int32
    kind: Int32
    state: Int32
    by: Int32
    sample: Int32

    LEFT = 0
    GOT = 1
    WAKING = 2
    WOKEN = 3

    def __len__(self) -> int:
        return len(self.time_ns)


@dataclass(slots=True)
class _Parts:
    rows: list[tuple[Any, ...]]

    def add(self, time: Int64, tid: Int64, cpu: Int64, kind: int, state: Any, by: Any, sample: Any) -> None:
        size = len(time)
        wide = [np.broadcast_to(np.asarray(column, np.int64), size) for column in (time, tid, cpu, kind, state, by)]
        self.rows.append((*wide, np.broadcast_to(np.asarray(sample, np.int64), size)))


def switches_of(
    octets: npt.NDArray[Any],
    columns: Columns,
    attrs: Sequence[Attr],
    points: Mapping[int, Tracepoint],
    recorded: Sequence[Switched],
) -> Switches | None:
    """columns: in the order of the profile's samples; None where the file tells of no switches."""
    parts = _Parts([])
    for number, attr in enumerate(attrs):
        point = points.get(attr.config) if attr.type == TYPE_TRACEPOINT else None
        if point is None or point.name not in (SWITCH, *_WOKEN):
            continue
        rows = np.flatnonzero((columns.attr == number) & (columns.raw_size > 0))
        at, size = columns.raw_at[rows], columns.raw_size[rows]

        def values(name: str, at: Int64 = at, size: Int64 = size, point: Tracepoint = point) -> Int64:
            place = point.fields.get(name)
            return integers(octets, at, size, place) if place else np.full(len(at), NONE, np.int64)

        time, cpu = columns.time_ns[rows], columns.cpu[rows]
        if point.name == SWITCH:
            parts.add(time, values("prev_pid"), cpu, Switches.LEFT, values("prev_state"), NONE, rows)
            parts.add(time, values("next_pid"), cpu, Switches.GOT, NONE, NONE, rows)
        else:
            kind = Switches.WAKING if point.name == _WOKEN[0] else Switches.WOKEN
            parts.add(time, values("pid"), cpu, kind, NONE, columns.tid[rows], rows)
    if recorded:
        time, tid, cpu, out, preempted = (np.array(column, np.int64) for column in zip(*recorded, strict=True))
        for kind in (Switches.LEFT, Switches.GOT):
            mine = out == (kind == Switches.LEFT)
            state = np.where(preempted[mine] > 0, 0, NONE)
            parts.add(time[mine], tid[mine], cpu[mine], kind, state, NONE, NONE)
    if not parts.rows:
        return None
    joined = [np.concatenate(column) for column in zip(*parts.rows, strict=True)]
    order = np.lexsort((joined[3], joined[0]))
    time, tid, cpu, kind_, state, by, sample = (column[order] for column in joined)
    return Switches(
        time_ns=readonly(time, np.int64),
        tid=readonly(tid, np.int32),
        cpu=readonly(cpu, np.int32),
        kind=readonly(kind_, np.int32),
        state=readonly(np.clip(state, NONE, 2**31 - 1), np.int32),
        by=readonly(by, np.int32),
        sample=readonly(sample, np.int32),
    )


def off_cpu(switches: Switches) -> tuple[Int32, Int64]:
    """(samples at which a thread left its processor, how long it stayed away in nanoseconds).

    Only where its return is in the recording, and where nothing was lost in between; the idle thread is not counted.
    """
    kind = switches.kind
    rows = np.flatnonzero(((kind == Switches.LEFT) | (kind == Switches.GOT)) & (switches.tid > 0))
    # Leaving comes before the return at the same moment.
    order = rows[np.lexsort((kind[rows], switches.time_ns[rows], switches.tid[rows]))]
    order = _once(order, switches)
    if len(order) < 2:
        return switches.sample[:0], switches.time_ns[:0]
    this, after = order[:-1], order[1:]
    returned = (
        (switches.tid[this] == switches.tid[after])
        & (kind[this] == Switches.LEFT)
        & (kind[after] == Switches.GOT)
        & (switches.sample[this] >= 0)
    )
    away: Int64 = (switches.time_ns[after] - switches.time_ns[this])[returned]
    return switches.sample[this[returned]], away


def _once(order: Int64, switches: Switches) -> Int64:
    """One row of each switch, where tracepoint and record tell of the same one: that which has a sample and, of
    returns, the first; of departures, the last before the return."""
    kind, tid, sampled = switches.kind[order], switches.tid[order], switches.sample[order] >= 0
    same = (tid[1:] == tid[:-1]) & (kind[1:] == kind[:-1])
    keep: Bool = np.ones(len(order), np.bool_)
    both = same & (sampled[1:] != sampled[:-1])
    keep[1:][both & ~sampled[1:]] = False
    keep[:-1][both & ~sampled[:-1]] = False
    return order[keep]
