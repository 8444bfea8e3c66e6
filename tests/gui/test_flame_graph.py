"""The flame graph as it is used: mouse, wheel, keyboard, selection, zoom and its history, search, pixels."""

from __future__ import annotations

import numpy as np
import pytest
import shiboken6
from PySide6.QtCore import QEvent, QPoint, Qt
from PySide6.QtGui import QColor, QContextMenuEvent, QImage, QPainter
from PySide6.QtWidgets import QApplication, QWidget
from pytestqt.qtbot import QtBot

from helpers.flames import HEIGHT, ORDERS, ROW, WIDTH, at, box, drag, drawn_rows, graph, mouse, picture, pixel, wheel
from tailflame.analyse.layout import Order
from tailflame.analyse.tree import TreeOptions
from tailflame_gui import theme
from tailflame_gui.widgets.flame_colors import ColorBy
from tailflame_gui.widgets.flame_graph import FlameGraph, Orientation
from tailflame_gui.widgets.flame_render import fitted
from tailflame_gui.widgets.trunk_line import TrunkLine

KEY = Qt.Key
SHIFT, ALT, CONTROL = (
    Qt.KeyboardModifier.ShiftModifier,
    Qt.KeyboardModifier.AltModifier,
    Qt.KeyboardModifier.ControlModifier,
)


@pytest.fixture
def made(qtbot: QtBot) -> FlameGraph:
    widget = graph()
    qtbot.addWidget(widget)
    widget.show()
    widget.setFocus()
    return widget


def selected(made: FlameGraph) -> str:
    assert made.scene is not None
    return made.scene.name(made.selected_box)


def window(made: FlameGraph) -> tuple[float, float]:
    return made.camera.goal.x0, made.camera.goal.x1


# what is drawn


def test_boxes_lie_by_name_by_weight_or_by_time(made: FlameGraph) -> None:
    assert drawn_rows(made) == ["main[0,1]", "idle[0,0.2] run[0.2,1]", "match[0.2,0.7] parse[0.7,1]", "push[0.2,0.6]"]
    heavy = picture(order=Order.HEAVY)
    made.set_scene(heavy.scene, heavy.colors)
    assert drawn_rows(made)[1:3] == ["run[0,0.8] idle[0.8,1]", "match[0,0.5] parse[0.5,0.8]"]
    timed = picture("a;x 1\na;y 1\na;x 2", order=Order.TIME, in_time_order=True)
    made.set_scene(timed.scene, timed.colors)
    assert drawn_rows(made) == ["a[0,1]", "x[0,0.25] y[0.25,0.5] x[0.5,1]"]


def test_bottom_up_starts_with_the_leaves(made: FlameGraph) -> None:
    inverted = picture(options=TreeOptions(inverted=True))
    made.set_scene(inverted.scene, inverted.colors)
    assert drawn_rows(made)[0] == "idle[0,0.2] match[0.2,0.3] parse[0.3,0.6] push[0.6,1]"
    assert drawn_rows(made)[1] == "main[0,0.2] run[0.2,0.3] run[0.3,0.6] match[0.6,1]"


def test_pixels_have_the_colour_of_their_box(qtbot: QtBot) -> None:
    made = graph("a;user 50\na;kernel_[k] 50", color_by=ColorBy.KIND)
    qtbot.addWidget(made)
    made.show()
    tokens = theme.current()
    below_text = ROW - 3  # under the label's baseline
    assert pixel(made, QPoint(300, ROW + below_text)) == tokens.kind_user
    assert pixel(made, QPoint(200, ROW + below_text)) == tokens.kind_kernel
    assert pixel(made, QPoint(100, 2 * ROW - 1)) == tokens.surface
    assert pixel(made, QPoint(100, 3 * ROW)) == tokens.surface


