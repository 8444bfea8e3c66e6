"""The format of what a bpftrace program prints: its maps, its histograms as latencies, its stacks as a profile."""

from __future__ import annotations

import errno
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from tailflame.errors import ParseError
from tailflame.model import NONE, Caution, Event, FrameKind, Meta, Recording, StackBuilder, StackProfile
from tailflame.model.maps import STACK, Bucket, MapKind, MapRow, ProbeMap, ProbeMaps
from tailflame.model.stacks import Thread
from tailflame.parse.bpftrace_hist import SERIES_LIMIT, Histograms, PrintedHistogram, unit_of
from tailflame.parse.bpftrace_output import ALONE, BpftraceOutput, PrintedMap, Value, starts_like_bpftrace, sum_of_stats
from tailflame.parse.bpftrace_stacks import Names, RawFrame, frames_of, is_stack, key_parts
from tailflame.parse.bpftrace_syscalls import syscall_names
from tailflame.parse.registry import NO
from tailflame.parse.source import Source, decode_head
from tailflame.units import Unit, count

NO_STACK = "(no stack)"
_RESTARTS = {512: "ERESTARTSYS", 513: "ERESTARTNOINTR", 514: "ERESTARTNOHAND", 516: "ERESTART_RESTARTBLOCK"}
_UNITS = {"ns": Unit.NANOSECONDS, "bytes": Unit.BYTES, "samples": Unit.SAMPLES, "calls": Unit.CALLS}


class Bpftrace:
    name = "bpftrace"
    title = "bpftrace output (text, JSON)"

    def sniff(self, head: bytes, name: str) -> float:
        return starts_like_bpftrace(decode_head(head).split("\n")) or NO

    def load(self, source: Source) -> Recording:
        output = BpftraceOutput()
        for line in source.lines():
            output.feed(line)
        output.end()
        if not output.maps and not output.known:
            number, reason = output.bad[0] if output.bad else (0, "it holds nothing that bpftrace prints")
            where = f", line {number}" if number else ""
            raise ParseError(
                f"{source.name}{where}: {reason}.",
                source=source.name,
                line=number or None,
                advice="bpftrace prints its maps at its end: @calls[comm] = count(), or @ns = hist(…).",
            )
        if not output.maps and output.bad:
            number, reason = output.bad[0]
            raise ParseError(
                f"{source.name}, line {number}: {reason}.",
                source=source.name,
                line=number,
                advice="Copy the file again, or run the program again.",
            )
        return _recording(output, source)


BPFTRACE = Bpftrace()


def maps_of(output: BpftraceOutput) -> ProbeMaps:
    """What is known so far. Stacks keep bpftrace's own names: looking addresses up takes time."""
    return _Reading(output, None).maps()


def _recording(output: BpftraceOutput, source: Source) -> Recording:
    names = Names(
        output.mappings.values(),
        recorded_at=source.path.stat().st_mtime,
        watch=lambda: source.report(1.0),
    )
    reading = _Reading(output, names)
    names.look_up(reading.stacks())
    maps = reading.maps()
    histograms = Histograms(reading.histograms())
    profile = reading.profile()
    series = histograms.series()
    warnings = [*histograms.cautions(), *reading.cautions()]
    return Recording(
        tool="bpftrace",
        format=BPFTRACE.name,
        source=source.name,
        results=(maps, *series, *([profile] if profile is not None else [])),
        meta=Meta(lost=output.lost),
        warnings=tuple(warnings),
    )


