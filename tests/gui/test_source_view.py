"""Source and assembly as the user meets them: the selected function, both sides linked, what is said when missing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QLabel, QSplitter
from pytestqt.qtbot import QtBot

from helpers import code
from helpers.code import COLD, HOT, MAX
from helpers.results import recording, show
from helpers.spin import RECORDED, at_home
from helpers.stacks import profile
from tailflame.errors import StoreError
from tailflame.host.disassembly import NoCode
from tailflame.host.source_files import Found, MissingSource
from tailflame.model import Recording, StackProfile, Thread
from tailflame.model.stacks import readonly
from tailflame.parse import load
from tailflame.store import load_settings
from tailflame_gui import tasks
from tailflame_gui.code_provider import CodeProvider
from tailflame_gui.dialogs.path_map import PathMapDialog
from tailflame_gui.models.code_lines import CodeRole
from tailflame_gui.models.scope import ResultScope, Scope
from tailflame_gui.models.source_figures import CodeQuestion, Of, SourceQuestion
from tailflame_gui.models.trees import ProfileTrees
from tailflame_gui.selection import Selection
from tailflame_gui.views.result_view import Part, ResultView
from tailflame_gui.views.source_view import SourceView
from tailflame_gui.widgets.code_paint import FOLD_ROOM, PADDING
from tailflame_gui.widgets.empty_state import EmptyState
from tailflame_gui.wiring import Parts


class Answers:
    """Answers what a view asks, at once, with a source and code that are no files."""

    def __init__(self, view: SourceView) -> None:
        self.view = view
        self.sources: list[SourceQuestion] = []
        self.codes: list[CodeQuestion] = []
        view.source_wanted.connect(self.source)
        view.code_wanted.connect(self.code)

    def source(self, question: SourceQuestion) -> None:
        self.sources.append(question)
        text = code.LIB_TEXT if question.name == code.LIB_RS else code.TEXT
        self.view.take_source(question, Found(question.name, text.path, (str(text.path),)), text, None)

    def code(self, question: CodeQuestion) -> None:
        self.codes.append(question)
        self.view.take_code(question, code.code(), None)
        self.view.take_lines(question, code.lines(), "")


def view_of(
    qtbot: QtBot, held: StackProfile | None = None, *, function: str = HOT, width: int = 1100
) -> tuple[SourceView, Answers]:
    view = SourceView(selection=Selection(), scope=ResultScope())
    answers = Answers(view)
    view._selection.select(function)
    view.set_trees(ProfileTrees(held if held is not None else code.sited()))
    show(qtbot, view, width, 600)
    settle(qtbot, view)
    return view, answers


def settle(qtbot: QtBot, view: SourceView) -> None:
    qtbot.waitUntil(lambda: not view.busy and tasks.at_rest())


def words(view: SourceView) -> str:
    """All that is said in words."""
    return "\n".join(label.text() for label in view.findChildren(QLabel) if label.isVisibleTo(view))


def test_the_selected_functions_source_and_code_stand_side_by_side(qtbot: QtBot) -> None:
    view, answers = view_of(qtbot)
    assert [question.name for question in answers.sources] == [code.HOT_RS, code.LIB_RS]
    assert (answers.codes[0].place.name, answers.codes[0].place.total) == (HOT, 250)
    assert view.lines.row_of(3) == view.source.row
    assert view.assembly.row == 3
    assert view.instructions.index(3, 0).data() == "80.0"
    assert "self 25.0%" in view.bar.figures.text() and "total 40.0%" in view.bar.figures.text()


def test_nothing_is_asked_before_it_is_looked_at(qtbot: QtBot) -> None:
    view = SourceView(selection=Selection(), scope=ResultScope())
    answers = Answers(view)
    qtbot.addWidget(view)
    view.set_trees(ProfileTrees(code.sited()))
    view._selection.select(HOT)
    assert not view.busy and not answers.sources
    view.show()
    settle(qtbot, view)
    assert answers.sources and answers.codes


def test_without_a_function_it_says_what_to_do(qtbot: QtBot) -> None:
    view, answers = view_of(qtbot, function="")
    assert "No function is selected" in words(view)
    assert not answers.sources


def test_a_line_marks_its_instructions_and_an_instruction_its_line(qtbot: QtBot) -> None:
    view, _answers = view_of(qtbot)
    view.source.go(view.lines.row_of(2))
    assert view.instructions.linked == [1]
    view.source.go(view.lines.row_of(3))
    assert view.instructions.linked == [2, 3]
    view.assembly.go(4)
    assert view.lines.linked == [view.lines.row_of(4)]
    assert view.instructions.linked == []


def test_keys_walk_by_heat_fold_and_open_the_editor(qtbot: QtBot) -> None:
    view, _answers = view_of(qtbot)
    opened: list[tuple[str, int]] = []
    view.open_source.connect(lambda file, line: opened.append((file, line)))
    view.source.setFocus()
    qtbot.keyClick(view.source, Qt.Key.Key_N)
    assert view.source.row == view.lines.row_of(2)
    qtbot.keyClick(view.source, Qt.Key.Key_P)
    assert view.source.row == view.lines.row_of(3)
    rows = view.lines.rowCount()
    qtbot.keyClick(view.source, Qt.Key.Key_Left)
    assert view.lines.rowCount() == rows - 1
    qtbot.keyClick(view.source, Qt.Key.Key_Right)
    assert view.lines.rowCount() == rows
    qtbot.keyClick(view.source, Qt.Key.Key_Return)
    qtbot.keyClick(view.source, Qt.Key.Key_Down)
    qtbot.keyClick(view.source, Qt.Key.Key_Return)
    assert opened == [(code.HOT_RS, 3), (code.LIB_RS, 70)]


def test_a_call_leads_to_the_function_and_a_jump_to_its_target(qtbot: QtBot) -> None:
    view, _answers = view_of(qtbot)
    view.assembly.setFocus()
    qtbot.keyClick(view.assembly, Qt.Key.Key_F)  # the hottest is the jump
    assert view.assembly.row == 1
    view.assembly.go(4)
    qtbot.keyClick(view.assembly, Qt.Key.Key_F)
    assert view._selection.function == COLD
    settle(qtbot, view)
    assert view.function == COLD
    qtbot.keyClick(view, Qt.Key.Key_Left, Qt.KeyboardModifier.AltModifier)
    settle(qtbot, view)
    assert (view.function, view._selection.function) == (HOT, HOT)
    view.go_forward()
    settle(qtbot, view)
    assert view.function == COLD


def test_a_click_on_a_jumps_target_goes_there_and_on_the_triangle_folds(qtbot: QtBot) -> None:
    view, _answers = view_of(qtbot)
    at = view.assembly.visualRect(view.instructions.index(3, 3))
    left = at.left() + PADDING + int(9.5 * view.assembly._painter.advance)
    qtbot.mouseClick(view.assembly.viewport(), Qt.MouseButton.LeftButton, pos=QPoint(left, at.center().y()))
    assert view.assembly.row == 1
    rows = view.lines.rowCount()
    triangle = view.source.visualRect(view.lines.index(view.lines.row_of(3), 3))
    where = QPoint(triangle.left() + FOLD_ROOM // 2, triangle.center().y())
    qtbot.mouseClick(view.source.viewport(), Qt.MouseButton.LeftButton, pos=where)
    assert view.lines.rowCount() == rows - 1


def test_an_inlined_line_leads_to_its_function(qtbot: QtBot) -> None:
    view, answers = view_of(qtbot)
    view._follow_inlined(view.lines.row_of(3) + 1)
    settle(qtbot, view)
    assert view.function == MAX
    assert answers.sources[-1].name == code.LIB_RS
    assert answers.codes[-1].place.name == HOT  # it has no code of its own
    assert view.assembly_pane.head.whole.startswith(f"inlined into {HOT}")


def test_everything_shows_the_whole_file_in_shares_of_all(qtbot: QtBot) -> None:
    view, answers = view_of(qtbot)
    asked = len(answers.sources)
    view.bar.of.choose(Of.EVERYTHING)
    view.bar.of.chosen.emit(Of.EVERYTHING)
    settle(qtbot, view)
    assert view.lines.index(view.lines.row_of(9), 0).data() == "15.0"
    assert view.instructions.index(3, 0).data() == "20.0"
    assert len(answers.sources) == asked  # the text stands there already


def test_the_scope_decides_what_counts(qtbot: QtBot) -> None:
    held = code.sited()
    thread = readonly([0, 1, 0, 0], np.int32)
    held = replace(held, samples=replace(held.samples, thread=thread), threads=(Thread("a"), Thread("b")))
    view, _answers = view_of(qtbot, held)
    view._scope.set(Scope(threads=frozenset({0})))
    settle(qtbot, view)
    assert "self 6.2%  total 25.0%" in view.bar.figures.text()
    assert view.instructions.index(1, 0).data() == "100"
    view._scope.set(Scope(threads=frozenset({5})))
    settle(qtbot, view)
    assert "Not in these samples" in words(view)


def test_search_finds_on_both_sides(qtbot: QtBot) -> None:
    view, _answers = view_of(qtbot)
    view.bar.search.set_query("best")
    assert view.bar.found.text() == "5 found"
    view.bar.search.stepped.emit(1)
    assert view.lines.index(view.source.row, 0).data(CodeRole.MARKED)
    view.bar.search.set_query("rax")
    assert view.bar.found.text() == "2 found"
    view.bar.search.stepped.emit(1)
    assert view.assembly.row == 1
    view.bar.search.set_query("(")
    assert view.bar.search.property("state") == "bad"


def test_a_format_without_addresses_says_so(qtbot: QtBot) -> None:
    view, answers = view_of(qtbot, profile(code.STACKS))
    assert "No addresses in this file" in words(view)
    assert not answers.codes and view.lines.rowCount()


def test_without_debug_information_it_names_the_line_for_cargo(qtbot: QtBot) -> None:
    view, _answers = view_of(qtbot, profile("main;engine::hot 5"))
    assert "debug = true" in words(view)


def test_a_function_that_only_calls_has_no_instructions_of_its_own(qtbot: QtBot) -> None:
    held = code.sited()
    view, _answers = view_of(qtbot, replace(held, samples=held.samples.at(held.samples.site >= 0)), function="main")
    assert "No sample in its own code" in words(view)


def test_a_missing_source_says_where_it_was_looked_for_and_offers_the_map(qtbot: QtBot) -> None:
    view = SourceView(selection=Selection(), scope=ResultScope())
    found = Found(code.HOT_RS, None, ("/build/src/hot.rs", "/home/me/src/hot.rs"))
    view.source_wanted.connect(lambda question: view.take_source(question, found, None, MissingSource(found)))
    wanted: list[str] = []
    view.map_wanted.connect(wanted.append)
    view._selection.select(HOT)
    view.set_trees(ProfileTrees(code.sited()))
    show(qtbot, view, 1100, 600)
    settle(qtbot, view)
    said = words(view)
    assert "not on this machine" in said and "/build/src/hot.rs" in said and "/home/me/src/hot.rs" in said
    assert [view.lines.index(row, 2).data() for row in range(view.lines.rowCount())] == ["2", "3", "", "4"]
    view.set_map.click()
    assert wanted == [code.HOT_RS]


def test_missing_code_says_why(qtbot: QtBot) -> None:
    view = SourceView(selection=Selection(), scope=ResultScope())
    problem = NoCode("The program is another build.", advice="Record again.")
    view.code_wanted.connect(lambda question: view.take_code(question, None, problem))
    view._selection.select(HOT)
    view.set_trees(ProfileTrees(code.sited()))
    show(qtbot, view, 1100, 600)
    settle(qtbot, view)
    assert "another build" in words(view) and "Record again." in words(view)


def test_an_answer_to_an_old_question_is_dropped(qtbot: QtBot) -> None:
    view = SourceView(selection=Selection(), scope=ResultScope())
    asked: list[SourceQuestion] = []
    coded: list[CodeQuestion] = []
    view.source_wanted.connect(asked.append)
    view.code_wanted.connect(coded.append)
    view._selection.select(HOT)
    view.set_trees(ProfileTrees(code.sited()))
    show(qtbot, view, 1100, 600)
    qtbot.waitUntil(lambda: bool(asked and coded))
    view._selection.select(COLD)
    qtbot.waitUntil(lambda: len(coded) == 2)
    view.take_source(asked[0], None, None, StoreError("late"))
    view.take_code(coded[0], code.code(), None)
    assert view.lines.rowCount() == 0 and view.instructions.rowCount() == 0


def test_lines_are_copied_and_a_menu_offers_what_can_be_done(qtbot: QtBot) -> None:
    view, _answers = view_of(qtbot)
    view.source.copy()
    assert "best = max(best, values[1]);" in QGuiApplication.clipboard().text()
    names = [action.text() for action in view.menu_for(view.assembly, 4).actions() if action.text()]
    assert names[:2] == ["Open in the editor", "Go to engine::cold"]


@pytest.mark.tool("objdump")
def test_the_provider_reads_files_runs_objdump_and_looks_lines_up(
    qtbot: QtBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a recorded perf.data, with its real source and its real program."""
    at_home(tmp_path / "home", monkeypatch)
    held = load(RECORDED / "fp.data")
    assert held.profile is not None
    view = SourceView(selection=Selection(), scope=ResultScope())
    CodeProvider(view, held.meta, path_map=lambda: (("/src/spin", str(RECORDED)),), roots=lambda: ())
    view._selection.select("churn")
    view.set_trees(ProfileTrees(held.profile))
    show(qtbot, view, 1100, 600)
    settle(qtbot, view)
    assert view.instructions.rowCount() == 31
    assert view.instructions.index(view.instructions.hottest(), 0).data() == "13.0"
    row = view.lines.row_of(24)
    assert view.lines.text(row).strip() == "sum += blend(sum, i);"
    assert view.lines.index(row + 1, 0).data(CodeRole.NAME) == "blend"
    view.source.go(row)
    assert len(view.instructions.linked) > 20  # nearly the whole loop


