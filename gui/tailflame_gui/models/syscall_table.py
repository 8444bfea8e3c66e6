"""Tables of system calls: by call, by file and peer, the slowest, and threads that were blocked together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from PySide6.QtCore import QObject

from tailflame.analyse.syscall_sums import CallSums, PlaceSums, SlowCall
from tailflame.analyse.syscall_waits import BlockedTogether
from tailflame.model.stacks import Bool, Float64, FrameKind
from tailflame.units import count, nanoseconds, percent, seconds
from tailflame_gui.models.array_table import ArrayTable, found_in
from tailflame_gui.models.roles import Column, Face, Role

_STEPS = (("s", 1e9), ("ms", 1e6), ("µs", 1e3), ("ns", 1.0))
_NOT_BACK = "had not returned"
_MOST_TIP = 600
"""Characters of arguments that a tooltip shows."""


@dataclass(frozen=True, slots=True, eq=False)
class Shown:
    """One column: what sorting compares, how a row is written. share: of the largest, for a bar. sign: of a change."""

    column: Column
    key: npt.NDArray[Any] | Sequence[str]
    text: Callable[[int], str]
    share: Float64 | None = None
    sign: Callable[[int], int] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Content:
    """A whole table. tip: of a row. functions: the call that each row is about, "" for none. searched: what a query
    looks at, beside the columns of words.
    """

    columns: tuple[Shown, ...]
    size: int
    tip: Callable[[int], str] = lambda _row: ""
    functions: tuple[str, ...] = ()
    searched: tuple[tuple[str, ...], ...] = field(default_factory=tuple)


class SyscallTable(ArrayTable):
    """Shows one Content after another."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._content = Content((), 0)

    @property
    def content(self) -> Content:
        return self._content

    def show_content(self, content: Content) -> None:
        self._content = content
        self.reset(tuple(shown.column for shown in content.columns))

    def size(self) -> int:
        return self._content.size

    def key(self, column: int) -> npt.NDArray[Any] | Sequence[str]:
        return self._content.columns[column].key

    def text(self, column: int, row: int) -> str:
        return self._content.columns[column].text(row)

    def role(self, role: Role, column: int, row: int) -> Any:
        shown = self._content.columns[column]
        if role == Role.RAW:
            value = shown.key[row]
            return value if isinstance(value, str) else float(value)
        if role == Role.BAR:
            return None if shown.share is None else float(shown.share[row])
        if role == Role.FUNCTION:
            return self._content.functions[row] if self._content.functions else ""
        if role == Role.KIND:
            return int(FrameKind.KERNEL if self._content.functions else FrameKind.UNKNOWN)
        if role == Role.SIGN:
            return 0 if shown.sign is None else shown.sign(row)
        return None

    def tip(self, column: int, row: int) -> str:
        return self._content.tip(row)

    def found(self, query: str) -> Bool:
        found = np.zeros(self.size(), dtype=bool)
        for shown in self._content.columns:
            if not isinstance(shown.key, np.ndarray):
                found |= found_in(tuple(shown.key), query)
        for words in self._content.searched:
            found |= found_in(words, query)
        return found


@dataclass(frozen=True, slots=True)
class TimeMeasure:
    """How a column of times is written: in one unit, that of the header, to the last digit that is known."""

    unit: str
    per_unit: float
    digits: int

    @classmethod
    def of(cls, ns: Float64, *, fine: bool = True) -> TimeMeasure:
        """For these values, ns. fine: they are single latencies, wanted to the last digit that is known."""
        known = ns[np.isfinite(ns)]
        if not len(known):
            return cls("µs", 1e3, 0)
        if fine:
            return cls("µs", 1e3, 0 if in_microseconds(known) else 1)
        largest = float(known.max())
        unit, step = next((s for s in _STEPS if largest >= 10 * s[1]), _STEPS[2])
        return cls(unit, step, 0 if largest >= 10_000 * step else 1 if largest >= 100 * step else 2)

    def text(self, ns: float) -> str:
        if not np.isfinite(ns):
            return ""
        text = f"{ns / self.per_unit:,.{self.digits}f}"
        least = 10.0**-self.digits
        return f"<{least:.{self.digits}f}" if ns > 0 and not float(text.replace(",", "")) else text


