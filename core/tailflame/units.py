"""Units, and how numbers are written: never more digits than are known, the unit once."""

from __future__ import annotations

import math
from enum import StrEnum

MINUS = "−"
_FACTOR = 10.0
_BEYOND = 1000.0


class Unit(StrEnum):
    """What one unit of a weight column means."""

    SAMPLES = "samples"
    NANOSECONDS = "ns"
    BYTES = "bytes"
    EVENTS = "events"  # a counter's own events: cycles, instructions, cache misses
    ALLOCATIONS = "allocations"  # calls of malloc and its kin
    BLOCKS = "blocks"  # pieces of memory in use
    CALLS = "calls"  # of a system call, or of a probe

    @property
    def is_count(self) -> bool:
        """Whether it says how often, and not how much."""
        return self not in (Unit.NANOSECONDS, Unit.BYTES, Unit.EVENTS)


def count(value: float) -> str:
    """A count with thousands separators: 48,210. Fractions keep one digit."""
    if math.isfinite(value) and abs(value - round(value)) < 0.05:  # sums of shares are whole but for rounding
        return f"{round(value):,}"
    return f"{value:,.1f}"


def percent(share: float, *, digits: int = 1, signed: bool = False) -> str:
    """`share` is a fraction: 0.123 -> "12.3%". With `signed`, a real minus sign and a plus."""
    text = f"{abs(share) * 100:.{digits}f}%"
    if not signed:
        return f"{MINUS}{text}" if share < 0 and float(text[:-1]) else text
    if float(text[:-1]) == 0:
        return f"±{text}"
    return f"{'+' if share > 0 else MINUS}{text}"


def signed_percent(change: float, *, digits: int = 0) -> str:
    """A relative change as percent with a real sign and without the percent sign: "+38", "−12", "±0".

    From a tenfold on it is a factor, "×17", and beyond a thousandfold only that: nobody reads +441,725.
    """
    if change >= _FACTOR - 1:
        return f"×{1 + change:,.0f}" if change < _BEYOND else f">×{_BEYOND:,.0f}"
    text = f"{abs(change) * 100:,.{digits}f}"
    if not float(text.replace(",", "")):
        return f"±{text}"
    return f"{'+' if change > 0 else MINUS}{text}"


def change_digits(low: float, high: float) -> int:
    """How many decimals a change deserves whose 95 % interval is (low, high): none unless it is tighter than ±2 %."""
    return 1 if high - low < 0.04 else 0


def interval_text(low: float, high: float) -> str:
    """A 95 % interval: "+29 to +52". An end beyond a tenfold says only that nothing is known."""
    digits = change_digits(low, high)
    upper = signed_percent(high, digits=digits) if high < _FACTOR - 1 else f">×{_FACTOR:.0f}"
    return f"{signed_percent(low, digits=digits)} to {upper}"


def with_percent(text: str) -> str:
    """What `signed_percent` has written, with its unit: a factor has none."""
    return text if text.startswith(("×", ">")) else f"{text}%"


def size(n: float) -> str:
    """Bytes in decimal units, as heaptrack and disks count them: 3.1 MB."""
    value = float(abs(n))
    sign = "−" if n < 0 else ""
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if value < 999.5 or unit == "TB":
            digits = 0 if unit == "B" or value >= 99.95 else 1
            return f"{sign}{value:.{digits}f} {unit}"
        value /= 1000
    raise AssertionError("unreachable")


def nanoseconds(ns: float) -> str:
    """A latency at three significant digits: 184 µs, 1.25 ms."""
    value = float(abs(ns))
    sign = "−" if ns < 0 else ""
    for unit in ("ns", "µs", "ms", "s"):
        if value < 999.5 or unit == "s":
            digits = 0 if value >= 99.95 or unit == "ns" else 1 if value >= 9.995 else 2
            return f"{sign}{value:.{digits}f} {unit}"
        value /= 1000
    raise AssertionError("unreachable")


def seconds(s: float) -> str:
    """A duration as a person says it: 41.3 ms, 0.8 s, 12.3 s, 3 min 05 s, 2 h 04 min."""
    if 0 < abs(s) < 0.1:
        return nanoseconds(s * 1e9)
    if s < 60 or not math.isfinite(s):
        return f"{s:.1f} s"
    whole = round(s)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def weight(value: float, unit: Unit) -> str:
    """A weight in its unit, with the unit."""
    if unit is Unit.NANOSECONDS:
        return nanoseconds(value)
    if unit is Unit.BYTES:
        return size(value)
    return f"{count(round(value) if abs(value) >= 100 else value)} {unit.value}"


def reading(value: float, unit: str) -> str:
    """A counter's reading in its unit ("%", "/s", "B", "B/s", "ns", "ms", "" for a number): 1.84, 3.2%, 12/s."""
    match unit:
        case "%":
            return f"{value:.{2 if abs(value) < 1 else 1}f}%".replace("-", "−")
        case "B":
            return size(value)
        case "B/s":
            return f"{size(value)}/s"
        case "ns":
            return nanoseconds(value)
        case "ms":
            return nanoseconds(value * 1e6)
    if float(value).is_integer() or abs(value) >= 1000:
        text = f"{round(value):,}"
    else:
        text = f"{value:,.{2 if abs(value) < 10 else 1}f}"
    return f"{text}{unit}" if unit.startswith("/") else f"{text} {unit}".rstrip()