def test_a_flame_has_its_roots_at_the_bottom(made: FlameGraph) -> None:
    made.set_orientation(Orientation.FLAME)
    scene = made.scene
    assert scene is not None
    assert scene.name(made.box_at(QPoint(10, HEIGHT - 5))) == "main"
    assert scene.name(made.box_at(QPoint(150, HEIGHT - 3 * ROW - 5))) == "push"
    assert made.box_at(QPoint(150, 5)) == -1
    assert pixel(made, QPoint(490, HEIGHT - 3)) == theme.current().kind_user
    assert pixel(made, QPoint(490, 3)) == theme.current().surface


def test_wide_boxes_have_labels_and_narrow_ones_none(made: FlameGraph) -> None:
    def inked(left: int, right: int, depth: int) -> bool:
        image = made.viewport().grab().toImage()
        colors = {image.pixel(x, y) for x in range(left, right) for y in range(depth * ROW + 2, depth * ROW + ROW - 3)}
        return len(colors) > 1

    assert inked(2, 90, 1)
    made.zoom_by(0.5)
    narrow = graph("a;b 5\na;c 95")
    assert narrow.scene is not None
    image = narrow.viewport().grab().toImage()
    assert len({image.pixel(x, ROW + 10) for x in range(0, 22)}) == 1


@pytest.mark.parametrize(
    ("room", "text"),
    [(40, "OrderBook::match_order"), (21, "match_order"), (11, "match_order"), (8, "match_o…"), (3, ""), (-2, "")],
)
def test_labels_shrink_to_the_room_there_is(room: int, text: str) -> None:
    assert fitted("trading_system::book::OrderBook::match_order", room) == text


def test_the_dark_theme_paints_dark(made: FlameGraph) -> None:
    theme.set_mode(theme.Mode.DARK)
    assert pixel(made, QPoint(10, 150)) == theme.dark().surface


def test_twice_as_many_pixels_are_used_where_there_are(made: FlameGraph) -> None:
    view, tokens = made.geometry_now(), theme.current()
    image = QImage(WIDTH * 2, HEIGHT * 2, QImage.Format.Format_RGB32)
    image.setDevicePixelRatio(2)
    painter = QPainter(image)
    made.render_view(painter, view, tokens, scale=2)
    painter.end()
    # The hairline below a row is one device pixel; the label has shades that doubled pixels would repeat.
    assert image.pixelColor(400, 2 * ROW - 1) == tokens.surface
    assert image.pixelColor(400, 2 * ROW - 2) == tokens.kind_user
    pairs = [image.pixel(x, y) == image.pixel(x + 1, y) for y in range(8, 30) for x in range(8, 60, 2)]
    assert not all(pairs)


def test_an_empty_graph_paints_and_answers_nothing(qtbot: QtBot) -> None:
    made = FlameGraph()
    qtbot.addWidget(made)
    made.show()
    assert made.box_at(QPoint(5, 5)) == -1
    for key in (KEY.Key_Down, KEY.Key_Return, KEY.Key_Left, KEY.Key_Plus, KEY.Key_N, KEY.Key_Space):
        qtbot.keyClick(made, key)
    wheel(made.viewport(), QPoint(5, 5), 1)
    mouse(made.viewport(), QEvent.Type.MouseButtonPress, QPoint(5, 5))
    mouse(made.viewport(), QEvent.Type.MouseButtonRelease, QPoint(5, 5))
    assert pixel(made, QPoint(5, 5)) == theme.current().surface


# zoom, pan, history


def click(made: FlameGraph, point: QPoint, **more: Qt.KeyboardModifier) -> None:
    mouse(made.viewport(), QEvent.Type.MouseButtonPress, point, **more)  # type: ignore[arg-type]
    mouse(made.viewport(), QEvent.Type.MouseButtonRelease, point, **more)  # type: ignore[arg-type]


def test_a_click_selects_and_zooms(made: FlameGraph, qtbot: QtBot) -> None:
    paths: list[tuple[str, ...]] = []
    made.path_zoomed.connect(paths.append)
    with qtbot.waitSignals([made.selected, made.zoomed, made.window_changed, made.function_selected]):
        click(made, at(2, 0.4))
    assert paths == [("main", "run", "match")]
    assert window(made) == pytest.approx((0.2, 0.7))
    assert selected(made) == "match"
    # Callers fill the width, the rest is out of sight.
    scene = made.scene
    assert scene is not None
    assert [scene.name(made.box_at(at(d, 0.95))) for d in range(4)] == ["main", "run", "match", ""]


