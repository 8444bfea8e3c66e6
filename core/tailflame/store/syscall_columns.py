"""System calls in a stored recording."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from tailflame.errors import StoreError
from tailflame.model.stacks import Thread
from tailflame.model.syscalls import SyscallSums, SyscallTrace
from tailflame.store.files import Fields
from tailflame.store.tables import Array, Columns, decode_table, encode_table, within

_ROWS = (
    ("call", "<i4"),
    ("start_s", "<f8"),
    ("duration_s", "<f8"),
    ("thread", "<i4"),
    ("error", "<i4"),
    ("fd", "<i4"),
    ("place", "<i4"),
    ("returned", "|u1"),
)
_SLOW = (("slow", "<i4"),)
_SUMS = (("calls", "<i8"), ("errors", "<i8"), ("seconds", "<f8"), ("shortest_s", "<f8"), ("longest_s", "<f8"))
_EVENTS = (("event_start_s", "<f8"), ("event_thread", "<i4"))


def encode_syscalls(trace: SyscallTrace, prefix: str, columns: Columns) -> dict[str, Any]:
    encode_table(trace, prefix, _ROWS, columns)
    encode_table(trace, prefix, _SLOW, columns)
    columns[f"{prefix}.event_start_s"] = np.array([event[0] for event in trace.events], dtype="<f8")
    columns[f"{prefix}.event_thread"] = np.array([event[1] for event in trace.events], dtype="<i4")
    for at, sums in enumerate(trace.sums):
        encode_table(_full(sums), f"{prefix}.sums{at}", _SUMS, columns)
    return {
        "epoch_ns": trace.epoch_ns,
        "names": list(trace.names),
        "errnos": list(trace.errnos),
        "places": list(trace.places),
        "threads": [{"name": of.name, "pid": of.pid, "tid": of.tid} for of in trace.threads],
        "slow_text": list(trace.slow_text),
        "events": [event[2] for event in trace.events],
        "sums": [{"names": list(sums.names), "title": sums.title, "wall": sums.wall} for sums in trace.sums],
    }


def _full(sums: SyscallSums) -> SyscallSums:
    """With columns of one length, where the table had no shortest and longest."""
    unknown = np.full(len(sums), np.nan)
    return SyscallSums(
        names=sums.names,
        calls=sums.calls,
        errors=sums.errors,
        seconds=sums.seconds,
        shortest_s=sums.shortest_s if len(sums.shortest_s) else unknown,
        longest_s=sums.longest_s if len(sums.longest_s) else unknown,
    )


def decode_syscalls(fields: Fields, prefix: str, columns: Mapping[str, Array]) -> SyscallTrace:
    rows = decode_table(fields, prefix, _ROWS, columns)
    slow = decode_table(fields, prefix, _SLOW, columns)["slow"]
    events = decode_table(fields, prefix, _EVENTS, columns)
    names, errnos, places = fields.texts("names"), fields.texts("errnos"), fields.texts("places")
    threads = tuple(Thread(of.text("name"), of.integer("pid"), of.integer("tid")) for of in fields.parts("threads"))
    texts, words = fields.texts("slow_text"), fields.texts("events")
    for what, column, low, high in (
        ("a call", rows["call"], 0, len(names)),
        ("a thread", rows["thread"], -1, len(threads)),
        ("an error", rows["error"], -1, len(errnos)),
        ("a place", rows["place"], -1, len(places)),
        ("a kept text", slow, 0, len(rows["call"])),
        ("an event's thread", events["event_thread"], -1, len(threads)),
    ):
        within(fields, what, column, low, high)
    if len(texts) != len(slow) or len(words) != len(events["event_thread"]) or np.any(np.diff(slow) <= 0):
        raise StoreError(f"{fields.what} is damaged: the kept texts of {prefix} do not fit its rows.")
    return SyscallTrace(
        names=names,
        errnos=errnos,
        places=places,
        threads=threads,
        slow=slow,
        slow_text=texts,
        events=tuple(
            (float(time), int(thread), text)
            for time, thread, text in zip(events["event_start_s"], events["event_thread"], words, strict=True)
        ),
        sums=tuple(_sums(part, f"{prefix}.sums{at}", columns) for at, part in enumerate(fields.parts("sums"))),
        epoch_ns=fields.integer("epoch_ns", 0),  # before, times were those of the clock itself
        **rows,
    )


def _sums(fields: Fields, prefix: str, columns: Mapping[str, Array]) -> SyscallSums:
    table = decode_table(fields, prefix, _SUMS, columns)
    names = fields.texts("names")
    if len(names) != len(table["calls"]):
        raise StoreError(f"{fields.what} is damaged: the names of {prefix} do not fit its rows.")
    return SyscallSums(
        names=names, title=fields.text("title"), wall=fields.flag("wall") if "wall" in fields else None, **table
    )
