"""The small parts that tables and result views are made of."""

from __future__ import annotations

from enum import StrEnum

import pytest
from PySide6.QtCore import QRectF, Qt
from PySide6.QtGui import QColor, QPainter, QPixmap
from PySide6.QtWidgets import QLineEdit
from pytestqt.qtbot import QtBot

from helpers.results import ENGINE, show, two_events
from tailflame.model import Caution, Weight
from tailflame.units import Unit, change_digits, interval_text, signed_percent
from tailflame_gui import theme
from tailflame_gui.models.figures import measure, share_text
from tailflame_gui.models.scope import ResultScope, Scope
from tailflame_gui.widgets.busy_line import BusyLine
from tailflame_gui.widgets.caution_lines import CautionLine
from tailflame_gui.widgets.cell_delegate import bar_color, match_color
from tailflame_gui.widgets.filter_field import FilterField
from tailflame_gui.widgets.function_line import FunctionLine, FunctionLines
from tailflame_gui.widgets.hatch_key import HatchKey
from tailflame_gui.widgets.scope_bar import ScopeBar
from tailflame_gui.widgets.segmented import Segmented
from tailflame_gui.widgets.symbol import SymbolWriter, split_name


class Size(StrEnum):
    SMALL = "small"
    LARGE = "large"
    HUGE = "huge"


@pytest.mark.parametrize(
    ("name", "path", "tail"),
    [
        ("main", "", "main"),
        ("engine::run", "", "engine::run"),
        ("engine::book::OrderBook::match_order", "engine::book::", "OrderBook::match_order"),
        ("alloc::vec::Vec<a::B<c::D>>::push", "alloc::vec::", "Vec<a::B<c::D>>::push"),
        ("<a::B as c::D>::run", "", "<a::B as c::D>::run"),
        ("engine::run::step::{{closure}}", "engine::", "run::step::{{closure}}"),
        ("f(a::B, c::D) -> e::F", "", "f(a::B, c::D) -> e::F"),
    ],
)
def test_symbols_are_split_where_they_may_be_cut(name: str, path: str, tail: str) -> None:
    assert split_name(name) == (path, tail)


def test_a_symbol_gives_up_its_path_first(qtbot: QtBot) -> None:
    writer = SymbolWriter(theme.mono_font())
    name = "engine::book::side::OrderBook::match_order"
    path, tail, offset = writer.fitted(name, 2000)
    assert (path + tail, offset > 0) == (name, True)
    path, tail, _offset = writer.fitted(name, 260)
    assert path.startswith("…") and tail == "OrderBook::match_order"
    path, tail, offset = writer.fitted(name, 110)
    assert (path, offset) == ("", 0)
    assert tail == "match_order"
    assert writer.fitted(name, 60)[1].startswith("match"), "at last the function's own name is cut"
    assert writer.width(name, 60) <= 60
    boxed = "<alloc::boxed::Box<F, A> as core::ops::FnOnce<()>>::call_once"
    assert writer.fitted(boxed, 120)[1] == "call_once"
    closure = writer.fitted("engine::run::step_by_step::{{closure}}", 160)[1]
    assert closure.startswith("…") and closure.endswith("step::{{closure}}")


@pytest.mark.parametrize(
    ("share", "samples", "text"),
    [(0.12345, 10_000, "12.3"), (0.5, 60, "50"), (0.0004, 10_000, "<0.1"), (0.0, 10_000, ""), (1.0, 10_000, "100.0")],
)
def test_shares_have_no_digit_that_is_not_known(share: float, samples: float, text: str) -> None:
    assert share_text(share, samples) == text


def test_changes_have_real_signs_and_end_where_nobody_reads_on() -> None:
    assert signed_percent(0.382) == "+38"
    assert signed_percent(-0.12) == "−12"
    assert signed_percent(0.0) == "±0"
    assert signed_percent(15.63) == "×17"
    assert signed_percent(5000.0) == ">×1,000"
    assert interval_text(0.29, 0.52) == "+29 to +52"
    assert interval_text(-0.948, 4417.0) == "−95 to >×10"
    assert interval_text(0.011, 0.029) == "+1.1 to +2.9"
    assert (change_digits(0.01, 0.03), change_digits(0.0, 0.5)) == (1, 0)


