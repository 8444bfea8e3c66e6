"""Percentiles over time: a line each, or the chosen percentile of several series.

What comes from too few values is dotted: it is the largest of a handful, and no percentile.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QPainter

from tailflame.analyse.live_data import Moment
from tailflame.analyse.slots import overlapping
from tailflame.analyse.timeline import NEEDED, LatencyColumns, LatencyTimeline, Span
from tailflame.model.histogram import PERCENTILES
from tailflame.units import count, percent
from tailflame_gui import theme
from tailflame_gui.widgets.latency_unit import figure, header, in_data, tick, with_unit
from tailflame_gui.widgets.plot_choices import MOST_OVERLAID, Choices, p_text, series_color
from tailflame_gui.widgets.plot_ink import (
    Array,
    Scale,
    dots,
    elided,
    hair,
    linear_scale,
    log_scale,
    polyline,
    small_font,
    tagged,
    thinned,
    with_breaks,
)
from tailflame_gui.widgets.time_axis import TimeAxis
from tailflame_gui.widgets.time_plot import Reading, TimePlot

_DOT_APART = 4.0
_WORD_LEVELS = 3
_CATCH_UP = 400
"""Slots worked out in one frame when the window is changed."""


class PercentilePlot(TimePlot):
    """`show_series` gives what is drawn; the first is the one that the readings are of."""

    def __init__(self, axis: TimeAxis) -> None:
        super().__init__(axis, "Percentiles", least_height=112)
        self.series: tuple[LatencyTimeline, ...] = ()
        self.choices = Choices()
        self.hidden: set[float] = set()
        """Percentiles that are not drawn."""
        self._word_ends: list[float] = []
        """Where the words of moments end, line by line from below."""
        self.behind = False
        """Whether some of the chosen window is still to be worked out: ask again."""
        self.reading_clicked.connect(self._toggle)
        self.setToolTip("Click a percentile to hide its line.")

    def show_series(self, series: Sequence[LatencyTimeline], choices: Choices) -> None:
        self.series, self.choices = tuple(series[:MOST_OVERLAID]), choices
        words = {
            Span.INTERVAL: "each interval",
            Span.ROLLING: f"last {self.series[0].rolling_s:g} s" if self.series else "",
            Span.CUMULATIVE: "since the start",
        }
        self.unit = words[choices.span]
        self.note = header(choices.unit, unit=self.series[0].unit if self.series else "ns")
        self.empty_text = "" if self.series else "No latency is measured yet: add a source that times something."
        self.draw_anew()

    @property
    def many(self) -> bool:
        return len(self.series) > 1

    def draw(self, painter: QPainter, rect: QRectF) -> None:
        self._word_ends = []
        lines = [(timeline, self._in_sight(timeline)) for timeline in self.series]
        scale = self._scale([columns for _timeline, columns in lines], rect)
        if scale is None:
            painter.setFont(small_font())
            painter.setPen(theme.current().second)
            flags = Qt.AlignmentFlag.AlignCenter
            elided(painter, rect, "No call in this time.", flags)
            return
        unit = self.series[0].unit
        self.draw_scale(painter, rect, scale, lambda v: tick(v, self.choices.unit, unit=unit))
        painter.save()
        painter.setClipRect(rect.adjusted(0, -2, 1, 2))
        few = False
        for at, (_timeline, columns) in enumerate(lines):
            for which, color in self._lines_of(at):
                few |= self._draw_line(painter, columns, which, color, scale)
        painter.restore()
        if few:
            where = "an interval" if self.choices.span is Span.INTERVAL else "the window"
            words = f"dotted: too few values in {where} (p99.99 needs {count(NEEDED[-1])})"
            tagged(painter, words, QPointF(rect.left() + 4, rect.top() + 15), ink=theme.current().second)
        self._draw_slo(painter, rect, scale)

    def readings(self) -> list[Reading]:
        if not self.series:
            return []
        if self.many:
            focus = PERCENTILES.index(self.choices.focus)
            made = []
            for at, timeline in enumerate(self.series):
                value = self._values(timeline)[0][focus]
                text = "—" if value is None else figure(value, self.choices.unit, unit=timeline.unit)
                made.append(Reading(text, timeline.series.rsplit("::", 1)[-1], series_color(at), value is not None))
            return made
        timeline, colors = self.series[0], theme.current().percentiles
        values, calls = self._values(timeline)
        made = []
        for at in reversed(range(len(PERCENTILES))):
            value = values[at]
            text = "—" if value is None else figure(value, self.choices.unit, unit=timeline.unit)
            hidden = PERCENTILES[at] in self.hidden
            words = p_text(PERCENTILES[at]) + (" ?" if value is not None and calls < NEEDED[at] else "")
            made.append(Reading(text, words, colors[at], value is not None, hidden=hidden))
        return made

    def tip(self, time_s: float, y: float) -> str:
        if not self.series:
            return ""
        timeline = self.series[0]
        columns = timeline.columns(self.choices.span, most=0)
        row = _row_at(columns, time_s)
        if row is None:
            return "Nothing was measured at this time."
        lines = [f"{timeline.series}: {count(int(columns.count[row]))} calls"]
        for at, percentile in enumerate(PERCENTILES):
            value = columns.values[row, at]
            if np.isfinite(value):
                told = with_unit(float(value), self.choices.unit, unit=timeline.unit)
                doubt = "" if columns.reliable[row, at] else f"  (fewer than {count(NEEDED[at])} values: not reliable)"
                lines.append(f"{p_text(percentile)}  {told}{doubt}")
        return "\n".join(lines)

    def paint_mark_words(self, painter: QPainter, rect: QRectF, mark: Moment, x: float, ink: QColor) -> None:
        text = mark.text if len(mark.text) <= 32 else f"{mark.text[:31]}…"
        right = x > rect.right() - 140
        # One above the other where they would overlap, the later ones higher.
        level = next((at for at, end in enumerate(self._word_ends) if x > end + 4), len(self._word_ends))
        if level >= _WORD_LEVELS:
            return
        base = rect.bottom() - 2 - 14 * level
        box = tagged(painter, text, QPointF(x - 3 if right else x + 3, base), ink=ink, right=right)
        self._word_ends[level : level + 1] = [box.right()]

    # Inside

    def _lines_of(self, at: int) -> list[tuple[int, QColor]]:
        """(percentile's index, colour) of the lines of the `at`-th series."""
        if self.many:
            return [(PERCENTILES.index(self.choices.focus), series_color(at))]
        colors = theme.current().percentiles
        return [(i, colors[i]) for i in range(len(PERCENTILES)) if PERCENTILES[i] not in self.hidden]

    def _in_sight(self, timeline: LatencyTimeline) -> LatencyColumns:
        columns = timeline.columns(self.choices.span, most=_CATCH_UP)
        self.behind = not timeline.catch_up(self.choices.span, most=0)
        rows = overlapping(columns.start_s, columns.end_s, self.axis.low_s, self.axis.high_s)
        return LatencyColumns(
            columns.start_s[rows], columns.end_s[rows], columns.count[rows], columns.values[rows], columns.maximum[rows]
        )

    def _scale(self, lines: list[LatencyColumns], rect: QRectF) -> Scale | None:
        least, most = np.inf, -np.inf
        for at, columns in enumerate(lines):
            shown = [which for which, _color in self._lines_of(at)]
            values = columns.values[:, shown]
            values = values[np.isfinite(values)]
            if len(values):
                least, most = min(least, float(values.min())), max(most, float(values.max()))
        if not np.isfinite(most):
            return None
        limit = self._limit()
        if limit is not None and (self.choices.log or limit <= 3 * most):
            least, most = min(least, limit), max(most, limit)
        return log_scale(max(least, 1.0), most, rect) if self.choices.log else linear_scale(most, rect)

    def _draw_line(self, painter: QPainter, columns: LatencyColumns, which: int, color: QColor, scale: Scale) -> bool:
        """Whether some of it was not reliable."""
        x = self.across((columns.start_s + columns.end_s) / 2)
        values = columns.values[:, which].astype(np.float64)
        sure = np.where(columns.reliable[:, which], values, np.nan)
        doubtful = np.where(columns.reliable[:, which], np.nan, values)
        x, (sure, doubtful) = with_breaks(x, columns.start_s, columns.end_s, (sure, doubtful))
        at, (sure, doubtful) = thinned(x, (sure, doubtful))
        painter.setPen(hair(color))
        polyline(painter, at, scale.y(sure))
        known = np.isfinite(doubtful)
        if not known.any():
            return False
        places, heights = _spaced(at[known], scale.y(doubtful[known]))
        dots(painter, places, heights, size=1.8)
        return True

    def _limit(self) -> float | None:
        slo = self.choices.slo
        if slo is None or not self.series:
            return None
        return in_data(slo.limit_ns, unit=self.series[0].unit)

    def _draw_slo(self, painter: QPainter, rect: QRectF, scale: Scale) -> None:
        limit, slo, tokens = self._limit(), self.choices.slo, theme.current()
        if limit is None or slo is None:
            return
        timeline = self.series[0]
        result = timeline.slo(limit, slo.percentile)
        told = with_unit(limit, self.choices.unit, unit=timeline.unit)
        share = "no interval yet" if result.share is None else f"{_share(result.share)} of intervals"
        words = f"SLO {p_text(slo.percentile)} {told}: {share}"
        broken = result.kept < result.intervals
        y = scale.at(limit)
        above = y < rect.top()
        y = max(y, rect.top())
        if not above:
            painter.setPen(hair(tokens.warn if broken else tokens.good, Qt.PenStyle.DashLine))
            painter.drawLine(QPointF(rect.left(), round(y) + 0.5), QPointF(rect.right(), round(y) + 0.5))
        base = y if y - rect.top() > 16 else y + 16
        ink = tokens.warn if broken else tokens.good
        tagged(painter, f"↑ {words}" if above else words, QPointF(rect.right() - 2, base), ink=ink, right=True)

    def _values(self, timeline: LatencyTimeline) -> tuple[list[float | None], int]:
        """(value of each percentile, calls that they are of) at the time that is read."""
        columns = timeline.columns(self.choices.span, most=0)
        row = _row_at(columns, self.axis.end_s, latest=self.axis.hover_s is None)
        if row is None:
            return [None] * len(PERCENTILES), 0
        told = columns.values[row].tolist()
        return [value if value == value else None for value in told], int(columns.count[row])

    def _toggle(self, line: int) -> None:
        if not self.many:
            self.hidden ^= {PERCENTILES[len(PERCENTILES) - 1 - line]}
            self.draw_anew()


def _row_at(columns: LatencyColumns, time_s: float, *, latest: bool = False) -> int | None:
    """The slot that holds a time; with `latest` the last one before it."""
    row = int(np.searchsorted(columns.start_s, time_s + (1e-9 if latest else 0.0), "right")) - 1
    if row < 0:
        return None
    length = columns.end_s[row] - columns.start_s[row]
    if not latest and time_s > columns.end_s[row] + max(length, 1e-9):
        return None
    return row


def _spaced(x: Array, y: Array) -> tuple[Array, Array]:
    """At most one dot every few pixels, the highest of each."""
    group = np.floor(x / _DOT_APART)
    begins = np.flatnonzero(np.diff(group, prepend=-np.inf))
    return x[begins], np.minimum.reduceat(y, begins)


def _share(share: float) -> str:
    """Never 100% where one interval broke it."""
    if share < 1.0 and share > 0.9995:
        return ">99.9%"
    return percent(share)
