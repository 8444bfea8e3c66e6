"""The percentiles of a latency histogram, a line per tag."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QFrame, QGridLayout, QScrollArea, QWidget

from tailflame.model.histogram import PERCENTILES, HistogramSeries
from tailflame.units import count, nanoseconds
from tailflame_gui.widgets.parts import label, selectable


class PercentileGrid(QScrollArea):
    """p50 to p99.99 and the maximum, from the merged counts of every interval. Scrolls where it has no room."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._body = QWidget()
        self._body.setProperty("surface", "surface")
        self._grid = QGridLayout(self._body)
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.setHorizontalSpacing(16)
        self._grid.setVerticalSpacing(4)
        self.lines: list[tuple[str, ...]] = []
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setWidgetResizable(True)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setWidget(self._body)
        self.hide()

    def set_series(self, series: HistogramSeries | None) -> None:
        while (item := self._grid.takeAt(0)) is not None:
            widget = item.widget()
            if widget is not None:
                widget.deleteLater()
        self.lines = []
        self.setVisible(series is not None)
        if series is None:
            return
        heads = ("Latency", "Values", *(f"p{p:g}" for p in PERCENTILES), "max")
        for tag in series.distinct_tags():
            whole = series.whole(tag)
            figures = (*whole.percentiles(), whole.maximum)
            words = (nanoseconds(v) if series.unit == "ns" else f"{count(v)} {series.unit}" for v in figures)
            self.lines.append((tag or "all", count(whole.total), *words))
        for at, head in enumerate(heads):
            title = label(head, "small")
            title.setAlignment(Qt.AlignmentFlag.AlignRight if at else Qt.AlignmentFlag.AlignLeft)
            self._grid.addWidget(title, 0, at)
            title.show()  # now: a layout leaves room only for what is not hidden
        for row, cells in enumerate(self.lines, start=1):
            for at, text in enumerate(cells):
                cell = selectable(label(text, mono=bool(at)))
                cell.setAlignment(Qt.AlignmentFlag.AlignRight if at else Qt.AlignmentFlag.AlignLeft)
                self._grid.addWidget(cell, row, at)
                cell.show()
        self._grid.setColumnStretch(len(heads), 1)
        bar = self.horizontalScrollBar().sizeHint().height()
        self.setFixedHeight(self._grid.sizeHint().height() + bar)