@pytest.mark.parametrize(
    ("unit", "largest", "noun", "label", "weight", "text"),
    [
        (Unit.SAMPLES, 9000, "", "samples", 1234, "1,234"),
        (Unit.NANOSECONDS, 3.9e9, "", "s", 1.25e9, "1.25"),
        (Unit.NANOSECONDS, 5e7, "", "ms", 1e4, "<0.1"),
        (Unit.EVENTS, 4.8e10, "cycles", "G cycles", 1.24e10, "12.4"),
        (Unit.EVENTS, 900, "cache-misses", "cache-misses", 17, "17"),
        (Unit.BYTES, 2e6, "", "MB", 5e5, "0.50"),
    ],
)
def test_a_column_has_one_unit(unit: Unit, largest: float, noun: str, label: str, weight: float, text: str) -> None:
    made = measure(unit, largest=largest, noun=noun)
    assert made.label == label
    assert made.text(weight) == text
    assert made.text(0) == ""
    assert made.with_unit(weight) == f"{text} {label}"


def test_segmented_is_chosen_by_click_and_by_arrow_keys(qtbot: QtBot) -> None:
    made: Segmented[Size] = Segmented([(size, size.value, "") for size in Size])
    show(qtbot, made, 300, 40)
    seen: list[Size] = []
    made.chosen.connect(seen.append)
    assert made.choice is Size.SMALL
    qtbot.mouseClick(made._group.button(1), Qt.MouseButton.LeftButton)
    qtbot.keyClick(made._group.button(1), Qt.Key.Key_Right)
    qtbot.keyClick(made._group.button(2), Qt.Key.Key_Left)
    assert seen == [Size.LARGE, Size.HUGE, Size.LARGE]
    made.choose(Size.SMALL)
    assert made.choice is Size.SMALL
    assert len(seen) == 3
    theme.set_mode(theme.Mode.DARK)
    assert made.choice is Size.SMALL


def test_the_filter_waits_for_a_pause_and_walks_on_enter(qtbot: QtBot) -> None:
    field = FilterField("Filter")
    show(qtbot, field, 300, 40)
    asked: list[str] = []
    steps: list[int] = []
    field.query_changed.connect(asked.append)
    field.stepped.connect(steps.append)
    qtbot.keyClicks(field, "abc")
    assert asked == []
    qtbot.waitUntil(lambda: asked == ["abc"])
    qtbot.keyClick(field, Qt.Key.Key_Return)
    qtbot.keyClick(field, Qt.Key.Key_Return, Qt.KeyboardModifier.ShiftModifier)
    assert steps == [1, -1]
    with qtbot.waitSignal(field.left):
        qtbot.keyClick(field, Qt.Key.Key_Down)
    assert isinstance(field, QLineEdit)


def test_the_scope_bar_offers_only_what_there_is_to_choose(qtbot: QtBot) -> None:
    scope = ResultScope()
    bar = ScopeBar(scope)
    show(qtbot, bar, 500, 40)
    bar.set_profile(two_events())
    assert bar.event_box.texts() == ["cycles", "cache-misses"]
    assert bar.weight_box.texts() == ["Samples", "Cycles"]
    assert bar.thread_box.texts() == ["All 2 threads", "engine-0 (100)", "engine-1 (101)"]
    bar.weight_box.setCurrentIndex(1)
    bar.event_box.setCurrentIndex(1)
    assert scope.scope == Scope(event=1, weight=Weight.PERIOD)
    assert bar.weight_box.texts() == ["Samples", "Cache-misses"]
    scope.set(Scope(threads=frozenset({1})))
    assert bar.thread_box.currentText() == "engine-1 (101)"
    bar.thread_box.setCurrentIndex(0)
    assert scope.scope.threads is None


