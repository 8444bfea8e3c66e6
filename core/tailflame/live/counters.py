"""Counters of a running process: `perf stat -j -I`, and what its figures tell together."""

from __future__ import annotations

import asyncio
import os
import pwd
import sys
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from tailflame.errors import TailflameError, TargetError, ToolDenied, ToolFailed, ToolMissing
from tailflame.host.system import find_tool, read_setting
from tailflame.live.counter_events import (
    EVENTS,
    Probed,
    event_list,
    first_words,
    is_refusal,
    probe_events,
    unsupported,
)
from tailflame.live.launcher import Launcher, Running, lines_of, start
from tailflame.live.lifetime import Lifetime
from tailflame.model.counter_ratios import computed_from, unit_of_computed
from tailflame.model.live import Armed, Artifact, Reading, Said, Status, Update
from tailflame.parse.perf_stat_rows import IN_KERNEL, Row, SeriesNames, json_row, readings_of

SHORTEST_S = 0.1
"""perf itself warns below: the counting would show in what is counted."""

_NAMED = 3
"""Missing events that a sentence names."""

Probe = Callable[[Sequence[str]], Awaitable[Probed]]


class Counters:
    """perf stat on a process and all its threads.

    A reading's `running` below 1 means that its counter shared the hardware with others: perf has scaled it up.
    Events that this machine has not are told once each, as NOT_SUPPORTED, and in a sentence.

    Times: perf stamps an interval with the seconds since it began to count, and does not say when that was. It is taken
    for the latest moment that the arrivals of all intervals so far allow, which is late by the delay of a pipe (1 ms,
    on a busy machine more), and never by more than `clock_error_s`.
    """

    name = "counters"
    title = "Counters"

    def __init__(
        self,
        pid: int,
        *,
        events: Sequence[str] | None = None,
        interval_s: float = 0.2,
        perf: str = "perf",
        raw: Path | None = None,
        launcher: Launcher = start,
        probe: Probe | None = None,
    ) -> None:
        """raw: where perf's own lines are kept; what is there already stays, and another file is made beside it: "x-2".
        launcher: who starts perf. probe: what says which events there are;
        without it a perf that is started by ourselves is asked, and a refusal is only final if `launcher` is ours too.
        """
        if interval_s < SHORTEST_S:
            raise ValueError(f"perf stat cannot look more often than every {SHORTEST_S} s")
        self.pid = pid
        self.events = tuple(EVENTS if events is None else events)
        self.interval_s = interval_s
        self.perf = perf
        self.raw = raw
        self.clock_error_s = 0.0
        """Known after the first interval, and shrinking: readings are stamped too late by no more."""
        self._launcher = launcher
        self._probe = probe or self._ask_perf

    def argv(self, events: Sequence[str], *, grouped: bool = True) -> tuple[str, ...]:
        """perf's command line. --log-fd: unlike stderr and -o, stdout has nothing but the lines."""
        interval = str(round(self.interval_s * 1000))
        names = event_list(events, grouped=grouped)
        return (self.perf, "stat", "-j", "-I", interval, "-e", names, "-p", str(self.pid), "--log-fd", "1")

    async def updates(self) -> AsyncGenerator[Update, None]:
        probed = await self._probe(self.events)
        if probed.failed:
            raise ToolFailed(f"perf does not say which events there are: {probed.failed}.")
        if probed.refused and self._launcher is start:
            raise denied(self.pid, probed.refused)
        events = probed.available(self.events) if probed.support else self.events
        missing = [event for event in self.events if event not in events]
        if not events:
            raise ToolFailed(
                "None of the chosen events can be counted here.",
                advice="Choose others; `perf list` names them.",
                details="\n".join(f"{event}: {probed.support[event].reason}" for event in missing),
            )
        with ExitStack() as stack:
            raw = stack.enter_context(_new(self.raw)) if self.raw is not None else None
            lifetime = Lifetime(self.pid)
            stack.callback(lifetime.close)
            began = time.monotonic()
            running = await self._launcher(self.argv(events, grouped=bool(probed.support)))
            try:
                stream = _Stream(events, missing, probed, began)
                async for update in self._told(running, stream, lifetime, raw):
                    yield update
            finally:
                await running.stop()

    async def _told(
        self, running: Running, stream: _Stream, lifetime: Lifetime, raw: IO[bytes] | None
    ) -> AsyncGenerator[Update, None]:
        async with lines_of(running) as lines:
            async for line in lines:
                if raw is not None and line:
                    raw.write(line + b"\n")
                for update in stream.take(line):
                    yield update
                    if isinstance(update, Armed) and raw is not None:
                        path = Path(raw.name)
                        yield Artifact(role=path.stem, path=path, opens=True)
                self.clock_error_s = stream.clock_error_s
                if stream.within:
                    continue
                if raw is not None:
                    raw.flush()
                # perf takes a zombie whose parent has not asked for its exit code yet for alive.
                if lifetime.ended:
                    running.interrupt()
        for update in stream.end():
            yield update
        returncode = await running.wait()
        if not lifetime.ended or not stream.counting:
            raise self._failure(returncode, running.stderr_text(), gone=lifetime.ended)

    async def _ask_perf(self, events: Sequence[str]) -> Probed:
        perf = await asyncio.to_thread(find_tool, self.perf)
        if perf is None:
            if self._launcher is start:
                raise ToolMissing(f"{self.perf} is not installed.", advice="Install it: sudo apt install linux-perf")
            return Probed()
        return await asyncio.to_thread(probe_events, perf, events)

    def _failure(self, returncode: int, text: str, *, gone: bool) -> TailflameError:
        if "Problems finding threads of monitor" in text or (gone and not text.strip()):
            return TargetError(f"There is no process {self.pid}: it has ended.")
        if is_refusal(text):
            return denied(self.pid, text)
        words = first_words(text)
        if returncode < 0 and not words:
            return ToolFailed("perf stat was ended by somebody else.", advice="Switch the counters on again.")
        return ToolFailed(f"perf stat has ended: {words or f'exit code {returncode}'}", details=text)


