"""The record page: the target, the tool, what would spoil the result, the exact command; then the recording itself."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import TYPE_CHECKING

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QAction, QGuiApplication, QKeySequence, QResizeEvent, QShowEvent, QTextOption
from PySide6.QtWidgets import (
    QFrame,
    QLabel,
    QMenu,
    QPlainTextEdit,
    QScrollArea,
    QSizePolicy,
    QStackedWidget,
    QToolButton,
    QWidget,
)

from tailflame.errors import TailflameError
from tailflame_gui import icons
from tailflame_gui.actions import describe
from tailflame_gui.record_model import (
    CARGO_FLAMEGRAPH,
    Assessment,
    Choice,
    Draft,
    FileRow,
    Observation,
    OptionsDraft,
    ProjectChoice,
    RunHead,
    TargetDraft,
    ToolChoice,
)
from tailflame_gui.rows import EndRow, OutputRow, ProgressRow
from tailflame_gui.views.options_form import OptionsForm
from tailflame_gui.views.preflight_panel import HEADING, PreflightPanel
from tailflame_gui.views.target_form import TargetForm
from tailflame_gui.widgets.choice_bar import ChoiceBar
from tailflame_gui.widgets.parts import (
    ElidedLabel,
    Icon,
    button,
    column,
    hairline,
    icon_button,
    label,
    row,
    set_rank,
)
from tailflame_gui.widgets.queue_bar import QueueBar

if TYPE_CHECKING:
    from tailflame_gui.views.recording_view import RecordingView

_THREE_COLUMNS = 1000
"""Pixels of width."""


class Side(StrEnum):
    SETTINGS = "settings"
    RUN = "run"


_SIDES = (
    Choice(Side.SETTINGS, "Settings", "What to record, and how."),
    Choice(Side.RUN, "Run", "The recording that runs, or ran last."),
)
_NO_TARGET = "Choose a program; the exact command stands here before it runs."


class RecordPage(QWidget):
    """What the user asks for:

    target_changed(TargetDraft), options_changed(OptionsDraft): a field is another one.
    binary_chosen(path), project_chosen(folder): another program, whose own settings may be known.
    completions_wanted(text), check_again(), shown().
    record_requested, again_requested, stop_requested, cancel_requested, cancel_all_requested, show_requested (the last
    result), request_made(name: a snapshot now), file_open_requested(path: a file that appeared while it runs).
    preset_apply_requested(name), preset_save_requested(name), preset_delete_requested(name).
    """

    target_changed = Signal(object)
    options_changed = Signal(object)
    binary_chosen = Signal(str)
    project_chosen = Signal(str)
    completions_wanted = Signal(str)
    check_again = Signal()
    shown = Signal()
    record_requested = Signal()
    again_requested = Signal()
    stop_requested = Signal()
    cancel_requested = Signal()
    cancel_all_requested = Signal()
    request_made = Signal(str)
    file_open_requested = Signal(object)
    show_requested = Signal()
    preset_apply_requested = Signal(str)
    preset_save_requested = Signal(str)
    preset_delete_requested = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self._assessment = Assessment()
        self._queue: tuple[OptionsDraft, ...] = ()
        self.target = TargetForm()
        self.options = OptionsForm()
        self.preflight = PreflightPanel()
        self._run: RecordingView | None = None
        self._keys = {"stop": "", "cancel": "", "again": ""}
        self.sides = ChoiceBar("What is shown", _SIDES)
        self.sides.choose(Side.SETTINGS)
        self._last_mark = Icon("circle-check", "good")
        self._last = ElidedLabel("", "second")
        self.last_result = button("Show the result", self.show_requested.emit, rank="link")
        self._build_foot()
        self._stack = QStackedWidget()
        self._stack.addWidget(self._settings())
        said = QWidget()
        words = row(spacing=8)
        words.addWidget(self._last_mark)
        words.addWidget(self._last, 1)
        words.addWidget(self.last_result)
        said.setLayout(words)
        self._heads = QStackedWidget()
        self._heads.addWidget(said)
        head = row(margins=(16, 8, 16, 8), spacing=16)
        head.addWidget(label("Record", "title"))
        head.addWidget(self.sides)
        head.addWidget(self._heads, 1)
        layout = column(spacing=0)
        layout.addLayout(head)
        layout.addWidget(hairline())
        layout.addWidget(self._stack, 1)
        self.setLayout(layout)
        self.setFocusProxy(self.target)
        self._connect()
        self._say_last("", mark=("circle-check", "good"))
        self.show_side(Side.SETTINGS)
        self.sides.button(Side.RUN).setEnabled(False)
        self.show_assessment(None)

    # Building

    def _build_foot(self) -> None:
        self.command = QPlainTextEdit()
        self.command.setReadOnly(True)
        self.command.setWordWrapMode(QTextOption.WrapMode.WrapAnywhere)  # as a terminal does
        self.command.setProperty("face", "mono")
        self.command.setAccessibleName("The exact command")
        self.command.setPlaceholderText(_NO_TARGET)
        self.command.setStyleSheet("QPlainTextEdit { min-height: 56px; max-height: 56px; font-size: 12px; }")
        self.command.setTabChangesFocus(True)
        self.command_note = ElidedLabel("", "small")
        self.copy = icon_button(
            "copy", self._copy, tip="Copy the command for a terminal; there its files go to the folder it runs in"
        )
        self.record_action = QAction(icons.icon("circle-dot"), "Start recording", self)
        self.record_action.setShortcuts([QKeySequence("Ctrl+Return"), QKeySequence("Ctrl+Enter")])
        self.record_action.setShortcutContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
        self.record_action.setProperty("glyph", "circle-dot")
        self.record_action.setProperty("group", "Record")
        self.record_action.triggered.connect(self.record_requested)
        self.addAction(self.record_action)
        self.record = button("Record", self.record_action.trigger, rank="primary", icon="circle-dot")
        self.record.setStyleSheet("QPushButton { font-size: 15px; min-height: 46px; min-width: 152px; }")
        self.record.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
        self.record_hint = label("", "small")
        self.record_hint.setAlignment(Qt.AlignmentFlag.AlignHCenter)
        self.add_action = QAction(icons.icon("plus"), "Add to the queue", self)
        self.add_action.setIconText("Add to queue")
        self.add_action.setShortcut(QKeySequence("Ctrl+Shift+Return"))
        self.add_action.setShortcutContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
        self.add_action.setProperty("glyph", "plus")
        self.add_action.setProperty("group", "Record")
        describe(self.add_action, "Run this tool after the others of the queue, on the same program.")
        self.add_action.triggered.connect(self.add_to_queue)
        self.addAction(self.add_action)
        self.add = QToolButton()
        self.add.setDefaultAction(self.add_action)
        self.add.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.add.setPopupMode(QToolButton.ToolButtonPopupMode.MenuButtonPopup)
        self._sets = QMenu(self.add)
        self._sets.aboutToShow.connect(self._offer_sets)
        self.add.setMenu(self._sets)
        self.queue_bar = QueueBar()
        self.queue_bar.removed.connect(lambda at: self._set_queue(self._queue[:at] + self._queue[at + 1 :]))
        self.queue_bar.cleared.connect(lambda: self._set_queue(()))
        self.show_keys()

    def _settings(self) -> QWidget:
        left, middle, right = (QWidget() for _ in range(3))
        lines = column(spacing=8)
        lines.addWidget(_heading("Target"))
        lines.addWidget(hairline())
        lines.addWidget(self.target, 1)
        left.setLayout(lines)
        self._left, self._right = lines, right
        lines = column(spacing=8)
        lines.addWidget(_heading("Tool"))
        lines.addWidget(hairline())
        lines.addWidget(self.options, 1)
        middle.setLayout(lines)
        lines = column(spacing=0)
        lines.addWidget(self.preflight)
        right.setLayout(lines)
        across = row(margins=(16, 8, 16, 4), spacing=24)
        across.addWidget(left, 34)
        across.addWidget(middle, 50)
        across.addWidget(right, 24)
        for side in (left, middle, right):
            side.setMinimumWidth(240)
        self._across = across
        columns = QWidget()
        columns.setLayout(across)
        scrolled = QScrollArea()
        scrolled.setWidgetResizable(True)
        scrolled.setFrameShape(QFrame.Shape.NoFrame)
        scrolled.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        scrolled.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        scrolled.setWidget(columns)
        exact = column(spacing=4)
        words = row(spacing=8)
        words.addWidget(label("The exact command", "heading"))
        words.addWidget(self.command_note, 1)
        words.addWidget(self.copy)
        exact.addLayout(words)
        exact.addWidget(self.command)
        start = column(spacing=4)
        start.addStretch()
        start.addWidget(self.record)
        start.addWidget(self.record_hint)
        foot = row(margins=(16, 8, 16, 12), spacing=16)
        foot.addLayout(exact, 1)
        foot.addWidget(self.add)
        foot.addLayout(start)
        page = QWidget()
        whole = column(spacing=0)
        whole.addWidget(scrolled, 1)
        whole.addWidget(hairline())
        whole.addWidget(self.queue_bar)
        whole.addLayout(foot)
        page.setLayout(whole)
        return page

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Where three columns would be too narrow for their fields, the checks stand below the target."""
        super().resizeEvent(event)
        beside = event.size().width() >= _THREE_COLUMNS
        if beside != (self._across.indexOf(self._right) >= 0):
            if beside:
                self._left.removeWidget(self._right)
                self._across.addWidget(self._right, 24)
            else:
                self._across.removeWidget(self._right)
                self._left.addWidget(self._right)

    def _connect(self) -> None:
        self.target.changed.connect(lambda: self.target_changed.emit(self.target.draft))
        self.target.binary_chosen.connect(self.binary_chosen)
        self.target.project_chosen.connect(self.project_chosen)
        self.target.completions_wanted.connect(self.completions_wanted)
        self.options.changed.connect(lambda: self.options_changed.emit(self.draft.options))
        self.options.tool_chosen.connect(self._show_target_lines)
        self.preflight.check_again.connect(self.check_again)
        presets = self.target.presets
        presets.applied.connect(self.preset_apply_requested)
        presets.saved.connect(self.preset_save_requested)
        presets.deleted.connect(self.preset_delete_requested)
        self.sides.chosen.connect(lambda side: self.show_side(Side(side)))

    def show_keys(self, *, stop: str = "", cancel: str = "", again: str = "") -> None:
        """The keys that the window has for these, for tips and hints."""
        own = self.record_action.shortcut().toString(QKeySequence.SequenceFormat.NativeText)
        self._keys = {"stop": stop, "cancel": cancel, "again": again}
        if self._run is not None:
            self._run.show_keys(**self._keys)
        describe(self.record_action, "Record the program with these settings.")
        self.record_hint.setText(f"{own}, again {again}" if again else own)

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self.shown.emit()

    # What stands in it

    @property
    def draft(self) -> Draft:
        profile, features = self.target.build
        return Draft(self.target.draft, self.options.draft(profile=profile, features=features), self._queue)

    def draft_for(self, tool: str) -> Draft:
        """What would be recorded with another tool, as it was last set."""
        attaches = next((known.attaches for known in self.options.tools if known.name == tool), False)
        target = self.target.draft
        usable = not target.attach or (attaches and target.pid is not None)
        return Draft(target if usable else TargetDraft(), self.options.draft_for(tool))

    def show_draft(self, draft: Draft) -> None:
        """Fills every field, without announcing it."""
        self.options.show_draft(draft.options)
        self._show_target_lines(draft.options.tool)
        self.target.show_draft(draft.target)
        self.target.show_build(draft.options.profile, draft.options.features)
        self._set_queue(draft.queue, quiet=True)

    # The queue

    def add_to_queue(self) -> None:
        """The chosen tool with its options runs after those that are queued already."""
        if self.add_action.isEnabled():
            self._set_queue((*self._queue, self.draft.options))

    def queue_set(self, family: str = "") -> None:
        """Queues every tool that works here, or those of a family, with what was set for each."""
        self._set_queue(tuple(self.options.draft_for(tool.name) for tool in self._usable(family)))

    def clear_queue(self) -> None:
        self._set_queue((), quiet=True)

    def _usable(self, family: str = "") -> list[ToolChoice]:
        attach = self.target.draft.attach
        return [
            tool
            for tool in self.options.tools
            if tool.available
            and not tool.needs_project
            and (tool.attaches if attach else tool.launches)
            and family in ("", tool.family)
        ]

    def _offer_sets(self) -> None:
        self._sets.clear()
        families = list(dict.fromkeys(tool.family for tool in self.options.tools if tool.family))
        for family in ("", *families):
            number = len(self._usable(family))
            action = self._sets.addAction(f"{family or 'All tools'} ({number})")
            action.setEnabled(number > 0)
            action.triggered.connect(lambda _=False, family=family: self.queue_set(family))

    def _set_queue(self, queue: tuple[OptionsDraft, ...], *, quiet: bool = False) -> None:
        if queue == self._queue:
            return
        self._queue = queue
        known = {tool.name: tool for tool in self.options.tools}
        titles = {name: tool.title for name, tool in known.items()}
        self.queue_bar.show_queue(
            [
                (titles.get(one.tool, one.tool), ", ".join(f"{name} {value}" for name, value in one.values.items()))
                for one in queue
            ],
            times=sum(known[one.tool].times for one in queue if one.tool in known),
        )
        self._update_record()
        if not quiet:
            self.options_changed.emit(self.draft.options)

    def offer_tools(self, tools: Sequence[ToolChoice]) -> None:
        self.options.offer(tools)
        if self.options.tool is not None:
            self._show_target_lines(self.options.tool.name)

    def choose_tool(self, name: str) -> None:
        """Shows the settings with this tool chosen, as if its card had been clicked."""
        self.show_side(Side.SETTINGS)
        card = next((card for card in self.options.cards if card.tool.name == name), None)
        if card is not None:
            card.click()
            card.setFocus(Qt.FocusReason.OtherFocusReason)

    def _show_target_lines(self, name: str) -> None:
        tool = next((tool for tool in self.options.tools if tool.name == name), None)
        self.target.show_tool(
            in_project=name == CARGO_FLAMEGRAPH,
            launches=tool is None or tool.launches,
            attaches=tool is not None and tool.attaches,
        )

    def offer_recent(self, binaries: Sequence[str]) -> None:
        self.target.offer_recent(binaries)

    def offer_paths(self, paths: Sequence[str]) -> None:
        self.target.offer_paths(paths)

    def offer_project(self, project: ProjectChoice) -> None:
        self.target.offer_project(project)

    def offer_presets(self, names: Sequence[str], *, current: str = "", possible: bool = False) -> None:
        self.target.presets.offer(names, current=current, possible=possible)

    def show_start_folder(self, folder: str) -> None:
        self.target.show_start_folder(folder)

    def show_checking(self, busy: bool) -> None:
        self.preflight.show_busy(busy)

    def show_assessment(self, assessment: Assessment | None) -> None:
        """What would happen if Record were pressed; None while nobody knows."""
        self.preflight.show_checks(assessment)
        self._assessment = assessment or Assessment()
        known = self._assessment
        self.target.show_facts(known.facts)
        if known.command_line != self.command.toPlainText():
            self.command.setPlainText(known.command_line)
        self.copy.setEnabled(bool(known.command_line))
        self.command_note.set_text(known.note)
        self._update_record()

    def _update_record(self) -> None:
        known, running = self._assessment, self.running
        number = len(self._queue)
        # What a queued tool cannot do is told when it is its turn; the others go on.
        ready = (known.ready or number > 0) and not running
        self.record_action.setEnabled(ready)
        self.record.setEnabled(ready)
        self.record.setText(f"Record all {number}" if number > 1 else "Record")
        self.add_action.setEnabled(known.ready)
        if not known.ready:
            self.add.setToolTip(known.problem or "Choose a program first.")
        if running:
            tip = "A recording runs already."
        elif ready:
            tip = f"{self.record_action.toolTip()}" + (
                f"   Record again: {self._keys['again']}" if self._keys["again"] else ""
            )
        else:
            tip = known.problem or "Choose a program first."
        self.record.setToolTip(tip)
        self.record.setAccessibleDescription(tip)

    def _copy(self) -> None:
        QGuiApplication.clipboard().setText(self._assessment.to_copy)

    # The recording

    @property
    def run(self) -> RecordingView:
        """What shows a recording. Made when first needed: its plots take a third of a second of the window's start."""
        if self._run is None:
            from tailflame_gui.views.recording_view import RecordingView

            self._run = made = RecordingView()
            made.show_keys(**self._keys)
            made.stop_requested.connect(self.stop_requested)
            made.cancel_requested.connect(self.cancel_requested)
            made.cancel_all_requested.connect(self.cancel_all_requested)
            made.asked.connect(self.request_made)
            made.file_open_requested.connect(self.file_open_requested)
            made.again_requested.connect(self.again_requested)
            made.show_requested.connect(self.show_requested)
            self._stack.addWidget(made)
            self._heads.addWidget(made.head)
            # From the buttons of the run, too, which stand in this page's head.
            self.addAction(made.console.find_action)
            made.console.find_action.setEnabled(self.side is Side.RUN)
        return self._run

    @property
    def running(self) -> bool:
        """A recording runs, as far as this page was told."""
        return self._run is not None and self._run.running

    def show_side(self, side: Side) -> None:
        self.sides.choose(side)
        run = self.run if side is Side.RUN else self._run
        for stack in (self._stack, self._heads):
            stack.setCurrentIndex(0 if side is Side.SETTINGS else 1)
        if run is not None:
            run.console.find_action.setEnabled(side is Side.RUN)

    @property
    def side(self) -> Side:
        return Side(self.sides.value)

    def begin(self, head: RunHead) -> None:
        """A recording has been started: shows it."""
        self.run.begin(head)
        self.sides.button(Side.RUN).setEnabled(True)
        self.show_side(Side.RUN)
        self._say_last("", mark=("circle-dot", "accent"))
        self._update_record()

    def show_progress(self, progress: ProgressRow) -> None:
        self.run.show_progress(progress)

    def show_observed(self, observations: Sequence[Observation]) -> None:
        self.run.show_observed(observations)

    def show_output(self, outputs: Sequence[OutputRow]) -> None:
        self.run.show_output(outputs)

    def show_files(self, files: Sequence[FileRow]) -> None:
        self.run.show_files(files)

    def show_cost(self, text: str) -> None:
        self.run.show_cost(text)

    def ask_cancel(self) -> None:
        """Asks on this page whether to throw the recording away."""
        self.show_side(Side.RUN)
        self.run.ask_cancel()

    def show_end(self, end: EndRow) -> None:
        self.run.show_end(end)
        if end.cancelled:
            self._say_last(f"{end.target}: cancelled, nothing was kept.", mark=("ban", "second"))
            self.show_side(Side.SETTINGS)
        else:
            mark = ("triangle-alert", "warn") if end.crashed else ("circle-check", "good")
            self._say_last(f"{end.target}: {end.sentence}.", mark=mark)
        self._update_record()

    def show_kept(self) -> None:
        """The result is open; what is seen here next are the settings again."""
        self.run.show_kept()
        self.last_result.show()
        self.show_side(Side.SETTINGS)

    def show_rest(self) -> None:
        """Nothing runs and nothing is being read any more, however that came."""
        if self._run is not None:
            self._run.show_rest()
        self._update_record()

    def show_failed(self, error: TailflameError) -> None:
        self.run.show_failed(error)
        self._say_last(error.sentence, mark=("octagon-alert", "bad"))
        self._update_record()

    def _say_last(self, sentence: str, *, mark: tuple[str, str]) -> None:
        self._last.set_text(sentence)
        set_rank(self._last, "second")
        self._last_mark.set_icon(*mark)
        self._last_mark.setVisible(bool(sentence))
        self.last_result.hide()

    @property
    def last_sentence(self) -> str:
        """How the last recording ended."""
        return self._last.whole


def _heading(words: str) -> QLabel:
    """As high as a heading with a button beside it, so that the columns' lines are one."""
    made = label(words, "heading")
    made.setFixedHeight(HEADING)
    return made
