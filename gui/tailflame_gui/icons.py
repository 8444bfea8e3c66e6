"""Lucide icons, tinted from the theme's tokens."""

from __future__ import annotations

from PySide6.QtCore import QByteArray, QPoint, QRect, QRectF, QSize, Qt
from PySide6.QtGui import QIcon, QIconEngine, QPainter, QPixmap
from PySide6.QtSvg import QSvgRenderer

from tailflame_gui import theme
from tailflame_resources import bundled

SIZE = 16
IN_BUTTON = QSize(20, 16)
"""The icon size of buttons with words: 4 px stay free before the words."""


def icon(name: str, color: str = "second") -> QIcon:
    """The Lucide icon `name` in the token `color`. It follows the theme and is sharp at every scale.

    FileNotFoundError where `name` is not bundled.
    """
    bundled.icon_svg(name)
    return QIcon(_TintedIcon(name, color))


def pixmap(name: str, color: str = "second", *, size: int = SIZE, scale: float = 1.0) -> QPixmap:
    """The icon as a pixmap of `size` device-independent pixels for a screen of `scale`."""
    made = QPixmap(QSize(size, size) * scale)
    made.fill(Qt.GlobalColor.transparent)
    painter = QPainter(made)
    paint(painter, QRectF(0, 0, made.width(), made.height()), name, color)
    painter.end()
    made.setDevicePixelRatio(scale)
    return made


def paint(painter: QPainter, rect: QRectF, name: str, color: str = "second") -> None:
    """Paints the icon into `rect` of a painter that is already active: square, at the left, centred in height.

    A rectangle wider than high keeps the rest free, which is how buttons get room between icon and words.
    """
    side = min(rect.width(), rect.height())
    rect = QRectF(rect.left(), rect.center().y() - side / 2, side, side)
    tint = getattr(theme.current(), color).name()
    svg = bundled.icon_svg(name).replace("currentColor", tint)
    QSvgRenderer(QByteArray(svg.encode())).render(painter, rect)


class _TintedIcon(QIconEngine):
    """Renders at the size asked for, in the colours of the theme that holds when it is painted."""

    def __init__(self, name: str, color: str) -> None:
        super().__init__()
        self._name = name
        self._color = color
        self._cache: dict[tuple[str, int, int], QPixmap] = {}

    def paint(self, painter: QPainter, rect: QRect, mode: QIcon.Mode, state: QIcon.State) -> None:
        paint(painter, QRectF(rect), self._name, self._tint(mode, state))

    def pixmap(self, size: QSize, mode: QIcon.Mode, state: QIcon.State) -> QPixmap:
        return self.scaledPixmap(size, mode, state, 1.0)

    def scaledPixmap(self, size: QSize, mode: QIcon.Mode, state: QIcon.State, scale: float) -> QPixmap:
        # Qt gives `size` in device-independent pixels, older ones in device pixels. Oversampling is harmless:
        # QIcon works the ratio out from what it gets.
        color = self._tint(mode, state)
        pixels = size * scale
        key = (getattr(theme.current(), color).name(), pixels.width(), pixels.height())
        made = self._cache.get(key)
        if made is None:
            made = QPixmap(pixels)
            made.fill(Qt.GlobalColor.transparent)
            painter = QPainter(made)
            paint(painter, QRectF(QPoint(0, 0), pixels), self._name, color)
            painter.end()
            self._cache[key] = made
        made.setDevicePixelRatio(scale)
        return made

    def clone(self) -> QIconEngine:
        return _TintedIcon(self._name, self._color)

    def _tint(self, mode: QIcon.Mode, state: QIcon.State) -> str:
        if mode is QIcon.Mode.Disabled:
            return "faint"
        if state is QIcon.State.On and self._color == "second":
            return "accent"
        return self._color


def nothing() -> QIcon:
    """No icon: takes away one that was there."""
    return QIcon()
