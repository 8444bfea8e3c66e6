"""What stands around the graph: minimap, legend, path, hover card, search bar, filter chips, reading, images."""

from __future__ import annotations

import pytest
from PySide6.QtCore import QEvent, QPoint, QPointF, Qt
from PySide6.QtGui import QColor
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QLabel, QToolButton, QWidget
from pytestqt.qtbot import QtBot

from helpers.flames import ROW, box, drag, graph, mouse, picture
from tailflame.analyse.reading import Sentence
from tailflame.analyse.tree import TreeOptions
from tailflame_gui import theme
from tailflame_gui.export_image import flame_image
from tailflame_gui.views.filter_chips import FilterChips, cleared
from tailflame_gui.views.reading_panel import ReadingPanel
from tailflame_gui.widgets.breadcrumbs import Breadcrumbs
from tailflame_gui.widgets.flame_colors import ColorBy
from tailflame_gui.widgets.flame_graph import FlameGraph, Orientation
from tailflame_gui.widgets.flame_scene import FrameFacts
from tailflame_gui.widgets.hover_card import HoverCard, breakable
from tailflame_gui.widgets.legend import Legend
from tailflame_gui.widgets.minimap import Minimap
from tailflame_gui.widgets.search_bar import SearchBar

KINDS = "a;user 50\na;kernel_[k] 30\na;copied_[i] 20"


def color_at(widget: QWidget, point: QPoint) -> QColor:
    return QColor(widget.grab().toImage().pixelColor(point))


# minimap


@pytest.fixture
def mapped(qtbot: QtBot) -> tuple[FlameGraph, Minimap]:
    made = graph(KINDS, color_by=ColorBy.KIND)
    qtbot.addWidget(made)
    made.show()
    strip = Minimap(made)
    qtbot.addWidget(strip)
    strip.resize(500, 44)
    strip.show()
    return made, strip


def test_the_minimap_shows_all_of_the_graph(mapped: tuple[FlameGraph, Minimap]) -> None:
    _, strip = mapped
    tokens = theme.current()
    # Rows of four pixels: the root, then copied, kernel and user by name.
    assert color_at(strip, QPoint(50, 6)) == tokens.kind_inlined
    assert color_at(strip, QPoint(150, 6)) == tokens.kind_kernel
    assert color_at(strip, QPoint(400, 6)) == tokens.kind_user
    assert color_at(strip, QPoint(400, 30)) == tokens.surface


def test_the_minimap_frames_what_is_in_view(mapped: tuple[FlameGraph, Minimap]) -> None:
    made, strip = mapped
    made.zoom_to_box(box(made.scene, "a;user"))
    tokens = theme.current()
    assert color_at(strip, QPoint(251, 20)) == tokens.accent
    assert color_at(strip, QPoint(150, 6)) != tokens.kind_kernel
    assert color_at(strip, QPoint(400, 6)) == tokens.kind_user


def test_dragging_in_the_minimap_draws_moves_and_resizes_the_view(mapped: tuple[FlameGraph, Minimap]) -> None:
    made, strip = mapped
    drag(strip, QPoint(100, 10), QPoint(300, 10))
    assert made.camera.window == pytest.approx((0.2, 0.6))
    drag(strip, QPoint(200, 10), QPoint(250, 10))
    assert made.camera.window == pytest.approx((0.3, 0.7))
    drag(strip, QPoint(350, 10), QPoint(400, 10))
    assert made.camera.window == pytest.approx((0.3, 0.8))
    mouse(strip, QEvent.Type.MouseButtonPress, QPoint(50, 10))
    mouse(strip, QEvent.Type.MouseButtonRelease, QPoint(50, 10))
    assert made.camera.window == pytest.approx((0.0, 0.5))
    made.go_back()
    assert made.camera.window == pytest.approx((0.3, 0.8))
    QTest.mouseDClick(strip, Qt.MouseButton.LeftButton, pos=QPoint(50, 10))
    assert made.camera.window == (0.0, 1.0)


def test_the_minimap_turns_with_the_graph(mapped: tuple[FlameGraph, Minimap]) -> None:
    made, strip = mapped
    made.set_orientation(Orientation.FLAME)
    assert color_at(strip, QPoint(400, 44 - 6)) == theme.current().kind_user
    assert color_at(strip, QPoint(400, 6)) == theme.current().surface