def test_a_busy_line_appears_only_for_work_that_is_felt(qtbot: QtBot) -> None:
    line = BusyLine()
    qtbot.addWidget(line)
    line.set_busy(True)
    assert line.maximum() == 1
    qtbot.waitUntil(lambda: line.maximum() == 0)
    line.set_busy(False)
    assert line.maximum() == 1
    line.set_busy(True)
    line.set_busy(False)
    assert not line._timer.isActive()


def test_function_lines_are_buttons_for_pointer_and_keyboard(qtbot: QtBot) -> None:
    lines = FunctionLines()
    show(qtbot, lines, 260, 120)
    lines.show_functions([("a::b::hot", "12.0", 1.0, "120 samples"), ("cold", "0.1", 0.01, "")])
    assert [line.name for line in lines.lines] == ["a::b::hot", "cold"]
    with qtbot.waitSignal(lines.chosen) as chosen:
        lines.lines[1].setFocus()
        qtbot.keyClick(lines.lines[1], Qt.Key.Key_Space)
    assert chosen.args == ["cold"]
    lines.show_functions([("other", "5.0", 0.5, "")])
    assert [line.name for line in lines.lines] == ["other"]


def _painted(widget: FunctionLine | HatchKey, at: tuple[int, int]) -> QColor:
    image = widget.grab().toImage()
    scale = image.width() / widget.width()
    return QColor(image.pixel(round(at[0] * scale), round(at[1] * scale)))


def test_the_share_bar_is_a_plain_fill_in_the_accent(qtbot: QtBot) -> None:
    line = FunctionLine()
    show(qtbot, line, 240, theme.ROW)
    line.set_function("", figure="", share=0.5)
    assert _painted(line, (60, 12)).name() == bar_color(theme.current()).name()
    assert _painted(line, (200, 12)).name() != bar_color(theme.current()).name()


def test_focus_is_seen_as_a_ring_in_the_accent(qtbot: QtBot) -> None:
    line = FunctionLine()
    show(qtbot, line, 240, theme.ROW)
    line.set_function("f", figure="1", share=0.0)
    line.setFocus()
    assert _painted(line, (0, 10)).name() == theme.current().accent.name()


def test_the_hatching_is_explained_by_shape_and_word(qtbot: QtBot) -> None:
    vanished = HatchKey("vanished", down=True, tip="In the baseline only")
    show(qtbot, vanished, 100, 20)
    assert vanished.accessibleName() == "Falling lines: vanished"
    assert vanished.toolTip() == "In the baseline only"
    fills = {_painted(vanished, (x, 10)).name() for x in range(1, 19)}
    assert theme.current().less.name() in fills
    assert len(fills) > 1


@pytest.mark.parametrize("mode", [theme.Mode.LIGHT, theme.Mode.DARK])
def test_text_on_bars_and_matches_can_be_read(qtbot: QtBot, mode: theme.Mode) -> None:
    theme.set_mode(mode)
    tokens = theme.current()
    for fill in (bar_color(tokens), match_color(tokens), tokens.selection):
        assert theme.contrast(tokens.text, fill) >= 4.5


def test_a_caution_has_a_sentence_and_its_fix(qtbot: QtBot) -> None:
    line = CautionLine(Caution("Symbols are missing.", "Install them."))
    qtbot.addWidget(line)
    assert line.text == "Symbols are missing. Install them."
    assert line.accessibleName().startswith("Caution:")


def test_a_symbol_is_painted_within_its_place(qtbot: QtBot) -> None:
    pixmap = QPixmap(200, 24)
    pixmap.fill(theme.current().surface)
    painter = QPainter(pixmap)
    tokens = theme.current()
    SymbolWriter(theme.mono_font()).paint(
        painter, QRectF(20, 0, 100, 24), f"{ENGINE}::a::b::c::d", ink=tokens.text, second=tokens.faint
    )
    painter.end()
    image = pixmap.toImage()
    outside = {image.pixelColor(x, y).name() for x in [*range(0, 18), *range(124, 200)] for y in range(24)}
    assert outside == {tokens.surface.name()}
