"""One benchmark over the project's runs: a small line, and what criterion and repeated runs say of the last change."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PySide6.QtCore import QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QPainter, QPaintEvent, QPen, QPolygonF
from PySide6.QtWidgets import QSizePolicy, QWidget

from tailflame.analyse.bench_history import BenchHistory, Point, ours_words
from tailflame.units import count, nanoseconds
from tailflame_gui import plain, theme
from tailflame_gui.widgets.parts import ElidedLabel, button, column, row

_SIZE = QSize(180, 34)
_MARGIN = 5.0
_DOT = 2.5


class SparkLine(QWidget):
    """Times over runs, oldest first, with their intervals; the runs of another state than the last one are pale."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._points: tuple[Point, ...] = ()
        self.setFixedSize(_SIZE)
        self.setAccessibleName("The benchmark over the runs")
        theme.signals.changed.connect(self.update)

    def show_points(self, points: Sequence[Point]) -> None:
        self._points = tuple(points)
        lines = [f"{nanoseconds(p.typical.point)}  {p.session[:15]}  {p.state}".rstrip() for p in self._points]
        self.setToolTip(plain.tip("\n".join(lines)))
        self.update()

    def paintEvent(self, _event: QPaintEvent) -> None:
        if not self._points:
            return
        tokens = theme.current()
        box = QRectF(self.rect()).adjusted(_MARGIN, _MARGIN, -_MARGIN, -_MARGIN)
        low = min(point.typical.low for point in self._points)
        high = max(point.typical.high for point in self._points)
        reach = (high - low) or 1.0
        step = box.width() / max(len(self._points) - 1, 1)

        def y(ns: float) -> float:
            return box.bottom() - (ns - low) / reach * box.height()

        places = [QPointF(box.left() + step * at, y(p.typical.point)) for at, p in enumerate(self._points)]
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(QPen(tokens.faint, 1.0))
        for place, point in zip(places, self._points, strict=True):
            painter.drawLine(QPointF(place.x(), y(point.typical.low)), QPointF(place.x(), y(point.typical.high)))
        painter.setPen(QPen(tokens.second, 1.2))
        painter.drawPolyline(QPolygonF(places))
        painter.setPen(Qt.PenStyle.NoPen)
        for place, point in zip(places, self._points, strict=True):
            painter.setBrush(tokens.accent if point.state == self._points[-1].state else tokens.faint)
            painter.drawEllipse(place, _DOT, _DOT)
        painter.end()


class BenchPast(QWidget):
    """open_flame(path): the benchmark's flame graph is asked for. Hidden where there is nothing to tell."""

    open_flame = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._flame: Path | None = None
        self.line = SparkLine()
        self.times = ElidedLabel("", "second")
        self.verdicts = ElidedLabel("", "second")
        self.flame = button(
            "Flame graph",
            self._ask,
            rank="quiet",
            icon="flame",
            tip="What pprof saw of this benchmark (Return in the table)",
        )
        texts = column(spacing=0)
        texts.addWidget(self.times)
        texts.addWidget(self.verdicts)
        lines = row(margins=(16, 4, 16, 4), spacing=12)
        lines.addWidget(self.line)
        lines.addLayout(texts, 1)
        lines.addWidget(self.flame)
        self.setLayout(lines)
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Fixed)
        self.setVisible(False)

    def show_one(self, history: BenchHistory | None, flame: Path | None) -> None:
        """history: None, or of fewer than two runs, where there is nothing before."""
        self._flame = flame
        points = history.points if history is not None and len(history.points) > 1 else ()
        self.line.show_points(points)
        for widget in (self.line, self.times, self.verdicts):
            widget.setVisible(bool(points))
        if history is not None and points:
            times = [point.typical.point for point in points]
            criterion = history.criterion.verdict.value if history.criterion is not None else ""
            self.times.set_text(
                f"{count(len(points))} runs of the project, {nanoseconds(min(times))} to {nanoseconds(max(times))}. "
                f"Criterion on the last two: {criterion}"
            )
            self.verdicts.set_text(f"Over repeated runs: {ours_words(history) or 'all are of one state of the code'}.")
        self.flame.setVisible(flame is not None)
        self.setVisible(bool(points) or flame is not None)

    def _ask(self) -> None:
        if self._flame is not None:
            self.open_flame.emit(self._flame)
