"""A form made of fields: every kind of field takes and gives its values, and says why it is off."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QCheckBox, QComboBox, QDoubleSpinBox, QLineEdit, QPlainTextEdit, QSpinBox
from pytestqt.qtbot import QtBot

from helpers.field_tool import FieldToy
from tailflame.host.system import Host
from tailflame_gui.record_model import FieldKind, FormField, shown_fields
from tailflame_gui.tool_facts import form_fields
from tailflame_gui.views.field_form import FieldForm
from tailflame_gui.widgets.choice_bar import ChoiceBar

FIELDS = form_fields(FieldToy(), Host())
LONG = FormField(
    name="events", title="Events", tip="", kind=FieldKind.TEXT, default=",".join(f"event-{at}" for at in range(9))
)
SIZES = FormField(
    name="sizes",
    title="Sizes",
    tip="",
    kind=FieldKind.CHOICE,
    default="",
    choices=(("", "Those of this processor"), ("32768,8,64", "Another one")),
)


@pytest.fixture
def form(qtbot: QtBot) -> FieldForm:
    made = FieldForm()
    qtbot.addWidget(made)
    made.offer(FIELDS)
    made.show()
    return made


def test_a_new_form_asks_for_nothing_but_the_defaults(form: FieldForm) -> None:
    assert form.values == {}
    depth, share, mode = form.editor("depth"), form.editor("share"), form.editor("mode")
    assert isinstance(depth, QSpinBox) and (depth.value(), depth.minimum(), depth.maximum()) == (30, 1, 200)
    assert isinstance(share, QDoubleSpinBox) and share.text() == "1.0 %"
    assert isinstance(mode, ChoiceBar) and mode.value == "good"


@pytest.mark.parametrize(
    ("name", "act", "value"),
    [
        ("mode", lambda editor: editor.button("bad").click(), "bad"),
        ("depth", lambda editor: editor.setValue(31), 31),
        ("share", lambda editor: editor.setValue(2.5), 2.5),
        ("quiet", lambda editor: editor.click(), True),
        ("name", lambda editor: (editor.setText("a b"), editor.textEdited.emit("a b")), "a b"),
    ],
)
def test_every_kind_of_field_tells_of_its_change(
    form: FieldForm, qtbot: QtBot, name: str, act: Callable[[Any], object], value: object
) -> None:
    form.fold.setChecked(True)
    with qtbot.waitSignal(form.changed):
        act(form.editor(name))
    assert form.values == {name: value}


def test_values_fill_the_form_without_a_word(form: FieldForm, qtbot: QtBot) -> None:
    values = {"mode": "parts", "parts": 3, "depth": 7, "share": 0.5, "quiet": True, "name": "root"}
    with qtbot.assertNotEmitted(form.changed):
        form.offer(FIELDS, values)
    assert form.values == values
    assert form.fold.isChecked() and form.fold.text() == "More options (2 set)"
    with qtbot.assertNotEmitted(form.changed):
        form.offer(FIELDS)
    assert form.values == {} and not form.fold.isChecked() and form.fold.text() == "More options"


def test_what_has_no_meaning_is_hidden_and_not_asked_for(form: FieldForm) -> None:
    assert not form.is_shown("parts") and form.editor("parts").isHidden()
    mode, parts = form.editor("mode"), form.editor("parts")
    assert isinstance(mode, ChoiceBar) and isinstance(parts, QSpinBox)
    mode.button("parts").click()
    assert parts.isVisible()
    parts.setValue(5)
    mode.button("bad").click()
    assert form.values == {"mode": "bad"}
    mode.button("parts").click()
    assert form.values == {"mode": "parts", "parts": 5}  # what was set comes back with its meaning


def test_what_is_off_says_why_and_can_be_taken_away_where_it_was_asked_for(form: FieldForm) -> None:
    off = form.editor("off")
    assert isinstance(off, QCheckBox) and not off.isEnabled()
    assert off.toolTip() == "Off: this machine cannot do it."
    form.offer(FIELDS, {"off": True})
    assert off.isEnabled() and off.isChecked()
    off.click()
    assert form.values == {}


def test_rare_fields_are_below_a_fold_that_keys_open(form: FieldForm, qtbot: QtBot) -> None:
    assert not form.editor("name").isVisible()
    form.fold.setFocus()
    qtbot.keyClick(form.fold, Qt.Key.Key_Space)
    assert form.editor("name").isVisible() and form.fold.toolTip() == "Fold away"
    form.offer(tuple(one for one in FIELDS if not one.rare))
    assert form.fold.isHidden()


def test_long_texts_and_long_choices_have_room(qtbot: QtBot) -> None:
    form = FieldForm()
    qtbot.addWidget(form)
    form.offer((LONG, SIZES))
    events, sizes = form.editor("events"), form.editor("sizes")
    assert isinstance(events, QPlainTextEdit) and events.toPlainText() == LONG.default
    events.setPlainText("cycles,\ninstructions")
    assert form.values == {"events": "cycles,instructions"}
    assert isinstance(sizes, QComboBox) and sizes.currentText() == "Those of this processor"
    sizes.setCurrentIndex(1)
    assert form.values["sizes"] == "32768,8,64"
    form.offer((LONG, SIZES))
    assert form.values == {}


def test_a_program_keeps_its_lines(qtbot: QtBot) -> None:
    program = FormField(name="program", title="Program", tip="", kind=FieldKind.TEXT, default="BEGIN\n{\n}")
    form = FieldForm()
    qtbot.addWidget(form)
    form.offer((program,))
    area = form.editor("program")
    assert isinstance(area, QPlainTextEdit)
    area.setPlainText("END\n{ exit() }")
    assert form.values == {"program": "END\n{ exit() }"}


def test_every_field_has_a_name_and_a_tip(form: FieldForm) -> None:
    for one in FIELDS:
        editor = form.editor(one.name)
        assert editor.accessibleName() == one.title
        assert editor.accessibleDescription() or isinstance(editor, QLineEdit)


@given(
    value=st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(), st.lists(st.integers())
    )
)
def test_no_field_takes_what_it_cannot_hold(value: Any) -> None:
    for one in FIELDS:
        taken = one.taken(value)
        assert isinstance(taken, bool) == (one.kind is FieldKind.FLAG)
        if one.kind in (FieldKind.WHOLE, FieldKind.NUMBER):
            assert one.low <= float(taken) <= one.high
        if one.kind is FieldKind.CHOICE:
            assert taken in [choice for choice, _meaning in one.choices]
        assert one.taken(taken) == taken


def test_fields_that_hang_on_each_other_in_a_ring_are_shown() -> None:
    ring = tuple(
        FormField(name=name, title=name, tip="", kind=FieldKind.FLAG, default=False, only_with=(other, False))
        for name, other in (("a", "b"), ("b", "a"))
    )
    assert shown_fields(ring, {}) == ring
