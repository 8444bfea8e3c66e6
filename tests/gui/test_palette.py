"""A few letters find an action, a result, a session."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from pytestqt.qtbot import QtBot

from helpers.recordings import as_results, recording
from tailflame.model import Histogram, HistogramSeries, Recording
from tailflame.model.stacks import readonly
from tailflame_gui import tasks
from tailflame_gui.rows import SessionRow
from tailflame_gui.state import OpenResult, Page
from tailflame_gui.views.result_view import Part, ResultView
from tailflame_gui.widgets.fuzzy import fuzzy
from tailflame_gui.widgets.palette import Entry, matching
from tailflame_gui.wiring import Parts


@pytest.mark.parametrize("query", ["lib", "LIBRARY", "ry", "lbr", ""])
def test_letters_fit_in_their_order(query: str) -> None:
    assert fuzzy(query, "Library") is not None


@pytest.mark.parametrize("query", ["x", "yl", "library x"])
def test_letters_that_are_not_there_do_not_fit(query: str) -> None:
    assert fuzzy(query, "Library") is None


@pytest.mark.parametrize(
    ("query", "better", "worse"),
    [
        ("com", "Compare with the baseline", "Become"),
        ("rec", "Record again", "Open recent"),
        ("pin", "Pin as baseline", "Clipping"),
        ("cwb", "Compare with the baseline", "Crowbar"),
        ("dark", "Dark colours", "Double ark"),
    ],
)
def test_beginnings_of_words_win(query: str, better: str, worse: str) -> None:
    one, other = fuzzy(query, better), fuzzy(query, worse)
    assert one is not None and (other is None or one > other)


def test_an_entry_is_found_by_its_group_and_hint_too() -> None:
    entries = [Entry("trading-system", "session", print, hint="24 Nov perf record"), Entry("Open…", "File", print)]
    assert [entry.text for entry in matching(entries, "perf session")] == ["trading-system"]
    assert [entry.text for entry in matching(entries, "")] == ["trading-system", "Open…"]
    assert matching(entries, "zzz") == []


def _session() -> SessionRow:
    at = datetime(2026, 11, 24, 12, 4).astimezone()
    return SessionRow("s", Path("/p/s"), "market-maker --fast", "/opt/mm", "perf record", "complete", at)


def test_the_palette_lists_actions_results_and_sessions(parts: Parts) -> None:
    parts.state.set_sessions((_session(),))
    result = OpenResult("odd-name.svg", path=Path("/odd-name.svg"))
    result.ready(recording(), title="odd-name.svg", session=None)
    parts.state.results.add(result)
    texts = [entry.text for entry in parts.window.palette_entries()]
    assert {"Start", "Open…", "Pin as baseline", "odd-name.svg", "market-maker --fast"} <= set(texts)
    assert "Stop recording" not in texts, "what is not possible now is not offered"
    assert "Search…" not in texts


def test_keys_open_narrow_and_run(parts: Parts, qtbot: QtBot) -> None:
    window = parts.window
    parts.actions["palette"].trigger()
    box = window.palette_box
    assert box.isVisible()
    qtbot.keyClicks(box.field, "libr")
    assert box.shown[0] == "Library"
    qtbot.keyClick(box.field, Qt.Key.Key_Return)
    assert not box.isVisible()
    assert parts.state.page is Page.LIBRARY


def test_arrows_go_round_and_escape_closes(parts: Parts, qtbot: QtBot) -> None:
    window = parts.window
    window.open_palette("go to")
    box = window.palette_box
    first = box._list.currentIndex().row()
    qtbot.keyClick(box.field, Qt.Key.Key_Up)
    assert box._list.currentIndex().row() == len(box.shown) - 1
    qtbot.keyClick(box.field, Qt.Key.Key_Down)
    assert box._list.currentIndex().row() == first == 0
    qtbot.keyClick(box.field, Qt.Key.Key_PageDown)
    assert box._list.currentIndex().row() > 0
    qtbot.keyClick(box.field, Qt.Key.Key_Escape)
    assert not box.isVisible()
    assert parts.state.page is Page.START


def test_nothing_that_fits_is_said(parts: Parts, qtbot: QtBot) -> None:
    parts.window.open_palette("qqqq")
    box = parts.window.palette_box
    assert box.shown == ()
    assert box._nothing.isVisible()
    qtbot.keyClick(box.field, Qt.Key.Key_Return)
    assert box.isVisible()
    box.close_it()


def test_a_session_opens_from_the_palette(parts: Parts, qtbot: QtBot) -> None:
    parts.state.set_sessions((_session(),))
    parts.window.open_palette("market")
    with qtbot.waitSignal(parts.window.opened) as opened:
        qtbot.keyClick(parts.window.palette_box.field, Qt.Key.Key_Return)
    assert opened.args == [_session()]
    qtbot.waitUntil(lambda: parts.state.results.all[0].failure is not None)


LATENCIES = HistogramSeries(("",), (0.0,), (1.0,), (Histogram(readonly([0, 5, 3], "int64")),))


@pytest.mark.parametrize(
    ("held", "parts_of_it"),
    [
        (recording(command=("/opt/book",)), list(Part)[: list(Part).index(Part.LATENCY)]),
        (as_results(LATENCIES), [Part.LATENCY, Part.SUMMARY]),
    ],
    ids=["stacks", "latencies"],
)
def test_the_parts_of_a_result_are_in_the_palette(
    parts: Parts, qtbot: QtBot, held: Recording, parts_of_it: list[Part]
) -> None:
    result = OpenResult("book", path=Path("/p/book"))
    result.ready(held, title="book", session=None)
    parts.state.results.add(result)
    view = parts.window.results.page
    assert isinstance(view, ResultView)
    entries = {entry.text: entry for entry in parts.window.palette_entries() if entry.group == "Result"}
    words = {part: view.words_of(part)[1] for part in Part}
    assert set(entries) & set(words.values()) == {words[part] for part in parts_of_it}
    for part in parts_of_it:
        entries[words[part]].act()
        assert view.part is part
    qtbot.waitUntil(tasks.at_rest)
