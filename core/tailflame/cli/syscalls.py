"""System calls on the command line: which, how often, how long, with which errors, on what; and what changed."""

from __future__ import annotations

import math
from typing import Any

from rich.text import Text

from tailflame.analyse.syscall_diff import CallChange, CallDiff, compare_calls
from tailflame.analyse.syscall_sums import CallSums, PlaceSums, length_s, slowest, sum_calls, sum_places
from tailflame.analyse.syscall_times import unlike_times
from tailflame.analyse.syscall_waits import blocked_together
from tailflame.cli.result_kind import Section
from tailflame.cli.terminal import Terminal, add_row, plain_table
from tailflame.model import Recording
from tailflame.units import count, nanoseconds, percent, signed_percent, with_percent

_RIGHT = "right"


class SyscallsKind:
    """What strace has seen."""

    key = "syscalls"

    def held(self, recording: Recording) -> bool:
        return recording.syscalls is not None

    def show(self, recording: Recording, terminal: Terminal, *, number: int) -> Any:
        """JSON: {"single_calls", "length_s", "calls": [{"name", "calls", "errors", "total_s", "p50_ns", "p99_ns",
        "max_ns", "failures"}], "places": [...], "slowest": [...], "blocked_together": [...]}; null where not known.
        """
        trace = recording.syscalls
        assert trace is not None
        sums = sum_calls(trace)
        terminal.line()
        terminal.table(_call_table(sums, number))
        if not sums.singles:
            terminal.note("strace -c keeps no single calls: there are no percentiles, and nothing over time.")
            return {"single_calls": False, "length_s": None, "calls": _call_documents(sums)}
        places, slow = sum_places(trace), slowest(trace, number=max(number, 0))
        waits = blocked_together(trace, number=max(number, 0))
        terminal.line()
        terminal.table(_place_table(places, number))
        terminal.line()
        # What was not timed stands in the order of the log: the first of each error, and what had not come back.
        terminal.line("The slowest calls" if sums.timed else "Some of the calls", style="bold")
        table = plain_table(("at", _RIGHT), ("took", _RIGHT), "thread", "error", "call")
        for call in slow:
            add_row(
                table,
                [
                    "" if math.isnan(call.start_s) else f"{call.start_s:.6f} s",
                    _time(call.duration_s * 1e9),
                    call.thread,
                    call.error if call.returned else "had not returned",
                    f"{call.name}({call.arguments})",
                ],
            )
        terminal.table(table)
        if waits:
            terminal.line()
            terminal.line("Threads blocked together", style="bold")
            table = plain_table(("together", _RIGHT), ("times", _RIGHT), ("threads", _RIGHT), "calls", "on")
            for wait in waits:
                cells = [seconds_of(wait.together_s), count(wait.times), count(wait.most), wait.calls, wait.place]
                add_row(table, cells)
            terminal.table(table)
        return {
            "single_calls": True,
            "length_s": length_s(trace),
            "calls": _call_documents(sums),
            "places": _place_documents(places),
            "slowest": [
                {
                    "name": call.name,
                    "thread": call.thread,
                    "at_s": _known(call.start_s),
                    "took_s": _known(call.duration_s),
                    "error": call.error,
                    "returned": call.returned,
                    "place": call.place,
                    "arguments": call.arguments,
                }
                for call in slow
            ],
            "blocked_together": [
                {
                    "place": wait.place,
                    "calls": wait.calls,
                    "threads": list(wait.threads),
                    "together_s": wait.together_s,
                    "times": wait.times,
                    "most": wait.most,
                    "longest_s": wait.longest_s,
                    "longest_at_s": wait.longest_at_s,
                    "unfinished": wait.unfinished,
                }
                for wait in waits
            ],
        }

    def compare(
        self, before: Recording, after: Recording, terminal: Terminal, *, number: int, beyond: float
    ) -> Section:
        """JSON: a list of {"name", "status", "before", "after"}, each side as in `show`. One run each proves nothing,
        so that nothing is called worse.
        """
        assert before.syscalls is not None and after.syscalls is not None
        diff = compare_calls(before.syscalls, after.syscalls, unlike=unlike_times(before, after))
        terminal.table(_change_table(diff, number))
        if diff.unlike:
            terminal.note(diff.unlike)
        if diff.differ_in_length:
            terminal.note(f"The runs lasted {diff.lengths}: compare calls a second.")
        if not diff.singles:
            terminal.note("strace -c keeps no single calls: there are no percentiles.")
        terminal.note(diff.note)
        return Section([_change_document(change, diff) for change in diff.changes])


SYSCALLS_KIND = SyscallsKind()


def seconds_of(value: float) -> str:
    """Seconds at three digits: 412 ms, 1.25 s."""
    return nanoseconds(value * 1e9)


