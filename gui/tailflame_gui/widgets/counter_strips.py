"""Counters as strips: their line, their bands, and at the right end the value or the word for why there is none."""

from __future__ import annotations

import numpy as np
from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QPainter

from tailflame.analyse.counter_bands import Level, bands_of, judge
from tailflame.analyse.series_ring import CounterTimeline
from tailflame.analyse.slots import overlapping
from tailflame.model.live import Status
from tailflame.units import percent, reading, size
from tailflame_gui import theme
from tailflame_gui.widgets.latency_unit import trimmed
from tailflame_gui.widgets.live_plot import nice_top
from tailflame_gui.widgets.plot_ink import (
    Array,
    Scale,
    elided,
    hair,
    polyline,
    small_font,
    with_breaks,
)
from tailflame_gui.widgets.time_axis import TimeAxis
from tailflame_gui.widgets.time_plot import Reading, TimePlot

HEIGHT = 44
_HIGHEST = 112
_WASH = 0.09


_MARKS = {Level.GOOD: "✓ good", Level.OK: "– fair", Level.BAD: "✕ bad"}
"""A sign and a word, never the colour alone."""


def write_value(value: float, unit: str) -> str:
    """A reading with its unit, short enough for the end of a strip."""
    if unit in ("", "/s") and abs(value) >= 10_000:
        return f"{short(value)}{unit}"
    if unit == "B/s":
        return f"{size(value)}/s"
    return reading(value, unit)


def short(value: float) -> str:
    """41.2k, 3.1M: three figures."""
    for factor, letter in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= factor * 0.9995:
            return f"{value / factor:.3g}{letter}"
    return f"{value:.3g}"


