"""A flame graph as an image file would hold it: title, the view as it is zoomed and coloured, legend."""

from __future__ import annotations

from PySide6.QtCore import QPointF
from PySide6.QtGui import QFont, QFontMetricsF, QImage, QPainter

from tailflame_gui import theme
from tailflame_gui.widgets import legend as legend_widget
from tailflame_gui.widgets.flame_surface import FlameSurface
from tailflame_gui.widgets.legend import Legend

_MARGIN = 12
_TITLE = 28


def flame_image(graph: FlameSurface, legend: Legend, *, title: str, scale: int = 1) -> QImage:
    """The part of `graph` in view, `scale` device pixels per pixel (2: crisp at twice the size); without the pointer's
    marks, which are no part of the picture.
    """
    view, tokens = graph.geometry_now(), theme.current()
    width = view.width + 2 * _MARGIN
    height = view.height + _TITLE + legend_widget.HEIGHT + 2 * _MARGIN
    image = QImage(width * scale, height * scale, QImage.Format.Format_RGB32)
    image.setDevicePixelRatio(scale)
    image.fill(tokens.surface)
    painter = QPainter(image)
    heading = theme.interface_font(15, weight=QFont.Weight.DemiBold)
    painter.setFont(heading)
    painter.setPen(tokens.text)
    metrics = QFontMetricsF(heading)
    painter.drawText(QPointF(_MARGIN, _MARGIN + metrics.ascent()), title or "Flame graph")
    total = graph.scene.total if graph.scene else ""
    small = theme.interface_font()
    painter.setFont(small)
    painter.setPen(tokens.second)
    wide = QFontMetricsF(small).horizontalAdvance(total)
    painter.drawText(QPointF(width - _MARGIN - wide, _MARGIN + metrics.ascent()), total)
    painter.translate(_MARGIN, _MARGIN + _TITLE)
    painter.save()
    painter.setClipRect(0, 0, view.width, view.height)
    graph.render_view(painter, view, tokens, scale=scale, pointer=False)
    painter.restore()
    painter.translate(0, view.height)
    legend.paint_into(painter, view.width, tokens)
    painter.end()
    return image
