"""Which events are counted, which of them this machine has, and how they are handed to perf."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from tailflame.host.system import HARDWARE_EVENTS, SOFTWARE_EVENTS, Support, ask
from tailflame.model.live import Status
from tailflame.parse.perf_stat_rows import separated_row

CORE = (
    "cycles",
    "instructions",
    "cache-references",
    "cache-misses",
    "branches",
    "branch-misses",
    "stalled-cycles-frontend",
    "stalled-cycles-backend",
)
MEMORY = (
    "L1-dcache-loads",
    "L1-dcache-load-misses",
    "LLC-loads",
    "LLC-load-misses",
    "dTLB-loads",
    "dTLB-load-misses",
    "iTLB-loads",
    "iTLB-load-misses",
)
SOFTWARE = ("task-clock", "page-faults", "context-switches", "cpu-migrations")
EVENTS = (*CORE, *MEMORY, *SOFTWARE)
"""What is counted unless told otherwise."""

_TOGETHER = (
    ("cycles", "instructions"),
    ("cache-references", "cache-misses"),
    ("branches", "branch-misses"),
    *zip(MEMORY[::2], MEMORY[1::2], strict=True),
)
"""Counted at the same moments, so that a ratio of two stays one where they share the counters with others."""
_REFUSALS = (
    "Access to performance monitoring and observability operations is limited",
    "No permission to enable",
    "No permission - try",
)
_UNKNOWN = ("event syntax error", "parser error", "Cannot find PMU")
_ALL_HARDWARE = frozenset((*CORE, *MEMORY, *HARDWARE_EVENTS))
_ALL_SOFTWARE = frozenset((*SOFTWARE, *SOFTWARE_EVENTS))


@dataclass(frozen=True, slots=True)
class Probed:
    """What perf says of some events here. `support` has every event that was asked for, unless it is `refused`."""

    support: Mapping[str, Support] = field(default_factory=lambda: MappingProxyType({}))
    printed: tuple[str, ...] = ()
    """The events that are there, as perf prints them: "cycles", or "cpu_core/cycles/" and "cpu_atom/cycles/"."""
    refused: str = ""
    """perf's refusal in its own words, where this user may count nothing at all."""
    failed: str = ""
    """Why perf does not answer: it is missing, broken or hangs."""

    def available(self, events: Sequence[str]) -> tuple[str, ...]:
        return tuple(event for event in events if self.support.get(event, Support(False)).available)


_known: dict[tuple[str, tuple[str, ...]], Probed] = {}
_lock = threading.Lock()


def probe_events(perf: Path, events: Sequence[str] = EVENTS) -> Probed:
    """Asks perf itself, each event by itself but in one run; some 30 ms, call it from a thread.

    Kept for this perf and these events; a refusal is not kept, since a setting may change it at any time.
    """
    key = (str(perf), tuple(events))
    with _lock:
        if (known := _known.get(key)) is not None:
            return known
    probed = _probe(perf, key[1])
    if not probed.refused and not probed.failed:
        with _lock:
            _known[key] = probed
    return probed


def forget_events() -> None:
    """The next `probe_events` asks again."""
    with _lock:
        _known.clear()


def _probe(perf: Path, events: tuple[str, ...]) -> Probed:
    answer = ask(perf, "stat", "-x", ";", "-e", ",".join(events), "--", "true")
    if answer.returncode == 0:
        return _read(answer.stderr, events)
    if is_refusal(answer.stderr):
        return Probed(refused=answer.stderr.strip())
    if any(words in answer.stderr for words in _UNKNOWN):
        if len(events) == 1:
            return Probed(MappingProxyType({events[0]: Support(False, _why_unknown(answer.stderr))}))
        # One name that this perf does not know fails the whole run: ask each half.
        middle = len(events) // 2
        return _both(_probe(perf, events[:middle]), _probe(perf, events[middle:]))
    return Probed(failed=first_words(answer.stderr) or f"perf ended with {answer.returncode}")


def _both(one: Probed, other: Probed) -> Probed:
    support = MappingProxyType({**one.support, **other.support})
    return Probed(support, one.printed + other.printed, one.refused or other.refused, one.failed or other.failed)


def _read(text: str, events: tuple[str, ...]) -> Probed:
    """perf's lines come in the order of the events; one with several processors' units has several lines."""
    dead: dict[str, bool] = {}
    lines: list[tuple[str, str]] = []
    for line in text.splitlines():
        try:
            row = separated_row(line, ";")
        except ValueError:
            continue
        if row is not None:
            name = _asked_name(row.event, events)
            lines.append((name, row.event))
            # `true` is over before a multiplexed counter has had its turn: that is no missing counter.
            dead[name] = dead.get(name, True) and row.status is Status.NOT_SUPPORTED
    support = {
        event: Support(True) if not dead.get(event, True) else Support(False, unsupported(event)) for event in events
    }
    printed = tuple(line for name, line in lines if not dead[name])
    return Probed(MappingProxyType(support), printed)


def _asked_name(printed: str, events: tuple[str, ...]) -> str:
    """ "cycles" for "cycles:u" and "cpu_core/cycles/u", if that is what was asked for."""
    if printed in events:
        return printed
    plain = printed.partition("/")[2].partition("/")[0] if printed.startswith(("cpu", "armv", "apple")) else printed
    plain = plain or printed
    if plain in events:
        return plain
    bare = plain.rpartition(":")[0]
    return bare if bare in events else printed


def unsupported(event: str) -> str:
    """Why there is no such counter."""
    if event.partition(":")[0] in _ALL_SOFTWARE:
        return "this kernel does not count it"
    if event.partition(":")[0] in _ALL_HARDWARE:
        return "the processor does not count it, or its counters are not available here (usual in a virtual machine)"
    return "it cannot be counted here"


def _why_unknown(text: str) -> str:
    if "can't access trace events" in text:
        return "tracepoints can be read by root alone here"
    return "perf does not know this event"


def is_refusal(text: str) -> bool:
    """Whether perf's stderr says that the kernel refuses."""
    return any(words in text for words in _REFUSALS)


def first_words(text: str) -> str:
    """The first line of perf's stderr that says something, without its bare `Error:`; "" where none does."""
    lines = (line.strip() for line in text.splitlines())
    return next((line for line in lines if line and line != "Error:"), "")


def event_list(events: Sequence[str], *, grouped: bool) -> str:
    """What stands behind -e. Groups are weak (:W): perf splits one that the processor has no room for.

    grouped: only for events that are known to be supported, a group with a dead one fails the whole run.
    """
    parts: list[str] = []
    done: set[str] = set()
    for event in events:
        if event in done:
            continue
        pair = next((pair for pair in _TOGETHER if event in pair), ()) if grouped else ()
        if pair and all(name in events for name in pair):
            parts.append(f"{{{','.join(pair)}}}:W")
            done |= set(pair)
        else:
            parts.append(event)
            done.add(event)
    return ",".join(parts)