def test_control_click_selects_without_zooming(made: FlameGraph) -> None:
    click(made, at(2, 0.4), modifiers=CONTROL)
    assert selected(made) == "match" and window(made) == (0.0, 1.0)


def test_a_click_beside_everything_selects_nothing(made: FlameGraph) -> None:
    click(made, at(2, 0.4))
    click(made, QPoint(490, 150))
    assert selected(made) == "" and window(made) == pytest.approx((0.2, 0.7))


def test_the_wheel_zooms_around_the_pointer(made: FlameGraph) -> None:
    before = made.geometry_now().fraction_at(150)
    wheel(made.viewport(), QPoint(150, 50), 2)
    x0, x1 = window(made)
    assert x1 - x0 == pytest.approx(1 / 1.25**2)
    assert made.geometry_now().fraction_at(150) == pytest.approx(before)
    wheel(made.viewport(), QPoint(150, 50), -9)
    assert window(made) == (0.0, 1.0)


def test_shift_wheel_pans_and_a_touchpad_drags(made: FlameGraph) -> None:
    made.zoom_by(4)
    x0, x1 = window(made)
    wheel(made.viewport(), QPoint(150, 50), -1, modifiers=SHIFT)
    assert window(made)[0] == pytest.approx(x0 + 0.2 * (x1 - x0))
    wheel(made.viewport(), QPoint(150, 50), 1, pixels=QPoint(50, 0))
    assert window(made)[0] == pytest.approx(x0 + 0.1 * (x1 - x0))
    assert window(made)[1] - window(made)[0] == pytest.approx(0.25)


def test_dragging_pans_and_selects_nothing(made: FlameGraph) -> None:
    made.zoom_by(2)
    drag(made.viewport(), QPoint(400, 50), QPoint(300, 50))
    assert window(made) == pytest.approx((0.35, 0.85))
    assert selected(made) == ""
    drag(made.viewport(), QPoint(100, 50), QPoint(499, 50))
    drag(made.viewport(), QPoint(100, 50), QPoint(499, 50))
    assert window(made) == pytest.approx((0.0, 0.5))


def test_back_and_forward_by_keys_and_mouse_buttons(made: FlameGraph, qtbot: QtBot) -> None:
    click(made, at(1, 0.5))
    click(made, at(2, 0.95))
    assert window(made) == pytest.approx((0.7, 1.0))
    qtbot.keyClick(made, KEY.Key_Left, ALT)
    assert window(made) == pytest.approx((0.2, 1.0))
    mouse(made.viewport(), QEvent.Type.MouseButtonPress, QPoint(9, 9), Qt.MouseButton.BackButton)
    assert window(made) == (0.0, 1.0) and not made.camera.can_go_back
    qtbot.keyClick(made, KEY.Key_Right, ALT)
    mouse(made.viewport(), QEvent.Type.MouseButtonPress, QPoint(9, 9), Qt.MouseButton.ForwardButton)
    assert window(made) == pytest.approx((0.7, 1.0)) and not made.camera.can_go_forward
    qtbot.keyClick(made, KEY.Key_Backspace)
    assert window(made) == pytest.approx((0.2, 1.0))


def test_a_turn_of_the_wheel_is_one_step_of_history(made: FlameGraph) -> None:
    click(made, at(1, 0.5))
    for _ in range(5):
        wheel(made.viewport(), QPoint(250, 50), 1)
    drag(made.viewport(), QPoint(400, 50), QPoint(300, 50))
    made.go_back()
    made.go_back()
    assert window(made) == pytest.approx((0.2, 1.0))


