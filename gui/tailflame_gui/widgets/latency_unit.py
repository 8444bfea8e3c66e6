"""In which unit latencies are written: the user's choice, or whatever reads best."""

from __future__ import annotations

import re
from enum import StrEnum

from tailflame.units import count, nanoseconds


class LatencyUnit(StrEnum):
    """AUTO: each figure in the unit that suits it."""

    AUTO = "auto"
    NS = "ns"
    US = "µs"
    MS = "ms"


_NS = {LatencyUnit.NS: 1.0, LatencyUnit.US: 1e3, LatencyUnit.MS: 1e6}
_DATA_NS = {"ns": 1.0, "us": 1e3, "µs": 1e3, "ms": 1e6, "s": 1e9}
_PARTS = {"thousandths": 1e-3, "millionths": 1e-6, "billionths": 1e-9}
"""Units of histograms of fractions."""
_ZEROS = re.compile(r"[\d,]+\.\d+")


def figure(value: float, choice: LatencyUnit, *, unit: str = "ns") -> str:
    """A value of data in `unit`, without the unit where one was chosen: it stands in the header then."""
    ns = _DATA_NS.get(unit)
    if ns is None:
        return _plain(value * _PARTS.get(unit, 1.0))
    if choice is LatencyUnit.AUTO:
        return nanoseconds(value * ns)
    scaled = value * ns / _NS[choice]
    # Three figures, as many as a histogram of latencies knows.
    digits = 0 if scaled >= 99.95 or choice is LatencyUnit.NS else 1 if scaled >= 9.995 else 2 if scaled >= 0.995 else 4
    return f"{scaled:,.{digits}f}"


def with_unit(value: float, choice: LatencyUnit, *, unit: str = "ns") -> str:
    """The same with its unit, for a sentence."""
    text = figure(value, choice, unit=unit)
    if unit not in _DATA_NS:
        return f"{text} {header(choice, unit=unit)}".rstrip()
    return text if choice is LatencyUnit.AUTO else f"{text} {choice}"


def tick(value: float, choice: LatencyUnit, *, unit: str = "ns") -> str:
    """A round value on an axis: "1 ms" and not "1.00 ms"."""
    return trimmed(figure(value, choice, unit=unit))


def trimmed(text: str) -> str:
    """Without zeros that say nothing: "50 µs" of "50.0 µs", "5%" of "5.0%"."""
    return _ZEROS.sub(lambda match: match[0].rstrip("0").rstrip("."), text, count=1)


def _plain(value: float) -> str:
    for factor, letter in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= 10 * factor:
            return f"{value / factor:.3g}{letter}"
    return count(round(value)) if abs(value) >= 100 else f"{value:.3g}"


def header(choice: LatencyUnit, *, unit: str = "ns") -> str:
    """What stands once over figures; "" where each carries its own."""
    if unit not in _DATA_NS:
        return "" if unit in _PARTS else unit
    return "" if choice is LatencyUnit.AUTO else str(choice)


def in_data(value: float, *, unit: str = "ns", of: str = "ns") -> float:
    """`value` of unit `of` as a value of data in `unit`; as it is where one of them is no time."""
    if unit not in _DATA_NS or of not in _DATA_NS:
        return value
    return value * _DATA_NS[of] / _DATA_NS[unit]
