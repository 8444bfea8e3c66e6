"""What of a run is shown, and how: the series, the window, the axis, the unit, the SLO, how far back."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from enum import StrEnum

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QAction, QKeyEvent
from PySide6.QtWidgets import QLineEdit, QMenu, QPushButton, QWidget

from tailflame.analyse.timeline import Span
from tailflame.model.histogram import PERCENTILES
from tailflame_gui import plain
from tailflame_gui.widgets.fitting_box import FittingBox
from tailflame_gui.widgets.latency_unit import LatencyUnit
from tailflame_gui.widgets.parts import button, row
from tailflame_gui.widgets.plot_choices import MOST_OVERLAID, Choices, Slo, p_text
from tailflame_gui.widgets.segmented import Segmented

_SLO = re.compile(r"\s*([\d.]+)\s*(ns|us|µs|ms|s)?\s*", re.IGNORECASE)
_FACTORS = {"ns": 1.0, "us": 1e3, "µs": 1e3, "ms": 1e6, "s": 1e9}
_SPANS: tuple[tuple[float | None, str, str], ...] = (
    (30.0, "30 s", "The last 30 seconds"),
    (60.0, "1 min", "The last minute"),
    (300.0, "5 min", "The last five minutes"),
    (1800.0, "30 min", "The last half hour"),
    (None, "all", "Everything there is"),
)


class Axis(StrEnum):
    LOG = "log"
    LINEAR = "linear"


def read_slo(text: str) -> float | None:
    """ "250 us" in ns; without a unit microseconds. None where it is no such thing, or zero."""
    match = _SLO.fullmatch(text)
    if match is None:
        return None
    try:
        limit = float(match[1]) * _FACTORS[(match[2] or "us").lower()]
    except ValueError:
        return None
    return limit if limit > 0 else None


class LiveBar(QWidget):
    """choices_changed(Choices), series_changed(names: the first is the one that figures are of),
    span_changed(seconds or None), follow_requested(bool), plot_toggled(name, shown).
    """

    choices_changed = Signal(object)
    series_changed = Signal(object)
    span_changed = Signal(object)
    follow_requested = Signal(bool)
    plot_toggled = Signal(str, bool)

    def __init__(self, *, live: bool) -> None:
        super().__init__()
        self._live = live
        self.choices = Choices()
        self._names: tuple[str, ...] = ()
        self._chosen: tuple[str, ...] = ()
        self.series = QPushButton("no series")
        self.series.setAutoDefault(False)
        self.series.setToolTip("Which latencies are shown: one with all its percentiles, or several over each other.")
        self._menu = QMenu(self)
        self.series.setMenu(self._menu)
        self.span = Segmented(
            (
                (Span.INTERVAL, "Interval", "Percentiles of each interval by itself"),
                (Span.ROLLING, "Last 10 s", "Percentiles of the ten seconds before each point"),
                (Span.CUMULATIVE, "Since start", "Percentiles of everything up to each point"),
            )
        )
        self.axis = Segmented(
            ((Axis.LOG, "Log", "A doubling is as high everywhere"), (Axis.LINEAR, "Linear", "From zero"))
        )
        self.unit = FittingBox("timer", "Unit of the latencies")
        self.unit.offer(
            [(unit, str(unit), "Whatever reads best" if unit is LatencyUnit.AUTO else "") for unit in LatencyUnit]
        )
        self.slo_at = FittingBox("target", "The percentile that the SLO is about")
        self.slo_at.offer([(p, p_text(p), "") for p in PERCENTILES])
        self.slo_at.choose(99.9)
        self.slo = QLineEdit()
        self.slo.setPlaceholderText("SLO, 250 us")
        self.slo.setFixedWidth(96)
        self.slo.setClearButtonEnabled(False)
        self.slo.setAccessibleName("SLO")
        self.slo.setToolTip("What the percentile of an interval is to stay below: 250 us, 1.5 ms. Empty for none.")
        self.back = FittingBox("history", "How much of the newest is shown")
        self.back.offer(_SPANS if live else _SPANS[-1:] + _SPANS[:-1])
        self.back.choose(60.0 if live else None)
        self.plots = QPushButton("Plots")
        self.plots.setAutoDefault(False)
        self.plots.setToolTip("Which plots are shown")
        self._plots_menu = QMenu(self)
        self.plots.setMenu(self._plots_menu)
        self.follow = button("Pause", lambda: self.follow_requested.emit(self._paused), tip="")
        self.follow.setMinimumWidth(72)
        self._paused = False
        line = row(margins=(16, 4, 12, 4), spacing=8)
        for widget in (self.series, self.span, self.axis, self.unit):
            line.addWidget(widget)
        line.addSpacing(8)
        line.addWidget(self.slo_at)
        line.addWidget(self.slo)
        line.addStretch()
        self.setLayout(line)
        self.time_tools = QWidget()
        """What belongs to the time axis; the head has room for it."""
        tools = row(spacing=8)
        for widget in (self.plots, self.back, self.follow):
            tools.addWidget(widget)
        self.time_tools.setLayout(tools)
        self.show_follow(True)
        self.span.chosen.connect(lambda span: self._choose(span=span))
        self.axis.chosen.connect(lambda axis: self._choose(log=axis is Axis.LOG))
        self.unit.currentIndexChanged.connect(lambda _at: self._choose(unit=self.unit.currentData()))
        self.slo_at.currentIndexChanged.connect(lambda _at: self._read_slo())
        self.slo.editingFinished.connect(self._read_slo)
        self.slo.textEdited.connect(lambda _text: self._mark_slo())
        self.back.currentIndexChanged.connect(lambda _at: self.span_changed.emit(self.back.currentData()))
        self.offer_series((), ())

    # Series

    def offer_series(self, names: Sequence[str], chosen: Sequence[str]) -> None:
        """Shows these; silently."""
        if (tuple(names), tuple(chosen)) == (self._names, self._chosen) and self._menu.actions():
            return
        self._names, self._chosen = tuple(names), tuple(chosen)
        self._menu.clear()
        for name in self._names:
            action = QAction(plain.caption(name), self._menu)
            action.triggered.connect(lambda _checked=False, name=name: self._choose_series((name,)))
            self._menu.addAction(action)
        if len(self._names) > 1:
            self._menu.addSeparator()
            over = self._menu.addMenu(f"Over each other (up to {MOST_OVERLAID})")
            for name in self._names:
                action = QAction(plain.caption(name), over)
                action.setCheckable(True)
                action.setChecked(name in self._chosen)
                action.triggered.connect(lambda checked, name=name: self._overlay(name, checked))
                over.addAction(action)
        first = self._chosen[0] if self._chosen else "no series"
        shown = first if len(first) <= 28 else f"…{first[-27:]}"
        more = f" +{len(self._chosen) - 1}" if len(self._chosen) > 1 else ""
        self.series.setText(plain.caption(shown + more))
        self.series.setEnabled(bool(self._names))
        for widget in (self.series, self.span, self.axis, self.unit, self.slo_at, self.slo):
            widget.setVisible(bool(self._names))

    @property
    def series_names(self) -> tuple[str, ...]:
        return tuple(action.text().replace("&&", "&") for action in self._menu.actions()[: len(self._names)])

    def _choose_series(self, names: tuple[str, ...]) -> None:
        self.series_changed.emit(names)

    def _overlay(self, name: str, on: bool) -> None:
        chosen = [n for n in self._chosen if n != name] + ([name] if on else [])
        if chosen and len(chosen) <= MOST_OVERLAID:
            self._choose_series(tuple(chosen))
        else:
            names, kept, self._names = self._names, self._chosen, ()
            self.offer_series(names, kept)

    # Plots

    def offer_plots(self, names: Sequence[str], shown: Sequence[str]) -> None:
        self._plots_menu.clear()
        for name in names:
            action = QAction(plain.caption(name), self._plots_menu)
            action.setCheckable(True)
            action.setChecked(name in shown)
            action.triggered.connect(lambda checked, name=name: self.plot_toggled.emit(name, checked))
            self._plots_menu.addAction(action)

    # Choices

    def choose(self, choices: Choices) -> None:
        """Shows these; silently."""
        self.choices = choices
        self.span.choose(choices.span)
        self.axis.choose(Axis.LOG if choices.log else Axis.LINEAR)
        self.unit.choose(choices.unit)
        if choices.slo is not None:
            self.slo_at.choose(choices.slo.percentile)
            self.slo.setText(_slo_text(choices.slo.limit_ns))
        else:
            self.slo.clear()

    def show_follow(self, follows: bool) -> None:
        self._paused = not follows
        self.follow.setVisible(self._live or not follows)
        self.follow.setText("Pause" if follows else "Follow" if self._live else "Show all")
        self.follow.setToolTip(
            "Hold what is shown; what comes is kept.  Space"
            if follows
            else "Back to the newest.  Space"
            if self._live
            else "The whole run again.  Space"
        )

    def _choose(self, **changes: object) -> None:
        choices = replace(self.choices, **changes)  # type: ignore[arg-type]
        if choices != self.choices:
            self.choices = choices
            self.choices_changed.emit(choices)

    def _read_slo(self) -> None:
        limit = read_slo(self.slo.text())
        self._mark_slo()
        self._choose(slo=None if limit is None else Slo(limit, float(self.slo_at.currentData())))

    def _mark_slo(self) -> None:
        bad = bool(self.slo.text().strip()) and read_slo(self.slo.text()) is None
        if bool(self.slo.property("state")) != bad:
            self.slo.setProperty("state", "bad" if bad else "")
            self.slo.style().unpolish(self.slo)
            self.slo.style().polish(self.slo)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            event.accept()
        else:
            super().keyPressEvent(event)


def _slo_text(limit_ns: float) -> str:
    for unit, factor in (("s", 1e9), ("ms", 1e6), ("us", 1e3)):
        if limit_ns >= factor:
            return f"{limit_ns / factor:g} {unit}"
    return f"{limit_ns:g} ns"
