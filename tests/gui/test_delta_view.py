"""The delta table as the user meets it."""

from __future__ import annotations

from PySide6.QtCore import QPoint, Qt
from PySide6.QtGui import QColor, QGuiApplication
from pytestqt.qtbot import QtBot

from helpers.results import show
from helpers.stacks import profile
from tailflame.analyse.diff import Scale, compare
from tailflame_gui import theme
from tailflame_gui.models import delta_model
from tailflame_gui.models.delta_model import Show
from tailflame_gui.models.figures import measure
from tailflame_gui.selection import Selection
from tailflame_gui.views.delta_view import DeltaView

BEFORE = "main;hot 4000\nmain;same 3000\nmain;other 2900\nmain;rare 1"
AFTER = "main;hot 6000\nmain;same 3010\nmain;other 2890\nmain;rare 2"


def view_of(qtbot: QtBot, before: str = BEFORE, after: str = AFTER) -> DeltaView:
    view = DeltaView(selection=Selection())
    made = compare(profile(before), profile(after))
    view.set_comparison(made, scale=Scale.NORMALISED, measure=measure(made.tree.unit, largest=10_000))
    show(qtbot, view, 1160, 400)
    return view


def names(view: DeltaView) -> list[str]:
    return [view.model.index(line, 0).data() for line in range(view.model.rowCount())]


def test_what_moved_comes_first_and_is_counted(qtbot: QtBot) -> None:
    view = view_of(qtbot)
    assert names(view)[0] == "hot"
    assert view.summary.text() == "5 functions, 1 beyond noise"


def test_sorts_by_a_click_on_a_header(qtbot: QtBot) -> None:
    view = view_of(qtbot)
    header = view.table.horizontalHeader()
    at = QPoint(header.sectionViewportPosition(delta_model.SELF_BEFORE) + 20, 8)
    qtbot.mouseClick(header.viewport(), Qt.MouseButton.LeftButton, pos=at)
    assert names(view)[:3] == ["hot", "same", "other"]
    qtbot.mouseClick(header.viewport(), Qt.MouseButton.LeftButton, pos=at)
    assert names(view)[-1] == "hot"


def test_filters_by_name_and_noise(qtbot: QtBot) -> None:
    view = view_of(qtbot)
    view.filter.set_query("o")
    assert set(names(view)) == {"hot", "other"}
    assert view.summary.text().startswith("2 of 5")
    view.filter.set_query("(")
    assert view.filter.property("state") == "bad"
    view.filter.set_query("")
    view.show_rows.step(1)
    assert view.show_rows.choice is Show.TESTED
    assert "rare" not in names(view)
    view.show_rows.step(1)
    assert names(view) == ["hot"]


def test_where_nothing_moved_it_says_so(qtbot: QtBot) -> None:
    view = view_of(qtbot, BEFORE, BEFORE)
    view.show_rows.step(2)
    assert view._body.currentIndex() == 1
    assert view._empty._title.text() == "Nothing moved"


def test_keys_reach_everything(qtbot: QtBot) -> None:
    view = view_of(qtbot)
    view.table.setFocus()
    qtbot.keyClick(view.table, Qt.Key.Key_Home)
    assert view._selection.function == "hot"
    with qtbot.waitSignal(view.opened) as opened:
        qtbot.keyClick(view.table, Qt.Key.Key_Return)
    assert opened.args == ["hot"]
    qtbot.keyClick(view.table, Qt.Key.Key_F, Qt.KeyboardModifier.ControlModifier)
    assert view.filter.hasFocus()


def test_copies_lines_and_offers_a_menu(qtbot: QtBot) -> None:
    view = view_of(qtbot)
    actions = {action.text(): action for action in view.menu_for(0).actions()}
    actions["Copy name"].trigger()
    assert QGuiApplication.clipboard().text() == "hot"
    actions["Copy table as shown"].trigger()
    assert "beyond noise" in QGuiApplication.clipboard().text()
    with qtbot.waitSignal(view.opened):
        actions["Show in the flame graphs"].trigger()


def test_noise_is_painted_grey_and_a_change_with_its_arrow(qtbot: QtBot) -> None:
    view = view_of(qtbot)
    image = view.table.viewport().grab().toImage()
    scale = image.width() / view.table.viewport().width()

    def colors(name: str, column: int) -> set[str]:
        rect = view.table.visualRect(view.model.index(names(view).index(name), column))
        return {
            QColor(image.pixel(round(x * scale), round(y * scale))).name()
            for x in range(rect.left() + 1, rect.right())
            for y in range(rect.top() + 2, rect.bottom() - 2)
        }

    tokens = theme.current()
    assert tokens.more.name() in colors("hot", delta_model.CHANGE), "an arrow in the colour of more"
    assert tokens.text.name() in colors("hot", delta_model.NOISE) | colors("hot", delta_model.SELF_AFTER)
    grey = colors("same", delta_model.CHANGE) | colors("same", delta_model.SELF_AFTER)
    assert tokens.more.name() not in grey
    assert tokens.less.name() not in grey
    assert tokens.text.name() not in grey


def test_the_verdict_is_in_view_where_the_window_is_narrow(qtbot: QtBot) -> None:
    view = view_of(qtbot)
    view.resize(880, 400)  # what a window of 960 pixels leaves
    table = view.table
    for column in (delta_model.NAME, delta_model.CHANGE, delta_model.NOISE):
        rect = table.visualRect(view.model.index(0, column))
        assert table.viewport().rect().contains(rect), view.model.columns[column].title
