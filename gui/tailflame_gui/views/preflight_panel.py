"""What would spoil the recording, each line with its fix. What is in order is folded away behind one line."""

from __future__ import annotations

from functools import partial

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QScrollArea, QToolButton, QWidget

from tailflame_gui import icons
from tailflame_gui.record_model import Assessment, CheckRow
from tailflame_gui.rows import Level
from tailflame_gui.widgets.notices import MARKS
from tailflame_gui.widgets.parts import Icon, button, clear, column, hairline, icon_button, label, row, selectable

HEADING = 24
"""Height of the line above a column."""
_LONG_WORD = 28
_BREAK = "\u200b"


class CheckLine(QWidget):
    """One line: shape, sentence, what it means, and the fix to copy."""

    def __init__(self, check: CheckRow) -> None:
        super().__init__()
        self.check = check
        icon, color, word = MARKS[check.level]
        words = column(spacing=2)
        words.addWidget(selectable(label(_breakable(check.title), wrap=True)))
        if check.detail:
            words.addWidget(selectable(label(_breakable(check.detail), "small", wrap=True)))
        if check.fix:
            words.addWidget(selectable(label(_breakable(check.fix), "second", wrap=True)))
        if check.command:
            fix = row(spacing=4)
            fix.addWidget(label(_breakable(check.command), "second", mono=True, wrap=True), 1)
            copy = icon_button("copy", partial(_copy, check.command), tip="Copy the command")
            fix.addWidget(copy, alignment=Qt.AlignmentFlag.AlignTop)
            words.addLayout(fix)
        line = row(margins=(0, 6, 0, 6), spacing=8)
        mark = Icon(icon, color)
        mark.setToolTip(word)
        line.addWidget(mark, alignment=Qt.AlignmentFlag.AlignTop)
        line.addLayout(words, 1)
        self.setLayout(line)
        self.setAccessibleName(f"{word}: {check.title} {check.detail} {check.fix} {check.command}")


class PreflightPanel(QWidget):
    """check_again(): look at the machine and the program anew."""

    check_again = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._lines = column(spacing=0)
        self._passed_lines = column(margins=(0, 0, 0, 0), spacing=0)
        self._fold = QToolButton()
        self._fold.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self._fold.setCheckable(True)
        self._fold.toggled.connect(self._unfold)
        self._passed = QWidget()
        self._passed.setLayout(self._passed_lines)
        passed_head = row(spacing=8)
        self._good = Icon("circle-check", "good")
        passed_head.addWidget(self._good)
        passed_head.addWidget(self._fold)
        passed_head.addStretch()
        self._passed_row = QWidget()
        self._passed_row.setLayout(passed_head)
        inside = QWidget()
        whole = column(spacing=4)
        whole.addLayout(self._lines)
        whole.addWidget(self._passed_row)
        whole.addWidget(self._passed)
        whole.addStretch()
        inside.setLayout(whole)
        scroll = QScrollArea()
        scroll.setWidget(inside)
        scroll.setWidgetResizable(True)
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        scroll.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self._busy = label("", "small")
        head = row(spacing=8)
        head.addWidget(label("Before it runs", "heading"))
        head.addStretch()
        head.addWidget(self._busy)
        self.again = button("Check again", self.check_again.emit, rank="link", tip="Look at everything anew.")
        head.addWidget(self.again)
        top = QWidget()
        top.setFixedHeight(HEADING)
        top.setLayout(head)
        layout = column(spacing=8)
        layout.addWidget(top)
        layout.addWidget(hairline())
        layout.addWidget(scroll, 1)
        self.setLayout(layout)
        self._checks: tuple[CheckRow, ...] = ()
        self.show_checks(None)

    def show_checks(self, assessment: Assessment | None) -> None:
        """None while nothing is known yet."""
        if assessment is None:
            clear(self._lines)
            self._passed_row.hide()
            self._passed.hide()
            self._lines.addWidget(label("Looking at perf, the kernel’s settings and the program…", "faint", wrap=True))
            self._checks = ()
            return
        if assessment.checks == self._checks and self._checks:
            return
        self._checks = assessment.checks
        clear(self._lines)
        clear(self._passed_lines)
        for check in assessment.open:
            self._lines.addWidget(CheckLine(check))
        for check in assessment.passed:
            self._passed_lines.addWidget(CheckLine(check))
        number = len(assessment.passed)
        self._fold.setText(f"{number} {'check' if number == 1 else 'checks'} passed")
        self._passed_row.setVisible(number > 0)
        self._unfold(self._fold.isChecked())

    def show_busy(self, busy: bool) -> None:
        self._busy.setText("checking…" if busy else "")

    @property
    def open_checks(self) -> tuple[CheckRow, ...]:
        """The lines that are in sight, the passed ones only where they are unfolded."""
        return tuple(check for check in self._checks if check.level is not Level.OK or self._fold.isChecked())

    @property
    def summary(self) -> str:
        """ "9 checks passed" """
        return self._fold.text()

    @property
    def fold(self) -> QToolButton:
        return self._fold

    def _unfold(self, on: bool) -> None:
        self._fold.setIcon(icons.icon("chevron-down" if on else "chevron-right"))
        self._fold.setToolTip("Fold away" if on else "Show what was checked")
        self._passed.setVisible(on and bool(self._checks))


def _breakable(text: str) -> str:
    """With places where a long word (a build id, a path) may break; the others are copied as they stand."""
    words = text.split(" ")
    return " ".join(w if len(w) <= _LONG_WORD else _BREAK.join(_pieces(w)) for w in words)


def _pieces(word: str) -> list[str]:
    return [word[at : at + 8] for at in range(0, len(word), 8)]


def _copy(text: str) -> None:
    QGuiApplication.clipboard().setText(text)
