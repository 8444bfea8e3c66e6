"""What to record: a program with its arguments, folder, environment and duration, one that runs already, or a target
of a cargo project.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QSignalBlocker, QSize, QStringListModel, Qt, Signal
from PySide6.QtWidgets import QComboBox, QCompleter, QDoubleSpinBox, QLineEdit, QListWidget, QListWidgetItem, QWidget

from tailflame_gui import icons, plain, theme
from tailflame_gui.dialogs.files import choose_folder, choose_program
from tailflame_gui.record_model import (
    MAX_DURATION_S,
    MIN_DURATION_S,
    CargoChoice,
    Choice,
    ProjectChoice,
    TargetDraft,
    split,
)
from tailflame_gui.widgets.choice_bar import ChoiceBar
from tailflame_gui.widgets.env_editor import EnvEditor
from tailflame_gui.widgets.few_lines import FewLines
from tailflame_gui.widgets.form import Form, inset
from tailflame_gui.widgets.parts import column, icon_button, row, set_rank
from tailflame_gui.widgets.preset_bar import PresetBar

if TYPE_CHECKING:
    from tailflame.host.running import RunningProcess
    from tailflame_gui.views.process_picker import ProcessPicker

UNTIL, FOR = "until", "for"
_LASTS = (
    Choice(UNTIL, "Until it ends", "Until the program ends, or you stop it."),
    Choice(FOR, "For", "The program is asked to end (SIGTERM) after this time."),
)
START, ATTACH = "start", "attach"
_WAYS = (
    Choice(START, "Start it", "Start a program under the tool."),
    Choice(ATTACH, "Attach", "Look into a program that runs already; it runs on afterwards."),
)
_PICKER_COLUMNS = ("Name", "PID", "Command")
"""What there is room for in this form."""
_PICKER_HEIGHT = 280
_KINDS = {
    "bin": ("binary", "binary"),
    "example": ("book-open", "example"),
    "test": ("circle-check", "test"),
    "bench": ("timer", "bench"),
    "unit-test": ("circle-check", "unit tests"),
}
_LASTS_ATTACHED = (
    Choice(UNTIL, "Until it ends", "Until the program ends, or you detach."),
    Choice(FOR, "For", "The tool lets go of the program after this time; it runs on."),
)
DEFAULT_DURATION_S = 10.0


class TargetForm(QWidget):
    """changed(): some field is another one. binary_chosen(path), project_chosen(folder): it was taken from a list, a
    dialog, or typed to its end. completions_wanted(text): what paths begin so?
    """

    changed = Signal()
    binary_chosen = Signal(str)
    project_chosen = Signal(str)
    completions_wanted = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self._in_project = False
        self._can_start, self._can_attach = True, False
        self._process: RunningProcess | None = None
        self._picker: ProcessPicker | None = None
        self._chosen = ""
        self._cargo: tuple[CargoChoice, ...] = ()
        self._wanted = CargoChoice("bin", "")
        self._build_binary()
        self._build_project()
        self._build_rest()
        self.presets = PresetBar()
        self.ways = ChoiceBar("Start a program or attach to one", _WAYS)
        self.ways.choose(START)
        self.ways.chosen.connect(lambda _value: self._way_changed())
        self._picker_place = QWidget()
        self._picker_place.setLayout(column(spacing=0))
        form = Form()
        form.line("Program", self.ways, name="ways")
        form.whole(self._picker_place, name="process")
        form.line("Binary", self._with(self.binary, self._choose), name="binary")
        form.line("", self.facts, name="facts")
        form.line("Project", self._with(self.project, self._choose_project), name="project")
        form.line("Target", self.targets, name="targets", top=True)
        form.line("Profile", self._profile_row, name="profile")
        form.line("Arguments", self.arguments, name="arguments")
        form.line("", self.words, name="words")
        form.line("Directory", self._with(self.directory, self._choose_directory), name="directory")
        form.line("Environment", self.environment, name="environment", top=True)
        form.line("Record", self._lasting)
        form.line("Preset", self.presets)
        self._form = form
        layout = column(spacing=0)
        layout.addLayout(form)
        layout.addStretch()
        self.setLayout(layout)
        self.setFocusProxy(self.binary)
        self.show_tool(in_project=False)
        self._say_words()

    # Building

    def _build_binary(self) -> None:
        self.binary = QComboBox()
        self.binary.setEditable(True)
        self.binary.setInsertPolicy(QComboBox.InsertPolicy.NoInsert)
        self.binary.setMinimumContentsLength(8)
        self.binary.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.binary.setToolTip("The program to record: type its path, choose it, or drop it on the window.")
        line = self.binary.lineEdit()
        assert line is not None  # it is editable
        self._line = line
        self._line.setPlaceholderText("Drop, choose or type")
        self.binary.setStyleSheet(f'QComboBox {{ font-family: "{theme.MONO_FAMILY}"; }}')
        self._paths = QStringListModel(self)
        completer = QCompleter(self._paths, self)
        completer.setCompletionMode(QCompleter.CompletionMode.PopupCompletion)
        completer.setCaseSensitivity(Qt.CaseSensitivity.CaseSensitive)
        self.binary.setCompleter(completer)
        completer.activated.connect(lambda _text: self._settle())
        self._line.textEdited.connect(self._typed)
        self._line.editingFinished.connect(self._settle)
        self.binary.activated.connect(lambda _at: self._settle())
        self._choose = icon_button("folder-open", self.choose_binary, tip="Choose the program")
        self.facts = FewLines(2)

    def _build_project(self) -> None:
        self.project = QLineEdit()
        self.project.setProperty("face", "mono")
        self.project.setPlaceholderText("The folder with Cargo.toml")
        self.project.editingFinished.connect(self._project_settled)
        self._choose_project = icon_button("folder-open", self.choose_project, tip="Choose the project's folder")
        self.targets = QListWidget()
        self.targets.setFixedHeight(104)
        self.targets.setIconSize(QSize(icons.SIZE, icons.SIZE))
        self.targets.setAccessibleName("Target of the project")
        self.targets.setToolTip("What cargo flamegraph builds and runs.")
        self.targets.currentRowChanged.connect(self._target_taken)
        self.profile = QComboBox()
        self.profile.setToolTip("The cargo profile to build with; it needs debug symbols to name functions.")
        self.profile.currentIndexChanged.connect(lambda _at: self.changed.emit())
        self.profile.addItem("its own choice", "")
        self.features = QLineEdit()
        self.features.setProperty("face", "mono")
        self.features.setPlaceholderText("features")
        self.features.setToolTip("Cargo features to switch on, separated by commas.")
        self.features.textEdited.connect(lambda _text: self.changed.emit())
        self._profile_row = row(spacing=8)
        self._profile_row.addWidget(self.profile, 1)
        self._profile_row.addWidget(self.features, 1)

    def _build_rest(self) -> None:
        self.arguments = QLineEdit()
        self.arguments.setProperty("face", "mono")
        self.arguments.setPlaceholderText("none")
        self.arguments.setToolTip("Split as a shell does, quotes and all; no shell ever runs them.")
        self.arguments.textChanged.connect(lambda _text: self._say_words())
        self.arguments.textEdited.connect(lambda _text: self.changed.emit())
        self.words = FewLines(2, mono=True)
        self.directory = QLineEdit()
        self.directory.setProperty("face", "mono")
        self.directory.setToolTip("The folder that the program starts in.")
        self.directory.textEdited.connect(lambda _text: self.changed.emit())
        self._choose_directory = icon_button("folder-open", self.choose_directory, tip="Choose the folder")
        self.environment = EnvEditor()
        self.environment.setFixedHeight(104)
        self.environment.changed.connect(self.changed)
        self.lasts = ChoiceBar("How long", _LASTS)
        self.lasts.choose(UNTIL)
        self.lasts.chosen.connect(lambda _value: self._lasts_changed())
        self.seconds = QDoubleSpinBox()
        self.seconds.setRange(MIN_DURATION_S, MAX_DURATION_S)
        self.seconds.setDecimals(1)
        self.seconds.setValue(DEFAULT_DURATION_S)
        self.seconds.setSuffix(" s")
        self.seconds.setFixedWidth(88)
        inset(self.seconds)
        self.seconds.setAccessibleName("Seconds to record")
        self.seconds.valueChanged.connect(lambda _value: self.changed.emit())
        self._lasting = row(spacing=8)
        self._lasting.addWidget(self.lasts)
        self._lasting.addWidget(self.seconds)
        self._lasting.addStretch()
        self._lasts_changed(quiet=True)

    def _with(self, field: QWidget, choose: QWidget) -> QWidget:
        holder = QWidget()
        line = row(spacing=4)
        line.addWidget(field, 1)
        line.addWidget(choose)
        holder.setLayout(line)
        return holder

    # What stands in it

    @property
    def draft(self) -> TargetDraft:
        if self.attaching:
            return self._attached()
        return TargetDraft(
            binary=self._line.text().strip(),
            arguments=self.arguments.text(),
            directory=self.directory.text().strip(),
            environment=self.environment.pairs,
            duration_s=self.seconds.value() if self.lasts.value == FOR else None,
            project=self.project.text().strip(),
            cargo_kind=self._wanted.kind,
            cargo_name=self._wanted.name,
            cargo_package=self._wanted.package,
        )

    @property
    def attaching(self) -> bool:
        """A running program is asked for."""
        return self._can_attach and (self.ways.value == ATTACH or not self._can_start)

    def _attached(self) -> TargetDraft:
        process = self._process
        return TargetDraft(
            binary=str(process.binary or process.image) if process is not None else "",
            arguments=shlex.join(process.command[1:]) if process is not None else "",
            duration_s=self.seconds.value() if self.lasts.value == FOR else None,
            pid=process.pid if process is not None else None,
            attach=True,
        )

    @property
    def picker(self) -> ProcessPicker:
        """The running programs; made when they are first asked for."""
        if self._picker is None:
            from tailflame_gui.views.process_picker import ProcessPicker

            self._picker = made = ProcessPicker()
            made.setFixedHeight(_PICKER_HEIGHT)
            for at, field in enumerate(made.view.order.sourceModel().fields):  # type: ignore[attr-defined]
                made.view.setColumnHidden(at, field.title not in _PICKER_COLUMNS)
            made.selected.connect(self._picked)
            layout = self._picker_place.layout()
            assert layout is not None
            layout.addWidget(made)
        return self._picker

    def _picked(self, process: RunningProcess | None) -> None:
        self._process = process
        self.changed.emit()

    def _way_changed(self) -> None:
        self._show_lines()
        self.changed.emit()

    def show_draft(self, draft: TargetDraft) -> None:
        """Fills the fields without announcing it."""
        with QSignalBlocker(self):
            self.ways.choose(ATTACH if draft.attach else START)
            self._show_lines()
            if draft.attach:
                self._show_duration(draft)
                return
            self._chosen = draft.binary
            self.binary.setEditText(draft.binary)
            tip = plain.tip(draft.binary) or "The program to record: type its path, choose it, or drop it."
            self.binary.setToolTip(tip)
            self.arguments.setText(draft.arguments)
            self.arguments.setCursorPosition(0)
            self.directory.setText(draft.directory)
            self.environment.set_pairs(draft.environment)
            self._show_duration(draft)
            self.project.setText(draft.project)
            self._wanted = CargoChoice(draft.cargo_kind, draft.cargo_name, draft.cargo_package)
            self._show_wanted()

    def _show_duration(self, draft: TargetDraft) -> None:
        self.lasts.choose(UNTIL if draft.duration_s is None else FOR)
        if draft.duration_s is not None:
            self.seconds.setValue(draft.duration_s)
        self._lasts_changed(quiet=True)

    def show_tool(self, *, in_project: bool, launches: bool = True, attaches: bool = False) -> None:
        """The lines that the chosen tool needs: what it can start, what it can attach to."""
        self._in_project = in_project
        self._can_start, self._can_attach = launches, attaches and not in_project
        self._show_lines()

    def _show_lines(self) -> None:
        attaching, in_project = self.attaching, self._in_project
        self._form.show_line("ways", self._can_attach and self._can_start)
        if attaching:
            self.picker.show()
        self._form.show_line("process", attaching)
        for name in ("binary", "facts", "directory"):
            self._form.show_line(name, not in_project and not attaching)
        for name in ("project", "targets", "profile"):
            self._form.show_line(name, in_project)
        for name in ("arguments", "words", "environment"):
            self._form.show_line(name, not attaching)
        self.lasts.offer(_LASTS_ATTACHED if attaching else _LASTS)
        if attaching:
            self.setFocusProxy(self.picker)
        else:
            self.setFocusProxy(self.project if in_project else self.binary)

    def is_shown(self, line: str) -> bool:
        return self._form.is_shown(line)

    def show_facts(self, facts: str, *, bad: bool = False) -> None:
        """What the binary is, in a few words."""
        self.facts.set_text(facts)
        set_rank(self.facts, "bad" if bad else "small")

    def show_start_folder(self, folder: str) -> None:
        """Where the program starts when no folder is given."""
        self.directory.setPlaceholderText(folder)

    def offer_recent(self, binaries: Sequence[str]) -> None:
        """The list of the binary field, newest first."""
        typed = self._line.text()
        with QSignalBlocker(self.binary):
            self.binary.clear()
            self.binary.addItems(list(binaries))
            for at, path in enumerate(binaries):
                self.binary.setItemData(at, plain.tip(path), Qt.ItemDataRole.ToolTipRole)
            self.binary.setEditText(typed)

    def offer_paths(self, paths: Sequence[str]) -> None:
        """Completions of what is typed."""
        self._paths.setStringList(list(paths))

    def offer_project(self, project: ProjectChoice) -> None:
        """What the project can run and how it can be built."""
        self._cargo = project.targets
        with QSignalBlocker(self.targets):
            self.targets.clear()
            for choice in project.targets:
                icon, kind = _KINDS.get(choice.kind, ("box", choice.kind))
                item = QListWidgetItem(icons.icon(icon), f"{choice.name}   {kind}")
                item.setToolTip(f"{kind} {choice.name} of the package {choice.package}")
                self.targets.addItem(item)
            if not project.targets and project.problem:
                item = QListWidgetItem(project.problem)
                item.setFlags(Qt.ItemFlag.NoItemFlags)
                item.setToolTip(project.fix)
                self.targets.addItem(item)
        with QSignalBlocker(self.profile):
            wanted = self.profile.currentData()
            self.profile.clear()
            self.profile.addItem("its own choice", "")
            for name in project.profiles:
                self.profile.addItem(name, name)
            self.profile.setCurrentIndex(max(self.profile.findData(wanted), 0))
        self._show_wanted()

    def show_build(self, profile: str, features: str) -> None:
        """The cargo profile and features, without announcing it."""
        with QSignalBlocker(self.profile):
            if self.profile.findData(profile) < 0:
                self.profile.addItem(profile, profile)
            self.profile.setCurrentIndex(self.profile.findData(profile))
        self.features.setText(features)

    @property
    def build(self) -> tuple[str, str]:
        """cargo's profile ("" for its own choice) and features."""
        return str(self.profile.currentData() or ""), self.features.text().strip()

    # What the user does

    def choose_binary(self) -> None:
        choose_program(self, "Choose the program to record", lambda path: self._take_binary(str(path)))

    def choose_project(self) -> None:
        start = Path(self.project.text() or ".")
        choose_folder(self, "The project's folder, with Cargo.toml", start, self._take_project)

    def choose_directory(self) -> None:
        start = Path(self.directory.text() or ".")
        choose_folder(self, "The folder that the program starts in", start, self._take_directory)

    def _take_binary(self, path: str) -> None:
        self.binary.setEditText(path)
        self._settle()

    def _take_project(self, folder: Path) -> None:
        self.project.setText(str(folder))
        self._project_settled()

    def _take_directory(self, folder: Path) -> None:
        self.directory.setText(str(folder))
        self.changed.emit()

    def _typed(self, text: str) -> None:
        self.completions_wanted.emit(text)
        self.changed.emit()

    def _settle(self) -> None:
        path = self._line.text().strip()
        if path and path != self._chosen:
            self._chosen = path
            self.binary_chosen.emit(path)

    def _project_settled(self) -> None:
        folder = self.project.text().strip()
        if folder:
            self.project_chosen.emit(folder)

    def _target_taken(self, at: int) -> None:
        if 0 <= at < len(self._cargo):
            self._wanted = self._cargo[at]
            self.changed.emit()

    def _show_wanted(self) -> None:
        """Marks the target that is asked for; where none is, the first."""
        same = [at for at, choice in enumerate(self._cargo) if choice == self._wanted]
        near = [at for at, choice in enumerate(self._cargo) if (choice.kind, choice.name) == self._pair]
        with QSignalBlocker(self.targets):
            if same or near:
                self.targets.setCurrentRow((same or near)[0])
                self._wanted = self._cargo[(same or near)[0]]
            elif self._cargo and not self._wanted.name:
                self.targets.setCurrentRow(0)
                self._wanted = self._cargo[0]
            else:
                self.targets.setCurrentRow(-1)

    @property
    def _pair(self) -> tuple[str, str]:
        return self._wanted.kind, self._wanted.name

    def _lasts_changed(self, *, quiet: bool = False) -> None:
        self.seconds.setEnabled(self.lasts.value == FOR)
        if not quiet:
            self.changed.emit()

    def _say_words(self) -> None:
        """What the program will get, word by word."""
        read = split(self.arguments.text())
        if read.problem:
            self.words.set_text(f"Not yet: {read.problem}.")
        elif read.note:
            self.words.set_text(read.note)
        else:
            shown = " | ".join(word if word else "(empty)" for word in read.words)
            number = f"{len(read.words)}: " if len(read.words) > 1 else ""
            self.words.set_text(f"{number}{shown}", separator=" | ")
        set_rank(self.words, "bad" if read.problem else "warn" if read.note else "small")
        bad = "bad" if read.problem else ""
        if self.arguments.property("state") != bad:
            self.arguments.setProperty("state", bad)
            self.arguments.style().unpolish(self.arguments)
            self.arguments.style().polish(self.arguments)

    def with_binary(self, path: str) -> TargetDraft:
        return replace(self.draft, binary=path)
