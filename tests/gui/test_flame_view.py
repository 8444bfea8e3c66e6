"""The whole view: selectors, transforms, menu, chips, search, reading, history, states, exports, one selection."""

from __future__ import annotations

import numpy as np
import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtGui import QAction, QGuiApplication
from PySide6.QtWidgets import QComboBox, QLabel, QLineEdit, QMenu, QPushButton, QToolButton, QWidget
from pytestqt.qtbot import QtBot

from helpers.flames import ORDERS, box, drawn_rows
from helpers.stacks import profile
from tailflame.analyse.layout import Order
from tailflame.analyse.tree import Grouping
from tailflame.model import Event, StackBuilder, StackProfile, Weight
from tailflame.units import Unit
from tailflame_gui import tasks, theme
from tailflame_gui.selection import Selection
from tailflame_gui.views.flame_view import FlameView
from tailflame_gui.widgets.fitting_box import FittingBox
from tailflame_gui.widgets.flame_colors import ColorBy
from tailflame_gui.widgets.flame_graph import Orientation

MODULES = """
    main@/bin/app;solve@/bin/app!src/solve.rs:12;memcpy@/lib/libc.so.6;copy_loop@/lib/libc.so.6 40
    main@/bin/app;solve@/bin/app!src/solve.rs:12;solve@/bin/app!src/solve.rs:14 20
    main@/bin/app;read@/lib/libc.so.6;sys_read_[k]@[kernel.kallsyms] 40
"""


@pytest.fixture
def view(qtbot: QtBot) -> FlameView:
    return shown(qtbot, MODULES)


def shown(qtbot: QtBot, text: str | StackProfile, **options: bool) -> FlameView:
    made = FlameView(Selection())
    qtbot.addWidget(made)
    made.resize(1180, 660)
    made.set_profile(profile(text, **options) if isinstance(text, str) else text, title="app, 12:04")
    made.show()
    return made


def counted() -> StackProfile:
    """Two events: cycles with periods, faults without."""
    builder = StackBuilder()
    cycles = builder.event(Event("cycles", Unit.EVENTS, has_period=True))
    faults = builder.event(Event("page-faults"))
    main, hot, cold = (builder.frame(name) for name in ("main", "hot", "cold"))
    builder.sample(builder.stack([main, hot]), period=900, event=cycles)
    builder.sample(builder.stack([main, cold]), period=100, event=cycles)
    builder.sample(builder.stack([main, cold]), event=faults)
    return builder.build()


def pick(box: FittingBox, text: str) -> None:
    """Chooses an item as a user would."""
    index = box.texts().index(text)
    box.setCurrentIndex(index)


def action(menu: QMenu, text: str) -> QAction:
    return next(a for a in menu.actions() if a.text().startswith(text))


def menu_of(view: FlameView, path: str) -> QMenu:
    return view.menu_for(box(view.graph.scene, path))


# selectors


def test_every_grouping_merges_frames_as_it_says(view: FlameView) -> None:
    found = {}
    for text in view.bar.group_box.texts():
        pick(view.bar.group_box, text)
        found[text] = drawn_rows(view.graph)
    assert found["Function"][2] == "sys_read[0,0.4] memcpy[0.4,0.8] solve[0.8,1]"
    assert found["Module"][1:3] == ["libc.so.6[0,0.8]", "[kernel.kallsyms][0,0.4]"]
    assert found["Source file"][:2] == [
        "[no source: app][0,1]",
        "[no source: libc.so.6][0,0.4] src/solve.rs[0.4,1]",
    ]
    assert found["Line"][2] == found["Function"][2]
    assert view.options.grouping is Grouping.FILE


def test_orders_are_offered_where_they_mean_something(qtbot: QtBot) -> None:
    untimed, timed = shown(qtbot, ORDERS), shown(qtbot, "a;x 1\na;y 1\na;x 2", in_time_order=True)
    pick(untimed.bar.order_box, "Left heavy")
    assert drawn_rows(untimed.graph)[1] == "run[0,0.8] idle[0.8,1]"
    model = untimed.bar.order_box.model()
    in_time = model.index(untimed.bar.order_box.row(Order.TIME), 0)
    assert not in_time.flags() & Qt.ItemFlag.ItemIsEnabled
    assert "does not tell" in in_time.data(Qt.ItemDataRole.ToolTipRole)
    pick(timed.bar.order_box, "In time")
    assert drawn_rows(timed.graph)[1] == "x[0,0.25] y[0.25,0.5] x[0.5,1]"
    timed.set_profile(profile(ORDERS))
    assert timed.settings.order is Order.NAME and timed.bar.order_box.currentText() == "By name"