def test_a_zoom_moves_for_a_moment_where_motion_is_wanted(made: FlameGraph, qtbot: QtBot) -> None:
    made.animated = True
    seen: list[float] = []
    made.camera.moved.connect(lambda: seen.append(made.camera.window[1] - made.camera.window[0]))
    made.zoom_to_box(box(made.scene, "main;run;match"))
    assert made.camera.moving and window(made) == pytest.approx((0.2, 0.7))
    qtbot.waitUntil(lambda: not made.camera.moving)
    assert made.camera.window == pytest.approx((0.2, 0.7))
    assert seen == sorted(seen, reverse=True)


def test_zoom_and_selection_stay_when_the_tree_is_another_one(made: FlameGraph) -> None:
    click(made, at(2, 0.4))
    heavy = picture(order=Order.HEAVY)
    made.set_scene(heavy.scene, heavy.colors)
    assert window(made) == pytest.approx((0.0, 0.5)) and selected(made) == "match"
    other = picture("main;walk 1")
    made.set_scene(other.scene, other.colors)
    assert window(made) == (0.0, 1.0) and selected(made) == ""


# keyboard


def test_arrows_walk_the_tree(made: FlameGraph, qtbot: QtBot) -> None:
    walked = []
    keys = [KEY.Key_Down, KEY.Key_Down, KEY.Key_Down, KEY.Key_Right, KEY.Key_Left, KEY.Key_Down, KEY.Key_Up, KEY.Key_Up,
            KEY.Key_Left, KEY.Key_Left]  # fmt: skip
    for key in keys:
        qtbot.keyClick(made, key)
        walked.append(selected(made))
    assert walked == ["main", "run", "match", "parse", "match", "push", "match", "run", "idle", "idle"]


def test_in_a_flame_up_leads_to_callees(made: FlameGraph, qtbot: QtBot) -> None:
    made.set_orientation(Orientation.FLAME)
    for key in (KEY.Key_Up, KEY.Key_Up):
        qtbot.keyClick(made, key)
    assert selected(made) == "run"
    qtbot.keyClick(made, KEY.Key_Down)
    assert selected(made) == "main"


def test_enter_zooms_escape_leads_back_out(made: FlameGraph, qtbot: QtBot) -> None:
    for key in (KEY.Key_Down, KEY.Key_Down, KEY.Key_Down, KEY.Key_Return):
        qtbot.keyClick(made, key)
    assert window(made) == pytest.approx((0.2, 0.7))
    made.set_search("push")
    with qtbot.waitSignal(made.search_ended):
        qtbot.keyClick(made, KEY.Key_Escape)
    assert made.matches is None
    qtbot.keyClick(made, KEY.Key_Escape)
    assert selected(made) == "" and window(made) == pytest.approx((0.2, 0.7))
    qtbot.keyClick(made, KEY.Key_Escape)
    assert window(made) == (0.0, 1.0)


def test_plus_minus_home_and_shift_arrows(made: FlameGraph, qtbot: QtBot) -> None:
    made.select_box(box(made.scene, "main;run;parse"))
    qtbot.keyClicks(made, "++")
    x0, x1 = window(made)
    assert x1 - x0 == pytest.approx(1 / 2.25) and x0 < 0.85 < x1
    qtbot.keyClick(made, KEY.Key_Left, SHIFT)
    assert window(made)[0] == pytest.approx(x0 - 0.2 * (x1 - x0))
    qtbot.keyClicks(made, "-")
    assert window(made)[1] - window(made)[0] == pytest.approx(1 / 1.5)
    qtbot.keyClick(made, KEY.Key_Home)
    assert window(made) == (0.0, 1.0)


def test_slash_and_control_f_ask_for_the_search_field(made: FlameGraph, qtbot: QtBot) -> None:
    with qtbot.waitSignal(made.find_requested):
        qtbot.keyClicks(made, "/")
    with qtbot.waitSignal(made.find_requested):
        qtbot.keyClick(made, KEY.Key_F, CONTROL)


def test_what_is_too_narrow_to_see_is_zoomed_to_by_the_keyboard(qtbot: QtBot) -> None:
    made = graph("a;b 100000\na;c;d 3")
    qtbot.addWidget(made)
    made.show()
    for key in (KEY.Key_Down, KEY.Key_Down, KEY.Key_Right):
        qtbot.keyClick(made, key)
    assert selected(made) == "c"
    assert made.share_of_view(made.selected_box) * WIDTH >= 3


