"""A recording while it runs and after: how far it is, what the process tree uses, what the program says."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QAction, QGuiApplication, QKeySequence
from PySide6.QtWidgets import QProgressBar, QSplitter, QStackedWidget, QWidget

from tailflame import units
from tailflame.errors import TailflameError
from tailflame_gui import icons, theme
from tailflame_gui.actions import describe
from tailflame_gui.record_model import FileRow, Observation, RequestRow, RunHead
from tailflame_gui.rows import EndRow, OutputRow, ProgressRow
from tailflame_gui.views.run_files import RunFiles
from tailflame_gui.widgets.live_plot import Line, LivePlots, Strip
from tailflame_gui.widgets.output_console import OutputConsole
from tailflame_gui.widgets.parts import ActionButton, ElidedLabel, Icon, button, clear, column, icon_button, label, row


def _count(value: float) -> str:
    return units.count(round(value)) if value >= 10 or float(value).is_integer() else f"{value:.1f}"


STRIPS = (
    Strip(
        "CPU",
        "% of one CPU",
        (Line("cpu_percent", ""),),
        lambda v: f"{v:.0f}%",
        100.0,
        "CPU time of the program and its children, all threads together: 200% is two busy CPUs.",
    ),
    Strip(
        "Memory",
        "resident",
        (Line("rss", ""),),
        units.size,
        1e6,
        "Resident memory of all processes; pages they share count in each.",
    ),
    Strip("Threads", "living", (Line("threads", ""),), lambda v: f"{v:.0f}", 2.0, "Of all processes together."),
    Strip(
        "Context switches",
        "per second",
        (Line("voluntary", "voluntary"), Line("involuntary", "involuntary", "more", dashed=True)),
        _count,
        10.0,
        "Voluntary: a thread waited. Involuntary: the kernel took the CPU away from one that was not done.",
    ),
    Strip(
        "Page faults",
        "per second",
        (Line("minor_faults", "minor"), Line("major_faults", "major", "more", dashed=True)),
        _count,
        10.0,
        "Minor: the page was in memory. Major: it had to be read from a disk.",
    ),
    Strip(
        "Disk I/O",
        "per second",
        (Line("read_bytes", "read"), Line("write_bytes", "written", "more", dashed=True)),
        units.size,
        1e3,
        "Bytes read from and written to storage, as the kernel counts them.",
    ),
)
_IO = ("read_bytes", "write_bytes")
_REQUEST_KEYS = ("F9", "F10", "F11", "F12")


class Figure(QWidget):
    """A figure under a word."""

    def __init__(self, words: str, *, wide: int = 104, rank: str = "title") -> None:
        super().__init__()
        self._words = label(words, "small")
        self._value = label("—", rank, mono=True)
        self._value.setMinimumWidth(wide)
        lines = column(spacing=0)
        lines.addWidget(self._words)
        lines.addWidget(self._value)
        self.setLayout(lines)

    def show_value(self, text: str, *, words: str = "", warn: bool = False) -> None:
        self._value.setText(text)
        style = f"color: {theme.current().warn.name()};" if warn else ""
        if style != self._value.styleSheet():  # it is expensive, and this is called at the pace of the screen
            self._value.setStyleSheet(style)
        if words:
            self._words.setText(words)
        self.setAccessibleName(f"{self._words.text()}: {text}")

    @property
    def text(self) -> str:
        return self._value.text()

    @property
    def words(self) -> str:
        return self._words.text()


class RecordingView(QWidget):
    """stop_requested, cancel_requested and cancel_all_requested (they have been asked about here), again_requested,
    show_requested (the result), asked(name of a request: a snapshot now), file_open_requested(path).

    `head` holds title, outcome and buttons; the page puts it where its own head is.
    """

    stop_requested = Signal()
    cancel_requested = Signal()
    cancel_all_requested = Signal()
    asked = Signal(str)
    file_open_requested = Signal(object)
    again_requested = Signal()
    show_requested = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._running = False
        self._head: RunHead | None = None
        self.elapsed = Figure("elapsed", wide=96)
        self.left = Figure("left", wide=96)
        self.samples = Figure("samples", wide=112)
        self.bytes = Figure("written", wide=96)
        self.lost = Figure("lost", wide=56)
        self.cost = Figure("our own cost, of one CPU", wide=168, rank="")
        self._mark = Icon("circle-dot", "accent")
        self._title = label("", "title")
        self._sentence = ElidedLabel("", "second")
        self.bar = QProgressBar()
        self.bar.setTextVisible(False)
        self.bar.setFixedHeight(4)
        keeps = self.bar.sizePolicy()
        keeps.setRetainSizeWhenHidden(True)
        self.bar.setSizePolicy(keeps)
        self.stop = button("Stop", self.stop_requested.emit, rank="primary", icon="square")
        self.cancel = button("Cancel…", self.ask_cancel, icon="ban")
        self.cancel_all = button("Cancel all…", self.ask_cancel_all, icon="x")
        self.cancel_all.setToolTip("End the queue: what runs is thrown away, what was kept stays, nothing else starts.")
        self._keys = {"stop": "", "cancel": "", "again": ""}
        self._all = False
        self._requests: list[QAction] = []
        self._request_row = row(spacing=8)
        self.files = RunFiles()
        self.files.open_requested.connect(self.file_open_requested)
        self.show_result = button("Show the result", self.show_requested.emit, rank="primary", icon="flame")
        self.again = button("Record again", self.again_requested.emit, icon="rotate-ccw")
        self._ask = self._build_question()
        self.command = ElidedLabel("", "small", mono=True, mode=Qt.TextElideMode.ElideMiddle)
        self.copy = icon_button("copy", self._copy_command, tip="Copy the command as it was run")
        self.plots = LivePlots(STRIPS)
        self.plots.setToolTip("")
        self.console = OutputConsole()
        self._build()
        self.show_keys()
        self._show_buttons()

    def _build_question(self) -> QWidget:
        ask = QWidget()
        line = row(spacing=8)
        line.addStretch()
        self.question = label("Throw this recording away?")
        line.addWidget(Icon("triangle-alert", "warn"))
        line.addWidget(self.question)
        self.drop = button("Throw it away", self._drop, icon="trash-2")
        self.keep = button("Keep recording", self._keep)
        line.addWidget(self.drop)
        line.addWidget(self.keep)
        ask.setLayout(line)
        return ask

    def _build(self) -> None:
        buttons = QWidget()
        line = row(spacing=8)
        line.addStretch()
        for made in (self.stop, self.cancel, self.cancel_all, self.show_result, self.again):
            line.addWidget(made)
        buttons.setLayout(line)
        self._side = QStackedWidget()
        self._side.addWidget(buttons)
        self._side.addWidget(self._ask)
        self.head = QWidget()
        head = row(spacing=8)
        head.addWidget(self._mark)
        head.addWidget(self._title)
        head.addWidget(self._sentence, 1)
        head.addWidget(self._side)
        self.head.setLayout(head)
        figures = row(margins=(16, 8, 16, 4), spacing=24)
        for figure in (self.elapsed, self.left, self.samples, self.bytes, self.lost):
            figures.addWidget(figure)
        figures.addStretch()
        figures.addLayout(self._request_row)
        figures.addWidget(self.cost)
        ran = row(margins=(16, 0, 12, 6), spacing=4)
        ran.addWidget(self.command, 1)
        ran.addWidget(self.copy)
        plots = QWidget()
        plots.setProperty("surface", "surface")
        plots.setProperty("edge", "top")
        plots.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        inside = column(margins=(0, 1, 0, 0), spacing=0)
        inside.addWidget(self.plots)
        plots.setLayout(inside)
        self.console.setMinimumHeight(96)
        self._split = QSplitter(Qt.Orientation.Vertical)
        self._split.setChildrenCollapsible(False)
        self._split.addWidget(plots)
        below = QSplitter(Qt.Orientation.Horizontal)
        below.setChildrenCollapsible(False)
        below.addWidget(self.console)
        below.addWidget(self.files)
        below.setStretchFactor(0, 3)
        below.setStretchFactor(1, 2)
        self._split.addWidget(below)
        self._split.setStretchFactor(0, 3)
        self._split.setStretchFactor(1, 2)
        self._split.setSizes([384, 192])
        layout = column(spacing=0)
        layout.addLayout(figures)
        layout.addLayout(ran)
        layout.addWidget(self.bar)
        layout.addWidget(self._split, 1)
        self.setLayout(layout)

    def show_keys(self, *, stop: str = "", cancel: str = "", again: str = "") -> None:
        """The keys that the window gives to the buttons, for their tips."""
        self._keys = {"stop": stop, "cancel": cancel, "again": again}
        if self._head is not None and self._head.attached:
            ends, drops = "Let go of the program, which runs on, and keep what was recorded.", "Let go of the program"
        else:
            ends, drops = "End the program politely (SIGTERM) and keep what was recorded.", "End the program"
        self.stop.setToolTip(f"{ends}  {stop}".rstrip())
        self.cancel.setToolTip(f"{drops} and throw the recording away.  {cancel}".rstrip())
        self.again.setToolTip(f"Record once more with the same settings.  {again}".rstrip())

    # A recording

    def begin(self, head: RunHead) -> None:
        """A new recording: everything of the last one is gone."""
        self._head = head
        self._running = True
        self.plots.clear(whole_s=head.duration_s)
        self.console.clear()
        self._title.setText(f"{head.place}: {head.title}" if head.place else head.title)
        self.stop.setText("Detach" if head.attached else "Stop")
        self.show_keys(**self._keys)
        self._offer_requests(head.requests)
        self.files.clear()
        self.command.set_text(head.command_line)
        self._say("building" if head.builds_first else "starting", mark=("circle-dot", "accent"))
        for figure in (self.elapsed, self.samples, self.bytes, self.lost, self.cost):
            figure.show_value("—")
        self.samples.setVisible(head.samples)
        self.lost.setVisible(head.samples)
        self.samples.show_value("—", words="samples")
        self.left.show_value("—", words="left" if head.duration_s is not None else "until it ends")
        self._rest()
        self._side.setCurrentIndex(0)
        self._show_buttons()
        # Not on a button: a stray key must neither stop nor drop it.
        self.console.text.setFocus(Qt.FocusReason.OtherFocusReason)

    def _offer_requests(self, requests: Sequence[RequestRow]) -> None:
        """A button with a key for each thing that can be asked for while it runs."""
        clear(self._request_row)
        for action in self._requests:
            self.removeAction(action)
            action.deleteLater()
        self._requests = []
        for at, request in enumerate(requests):
            action = QAction(icons.icon("focus"), request.title, self)
            action.setProperty("glyph", "focus")
            action.setProperty("group", "Record")
            if at < len(_REQUEST_KEYS):
                action.setShortcut(QKeySequence(_REQUEST_KEYS[at]))
            describe(action, request.tip)
            action.triggered.connect(lambda _=False, name=request.name: self.asked.emit(name))
            self.addAction(action)
            self._requests.append(action)
            self._request_row.addWidget(ActionButton(action))

    @property
    def requests(self) -> tuple[QAction, ...]:
        """What can be asked for while it runs."""
        return tuple(self._requests)

    def show_files(self, files: Sequence[FileRow]) -> None:
        """Files that appeared."""
        self.files.add(files)

    @property
    def running(self) -> bool:
        return self._running

    def show_progress(self, progress: ProgressRow) -> None:
        if not self._running:
            return
        self._say(progress.step or _STAGES.get(progress.stage, progress.stage))
        self.elapsed.show_value(_clock(progress.elapsed_s))
        remaining = progress.remaining_s
        self.left.show_value("—" if remaining is None else _clock(remaining))
        about, samples, lost = progress.samples_are_estimate, progress.samples, progress.lost
        self.samples.setVisible(samples is not None)
        self.lost.setVisible(lost is not None)
        if samples is not None:
            words = "samples, estimate" if about else "samples"
            self.samples.show_value(f"{'≈ ' if about else ''}{units.count(samples)}", words=words)
        if lost is not None:
            self.lost.show_value(units.count(lost), warn=lost > 0)
        # valgrind writes everything at its end: until then there is nothing to tell.
        self.bytes.show_value(units.size(progress.bytes) if samples is not None or progress.bytes else "—")
        if progress.stage in ("building", "finishing"):
            self._wait()
        elif remaining is not None and progress.elapsed_s + remaining > 0:
            self.bar.setRange(0, 1000)
            self.bar.setValue(round(1000 * progress.elapsed_s / (progress.elapsed_s + remaining)))
            self.bar.show()
        else:
            self._rest()

    def show_observed(self, observations: Sequence[Observation]) -> None:
        if not observations:
            return
        newest = observations[-1]
        self.plots.add(
            [(seen.time_s, {key: getattr(seen, key) for key in self.plots.keys}) for seen in observations],
            unknown={} if newest.io_permitted else dict.fromkeys(_IO, "not permitted"),
        )

    def show_output(self, outputs: Sequence[OutputRow]) -> None:
        for output in outputs:
            self.console.feed(output.stream, output.text)

    def show_cost(self, text: str) -> None:
        """What this window and the tool use, of one CPU."""
        self.cost.show_value(text)

    def show_end(self, end: EndRow) -> None:
        """The target has ended; what it left is being read, unless it was cancelled."""
        self.console.end()
        if end.cancelled:
            self._rest()
        else:
            self._wait()
        sentence = f"{end.sentence}; nothing was kept" if end.cancelled else end.sentence
        notes = " ".join(end.notes)
        mark = ("triangle-alert", "warn") if end.crashed else ("circle-check", "good")
        self._over(f"{sentence}. {notes}".strip(), mark=("ban", "second") if end.cancelled else mark)

    def show_kept(self) -> None:
        """The result is open."""
        self._rest()
        self._show_buttons(result=True)

    def show_rest(self) -> None:
        """Nothing is waited for any more."""
        self._rest()

    def show_failed(self, error: TailflameError) -> None:
        """Nothing could be recorded, or what was recorded cannot be read."""
        self.console.end()
        self._over(error.sentence, mark=("octagon-alert", "bad"))
        self._rest()

    def ask_cancel(self) -> None:
        """Asks in place whether to throw the recording away."""
        if self._running:
            self._all = False
            self._ask_it(f"Throw {self.elapsed.text} of recording away?" if self._timed else "Throw it away?")

    def ask_cancel_all(self) -> None:
        """Asks in place whether to end the queue."""
        if self._running:
            self._all = True
            self._ask_it("Throw this one away and start none of the others?")

    def _ask_it(self, question: str) -> None:
        self.question.setText(question)
        self._side.setCurrentIndex(1)
        self.keep.setFocus(Qt.FocusReason.OtherFocusReason)

    @property
    def asking(self) -> bool:
        return self._side.currentIndex() == 1

    @property
    def sentence(self) -> str:
        """What stands beside the title: the stage, then the outcome."""
        return self._sentence.whole

    @property
    def _timed(self) -> bool:
        return self.elapsed.text != "—"

    def _drop(self) -> None:
        self._side.setCurrentIndex(0)
        (self.cancel_all_requested if self._all else self.cancel_requested).emit()

    def _keep(self) -> None:
        self._side.setCurrentIndex(0)
        self.stop.setFocus(Qt.FocusReason.OtherFocusReason)

    def _over(self, sentence: str, *, mark: tuple[str, str]) -> None:
        self._running = False
        self._say(sentence, mark=mark)
        self._side.setCurrentIndex(0)
        self.left.show_value("—")
        self._show_buttons()

    def _rest(self) -> None:
        """No bar: there is no end in sight to come nearer to."""
        self.bar.hide()

    def _wait(self) -> None:
        """A wait of unknown length, in which nothing else moves."""
        self.bar.setRange(0, 0)
        self.bar.show()

    def _say(self, sentence: str, *, mark: tuple[str, str] | None = None) -> None:
        self._sentence.set_text(sentence)
        if mark is not None:
            self._mark.set_icon(*mark)
        self.setAccessibleName(f"{self._title.text()}: {sentence}")

    def _show_buttons(self, *, result: bool = False) -> None:
        self.stop.setVisible(self._running)
        self.cancel.setVisible(self._running)
        self.cancel_all.setVisible(self._running and bool(self._head and self._head.place))
        for action in self._requests:
            action.setVisible(self._running)
            action.setEnabled(self._running)
        for at in range(self._request_row.count()):
            item = self._request_row.itemAt(at)
            widget = item.widget() if item is not None else None
            if widget is not None:
                widget.setVisible(self._running)
        self.show_result.setVisible(result)
        self.again.setVisible(not self._running)

    def _copy_command(self) -> None:
        QGuiApplication.clipboard().setText(self.command.whole)


_STAGES = {
    "starting": "the tool starts the program",
    "building": "cargo builds the program",
    "recording": "recording",
    "stopping": "the program was asked to end",
    "finishing": "the program has ended, the tool writes what it holds",
}


def _clock(seconds: float) -> str:
    """00:12.3, 1:02:03."""
    whole = int(seconds)
    if whole >= 3600:
        return f"{whole // 3600}:{whole % 3600 // 60:02d}:{whole % 60:02d}"
    return f"{whole // 60:02d}:{whole % 60:02d}.{int(seconds * 10) % 10}"