def test_events_and_weights_are_offered_where_there_are_several(qtbot: QtBot) -> None:
    made = shown(qtbot, counted())
    assert made.bar.event_box.isVisible() and made.bar.weight_box.isVisible()
    assert drawn_rows(made.graph)[1] == "cold[0,0.5] hot[0.5,1]"
    with qtbot.waitSignal(made.weight_changed) as seen:
        pick(made.bar.weight_box, "Event count")
    assert seen.args == [0, Weight.PERIOD]
    assert drawn_rows(made.graph)[1] == "cold[0,0.1] hot[0.1,1]"
    pick(made.bar.event_box, "page-faults")
    assert drawn_rows(made.graph)[1] == "cold[0,1]"
    assert not made.bar.weight_box.isVisible() and made.options.weight is Weight.SAMPLES
    one = shown(qtbot, ORDERS)
    assert not one.bar.event_box.isVisible() and not one.bar.weight_box.isVisible()


def test_one_thread_alone(qtbot: QtBot) -> None:
    made = shown(qtbot, "engine-0: main;match 30\nengine-1: main;parse 10\nengine-0: main;match 5")
    assert made.bar.thread_box.texts() == ["All threads", "engine-0", "engine-1"]
    pick(made.bar.thread_box, "engine-1")
    assert drawn_rows(made.graph) == ["main[0,1]", "parse[0,1]"]
    facts = made.graph.scene and made.graph.scene.facts(0)
    assert facts and facts.of_all == "22.2%"
    pick(made.bar.thread_box, "All threads")
    assert len(drawn_rows(made.graph)[1].split()) == 2


def test_colours_and_legend_go_together(view: FlameView) -> None:
    for by, title in ((ColorBy.MODULE, "Module"), (ColorBy.KIND, "Kind of code"), (ColorBy.SELF, "Self weight"),
                      (ColorBy.PLAIN, "One colour"), (ColorBy.CRATE, "Crate")):  # fmt: skip
        view.bar.color_box.setCurrentIndex(view.bar.color_box.row(by))
        view.legend.grab()
        assert view.settings.color_by is by
        assert view.legend.accessibleDescription().startswith(title)
    view.bar.color_box.setCurrentIndex(view.bar.color_box.row(ColorBy.KIND))
    view.legend.choose(1)
    assert view.graph.marks is not None and view.graph.marks.of_box.sum() == 1


def test_flame_and_bottom_up(view: FlameView) -> None:
    view.bar.flame.setChecked(True)
    assert view.graph.orientation is Orientation.FLAME
    view.bar.inverted.setChecked(True)
    assert drawn_rows(view.graph)[0].split()[0].startswith("copy_loop")
    assert view.reading.lines() == []


# transforms


def test_focus_keeps_only_the_stacks_through_a_function(view: FlameView) -> None:
    action(menu_of(view, "main;solve"), "Focus on solve").trigger()
    assert drawn_rows(view.graph)[0] == "solve[0,1]"
    assert view.chips.texts() == ["Focus: solve"]
    # "All" is still everything that was recorded.
    assert view.graph.scene is not None and view.graph.scene.facts(0).of_all == "60.0%"
    view.chips.click("Focus: solve")
    assert drawn_rows(view.graph)[0] == "main[0,1]" and not view.chips.isVisible()


def test_hidden_frames_leave_their_callees_to_their_caller(view: FlameView) -> None:
    action(menu_of(view, "main;solve;memcpy"), "Hide memcpy").trigger()
    assert drawn_rows(view.graph)[2] == "sys_read[0,0.4] copy_loop[0.4,0.8] solve[0.8,1]"
    action(menu_of(view, "main;read"), "Hide read").trigger()
    assert view.chips.texts() == ["Hidden: memcpy", "Hidden: read", "Show everything"]
    view.chips.click("Show everything")
    assert len(drawn_rows(view.graph)) == 4


def test_a_module_collapses_to_one_box(view: FlameView) -> None:
    action(menu_of(view, "main;solve;memcpy"), "Collapse module libc.so.6").trigger()
    assert drawn_rows(view.graph)[2] == "sys_read[0,0.4] [libc.so.6][0.4,0.8] solve[0.8,1]"
    assert [a.text() for a in view.bar.modules.actions() if a.isChecked()] == ["libc.so.6"]
    next(a for a in view.bar.modules.actions() if a.isChecked()).trigger()
    assert not view.options.collapse_modules


