"""The probes page: what stands in it, what it asks for, and its editor."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication
from pytestqt.qtbot import QtBot

from tailflame.errors import ToolFailed
from tailflame.model.maps import MapKind, MapRow, ProbeMap, ProbeMaps
from tailflame.run.bpftrace_run import ProbeBegan, ProbeEnded, ProbeSeen, ProbeWish
from tailflame_gui import recipes_controller, theme
from tailflame_gui.recipes_controller import composed, gallery
from tailflame_gui.recipes_model import DURATION, OWN, Composed, How, Marked, RecipeRow, RecipesDraft
from tailflame_gui.record_model import FieldKind, FormField
from tailflame_gui.state import Page
from tailflame_gui.views.recipes_editor import ProgramEditor
from tailflame_gui.views.recipes_page import RecipesPage
from tailflame_gui.wiring import Parts

ROWS = (
    RecipeRow(name="syscalls", title="System calls", question="Which?", cost="Little."),
    RecipeRow(
        name="off-cpu", title="Off-CPU time", question="Where?", note="Short ones are left out.",
        fields=(FormField(name="least_us", title="From", tip="T.", kind=FieldKind.WHOLE, default=1, unit="µs"),),
    ),
    RecipeRow(name="latency", title="Latency", question="How long?", instead="live"),
    RecipeRow(name="kernel", title="Kernel", question="What?", impossible="this kernel was built without kprobes"),
)  # fmt: skip


@pytest.fixture
def page(qtbot: QtBot) -> RecipesPage:
    made = RecipesPage()
    qtbot.addWidget(made)
    made.resize(1280, 800)
    made.show()
    made.show_recipes(ROWS)
    return made


def test_a_recipe_is_explained_and_asks_for_what_it_takes(page: RecipesPage) -> None:
    assert page.recipe is ROWS[0] and page.cost.text() == "Cost: Little." and not page.form.isVisible()
    page.choose("off-cpu")
    assert page.note.text() == "Short ones are left out." and page.form.isVisible()
    assert page.draft().recipe == "off-cpu" and page.draft().values == {}
    page.form.offer(ROWS[1].fields, {"least_us": 50})
    assert page.draft().values == {"least_us": 50}
    page.choose("latency")
    assert page.live.isVisible()
    page.choose("kernel")
    assert "built without kprobes" in page.note.text()


def test_what_would_run_is_shown_before_it_runs(page: RecipesPage) -> None:
    page.show_composed(Composed(program="BEGIN { }", command_line="A=1 bpftrace -e 'x'", command="bpftrace -e '…'"))
    assert page.editor.toPlainText() == "BEGIN { }" and page.editor.isReadOnly()
    assert page.command.whole == "bpftrace -e '…'" and page.start.isEnabled()
    page.copy.click()
    assert QGuiApplication.clipboard().text() == "A=1 bpftrace -e 'x'"
    page.show_composed(Composed(problem="Choose the program to look at.", notes=("It sees the machine.",)))
    assert not page.start.isEnabled()
    assert page.cautions.texts == ["Choose the program to look at.", "It sees the machine."]


def test_a_program_of_ones_own_is_edited_and_kept(page: RecipesPage, qtbot: QtBot) -> None:
    page.choose(OWN)
    assert page.is_own and not page.editor.isReadOnly() and page.open.isVisible() and page._neither.isVisible()
    with qtbot.waitSignal(page.changed):
        page.editor.setPlainText("BEGIN { exit(); }")
    page.how.choose(How.NONE)
    assert page.draft().text == "BEGIN { exit(); }" and page.draft().how is How.NONE
    page.choose("syscalls")
    assert page.how.choice is How.ATTACH and page.editor.isReadOnly() and not page._neither.isVisible()
    page.choose(OWN)
    assert page.editor.toPlainText() == "BEGIN { exit(); }"
    page.show_text("END { }", path=Path("/x/mine.bt"))
    assert page.editor.toPlainText() == "END { }" and page.file_name.whole == "mine.bt"


def test_control_return_runs_it(page: RecipesPage, qtbot: QtBot) -> None:
    page.choose(OWN)
    page.show_composed(Composed(program="x"))
    with qtbot.waitSignal(page.start_requested):
        qtbot.keyClick(page.editor, Qt.Key.Key_Return, Qt.KeyboardModifier.ControlModifier)
    page.show_composed(Composed(problem="no"))
    with qtbot.assertNotEmitted(page.start_requested):
        qtbot.keyClick(page.editor, Qt.Key.Key_Return, Qt.KeyboardModifier.ControlModifier)


def test_the_run_is_drawn_while_it_goes_on(page: RecipesPage, qtbot: QtBot) -> None:
    page.show_begun("System calls: engine")
    assert page.is_running and page.running_title.whole == "System calls: engine"
    maps = ProbeMaps((ProbeMap("@n", MapKind.VALUES, (MapRow(("a",), (3,)),)),), probes=2, lost=5)
    page.show_seen(maps, 1.5)
    assert page.status.text() == "1.5 s   2 probes   5 events lost"
    assert page.maps.maps is maps
    with qtbot.waitSignal(page.stop_requested):
        page.stop.click()
    page.show_stopping()
    assert not page.stop.isEnabled()
    page.show_setup()
    assert not page.is_running


def test_it_is_painted_in_both_schemes(page: RecipesPage) -> None:
    try:
        for mode in (theme.Mode.DARK, theme.Mode.LIGHT):
            theme.set_mode(mode)
            for name in ("off-cpu", "kernel", OWN):
                page.choose(name)
                assert not page.grab().isNull()
    finally:
        theme.set_mode(theme.Mode.LIGHT)


# The editor.


@pytest.fixture
def editor(qtbot: QtBot) -> ProgramEditor:
    made = ProgramEditor()
    qtbot.addWidget(made)
    made.resize(500, 300)
    made.show()
    return made


def test_mistakes_stand_at_their_lines_until_the_text_changes(editor: ProgramEditor) -> None:
    editor.setPlainText("BEGIN {\n  @x = nosuch(3);\n}\n")
    editor.set_marks(
        (Marked(2, 8, 14, "Unknown function: nosuch"), Marked(99, 1, 2, "beyond"), Marked(3, 0, 0, "x", False))
    )
    selected = [one.cursor.selectedText() for one in editor.extraSelections()]  # type: ignore[attr-defined]
    assert selected == ["nosuch(", ""]
    assert editor.textCursor().blockNumber() == 1 and editor.textCursor().positionInBlock() == 7
    assert not editor.grab().isNull()
    editor.insertPlainText("y")
    assert editor.marks == () and editor.extraSelections() == []


def test_keys_of_the_editor(editor: ProgramEditor, qtbot: QtBot) -> None:
    qtbot.keyClicks(editor, "BEGIN {")
    qtbot.keyClick(editor, Qt.Key.Key_Return)
    qtbot.keyClicks(editor, "x")
    qtbot.keyClick(editor, Qt.Key.Key_Return)
    qtbot.keyClick(editor, Qt.Key.Key_Tab)
    assert editor.toPlainText() == "BEGIN {\n  x\n    "


def test_a_program_of_odd_lines_is_coloured(editor: ProgramEditor) -> None:
    editor.setPlainText('// c\n/* open\n"text \\" more\n@a[$x] = count(); printf\n' + "x" * 10_000 + "\n\udcff\n" * 3)
    assert not editor.grab().isNull() and editor.numbers_width() > 0
    editor.setPlainText("\n" * 1200)
    assert not editor.grab().isNull()


# The controller.


def draft(**changes: Any) -> RecipesDraft:
    known: dict[str, Any] = {"recipe": "off-cpu", "how": How.LAUNCH, "binary": "/bin/true"}
    return RecipesDraft(**{**known, **changes})


def row(name: str) -> RecipeRow:
    return next(one for one in gallery() if one.name == name)


def test_the_gallery_is_that_of_the_recipes() -> None:
    rows = {one.name: one for one in gallery()}
    assert rows["calls"].symbol == "symbol" and rows["calls"].file == "file"
    assert [field.name for field in rows["off-cpu"].fields] == ["least_us", DURATION]
    assert rows["latency"].instead == "live"


def test_wishes_become_a_program() -> None:
    wish, what = composed(draft(values={"least_us": 50, DURATION: 3.0}, arguments="'a b' c"), row("off-cpu"))
    assert "(uint64)50 * 1000" in what.program and "cpid" in what.program
    assert what.command.endswith("-e '…'") and what.program.split("\n")[0] in what.command_line
    if os.geteuid() == 0:
        assert wish is not None and wish.duration_s == 3.0
        assert wish.target is not None and wish.target.args == ("a b", "c")
    else:
        assert wish is None and "root" in what.problem


@pytest.mark.parametrize(
    ("changes", "name", "problem"),
    [
        ({"binary": ""}, "off-cpu", "Choose the program to start."),
        ({"binary": "/nowhere"}, "off-cpu", "no program"),
        ({"arguments": "'open"}, "off-cpu", "a quote is not closed"),
        ({"directory": "/nowhere"}, "off-cpu", "no folder"),
        ({"how": How.ATTACH}, "off-cpu", "Choose a running program."),
        ({"how": How.ATTACH, "pid": 1 << 22, "process": "engine"}, "off-cpu", "engine has ended"),
        ({}, "calls", "Name the function."),
        ({"values": {"symbol": "no_such_function"}}, "calls", "no function no_such_function in true"),
        ({"values": {"symbol": "x", "file": "/a:b"}}, "calls", ""),
    ],
)
def test_what_keeps_it_from_running_is_said(changes: dict[str, Any], name: str, problem: str) -> None:
    wish, what = composed(draft(recipe=name, **changes), row(name))
    assert wish is None and problem in what.problem and what.problem


def test_own_programs_need_a_text() -> None:
    own = RecipeRow(name=OWN, title="", question="")
    assert composed(draft(recipe=OWN, text=" ", how=How.NONE), own)[1].problem == "Write a program first."
    wish, what = composed(draft(recipe=OWN, text="x", how=How.ATTACH), own)
    assert wish is None and what.problem
    wish, what = composed(draft(recipe=OWN, text="BEGIN { }", how=How.NONE), own)
    assert what.program == "BEGIN { }"
    assert (wish is not None) is (os.geteuid() == 0)


class Played:
    """A run that plays a part."""

    updates_of: tuple[object, ...] = ()
    error: ToolFailed | None = None

    def __init__(self, wish: ProbeWish, out: Path, *, start_recipe: object) -> None:
        self.out = out

    def stop(self) -> None:
        pass

    async def updates(self) -> Any:
        for update in self.updates_of:
            if isinstance(update, ProbeEnded):
                update = ProbeEnded(self.out / "bpftrace.json", "ended", 1.0, update.maps)
                assert update.result is not None
                update.result.write_text('{"type": "map", "data": {"@n": {"a": 3}}}\n')
            yield update
        if self.error is not None:
            raise self.error


def open_page(parts: Parts, qtbot: QtBot) -> RecipesPage:
    parts.actions["recipes"].trigger()
    assert parts.state.page is Page.RECIPES
    page = parts.window.recipes_page
    assert isinstance(page, RecipesPage)
    qtbot.waitUntil(lambda: page.recipe is not None)
    return page


def test_a_run_ends_as_a_result(parts: Parts, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch) -> None:
    maps = ProbeMaps((ProbeMap("@n", MapKind.VALUES, (MapRow(("a",), (3,)),)),))
    Played.updates_of = (ProbeBegan(("bpftrace",)), ProbeSeen(maps, 0.5), ProbeEnded(None, "ended", 1.0, maps))
    Played.error = None
    monkeypatch.setattr(recipes_controller, "ProbeRun", Played)
    page = open_page(parts, qtbot)
    page.choose(OWN)
    page.how.choose(How.NONE)
    monkeypatch.setattr(recipes_controller.os, "geteuid", lambda: 0)
    page.editor.setPlainText("BEGIN { @n = 3; }")
    qtbot.waitUntil(lambda: page.start.isEnabled())
    page.start.click()
    qtbot.waitUntil(lambda: parts.state.page is Page.RESULTS, timeout=20_000)
    result = parts.state.result
    assert result is not None and result.recording is not None and result.recording.maps is not None
    assert result.recording.maps.program == "BEGIN { @n = 3; }"
    assert result.recording.maps.maps[0].rows[0].values == (3,)


def test_a_mistake_is_marked_in_the_text(
    parts: Parts, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    Played.updates_of = ()
    Played.error = ToolFailed("bpftrace does not take it.", details="stdin:1:9-11: ERROR: Unknown function: f")
    monkeypatch.setattr(recipes_controller, "ProbeRun", Played)
    monkeypatch.setattr(recipes_controller.os, "geteuid", lambda: 0)
    page = open_page(parts, qtbot)
    page.choose(OWN)
    page.how.choose(How.NONE)
    page.editor.setPlainText("BEGIN { f(); }")
    qtbot.waitUntil(lambda: page.start.isEnabled())
    page.start.click()
    qtbot.waitUntil(lambda: bool(page.editor.marks))
    assert page.editor.marks[0].text == "Unknown function: f"
    assert not page.is_running


def test_programs_are_saved_and_opened(parts: Parts, qtbot: QtBot, tmp_path: Path) -> None:
    page = open_page(parts, qtbot)
    page.choose(OWN)
    page.editor.setPlainText("BEGIN { exit(); }\n")
    page.saved.emit(tmp_path / "mine.bt")
    qtbot.waitUntil(lambda: page.file_name.whole == "mine.bt")
    assert (tmp_path / "mine.bt").read_text() == "BEGIN { exit(); }\n"
    (tmp_path / "other.bt").write_text("END { }")
    page.opened.emit(tmp_path / "other.bt")
    qtbot.waitUntil(lambda: page.editor.toPlainText() == "END { }")


def test_it_is_reached_from_the_live_and_the_tools_page(parts: Parts, qtbot: QtBot) -> None:
    assert parts.window.live_page.isEnabled()
    parts.late_live.parts.page.setup.probes_requested.emit()
    assert parts.state.page is Page.RECIPES
    parts.state.set_page(Page.TOOLS)
    parts.window._pages[Page.TOOLS].probes_requested.emit()  # type: ignore[attr-defined]
    assert parts.state.page is Page.RECIPES
