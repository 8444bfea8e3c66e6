"""A flame graph as pixels: the cost depends on what is on the screen, not on how many boxes there are.

Boxes lie in arrays sorted by depth, then start. For every visible row one search finds the box that covers
each pixel column's centre; the row of colours becomes one line of an image, and lines are repeated to the
height of a row. Where boxes are narrower than a pixel, a centre alone would pick at random and shimmer
when the view moves, so those columns show the mean colour of what they cover, exactly, from sums over all boxes.
Marked boxes (matches, occurrences of a function) always get at least one column.

Nothing here knows of widgets: arrays in, an array of 0xffRRGGBB out.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tailflame.analyse.layout import FlameLayout
from tailflame.model.stacks import NONE, Bool, Float64, Int64, UInt8

UInt32 = npt.NDArray[np.uint32]

GAP_FROM = 4
"""Boxes of at least so many device pixels end with a gap of one: narrower ones would be mostly gap."""
MARGIN = 1e-12
_HATCH = 0.38
_LUMA = np.array([0.299, 0.587, 0.114])
_BRIGHT = 110.0
"""Fills above carry dark labels, fills below light ones."""


@dataclass(frozen=True, slots=True, eq=False)
class Boxes:
    """Boxes ready to be painted. Row d holds boxes row_start[d] to row_start[d + 1].

    start, end: fractions of the whole; color: index into `palette`; palette: [colours, 3] of 0..255;
    mass: [boxes + 1, 4], the running sums of width times (red, green, blue, 1) over all boxes in order;
    hatch: 0 plain, 1 vanished (\\\\\\), 2 new (///), or None where nothing is hatched.
    """

    row_start: Int64
    start: Float64
    end: Float64
    color: UInt8
    palette: UInt8
    mass: Float64
    hatch: UInt8 | None = None

    @property
    def depths(self) -> int:
        return len(self.row_start) - 1


@dataclass(frozen=True, slots=True, eq=False)
class Marks:
    """Boxes that stand out: a bool per box, their indices, and where they start."""

    of_box: Bool
    boxes: Int64
    start: Float64

    @property
    def empty(self) -> bool:
        return not len(self.boxes)


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """What is painted: [rows, columns] of the covering box (-1: none) and of the colour."""

    box: Int64
    color: UInt32


@dataclass(frozen=True, slots=True, eq=False)
class Runs:
    """Stretches of one box within a row of a Frame: row, first column, length in columns, box."""

    row: Int64
    column: Int64
    length: Int64
    box: Int64


def prepare(layout: FlameLayout, color: UInt8, palette: UInt8, *, hatch: UInt8 | None = None) -> Boxes:
    """`color` and `hatch` are given per node, `palette` as [colours, 3] of 0..255."""
    node = layout.node
    width = layout.width
    of_box = color[node] if len(color) else np.zeros(0, dtype=np.uint8)
    mass = np.zeros((len(node) + 1, 4))
    shade = palette.astype(np.float64)
    for channel in range(3):
        np.cumsum(width * shade[of_box, channel], out=mass[1:, channel])
    np.cumsum(width, out=mass[1:, 3])
    hatched = hatch[node] if hatch is not None and hatch.any() else None
    return Boxes(layout.row_start, layout.start, layout.start + width, of_box, palette, mass, hatched)


def mark(boxes: Boxes, of_box: Bool) -> Marks:
    """The boxes for which `of_box` is True."""
    chosen = np.flatnonzero(of_box)
    return Marks(of_box, chosen, boxes.start[chosen])


def blend(palette: UInt8, towards: tuple[int, int, int], share: float) -> UInt8:
    """`palette` moved by `share` (0..1) of the way towards a colour."""
    mixed = palette * (1.0 - share) + np.asarray(towards, dtype=np.float64) * share
    return np.rint(mixed).astype(np.uint8)


def packed(rgb: npt.NDArray[np.uint8 | np.float64]) -> UInt32:
    """[..., 3] of 0..255 as 0xffRRGGBB."""
    channels = np.empty((*rgb.shape[:-1], 4), dtype=np.uint8)
    channels[..., :3] = rgb[..., ::-1]
    channels[..., 3] = 0xFF
    # Bytes B, G, R, A are 0xAARRGGBB on every machine this runs on (Qt's RGB32 has the host's order).
    return channels.view("<u4")[..., 0].astype(np.uint32)


def _one(color: tuple[int, int, int]) -> UInt32:
    return packed(np.asarray(color, dtype=np.uint8))


def covering(boxes: Boxes, depths: Int64, window: tuple[float, float], columns: int) -> Int64:
    """[len(depths), columns]: the box that covers each column's centre, -1 where there is none.

    `window` is the visible part of the whole, as fractions. Depths that do not exist give rows of -1.
    """
    x0, x1 = window
    pixel = (x1 - x0) / columns
    centres = x0 + (np.arange(columns) + 0.5) * pixel
    out = np.full((len(depths), columns), NONE, dtype=np.int64)
    for row, depth in enumerate(depths.tolist()):
        if not 0 <= depth < boxes.depths:
            continue
        first, last = _in_view(boxes, depth, x0, x1)
        if last <= first:
            continue
        box = boxes.start[first:last].searchsorted(centres, side="right")
        box += first - 1
        covered = box >= first
        np.maximum(box, first, out=box)
        covered &= centres < boxes.end[box]
        box[~covered] = NONE
        out[row] = box
    return out


def runs_of(box: Int64) -> Runs:
    """The stretches of one box in each row of `box`, without the empty ones."""
    columns = box.shape[1]
    flat = box.ravel()
    begins = np.ones(flat.size, dtype=bool)
    np.not_equal(flat[1:], flat[:-1], out=begins[1:])
    begins[::columns] = True
    first = np.flatnonzero(begins)
    length = np.diff(np.append(first, flat.size))
    at = flat[first]
    real = at >= 0
    first, length, at = first[real], length[real], at[real]
    row, column = np.divmod(first, columns)
    return Runs(row, column, length, at)


def lines(
    boxes: Boxes,
    depths: Int64,
    window: tuple[float, float],
    columns: int,
    *,
    background: tuple[int, int, int],
    marks: Marks | None = None,
    fade: float = 0.0,
) -> Frame:
    """One line of colours per depth of `depths`, `columns` device pixels wide, boxes touching each other.

    With `marks`, everything else fades by `fade` towards the background. A line depends on its own row alone, so
    lines may be kept and put together with others of the same window.
    """
    box = covering(boxes, depths, window, columns)
    runs = runs_of(box)
    palette = boxes.palette if marks is None else blend(boxes.palette, background, fade)
    # The last entry is the background: an index of -1 reads it.
    color = np.append(packed(palette), _one(background))[_entry(boxes, box)]
    narrow = np.zeros(box.shape, dtype=bool)
    thin = runs.length < GAP_FROM - 1
    spread = runs.row[thin] * columns + runs.column[thin]
    for step in range(GAP_FROM - 2):
        longer = runs.length[thin] > step
        narrow.ravel()[spread[longer] + step] = True
    if narrow.any():
        _average(boxes, depths, window, narrow, color, background, 0.0 if marks is None else fade)
    if marks is not None and not marks.empty:
        _light(boxes, marks, depths, window, box, color, packed(boxes.palette))
    return Frame(box, color)


def finished(
    frame: Frame,
    boxes: Boxes,
    depths: Int64,
    window: tuple[float, float],
    *,
    background: tuple[int, int, int],
    glow: Marks | None = None,
    glow_color: tuple[int, int, int] = (0, 0, 0),
    glow_share: float = 0.0,
) -> tuple[Frame, Runs]:
    """A copy of `frame` with gaps between wide boxes; those of `glow` moved by `glow_share` towards `glow_color`."""
    color, columns = frame.color.copy(), frame.color.shape[1]
    runs = runs_of(frame.box)
    if glow is not None and not glow.empty:
        bright = packed(blend(boxes.palette, glow_color, glow_share))
        _light(boxes, glow, depths, window, frame.box, color, bright)
    wide = runs.length >= GAP_FROM
    ends = runs.row[wide] * columns + runs.column[wide] + runs.length[wide] - 1
    inside = boxes.end[runs.box[wide]] <= window[1] + MARGIN
    color.ravel()[ends[inside]] = _one(background)
    return Frame(frame.box, color), runs


def compose(
    frame: Frame,
    boxes: Boxes,
    tops: Int64,
    height: int,
    *,
    background: tuple[int, int, int],
    hatch_step: int = 8,
) -> UInt32:
    """[height, columns] of 0xffRRGGBB. Line r of `frame` fills rows tops[r] to tops[r + 1] - 1 of the image,
    where the last stays background: the hairline between rows. `tops` ascends and may reach outside. Hatching has a
    line every `hatch_step` pixels.
    """
    empty = _one(background)
    columns = frame.color.shape[1]
    bounds = np.clip(tops, 0, height)
    image = np.empty((height, columns), dtype=np.uint32)
    image[: bounds[0]] = empty
    image[bounds[-1] :] = empty
    image[bounds[0] : bounds[-1]] = np.repeat(frame.color, np.diff(bounds), axis=0)
    if boxes.hatch is not None:
        _hatch(frame, boxes, tops, image, empty, hatch_step)
    lines = tops[1:] - 1
    image[lines[(lines >= 0) & (lines < height)]] = empty
    return image


def box_at(boxes: Boxes, depth: int, x: float) -> int:
    """The box of row `depth` that covers the fraction `x`, -1 where there is none."""
    if not 0 <= depth < boxes.depths:
        return NONE
    first, last = int(boxes.row_start[depth]), int(boxes.row_start[depth + 1])
    box = first + int(np.searchsorted(boxes.start[first:last], x, side="right")) - 1
    return box if box >= first and x < boxes.end[box] else NONE


def _in_view(boxes: Boxes, depth: int, x0: float, x1: float) -> tuple[int, int]:
    """The boxes of row `depth` that may be seen between x0 and x1."""
    first, last = int(boxes.row_start[depth]), int(boxes.row_start[depth + 1])
    row = boxes.start[first:last]
    left = int(row.searchsorted(x0, side="right")) - 1
    right = int(row.searchsorted(x1, side="left"))
    return first + max(left, 0), first + right


def _entry(boxes: Boxes, box: Int64) -> npt.NDArray[np.int16]:
    """Palette entries of `box`, -1 where there is none."""
    if not len(boxes.color):
        return np.full(box.shape, NONE, dtype=np.int16)
    return np.where(box >= 0, boxes.color[box].astype(np.int16), np.int16(NONE))


def _average(
    boxes: Boxes,
    depths: Int64,
    window: tuple[float, float],
    narrow: Bool,
    color: UInt32,
    background: tuple[int, int, int],
    fade: float,
) -> None:
    """Gives the columns of `narrow` the mean colour of what they cover, what is empty counting as background."""
    pixel = (window[1] - window[0]) / narrow.shape[1]
    rows = np.flatnonzero(narrow.any(axis=1))
    first = narrow[rows].argmax(axis=1)
    last = narrow.shape[1] - narrow[rows, ::-1].argmax(axis=1)
    # The edges of the columns from the first to the last narrow one, row after row in one array.
    offset = np.append(0, np.cumsum(last - first + 1))
    edge = np.concatenate([window[0] + np.arange(a, b + 1) * pixel for a, b in zip(first, last, strict=True)])
    box = np.empty(len(edge), dtype=np.int64)
    for place, row in enumerate(rows.tolist()):
        part = slice(offset[place], offset[place + 1])
        low, high = _in_view(boxes, int(depths[row]), *window)
        np.add(boxes.start[low:high].searchsorted(edge[part], side="right"), low - 1, out=box[part])
        np.maximum(box[part], low, out=box[part])
    mass = _mass_until(boxes, box, edge)
    at_row, at_column = np.nonzero(narrow[rows])
    left = offset[at_row] + at_column - first[at_row]
    mean = (mass[left + 1] - mass[left]) / pixel
    covered = np.minimum(mean[:, 3:], 1.0)
    ground = np.asarray(background, dtype=np.float64)
    rgb = mean[:, :3] * (1.0 - fade) + ground * (1.0 - covered * (1.0 - fade))
    color[rows[at_row], at_column] = packed(np.clip(np.rint(rgb), 0.0, 255.0))


def _mass_until(boxes: Boxes, box: Int64, x: Float64) -> Float64:
    """[len(x), 4]: the sums of `boxes.mass` over everything left of each `x`; `box` starts at or right of it, or
    is the last that starts left of it.
    """
    part = np.minimum(x, boxes.end[box])
    part -= boxes.start[box]
    np.maximum(part, 0.0, out=part)
    shade = np.ones((len(boxes.palette), 4))
    shade[:, :3] = boxes.palette
    mass = shade[boxes.color[box]]
    mass *= part[:, None]
    mass += boxes.mass[box]
    return mass


def _light(
    boxes: Boxes,
    marks: Marks,
    depths: Int64,
    window: tuple[float, float],
    box: Int64,
    color: UInt32,
    palette: UInt32,
) -> None:
    """Paints the marked boxes in `palette`; each gets a column even where it covers no centre."""
    seen = (box >= 0) & marks.of_box[box]
    color[seen] = palette[boxes.color[box[seen]]]
    x0, x1 = window
    columns = box.shape[1]
    edges = x0 + np.arange(columns + 1) * ((x1 - x0) / columns)
    for row, depth in enumerate(depths.tolist()):
        if not 0 <= depth < boxes.depths:
            continue
        bounds = boxes.row_start[depth : depth + 2]
        first, last = marks.boxes.searchsorted(bounds).tolist()
        if first == last:
            continue
        place = marks.start[first:last].searchsorted(edges)
        at = np.flatnonzero(np.diff(place))
        if not len(at):
            continue
        found = marks.boxes[first + place[at]]
        slim = boxes.end[found] - boxes.start[found] < edges[1] - edges[0]
        color[row, at[slim]] = palette[boxes.color[found[slim]]]


def _hatch(frame: Frame, boxes: Boxes, tops: Int64, image: UInt32, empty: UInt32, step: int) -> None:
    """Diagonal lines over hatched boxes: a mark that does not depend on colour. Lines on light fills are lighter
    and lines on dark fills darker still, so that labels stay legible.
    """
    assert boxes.hatch is not None
    height, columns = image.shape
    kind = np.where(frame.box >= 0, boxes.hatch[frame.box], 0)
    x = np.arange(columns)
    for row in np.flatnonzero(kind.any(axis=1)).tolist():
        top, bottom = max(int(tops[row]), 0), min(int(tops[row + 1]), height)
        y = np.arange(top, bottom)[:, None] - int(tops[row])
        down, up = (x - y) % step < step // 4, (x + y) % step < step // 4
        part = image[top:bottom]
        on = np.where(kind[row] == 1, down, up & (kind[row] == 2)) & (part != empty)
        rgb = np.stack([(part[on] >> shift) & 0xFF for shift in (16, 8, 0)], axis=-1).astype(np.float64)
        towards = np.where(rgb @ _LUMA > _BRIGHT, 255.0, 0.0)[:, None]
        part[on] = packed(np.rint(rgb * (1.0 - _HATCH) + towards * _HATCH))
