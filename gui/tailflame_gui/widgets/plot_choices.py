"""What the user has chosen for all plots of latencies at once."""

from __future__ import annotations

from dataclasses import dataclass

from PySide6.QtGui import QColor

from tailflame.analyse.timeline import Span
from tailflame_gui import theme
from tailflame_gui.theme import oklch
from tailflame_gui.widgets.latency_unit import LatencyUnit


@dataclass(frozen=True, slots=True)
class Slo:
    """`percentile` of an interval is to stay below `limit_ns`."""

    limit_ns: float
    percentile: float = 99.9


@dataclass(frozen=True, slots=True)
class Choices:
    """`focus`: the percentile that stands for a series where several are drawn."""

    span: Span = Span.INTERVAL
    log: bool = True
    unit: LatencyUnit = LatencyUnit.AUTO
    slo: Slo | None = None
    focus: float = 99.9


MOST_OVERLAID = 6


def series_color(at: int) -> QColor:
    """The colour of the `at`-th of several series: equal in lightness, far apart in hue."""
    hue = (255.0, 55.0, 155.0, 330.0, 100.0, 205.0)[at % MOST_OVERLAID]
    return oklch(0.76, 0.12, hue) if theme.current().dark else oklch(0.55, 0.13, hue)


def p_text(percentile: float) -> str:
    """p99.9."""
    return f"p{percentile:g}"