def in_microseconds(ns: Float64) -> bool:
    """Whether strace has timed calls to the microsecond, as it does unless it is asked for more."""
    known = ns[np.isfinite(ns)]
    return not np.any(np.rint(known) % 1000)


def words(title: str, tip: str, values: Sequence[str], *, face: Face = Face.TEXT, width: int = 160) -> Shown:
    return Shown(Column(title, tip, face, width), tuple(values), lambda row: values[row])


def counts(title: str, tip: str, values: npt.NDArray[Any], *, width: int = 80) -> Shown:
    """Whole numbers; none is left blank."""
    return Shown(
        Column(title, tip, Face.FIGURE, width), values, lambda row: count(int(values[row])) if values[row] else ""
    )


def times(
    title: str, tip: str, ns: Float64, *, fine: bool = True, width: int = 88, measure: TimeMeasure | None = None
) -> Shown:
    """`measure` where it is that of another column."""
    measure = measure or TimeMeasure.of(ns, fine=fine)
    column = Column(f"{title}, {measure.unit}", tip, Face.FIGURE, width)
    return Shown(column, np.nan_to_num(ns, nan=-1.0), lambda row: measure.text(float(ns[row])))


def by_call(sums: CallSums) -> Content:
    """One row per call. Columns that nothing is known for are left out."""
    whole = sums.whole_s or 1.0
    total_ns = sums.total_s * 1e9
    share = sums.total_s / whole
    largest = float(share.max()) if len(share) and share.max() > 0 else 1.0
    # Percentiles are the ends of buckets: how fine times are is told by the longest calls.
    single = TimeMeasure.of(sums.max_ns)
    columns = [
        words("Call", "The system call. Enter shows it in the flame graph.", sums.names, face=Face.NAME, width=0),
        counts("Calls", "Calls that came back.", sums.calls),
        counts("Errors", "Calls that failed, those that a signal interrupted among them.", sums.errors, width=72),
    ]
    if sums.timed:
        tip = "Time in all calls together, waiting included." if sums.singles else "As strace has summed it up."
        columns += [
            times("Total", tip, total_ns, fine=False),
            Shown(
                Column("Share, %", "Of the time in all calls. The bar is relative to the largest.", Face.BAR, 88),
                share,
                lambda row: f"{share[row] * 100:.1f}" if share[row] >= 0.0005 else "",
                share / largest,
            ),
        ]
    if sums.singles and sums.timed:
        columns += [
            times("p50", "Half of the calls took no longer.", sums.p50_ns, width=80, measure=single),
            times("p99", "99 of 100 calls took no longer.", sums.p99_ns, width=88, measure=single),
        ]
    if np.isfinite(sums.max_ns).any():
        columns.append(times("Max", "The longest call.", sums.max_ns, width=96))
    if any(sums.failures):
        columns.append(
            words("Which errors", "The errors by their names, most frequent first.", sums.failures, width=176)
        )

    def tip_of(row: int) -> str:
        lines = [sums.names[row], f"{count(int(sums.calls[row]))} calls, {count(int(sums.errors[row]))} errors"]
        if sums.timed:
            lines.append(
                f"{nanoseconds(float(total_ns[row]))} in all, {percent(float(share[row]))} of the time in calls"
            )
        if sums.failures[row]:
            lines.append(sums.failures[row])
        return "\n".join(lines)

    return Content(tuple(columns), len(sums), tip_of, sums.names)


