"""How a column writes its numbers: one scale for all rows, the unit in the header, no digit that is not known."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import inf

from tailflame.analyse.counted import as_counted, counts_word, has_counts
from tailflame.model.stacks import StackProfile, Weight
from tailflame.units import MINUS, Unit, count

_FEW = 100
"""With fewer samples a tenth of a percent is less than one sample can tell."""


def share_text(share: float, samples: float) -> str:
    """A fraction as percent without the sign, which stands in the header: "12.3"; "<0.1" for a trace, "" for none."""
    if not share:
        return ""
    # No samples: each was counted, and nothing is rough.
    digits = 1 if samples >= _FEW or not samples else 0
    smallest = 10.0**-digits
    percent = share * 100
    if abs(percent) < smallest / 2:
        return f"<{smallest:.{digits}f}"
    return f"{percent:.{digits}f}".replace("-", MINUS)


@dataclass(frozen=True, slots=True)
class Measure:
    """The unit of a weight column: `per_unit` weights make one unit of the header's `label`."""

    label: str
    per_unit: float
    digits: int
    counted: str = Unit.SAMPLES.value
    """What the counts beside the weight are called; "" where they tell nothing more."""
    exact: bool = False
    """Each was counted: a share is as fine as it is written."""

    def share(self, share: float, samples: float) -> str:
        """A fraction as percent, as fine as so many samples allow."""
        return share_text(share, inf if self.exact else samples)

    def text(self, weight: float) -> str:
        """A weight without its unit; "" for none."""
        if not weight:
            return ""
        value = weight / self.per_unit
        if self.digits == 0:
            return count(value)
        text = f"{value:,.{self.digits}f}"
        return text if float(text.replace(",", "")) else f"<{10.0**-self.digits:.{self.digits}f}"

    def with_unit(self, weight: float) -> str:
        """A weight with its unit, for a place that has no header."""
        return f"{self.text(weight) or '0'} {self.label}"


_STEPS = {
    Unit.NANOSECONDS: (("s", 1e9), ("ms", 1e6), ("µs", 1e3), ("ns", 1.0)),
    Unit.BYTES: (("GB", 1e9), ("MB", 1e6), ("kB", 1e3), ("B", 1.0)),
    Unit.EVENTS: (("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3), ("", 1.0)),
}


def measure(unit: Unit, *, largest: float, noun: str = "") -> Measure:
    """The measure of a column whose largest entry is `largest`; `noun` names counted events: "cycles"."""
    if unit.is_count:
        return Measure(unit.value, 1.0, 0)
    label, step = next((s for s in _STEPS[unit] if largest >= s[1]), _STEPS[unit][-1])
    if unit is Unit.EVENTS:
        label = f"{label} {noun or unit.value}".strip()
    scaled = largest / step
    digits = 0 if step == 1.0 else 2 if scaled < 10 else 1
    return Measure(label, step, digits)


def measure_of(profile: StackProfile, *, event: int, weight: Weight) -> Measure:
    """The measure in which a view writes weights of `profile`."""
    about = as_counted(profile, event)
    unit = profile.unit(event=event, weight=weight)
    made = measure(unit, largest=profile.total(event=event, weight=weight), noun=about.name)
    if unit is Unit.SAMPLES and about.exact:
        made = replace(made, label=counts_word(about))
    tells_more = not unit.is_count and has_counts(profile, event)
    return replace(made, counted=counts_word(about) if tells_more else "", exact=about.exact)
