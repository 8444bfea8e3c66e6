"""Paints a flame graph into a QPainter: the image of all boxes at once, then labels and outlines of the wide ones."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QFont, QFontMetricsF, QImage, QPainter, QPen

from tailflame.analyse.names import short
from tailflame.model.stacks import NONE, Int64, UInt8
from tailflame_gui import theme
from tailflame_gui.theme import Tokens
from tailflame_gui.widgets import flame_paint
from tailflame_gui.widgets.flame_colors import rgb
from tailflame_gui.widgets.flame_geometry import Geometry
from tailflame_gui.widgets.flame_paint import Boxes, Frame, Marks, Runs, UInt32
from tailflame_gui.widgets.flame_scene import FlameScene

LABEL_FROM = 40
"""Boxes of at least so many pixels get a label."""
LABEL_SIZE = 12
PADDING = 4
FADE = 0.62
"""How far what is not marked moves towards the background."""
_LEGIBLE = 4.5
"""The contrast that body text needs."""
GLOW = 0.22
"""How far occurrences of the hovered function move towards the text's colour."""


def fitted(name: str, room: int) -> str:
    """`name` in at most `room` characters: its short form, then its last component, then an ellipsis."""
    text = short(name)
    if len(text) <= room:
        return text
    last = text.rsplit("::", 1)[-1]
    if len(last) <= room:
        return last
    return f"{last[: room - 1]}…" if room >= 4 else ""


@dataclass(frozen=True, slots=True, eq=False)
class Emphasis:
    """What stands out. marks: the rest fades (None: nothing fades); glow: slightly brighter boxes;
    selected, hovered, match: boxes with an outline (-1: none).
    """

    marks: Marks | None = None
    glow: Marks | None = None
    selected: int = NONE
    hovered: int = NONE
    match: int = NONE


@dataclass(frozen=True, slots=True, eq=False)
class _Kept:
    """The lines of the last image; rows: the line of each depth."""

    key: tuple[object, ...]
    rows: dict[int, int]
    frame: Frame