def test_few_very_deep_stacks_leave_the_minimap_its_rows(qtbot: QtBot) -> None:
    deep = ";".join(f"f{i}" for i in range(500))
    made = graph(f"a;b;c 100000\na;{deep} 1")
    qtbot.addWidget(made)
    made.show()
    strip = Minimap(made)
    qtbot.addWidget(strip)
    strip.resize(500, 44)
    strip.show()
    assert color_at(strip, QPoint(250, 10)) == theme.current().kind_user


def test_an_empty_minimap_is_empty(qtbot: QtBot) -> None:
    made = FlameGraph()
    strip = Minimap(made)
    qtbot.addWidget(made)
    qtbot.addWidget(strip)
    assert color_at(strip, QPoint(5, 5)) == theme.current().surface


# legend


def legend(qtbot: QtBot, width: int = 600, by: ColorBy = ColorBy.KIND) -> Legend:
    made = Legend()
    qtbot.addWidget(made)
    made.resize(width, 24)
    made.set_colors(picture(KINDS, color_by=by).colors)
    made.show()
    made.grab()
    return made


def test_the_legend_names_colours_with_their_share(qtbot: QtBot) -> None:
    made = legend(qtbot)
    assert made.labels() == ["user 50.0%", "kernel 30.0%", "inlined 20.0%"]
    assert made.accessibleDescription() == "Kind of code: user, kernel, inlined"


def test_entries_without_room_are_counted(qtbot: QtBot) -> None:
    made = legend(qtbot, width=260)
    assert made.labels() == ["user 50.0%"]
    assert "kernel 30.0%" in made._tip(None)


def test_a_legend_entry_is_chosen_by_mouse_and_by_keyboard(qtbot: QtBot) -> None:
    made = legend(qtbot)
    rect = made._placed[1][0]
    with qtbot.waitSignal(made.entry_toggled) as seen:
        mouse(made, QEvent.Type.MouseButtonRelease, rect.center().toPoint())
    assert seen.args == [1] and made.chosen == 1
    made.setFocus()
    for key in (Qt.Key.Key_Right, Qt.Key.Key_Right, Qt.Key.Key_Space):
        qtbot.keyClick(made, key)
    assert made.chosen == 2
    with qtbot.waitSignal(made.entry_toggled) as seen:
        qtbot.keyClick(made, Qt.Key.Key_Escape)
    assert seen.args == [-1]


def test_a_ramp_shows_its_ends(qtbot: QtBot) -> None:
    made = legend(qtbot, by=ColorBy.SELF)
    assert made.labels() == ["0", "50.0%"]
    mouse(made, QEvent.Type.MouseButtonRelease, made._placed[0][0].center().toPoint())
    assert made.chosen == -1
    assert made._at(QPointF(2, 2)) is None


# path


def test_the_path_leads_back_to_every_step(qtbot: QtBot) -> None:
    made = Breadcrumbs()
    qtbot.addWidget(made)
    made.resize(800, 28)
    made.show()
    made.set_path(["main", "crate::book::Book::run"])
    assert made.steps() == ["All", "main", "Book::run"]
    for index, name in ((0, "main"), (-1, "All")):
        button = next(b for b in made.findChildren(QWidget) if getattr(b, "text", lambda: "")() == name)
        with qtbot.waitSignal(made.chosen) as seen:
            qtbot.mouseClick(button, Qt.MouseButton.LeftButton)
        assert seen.args == [index]


def test_a_long_path_keeps_its_end_and_offers_the_rest(qtbot: QtBot) -> None:
    made = Breadcrumbs()
    qtbot.addWidget(made)
    made.resize(300, 28)
    made.show()
    made.set_path([f"function_{i}" for i in range(2000)])
    steps = made.steps()
    assert steps[:2] == ["All", "…"] and steps[-1] == "function_1999" and len(steps) < 6
    more = made.findChildren(QToolButton)[-1]
    actions = more.menu().actions()
    assert len(actions) == 40
    with qtbot.waitSignal(made.chosen) as seen:
        actions[-1].trigger()
    assert seen.args == [1999 - (len(steps) - 2)]


