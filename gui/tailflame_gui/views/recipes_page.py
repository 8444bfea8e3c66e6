"""Probes: a gallery of bpftrace recipes with their forms, an editor for one's own programs, and what they see, live."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QSignalBlocker, Qt, Signal
from PySide6.QtGui import QGuiApplication, QShowEvent
from PySide6.QtWidgets import (
    QFrame,
    QLineEdit,
    QPushButton,
    QScrollArea,
    QSplitter,
    QStackedWidget,
    QWidget,
)

from tailflame.host.running import RunningProcess
from tailflame.model import Caution
from tailflame.model.maps import ProbeMaps
from tailflame.units import count, seconds
from tailflame_gui.dialogs.files import choose_files, choose_folder, choose_program, choose_target
from tailflame_gui.models.session_table import Field, RowTable
from tailflame_gui.recipes_model import OWN, Composed, How, Marked, RecipeRow, RecipesDraft
from tailflame_gui.views.field_form import FieldForm
from tailflame_gui.views.maps_view import MapsView
from tailflame_gui.views.process_picker import ProcessPicker
from tailflame_gui.views.recipes_editor import ProgramEditor
from tailflame_gui.widgets.caution_lines import CautionLines
from tailflame_gui.widgets.few_lines import FewLines
from tailflame_gui.widgets.form import Form
from tailflame_gui.widgets.parts import (
    ElidedLabel,
    button,
    column,
    hairline,
    icon_button,
    label,
    row,
    selectable,
)
from tailflame_gui.widgets.row_view import RowView
from tailflame_gui.widgets.segmented import Segmented

_LIST_WIDE, _FORM_WIDE = 236, 420
_OWN_TEXT = """\
// The most frequent system calls of the process $1, by number, each second. Ctrl+Return runs it.
tracepoint:raw_syscalls:sys_enter /pid == $1/ {
  @calls[args->id] = count();
}
interval:s:1 {
  print(@calls, 5);
}
"""


class RecipesPage(QWidget):
    """changed(): the wishes are others. start_requested(), stop_requested(). live_requested(): the recipe leads there.
    saved(path), opened(path): a program of one's own goes to a file, or comes from one.
    """

    changed = Signal()
    start_requested = Signal()
    stop_requested = Signal()
    live_requested = Signal()
    saved = Signal(object)
    opened = Signal(object)
    shown = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._rows: tuple[RecipeRow, ...] = ()
        self._recipe: RecipeRow | None = None
        self._own_text = _OWN_TEXT
        self._file: Path | None = None
        self._process: RunningProcess | None = None
        self._list = RowTable(_fields(), self)
        self.list = RowView(self._list, several=False, sortable=False)
        self.list.setFrameShape(QFrame.Shape.NoFrame)
        self.list.setAccessibleName("Recipes")
        self.list.setFixedWidth(_LIST_WIDE)
        self.title = label("", "heading")
        self.question = label("", wrap=True)
        self.cost = label("", "second", wrap=True)
        self.note = label("", "small", wrap=True)
        self.live = button(
            "Open the Live page", self.live_requested.emit, icon="activity", tip="Time the function there, to 0.8 %."
        )
        self.form = FieldForm()
        self.found = label("", "small", wrap=True)
        self.how = Segmented(
            (
                (How.ATTACH, "Attach", "Look at a program that runs already, and leave it as it was."),
                (How.LAUNCH, "Launch", "Start a program under bpftrace, as root."),
                (How.NONE, "Neither", "Look at the whole machine: the program itself says at what."),
            )
        )
        self._neither = self.how.findChildren(QPushButton)[-1]
        self.picker = ProcessPicker()
        self.picker.setMinimumHeight(240)
        self.binary, self.arguments, self.directory = QLineEdit(), QLineEdit(), QLineEdit()
        self._ways = QStackedWidget()
        self._ways.addWidget(self.picker)
        self._ways.addWidget(self._launch_form())
        neither = label("It runs until it ends by itself, or until you stop it.", "small", wrap=True)
        neither.setAlignment(Qt.AlignmentFlag.AlignTop)
        self._ways.addWidget(neither)
        self.editor = ProgramEditor()
        self.command = FewLines(2, mono=True)
        self._command_line = ""
        self.copy = icon_button(
            "copy", self._copy_command, tip="Copy the whole command, with the text, for a terminal."
        )
        self.digest = selectable(label("", "faint", wrap=True))
        self.open = button("Open…", self._open_file, rank="quiet", icon="folder-open", tip="Open a .bt file.")
        self.save = button("Save…", self._save_file, rank="quiet", icon="download", tip="Save as a .bt file.")
        self.file_name = ElidedLabel("", "faint")
        self.cautions = CautionLines()
        self.start = button("Start", self.start_requested.emit, rank="primary", icon="activity")
        self.stop = button("Stop", self.stop_requested.emit, rank="primary", icon="square")
        self.running_title = ElidedLabel("", "title")
        self.status = label("", "second")
        self.maps = MapsView()
        self._sides = QStackedWidget()
        self._sides.addWidget(self._setup())
        self._sides.addWidget(self._running())
        layout = column(spacing=0)
        layout.addWidget(self._sides)
        self.setLayout(layout)
        self.setFocusProxy(self.list)
        self._connect()

    # Building

    def _launch_form(self) -> QWidget:
        form = Form()
        for field, placeholder, tip in (
            (self.binary, "Choose or type", "The program to start."),
            (self.arguments, "none", "Split as a shell does, quotes and all; no shell ever runs them."),
            (self.directory, "where Tailflame was started", "The folder that the program starts in."),
        ):
            field.setProperty("face", "mono")
            field.setPlaceholderText(placeholder)
            field.setToolTip(tip)
            field.textEdited.connect(lambda _text: self.changed.emit())
        binary, folder = row(spacing=4), row(spacing=4)
        binary.addWidget(self.binary, 1)
        binary.addWidget(icon_button("folder-open", self._choose_binary, tip="Choose the program"))
        folder.addWidget(self.directory, 1)
        folder.addWidget(icon_button("folder-open", self._choose_folder, tip="Choose the folder"))
        form.line("Binary", binary)
        form.line("Arguments", self.arguments)
        form.line("Directory", folder)
        holder = QWidget()
        inside = column()
        inside.addLayout(form)
        inside.addStretch()
        holder.setLayout(inside)
        return holder

    def _setup(self) -> QWidget:
        wishes = column(margins=(16, 12, 16, 12), spacing=8)
        for widget in (self.title, self.question, self.cost, self.note):
            wishes.addWidget(widget)
        wishes.addWidget(self.live, alignment=Qt.AlignmentFlag.AlignLeft)
        wishes.addWidget(self.form)
        wishes.addWidget(self.found)
        wishes.addWidget(hairline())
        wishes.addWidget(label("Which program", "heading"))
        wishes.addWidget(self.how, alignment=Qt.AlignmentFlag.AlignLeft)
        wishes.addWidget(self._ways, 1)
        inside = QWidget()
        inside.setLayout(wishes)
        scroll = QScrollArea()
        scroll.setWidgetResizable(True)
        scroll.setFrameShape(QFrame.Shape.NoFrame)
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        scroll.setWidget(inside)
        scroll.setMinimumWidth(320)
        text_head = row(margins=(16, 8, 8, 8), spacing=8)
        text_head.addWidget(label("The program that runs", "heading"))
        text_head.addWidget(self.file_name, 1)
        text_head.addWidget(self.open)
        text_head.addWidget(self.save)
        text = column(spacing=0)
        text.addLayout(text_head)
        text.addWidget(hairline())
        text.addWidget(self.editor, 1)
        text.addWidget(hairline())
        foot = column(margins=(16, 8, 16, 8), spacing=4)
        said = row(spacing=4)
        said.addWidget(label("The command, as root would write it", "small"), 1)
        said.addWidget(self.copy)
        foot.addLayout(said)
        foot.addWidget(self.command)
        foot.addWidget(self.digest)
        text.addLayout(foot)
        right = QWidget()
        right.setLayout(text)
        right.setMinimumWidth(300)
        halves = QSplitter(Qt.Orientation.Horizontal)
        halves.setChildrenCollapsible(False)
        halves.addWidget(scroll)
        halves.addWidget(right)
        halves.setStretchFactor(0, 0)
        halves.setStretchFactor(1, 1)
        halves.setSizes([_FORM_WIDE, 480])
        head = row(margins=(16, 8, 16, 8), spacing=16)
        head.addWidget(label("Probes", "title"))
        head.addWidget(label("One question to the kernel about one program, with bpftrace.", "second"))
        head.addStretch()
        across = row(spacing=0)
        across.addWidget(self.list)
        across.addWidget(hairline(vertical=True))
        across.addWidget(halves, 1)
        bottom = row(margins=(16, 8, 16, 8), spacing=16)
        bottom.addWidget(self.cautions, 1)
        bottom.addStretch()
        bottom.addWidget(self.start, 0, Qt.AlignmentFlag.AlignBottom)
        whole = column(spacing=0)
        whole.addLayout(head)
        whole.addWidget(hairline())
        whole.addLayout(across, 1)
        whole.addWidget(hairline())
        whole.addLayout(bottom)
        made = QWidget()
        made.setLayout(whole)
        return made

    def _running(self) -> QWidget:
        head = row(margins=(16, 8, 16, 8), spacing=16)
        head.addWidget(self.running_title, 1)
        head.addWidget(self.status)
        head.addWidget(self.stop)
        whole = column(spacing=0)
        whole.addLayout(head)
        whole.addWidget(hairline())
        whole.addWidget(self.maps, 1)
        made = QWidget()
        made.setLayout(whole)
        return made

    def _connect(self) -> None:
        self.list.selection_changed.connect(self._chosen)
        self.form.changed.connect(self.changed)
        self.how.chosen.connect(lambda _how: self._how_changed())
        self.picker.selected.connect(self._picked)
        self.picker.chosen.connect(self._picked)
        self.editor.textChanged.connect(self._edited)
        self.editor.run_requested.connect(self._run)

    # What it is given

    def show_recipes(self, rows: tuple[RecipeRow, ...]) -> None:
        """The gallery; what was chosen stays chosen."""
        name = self._recipe.name if self._recipe is not None else None
        self._rows = (*rows, RecipeRow(name=OWN, title="A program of your own", question="Ask the kernel yourself."))
        self._list.set_rows(self._rows)
        names = [one.name for one in self._rows]
        self._recipe = None
        self.list.select_line(names.index(name) if name in names else 0)
        self._chosen()

    def choose(self, name: str) -> None:
        """A recipe by name; OWN is a program of one's own."""
        names = [one.name for one in self._rows]
        if name in names:
            self.list.select_line(names.index(name))

    def show_composed(self, composed: Composed) -> None:
        """What would run with these wishes."""
        if self.is_own:
            self.editor.setReadOnly(False)
        elif composed.program != self.editor.toPlainText():
            with QSignalBlocker(self.editor):
                self.editor.setPlainText(composed.program)
        self.command.set_text(composed.command)
        self._command_line = composed.command_line
        self.copy.setEnabled(bool(composed.command_line))
        self.found.setText(composed.found)
        self.found.setVisible(bool(composed.found))
        lines = [Caution(note) for note in composed.notes]
        if composed.problem:
            lines.insert(0, Caution(composed.problem))
        self.cautions.set_cautions(tuple(lines))
        self.start.setEnabled(not composed.problem)
        self.start.setToolTip(composed.problem or "Start it.  Ctrl+Return in the editor")

    def show_digest(self, digest: str) -> None:
        """What the password dialog will show of the program; "" where nobody is asked."""
        self.digest.setText(f"SHA-256 {digest}" if digest else "")
        self.digest.setVisible(bool(digest))

    def show_marks(self, marks: tuple[Marked, ...]) -> None:
        """What bpftrace complains of in the text."""
        self.editor.set_marks(marks)

    def show_begun(self, title: str) -> None:
        self.running_title.set_text(title)
        self.status.setText("the probes are being put on")
        self.stop.setEnabled(True)
        self.maps.show_maps(ProbeMaps())
        self._sides.setCurrentIndex(1)
        self.stop.setFocus()

    def show_seen(self, maps: ProbeMaps, elapsed_s: float) -> None:
        lost = f"   {count(maps.lost)} events lost" if maps.lost else ""
        probes = f"   {count(maps.probes)} probes" if maps.probes is not None else ""
        self.status.setText(f"{seconds(elapsed_s)}{probes}{lost}")
        self.maps.show_maps(maps)

    def show_stopping(self) -> None:
        self.stop.setEnabled(False)
        self.status.setText("stopping; what was seen is kept")

    def show_setup(self) -> None:
        self._sides.setCurrentIndex(0)

    def show_text(self, text: str, *, path: Path | None) -> None:
        """A program of one's own."""
        self._own_text, self._file = text, path
        self.file_name.set_text(path.name if path is not None else "")
        if self.is_own:
            self.editor.setPlainText(text)
        else:
            self.choose(OWN)

    # What it says

    @property
    def is_running(self) -> bool:
        return self._sides.currentIndex() == 1

    @property
    def is_own(self) -> bool:
        return self._recipe is not None and self._recipe.name == OWN

    @property
    def recipe(self) -> RecipeRow | None:
        return self._recipe

    def draft(self) -> RecipesDraft:
        values = {} if self.is_own else dict(self.form.values)
        return RecipesDraft(
            recipe=self._recipe.name if self._recipe is not None else OWN,
            values=values,
            text=self.editor.toPlainText() if self.is_own else "",
            how=self.how.choice,
            pid=self._process.pid if self._process is not None else 0,
            process=self._process.name if self._process is not None else "",
            binary=self._image(),
            arguments=self.arguments.text(),
            directory=self.directory.text().strip(),
        )

    def _image(self) -> str:
        if self.how.choice is How.ATTACH:
            return str(self._process.image) if self._process is not None else ""
        return self.binary.text().strip()

    # What the user does

    def _chosen(self) -> None:
        picked = self.list.selected()
        if not picked or picked[0] is self._recipe:
            return
        recipe: RecipeRow = picked[0]
        if self.is_own:
            self._own_text = self.editor.toPlainText()
        self._recipe = recipe
        own = recipe.name == OWN
        self.title.setText(recipe.title)
        self.question.setText(recipe.question)
        self.cost.setText(f"Cost: {recipe.cost}" if recipe.cost else "")
        self.cost.setVisible(bool(recipe.cost))
        note = f"Not possible here: {recipe.impossible}." if recipe.impossible else recipe.note
        if own:
            note = (
                "It runs as root, in bpftrace's safe mode. $1 is the pid of what it is attached to, cpid that of what "
                "it starts. Where you are not root, an administrator is asked for the password each time, and sees the "
                "SHA-256 of the text."
            )
        self.note.setText(note)
        self.note.setVisible(bool(note))
        self.live.setVisible(bool(recipe.instead))
        self.form.offer(recipe.fields)
        self.form.setVisible(bool(recipe.fields))
        for widget in (self.open, self.save, self._neither):
            widget.setVisible(own)
        self.file_name.set_text(self._file.name if own and self._file is not None else "")
        with QSignalBlocker(self.editor):
            self.editor.setReadOnly(not own)
            self.editor.setPlainText(self._own_text if own else "")
        self.editor.set_marks(())
        if not own and self.how.choice is How.NONE:
            self.how.choose(How.ATTACH)
        self._how_changed()

    def _how_changed(self) -> None:
        if self.how.choice is How.NONE and not self.is_own:
            self.how.choose(How.ATTACH)
        self._ways.setCurrentIndex([How.ATTACH, How.LAUNCH, How.NONE].index(self.how.choice))
        self.changed.emit()

    def _picked(self, process: RunningProcess | None) -> None:
        self._process = process
        self.changed.emit()

    def _edited(self) -> None:
        if self.is_own:
            self.changed.emit()

    def _run(self) -> None:
        if self.start.isEnabled():
            self.start_requested.emit()

    def _choose_binary(self) -> None:
        def take(path: object) -> None:
            self.binary.setText(str(path))
            self.changed.emit()

        choose_program(self, "The program to start", take)

    def _choose_folder(self) -> None:
        def take(path: object) -> None:
            self.directory.setText(str(path))
            self.changed.emit()

        choose_folder(self, "The folder that it starts in", Path.home(), take)

    def _copy_command(self) -> None:
        QGuiApplication.clipboard().setText(self._command_line)

    def _open_file(self) -> None:
        choose_files(self, lambda paths: self.opened.emit(paths[0]) if paths else None)

    def _save_file(self) -> None:
        suggested = self._file or Path.home() / "probe.bt"
        choose_target(self, "Save the program", suggested, self.saved.emit)

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self.shown.emit()


def _fields() -> tuple[Field[RecipeRow], ...]:
    return (
        Field[RecipeRow](
            "Recipe",
            lambda one: one.title,
            lambda one: one.title.casefold(),
            0,
            tip=lambda one: f"Not possible here: {one.impossible}." if one.impossible else one.question,
            icon=lambda one: ("ban", "faint") if one.impossible else ("code", "second") if one.name == OWN else None,
            muted=lambda one: bool(one.impossible),
        ),
    )