def by_place(sums: PlaceSums) -> Content:
    """One row per file, peer or lock."""
    total_ns = sums.total_s * 1e9
    timed = bool(sums.total_s.any())
    single = TimeMeasure.of(sums.max_ns)
    descriptors = tuple(str(fd) if fd >= 0 else "" for fd in sums.fd.tolist())
    columns = [
        words("File, peer or lock", "What the calls were about.", sums.places, face=Face.NAME, width=0),
        Shown(Column("Descriptor", "Where there was one, and always the same.", Face.FIGURE, 80), sums.fd,
              lambda row: descriptors[row]),
        counts("Calls", "Calls that came back.", sums.calls),
        counts("Errors", "Calls that failed.", sums.errors, width=72),
    ]  # fmt: skip
    if timed:
        columns += [
            times("Total", "Time in all calls on it together.", total_ns, fine=False),
            times("p50", "Half of the calls took no longer.", sums.p50_ns, width=80, measure=single),
            times("p99", "99 of 100 calls took no longer.", sums.p99_ns, width=88, measure=single),
            times("Max", "The longest call.", sums.max_ns, width=96),
        ]
    columns.append(words("Which calls", "Most frequent first.", sums.calls_by, width=200))
    return Content(tuple(columns), len(sums), lambda row: f"{sums.places[row]}\n{sums.calls_by[row]}")


def by_duration(calls: tuple[SlowCall, ...]) -> Content:
    """The slowest calls with their arguments."""
    took = np.array([call.duration_s * 1e9 for call in calls])
    start = np.array([call.start_s for call in calls])
    lines = tuple(f"{call.name}({call.arguments})" for call in calls)
    errors = [call.error if call.returned else _NOT_BACK for call in calls]
    width = 120 if _NOT_BACK in errors else 96
    columns = [
        words("Call", "With its arguments, as strace has written them.", lines, face=Face.NAME, width=0),
        times("Took", "From the call to its return.", took, width=96),
    ]
    if np.isfinite(start).any():
        columns.append(
            Shown(Column("At, s", "Since the first call of the log.", Face.FIGURE, 96), np.nan_to_num(start, nan=-1.0),
                  lambda row: f"{start[row]:.6f}" if np.isfinite(start[row]) else "")
        )  # fmt: skip
    columns.append(words("Error", "What it failed with.", errors, face=Face.WORDS, width=width))
    if any(call.thread for call in calls):
        columns.append(words("Thread", "Who called.", [call.thread for call in calls], width=136))
    columns.append(words("On", "The file, peer or lock.", [call.place for call in calls], width=176))

    def tip_of(row: int) -> str:
        text = lines[row] if len(lines[row]) <= _MOST_TIP else f"{lines[row][:_MOST_TIP]}…"
        return "\n".join(part for part in (text, calls[row].place, calls[row].thread) if part)

    return Content(tuple(columns), len(calls), tip_of, tuple(call.name for call in calls))


def by_overlap(waits: tuple[BlockedTogether, ...]) -> Content:
    """Where threads were blocked together."""
    together = np.array([wait.together_s * 1e9 for wait in waits])
    longest = np.array([wait.longest_s * 1e9 for wait in waits])
    names = tuple(", ".join(wait.threads) for wait in waits)
    columns = (
        words("File, peer or lock", "What they waited for.", [w.place for w in waits], face=Face.NAME, width=0),
        times("Together", "How long at least two threads waited there at once.", together, fine=False, width=104),
        counts("Times", "How often that began.", np.array([wait.times for wait in waits])),
        counts("Threads", "At most at once.", np.array([wait.most for wait in waits]), width=72),
        times("Longest", "The longest of these times.", longest, width=104),
        Shown(
            Column("At, s", "When the longest began, since the first call of the log.", Face.FIGURE, 96),
            np.array([wait.longest_at_s for wait in waits]),
            lambda row: f"{waits[row].longest_at_s:.6f}",
        ),
        words("Calls", "In which they waited.", [wait.calls for wait in waits], width=112),
        words("Which threads", "All that waited there.", names, width=176),
    )

    def tip_of(row: int) -> str:
        wait = waits[row]
        lines = [wait.place, names[row], f"{seconds(wait.waiting_s)} of waiting in all"]
        if wait.unfinished:
            lines.append(f"{count(wait.unfinished)} calls never came back: counted to the end of the log")
        return "\n".join(lines)

    return Content(columns, len(waits), tip_of)