def test_recursion_collapses(view: FlameView) -> None:
    action(menu_of(view, "main"), "Collapse recursion").trigger()
    assert drawn_rows(view.graph)[2] == "sys_read[0,0.4] memcpy[0.4,0.8]"
    assert view.bar.recursion.isChecked()
    view.bar.recursion.trigger()
    assert "solve[0.8,1]" in drawn_rows(view.graph)[2]


def test_inlined_frames_fold_into_their_function(qtbot: QtBot) -> None:
    made = shown(qtbot, "main;copied_[i] 10\nmain 10")
    made.bar.inlines.trigger()
    assert drawn_rows(made.graph) == ["main[0,1]"] and made.chips.texts() == ["Inlined code folded"]


def test_another_grouping_drops_filters_by_function(view: FlameView) -> None:
    action(menu_of(view, "main;solve"), "Focus on solve").trigger()
    pick(view.bar.group_box, "Module")
    assert view.options.focus is None and drawn_rows(view.graph)[0] == "app[0,1]"


# menu


def test_the_menu_copies_and_leads_elsewhere(view: FlameView, qtbot: QtBot) -> None:
    clipboard = QGuiApplication.clipboard()
    menu = menu_of(view, "main;solve;memcpy")
    action(menu, "Copy name").trigger()
    assert clipboard.text() == "memcpy"
    action(menu, "Copy stack").trigger()
    assert clipboard.text() == "main\nsolve\nmemcpy"
    assert not action(menu, "Open source").isEnabled()
    for text, signal in (("Show in hotspots", view.show_hotspots), ("Callers and callees", view.show_callers)):
        with qtbot.waitSignal(signal) as seen:
            action(menu, text).trigger()
        assert seen.args == ["memcpy"]
    with qtbot.waitSignal(view.open_source) as seen:
        action(menu_of(view, "main;solve"), "Open source").trigger()
    assert seen.args == ["src/solve.rs", 12]
    action(menu, "Zoom to this frame").trigger()
    assert view.crumbs.steps()[-1] == "memcpy"
    assert [a.text() for a in view.menu_for(-1).actions()] == ["Collapse recursion"]


def test_the_menu_pops_up_where_it_is_asked_for(view: FlameView, monkeypatch: pytest.MonkeyPatch) -> None:
    popped: list[tuple[int, QPoint]] = []
    monkeypatch.setattr(QMenu, "popup", lambda menu, at: popped.append((len(menu.actions()), at)))
    view.graph.menu_requested.emit(box(view.graph.scene, "main"), QPoint(50, 60))
    assert len(popped) == 1 and popped[0][0] > 8 and popped[0][1] == QPoint(50, 60)


def test_control_c_copies_the_name(view: FlameView, qtbot: QtBot) -> None:
    view.graph.select_function("read")
    qtbot.keyClick(view.graph, Qt.Key.Key_C, Qt.KeyboardModifier.ControlModifier)
    assert QGuiApplication.clipboard().text() == "read"


# search


def test_searching_tells_the_share_that_matches(view: FlameView, qtbot: QtBot) -> None:
    view.graph.setFocus()
    qtbot.keyClicks(view.graph, "/")
    assert view.focusWidget() is view.search.field
    qtbot.keyClicks(view.search.field, "copy|memcpy|sys_")
    assert view.search.result.text() == "80.0%  ·  3"
    qtbot.keyClick(view.search.field, Qt.Key.Key_Return)
    assert view.search.result.text() == "80.0%  ·  1/3"
    assert view.graph.scene is not None and view.graph.scene.name(view.graph.selected_box) == "sys_read"
    view.graph.zoom_to_box(box(view.graph.scene, "main;solve"))
    assert view.search.result.text().startswith("66.7%")
    assert "80.0% of everything" in view.search.result.toolTip()


def test_upper_and_lower_case_matter_when_asked(view: FlameView) -> None:
    view.search.field.setText("MEMCPY")
    assert view.search.result.text().endswith("·  1")
    view.search.match_case.click()
    assert view.search.result.text().endswith("·  0")


def test_a_broken_expression_is_told_and_keeps_the_view(view: FlameView) -> None:
    view.search.field.setText("mem(")
    assert view.search.result.text() == "invalid" and "parenthesis" in view.search.result.toolTip()
    assert view.graph.matches is None
    pick(view.bar.order_box, "Left heavy")
    view.search.field.setText("mem")
    assert view.search.result.text().endswith("1")


def test_a_search_goes_on_in_another_tree_and_ends_with_escape(view: FlameView, qtbot: QtBot) -> None:
    view.search.field.setText("memcpy")
    view.bar.inverted.setChecked(True)
    assert view.graph.matches is not None and len(view.graph.matches) == 1
    view.graph.setFocus()
    qtbot.keyClick(view.graph, Qt.Key.Key_Escape)
    assert view.search.pattern == "" and view.graph.matches is None and view.search.result.isHidden()