@dataclass(slots=True)
class _Stream:
    """perf's lines on their way to readings. An interval is whole when it has as many lines as the one before."""

    events: Sequence[str]
    missing: Sequence[str]
    probed: Probed
    spawned_s: float
    names: SeriesNames = field(init=False)
    expected: int = field(init=False)
    origin_s: float = field(init=False, default=float("inf"))
    """When perf began, on our clock."""
    before_s: float = field(init=False, default=0.0)
    stamp_s: float = field(init=False, default=-1.0)
    """The interval that is being read, and the end of the one before, as perf stamps them."""
    seen: int = field(init=False, default=0)
    rows: list[Row] = field(init=False, default_factory=list)
    counting: bool = field(init=False, default=False)
    odd: bool = field(init=False, default=False)

    def __post_init__(self) -> None:
        self.names = SeriesNames(asked=frozenset(self.events))
        self.names.learn(self.probed.printed)
        self.names.common = ""  # whoever counts may see more than whoever has asked
        # Without a probe nobody knows how many lines there will be, until the second interval begins.
        self.expected = len(self.probed.printed) or sys.maxsize

    @property
    def within(self) -> bool:
        """In the middle of an interval."""
        return bool(self.rows)

    @property
    def clock_error_s(self) -> float:
        return self.origin_s - self.spawned_s if self.stamp_s >= 0 else 0.0

    def take(self, line: bytes) -> Iterator[Update]:
        if not line or line.startswith(b"#"):
            return
        try:
            row = json_row(line)
        except ValueError:
            if not self.odd:
                self.odd = True
                yield Said(text=f"perf has printed something that is no count: {line[:80].decode('utf-8', 'replace')}")
            return
        if row is None or row.time_s is None:
            return
        if row.time_s != self.stamp_s:
            yield from self.end()
            if self.stamp_s >= 0:
                self.expected, self.before_s = self.seen, self.stamp_s
            self.stamp_s, self.seen = row.time_s, 0
            # What comes late makes the beginning look late: the earliest is nearest to the truth.
            self.origin_s = max(min(self.origin_s, time.monotonic() - row.time_s), self.spawned_s)
        self.rows.append(row)
        self.seen += 1
        if self.seen >= self.expected:
            yield from self.end()

    def end(self) -> Iterator[Update]:
        """What has been read of the interval: all of it, or what there is when perf has ended."""
        if not self.rows:
            return
        rows, self.rows = self.rows, []
        length_s = max(self.stamp_s - self.before_s, 0.0)
        if not self.counting:
            self.counting = True
            self.names.learn(row.event for row in rows)
            yield Armed(detail=f"{len(self.events)} of {len(self.events) + len(self.missing)} events are counted")
            yield from self._first(length_s)
        yield from readings_of(rows, self.names, start_s=self.origin_s + self.before_s, length_s=length_s)

    def _first(self, length_s: float) -> Iterator[Update]:
        """What is known once and for all: events that are not there, and what cannot be seen."""
        if self.missing:
            yield Said(text=_missing_sentence(self.missing, self.probed), fix=_missing_fix(self.missing))
        told: set[str] = set()
        for event in self.missing:
            for name, unit in ((event, ""), *((name, unit_of_computed(name)) for name in computed_from(event))):
                if name not in told:
                    told.add(name)
                    yield Reading(
                        series=name, start_s=self.origin_s, length_s=length_s, value=None, unit=unit,
                        status=Status.NOT_SUPPORTED, running=0.0,
                    )  # fmt: skip
        if self.names.common == "u":
            text = "Only what the program does in user space is counted."
            if any(event in IN_KERNEL for event in self.events):
                text += " Context switches and migrations happen in the kernel and are not."
            yield Said(text=text, fix="Allow the kernel's part: sudo sysctl kernel.perf_event_paranoid=1")


