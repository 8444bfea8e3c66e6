"""What to look at while it runs: the program, launched or attached to, and the sources."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QShowEvent
from PySide6.QtWidgets import QFrame, QLineEdit, QScrollArea, QStackedWidget, QWidget

from tailflame.host.running import RunningProcess
from tailflame_gui.dialogs.files import choose_folder, choose_program
from tailflame_gui.live_model import LiveDraft
from tailflame_gui.views.process_picker import ProcessPicker
from tailflame_gui.views.sources_form import SourcesForm
from tailflame_gui.widgets.caution_lines import CautionLines
from tailflame_gui.widgets.few_lines import FewLines
from tailflame_gui.widgets.form import Form
from tailflame_gui.widgets.parts import button, column, hairline, icon_button, label, row
from tailflame_gui.widgets.segmented import Segmented

_SOURCES_WIDE = 472


class How(StrEnum):
    ATTACH = "attach"
    LAUNCH = "launch"


class LiveSetup(QWidget):
    """changed(): the draft is another one. program_changed(): other functions can be chosen.
    start_requested(): look at it now. probes_requested(): by bpftrace recipes instead.
    """

    changed = Signal()
    program_changed = Signal()
    start_requested = Signal()
    probes_requested = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._process: RunningProcess | None = None
        self.how = Segmented(
            (
                (How.ATTACH, "Attach", "Look at a program that runs already, and leave it as it was."),
                (How.LAUNCH, "Launch", "Start a program stopped, arm everything, then let it run."),
            )
        )
        self.picker = ProcessPicker()
        self.binary, self.arguments, self.directory = QLineEdit(), QLineEdit(), QLineEdit()
        self.sources = SourcesForm()
        self.cautions = CautionLines()
        self.note = FewLines(2)
        self.start = button("Attach", self.start_requested.emit, rank="primary", icon="activity")
        self._ways = QStackedWidget()
        self._ways.addWidget(self.picker)
        self._ways.addWidget(self._launch_form())
        self._arrange()
        self._connect()
        self.show_ready()

    def _launch_form(self) -> QWidget:
        form = Form()
        for field, placeholder, tip in (
            (self.binary, "Drop, choose or type", "The program to start."),
            (self.arguments, "none", "Split as a shell does, quotes and all; no shell ever runs them."),
            (self.directory, "where Tailflame was started", "The folder that the program starts in."),
        ):
            field.setProperty("face", "mono")
            field.setPlaceholderText(placeholder)
            field.setToolTip(tip)
        choose = icon_button("folder-open", self._choose_binary, tip="Choose the program")
        folder = icon_button("folder-open", self._choose_folder, tip="Choose the folder")
        form.line("Binary", _with(self.binary, choose))
        form.line("Arguments", self.arguments)
        form.line("Directory", _with(self.directory, folder))
        holder = QWidget()
        inside = column(margins=(16, 12, 16, 12), spacing=12)
        inside.addLayout(form)
        inside.addWidget(
            label(
                "The program is started stopped; probes, counters and recorders are armed, and then it runs: "
                "nothing of its first second is missed.",
                "small",
                wrap=True,
            )
        )
        inside.addStretch()
        holder.setLayout(inside)
        return holder

    def _arrange(self) -> None:
        head = row(margins=(16, 8, 16, 8), spacing=16)
        head.addWidget(label("Live", "title"))
        head.addWidget(self.how)
        head.addStretch()
        probes = button("Probes…", self.probes_requested.emit, rank="quiet", icon="code")
        probes.setToolTip(
            "Ask the kernel one question about a program: waits, faults, system calls, calls of a function."
        )
        head.addWidget(probes)
        scroll = QScrollArea()
        scroll.setWidgetResizable(True)
        scroll.setFrameShape(QFrame.Shape.NoFrame)
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        inside = QWidget()
        fields = column(margins=(16, 12, 16, 12), spacing=8)
        fields.addWidget(label("What to look at", "heading"))
        fields.addWidget(self.sources, 1)
        inside.setLayout(fields)
        scroll.setWidget(inside)
        scroll.setFixedWidth(_SOURCES_WIDE)
        middle = row(spacing=0)
        middle.addWidget(self._ways, 1)
        middle.addWidget(hairline(vertical=True))
        middle.addWidget(scroll)
        words = column(spacing=4)
        words.addWidget(self.cautions)
        words.addWidget(self.note)
        foot = row(margins=(16, 8, 16, 8), spacing=16)
        foot.addLayout(words, 1)
        foot.addWidget(self.start, 0, Qt.AlignmentFlag.AlignBottom)
        layout = column(spacing=0)
        layout.addLayout(head)
        layout.addWidget(hairline())
        layout.addLayout(middle, 1)
        layout.addWidget(hairline())
        layout.addLayout(foot)
        self.setLayout(layout)
        self.setFocusProxy(self.picker)

    def _connect(self) -> None:
        self.how.chosen.connect(self._how_changed)
        self.picker.selected.connect(self._picked)
        self.picker.chosen.connect(self._attach_to)
        self.binary.editingFinished.connect(self._binary_settled)
        self.binary.textEdited.connect(lambda _text: self._edited())
        self.arguments.textEdited.connect(lambda _text: self._edited())
        self.directory.textEdited.connect(lambda _text: self._edited())
        self.sources.changed.connect(self._edited)
        self._settled = ""

    # What stands in it

    @property
    def launch(self) -> bool:
        return self.how.choice is How.LAUNCH

    @property
    def draft(self) -> LiveDraft:
        return LiveDraft(
            launch=self.launch,
            process=None if self.launch else self._process,
            binary=self.binary.text().strip(),
            arguments=self.arguments.text(),
            directory=self.directory.text().strip(),
            sources=self.sources.draft,
        )

    def show_program(self, binary: str, *, arguments: str = "", directory: str = "") -> None:
        """Offers a program to launch."""
        self.binary.setText(binary)
        self.arguments.setText(arguments)
        self.directory.setText(directory)
        self.how.choose(How.LAUNCH)
        self._how_changed()

    def show_attach(self) -> None:
        self.how.choose(How.ATTACH)
        self._how_changed()

    def show_ready(self, *, note: str = "", blocked: str = "") -> None:
        """`blocked` says why it cannot start yet; `note` what is worth knowing."""
        subject = self.draft.subject
        verb = "Launch" if self.launch else "Attach to"
        self.start.setText(f"{verb} {subject}" if subject else verb.removesuffix(" to"))
        self.start.setEnabled(bool(subject) and not blocked)
        hint = "Choose a process." if not self.launch else "Choose a program to start."
        self.note.set_text(blocked or note or ("" if subject else hint))
        self.start.setToolTip(blocked or "Everything seen is kept as a session.")

    # What the user does

    def _how_changed(self, _how: object = None) -> None:
        self._ways.setCurrentIndex(1 if self.launch else 0)
        self.sources.show_launch(self.launch)
        self.setFocusProxy(self.binary if self.launch else self.picker)
        self.sources.functions.forget()
        self.program_changed.emit()
        self._edited()

    def _picked(self, process: RunningProcess | None) -> None:
        before = self._process.identity if self._process is not None else None
        self._process = process
        if (process.identity if process is not None else None) != before:
            self.sources.functions.forget()
            self.program_changed.emit()
        self._edited()

    def _attach_to(self, process: RunningProcess) -> None:
        self._picked(process)
        if self.start.isEnabled():
            self.start_requested.emit()

    def _binary_settled(self) -> None:
        path = self.binary.text().strip()
        if path != self._settled:
            self._settled = path
            self.sources.functions.forget()
            self.program_changed.emit()

    def _choose_binary(self) -> None:
        def take(path: object) -> None:
            self.binary.setText(str(path))
            self._binary_settled()
            self._edited()

        choose_program(self, "Choose the program to start", take)

    def _choose_folder(self) -> None:
        def take(path: object) -> None:
            self.directory.setText(str(path))
            self._edited()

        choose_folder(self, "The folder that the program starts in", Path(self.directory.text() or "."), take)

    def _edited(self) -> None:
        self.show_ready()
        self.changed.emit()

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self.show_ready()


def _with(field: QWidget, choose: QWidget) -> QWidget:
    holder = QWidget()
    line = row(spacing=4)
    line.addWidget(field, 1)
    line.addWidget(choose)
    holder.setLayout(line)
    return holder