def _time(ns: float) -> str:
    return "" if math.isnan(ns) else nanoseconds(ns)


def _call_table(sums: CallSums, number: int) -> Any:
    table = plain_table(
        *((name, _RIGHT) for name in ("calls", "errors", "total", "share", "p50", "p99", "max")), "call", "failures"
    )
    whole = sums.whole_s or 1.0
    for at in range(min(len(sums), max(number, 0))):
        total = float(sums.total_s[at])
        add_row(
            table,
            [
                count(int(sums.calls[at])),
                count(int(sums.errors[at])) if sums.errors[at] else "",
                seconds_of(total) if sums.timed else "",
                percent(total / whole) if sums.timed else "",
                *(_time(float(column[at])) for column in (sums.p50_ns, sums.p99_ns, sums.max_ns)),
                sums.names[at],
                Text(sums.failures[at], style="dim"),
            ],
        )
    return table


def _place_table(places: PlaceSums, number: int) -> Any:
    table = plain_table(*((name, _RIGHT) for name in ("calls", "errors", "total", "p99", "max")), "on", "by")
    timed = bool(places.total_s.any())
    for at in range(min(len(places), max(number, 0))):
        add_row(
            table,
            [
                count(int(places.calls[at])),
                count(int(places.errors[at])) if places.errors[at] else "",
                seconds_of(float(places.total_s[at])) if timed else "",
                _time(float(places.p99_ns[at])),
                _time(float(places.max_ns[at])),
                places.places[at],
                Text(places.calls_by[at], style="dim"),
            ],
        )
    return table


def _call_documents(sums: CallSums) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "calls": int(sums.calls[at]),
            "errors": int(sums.errors[at]),
            "total_s": float(sums.total_s[at]) if sums.timed else None,
            "p50_ns": _known(float(sums.p50_ns[at])),
            "p99_ns": _known(float(sums.p99_ns[at])),
            "max_ns": _known(float(sums.max_ns[at])),
            "failures": sums.failures[at],
        }
        for at, name in enumerate(sums.names)
    ]


def _place_documents(places: PlaceSums) -> list[dict[str, Any]]:
    return [
        {
            "place": name,
            "fd": int(places.fd[at]) if places.fd[at] >= 0 else None,
            "calls": int(places.calls[at]),
            "errors": int(places.errors[at]),
            "total_s": float(places.total_s[at]),
            "p50_ns": _known(float(places.p50_ns[at])),
            "p99_ns": _known(float(places.p99_ns[at])),
            "max_ns": _known(float(places.max_ns[at])),
            "by": places.calls_by[at],
        }
        for at, name in enumerate(places.places)
    ]


def _change_table(diff: CallDiff, number: int) -> Any:
    rates = diff.differ_in_length
    columns = ["calls", "→", "errors", "→", *(() if diff.unlike else ("total", "→", "change"))]
    if rates:
        columns += ["calls/s", "→", "change"]
    if diff.singles:
        columns += ["p50", "→", "p99", "→", "max", "→"]
    table = plain_table(*((name, _RIGHT) for name in columns), "call", "")
    for change in diff.changes[: max(number, 0)]:
        one, two = change.before, change.after
        cells: list[str | Text] = [count(one.calls), count(two.calls), count(one.errors), count(two.errors)]
        if not diff.unlike:
            cells += [seconds_of(one.total_s), seconds_of(two.total_s), change_text(one.total_s, two.total_s)]
        if rates:
            assert diff.before_s is not None and diff.after_s is not None
            before, after = one.calls / diff.before_s, two.calls / diff.after_s
            cells += [count(before), count(after), change_text(before, after)]
        if diff.singles:
            for name in ("p50_ns", "p99_ns", "max_ns"):
                cells += [_time(getattr(one, name)), _time(getattr(two, name))]
        add_row(table, [*cells, change.name, change.status])
    return table


def change_text(before: float, after: float) -> str:
    """The relative change with its sign; "" where there was nothing."""
    return with_percent(signed_percent(after / before - 1)) if before > 0 else ""


def _change_document(change: CallChange, diff: CallDiff) -> dict[str, Any]:
    def side(which: str, length: float | None) -> dict[str, Any]:
        figures = getattr(change, which)
        return {
            "calls": figures.calls,
            "errors": figures.errors,
            "total_s": figures.total_s,
            "calls_per_s": figures.calls / length if length else None,
            "p50_ns": _known(figures.p50_ns),
            "p99_ns": _known(figures.p99_ns),
            "max_ns": _known(figures.max_ns),
        }

    return {
        "name": change.name,
        "status": change.status,
        "before": side("before", diff.before_s),
        "after": side("after", diff.after_s),
    }


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None