def test_deep_stacks_scroll_with_the_selection(qtbot: QtBot) -> None:
    made = graph(";".join(f"f{i}" for i in range(300)))
    qtbot.addWidget(made)
    made.show()
    bar = made.verticalScrollBar()
    assert bar.maximum() == 300 * ROW - HEIGHT
    made.show_roots()
    for _ in range(60):
        qtbot.keyClick(made, KEY.Key_Down)
    assert selected(made) == "f59" and 0 <= made.geometry_now().top(59) <= HEIGHT - ROW
    qtbot.keyClick(made, KEY.Key_PageDown)
    assert made.geometry_now().top(59) < 0
    made.set_orientation(Orientation.FLAME)
    bar.setValue(bar.maximum())
    assert made.scene is not None and made.scene.name(made.box_at(QPoint(9, HEIGHT - 3))) == "f0"


def test_scrolling_there_and_back_shows_what_a_fresh_painting_shows(qtbot: QtBot) -> None:
    stacks = [";".join([f"root{n % 3}", *(f"f{n}_{i}" for i in range(40))]) + f" {n + 1}" for n in range(9)]
    made, fresh = graph("\n".join(stacks)), graph("\n".join(stacks))
    for widget in (made, fresh):
        qtbot.addWidget(widget)
        widget.show()
    for scroll in (0, 130, 333, 410, 90, 7):
        made.verticalScrollBar().setValue(scroll)
        made.viewport().grab()
    made.hover_function("f8_3")
    made.viewport().grab()
    made.hover_function("")
    fresh.verticalScrollBar().setValue(7)
    assert made.viewport().grab().toImage() == fresh.viewport().grab().toImage()


def test_ten_thousand_frames_deep(qtbot: QtBot) -> None:
    made = graph(";".join(f"f{i}" for i in range(10_000)))
    qtbot.addWidget(made)
    made.show()
    assert made.scene is not None
    made.select_function("f9999")
    made.bring_into_view(made.selected_box)
    top = made.geometry_now().top(9_999)
    assert made.scene.name(made.box_at(QPoint(9, top + 3))) == "f9999"
    assert pixel(made, QPoint(480, top + 8)) == theme.current().kind_user
    assert len(made.scene.path(made.selected_box)) == 10_000


# selection, hovering, highlights


def test_every_occurrence_of_the_selected_function_keeps_its_colour(qtbot: QtBot) -> None:
    made = graph("a;x 25\na;y;x 25\na;z 50")
    qtbot.addWidget(made)
    made.show()
    made.select_function("x")
    full, below = theme.current().kind_user, ROW - 3
    assert pixel(made, QPoint(60, ROW + below - 2)) == full
    assert pixel(made, QPoint(200, 2 * ROW + below - 2)) == full
    faded = pixel(made, QPoint(400, ROW + below))
    assert faded != full and faded.lightness() > full.lightness()
    made.select_function("")
    assert pixel(made, QPoint(400, ROW + below)) == full


def test_what_is_zoomed_to_does_not_make_its_callees_fade(made: FlameGraph) -> None:
    click(made, at(2, 0.4))
    assert made.marks is None
    made.reset_zoom()
    assert made.marks is not None


def test_hovering_tells_the_card_and_lets_occurrences_glow(qtbot: QtBot) -> None:
    made = graph("a;x 25\na;y;x 25\na;z 50")
    qtbot.addWidget(made)
    made.show()
    plain = pixel(made, QPoint(200, 3 * ROW - 5))
    with qtbot.waitSignal(made.function_hovered) as seen:
        mouse(made.viewport(), QEvent.Type.MouseMove, at(1, 0.1), Qt.MouseButton.NoButton)
    assert seen.args == ["x"]
    assert pixel(made, QPoint(200, 3 * ROW - 5)) != plain
    card = made.card
    assert card is not None and card.isVisible() and card.name() == "x"
    QApplication.sendEvent(made, QEvent(QEvent.Type.Leave))
    assert not card.isVisible() and made.hovered_box == -1