@dataclass(slots=True, eq=False)
class FlameRenderer:
    """Holds one scene ready to be painted, and the last image, which is painted again while nothing has changed."""

    scene: FlameScene
    boxes: Boxes
    font: QFont = field(default_factory=lambda: theme.mono_font(LABEL_SIZE))
    _labels: dict[tuple[int, int], str] = field(default_factory=dict)
    _inks: tuple[Tokens, UInt8, UInt8, UInt8] | None = None
    _key: tuple[object, ...] | None = None
    _image: QImage | None = None
    _pixels: UInt32 | None = None
    _runs: Runs | None = None
    _kept: _Kept | None = None

    def paint(
        self, painter: QPainter, view: Geometry, emphasis: Emphasis, tokens: Tokens, *, scale: float = 1.0
    ) -> None:
        """Paints `view` at the painter's origin; `scale` is the number of device pixels per pixel."""
        depths = view.visible()
        if not len(depths) or view.width <= 0 or view.height <= 0:
            painter.fillRect(0, 0, view.width, view.height, tokens.surface)
            return
        key = (view, scale, tokens.dark, emphasis.marks, emphasis.glow)
        if key != self._key:
            self._raster(view, emphasis, tokens, scale)
            self._key = key
        assert self._image is not None and self._runs is not None
        painter.drawImage(QPointF(0, 0), self._image)
        self._label(painter, view, depths, self._runs, emphasis, tokens, scale)
        for box, color, width in (
            (emphasis.hovered, tokens.text, 1.0),
            (emphasis.match, tokens.text, 2.0),
            (emphasis.selected, tokens.accent, 2.0),
        ):
            if box >= 0:
                self._outline(painter, view, box, color, width)

    def _raster(self, view: Geometry, emphasis: Emphasis, tokens: Tokens, scale: float) -> None:
        depths = view.visible()
        background = rgb(tokens.surface)
        frame, runs = flame_paint.finished(
            self._lines(view, depths, emphasis.marks, tokens, scale),
            self.boxes,
            depths,
            (view.x0, view.x1),
            background=background,
            glow=emphasis.glow,
            glow_color=rgb(tokens.text),
            glow_share=GLOW,
        )
        first = view.top(int(depths[0]))
        tops = np.rint((first + np.arange(len(depths) + 1) * view.row_height) * scale).astype(np.int64)
        self._pixels = flame_paint.compose(
            frame,
            self.boxes,
            tops,
            max(round(view.height * scale), 1),
            background=background,
            hatch_step=max(round(8 * scale), 4),
        )
        height, width = self._pixels.shape
        image = QImage(self._pixels.data, width, height, width * 4, QImage.Format.Format_RGB32)
        image.setDevicePixelRatio(scale)
        wide = runs.length >= LABEL_FROM * scale
        self._runs = Runs(runs.row[wide], runs.column[wide], runs.length[wide], runs.box[wide])
        self._image = image

    def _lines(self, view: Geometry, depths: Int64, marks: Marks | None, tokens: Tokens, scale: float) -> Frame:
        """The lines of `depths`. Those that were there already are kept while only rows or the pointer move."""
        window, columns = (view.x0, view.x1), max(round(view.width * scale), 1)
        key = (window, columns, tokens.dark, marks)
        old = self._kept if self._kept is not None and self._kept.key == key else None
        missing = [at for at, depth in enumerate(depths.tolist()) if old is None or depth not in old.rows]
        fresh = flame_paint.lines(
            self.boxes, depths[missing], window, columns, background=rgb(tokens.surface), marks=marks, fade=FADE
        )
        frame = fresh
        if old is not None:
            there = [at for at, depth in enumerate(depths.tolist()) if depth in old.rows]
            known = [old.rows[int(depths[at])] for at in there]
            frame = Frame(
                np.empty((len(depths), columns), dtype=np.int64), np.empty((len(depths), columns), dtype=np.uint32)
            )
            frame.box[there], frame.color[there] = old.frame.box[known], old.frame.color[known]
            frame.box[missing], frame.color[missing] = fresh.box, fresh.color
        self._kept = _Kept(key, {depth: at for at, depth in enumerate(depths.tolist())}, frame)
        return frame

    def _label(
        self,
        painter: QPainter,
        view: Geometry,
        depths: Int64,
        runs: Runs,
        emphasis: Emphasis,
        tokens: Tokens,
        scale: float,
    ) -> None:
        metrics = QFontMetricsF(self.font)
        advance = metrics.horizontalAdvance("M" * 20) / 20
        baseline = (view.row_height - 1 + metrics.ascent() - metrics.descent()) / 2
        functions = self.scene.box_function[runs.box].tolist()
        color = self.boxes.color[runs.box]
        full, faded, bright = self._ink(tokens)
        ink = full[color]
        if emphasis.marks is not None:
            ink = np.where(emphasis.marks.of_box[runs.box], ink, faded[color])
        if emphasis.glow is not None:
            ink = np.where(emphasis.glow.of_box[runs.box], bright[color], ink)
        tops = [view.top(int(d)) + baseline for d in depths]
        painter.save()
        painter.setFont(self.font)
        painter.setRenderHint(QPainter.RenderHint.TextAntialiasing)
        for index, pen in enumerate(inks(tokens)):
            painter.setPen(pen)
            for at in np.flatnonzero(ink == index).tolist():
                room = int((runs.length[at] / scale - 2 * PADDING + 1) / advance)
                text = self._labelled(functions[at], int(runs.box[at]), room)
                if text:
                    painter.drawText(QPointF(runs.column[at] / scale + PADDING, tops[int(runs.row[at])]), text)
        painter.restore()

    def _ink(self, tokens: Tokens) -> tuple[UInt8, UInt8, UInt8]:
        """Inks for the palette, and for the palette faded and glowing."""
        if self._inks is None or self._inks[0] is not tokens:
            faded = flame_paint.blend(self.boxes.palette, rgb(tokens.surface), FADE)
            bright = flame_paint.blend(self.boxes.palette, rgb(tokens.text), GLOW)
            palettes = (self.boxes.palette, faded, bright)
            full_ink, faded_ink, bright_ink = (ink_of(palette, tokens) for palette in palettes)
            self._inks = (tokens, full_ink, faded_ink, bright_ink)
        return self._inks[1:]

    def _labelled(self, function: int, box: int, room: int) -> str:
        """The name, and the note behind it where the name does not suffer from it."""
        note = self.scene.note(self.scene.node(box)) if self.scene.note is not None else ""
        if note:
            beside = self._fitted(function, room - len(note) - 2)
            if beside and not beside.endswith("…"):
                return f"{beside}  {note}"
        return self._fitted(function, room)

    def _fitted(self, function: int, room: int) -> str:
        key = (function, room)
        text = self._labels.get(key)
        if text is None:
            if len(self._labels) > 50_000:
                self._labels.clear()
            text = self._labels[key] = fitted(self.scene.names[function], room)
        return text

    def _outline(self, painter: QPainter, view: Geometry, box: int, color: QColor, width: float) -> None:
        start, end = self.scene.extent(box)
        left, right = max(view.x_of(start), -4.0), min(view.x_of(end), view.width + 4.0)
        if right < 0 or left > view.width:
            return
        if right - left < 3:
            middle = (left + right) / 2
            left, right = middle - 1.5, middle + 1.5
        top = view.top(self.scene.depth(box))
        inset = width / 2
        painter.save()
        painter.setPen(QPen(color, width, j=Qt.PenJoinStyle.MiterJoin))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        box_rect = QRectF(left, top, right - left - 1, view.row_height - 1)
        painter.drawRect(box_rect.adjusted(inset, inset, -inset, -inset))
        painter.restore()


def inks(tokens: Tokens) -> tuple[QColor, ...]:
    """What labels are written in: the theme's dark and light, and black and white for fills between them."""
    light = tokens.text if tokens.dark else tokens.surface
    return tokens.on_fill, light, QColor(Qt.GlobalColor.black), QColor(Qt.GlobalColor.white)


def ink_of(palette: UInt8, tokens: Tokens) -> UInt8:
    """Per colour of `palette`, the index of the ink that can be read on it (4.5:1 at least, always)."""
    chosen = []
    for color in palette:
        fill = QColor(*map(int, color))
        ratios = [theme.contrast(ink, fill) for ink in inks(tokens)]
        best = int(np.argmax(ratios[:2]))
        chosen.append(best if ratios[best] >= _LEGIBLE else int(np.argmax(ratios)))
    return np.array(chosen, dtype=np.uint8)
