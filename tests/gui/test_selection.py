from tailflame_gui.selection import Selection


def test_a_selection_speaks_only_when_it_changes(qtbot) -> None:  # type: ignore[no-untyped-def]
    selection = Selection()
    with qtbot.waitSignal(selection.changed) as seen:
        selection.select("match_order")
    assert seen.args == ["match_order"]
    with qtbot.assertNotEmitted(selection.changed):
        selection.select("match_order")
    with qtbot.waitSignal(selection.hover_changed):
        selection.hover("main")
    assert (selection.function, selection.hovered) == ("match_order", "main")
    with qtbot.waitSignal(selection.changed):
        selection.clear()
    assert selection.function == ""
