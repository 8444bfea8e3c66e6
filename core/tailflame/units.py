"""Units, and how numbers are written: never more digits than are known, the unit once."""

from __future__ import annotations

from enum import StrEnum


class Unit(StrEnum):
    """What one unit of a weight column means."""

    SAMPLES = "samples"
    NANOSECONDS = "ns"
    BYTES = "bytes"
    EVENTS = "events"  # a counter's own events: cycles, instructions, cache misses


def count(value: float) -> str:
    """A count with thousands separators: 48,210. Fractions keep one digit."""
    if float(value).is_integer():
        return f"{int(value):,}"
    return f"{value:,.1f}"


def percent(share: float, *, digits: int = 1, signed: bool = False) -> str:
    """`share` is a fraction: 0.123 -> "12.3%". With `signed`, a real minus sign and a plus."""
    text = f"{abs(share) * 100:.{digits}f}%"
    if not signed:
        return f"-{text}".replace("-", "−") if share < 0 and float(text[:-1]) else text
    if float(text[:-1]) == 0:
        return f"±{text}"
    return f"{'+' if share > 0 else '−'}{text}"


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
    """A duration as a person says it: 0.8 s, 12.3 s, 3 min 05 s, 2 h 04 min."""
    if s < 60:
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