class CounterStrip(TimePlot):
    """One series. Its targets are zones washed behind the line, and a word beside the value."""

    def __init__(self, axis: TimeAxis, timeline: CounterTimeline) -> None:
        super().__init__(axis, timeline.series, least_height=HEIGHT)
        self.setMaximumHeight(_HIGHEST)
        self.setToolTip(timeline.series)
        self.timeline, self.bands = timeline, bands_of(timeline.series)
        self.unit = "" if timeline.unit in {"", "%", "B", "/s"} else timeline.unit
        self._beside = "" if self.unit else timeline.unit
        """The unit beside figures: once is enough where it stands under the title."""

    def draw(self, painter: QPainter, rect: QRectF) -> None:
        columns = self.timeline.columns()
        rows = overlapping(columns.start_s, columns.end_s, self.axis.low_s, self.axis.high_s)
        start, end, low, high = (part[rows] for part in (columns.start_s, columns.end_s, columns.low, columns.high))
        known = np.isfinite(high)
        most = float(high[known].max()) if known.any() else 0.0
        least = float(low[known].min()) if known.any() else 0.0
        if not known.any():
            latest = self.timeline.latest
            painter.setFont(small_font())
            painter.setPen(theme.current().second)
            why = "Nothing was read in this time." if latest is None or len(high) == 0 else _WHY[latest.status]
            elided(painter, rect.adjusted(8, 0, 0, 0), f"{why[0].upper()}{why[1:]}", Qt.AlignmentFlag.AlignVCenter)
            return
        bounds = [self.bands.good, self.bands.bad] if self.bands else []
        top = nice_top(max([most, *(b for b in bounds if b <= 4 * most or not most)]), 1e-9 if most else 1.0)
        scale = Scale(min(least, 0.0) if least >= 0 else -nice_top(-least, 1e-9), top, rect.bottom(), rect.top())
        self._draw_bands(painter, rect, scale)
        above_zero = Scale(0.0, top, scale.at(0.0), rect.top())
        self.draw_scale(painter, rect, above_zero, lambda v: _tick(v, self._beside))
        painter.save()
        painter.setClipRect(rect.adjusted(0, -1, 1, 1))
        x = self.across((start + end) / 2)
        mean = columns.mean[rows]
        x, (low, high, mean) = with_breaks(x, start, end, (low, high, mean))
        at, low, high, mean = _by_pixel(x, low, high, mean)
        line = QColor(theme.current().accent)
        if np.any(high > low):
            wash = QColor(line)
            wash.setAlphaF(0.30)
            painter.setPen(hair(wash))
            painter.setRenderHint(QPainter.RenderHint.Antialiasing, False)
            # Up and down in each pixel: a filled outline of so many points takes ten times as long.
            polyline(painter, np.repeat(at, 2), scale.y(np.stack((low, high), axis=1).reshape(-1)))
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(hair(line))
        polyline(painter, at, scale.y(mean))
        painter.restore()

    def _draw_bands(self, painter: QPainter, rect: QRectF, scale: Scale) -> None:
        """What is good and what is bad; between them nothing is said."""
        bands, tokens = self.bands, theme.current()
        if bands is None:
            return
        for edge, color, above in (
            (bands.good, tokens.good, bands.high_is_good),
            (bands.bad, tokens.bad, not bands.high_is_good),
        ):
            y = min(max(scale.at(edge), rect.top()), rect.bottom())
            top, bottom = (rect.top(), y) if above else (y, rect.bottom())
            if bottom - top < 0.5:
                continue
            zone = QRectF(rect.left(), top, rect.width(), bottom - top)
            painter.fillRect(zone, theme.blend(color, tokens.surface, _WASH))
            if rect.top() < y < rect.bottom():
                painter.setPen(hair(theme.blend(color, tokens.surface, 0.35)))
                painter.drawLine(QPointF(rect.left(), round(y) + 0.5), QPointF(rect.right(), round(y) + 0.5))

    def readings(self) -> list[Reading]:
        timeline = self.timeline
        if self.axis.hover_s is None and self.axis.follows:
            latest = timeline.latest
            told = None if latest is None else (latest.value, latest.status, latest.running)
        else:
            told = timeline.at(self.axis.end_s)
        if told is None:
            return [Reading("nothing here", known=False)]
        value, status, running = told
        flags = []
        if value is not None and running < 0.995:
            flags.append(f"multiplexed {percent(running, digits=0)}")
        if timeline.simulated:
            flags.append("simulated")
        if value is None:
            words = {Status.NOT_SUPPORTED: "<not supported>", Status.NOT_COUNTED: "<not counted>"}
            first = Reading(words.get(status, "nothing to measure"), known=False)
        else:
            verdict, ink = self._verdict(value)
            # Without a word the figure still stands in its column.
            first = Reading(write_value(value, self._beside), verdict or " ", None, ink=ink)
        return [first, *([Reading(", ".join(flags), known=False)] if flags else [])]

    def _verdict(self, value: float) -> tuple[str, QColor | None]:
        if self.bands is None:
            return "", None
        tokens, level = theme.current(), self.bands.level(value)
        ink = {Level.GOOD: tokens.good, Level.OK: None, Level.BAD: tokens.bad}[level]
        return _MARKS[level], ink

    def tip(self, time_s: float, _y: float) -> str:
        told = self.timeline.at(time_s)
        if told is None:
            return f"{self.title}: nothing was read at this time."
        value, status, running = told
        if value is None:
            return f"{self.title}: {_WHY[status]}"
        share = ""
        if running < 0.995:
            share = f"\nIt ran for {percent(running, digits=0)} of the time; the value is perf's estimate."
        simulated = "\nCounted by a simulation and not by this machine." if self.timeline.simulated else ""
        judged = judge(self.title, value)
        lead = judged.words if judged else f"{self.title}: {write_value(value, self.timeline.unit)}"
        return lead + share + simulated


_WHY = {
    Status.NOT_SUPPORTED: "this machine has no such counter.",
    Status.NOT_COUNTED: "the counter did not run at this time.",
    Status.EMPTY: "there was nothing to measure at this time.",
    Status.COUNTED: "there is no value in this time.",
}


def _tick(value: float, unit: str) -> str:
    return trimmed(write_value(value, unit)) if value else "0%" if unit == "%" else "0"


def _by_pixel(x: Array, low: Array, high: Array, mean: Array) -> tuple[Array, Array, Array, Array]:
    """The least, the greatest and the mean of each pixel, where there are more values than pixels."""
    if len(x) < 3 or len(x) <= x[-1] - x[0]:
        return x, low, high, mean
    begins = np.flatnonzero(np.diff(np.floor(x), prepend=-np.inf))
    known = np.isfinite(mean)
    sums = np.add.reduceat(np.where(known, mean, 0.0), begins)
    counts = np.add.reduceat(known.astype(np.float64), begins)
    means = np.where(counts > 0, sums / np.maximum(counts, 1.0), np.nan)
    return x[begins], np.fmin.reduceat(low, begins), np.fmax.reduceat(high, begins), means
