"""The steps of a measurement: a line for all repetitions of one, which opens to a line each; below it what failed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QToolButton, QWidget

from tailflame.model.iteration import Step, StepState
from tailflame.units import count, seconds
from tailflame_gui import icons, plain
from tailflame_gui.loop_model import RunningStep
from tailflame_gui.widgets.parts import ElidedLabel, Icon, button, clear, column, icon_button, label, row

_STATES = {
    StepState.DONE: ("circle-check", "good"),
    StepState.FAILED: ("triangle-alert", "bad"),
    StepState.SKIPPED: ("ban", "faint"),
    StepState.RUNNING: ("loader", "accent"),
    StepState.WAITING: ("circle-small", "faint"),
}
_WORST_FIRST = (StepState.RUNNING, StepState.FAILED, StepState.WAITING, StepState.DONE, StepState.SKIPPED)
_INDENT = 22


@dataclass(frozen=True, slots=True)
class StepGroup:
    """The repetitions of one step, in their order."""

    name: str
    steps: tuple[RunningStep, ...]

    @property
    def state(self) -> StepState:
        states = {running.step.state for running in self.steps}
        return next(state for state in _WORST_FIRST if state in states)

    @property
    def failed(self) -> tuple[Step, ...]:
        return tuple(running.step for running in self.steps if running.step.state is StepState.FAILED)

    @property
    def words(self) -> str:
        """ "cpu  5 of 5  21 s", "cpu 3 of 5  recording  1.2 s" """
        running = next((one for one in self.steps if one.step.state is StepState.RUNNING), None)
        if running is not None:
            return words_of(running)
        if len(self.steps) == 1:
            return words_of(self.steps[0])
        done = sum(one.step.state is StepState.DONE for one in self.steps)
        spent = sum(one.step.seconds for one in self.steps)
        wanted = max(len(self.steps), self.steps[0].step.repetitions)
        told = f"{self.name}  {count(done)} of {count(wanted)}" if done else f"{self.name}  {self.state.value}"
        return f"{told}  {seconds(spent)}" if spent else told


def groups_of(steps: Sequence[RunningStep]) -> tuple[StepGroup, ...]:
    """In the order in which each name comes first."""
    found: dict[str, list[RunningStep]] = {}
    for running in steps:
        found.setdefault(running.step.name, []).append(running)
    return tuple(StepGroup(name, tuple(group)) for name, group in found.items())


def words_of(running: RunningStep) -> str:
    step = running.step
    if step.state is StepState.RUNNING:
        return "  ".join(filter(None, (step.title, running.stage, seconds(running.elapsed_s))))
    return f"{step.title}  {seconds(step.seconds)}" if step.seconds else step.title


class LoopSteps(QWidget):
    """opened(session's id): the result of a step."""

    opened = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self._groups: tuple[StepGroup, ...] = ()
        self._open: set[str] = set()
        self._running: ElidedLabel | None = None
        """The line of the step that runs: its words change ten times a second, and nothing else."""
        self._lines = column(spacing=2)
        self.setLayout(self._lines)
        self.hide()

    @property
    def groups(self) -> tuple[StepGroup, ...]:
        return self._groups

    def show_steps(self, steps: Sequence[RunningStep]) -> None:
        groups = groups_of(steps)
        same = _shape(groups) == _shape(self._groups)
        self._groups = groups
        if same:
            running = next((group for group in groups if group.state is StepState.RUNNING), None)
            if running is not None and self._running is not None:
                self._running.set_text(running.words)
            return
        self._draw()

    def unfold(self, name: str, on: bool) -> None:
        """Shows or hides a line for each repetition."""
        (self._open.add if on else self._open.discard)(name)
        self._draw(focus=name)

    def _draw(self, *, focus: str = "") -> None:
        clear(self._lines)
        self._running = None
        self.setVisible(bool(self._groups))
        if not self._groups:
            return
        self._lines.addWidget(label("Steps", "heading"))
        for group in self._groups:
            self._lines.addWidget(self._head(group, focus=group.name == focus))
            if group.name in self._open and len(group.steps) > 1:
                for running in group.steps:
                    self._lines.addWidget(self._line(running.step, words_of(running), indent=_INDENT))
            for step in group.failed[:1]:  # the others seldom say anything else; their tooltips do
                told = f"{step.problem} {step.fix}".strip()
                if told:
                    self._lines.addWidget(label(told, "small", wrap=True))

    def _head(self, group: StepGroup, *, focus: bool) -> QWidget:
        if len(group.steps) == 1:
            return self._line(group.steps[0].step, group.words)
        line = row(spacing=6)
        line.addWidget(Icon(*_STATES[group.state]))
        first = next((one.step.session for one in group.steps if one.step.session), "")
        line.addWidget(self._words(group.words, first, group.state), 1)
        fold = icon_button("chevron-down", lambda: None, tip="A line for each repetition")
        fold.setCheckable(True)
        fold.setChecked(group.name in self._open)
        self._turn(fold)
        fold.setAccessibleName(f"Repetitions of {group.name}")
        fold.clicked.connect(partial(self.unfold, group.name))
        line.addWidget(fold)
        holder = QWidget()
        holder.setLayout(line)
        if focus:
            fold.setFocus()
        return holder

    def _turn(self, fold: QToolButton) -> None:
        fold.setIcon(icons.icon("chevron-down" if fold.isChecked() else "chevron-right", "second"))

    def _line(self, step: Step, words: str, *, indent: int = 0) -> QWidget:
        line = row(margins=(indent, 0, 0, 0), spacing=6)
        line.addWidget(Icon(*_STATES[step.state]))
        line.addWidget(self._words(words, step.session, step.state), 1)
        holder = QWidget()
        holder.setLayout(line)
        holder.setToolTip(plain.tip(f"{step.problem} {step.fix}".strip() or step.state.value))
        return holder

    def _words(self, words: str, session: str, state: StepState) -> QWidget:
        if session and state is not StepState.RUNNING:
            return button(words, partial(self.opened.emit, session), rank="link", tip="Open its result.")
        told = ElidedLabel(words, "second")
        if state is StepState.RUNNING:
            self._running = told
        return told


def _shape(groups: tuple[StepGroup, ...]) -> tuple[object, ...]:
    """What stands there, but for how far the running step is."""
    return tuple(tuple(running.step for running in group.steps) for group in groups)
