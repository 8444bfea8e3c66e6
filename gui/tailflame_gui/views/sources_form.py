"""What to look at: one line per live source, with its question, its cost, and the field it needs."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QCheckBox, QLineEdit, QWidget

from tailflame_gui.dialogs.files import choose_program
from tailflame_gui.live_model import SourcesDraft
from tailflame_gui.views.function_chooser import FunctionChooser
from tailflame_gui.views.slices_form import SlicesForm
from tailflame_gui.widgets.parts import column, icon_button, label, row, set_rank

_INDENT = 24


class _Line(QWidget):
    """A check box, what the source answers and costs, and under it what it needs to know."""

    def __init__(self, title: str, answers: str, changed: Callable[[], None], *, on: bool = False) -> None:
        super().__init__()
        self.box = QCheckBox(title)
        self.box.setChecked(on)
        self.box.setToolTip(answers)
        self._answers = answers
        self._words = label(answers, "small", wrap=True)
        self._fields = column(margins=(_INDENT, 0, 0, 0), spacing=4)
        self._fields.addWidget(self._words)
        self._extra: list[QWidget] = []
        layout = column(spacing=0)
        layout.addWidget(self.box)
        layout.addLayout(self._fields)
        self.setLayout(layout)
        self.box.toggled.connect(self._toggled)
        self.box.toggled.connect(lambda _on: changed())

    @property
    def on(self) -> bool:
        return self.box.isChecked() and self.box.isEnabled()

    def add(self, widget: QWidget) -> None:
        """Shown while the source is wanted."""
        self._fields.addWidget(widget)
        self._extra.append(widget)
        widget.setVisible(self.box.isChecked())

    def allow(self, reason: str) -> None:
        """`reason` says why it cannot be had here; "" where it can."""
        self.box.setEnabled(not reason)
        self._words.setText(reason or self._answers)
        set_rank(self._words, "warn" if reason else "small")
        self._toggled(self.box.isChecked() and not reason)

    def _toggled(self, on: bool) -> None:
        for widget in self._extra:
            widget.setVisible(on)


class SourcesForm(QWidget):
    """changed(): another source is wanted, or its field is another one."""

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        say = self.changed.emit
        self.functions = FunctionChooser()
        self.probe = _Line(
            "Function probe",
            "How long calls of a function take, p50 to p99.99, every single one. Costs 1 to 3 µs a call; needs root.",
            say,
        )
        self.probe.add(self.functions)
        self.slow = QCheckBox("Keep the slow calls: above")
        self.slow.setToolTip(
            "A CPU recording at a high rate goes with it; afterwards, compare slow calls with fast ones."
        )
        self.slow_above = QLineEdit()
        self.slow_above.setProperty("face", "mono")
        self.slow_above.setPlaceholderText("p99.9")
        self.slow_above.setAccessibleName("From which duration on a call is slow")
        self.slow_above.setToolTip("A time (100us), or a percentile of the first 5 s (p99.9).")
        self.slow_above.setFixedWidth(96)
        self.slow_above.setEnabled(False)
        self.slow.toggled.connect(self.slow_above.setEnabled)
        self.slow.toggled.connect(lambda _on: say())
        self.slow_above.textEdited.connect(lambda _text: say())
        keep = QWidget()
        beside = row(spacing=8)
        beside.addWidget(self.slow)
        beside.addWidget(self.slow_above)
        beside.addStretch()
        keep.setLayout(beside)
        self.probe.add(keep)
        self.probe.add(label("A percentile of the first 5 s (p99.9), or a time (100us).", "small", wrap=True))
        self.own_lines = _Line(
            "Its own lines",
            "Times that the program writes to stdout and stderr: validation_us=12, JSON of tracing. Costs nothing.",
            say,
            on=True,
        )
        self.log = _Line("Log file", "Times in the lines of a file that grows, rotated or not. Costs nothing.", say)
        self.log_path = self._path(self.log, "The log file", "Choose the log file")
        self.hlog = _Line("HDR log", "An interval log of HdrHistogram that grows, tag by tag. Costs nothing.", say)
        self.hlog_path = self._path(self.hlog, "The .hlog file", "Choose the histogram log")
        self.prometheus = _Line(
            "Prometheus endpoint", "What the program exports, scraped each second. Costs one scrape a second.", say
        )
        self.url = self._field(self.prometheus, "http://127.0.0.1:9000/metrics", "Address of the metrics")
        self.query = _Line(
            "Prometheus query", "A PromQL query to a server: percentiles over any number of machines.", say
        )
        self.server = self._field(self.query, "http://127.0.0.1:9090", "Address of the server")
        self.promql = self._field(
            self.query, "histogram_quantile(0.99, sum by (le) (rate(x_seconds_bucket[1m])))", "PromQL"
        )
        self.counters = _Line(
            "Counters",
            "IPC, cache and branch misses, faults, switches, by perf stat. Costs next to nothing.",
            say,
            on=True,
        )
        self.simulated = _Line(
            "Simulated caches",
            "Where there are no counters: the program runs once more under callgrind, some 20 times slower.",
            say,
        )
        self.process = _Line(
            "Process and threads", "CPU, memory, run-queue wait and preemption by thread. Costs nothing.", say, on=True
        )
        self.cpu = _Line(
            "CPU recording", "perf record beside the rest: the flame graph of any moment. Costs 1 to 3 %.", say
        )
        self.continuous = _Line(
            "Continuous profile",
            "perf for hours, in slices that are read as they close: where the time goes, and how that changes. "
            "Keeps below what it may cost: reading waits, then the frequency goes down, and old slices grow coarser.",
            say,
        )
        self.slices = SlicesForm()
        self.slices.changed.connect(say)
        self.continuous.add(self.slices)
        self.syscalls = _Line(
            "System calls", "strace -c for five seconds. Slows a program with many system calls 50 times.", say
        )
        self.captures = _Line(
            "Capture the tail",
            "When a rule is crossed, the last seconds of CPU samples and the machine's state are kept: at most one in "
            "10 s, five in a run. Costs 1 to 3 %, and a capture some tenths of a second of a processor.",
            say,
        )
        self.capture_when = self._field(self.captures, "p99.9 process_order > 1ms", "When to capture")
        self.capture_when.setToolTip("p99.9 NAME > 1ms, max NAME > 1ms, slow NAME, or a counter: CPU > 180")
        layout = column(spacing=8)
        for line in (
            self.probe,
            self.own_lines,
            self.log,
            self.hlog,
            self.prometheus,
            self.query,
            self.counters,
            self.simulated,
            self.process,
            self.cpu,
            self.continuous,
            self.captures,
            self.syscalls,
        ):
            layout.addWidget(line)
        layout.addStretch()
        self.setLayout(layout)
        self.functions.chosen_changed.connect(self._functions_changed)
        self.show_launch(False)

    def _path(self, line: _Line, placeholder: str, title: str) -> QLineEdit:
        field = QLineEdit()
        field.setProperty("face", "mono")
        field.setPlaceholderText(placeholder)
        field.setAccessibleName(placeholder)
        field.textEdited.connect(lambda _text: self.changed.emit())

        def take(path: object) -> None:
            field.setText(str(path))
            self.changed.emit()

        choose = icon_button("folder-open", lambda: choose_program(self, title, take), tip=title)
        holder = QWidget()
        beside = row(spacing=4)
        beside.addWidget(field, 1)
        beside.addWidget(choose)
        holder.setLayout(beside)
        line.add(holder)
        return field

    def _field(self, line: _Line, placeholder: str, name: str) -> QLineEdit:
        field = QLineEdit()
        field.setProperty("face", "mono")
        field.setPlaceholderText(placeholder)
        field.setAccessibleName(name)
        field.setToolTip(name)
        field.textEdited.connect(lambda _text: self.changed.emit())
        line.add(field)
        return field

    def _functions_changed(self) -> None:
        if self.functions.chosen and not self.probe.box.isChecked():
            self.probe.box.setChecked(True)
        else:
            self.changed.emit()

    def show_launch(self, launch: bool) -> None:
        """The lines that make sense for a program that is launched, or attached to."""
        self.own_lines.setVisible(launch)
        self.simulated.setVisible(launch)

    @property
    def draft(self) -> SourcesDraft:
        shown = not self.own_lines.isHidden()
        functions = self.functions
        return SourcesDraft(
            functions=functions.chosen if self.probe.on else (),
            accepted_unwinding=functions.accepted,
            cost_limit_percent=functions.limit_percent,
            slow_above=(self.slow_above.text().strip() or self.slow_above.placeholderText())
            if self.probe.on and self.slow.isChecked()
            else "",
            capture_when=self.capture_when.text().strip() if self.captures.on else "",
            own_lines=self.own_lines.on and shown,
            log=self.log_path.text().strip() if self.log.on else "",
            hlog=self.hlog_path.text().strip() if self.hlog.on else "",
            url=(self.url.text().strip() or self.url.placeholderText()) if self.prometheus.on else "",
            server=(self.server.text().strip() or self.server.placeholderText()) if self.query.on else "",
            query=self.promql.text().strip() if self.query.on else "",
            counters=self.counters.on,
            simulated=self.simulated.on and shown,
            process=self.process.on,
            cpu=self.cpu.on,
            slices=self.slices.draft if self.continuous.on else None,
            syscalls=self.syscalls.on,
        )
