"""Which two results to compare: the picker before the first comparison, and beside the others."""

from __future__ import annotations

from dataclasses import dataclass

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QComboBox, QGridLayout, QSizePolicy, QWidget

from tailflame_gui import icons
from tailflame_gui.models.session_table import moment
from tailflame_gui.rows import SessionRow
from tailflame_gui.state import OpenResult, Stage
from tailflame_gui.widgets.parts import Icon, button, column, label, row

_WIDTH = 560


@dataclass(frozen=True, slots=True, eq=False)
class Choice:
    """A result that is open, or a session that can be."""

    what: OpenResult | SessionRow
    text: str
    baseline: bool

    @property
    def key(self) -> str:
        return f"tab {self.what.key}" if isinstance(self.what, OpenResult) else f"session {self.what.id}"


def choices_of(results: tuple[OpenResult, ...], sessions: tuple[SessionRow, ...]) -> tuple[Choice, ...]:
    """Open results first, then the sessions that are not open, newest first."""
    open_ids = {result.session.id for result in results if result.session is not None}
    opened = [
        Choice(result, f"{result.title}   open", result.baseline) for result in results if result.stage is Stage.READY
    ]
    kept = [
        Choice(session, f"{moment(session.started_at)}   {session.title}", session.baseline)
        for session in sessions
        if session.readable and session.id not in open_ids
    ]
    return (*opened, *kept)


def _likely(choices: tuple[Choice, ...]) -> tuple[int, int]:
    """The baseline and the newest other one; else what was opened first and second; else the older and the newer."""
    pinned = next((at for at, choice in enumerate(choices) if choice.baseline), -1)
    if pinned >= 0:
        return pinned, 0 if pinned else 1
    opened = isinstance(choices[0].what, OpenResult) and isinstance(choices[1].what, OpenResult)
    return (0, 1) if opened else (1, 0)


class ComparePicker(QWidget):
    """compared(before, after): each an OpenResult or a SessionRow. browse(): open files first."""

    compared = Signal(object, object)
    browse = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._choices: tuple[Choice, ...] = ()
        self._by_hand = False
        self._before = self._combo("Baseline")
        self._after = self._combo("Candidate")
        self._go = button("Compare", self._compare, rank="primary")
        self._why = label("", "second", wrap=True)
        grid = QGridLayout()
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setHorizontalSpacing(12)
        grid.setVerticalSpacing(8)
        middle = Qt.AlignmentFlag.AlignVCenter
        grid.addWidget(label("Baseline", "second"), 0, 0, middle)
        grid.addWidget(self._before, 0, 1)
        grid.addWidget(label("Candidate", "second"), 1, 0, middle)
        grid.addWidget(self._after, 1, 1)
        grid.setColumnStretch(1, 1)
        buttons = row(spacing=8)
        buttons.addWidget(self._go)
        buttons.addWidget(button("Open files…", self.browse.emit))
        buttons.addWidget(button("Swap", self._swap, rank="quiet", tip="Exchange baseline and candidate."))
        buttons.addStretch()
        block = QWidget()
        block.setFixedWidth(_WIDTH)
        inside = column(spacing=12)
        head = row(spacing=8)
        head.addWidget(Icon("git-compare", "faint", size=20))
        head.addWidget(label("Compare two results", "title"))
        head.addStretch()
        inside.addLayout(head)
        about = label(
            "Two flame graphs side by side, the difference of their trees, and a table of what changed, "
            "with everything within the sampling noise marked. Any two results will do, whatever they come from.",
            "second",
            wrap=True,
        )
        # A wrapped label in a layout asks for the height of a narrower one; this is the one it has.
        about.setFixedHeight(about.heightForWidth(_WIDTH))
        inside.addWidget(about)
        inside.addLayout(grid)
        inside.addWidget(self._why)
        inside.addLayout(buttons)
        block.setLayout(inside)
        layout = column(margins=(24, 24, 24, 24))
        layout.addStretch(2)
        layout.addWidget(block, alignment=Qt.AlignmentFlag.AlignHCenter)
        layout.addStretch(3)
        self.setLayout(layout)
        self.offer(())

    def _combo(self, name: str) -> QComboBox:
        made = QComboBox()
        made.setAccessibleName(name)
        made.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        made.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        made.currentIndexChanged.connect(self._check)
        made.activated.connect(self._chosen_by_hand)
        return made

    def offer(self, choices: tuple[Choice, ...]) -> None:
        """Keeps what is chosen; otherwise the baseline, or the older one, comes before the newest."""
        chosen = [self._chosen(combo) if self._by_hand else None for combo in (self._before, self._after)]
        self._choices = choices
        for combo, previous in zip((self._before, self._after), chosen, strict=True):
            combo.blockSignals(True)
            combo.clear()
            for choice in choices:
                combo.addItem(icons.icon("pin" if choice.baseline else "flame"), choice.text, choice.key)
            keys = [choice.key for choice in choices]
            combo.setCurrentIndex(keys.index(previous.key) if previous and previous.key in keys else -1)
            combo.blockSignals(False)
        if len(choices) >= 2 and (self._before.currentIndex() < 0 or self._after.currentIndex() < 0):
            before, after = _likely(choices)
            self._before.setCurrentIndex(before)
            self._after.setCurrentIndex(after)
        self._check()

    def choose(self, *, before: str | None = None, after: str | None = None) -> None:
        """Picks by key."""
        for combo, key in ((self._before, before), (self._after, after)):
            at = -1 if key is None else combo.findData(key)
            if at >= 0:
                combo.setCurrentIndex(at)
                self._by_hand = True

    def _chosen_by_hand(self) -> None:
        self._by_hand = True

    def _chosen(self, combo: QComboBox) -> Choice | None:
        at = combo.currentIndex()
        return self._choices[at] if 0 <= at < len(self._choices) else None

    def _check(self) -> None:
        before, after = self._chosen(self._before), self._chosen(self._after)
        if len(self._choices) < 2:
            why = "There have to be two: record twice, or open two files."
        elif before is None or after is None:
            why = "Choose both sides."
        elif before is after:
            why = "These are the same result: nothing can differ."
        else:
            why = ""
        self._why.setText(why)
        self._why.setVisible(bool(why))
        self._go.setEnabled(not why)

    def _swap(self) -> None:
        before, after = self._before.currentIndex(), self._after.currentIndex()
        self._before.setCurrentIndex(after)
        self._after.setCurrentIndex(before)

    def _compare(self) -> None:
        before, after = self._chosen(self._before), self._chosen(self._after)
        if before is not None and after is not None:
            self.compared.emit(before.what, after.what)