@dataclass(slots=True)
class _Reading:
    """One run's output, as results. names: of addresses; None: only what bpftrace has named."""

    output: BpftraceOutput
    names: Names | None
    _commas: list[str] = field(default_factory=list)
    _frames: dict[str, tuple[RawFrame, ...]] = field(default_factory=dict)
    _lines: dict[str, str] = field(default_factory=dict)

    # Keys

    def _keys(self, name: str) -> tuple[str, ...]:
        column = self.output.columns.get(name)
        return column.keys if column is not None else ()

    def _title(self, name: str) -> str:
        column = self.output.columns.get(name)
        return column.title if column is not None else ""

    def _unit(self, name: str) -> str:
        column = self.output.columns.get(name)
        return column.unit if column is not None else ""

    def _split(self, name: str, rows: Iterable[str]) -> dict[str, tuple[str, ...]]:
        """The parts of each key. Where commas of their own make them differ in number, each key stays whole."""
        kinds = self._keys(name)
        keys = [key for key in rows if key != ALONE]
        parts = {key: key_parts(key, len(kinds) or None) for key in keys}
        if not kinds and len({len(one) for one in parts.values()}) > 1:
            self._commas.append(name)
            parts = {key: _rejoined(one) for key, one in parts.items()}
        if kinds:
            parts = {key: one if len(one) == len(kinds) else (key,) for key, one in parts.items()}
        return parts | {ALONE: ()}

    def _shown(self, part: str, kind: str) -> str:
        """A part of a key in words."""
        match kind:
            case "syscall" if part == "-1":
                return "rt_sigreturn"  # it leaves as no call at all, having put back the state from before the signal
            case "syscall" if part.isdecimal():
                return syscall_names(self.output.machine).get(int(part), f"syscall {part}")
            case "errno":
                number = int(part) if part.isdecimal() else 0
                return errno.errorcode.get(number) or _RESTARTS.get(number, part)
            case _ if is_stack(part):
                return self._stack_lines(part)
            case _ if kind == STACK and not part:
                return NO_STACK
        return part

    def _raw(self, part: str) -> tuple[RawFrame, ...]:
        known = self._frames.get(part)
        if known is None:
            known = self._frames[part] = frames_of(part)
        return known

    def _stack_lines(self, part: str) -> str:
        known = self._lines.get(part)
        if known is None:
            raw = self._raw(part)
            if self.names is not None:
                known = "\n".join(frame.name for frame in self.names.of(raw))
            else:
                known = "\n".join(frame.name or f"0x{frame.address:x}" for frame in reversed(raw))
            self._lines[part] = known
        return known

    def stacks(self) -> list[tuple[RawFrame, ...]]:
        """Every stack of every key."""
        found = {}
        for name, printed in self.output.maps.items():
            for parts in self._split(name, printed.rows).values():
                found.update({part: self._raw(part) for part in parts if is_stack(part)})
        self._commas.clear()
        return list(found.values())

    # Results

    def maps(self) -> ProbeMaps:
        output = self.output
        return ProbeMaps(
            maps=tuple(self._map(name, output.maps[name]) for name in sorted(output.maps, key=self._place)),
            text=output.text,
            lost=output.lost,
            probes=output.probes,
            recipe=output.recipe,
        )

    def _place(self, name: str) -> int:
        """In the order of the recipe; what it does not know stays behind, as it was printed."""
        known = list(self.output.columns)
        return known.index(name) if name in known else len(known)

    def _map(self, name: str, printed: PrintedMap) -> ProbeMap:
        values: dict[str, Value] = dict(printed.rows)
        if printed.kind in (MapKind.HIST, MapKind.LHIST):
            values = dict(printed.histograms)
        parts = self._split(name, values)
        kinds = self._kinds(name, parts.values())
        rows: dict[tuple[str, ...], MapRow] = {}
        for key, value in values.items():
            row = _row(
                tuple(self._shown(part, kinds[at] if at < len(kinds) else "") for at, part in enumerate(parts[key])),
                value,
            )
            old = rows.get(row.key)
            rows[row.key] = row if old is None else _sum(old, row)
        ordered = sorted(rows.values(), key=lambda row: -row.number)
        return ProbeMap(name, printed.kind, tuple(ordered), self._title(name), self._unit(name), kinds)

    def _kinds(self, name: str, parts: Iterable[tuple[str, ...]]) -> tuple[str, ...]:
        """What the recipe says, or whether it is a stack."""
        told = self._keys(name)
        if told:
            return told
        widest: tuple[str, ...] = ()
        stacks: set[int] = set()
        for one in parts:
            widest = max(widest, one, key=len)
            stacks |= {at for at, part in enumerate(one) if is_stack(part)}
        return tuple(STACK if at in stacks else "text" for at in range(len(widest)))

    def histograms(self) -> list[PrintedHistogram]:
        found: list[PrintedHistogram] = []
        for name, printed in self.output.maps.items():
            if printed.kind not in (MapKind.HIST, MapKind.LHIST):
                continue
            kinds, parts = self._keys(name), self._split(name, printed.histograms)
            for key, buckets in printed.histograms.items():
                shown = ",".join(
                    self._shown(part, kinds[at] if at < len(kinds) else "").rpartition("\n")[2]
                    for at, part in enumerate(parts[key])
                )
                tag = name if key == ALONE else f"{name}[{shown}]"
                unit = {"ns": "ns", "bytes": "bytes"}.get(self._unit(name), "") or unit_of(name)
                found.append(
                    PrintedHistogram(
                        tag,
                        unit,
                        tuple(Bucket(low, high, number) for (low, high), number in buckets.items()),
                        printed.times,
                        printed.grows,
                        name in self.output.columns,
                    )
                )
        return found[:SERIES_LIMIT]

    def profile(self) -> StackProfile | None:
        """The maps whose keys are stacks: one event each."""
        builder = StackBuilder()
        for name, printed in self.output.maps.items():
            if printed.kind not in (MapKind.VALUES, MapKind.STATS):
                continue
            parts = self._split(name, printed.rows)
            kinds = self._kinds(name, parts.values())
            if STACK not in kinds:
                continue
            event = builder.event(self._event(name, printed.kind))
            for key, value in printed.rows.items():
                if isinstance(value, tuple) and value[0] >= 0 and value[-1] >= 0:
                    stack, thread = self._stack(builder, parts[key], kinds)
                    builder.sample(stack, count=float(value[0]), period=float(value[-1]), thread=thread, event=event)
        return builder.build() if len(builder) else None

    def _event(self, name: str, kind: MapKind) -> Event:
        """Of stats, how often is counted and the total weighs. Without a recipe nobody tells counts from samples, and a
        difference may be noise.
        """
        known = self._unit(name)
        unit = _UNITS.get(known, Unit.SAMPLES)
        counted = Unit.CALLS if kind is MapKind.STATS else unit
        exact = bool(known) and unit is not Unit.SAMPLES
        return Event(self._title(name) or name, unit, kind is MapKind.STATS, counted_in=counted, exact=exact)

    def _stack(self, builder: StackBuilder, parts: tuple[str, ...], kinds: tuple[str, ...]) -> tuple[int, int]:
        """The stack and the thread of a key; what else it holds becomes the root."""
        assert self.names is not None
        thread = NONE
        roots: list[int] = []
        user: list[int] = []
        kernel: list[int] = []
        for part, kind in zip(parts, kinds, strict=False):
            if is_stack(part):
                named = self.names.of(self._raw(part))
                place = kernel if named and named[0].kind is FrameKind.KERNEL else user
                place += [
                    builder.frame(one.name, module=one.module, file=one.file, line=one.line, kind=one.kind)
                    for one in named
                ]
            elif kind == "thread" and part:
                thread = builder.thread(Thread(part))
            elif kind != STACK and part:
                roots.append(builder.frame(part, kind=FrameKind.OTHER))
        whole = [*roots, *user, *kernel]
        return builder.stack(whole or [builder.frame(NO_STACK, kind=FrameKind.OTHER)]), thread

    # What spoils it

    def cautions(self) -> Iterator[Caution]:
        output = self.output
        if output.lost:
            yield Caution(
                f"bpftrace lost {count(output.lost)} events: what it printed is not complete.",
                "Print less often, or give it a larger buffer: BPFTRACE_PERF_RB_PAGES=512.",
            )
        for name in dict.fromkeys(self._commas):
            yield Caution(
                f"Keys of {name} hold commas of their own, which nothing tells from those between their parts: "
                "each key is shown whole.",
                "Print what may hold a comma in a map of its own.",
            )
        shrunk = [
            name
            for name, printed in output.maps.items()
            if not printed.grows and printed.kind in (MapKind.VALUES, MapKind.STATS)
        ]
        if shrunk:
            yield Caution(
                f"{shrunk[0]} was printed {count(output.maps[shrunk[0]].times)} times and cleared in between: only its "
                "last print is shown."
            )
        left_out = [name for name in output.columns if STACK in self._keys(name) and name not in output.maps]
        if left_out and output.maps and output.mappings:
            yield Caution(f"The end is missing: {', '.join(left_out)} had not been printed yet, or holds nothing.")
        if self.names is not None and self.names.unnamed:
            yield Caution(
                f"{count(self.names.unnamed)} addresses have no name.",
                "" if output.mappings else "bpftrace names what still runs at its end: attach to the program (-p).",
            )
        if output.bad:
            number, reason = output.bad[0]
            what = "1 line was" if len(output.bad) == 1 else f"{count(len(output.bad))} lines were"
            yield Caution(f"{what} left out (line {number}: {reason}).")


