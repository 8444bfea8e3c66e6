"""A form made of fields: one line for each option of a tool, the rare ones below a fold."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from PySide6.QtCore import QSignalBlocker, Qt, Signal
from PySide6.QtGui import QTextOption
from PySide6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDoubleSpinBox,
    QLabel,
    QLineEdit,
    QPlainTextEdit,
    QSpinBox,
    QToolButton,
    QWidget,
)

from tailflame_gui import icons, plain
from tailflame_gui.record_model import NO_VALUES, Choice, FieldKind, FieldValue, FormField, shown_fields
from tailflame_gui.widgets.choice_bar import ChoiceBar
from tailflame_gui.widgets.form import Form, inset
from tailflame_gui.widgets.parts import clear, column, label

_MOST_WHOLE = 2**31 - 1
"""What a spin box of whole numbers can hold."""
_BAR_LETTERS = 34
"""Of all choices together, for them to stand side by side."""
_PROGRAM_HEIGHT = 160
_LONG_MEANING = 28
"""Letters from which on a choice of a list is called by its first words."""
_LONG_TEXT, _LONG_HEIGHT = 40, 72
"""Letters from which on a text has several lines, and their height."""


class FieldForm(QWidget):
    """changed(): some field is another one."""

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._fields: tuple[FormField, ...] = ()
        self._values: dict[str, FieldValue] = {}
        self._forms: dict[bool, Form] = {}
        self._editors: dict[str, QWidget] = {}
        self._notes: dict[str, QLabel] = {}
        self._below = QWidget()
        self.fold = QToolButton()
        self.fold.setCheckable(True)
        self.fold.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.fold.toggled.connect(self._unfold)
        self._usual, self._rare = column(spacing=0), column(margins=(0, 4, 0, 0), spacing=0)
        self._below.setLayout(self._rare)
        layout = column(spacing=4)
        layout.addLayout(self._usual)
        layout.addWidget(self.fold, alignment=Qt.AlignmentFlag.AlignLeft)
        layout.addWidget(self._below)
        self.setLayout(layout)
        self._unfold(False)
        self._lay_out()

    # What stands in it

    @property
    def fields(self) -> tuple[FormField, ...]:
        return self._fields

    @property
    def values(self) -> Mapping[str, FieldValue]:
        """What differs from the defaults, of the fields that have a meaning now."""
        meant = shown_fields(self._fields, self._values)
        return {one.name: self._value(one) for one in meant if self._value(one) != one.default}

    def editor(self, name: str) -> QWidget:
        """What the field called `name` is edited with."""
        return self._editors[name]

    def is_shown(self, name: str) -> bool:
        """Whether the field has a meaning now; one below the closed fold has, too."""
        return any(one.name == name for one in shown_fields(self._fields, self._values))

    def offer(self, fields: tuple[FormField, ...], values: Mapping[str, FieldValue] = NO_VALUES) -> None:
        """The fields of a tool with these values, without announcing it."""
        with QSignalBlocker(self):
            if fields != self._fields:
                self._fields = fields
                self._lay_out()
            self._values = {one.name: one.taken(values.get(one.name)) for one in fields}
            for one in fields:
                self._show(one)
            self._refresh()
            # What was asked for is not hidden.
            self.fold.setChecked(any(one.rare and one.name in self.values for one in fields))

    # Building

    def _lay_out(self) -> None:
        for place in (self._usual, self._rare):
            clear(place)
        self._editors, self._notes, self._forms = {}, {}, {}
        for rare, place in ((False, self._usual), (True, self._rare)):
            form, holder = Form(spacing=6), QWidget()
            self._forms[rare] = form
            for one in self._fields:
                if one.rare is rare:
                    self._add(form, one)
            holder.setLayout(form)
            place.addWidget(holder)
        self.fold.setVisible(any(one.rare for one in self._fields))

    def _add(self, form: Form, one: FormField) -> None:
        editor = self._made(one)
        self._editors[one.name] = editor
        editor.setEnabled(not one.reason)
        tip = plain.tip(f"Off: {one.reason}." if one.reason else one.tip)
        if not isinstance(editor, ChoiceBar):
            editor.setToolTip(tip)
        editor.setAccessibleName(one.title)
        editor.setAccessibleDescription(tip)
        if one.kind is FieldKind.FLAG:
            form.whole(editor, name=one.name)
            return
        words = form.line(one.title, editor, name=one.name, top=isinstance(editor, QPlainTextEdit))
        words.setWordWrap(True)
        words.setToolTip(tip)
        if one.kind is FieldKind.CHOICE:
            note = label("", "small", wrap=True)
            self._notes[one.name] = note
            form.line("", note, name=_note(one))

    def _made(self, one: FormField) -> QWidget:
        match one.kind:
            case FieldKind.CHOICE:
                return self._choice(one)
            case FieldKind.FLAG:
                box = QCheckBox(one.title)
                box.clicked.connect(lambda on: self._take(one, on))
                return box
            case FieldKind.WHOLE:
                whole = QSpinBox()
                whole.setRange(round(max(one.low, -_MOST_WHOLE)), round(min(one.high, _MOST_WHOLE)))
                whole.setGroupSeparatorShown(True)
                whole.setSuffix(f" {one.unit}" if one.unit else "")
                whole.setMaximumWidth(160)
                inset(whole)
                whole.valueChanged.connect(lambda value: self._take(one, value))
                return whole
            case FieldKind.NUMBER:
                number = QDoubleSpinBox()
                number.setRange(one.low, one.high)
                number.setDecimals(3 if one.high - one.low <= 10 else 1)
                number.setStepType(QDoubleSpinBox.StepType.AdaptiveDecimalStepType)
                number.setSuffix(f" {one.unit}" if one.unit else "")
                number.setMaximumWidth(160)
                inset(number)
                number.valueChanged.connect(lambda value: self._take(one, value))
                return number
            case FieldKind.TEXT:
                return self._text(one)

    def _choice(self, one: FormField) -> QWidget:
        texts = _side_by_side(one)
        if texts:
            bar = ChoiceBar(
                one.title,
                tuple(
                    Choice(value, text, meaning, not one.reason, one.reason)
                    for (value, meaning), text in zip(one.choices, texts, strict=True)
                ),
            )
            bar.chosen.connect(partial(self._take, one))
            return bar
        box = QComboBox()
        box.setMinimumContentsLength(8)
        box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        for value, meaning in one.choices:
            box.addItem(_short(meaning) or value, value)
            box.setItemData(box.count() - 1, plain.tip(meaning), Qt.ItemDataRole.ToolTipRole)
        box.currentIndexChanged.connect(lambda _at: self._take(one, str(box.currentData())))
        return box

    def _text(self, one: FormField) -> QWidget:
        program = "\n" in str(one.default)
        if program or len(str(one.default)) > _LONG_TEXT:
            area = QPlainTextEdit()
            area.setProperty("face", "mono")
            area.setFixedHeight(_PROGRAM_HEIGHT if program else _LONG_HEIGHT)
            area.setWordWrapMode(QTextOption.WrapMode.NoWrap if program else QTextOption.WrapMode.WrapAnywhere)
            area.setTabChangesFocus(True)
            # What is one line by itself stays one: the lines are those of this field alone.
            joined = "\n" if program else ""
            area.textChanged.connect(lambda: self._take(one, joined.join(area.toPlainText().splitlines())))
            return area
        line = QLineEdit()
        line.setProperty("face", "mono")
        line.setPlaceholderText(str(one.default) or "none")
        line.textEdited.connect(lambda text: self._take(one, text))
        return line

    # Showing

    def _value(self, one: FormField) -> FieldValue:
        return self._values.get(one.name, one.default)

    def _show(self, one: FormField) -> None:
        editor, value = self._editors[one.name], self._value(one)
        with QSignalBlocker(editor):
            match editor:
                case ChoiceBar():
                    editor.choose(str(value))
                case QCheckBox():
                    editor.setChecked(bool(value))
                case QComboBox():
                    editor.setCurrentIndex(editor.findData(value))
                case QSpinBox():
                    editor.setValue(int(value))
                case QDoubleSpinBox():
                    editor.setValue(float(value))
                case QPlainTextEdit():
                    editor.setPlainText(str(value))
                case QLineEdit():
                    editor.setText(str(value))
                    editor.setCursorPosition(0)
        # What was asked for can always be taken away again.
        editor.setEnabled(not one.reason or (value != one.default and not isinstance(editor, ChoiceBar)))

    def _refresh(self) -> None:
        """Which lines have a meaning, and what the chosen choices mean."""
        meant = {one.name for one in shown_fields(self._fields, self._values)}
        for one in self._fields:
            self._forms[one.rare].show_line(one.name, one.name in meant)
            note = self._notes.get(one.name)
            if note is not None:
                meaning = _said_beside(one, str(self._value(one)))
                said = f"Off: {one.reason}." if one.reason else meaning
                note.setText(said)
                self._forms[one.rare].show_line(_note(one), bool(said) and one.name in meant)
        rare = [one for one in self._fields if one.rare]
        number = sum(one.name in self.values for one in rare)
        self.fold.setText(f"More options ({number} set)" if number else "More options")

    def _take(self, one: FormField, value: FieldValue) -> None:
        taken = one.taken(value)
        if taken != self._value(one):
            self._values[one.name] = taken
            self._refresh()
            self.changed.emit()

    def _unfold(self, on: bool) -> None:
        self.fold.setIcon(icons.icon("chevron-down" if on else "chevron-right"))
        self.fold.setToolTip("Fold away" if on else "Show what is needed seldom")
        self._below.setVisible(on)


def _note(one: FormField) -> str:
    """The name of the line that says what is chosen."""
    return f"{one.name} note"


def _side_by_side(one: FormField) -> tuple[str, ...]:
    """The words of choices that have room beside each other: what they mean, else their names; none for a list."""
    for texts in (tuple(meaning for _value, meaning in one.choices), tuple(value for value, _meaning in one.choices)):
        if all(texts) and sum(map(len, texts)) + 3 * len(texts) <= _BAR_LETTERS:
            return texts
    return ()


def _short(meaning: str) -> str:
    """ "System calls" of "System calls: Which system calls are made, and how long do they take?" """
    head, colon, rest = meaning.partition(": ")
    return head if colon and len(meaning) > _LONG_MEANING and rest else meaning


def _said_beside(one: FormField, value: str) -> str:
    """What is said of the chosen value below it, where its words alone do not say it."""
    meaning, texts = dict(one.choices).get(value, ""), _side_by_side(one)
    if meaning in texts:
        return ""
    return meaning if texts else meaning.removeprefix(_short(meaning)).removeprefix(": ")