# path, history, reading, selection


def test_the_path_and_the_buttons_lead_back(view: FlameView, qtbot: QtBot) -> None:
    assert not view.back.isEnabled() and not view.everything.isEnabled()
    view.graph.zoom_to_box(box(view.graph.scene, "main;solve;memcpy"))
    qtbot.waitUntil(lambda: view.crumbs.steps() == ["All", "main", "solve", "memcpy"])
    next(b for b in view.crumbs.findChildren(QPushButton) if b.text() == "solve").click()
    assert view.crumbs.steps() == ["All", "main", "solve"]
    view.back.click()
    assert view.crumbs.steps()[-1] == "memcpy" and view.forward.isEnabled()
    view.forward.click()
    assert view.crumbs.steps()[-1] == "solve"
    view.everything.click()
    assert view.crumbs.steps() == ["All"]
    view.graph.zoom_by(2)
    assert any(label.text() == "50.0% of the width" for label in view.crumbs.findChildren(QLabel))


def test_the_reading_says_what_is_wide_flat_and_tall_and_selects_it(view: FlameView) -> None:
    lines = view.reading.lines()
    assert any(line.startswith("sys_read is on top of the stack for 40.0%") for line in lines)
    assert any("deepest stack is 4 frames" in line for line in lines)
    index = next(i for i, line in enumerate(lines) if line.startswith("sys_read is on top"))
    view.reading.chosen.emit(index)
    assert view.selection.function == "sys_read"
    view.bar.reading.setChecked(False)
    assert not view.reading.isVisible()


def test_the_reading_moves_below_a_narrow_graph(view: FlameView) -> None:
    assert view.reading.mapTo(view, QPoint(0, 0)).x() > view.graph.mapTo(view, QPoint(0, 0)).x() + view.graph.width()
    view.resize(800, 660)
    assert view.reading.mapTo(view, QPoint(0, 0)).y() > view.graph.mapTo(view, QPoint(0, 0)).y() + view.graph.height()


def test_one_selection_runs_through_all_views(view: FlameView) -> None:
    view.selection.select("read")
    assert view.graph.scene is not None and view.graph.scene.name(view.graph.selected_box) == "read"
    view.graph.select_box(box(view.graph.scene, "main;solve"))
    assert view.selection.function == "solve"
    view.selection.hover("main")
    assert view.graph._glow is not None
    view.selection.hover("")
    assert view.graph._glow is None


# states, exports, size


def test_without_a_profile_it_says_what_to_do(qtbot: QtBot) -> None:
    made = FlameView(Selection())
    qtbot.addWidget(made)
    made.show()
    buttons = {b.text(): b for b in made.findChildren(QPushButton) if b.isVisible()}
    with qtbot.waitSignal(made.record_requested):
        buttons["Record"].click()
    with qtbot.waitSignal(made.open_requested):
        buttons["Open a file"].click()
    assert not made.bar.isEnabled()
    made.set_profile(profile(ORDERS))
    assert made.graph.isVisible() and made.bar.isEnabled()
    made.set_profile(None)
    assert not made.graph.isVisible()


def test_a_profile_without_stacks_says_so(qtbot: QtBot) -> None:
    builder = StackBuilder()
    builder.sample(-1)
    made = shown(qtbot, builder.build())
    texts = [label.text() for label in made.findChildren(QLabel) if label.isVisible()]
    assert "No stacks to draw" in texts and any("Record with call graphs" in t for t in texts)


def test_filters_that_leave_nothing_offer_to_show_everything(view: FlameView) -> None:
    everything = frozenset(view.tree.functions.names) if view.tree else frozenset()
    view.set_options(type(view.options)(hidden=everything))
    button = next(b for b in view._pages.currentWidget().findChildren(QPushButton) if b.text() == "Show everything")
    button.click()
    assert view.graph.isVisible() and len(drawn_rows(view.graph)) == 4


def test_exports_are_asked_for(view: FlameView, qtbot: QtBot) -> None:
    kinds = []
    view.export_requested.connect(kinds.append)
    for entry in view.bar.export.menu().actions():
        entry.trigger()
    assert kinds == ["svg", "png", "png@2x", "folded", "speedscope", "firefox", "pprof"]
    assert view.image(2).width() == 2 * view.image(1).width()