def test_the_card_knows_the_share_of_what_is_in_view(made: FlameGraph) -> None:
    made.zoom_to_box(box(made.scene, "main;run"))
    mouse(made.viewport(), QEvent.Type.MouseMove, at(2, 0.9), Qt.MouseButton.NoButton)
    assert made.card is not None
    assert made.card.name() == "parse"
    rows = dict(made.card.rows())
    assert rows["Of view"] == "37.5%" and rows["Of all"] == "30.0%"


def test_space_shows_the_card_of_the_selection(made: FlameGraph, qtbot: QtBot) -> None:
    qtbot.keyClick(made, KEY.Key_Down)
    qtbot.keyClick(made, KEY.Key_Space)
    assert made.card is not None and made.card.isVisible() and made.card.name() == "main"
    qtbot.keyClick(made, KEY.Key_Escape)
    assert not made.card.isVisible() and selected(made) == "main"


def test_the_card_outlives_neither_the_window_nor_the_graph(qtbot: QtBot) -> None:
    made = graph()
    page = QWidget()
    qtbot.addWidget(page)
    qtbot.addWidget(made)
    made.setParent(page)
    page.show()
    mouse(made.viewport(), QEvent.Type.MouseMove, at(0, 0.5), Qt.MouseButton.NoButton)
    card = made.card
    assert card is not None and card.parentWidget() is page
    made.setParent(None)
    made.show()
    shiboken6.delete(card)
    assert made.card is None
    mouse(made.viewport(), QEvent.Type.MouseMove, at(1, 0.5), Qt.MouseButton.NoButton)
    assert made.card is not None and made.card.parentWidget() is made


def test_the_selection_is_told_to_screen_readers(made: FlameGraph) -> None:
    made.select_function("parse")
    assert made.accessibleDescription().startswith("parse: Self 30") and made.accessibleName() == "Flame graph"


def test_what_is_set_from_outside_is_not_announced(made: FlameGraph) -> None:
    announced: list[object] = []
    for signal in (made.window_changed, made.function_selected, made.function_hovered, made.path_zoomed):
        signal.connect(lambda *what: announced.append(what))
    made.set_window(0.1, 0.5)
    made.select_function("match")
    made.hover_function("push")
    assert made.zoom_to_path(("main", "run")) and not made.zoom_to_path(("main", "walk"))
    assert announced == []
    assert window(made) == pytest.approx((0.2, 1.0))


def test_two_graphs_linked_both_ways_follow_each_other(made: FlameGraph, qtbot: QtBot) -> None:
    other = graph("main;run;match 10\nmain;run;other 10")
    qtbot.addWidget(other)
    other.show()
    for one, two in ((made, other), (other, made)):
        one.path_zoomed.connect(two.zoom_to_path)
        one.function_hovered.connect(two.hover_function)
        one.function_selected.connect(two.select_function)
    click(made, at(2, 0.4))
    assert window(other) == pytest.approx((0.0, 0.5)) and selected(other) == "match"
    other.reset_zoom()
    assert window(made) == (0.0, 1.0)


# search


def test_a_search_lets_matches_stand_out(made: FlameGraph) -> None:
    found = made.set_search("PARSE|idle")
    assert found is not None and found.share() == pytest.approx(0.5)
    full = theme.current().kind_user
    assert pixel(made, QPoint(480, 3 * ROW - 3)) == full
    assert pixel(made, QPoint(300, 3 * ROW - 3)) != full
    made.zoom_to_box(box(made.scene, "main;run"))
    assert found.share(*window(made)) == pytest.approx(0.375)


def test_n_and_m_walk_through_the_matches(made: FlameGraph, qtbot: QtBot) -> None:
    made.set_search("p")
    walked = []
    for key in "nnnmm":
        qtbot.keyClicks(made, key)
        walked.append(selected(made))
    assert walked == ["parse", "push", "parse", "push", "parse"]


