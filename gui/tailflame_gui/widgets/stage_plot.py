"""Where the time of composite events goes: the stages' shares stacked over time, and what made the tail."""

from __future__ import annotations

import numpy as np
from PySide6.QtCore import QRectF, Qt
from PySide6.QtGui import QColor, QPainter, QPaintEvent
from PySide6.QtWidgets import QSizePolicy, QWidget

from tailflame.analyse.slots import gaps_after, overlapping
from tailflame.analyse.stage_timeline import StageTimeline, TailBreakdown
from tailflame.units import percent
from tailflame_gui import theme
from tailflame_gui.widgets.latency_unit import LatencyUnit, with_unit
from tailflame_gui.widgets.plot_ink import Array, Scale, elided, polygon, small_font
from tailflame_gui.widgets.time_axis import TimeAxis
from tailflame_gui.widgets.time_plot import Reading, TimePlot

_MOST_LINES = 6


def stage_color(at: int) -> QColor:
    """Neighbours are far apart in hue."""
    return theme.current().module_hues[(at * 5 + 7) % 12]


class StagePlot(TimePlot):
    def __init__(self, axis: TimeAxis) -> None:
        super().__init__(axis, "Stages", least_height=72)
        self.timeline: StageTimeline | None = None
        self.unit = "share of the time"

    def show_series(self, timeline: StageTimeline | None) -> None:
        self.timeline = timeline
        self.note = timeline.series if timeline else ""
        self.empty_text = "" if timeline else "No event with several timed fields yet."
        self.draw_anew()

    def draw(self, painter: QPainter, rect: QRectF) -> None:
        assert self.timeline is not None
        columns = self.timeline.columns()
        rows = overlapping(columns.start_s, columns.end_s, self.axis.low_s, self.axis.high_s)
        start, end, sums = columns.start_s[rows], columns.end_s[rows], columns.sums_ns[rows]
        scale = Scale(0.0, 1.0, rect.bottom(), rect.top())
        painter.save()
        painter.setClipRect(rect)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, False)
        painter.setPen(Qt.PenStyle.NoPen)
        for first, last in _runs(start, end, sums):
            x, shares = self._thin(start[first:last], end[first:last], sums[first:last])
            tops = np.cumsum(shares, axis=1)
            below = np.zeros(len(x))
            for at in range(tops.shape[1]):
                painter.setBrush(stage_color(at))
                outline = np.concatenate((scale.y(tops[:, at]), scale.y(below)[::-1]))
                painter.drawPolygon(polygon(np.concatenate((x, x[::-1])), outline))
                below = tops[:, at]
        painter.restore()
        self.draw_scale(painter, rect, scale, lambda v: percent(v, digits=0))

    def _thin(self, start: Array, end: Array, sums: Array) -> tuple[Array, Array]:
        """Sums of each pixel, as shares, from the first start to the last end."""
        edge = self.across(start)
        begins = np.flatnonzero(np.diff(np.floor(edge), prepend=-np.inf))
        added = np.add.reduceat(sums, begins, axis=0)
        whole = added.sum(axis=1, keepdims=True)
        shares = added / np.where(whole > 0, whole, 1.0)
        x = np.append(edge[begins], self.across(end[-1:]))
        return x, np.vstack((shares, shares[-1:]))

    def readings(self) -> list[Reading]:
        timeline = self.timeline
        if timeline is None or not len(timeline):
            return []
        end = self.axis.end_s
        width = max(self.axis.pixel_s * 2, 1.0)
        shares = timeline.tail(end - width, end + 1e-6 if self.axis.hover_s is None else end + width / 2).stages
        room = max(int(self.height() // 14), 1)
        made = [Reading(percent(s.share, digits=0), s.stage, stage_color(at)) for at, s in enumerate(shares)]
        return made[: min(room, _MOST_LINES)][::-1]

    def tip(self, time_s: float, _y: float) -> str:
        if self.timeline is None:
            return ""
        width = max(self.axis.pixel_s * 2, 1.0)
        return self.timeline.tail(time_s - width / 2, time_s + width / 2).sentence


def _runs(start: Array, end: Array, sums: Array) -> list[tuple[int, int]]:
    """(first, after last) of rows without a gap and with events."""
    if not len(start):
        return []
    cut = gaps_after(start, end)
    cut[:-1] |= (sums[1:].sum(axis=1) > 0) != (sums[:-1].sum(axis=1) > 0)
    ends = [*(np.flatnonzero(cut[:-1]) + 1).tolist(), len(start)]
    begins = [0, *ends[:-1]]
    return [(a, b) for a, b in zip(begins, ends, strict=True) if sums[a].sum() > 0]


class TailBars(QWidget):
    """Each stage's share of all events and of the slowest, side by side, under the sentence that sums them up."""

    def __init__(self) -> None:
        super().__init__()
        self.tail: TailBreakdown | None = None
        self.when = ""
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setMinimumHeight(96)
        theme.signals.changed.connect(self.update)

    def show_tail(self, tail: TailBreakdown | None, when: str) -> None:
        if tail != self.tail or when != self.when:
            self.tail, self.when = tail, when
            self.setAccessibleName(tail.sentence if tail else "")
            self.update()

    def paintEvent(self, _event: QPaintEvent) -> None:
        tokens = theme.current()
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, False)
        painter.fillRect(self.rect(), tokens.surface)
        width = float(self.width())
        left, right = Qt.AlignmentFlag.AlignLeft, Qt.AlignmentFlag.AlignRight
        if self.tail is None:
            painter.end()
            return
        painter.setFont(theme.interface_font(theme.BASE - 1))
        painter.setPen(tokens.text)
        wrap = int(left) | int(Qt.TextFlag.TextWordWrap)
        said = painter.boundingRect(QRectF(16, 0, width - 32, 60), wrap, self.tail.sentence)
        painter.drawText(QRectF(16, 0, width - 32, 60), wrap, self.tail.sentence)
        top = said.bottom() + 6
        names, figures = min(128.0, width * 0.24), 64.0
        cell = max((width - 32 - names - 2 * figures) / 2 - 8, 40.0)
        cells = [16 + names + 8 + side * (cell + 8) for side in (0, 1)]
        ends = [width - 16 - (1 - side) * figures for side in (0, 1)]
        middle = Qt.AlignmentFlag.AlignVCenter
        painter.setFont(small_font())
        painter.setPen(tokens.second)
        for side, (share_head, mean_head) in enumerate((("all", "all, mean"), ("slowest", "slowest"))):
            elided(painter, QRectF(cells[side] + 36, top, cell - 36, 14), share_head, left)
            painter.drawText(QRectF(ends[side] - figures, top, figures, 14), int(right), mean_head)
        top += 16
        for at, stage in enumerate(self.tail.stages):
            if top + 16 > self.height():
                break
            painter.setFont(small_font())
            painter.setPen(tokens.text)
            elided(painter, QRectF(16, top, names, 16), stage.stage, left | middle)
            painter.setFont(theme.mono_font(theme.SMALL))
            for side, share in enumerate((stage.share, stage.tail_share)):
                words = QRectF(cells[side] - 2, top, 32, 16)
                painter.drawText(words, int(right | middle), percent(share, digits=0))
                painter.fillRect(QRectF(cells[side] + 36, top + 3, (cell - 36) * share, 10), stage_color(at))
            for side, mean in enumerate((stage.mean_ns, stage.tail_mean_ns)):
                box = QRectF(ends[side] - figures, top, figures, 16)
                painter.drawText(box, int(right | middle), with_unit(mean, LatencyUnit.AUTO))
            top += 18
        painter.end()