def _new(path: Path) -> IO[bytes]:
    """The file, or one with a number where it is there: intervals of two perfs do not go into one."""
    number, at = 1, path
    while True:
        try:
            return at.open("xb")
        except FileExistsError:
            number += 1
            at = path.with_stem(f"{path.stem}-{number}")


def _missing_sentence(missing: Sequence[str], probed: Probed) -> str:
    reasons: dict[str, list[str]] = {}
    for event in missing:
        support = probed.support.get(event)
        reasons.setdefault(support.reason if support is not None else unsupported(event), []).append(event)
    return " ".join(f"{_counted(events)} not counted here: {reason}." for reason, events in reasons.items())


def _counted(events: Sequence[str]) -> str:
    """ "cycles, instructions and 14 more are": each has a reading that says so by itself."""
    named = ", ".join(events[:_NAMED])
    more = len(events) - _NAMED
    return f"{named} and {more} more are" if more > 0 else f"{named} {'is' if len(events) == 1 else 'are'}"


def _missing_fix(missing: Sequence[str]) -> str:
    if "cycles" in missing or "instructions" in missing:
        return "A simulation can count caches and branches instead: it runs the program again, many times slower."
    return ""


def denied(pid: int, text: str) -> ToolDenied:
    """perf's refusal of a process as a sentence, with what would allow it."""
    owner = _owner(pid)
    if owner is not None and owner != os.geteuid() and os.geteuid() != 0:
        try:
            name = pwd.getpwuid(owner).pw_name
        except KeyError:
            name = f"user {owner}"
        return ToolDenied(
            f"Process {pid} belongs to {name}: the kernel lets you count nothing of it.",
            advice=f"Run Tailflame as {name}, or as root.",
            details=text,
        )
    paranoid = read_setting("kernel/perf_event_paranoid")
    setting = f" (kernel.perf_event_paranoid is {paranoid})" if paranoid is not None else ""
    return ToolDenied(
        f"The kernel refuses performance counters to you{setting}.",
        advice="Allow your own programs: sudo sysctl kernel.perf_event_paranoid=1",
        details=text,
    )


def _owner(pid: int) -> int | None:
    try:
        return Path(f"/proc/{pid}").stat().st_uid
    except OSError:
        return None
