"""Chooses the functions to time: a search among the demangled names, and the chosen ones under it."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QCheckBox, QDoubleSpinBox, QListWidget, QListWidgetItem, QWidget

from tailflame.units import size
from tailflame_gui import plain
from tailflame_gui.live_model import FunctionRow, Judged
from tailflame_gui.widgets.filter_field import FilterField
from tailflame_gui.widgets.form import inset
from tailflame_gui.widgets.parts import Icon, button, column, label, row, set_rank

_LISTED_HIGH = 104
_CHOSEN_HIGH = 76
_DEFAULT_LIMIT = 10.0


class FunctionChooser(QWidget):
    """searched(text): which functions match? chosen_changed(): others are chosen, or the risk was accepted.
    hottest_wanted(): the three hottest of the program's last CPU profile.
    """

    searched = Signal(str)
    chosen_changed = Signal()
    hottest_wanted = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._chosen: dict[str, FunctionRow] = {}
        self.found = QListWidget()
        self.found.setFixedHeight(_LISTED_HIGH)
        self.found.setProperty("face", "mono")
        self.found.setAccessibleName("Functions that match")
        self.found.setToolTip("Enter or a double click chooses a function.")
        self.found.itemActivated.connect(self._take)
        self.search = FilterField("Find a function", tip="Every word must be in the demangled name.")
        self.search.query_changed.connect(self.searched)
        self.search.left.connect(lambda: self.found.setFocus())
        self.search.stepped.connect(lambda _by: self._take(self.found.item(max(self.found.currentRow(), 0))))
        self.hottest = button(
            "Choose the top three hotspots",
            self.hottest_wanted.emit,
            rank="quiet",
            icon="flame",
            tip="The three hottest functions of this program's latest CPU profile.",
        )
        self.said = label("Choose a program first; its functions are listed here.", "small", wrap=True)
        self.chosen_list = QListWidget()
        self.chosen_list.setFixedHeight(_CHOSEN_HIGH)
        self.chosen_list.setProperty("face", "mono")
        self.chosen_list.setAccessibleName("Functions to time")
        self.chosen_list.setToolTip("Enter, Delete or a double click takes a function away.")
        self.chosen_list.itemActivated.connect(self._leave)
        self._verdict_mark = Icon("triangle-alert", "warn")
        self.verdict = label("", "", wrap=True)
        self._verdict = QWidget()
        verdict = row(spacing=8)
        verdict.addWidget(self._verdict_mark, 0, Qt.AlignmentFlag.AlignTop)
        verdict.addWidget(self.verdict, 1)
        self._verdict.setLayout(verdict)
        self._verdict.hide()
        self.accept_risk = QCheckBox("I accept this for this binary")
        self.accept_risk.toggled.connect(lambda _on: self.chosen_changed.emit())
        self.accept_risk.hide()
        self._build_limit()
        layout = column(spacing=4)
        layout.addWidget(self.search)
        layout.addWidget(self.hottest, 0, Qt.AlignmentFlag.AlignLeft)
        layout.addWidget(self.said)
        layout.addWidget(self.found)
        layout.addWidget(self.chosen_list)
        layout.addWidget(self._verdict)
        layout.addWidget(self.accept_risk)
        layout.addLayout(self._limit_line)
        self.setLayout(layout)
        self.setFocusProxy(self.search)
        self._show_chosen()
        self.show_found((), reason=self.said.text())

    def _build_limit(self) -> None:
        self.limited = QCheckBox("Stop it above")
        self.limited.setChecked(True)
        self.limited.setToolTip("Without a limit the cost stays on the screen, and the program may crawl.")
        self.limit = QDoubleSpinBox()
        self.limit.setRange(0.1, 100.0)
        self.limit.setDecimals(1)
        self.limit.setValue(_DEFAULT_LIMIT)
        self.limit.setSuffix(" %")
        self.limit.setFixedWidth(88)
        self.limit.setAccessibleName("Share of the program's CPU time")
        inset(self.limit)
        self.limited.toggled.connect(self.limit.setEnabled)
        self._limit_line = row(spacing=8)
        self._limit_line.addWidget(self.limited)
        self._limit_line.addWidget(self.limit)
        self._limit_line.addWidget(label("of the program's CPU time", "second"))
        self._limit_line.addStretch()

    # What is chosen

    @property
    def chosen(self) -> tuple[FunctionRow, ...]:
        return tuple(self._chosen.values())

    @property
    def accepted(self) -> bool:
        return self.accept_risk.isChecked() and not self.accept_risk.isHidden()

    @property
    def limit_percent(self) -> float | None:
        return self.limit.value() if self.limited.isChecked() else None

    def choose(self, functions: Sequence[FunctionRow]) -> None:
        """Adds functions to the chosen ones."""
        before = len(self._chosen)
        self._chosen |= {function.symbol: function for function in functions}
        if len(self._chosen) != before:
            self._show_chosen()
            self.chosen_changed.emit()

    def forget(self) -> None:
        """Another program: nothing is chosen, nothing accepted."""
        self._chosen.clear()
        self.accept_risk.setChecked(False)
        self._show_chosen()
        self.show_judged(Judged())

    # What is shown

    def show_found(self, functions: Sequence[FunctionRow], *, reason: str = "") -> None:
        """The functions that match; `reason` says why there are none."""
        self.found.clear()
        for function in functions:
            item = QListWidgetItem(function.name)
            item.setToolTip(plain.tip(f"{function.name}\n{function.symbol}\n{size(function.size)} of code"))
            item.setData(Qt.ItemDataRole.UserRole, function)
            self.found.addItem(item)
        self.said.setText(reason)
        self.said.setVisible(bool(reason))
        self.found.setVisible(not reason)

    def show_judged(self, judged: Judged) -> None:
        """What is said of the chosen functions."""
        words = f"{judged.refusal} {judged.advice}".strip() or " ".join(judged.cautions)
        self.verdict.setText(words)
        set_rank(self.verdict, "bad" if judged.refusal else "small")
        self._verdict_mark.set_icon(
            "octagon-alert" if judged.refusal else "triangle-alert", "bad" if judged.refusal else "warn"
        )
        self._verdict.setVisible(bool(words))
        self.accept_risk.setVisible(judged.may_accept or self.accept_risk.isChecked())

    def _show_chosen(self) -> None:
        self.chosen_list.clear()
        for function in self._chosen.values():
            item = QListWidgetItem(function.name)
            item.setToolTip(plain.tip(function.name))
            item.setData(Qt.ItemDataRole.UserRole, function)
            self.chosen_list.addItem(item)
        self.chosen_list.setVisible(bool(self._chosen))

    # What the user does

    def _take(self, item: QListWidgetItem | None) -> None:
        if item is not None:
            self.choose((item.data(Qt.ItemDataRole.UserRole),))

    def _leave(self, item: QListWidgetItem) -> None:
        function = item.data(Qt.ItemDataRole.UserRole)
        if self._chosen.pop(function.symbol, None) is not None:
            self._show_chosen()
            self.chosen_changed.emit()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        item = self.chosen_list.currentItem()
        if (
            event.key() in (Qt.Key.Key_Delete, Qt.Key.Key_Backspace)
            and self.chosen_list.hasFocus()
            and item is not None
        ):
            self._leave(item)
        else:
            super().keyPressEvent(event)