def test_free_zooming_is_told(qtbot: QtBot) -> None:
    made = Breadcrumbs()
    qtbot.addWidget(made)
    made.resize(400, 28)
    made.set_path([], note="12.0% of the width")
    assert any(label.text() == "12.0% of the width" for label in made.findChildren(QLabel))


# hover card


def test_the_card_tells_everything_and_stays_inside(qtbot: QtBot) -> None:
    page = QWidget()
    qtbot.addWidget(page)
    page.resize(600, 400)
    page.show()
    card = HoverCard(page)
    facts = FrameFacts(
        name="crate::module::Type<Other<Third>>::method_with_a_long_name::" + "x" * 80,
        figures=(("Self", "3 samples"), ("Total", "30 samples"), ("Samples", "30")),
        of_all="3.0%",
        module="app",
        kind="user",
        file="src/lib.rs",
        line=7,
    )
    for point in (QPoint(5, 5), QPoint(595, 395), QPoint(300, 390)):
        card.tell(facts, of_view=0.25, at=point)
        assert page.rect().contains(card.geometry()) and not card.geometry().contains(point)
    assert card.name() == facts.name
    assert card.rows() == [
        ("Self", "3 samples"),
        ("Total", "30 samples"),
        ("Samples", "30"),
        ("Of view", "25.0%"),
        ("Of all", "3.0%"),
        ("Module", "app  ·  user"),
        ("Source", "src/lib.rs:7"),
    ]
    card.tell(FrameFacts(name="", figures=()), of_view=1.0, at=QPoint(5, 5))
    assert card.name() == "(no name)" and card.rows() == [("Of view", "100.0%")]


# search bar


def test_the_search_bar_asks_walks_and_leaves(qtbot: QtBot) -> None:
    bar = SearchBar()
    qtbot.addWidget(bar)
    bar.show()
    asked: list[tuple[str, bool]] = []
    bar.edited.connect(lambda pattern, ignore: asked.append((pattern, ignore)))
    bar.begin()
    qtbot.keyClicks(bar.field, "ab")
    bar.match_case.click()
    assert asked == [("a", True), ("ab", True), ("ab", False)]
    walked: list[int] = []
    bar.walked.connect(walked.append)
    qtbot.keyClick(bar.field, Qt.Key.Key_Return)
    qtbot.keyClick(bar.field, Qt.Key.Key_Return, Qt.KeyboardModifier.ShiftModifier)
    bar.tell("12.0%", "", matches=2)
    bar.next.click()
    bar.previous.click()
    assert walked == [1, -1, 1, -1]
    qtbot.keyClick(bar.field, Qt.Key.Key_Escape)
    assert bar.pattern == ""
    with qtbot.waitSignal(bar.left):
        qtbot.keyClick(bar.field, Qt.Key.Key_Escape)


# filter chips


def test_each_filter_has_a_chip_that_takes_it_back(qtbot: QtBot) -> None:
    chips = FilterChips()
    qtbot.addWidget(chips)
    options = TreeOptions(focus="a::b::run", hidden=frozenset({"x"}), collapse_modules=frozenset({"/lib/libc.so.6"}),
                          collapse_recursion=True, inlines=False, event=0, inverted=True)  # fmt: skip
    chips.set_options(options)
    assert chips.texts() == [
        "Focus: b::run", "Hidden: x", "Collapsed: libc.so.6", "Recursion collapsed", "Inlined code folded",
        "Show everything",
    ]  # fmt: skip
    with qtbot.waitSignal(chips.changed) as seen:
        chips.click("Hidden: x")
    assert seen.args is not None and seen.args[0].hidden == frozenset() and seen.args[0].focus == "a::b::run"
    with qtbot.waitSignal(chips.changed) as seen:
        chips.click("Show everything")
    assert seen.args == [TreeOptions(inverted=True)]
    chips.set_options(cleared(options))
    assert chips.texts() == [] and chips.isHidden()


# reading


