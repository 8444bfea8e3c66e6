"""The bottom line: what runs, how far it is, how to stop it, and what Tailflame itself costs."""

from __future__ import annotations

import psutil
from PySide6.QtCore import Qt, QTimer
from PySide6.QtGui import QHideEvent, QShowEvent
from PySide6.QtWidgets import QProgressBar, QWidget

from tailflame import units
from tailflame_gui.tasks import Job, JobList
from tailflame_gui.widgets.parts import ElidedLabel, button, label, row

HEIGHT = 32
_SHOWN = 2
_COST_MS = 2000


class JobLine(QWidget):
    """One job: title, detail, progress, stop, cancel."""

    def __init__(self, job: Job) -> None:
        super().__init__()
        self.job = job
        self._title = ElidedLabel(job.title, grows=False)
        self._detail = label("", "second")
        self._bar = QProgressBar()
        self._bar.setFixedWidth(96)
        self._bar.setTextVisible(False)
        self._percent = label("", "second")
        layout = row(spacing=8)
        layout.addWidget(label("running", "second"))
        layout.addWidget(self._title)
        layout.addWidget(self._detail)
        layout.addWidget(self._bar)
        layout.addWidget(self._percent)
        if job.stop is not None:
            layout.addWidget(
                button("Stop", job.stop, rank="quiet", icon="square", tip="Stop it politely and keep what there is.")
            )
        if job.cancellable:
            layout.addWidget(button("Cancel", job.cancel, rank="quiet", icon="x", tip="Stop it and drop its result."))
        layout.addStretch(1)
        self.setLayout(layout)
        self.refresh()

    def refresh(self) -> None:
        fraction = self.job.fraction
        self._title.set_text(self.job.title)
        self._detail.setText(self.job.detail)
        self._bar.setVisible(fraction is not None)
        self._percent.setText("" if fraction is None else units.percent(fraction, digits=0))
        if fraction is not None:
            self._bar.setRange(0, 1000)
            self._bar.setValue(round(fraction * 1000))


class JobBar(QWidget):
    def __init__(self, jobs: JobList) -> None:
        super().__init__()
        self._jobs = jobs
        self._process = psutil.Process()
        self.setFixedHeight(HEIGHT)
        self.setProperty("surface", "window")
        self.setProperty("edge", "top")
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self._idle = label("Nothing runs", "faint")
        self._more = label("", "second")
        self._cost = label("", "second")
        self._cost.setToolTip(
            "CPU time of this window's own process over the last 2 s, as a share of one core, and the memory it uses."
        )
        self._lines: list[JobLine] = []
        self._line_row = row(spacing=16)
        layout = row(margins=(16, 1, 16, 0), spacing=12)
        self._line_row.addWidget(self._idle, 1)
        layout.addLayout(self._line_row, 1)
        layout.addWidget(self._more)
        layout.addWidget(self._cost)
        self.setLayout(layout)
        jobs.changed.connect(self._show_jobs)
        self._timer = QTimer(self)
        self._timer.setInterval(_COST_MS)
        self._timer.timeout.connect(self._show_cost)
        self._show_jobs()

    @property
    def text(self) -> str:
        """What the line says, for tests and screen readers."""
        titles = "; ".join(f"{line.job.title} {line.job.detail}".strip() for line in self._lines)
        return titles or self._idle.text()

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self._process.cpu_percent(None)  # the share is counted from here on
        self._show_memory("")
        self._timer.start()

    def hideEvent(self, event: QHideEvent) -> None:
        super().hideEvent(event)
        self._timer.stop()

    def _show_jobs(self) -> None:
        shown = self._jobs.jobs[:_SHOWN]
        if tuple(line.job for line in self._lines) != shown:
            for line in self._lines:
                self._line_row.removeWidget(line)
                line.hide()
                line.deleteLater()
            self._lines = [JobLine(job) for job in shown]
            for line in self._lines:
                self._line_row.addWidget(line, 1)
        for line in self._lines:
            line.refresh()
        rest = len(self._jobs.jobs) - len(shown)
        self._more.setText(f"and {rest} more" if rest else "")
        self._idle.setVisible(not shown)
        self.setAccessibleName(self.text)

    def _show_cost(self) -> None:
        share = self._process.cpu_percent(None) / 100
        self._show_memory(f"{units.percent(share)} CPU, ")

    def _show_memory(self, cpu: str) -> None:
        self._cost.setText(f"our own cost: {cpu}{units.size(self._process.memory_info().rss)}")
