"""How many rows lie beyond the roots' edge of a flame graph, in a few faint words that lead there and back."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QRectF, QSize, Qt
from PySide6.QtGui import QEnterEvent, QFontMetrics, QPainter, QPaintEvent
from PySide6.QtWidgets import QAbstractButton, QSizePolicy, QWidget

from tailflame.analyse.names import short
from tailflame_gui import icons, plain, theme
from tailflame_gui.widgets.flame_surface import FlameSurface, Orientation

_HEIGHT = 18
_ICON = 12
_SPACE = 4


class TrunkLine(QAbstractButton):
    """Follows `graph`; not there while nothing is hidden and there is no trunk to skip."""

    def __init__(self, graph: FlameSurface, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._graph = graph
        self._icon = ""
        self._words: tuple[str, ...] = ()
        self._back = False
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.setSizePolicy(QSizePolicy.Policy.Maximum, QSizePolicy.Policy.Fixed)
        self.setFont(theme.interface_font(theme.SMALL))
        self.clicked.connect(self._go)
        graph.picture_changed.connect(self._tell)
        theme.signals.changed.connect(self.update)
        self._tell()

    def stand_back(self, back: bool) -> None:
        """Leaves its room to others, or takes it again."""
        self._back = back
        self.setVisible(bool(self.text()) and not back)

    def _tell(self) -> None:
        view, scene = self._graph.geometry_now(), self._graph.scene
        below = self._graph.orientation is Orientation.FLAME
        first, hidden = self._graph.first_row, -(-view.from_roots // view.row_height)
        skips = bool(first) and bool(view.furthest)
        words: tuple[str, ...]
        if scene is None or not (hidden or skips):
            icon, words, tip = "", ("",), ""
        elif hidden:
            rows = f"{hidden} row{'s' if hidden > 1 else ''} {'below' if below else 'above'}"
            of_trunk = hidden <= scene.trunk and self._graph.zoom_box < 0
            icon, words = "chevron-down" if below else "chevron-up", (rows,)
            tip = "Show the first rows (Home)"
            if of_trunk:
                words = (f"{rows}: trunk of {short(scene.trunk_name)}", f"{rows}: trunk", rows)
                tip = f"In these rows nothing branches yet: each only passes on what it carries.\n{tip}"
        else:
            rows = f"Skip {first} rows"
            icon, words = "chevron-up" if below else "chevron-down", (f"{rows} of trunk", rows)
            tip = "To where the graph branches (Home)"
        if (icon, words) != (self._icon, self._words):
            self._icon, self._words = icon, words
            self.setText(plain.caption(words[0]))
            self.setToolTip(tip)
            self.setAccessibleName(words[0])
            self.setVisible(bool(words[0]) and not self._back)
            self.updateGeometry()
            self.update()

    def _go(self) -> None:
        if self._graph.geometry_now().from_roots:
            self._graph.show_roots()
        else:
            self._graph.show_start()

    def sizeHint(self) -> QSize:
        return QSize(self._width(self._words[0]), _HEIGHT)

    def minimumSizeHint(self) -> QSize:
        return QSize(self._width(self._words[-1]), _HEIGHT)

    def _width(self, text: str) -> int:
        return QFontMetrics(self.font()).horizontalAdvance(text) + _ICON + 3 * _SPACE

    def paintEvent(self, event: QPaintEvent) -> None:
        painter, tokens = QPainter(self), theme.current()
        hot = self.underMouse() or self.hasFocus()
        fitting = (words for words in self._words if self._width(words) <= self.width())
        text = next(fitting, self._words[-1])
        icons.paint(painter, QRectF(_SPACE, (self.height() - _ICON) / 2, _ICON, _ICON), self._icon, "faint")
        painter.setFont(self.font())
        painter.setPen(tokens.text if hot else tokens.faint)
        box = self.rect().adjusted(_ICON + 2 * _SPACE, 0, 0, 0)
        painter.drawText(box, Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft, text)
        if self.hasFocus():
            painter.setPen(tokens.accent)
            painter.drawRect(self.rect().adjusted(0, 0, -1, -1))
        painter.end()

    def enterEvent(self, event: QEnterEvent) -> None:
        super().enterEvent(event)
        self.update()

    def leaveEvent(self, event: QEvent) -> None:
        super().leaveEvent(event)
        self.update()
