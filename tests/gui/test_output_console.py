"""The output of a program: lines from any portions, streams in words, bounded, searched."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication, QTextCursor
from pytestqt.qtbot import QtBot

from tailflame_gui import theme
from tailflame_gui.widgets.output_console import AT_ONCE, OutputConsole
from tailflame_gui.widgets.output_lines import LONGEST, Lines, OutputLine, plain


def lines(*portions: str, stream: str = "stdout") -> list[str]:
    made = Lines()
    got = [line.text for portion in portions for line in made.feed(stream, portion)]
    return got + [line.text for line in made.end()]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[32mINFO\x1b[0m ready", "INFO ready"),
        ("\x1b[1;38;5;208mbold\x1b[m", "bold"),
        ("\x1b]0;a title\x07text", "text"),
        ("\x1b]8;;https://x\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x1b[2K\x1b[1Gdone", "done"),
        ("\x1bPq data\x1b\\x", "x"),
        ("\x1b(Bplain", "plain"),
        ("bell\x07 and\x00 nul", "bell and nul"),
        ("a\tb", "a\tb"),
        ("price: 12 µs → ok", "price: 12 µs → ok"),
        ("one\u2029line\ufdd0", "one\N{REPLACEMENT CHARACTER}line\N{REPLACEMENT CHARACTER}"),
    ],
)
def test_escape_sequences_are_gone(text: str, shown: str) -> None:
    assert plain(text) == shown


@pytest.mark.parametrize("cut", range(1, 12))
def test_an_escape_sequence_may_come_in_two_portions(cut: int) -> None:
    text = "\x1b[32mINFO\x1b[0m\n"
    assert lines(text[:cut], text[cut:]) == ["INFO"]


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=200), st.lists(st.integers(0, 200), max_size=6))
def test_portions_do_not_matter(text: str, cuts: list[int]) -> None:
    edges = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    portions = [text[a:b] for a, b in itertools.pairwise(edges)]
    assert lines(*portions) == lines(text)


def test_what_a_progress_bar_wrote_over_is_gone() -> None:
    assert lines("10%\r50%\r100%\nend\r\n") == ["100%", "end"]


def test_a_line_without_an_end_waits_and_comes_last() -> None:
    made = Lines()
    assert list(made.feed("stdout", "half")) == []
    assert list(made.feed("stderr", "other\n")) == [OutputLine("stderr", "other")]
    assert list(made.feed("stdout", " and half\n")) == [OutputLine("stdout", "half and half")]
    list(made.feed("stdout", "the rest"))
    assert list(made.end()) == [OutputLine("stdout", "the rest")]
    assert list(made.end()) == []


def test_a_line_of_a_megabyte_is_cut_and_says_so() -> None:
    (line,) = lines("x" * 1_000_000 + "\n")
    assert line.startswith("x" * LONGEST + " … 996,000 more characters")
    endless = Lines()
    for _ in range(100):
        list(endless.feed("stdout", "y" * 10_000))
    assert sum(len(rest) for rest in endless._rest.values()) <= LONGEST + 10_256


@pytest.fixture
def console(qtbot: QtBot) -> OutputConsole:
    made = OutputConsole(capacity=100)
    qtbot.addWidget(made)
    made.resize(800, 240)
    made.show()
    qtbot.waitExposed(made)
    return made


def test_lines_keep_their_stream(console: OutputConsole) -> None:
    console.feed("stdout", "one\n")
    console.feed("stderr", "two\n")
    console.feed("tool", "[ perf record: Woken up 1 times ]\n")
    assert [(line.stream, line.text) for line in console.shown] == [
        ("stdout", "one"),
        ("stderr", "two"),
        ("tool", "[ perf record: Woken up 1 times ]"),
    ]
    assert console.count_text == "3 lines"


def test_an_empty_first_line_is_a_line(console: OutputConsole) -> None:
    assert console.shown == () and console.count_text == ""
    console.feed("stdout", "\nsecond\n")
    assert [line.text for line in console.shown] == ["", "second"]


def test_stderr_is_marked_by_a_word_and_a_bar_as_well_as_by_colour(console: OutputConsole) -> None:
    console.feed("stdout", "one\n")
    plain_picture = console.text.grab().toImage()
    console.clear()
    console.feed("stderr", "one\n")
    marked = console.text.grab().toImage()
    gutter = [(x, y) for x in range(44) for y in range(20)]
    warn = theme.current().warn
    ink = {(x, y) for x, y in gutter if marked.pixelColor(x, y).name() == warn.name()}
    assert {x for x, _y in ink} & {38, 39}  # the bar
    assert any(x < 34 for x, _y in ink)  # the word
    assert [plain_picture.pixelColor(x, y).name() for x, y in gutter] != [
        marked.pixelColor(x, y).name() for x, y in gutter
    ]


def test_it_is_bounded_and_says_how_many_lines_were_dropped(console: OutputConsole) -> None:
    console.feed("stdout", "".join(f"line {n}\n" for n in range(250)))
    assert [line.text for line in console.shown] == [f"line {n}" for n in range(150, 250)]
    assert (console.dropped, console.count_text) == (150, "250 lines, the first 150 are dropped")
    for n in range(5000):
        console.feed("stderr", f"more {n}\n")
    assert len(console.shown) == 100
    assert console.dropped == 5150
    assert console.shown[-1] == OutputLine("stderr", "more 4999")


def test_the_view_follows_the_end_unless_one_scrolls_away(console: OutputConsole) -> None:
    bar = console.text.verticalScrollBar()
    console.feed("stdout", "".join(f"line {n}\n" for n in range(60)))
    assert bar.value() == bar.maximum() > 0
    assert not console.to_end.isVisible()
    bar.setValue(3)
    console.feed("stdout", "more\n")
    assert bar.value() == 3
    assert console.to_end.isVisible()
    console.to_end.click()
    assert bar.value() == bar.maximum()
    assert not console.to_end.isVisible()


def test_ctrl_f_searches_and_walks(console: OutputConsole, qtbot: QtBot) -> None:
    console.feed("stdout", "".join(f"order {n} matched\n" for n in range(30)))
    console.feed("stderr", "WARN order 7 was slow\n")
    console.text.setFocus()
    console.find_action.trigger()
    assert console.field.hasFocus()
    with qtbot.waitSignal(console.searched):
        qtbot.keyClicks(console.field, "order 7")
    assert console.found_text in ("1/2", "2/2")
    first = console.found_text
    qtbot.keyClick(console.field, Qt.Key.Key_Return)
    second = console.found_text
    assert {first, second} == {"1/2", "2/2"}
    qtbot.keyClick(console.field, Qt.Key.Key_Return, Qt.KeyboardModifier.ShiftModifier)
    assert console.found_text == first
    assert len(console.text.extraSelections()) == 2
    qtbot.keyClick(console.field, Qt.Key.Key_Escape)
    assert (console.field.text(), console.found_text) == ("", "")
    assert console.text.extraSelections() == []
    assert console.text.hasFocus()


def test_ctrl_f_is_a_key_of_the_console(console: OutputConsole, qtbot: QtBot) -> None:
    console.text.setFocus()
    qtbot.keyClick(console.text, Qt.Key.Key_F, Qt.KeyboardModifier.ControlModifier)
    assert console.field.hasFocus()
    assert "Ctrl+F" in console.find_action.toolTip()


def test_the_search_follows_what_comes(console: OutputConsole, qtbot: QtBot) -> None:
    console.field.setText("slow")
    with qtbot.waitSignal(console.searched, check_params_cb=lambda number: number == 0):
        pass
    assert console.found_text == "no match"
    with qtbot.waitSignal(console.searched, check_params_cb=lambda number: number == 1):
        console.feed("stderr", "slow path\n")
    assert console.found_text == "1/1"


def test_capitals_are_meant_and_a_broken_expression_is_said(console: OutputConsole) -> None:
    console.feed("stdout", "Warn\nwarn\nwarn (x\n")
    console.field.setText("warn")
    console.search()
    assert console.found_text == "1/3"
    console.field.setText("Warn")
    console.search()
    assert console.found_text == "1/1"
    console.field.setText("warn (")
    console.search()
    assert console.found_text == "no such expression"
    assert not console.next.isEnabled()


def test_what_is_marked_is_searched(console: OutputConsole) -> None:
    console.feed("stdout", "a (b) c\n")
    cursor = console.text.textCursor()
    cursor.movePosition(QTextCursor.MoveOperation.Start)
    cursor.movePosition(QTextCursor.MoveOperation.Right, QTextCursor.MoveMode.KeepAnchor, 5)
    console.text.setTextCursor(cursor)
    console.begin_search()
    console.search()
    assert console.found_text == "1/1"


def test_the_whole_output_can_be_copied(console: OutputConsole) -> None:
    assert not console.copy.isEnabled()
    console.feed("stdout", "\x1b[1mone\x1b[0m\ntwo\n")
    console.copy.click()
    assert QGuiApplication.clipboard().text() == "one\ntwo"


def test_clearing_forgets_everything(console: OutputConsole) -> None:
    console.feed("stdout", "one\nhalf")
    console.clear()
    console.feed("stdout", "two\n")
    assert [line.text for line in console.shown] == ["two"]
    assert (console.count_text, console.dropped) == ("1 line", 0)


def test_what_has_no_end_of_line_is_shown_at_the_end(console: OutputConsole) -> None:
    console.feed("stdout", "no newline")
    assert console.shown == ()
    console.end()
    assert [line.text for line in console.shown] == ["no newline"]


def test_both_schemes_can_be_painted(console: OutputConsole) -> None:
    console.feed("stderr", "slow\n")
    console.field.setText("slow")
    console.search()
    for mode in (theme.Mode.DARK, theme.Mode.LIGHT):
        theme.set_mode(mode)
        image = console.text.grab().toImage()
        assert image.pixelColor(600, 100).name() == theme.current().surface.name()


def test_of_a_flood_the_last_lines_are_kept_and_the_window_lives(qtbot: QtBot) -> None:
    console = OutputConsole()
    qtbot.addWidget(console)
    console.feed("stdout", "early\n")
    console.feed("stdout", "".join(f"line {n}\n" for n in range(50_000)))
    assert [line.text for line in console.shown] == [f"line {n}" for n in range(50_000 - AT_ONCE, 50_000)]
    assert console.count_text == f"50,001 lines, the first {50_001 - AT_ONCE:,} are dropped"
    console.feed("stderr", "last\n")
    assert len(console.shown) == AT_ONCE + 1
    assert console.dropped == 50_001 - AT_ONCE