def _rejoined(parts: tuple[str, ...]) -> tuple[str, ...]:
    """Stacks, and all the rest as one part."""
    stacks = tuple(part for part in parts if is_stack(part))
    rest = ",".join(part for part in parts if not is_stack(part))
    return (*stacks, rest) if rest or not stacks else stacks


def _row(key: tuple[str, ...], value: Value) -> MapRow:
    match value:
        case str():
            return MapRow(key, text=value)
        case dict():
            ordered = sorted(value.items(), key=lambda one: (one[0][0] is not None, one[0][0] or 0, one[0][1] or 0))
            return MapRow(key, buckets=tuple(Bucket(low, high, number) for (low, high), number in ordered))
        case _:
            return MapRow(key, values=value)


def _sum(one: MapRow, other: MapRow) -> MapRow:
    """Two keys that are one in words: stacks whose addresses differ within the same functions."""
    if len(one.values) == len(other.values) == 1:
        return replace(one, values=(one.values[0] + other.values[0],))
    if len(one.values) == len(other.values) == 3:
        return replace(one, values=sum_of_stats(one.values, other.values))
    buckets: dict[tuple[int | None, int | None], int] = {}
    for bucket in (*one.buckets, *other.buckets):
        buckets[bucket.low, bucket.high] = buckets.get((bucket.low, bucket.high), 0) + bucket.count
    return _row(one.key, buckets) if buckets else one
