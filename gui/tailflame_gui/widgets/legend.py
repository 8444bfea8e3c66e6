"""What the colours mean, in one line under the graph. An entry that is clicked stands out in the graph."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QFocusEvent, QFontMetricsF, QHelpEvent, QKeyEvent, QMouseEvent, QPainter, QPaintEvent
from PySide6.QtWidgets import QSizePolicy, QToolTip, QWidget

from tailflame.units import percent
from tailflame_gui import plain, theme
from tailflame_gui.theme import Tokens
from tailflame_gui.widgets.flame_colors import FlameColors, LegendEntry

HEIGHT = 24
_SWATCH = 10
_SPACE = 16
_RAMP_WIDTH = 120


class Legend(QWidget):
    """entry_toggled: the palette index that shall stand out, -1 for none."""

    entry_toggled = Signal(int)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._colors: FlameColors | None = None
        self._placed: list[tuple[QRectF, LegendEntry]] = []
        self._hidden: tuple[LegendEntry, ...] = ()
        self._chosen = -1
        self._current = 0
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setMouseTracking(True)
        self.setAccessibleName("Legend")
        theme.signals.changed.connect(self.update)

    def sizeHint(self) -> QSize:
        return QSize(320, HEIGHT)

    def set_colors(self, colors: FlameColors | None) -> None:
        self._colors = colors
        self._chosen = -1
        self._current = 0
        if colors is not None:
            self.setAccessibleDescription(f"{colors.title}: {', '.join(e.label for e in colors.entries)}")
        self.update()

    @property
    def chosen(self) -> int:
        """The palette index that stands out, -1 for none."""
        return self._chosen

    def labels(self) -> list[str]:
        """What is written, from left to right."""
        return [self._text(entry) for _, entry in self._placed]

    def choose(self, index: int) -> None:
        """Lets a palette entry stand out; a second time ends that."""
        self._chosen = -1 if index == self._chosen else index
        self.update()
        self.entry_toggled.emit(self._chosen)

    def paint_into(self, painter: QPainter, width: float, tokens: Tokens) -> list[tuple[QRectF, LegendEntry]]:
        """Paints the legend at the painter's origin; returns where its entries lie."""
        colors = self._colors
        if colors is None:
            return []
        metrics = QFontMetricsF(theme.interface_font(theme.SMALL))
        painter.setFont(theme.interface_font(theme.SMALL))
        baseline = (HEIGHT + metrics.ascent() - metrics.descent()) / 2
        painter.setPen(tokens.second)
        painter.drawText(QPointF(0, baseline), colors.title)
        x = metrics.horizontalAdvance(colors.title) + _SPACE
        if colors.ramp:
            return self._paint_ramp(painter, x, baseline, metrics, tokens)
        placed: list[tuple[QRectF, LegendEntry]] = []
        for number, entry in enumerate(colors.entries):
            text = self._text(entry)
            wide = _SWATCH + 6 + metrics.horizontalAdvance(text)
            rest = len(colors.entries) - number
            more = f"+{rest} more"
            if x + wide > width - (metrics.horizontalAdvance(more) + _SPACE if rest > 1 else 0):
                self._hidden = colors.entries[number:]
                painter.setPen(tokens.faint)
                painter.drawText(QPointF(x, baseline), more)
                return placed
            dim = self._chosen not in (-1, entry.index)
            fill = QColor(*map(int, colors.palette[entry.index]))
            painter.fillRect(
                QRectF(x, (HEIGHT - _SWATCH) / 2, _SWATCH, _SWATCH),
                theme.blend(fill, tokens.surface, 0.4) if dim else fill,
            )
            painter.setPen(tokens.faint if dim else tokens.text)
            painter.drawText(QPointF(x + _SWATCH + 6, baseline), text)
            placed.append((QRectF(x - 4, 1, wide + 8, HEIGHT - 2), entry))
            x += wide + _SPACE
        self._hidden = ()
        return placed

    def _paint_ramp(
        self, painter: QPainter, x: float, baseline: float, metrics: QFontMetricsF, tokens: Tokens
    ) -> list[tuple[QRectF, LegendEntry]]:
        assert self._colors is not None
        first, last = self._colors.entries[0], self._colors.entries[-1]
        painter.setPen(tokens.text)
        painter.drawText(QPointF(x, baseline), first.label)
        bar = x + metrics.horizontalAdvance(first.label) + 8
        step = _RAMP_WIDTH / len(self._colors.palette)
        for index, color in enumerate(self._colors.palette):
            painter.fillRect(
                QRectF(bar + index * step, (HEIGHT - _SWATCH) / 2, step + 0.5, _SWATCH), QColor(*map(int, color))
            )
        painter.drawText(QPointF(bar + _RAMP_WIDTH + 8, baseline), last.label)
        self._hidden = ()
        end = bar + _RAMP_WIDTH + 8
        return [
            (QRectF(x - 4, 1, bar - x, HEIGHT - 2), first),
            (QRectF(end - 4, 1, metrics.horizontalAdvance(last.label) + 8, HEIGHT - 2), last),
        ]

    def paintEvent(self, event: QPaintEvent) -> None:
        painter, tokens = QPainter(self), theme.current()
        self._placed = self.paint_into(painter, self.width(), tokens)
        if self.hasFocus() and 0 <= self._current < len(self._placed):
            painter.setPen(tokens.accent)
            painter.drawRect(self._placed[self._current][0])

    @staticmethod
    def _text(entry: LegendEntry) -> str:
        return entry.label if entry.share is None else f"{entry.label} {percent(entry.share)}"

    def _toggles(self) -> bool:
        return self._colors is not None and not self._colors.ramp

    def _at(self, point: QPointF) -> LegendEntry | None:
        return next((entry for rect, entry in self._placed if rect.contains(point)), None)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        entry = self._at(event.position())
        if entry is not None and self._toggles():
            self.choose(entry.index)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        match event.key():
            case Qt.Key.Key_Left | Qt.Key.Key_Right if self._placed:
                step = 1 if event.key() == Qt.Key.Key_Right else -1
                self._current = (self._current + step) % len(self._placed)
                self.update()
            case Qt.Key.Key_Space | Qt.Key.Key_Return if self._placed and self._toggles():
                self.choose(self._placed[self._current][1].index)
            case Qt.Key.Key_Escape if self._chosen >= 0:
                self.choose(self._chosen)
            case _:
                super().keyPressEvent(event)

    def focusInEvent(self, event: QFocusEvent) -> None:
        super().focusInEvent(event)
        self.update()

    def event(self, event: QEvent) -> bool:
        if isinstance(event, QHelpEvent) and event.type() == QEvent.Type.ToolTip:
            QToolTip.showText(event.globalPos(), plain.tip(self._tip(self._at(QPointF(event.pos())))), self)
            return True
        return super().event(event)

    def _tip(self, entry: LegendEntry | None) -> str:
        if entry is None:
            rest = "\n".join(self._text(e) for e in self._hidden[:30])
            return f"Not shown here:\n{rest}" if rest else "What the colours mean"
        share = (
            f"\n{percent(entry.share)} of all self weight; click to let it stand out" if entry.share is not None else ""
        )
        return f"{entry.tip or entry.label}{share}"
