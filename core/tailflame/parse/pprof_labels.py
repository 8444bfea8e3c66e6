"""Labels of pprof samples that tell the thread, the processor and the time; others are told of, not shown."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from tailflame.model import NONE, Caution, Thread
from tailflame.model.stacks import Int64, UInt8
from tailflame.parse.profile_tables import ProfileTables
from tailflame.parse.protobuf_wire import BYTES, BadWire, Fields, walk

# pprof-rs writes "thread"; Datadog "thread name" and "thread id"; perf_data_converter "tid", "pid", "comm",
# "timestamp_ns" and "cpu"; Parca "thread_id", "comm" and "cpuid".
_KEYS = {
    **dict.fromkeys(("thread", "thread name", "thread_name", "thread_comm"), "name"),
    "comm": "comm",
    **dict.fromkeys(("tid", "thread id", "thread_id", "thread native id"), "tid"),
    **dict.fromkeys(("pid", "process id", "process_id"), "pid"),
    **dict.fromkeys(("cpu", "cpuid", "cpu_id"), "cpu"),
    **dict.fromkeys(("timestamp_ns", "end_timestamp_ns"), "time"),
}
_SHOWN = 3


class Who(NamedTuple):
    """Columns with a row for each sample; -1 where the file does not tell."""

    thread: Int64
    cpu: Int64
    time_ns: Int64


@dataclass(slots=True)
class Labels:
    """What is known of labels so far."""

    tables: ProfileTables
    strings: list[str]
    _ignored: dict[str, None] = field(default_factory=dict)

    def text(self, index: int) -> str:
        if index >= len(self.strings):
            raise BadWire(f"string {index} of {len(self.strings)}")
        return self.strings[index] if index else ""

    def ignore(self, key: str) -> None:
        self._ignored[key] = None

    def told(self) -> tuple[Caution, ...]:
        if not self._ignored:
            return ()
        names = [f"“{name}”" for name in list(self._ignored)[:_SHOWN]]
        more = f" and {len(self._ignored) - _SHOWN} more" if len(self._ignored) > _SHOWN else ""
        return (Caution(f"Samples have labels that are not shown: {', '.join(names)}{more}."),)


def labels_of(data: UInt8, samples: Fields, rows: int, labels: Labels) -> Who:
    """Who was sampled, by the labels of each of `rows` samples. Raises BadWire."""
    outer = samples.only(3, BYTES)
    none = np.full(rows, NONE, np.int64)
    if not len(outer.owner):
        return Who(none, none, none)
    inner = walk(data, outer.start, outer.stop)
    messages = len(outer.owner)
    key, text, number = (inner.scalar(column, messages).astype(np.int64) for column in (1, 2, 3))
    found = {word: none.copy() for word in ("name", "comm", "tid", "pid", "cpu", "time")}
    for distinct in np.unique(key).tolist():
        label = labels.text(distinct)
        word = _KEYS.get(label)
        if word is None:
            labels.ignore(label)
            continue
        at = np.flatnonzero(key == distinct)
        if word in ("name", "comm"):
            found[word][outer.owner[at]] = np.where(text[at] > 0, text[at], NONE)
        else:
            found[word][outer.owner[at]] = _numbers(text[at], number[at], labels.text)
    who = np.stack([found[word] for word in ("name", "comm", "pid", "tid")], axis=1)
    distinct_rows, position = np.unique(who, axis=0, return_inverse=True)
    threads = [_thread(row, labels) for row in distinct_rows.tolist()]
    return Who(np.array(threads, np.int64)[position.reshape(-1)], found["cpu"], found["time"])


def _numbers(text: Int64, number: Int64, look: Callable[[int], str]) -> Int64:
    """Numbers, which some write as text."""
    values = number.copy()
    for index in np.unique(text[text > 0]).tolist():
        word = look(index).strip()
        values[text == index] = int(word) if word.isdecimal() and word.isascii() and len(word) < 18 else NONE
    return values


def _thread(row: list[int], labels: Labels) -> int:
    name, comm, pid, tid = row
    if max(row) < 0:
        return NONE
    label = labels.text(name) if name >= 0 else labels.text(comm) if comm >= 0 else ""
    return labels.tables.thread(Thread(label, pid if pid < 2**31 else NONE, tid if tid < 2**31 else NONE))
