"""The frame: everything can be reached, by keys too, and says what is possible now."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import pytest
from PySide6.QtCore import QPoint, QSize, Qt
from PySide6.QtGui import QAction, QKeySequence
from PySide6.QtWidgets import QApplication, QMenu, QToolButton, QWidget
from pytestqt.qtbot import QtBot

from helpers.recordings import recording
from tailflame.errors import ParseError
from tailflame_gui.actions import SPECS, Actions
from tailflame_gui.dialogs.keys import KeysDialog
from tailflame_gui.rows import SessionRow, TargetRow
from tailflame_gui.state import OpenComparison, OpenResult, Page
from tailflame_gui.tasks import Job
from tailflame_gui.views.compare_view import CompareView
from tailflame_gui.views.main_window import _RAIL
from tailflame_gui.views.result_view import Part, ResultView
from tailflame_gui.views.tab_area import FailedPage, LoadingPage
from tailflame_gui.views.view_keys import key_lines, shown_shortcuts, words_of
from tailflame_gui.wiring import Parts


def opened(parts: Parts, title: str, **session: object) -> OpenResult:
    """A result that is ready, in a tab."""
    row = None
    if session:
        known = {"id": title, "path": Path("/p") / title, "title": title, "binary": "/opt/book", "tool": "perf record"}
        row = SessionRow(**{**known, "state": "complete", **session})  # type: ignore[arg-type]
    result = OpenResult(title, path=Path("/p") / title)
    result.ready(recording(command=("/opt/book",)), title=title, session=row)
    parts.state.results.add(result)
    return result


def test_the_rail_has_words_and_no_dead_entry(parts: Parts) -> None:
    words = ("Start", "Record", "Live", "Results", "Compare", "Loop", "Library", "Console", "Tools")
    assert parts.window.rail.words == words
    assert parts.window.rail.words == tuple(page.value for page in Page if page is not Page.RECIPES)


@pytest.mark.parametrize("page", list(Page))
def test_every_page_is_reached_by_a_key(parts: Parts, qtbot: QtBot, page: Page) -> None:
    parts.state.set_page(Page.CONSOLE if page is Page.START else Page.START)
    action = parts.actions[{**_RAIL, Page.RECIPES: "recipes"}[page]]
    for keys in action.shortcuts():
        qtbot.keySequence(parts.window, keys)
        assert parts.state.page is page
    assert parts.window._stack.currentWidget() is parts.window._pages[page]


def test_every_action_has_words_an_icon_and_a_tip(parts: Parts) -> None:
    for action in parts.window._all_actions():
        assert action.text(), action.objectName()
        assert action.toolTip() not in ("", action.text()), action.text()
    for spec in SPECS:
        assert spec.tip.endswith(".")
        assert not parts.actions[spec.name].icon().isNull()


def test_no_two_actions_share_a_key(qtbot: QtBot) -> None:
    actions = Actions()
    keys = [(keys.toString(), action.text()) for action in actions.all() for keys in action.shortcuts()]
    for (one, first), (other, second) in itertools.combinations(keys, 2):
        assert one != other, f"{first} and {second}"


def test_every_button_without_words_has_a_tip(parts: Parts) -> None:
    for made in parts.window.findChildren(QToolButton):
        if made.isVisible() and not made.text():
            assert made.toolTip(), made


def test_tabs_are_stepped_and_closed_by_keys(parts: Parts, qtbot: QtBot) -> None:
    one, two = opened(parts, "one"), opened(parts, "two")
    results = parts.state.results
    assert parts.state.page is Page.RESULTS
    parts.actions["next_tab"].trigger()
    assert results.current is one
    parts.actions["previous_tab"].trigger()
    assert results.current is two
    qtbot.keyClick(parts.window, Qt.Key.Key_W, Qt.KeyboardModifier.ControlModifier)
    assert results.all == (one,)
    qtbot.keyClick(parts.window, Qt.Key.Key_W, Qt.KeyboardModifier.ControlModifier)
    assert results.all == ()
    assert not parts.actions["close_tab"].isEnabled()
    assert not parts.window.results.bar.isVisible()


def test_a_middle_click_closes_a_tab(parts: Parts, qtbot: QtBot) -> None:
    one, two = opened(parts, "one"), opened(parts, "two")
    bar = parts.window.results.bar
    qtbot.mouseClick(bar, Qt.MouseButton.MiddleButton, pos=bar.tabRect(0).center())
    assert parts.state.results.all == (two,)
    assert one not in parts.state.results.all


def test_the_close_mark_closes_its_tab(parts: Parts) -> None:
    one, two = opened(parts, "one"), opened(parts, "two")
    parts.window.results.bar.tabCloseRequested.emit(0)
    assert parts.state.results.all == (two,)
    assert parts.window.results.page_of(one) is None


def test_clicking_and_dragging_tabs(parts: Parts, qtbot: QtBot) -> None:
    one, two, three = (opened(parts, name) for name in ("one", "two", "three"))
    bar = parts.window.results.bar
    qtbot.mouseClick(bar, Qt.MouseButton.LeftButton, pos=bar.tabRect(0).center())
    assert parts.state.results.current is one
    bar.moveTab(0, 2)
    assert parts.state.results.all == (two, three, one)
    parts.actions["next_tab"].trigger()
    assert parts.state.results.current is two


def test_ampersands_in_titles_are_shown(parts: Parts) -> None:
    opened(parts, "a&b")
    assert parts.window.results.bar.tabText(0) == "a&&b"


def test_a_tab_shows_its_progress_then_its_failure(parts: Parts, qtbot: QtBot) -> None:
    result = OpenResult("big.data", path=Path("/big.data"))
    job = parts.jobs.start("Reading big.data")
    result.loading(job)
    parts.state.results.add(result)
    page = parts.window.results.page
    assert isinstance(page, LoadingPage)
    job.token.progress(0.25)
    qtbot.waitUntil(lambda: page._percent.text() == "25%")
    result.failed(ParseError("big.data ends too soon.", source="big.data", advice="Copy it anew.", details="at byte 3"))
    failed = parts.window.results.page
    assert isinstance(failed, FailedPage)
    assert failed.accessibleName() == "big.data ends too soon. Copy it anew."
    with qtbot.waitSignal(parts.window.tab_retried) as asked:
        failed.retry.emit()
    assert asked.args == [result]
    from tailflame_gui.tasks import JobState

    job.end(JobState.FAILED)


def test_copied_details_hold_everything(parts: Parts, qapp: object) -> None:
    from PySide6.QtGui import QGuiApplication

    result = OpenResult("x", path=Path("/data/x"))
    result.failed(ParseError("broken.", source="x", advice="Mend it.", details="line 3: ;;"))
    parts.state.results.add(result)
    failed = parts.window.results.page
    assert isinstance(failed, FailedPage)
    failed._copy()
    assert QGuiApplication.clipboard().text() == "broken.\n\nMend it.\n\n/data/x\n\nline 3: ;;"


def test_actions_are_on_only_where_they_mean_something(parts: Parts) -> None:
    def on(*names: str) -> list[bool]:
        return [parts.actions[name].isEnabled() for name in names]

    assert on("pin", "unpin", "compare_baseline", "export_svg", "stop", "cancel") == [False] * 6
    opened(parts, "one", baseline=False)
    assert on("pin", "unpin", "compare_baseline", "export_svg") == [True, False, True, True]
    opened(parts, "two", baseline=True)
    assert on("pin", "unpin", "compare_baseline", "export_svg") == [False, True, False, True]
    parts.state.set_page(Page.LIBRARY)
    assert on("pin", "unpin", "export_svg", "close_tab") == [False] * 4
    parts.state.set_recording(True)
    assert on("stop", "cancel") == [True, True]


def test_the_context_menu_of_a_tab_offers_what_is_possible(parts: Parts) -> None:
    result = opened(parts, "one", baseline=False)
    menu = QMenu(parts.window)
    parts.window._tab_menu(result, menu)
    words = [action.text() for action in menu.actions() if action.text()]
    assert "Pin as baseline" in words and "Unpin the baseline" not in words and words[-1] == "Close tab"


def test_the_rail_counts_what_is_open(parts: Parts) -> None:
    opened(parts, "one")
    opened(parts, "two")
    assert parts.window.rail._buttons[Page.RESULTS].accessibleDescription() == "2 open"


def test_comparisons_have_tabs_of_their_own(parts: Parts) -> None:
    opened(parts, "one")
    tab = OpenComparison("one", "two")
    tab.loading(Job("comparing"))
    parts.state.comparisons.add(tab)
    assert parts.state.page is Page.COMPARE
    assert isinstance(parts.window.comparisons.page, LoadingPage)
    parts.window._pick.click()
    assert parts.window.comparisons.page is parts.window.picker
    parts.actions["close_tab"].trigger()
    assert parts.state.comparisons.all == ()


def test_the_header_names_the_program_at_hand(parts: Parts) -> None:
    header = parts.window.header
    assert header._name.text() == "No program chosen"
    parts.state.set_target(TargetRow("/w/target/release/book", "release", "9f3c2e1", "12:11"))
    shown = (header._name.text(), header._facts.text(), header._baseline.text())
    assert shown == ("book", "release  9f3c2e1", "baseline: 12:11")
    parts.state.set_recording(True)
    assert header._stop.isVisible() and not header._record.isVisible()


def test_the_keys_sheet_lists_every_key(parts: Parts, qtbot: QtBot) -> None:
    parts.actions["keys"].trigger()
    dialog = parts.window.findChild(KeysDialog)
    assert dialog is not None
    listed = {(text, keys) for _group, text, keys in dialog.lines}
    assert ("Record again", "F5") in listed
    assert ("Next tab", "Ctrl+Tab, Ctrl+PgDown") in listed
    form = QKeySequence.SequenceFormat.NativeText
    for action in parts.actions.all():
        for keys in action.shortcuts():
            assert any(keys.toString(form) in line[2] for line in dialog.lines), action.text()
    dialog._filter.setText("baseline")
    qtbot.waitUntil(dialog.isVisible)
    dialog.close()
    qtbot.waitUntil(lambda: parts.window.findChild(KeysDialog) is None)


def test_every_key_of_the_views_has_its_words_in_the_sheet(parts: Parts, tmp_path: Path, qtbot: QtBot) -> None:
    for name in ("one", "two"):
        (tmp_path / f"{name}.folded").write_text("main;hot 700\nmain;cold 300\n")
        parts.controller.open_file(tmp_path / f"{name}.folded")
    qtbot.waitUntil(lambda: all(tab.recording is not None for tab in parts.state.open_results))
    results, comparisons = parts.window.results, parts.window.comparisons
    view = results.page
    assert isinstance(view, ResultView)
    wordless: list[tuple[str, str]] = []

    def look(area: QWidget) -> None:
        for shortcut, owner in shown_shortcuts(area):
            if words_of(shortcut, owner) is None:
                wordless.append((type(owner).__name__, shortcut.key().toString()))

    for part in Part:
        view.show_part(part)
        look(results)
    parts.controller.compare(*parts.state.open_results)
    qtbot.waitUntil(lambda: isinstance(comparisons.page, CompareView))
    look(comparisons)
    assert wordless == []
    assert ("Result", "Hotspots", "Ctrl+3") in key_lines(results)
    assert ("Comparison", "Exchange baseline and candidate", "Ctrl+Shift+X") in key_lines(comparisons)
    assert any(group == "Flame graph" for group, _words, _keys in key_lines(comparisons))


def test_actions_of_the_page_are_found_too(parts: Parts) -> None:
    parts.state.set_page(Page.LIBRARY)
    groups = {str(action.property("group")) for action in parts.window._all_actions()}
    assert "Library" in groups
    parts.state.set_page(Page.START)
    groups = {str(action.property("group")) for action in parts.window._all_actions()}
    assert "Library" not in groups


def test_the_window_finds_its_place_again(parts: Parts, qtbot: QtBot) -> None:
    window = parts.window
    window.resize(1100, 700)
    window.move(30, 40)
    document = window.geometry_document()
    window.resize(1300, 900)
    window.move(0, 0)
    window.restore_geometry(json.loads(json.dumps(document)))
    assert (window.size(), window.pos()) == (QSize(1100, 700), QPoint(30, 40))
    nonsense: tuple[dict[str, object], ...] = ({}, {"place": 3}, {"place": [1, 2]}, {"place": ["a"] * 4})
    for strange in nonsense:
        window.restore_geometry(strange)
    window.restore_geometry({"place": [90_000, 90_000, 1000, 650], "maximised": False})
    assert (window.size(), window.pos()) == (QSize(1000, 650), QPoint(30, 40)), "that screen is gone"


def test_closing_may_be_put_off(parts: Parts) -> None:
    answers = iter((False, True))
    parts.window.ask_before_close(lambda: next(answers))
    assert not parts.window.close()
    assert parts.window.isVisible()
    assert parts.window.close()


def test_pages_are_reached_by_the_mouse(parts: Parts, qtbot: QtBot) -> None:
    button = parts.window.rail._buttons[Page.LIBRARY]
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton, pos=QPoint(40, 16))
    assert parts.state.page is Page.LIBRARY
    assert button.isChecked()


# The offscreen platform has no keyboard that a menu could grab.
@pytest.mark.qt_log_ignore("does not support", extend=True)
def test_the_settings_are_a_menu_in_the_rail(parts: Parts, qtbot: QtBot) -> None:
    parts.actions["settings"].trigger()
    menu = QApplication.activePopupWidget()
    assert isinstance(menu, QMenu)
    words = [action.text() for action in menu.actions() if action.text()]
    assert words[:7] == [
        "Colours of the system",
        "Light colours",
        "Dark colours",
        "Set the editor…",
        "Set the path map…",
        "Ask debuginfod servers",
        "Choose the profiles folder…",
    ]
    menu.close()


def test_the_title_names_what_is_shown(parts: Parts) -> None:
    assert parts.window.windowTitle() == "Start – Tailflame"
    opened(parts, "one")
    assert parts.window.windowTitle() == "one – Tailflame"
    parts.state.set_page(Page.LIBRARY)
    assert parts.window.windowTitle() == "Library – Tailflame"


def test_actions_follow_their_own_state() -> None:
    from tailflame_gui.widgets.parts import ActionButton

    action = QAction("Go")
    made = ActionButton(action)
    action.setEnabled(False)
    action.setToolTip("Not now.")
    assert (made.isEnabled(), made.toolTip()) == (False, "Not now.")