def test_walking_brings_a_match_into_view(made: FlameGraph, qtbot: QtBot) -> None:
    made.zoom_to_box(box(made.scene, "main;idle"))
    made.set_search("parse")
    qtbot.keyClick(made, KEY.Key_F3)
    assert made.share_of_view(made.selected_box) > 0


# menu


def test_a_right_click_asks_for_the_menu_of_its_box(made: FlameGraph, qtbot: QtBot) -> None:
    point = at(2, 0.9)
    with qtbot.waitSignal(made.menu_requested) as seen:
        event = QContextMenuEvent(QContextMenuEvent.Reason.Mouse, point, made.viewport().mapToGlobal(point))
        QApplication.sendEvent(made.viewport(), event)
    assert seen.args == [box(made.scene, "main;run;parse"), made.viewport().mapToGlobal(point)]
    assert selected(made) == "parse"


def test_the_menu_key_asks_for_the_menu_of_the_selection(made: FlameGraph, qtbot: QtBot) -> None:
    made.select_function("parse")
    with qtbot.waitSignal(made.menu_requested) as seen:
        event = QContextMenuEvent(QContextMenuEvent.Reason.Keyboard, QPoint(), QPoint())
        QApplication.sendEvent(made.viewport(), event)
    assert seen.args is not None and seen.args[0] == box(made.scene, "main;run;parse")


def test_colours_change_without_losing_the_view(made: FlameGraph) -> None:
    click(made, at(2, 0.4))
    made.set_colors(picture(ORDERS, color_by=ColorBy.SELF).colors)
    assert window(made) == pytest.approx((0.2, 0.7)) and selected(made) == "match"
    assert isinstance(pixel(made, QPoint(480, 3 * ROW - 3)), QColor)


def test_a_palette_entry_stands_out(qtbot: QtBot) -> None:
    made = graph("a;user 50\na;kernel_[k] 50", color_by=ColorBy.KIND)
    qtbot.addWidget(made)
    made.show()
    made.emphasise_color(1)
    assert made.marks is not None and made.boxes is not None
    assert np.array_equal(made.marks.of_box, made.boxes.color == 1)
    made.emphasise_color(-1)
    assert made.marks is None


# the trunk

TRUNK = ";".join(f"trunk_{i}" for i in range(12))
TREE = "\n".join(f"{TRUNK};branch_{i};" + ";".join(f"leaf_{i}_{j}" for j in range(9)) + " 25" for i in range(4))


def edge_row(made: FlameGraph) -> str:
    """The frame at the roots' edge of the view."""
    below = made.orientation is Orientation.FLAME
    return made.scene.name(made.box_at(QPoint(5, HEIGHT - 10 if below else 10))) if made.scene else ""


@pytest.mark.parametrize("orientation", list(Orientation))
def test_the_view_starts_where_the_trunk_ends(qtbot: QtBot, orientation: Orientation) -> None:
    made = graph(TREE)
    qtbot.addWidget(made)
    made.set_orientation(orientation)
    made.show()
    assert edge_row(made) == "trunk_10"
    made.show_roots()
    assert edge_row(made) == "trunk_0"
    made.reset_zoom()
    assert edge_row(made) == "trunk_10"


def test_turning_the_graph_over_keeps_its_start(qtbot: QtBot) -> None:
    made = graph(TREE)
    qtbot.addWidget(made)
    made.show()
    made.set_orientation(Orientation.FLAME)
    assert edge_row(made) == "trunk_10"
    made.resize(WIDTH, HEIGHT - 60)
    made.resize(WIDTH, HEIGHT)
    assert edge_row(made) == "trunk_10"


def test_the_start_holds_while_the_room_changes_until_somebody_scrolls(qtbot: QtBot) -> None:
    made = graph(TREE)
    qtbot.addWidget(made)
    made.show()
    made.resize(WIDTH, 30 * ROW)
    assert made.verticalScrollBar().maximum() == 0
    made.resize(WIDTH, HEIGHT)
    assert edge_row(made) == "trunk_10"
    made.verticalScrollBar().setValue(3 * ROW)
    made.resize(WIDTH, HEIGHT - 20)
    assert made.verticalScrollBar().value() == 3 * ROW