def test_sentences_have_links(qtbot: QtBot) -> None:
    panel = ReadingPanel()
    qtbot.addWidget(panel)
    panel.set_sentences(
        [
            Sentence("Wide bars", "Book::run takes 50.0%.", "crate::Book::run", 1),
            Sentence("Flat tops", "Everything <else> & more.", "other", 2),
        ]
    )
    assert panel.lines() == ["Book::run takes 50.0%.", "Everything <else> & more."]
    links = [label for label in panel.findChildren(QLabel) if "href" in label.text()]
    assert 'href="0"' in links[0].text() and "takes 50.0%." in links[0].text().rpartition("</a>")[2]
    assert "&lt;" in links[1].text()
    with qtbot.waitSignal(panel.chosen) as seen:
        links[1].linkActivated.emit("1")
    assert seen.args == [1]
    panel.set_sentences([], note="Nothing here.")
    assert [label.text() for label in panel.widget().findChildren(QLabel)] == ["Nothing here."]


# image


@pytest.mark.parametrize("scale", [1, 2])
def test_the_image_holds_title_graph_and_legend(qtbot: QtBot, scale: int) -> None:
    made = graph(KINDS, color_by=ColorBy.KIND)
    names = Legend()
    qtbot.addWidget(made)
    qtbot.addWidget(names)
    names.set_colors(picture(KINDS, color_by=ColorBy.KIND).colors)
    made.show()
    image = flame_image(made, names, title="trading-system", scale=scale)
    view, tokens = made.geometry_now(), theme.current()
    assert image.width() == (view.width + 24) * scale and image.height() == (view.height + 76) * scale
    graph_top, graph_left = 40, 12
    middle = QPoint(graph_left + 400, graph_top + ROW + 17) * scale
    assert image.pixelColor(middle) == tokens.kind_user

    def inked(top: int, bottom: int) -> bool:
        return any(
            image.pixelColor(x * scale, y * scale) != tokens.surface for y in range(top, bottom) for x in range(12, 200)
        )

    assert inked(12, 36) and inked(graph_top + view.height + 2, graph_top + view.height + 22)


def test_an_exported_image_is_the_same_while_the_pointer_is_over_the_graph(qtbot: QtBot) -> None:
    made, names = graph(KINDS, color_by=ColorBy.KIND), Legend()
    qtbot.addWidget(made)
    qtbot.addWidget(names)
    names.set_colors(picture(KINDS, color_by=ColorBy.KIND).colors)
    made.show()
    alone, on_screen = flame_image(made, names, title=""), made.viewport().grab().toImage()
    mouse(made.viewport(), QEvent.Type.MouseMove, QPoint(400, ROW + 10), Qt.MouseButton.NoButton)
    assert made.hovered_box >= 0 and made.viewport().grab().toImage() != on_screen
    assert flame_image(made, names, title="") == alone


def test_the_last_step_of_a_path_gives_up_its_module_before_its_name(qtbot: QtBot) -> None:
    crumbs = Breadcrumbs()
    qtbot.addWidget(crumbs)
    crumbs.show()
    for width, text in ((400, "risk::check_exposure"), (240, "check_exposure"), (190, "check")):
        crumbs.resize(width, 28)
        crumbs.set_path(["main", "trading_system::risk::check_exposure"], note="")
        assert crumbs.steps()[-1].startswith(text), width


def test_a_sentence_that_was_chosen_stays_in_view_in_less_room(qtbot: QtBot) -> None:
    panel = ReadingPanel()
    qtbot.addWidget(panel)
    panel.set_sentences([Sentence("Flat tops", f"f{i} is on top of the stack.", f"f{i}", i) for i in range(20)])
    panel.resize(200, 700)
    panel.show()
    panel.show_sentence(19)
    panel.resize(200, 120)
    line = panel.findChild(QLabel, "sentence 19")
    assert isinstance(line, QLabel)
    qtbot.waitUntil(lambda: panel.viewport().rect().contains(line.mapTo(panel.viewport(), QPoint(0, 0))))


def test_lines_break_in_names_and_not_in_numbers() -> None:
    assert breakable("Vec<u8,Global>::push") == "Vec<\u200bu8,\u200bGlobal>::\u200bpush"
    assert breakable("4,000 of 4,023 times, a/b;c") == "4,000 of 4,023 times,\u200b a/\u200bb;\u200bc"
