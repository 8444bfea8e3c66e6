"""One side of the source view: where its code is from, what is doubtful about it, and the code or why there is none."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QPushButton, QStackedWidget, QWidget

from tailflame.errors import TailflameError
from tailflame_gui import plain
from tailflame_gui.widgets.code_table import CodeTable
from tailflame_gui.widgets.empty_state import EmptyState
from tailflame_gui.widgets.parts import ElidedLabel, Icon, column, label, row, selectable

_PLACES = 12


class CodePane(QWidget):
    def __init__(self, table: CodeTable, *, icon: str, beside: QWidget | None = None) -> None:
        super().__init__()
        self._table = table
        self.head = ElidedLabel("", "second", mono=True, mode=Qt.TextElideMode.ElideMiddle)
        self.note = _Line("info", "second")
        self.caution = _Line("triangle-alert", "warn")
        self._missing = QWidget()
        self.missing_title = label("", "heading", wrap=True)
        self.missing_advice = label("", "second", wrap=True)
        self.places = selectable(label("", "small", mono=True, wrap=True))
        self._offers = row(spacing=8)
        self._offers.addStretch()
        inside = column(margins=(12, 8, 12, 8), spacing=4)
        for part in (self.missing_title, self.missing_advice, self.places):
            inside.addWidget(part)
        inside.addLayout(self._offers)
        self._missing.setLayout(inside)
        self._missing.setProperty("surface", "raised")
        self._missing.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self._empty = EmptyState(icon, "", "")
        self._body = QStackedWidget()
        self._body.addWidget(table)
        self._body.addWidget(self._empty)
        top = row(margins=(12, 4, 8, 4), spacing=8)
        top.addWidget(self.head, 1)
        if beside is not None:
            top.addWidget(beside)
        page = column(spacing=0)
        page.addLayout(top)
        page.addWidget(self.caution)
        page.addWidget(self._missing)
        page.addWidget(self._body, 1)
        page.addWidget(self.note)
        self.setLayout(page)
        self.setMinimumWidth(240)
        for shown in (self.caution, self._missing, self.note):
            shown.hide()

    def offer(self, made: QPushButton) -> None:
        """A button beside what is missing."""
        self._offers.insertWidget(0, made)

    def set_head(self, text: str, caution: str) -> None:
        self.head.set_text(text)
        self.caution.set_text(caution)
        self.note.hide()

    def set_note(self, text: str, *, tip: str = "") -> None:
        """A line below the code."""
        self.note.set_text(text)
        self.note.setToolTip(plain.tip(tip))

    def set_missing(self, problem: TailflameError | None, *, places: tuple[str, ...] = ()) -> None:
        """Above the code: what could not be had, and where it was looked for."""
        self._missing.setVisible(problem is not None)
        if problem is None:
            return
        self.missing_title.setText(problem.sentence)
        self.missing_advice.setText(problem.advice)
        more = [f"and {len(places) - _PLACES} more places"] if len(places) > _PLACES else []
        self.places.setText("\n".join(["Looked for:", *places[:_PLACES], *more]) if places else "")
        self.places.setVisible(bool(places))
        self.places.setToolTip(plain.tip("\n".join(places)))

    def say(self, title: str, text: str, *, details: str = "") -> None:
        """Instead of the code."""
        self.head.set_text("")
        self.caution.set_text("")
        self._missing.hide()
        self.note.hide()
        self._empty.say(title, text)
        self._empty.setToolTip(plain.tip(details))
        self._body.setCurrentIndex(1)

    def show_table(self) -> None:
        self._body.setCurrentIndex(0)


class _Line(QWidget):
    def __init__(self, icon: str, rank: str) -> None:
        super().__init__()
        self._text = ElidedLabel("", rank)
        line = row(margins=(12, 2, 8, 4), spacing=6)
        line.addWidget(Icon(icon, rank))
        line.addWidget(self._text, 1)
        self.setLayout(line)

    def set_text(self, text: str) -> None:
        self._text.set_text(text)
        self.setVisible(bool(text))