def test_every_control_has_a_tooltip_and_a_name(view: FlameView) -> None:
    kinds = (QToolButton, QComboBox, QPushButton, QLineEdit)
    controls = [control for kind in kinds for control in view.findChildren(kind)]
    for control in controls:
        # The clear button inside the search field is Qt's own.
        if control.isVisible() and not isinstance(control.parent(), QLineEdit):
            assert control.toolTip(), control
            assert control.accessibleName() or control.text(), control  # type: ignore[union-attr]


def top(widget: QWidget, view: FlameView) -> int:
    return widget.mapTo(view, QPoint(0, 0)).y()


def test_the_controls_share_a_line_where_there_is_room_and_lose_nothing(view: FlameView) -> None:
    view.resize(1400, 660)
    assert top(view.bar, view) == top(view.crumbs.parentWidget(), view)
    assert view.bar.group_box.isVisible() and view.bar.order_box.isVisible()
    view.resize(900, 660)
    assert top(view.bar, view) == top(view.crumbs.parentWidget(), view)
    assert not view.bar.group_box.isVisible() and not view.bar.order_box.isVisible()
    action(view.bar.merging, "Module").trigger()
    assert view.options.grouping is Grouping.MODULE
    action(view.bar.ordering, "Left heavy").trigger()
    assert view.settings.order is Order.HEAVY
    assert not action(view.bar.ordering, "In time").isEnabled()
    assert [a.text() for m in (view.bar.merging, view.bar.ordering) for a in m.actions() if a.isChecked()] == [
        "Module",
        "Left heavy",
    ]
    view.resize(640, 660)
    assert top(view.bar, view) < top(view.crumbs.parentWidget(), view)
    assert view.bar.group_box.isVisible() and view.bar.group_box.currentText() == "Module"


def test_a_reading_in_another_column_folds_for_the_selected_function(view: FlameView, qtbot: QtBot) -> None:
    column = view.lend_reading()
    qtbot.addWidget(column)
    column.setParent(None)
    column.show()
    view.selection.select("read")
    assert column.folded and not view.reading.isVisible()
    view.selection.clear()
    assert view.reading.isVisible()
    column.header.click()
    view.selection.select("solve")
    view.selection.clear()
    assert column.folded, "it was folded by hand"
    column.header.click()
    view.selection.select("read")
    assert view.reading.isVisible()
    view.take_reading()
    assert view.isAncestorOf(view.reading) and view.reading.isVisible() and column.header.isHidden()


def test_it_fits_beside_an_inspector_at_1280(qtbot: QtBot) -> None:
    made = shown(qtbot, counted())
    assert made.minimumSizeHint().width() <= 900
    made.resize(900, 600)
    assert made.bar.width() <= 900 and made.graph.height() > 250


def test_the_theme_recolours(view: FlameView) -> None:
    assert view.graph.boxes is not None
    light = view.graph.boxes.palette.copy()
    theme.set_mode(theme.Mode.DARK)
    assert view.graph.boxes is not None and not np.array_equal(light, view.graph.boxes.palette)


def test_a_change_of_theme_while_a_picture_is_drawn_loses_neither(qtbot: QtBot) -> None:
    rng = np.random.default_rng(5)
    text = "\n".join(";".join(f"f{i}" for i in rng.integers(0, 30, 8)) for _ in range(3000))
    made = FlameView(Selection())
    qtbot.addWidget(made)
    made.show()
    made.set_profile(profile(text))
    qtbot.waitUntil(lambda: made.tree is not None, timeout=20_000)
    made.bar.inverted.setChecked(True)
    theme.set_mode(theme.Mode.DARK)
    pick(made.bar.color_box, "Plain")
    qtbot.waitUntil(lambda: made.tree is not None and made.tree.options.inverted, timeout=20_000)
    assert made.graph.boxes is not None
    assert made.graph.boxes.palette.tolist() == [[*theme.dark().kind_user.getRgb()[:3]]]  # type: ignore[misc]
    qtbot.waitUntil(tasks.at_rest, timeout=20_000)


def test_large_profiles_are_drawn_in_a_thread_and_stale_pictures_are_dropped(qtbot: QtBot) -> None:
    rng = np.random.default_rng(5)
    text = "\n".join(";".join(f"f{i}" for i in rng.integers(0, 30, 8)) for _ in range(3000))
    made = FlameView(Selection())
    qtbot.addWidget(made)
    made.show()
    made.set_profile(profile(text))
    assert made.tree is None and not made.busy.isHidden()
    made.bar.inverted.setChecked(True)
    qtbot.waitUntil(lambda: made.tree is not None, timeout=20_000)
    assert made.tree is not None and made.tree.options.inverted and made.busy.isHidden()
    made.search.field.setText("f1.")
    assert made.graph.matches is not None
    qtbot.waitUntil(tasks.at_rest)
