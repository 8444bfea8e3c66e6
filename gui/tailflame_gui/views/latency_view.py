"""Latencies and counters of a result, kept or dropped, on the screen of live runs."""

from __future__ import annotations

from typing import NamedTuple

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QWidget

from tailflame.analyse.live_data import LiveData, prepared
from tailflame.model.recording import Recording
from tailflame_gui import tasks
from tailflame_gui.views.live_view import LiveView
from tailflame_gui.widgets.busy_line import BusyLine
from tailflame_gui.widgets.parts import column


def has_latencies(recording: Recording) -> bool:
    """Whether there is anything for `LatencyResultView` to show."""
    return any(
        part is not None for part in (recording.histograms, recording.counters, recording.live, recording.slices)
    )


class Called(NamedTuple):
    """How the part is called: on its tab, in full, and what it holds."""

    short: str
    full: str
    tip: str


def called(recording: Recording) -> Called:
    """By what a result holds: not every one that has something over time has latencies."""
    live = recording.live
    if recording.histograms is not None or (live is not None and live.stages):
        tip = "Percentiles, distributions and counters as they were while it ran."
        return Called("Latency", "Latency over time", tip)
    if recording.slices is not None or live is not None:
        slices = "Slices of the profile, counters" if recording.slices is not None else "Counters"
        return Called("Over time", "Over time", f"{slices} and readings as they were while it ran.")
    return Called("Counters", "Counters", "What the processor counted while it ran.")


class LatencyResultView(QWidget):
    """`view` is the screen; it is filled in a worker thread. failed(TailflameError)."""

    failed = Signal(object)

    def __init__(self, recording: Recording, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.view = LiveView(live=False)
        self.view.failed.connect(self.failed)
        self._latest, self._latest_baseline = tasks.Latest(self), tasks.Latest(self)
        busy = BusyLine()
        self._latest.busy_changed.connect(busy.set_busy)
        layout = column(spacing=0)
        layout.addWidget(busy)
        layout.addWidget(self.view, 1)
        self.setLayout(layout)
        self.setFocusProxy(self.view)
        self.set_recording(recording)

    @property
    def busy(self) -> bool:
        return self._latest.busy or self._latest_baseline.busy or self.view.busy

    def set_recording(self, recording: Recording) -> None:
        def work(_progress: tasks.Progress) -> LiveData:
            return prepared(LiveData.of_recording(recording))

        self._latest.ask(work, self.view.show_data, name="lay out latencies over time", on_error=self.failed.emit)

    def set_baseline(self, recording: Recording | None) -> None:
        """What the latencies are compared with; None for nothing."""
        self._latest_baseline.drop()
        if recording is None:
            self.view.set_baseline(None)
            return

        def work(_progress: tasks.Progress) -> LiveData:
            return LiveData.of_recording(recording)

        self._latest_baseline.ask(
            work, self.view.set_baseline, name="lay out the baseline's latencies", on_error=self.failed.emit
        )
