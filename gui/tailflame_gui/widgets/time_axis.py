"""The one time axis of a screen: what is shown, what is pointed at, what is selected.

Every plot that stands over it draws the same range, moves the same line, and selects for all.
"""

from __future__ import annotations

import math

from PySide6.QtCore import QObject, Signal

LEAST_SPAN_S = 10.0
"""A run that begins is drawn as if it had lasted so long, and grows from the left."""
_CLOSEST_S = 0.05
_ZOOM = 1.5
_STEP_S = 0.2
_AHEAD, _ROOM = 0.04, 1.2
"""While everything is shown and grows, so much is free at the right: the range changes now and then, not always."""


class TimeAxis(QObject):
    """Times are those of the data; `zero_s` is what the ruler calls 0.

    range_changed(): another range is shown. hover_changed(): another time is pointed at.
    range_selected(start, end) and range_cleared(): the selection. follow_changed(bool): whether the newest is shown.
    """

    range_changed = Signal()
    hover_changed = Signal()
    range_selected = Signal(float, float)
    range_cleared = Signal()
    follow_changed = Signal(bool)

    def __init__(
        self,
        parent: QObject | None = None,
        *,
        span_s: float | None = 60.0,
        least_span_s: float = LEAST_SPAN_S,
        closest_s: float = _CLOSEST_S,
    ) -> None:
        """closest_s: no shorter time fills the width."""
        super().__init__(parent)
        self._closest_s = closest_s
        self._least_s = least_span_s
        self.zero_s = 0.0
        self.low_s, self.high_s = 0.0, LEAST_SPAN_S
        self.first_s, self.last_s = 0.0, 0.0
        """What there is."""
        self.hover_s: float | None = None
        self.selection: tuple[float, float] | None = None
        self._span_s = span_s
        self._follows = True
        self._pixels = 800
        self._grows = False

    # What is shown

    @property
    def follows(self) -> bool:
        """Whether the newest is always in sight."""
        return self._follows

    @property
    def span_s(self) -> float | None:
        """How much is shown while it follows; None: everything."""
        return self._span_s

    @property
    def pixel_s(self) -> float:
        """Seconds in one pixel."""
        return (self.high_s - self.low_s) / max(self._pixels, 1)

    @property
    def step_s(self) -> float:
        """What it moves by while it follows: whole pixels, and no less than the eye needs."""
        pixel = (self._span_s or self.high_s - self.low_s) / max(self._pixels, 1)
        return max(math.ceil(_STEP_S / pixel - 1e-6), 1) * pixel

    @property
    def end_s(self) -> float:
        """Up to where values are read: what is pointed at, else the newest in sight."""
        return self.hover_s if self.hover_s is not None else min(self.last_s, self.high_s)

    @property
    def pixels(self) -> int:
        """How wide the plots are."""
        return self._pixels

    def set_pixels(self, pixels: int) -> None:
        if pixels > 0 and pixels != self._pixels:
            self._pixels = pixels
            self.range_changed.emit()
            if self._follows:
                self._show_newest()

    def set_extent(self, first_s: float, last_s: float, *, zero_s: float | None = None) -> None:
        """What there is now; the range moves with it while it follows."""
        self._grows = last_s > self.last_s > self.first_s == first_s
        self.first_s, self.last_s = first_s, last_s
        self.zero_s = first_s if zero_s is None else zero_s
        if self._follows:
            self._show_newest()

    def set_span(self, span_s: float | None) -> None:
        """So much of the newest, or everything; follows from now on."""
        self._span_s = span_s
        self.follow(True)

    def follow(self, follows: bool) -> None:
        """False holds what is shown where it is, while data goes on."""
        changed = follows != self._follows
        self._follows = follows
        if follows:
            self._show_newest()
        if changed:
            self.follow_changed.emit(follows)

    def show_range(self, low_s: float, high_s: float) -> None:
        """Exactly this; no longer follows."""
        if high_s - low_s < self._closest_s:
            middle = (low_s + high_s) / 2
            low_s, high_s = middle - self._closest_s / 2, middle + self._closest_s / 2
        self.follow(False)
        self._set(low_s, high_s)

    def zoom(self, steps: float, at_s: float) -> None:
        """Closer for positive steps; the time `at_s` stays where it is. All the way out follows again."""
        factor = _ZOOM**-steps
        low, high = at_s + (self.low_s - at_s) * factor, at_s + (self.high_s - at_s) * factor
        whole = max(self.last_s - self.first_s, self._least_s)
        if high - low >= whole:
            self.set_span(None)
        else:
            self.show_range(low, high)

    def pan(self, seconds: float) -> None:
        """Later for positive ones, at most to where there is nothing more."""
        span = self.high_s - self.low_s
        low = min(max(self.low_s + seconds, self.first_s - span / 2), self.last_s - span / 2)
        self.show_range(low, low + span)

    # What is pointed at and selected

    def point_at(self, time_s: float | None) -> None:
        if time_s != self.hover_s:
            self.hover_s = time_s
            self.hover_changed.emit()

    def select(self, one_s: float, other_s: float) -> None:
        start, end = sorted((one_s, other_s))
        if (start, end) != self.selection:
            self.selection = (start, end)
            self.range_selected.emit(start, end)

    def clear(self) -> None:
        if self.selection is not None:
            self.selection = None
            self.range_cleared.emit()

    # Inside

    def _show_newest(self) -> None:
        last = max(self.last_s, self.first_s)
        if self._span_s is None:
            whole = last - self.first_s
            if self.low_s != self.first_s or not whole <= self.high_s - self.low_s <= _ROOM * max(whole, self._least_s):
                self._set(self.first_s, self.first_s + max(whole * (1 + _AHEAD * self._grows), self._least_s))
            return
        if last - self.first_s <= self._span_s:
            self._set(self.first_s, self.first_s + self._span_s)
            return
        high = math.ceil(last / self.step_s) * self.step_s
        self._set(high - self._span_s, high)

    def _set(self, low_s: float, high_s: float) -> None:
        if (low_s, high_s) != (self.low_s, self.high_s):
            self.low_s, self.high_s = low_s, high_s
            self.range_changed.emit()