def test_the_provider_tells_what_is_missing(qtbot: QtBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    held = load(RECORDED / "fp.data")
    view = SourceView(selection=Selection(), scope=ResultScope())
    CodeProvider(view, held.meta, path_map=lambda: (), roots=lambda: ())
    view._selection.select(HOT)
    view.set_trees(ProfileTrees(code.sited()))
    show(qtbot, view, 1100, 600)
    settle(qtbot, view)
    assert f"{code.HOT_RS} is not on this machine." in words(view)
    assert f"{code.EXE} is not on this machine" in words(view)


@pytest.mark.parametrize("missing", ["", "/build/engine/src/risk.rs"])
def test_the_path_map_is_entered_in_pairs(qtbot: QtBot, missing: str) -> None:
    dialog = PathMapDialog((("/old", "/new"),), missing=missing)
    qtbot.addWidget(dialog)
    assert dialog.pairs == (("/old", "/new"),)
    if missing:
        assert dialog._lines[-1][0].text() == "/build/engine"
        dialog._lines[-1][1].setText(" /home/me/engine ")
        assert dialog.pairs == (("/old", "/new"), ("/build/engine", "/home/me/engine"))


def test_it_is_a_part_of_a_result(qtbot: QtBot) -> None:
    made: Recording = recording(results=(code.sited(),))
    view = ResultView(made)
    views: list[SourceView] = []
    view.source_view_made.connect(views.append)
    show(qtbot, view, 1200, 700)
    view.show_function(HOT, Part.SOURCE)
    qtbot.waitUntil(lambda: tasks.at_rest() and not view.busy)
    assert views == [view.source] and view.source.function == HOT
    view.show_part(Part.HOTSPOTS)
    qtbot.waitUntil(lambda: tasks.at_rest() and not view.busy and view.hotspots.model.row_of(COLD) >= 0)
    line = view.hotspots.model.line_of(view.hotspots.model.row_of(COLD))
    menu = {action.text(): action for action in view.hotspots.menu_for(line).actions()}
    menu["Source and assembly"].trigger()
    assert (view.part, view.selection.function) == (Part.SOURCE, COLD)


def test_the_path_map_is_kept_in_the_settings_and_asked_for_anew(qtbot: QtBot, parts: Parts) -> None:
    parts.actions["source_map"].trigger()
    dialog = parts.window.findChild(PathMapDialog)
    assert dialog is not None
    old, new = dialog._lines[0]
    old.setText("/build/engine")
    new.setText("/home/me/engine")
    dialog.accept()
    assert parts.controller.settings.source_map == (("/build/engine", "/home/me/engine"),)
    qtbot.waitUntil(tasks.at_rest)
    assert load_settings().settings.source_map == (("/build/engine", "/home/me/engine"),)


def test_an_empty_page_keeps_its_words_inside_a_narrow_pane(qtbot: QtBot) -> None:
    page = EmptyState("binary", "No addresses in this file", "This format keeps the names of functions. " * 4)
    holder = QSplitter()
    holder.addWidget(page)
    qtbot.addWidget(holder)
    holder.resize(300, 400)
    holder.show()
    qtbot.waitExposed(holder)
    assert page._text.geometry().right() < page.width()
    qtbot.waitUntil(lambda: page._text.height() >= page._text.heightForWidth(page._text.width()))
    holder.resize(900, 400)
    qtbot.waitUntil(lambda: page._text.width() == 480)
    holder.resize(300, 400)
    qtbot.waitUntil(lambda: page._text.geometry().right() < page.width() <= 300)
    page.say("Not here", "A sentence that is so long that it takes several lines in a narrow pane. " * 3)
    qtbot.waitUntil(lambda: page._text.height() >= page._text.heightForWidth(page._text.width()) > 40)