def test_home_and_what_ends_a_zoom_lead_to_the_start(made: FlameGraph, qtbot: QtBot) -> None:
    drawn = picture(TREE)
    made.set_scene(drawn.scene, drawn.colors)
    made.zoom_to_box(box(made.scene, f"{TRUNK};branch_2;leaf_2_0"))
    qtbot.keyClick(made, KEY.Key_Home)
    assert window(made) == (0, 1) and edge_row(made) == "trunk_10"
    qtbot.keyClick(made, KEY.Key_Home)
    assert edge_row(made) == "trunk_0"
    qtbot.keyClick(made, KEY.Key_Home)
    assert edge_row(made) == "trunk_10"
    made.zoom_to_box(box(made.scene, f"{TRUNK};branch_2"))
    made.zoom_to_path(())
    assert edge_row(made) == "trunk_10"


def test_other_colours_or_another_order_do_not_scroll(made: FlameGraph) -> None:
    drawn = picture(TREE)
    made.set_scene(drawn.scene, drawn.colors)
    made.verticalScrollBar().setValue(3 * ROW)
    again = picture(TREE, order=Order.HEAVY)
    made.set_scene(again.scene, again.colors)
    assert made.verticalScrollBar().value() == 3 * ROW
    other = picture(TREE.replace("leaf_3_8", "leaf_3_8;more"))
    made.set_scene(other.scene, other.colors)
    assert edge_row(made) == "trunk_10"


def test_bottom_up_and_what_fits_start_at_the_roots(made: FlameGraph) -> None:
    inverted = picture(f"{TRUNK};branch;leaf 9\nx;y 1", options=TreeOptions(inverted=True))
    made.set_scene(inverted.scene, inverted.colors)
    assert made.verticalScrollBar().maximum() > 0 and edge_row(made) == "leaf"
    low = picture("a;b;c;d;e 5\na;b;c;d;f 5")
    made.set_scene(low.scene, low.colors)
    assert low.scene.trunk == 4 and edge_row(made) == "a"


def test_down_enters_the_graph_at_what_is_seen(qtbot: QtBot) -> None:
    made = graph(TREE)
    qtbot.addWidget(made)
    made.show()
    qtbot.keyClick(made, KEY.Key_Down)
    assert selected(made) == "trunk_10"


@pytest.mark.parametrize(("orientation", "where"), [(Orientation.ICICLE, "above"), (Orientation.FLAME, "below")])
def test_a_line_tells_what_is_beyond_the_edge_and_leads_there_and_back(
    qtbot: QtBot, orientation: Orientation, where: str
) -> None:
    made = graph(TREE)
    qtbot.addWidget(made)
    made.set_orientation(orientation)
    line = TrunkLine(made)
    qtbot.addWidget(line)
    made.show()
    assert line.text() == f"10 rows {where}: trunk of trunk_0"
    qtbot.mouseClick(line, Qt.MouseButton.LeftButton)
    assert edge_row(made) == "trunk_0" and line.text() == "Skip 10 rows of trunk"
    qtbot.mouseClick(line, Qt.MouseButton.LeftButton)
    assert edge_row(made) == "trunk_10"
    made.resize(WIDTH, 100)
    made.verticalScrollBar().setValue(made.geometry_now().starting(15))
    assert line.text() == f"15 rows {where}"
    low = picture()
    made.set_scene(low.scene, low.colors)
    assert line.text() == "" and line.isHidden()


def test_the_line_gives_up_words_before_it_gives_up_the_number(qtbot: QtBot) -> None:
    made = graph(TREE)
    qtbot.addWidget(made)
    made.show()
    line = TrunkLine(made)
    qtbot.addWidget(line)
    line.resize(line.sizeHint())
    full = line.grab().toImage()
    line.resize(line.minimumSizeHint())
    assert line.width() < full.width() / 1.5
    tokens = theme.current()
    assert any(line.grab().toImage().pixelColor(x, 9) != tokens.window for x in range(20, line.width()))
