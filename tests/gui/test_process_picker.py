"""The picker of running programs: the list follows what runs, the choice stays, the keyboard does it all."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QColor
from PySide6.QtTest import QTest
from pytestqt.modeltest import ModelTester
from pytestqt.qtbot import QtBot

from tailflame.errors import TailflameError
from tailflame.host.running import ProcessList, RunningProcess
from tailflame_gui import tasks, theme
from tailflame_gui.models.process_table import ProcessRow, ProcessTable
from tailflame_gui.models.session_table import RowOrder
from tailflame_gui.views.process_picker import ProcessPicker


def process(pid: int, name: str, **changes: Any) -> RunningProcess:
    known: dict[str, Any] = {
        "pid": pid, "start_ticks": 10_000 - pid, "name": name, "uid": 1000, "user": "ada", "mine": True,
        "command": (f"/opt/{name}", "--seed", "7"), "binary": Path("/opt", name), "cpu_percent": 12.34,
        "rss": 48_200_000, "threads": 3,
    }  # fmt: skip
    return RunningProcess(**{**known, **changes})


ENGINE, GATEWAY = process(11, "engine", container="docker 3f2a9c01b2aa"), process(12, "gateway", cpu_percent=None)
FOREIGN = process(13, "postgres", user="postgres", mine=False, attachable=False, reason="it belongs to postgres")
ALL = (ENGINE, GATEWAY, FOREIGN)


class Scripted(ProcessList):
    """Sees what a test puts into `seen`."""

    def __init__(self, *seen: RunningProcess) -> None:
        super().__init__()
        self.seen = seen
        self.fault: TailflameError | None = None

    def look(self, *, mine_first: bool = True) -> tuple[RunningProcess, ...]:
        if self.fault is not None:
            raise self.fault
        return self.seen


def rows(*processes: RunningProcess) -> tuple[ProcessRow, ...]:
    return tuple(ProcessRow(one) for one in processes)


@pytest.fixture
def seen() -> Scripted:
    return Scripted(*ALL)


@pytest.fixture
def picker(qtbot: QtBot, seen: Scripted) -> Iterator[ProcessPicker]:
    made = ProcessPicker(processes=seen)
    qtbot.addWidget(made)
    made.resize(1100, 400)
    made.show()
    qtbot.waitExposed(made)
    qtbot.waitUntil(lambda: len(names(made)) == len(seen.seen))
    yield made
    made.hide()
    qtbot.waitUntil(tasks.at_rest)


def names(picker: ProcessPicker) -> list[str]:
    order = picker.view.order
    return [order.row_at(order.index(line, 0)).process.name for line in range(order.rowCount())]


def look_again(picker: ProcessPicker, qtbot: QtBot) -> None:
    picker.look()
    qtbot.waitUntil(tasks.at_rest)


# The table.


def test_is_a_sound_model_whatever_comes_and_goes(qtmodeltester: ModelTester) -> None:
    table = ProcessTable()
    qtmodeltester.check(table)
    order = RowOrder(table)
    order.sort(4)
    late = process(14, "late")
    for listed in (ALL, (late, *ALL), (late, GATEWAY), (ENGINE, late, GATEWAY, FOREIGN), (GATEWAY, ENGINE), (), ALL):
        table.set_rows(rows(*listed))
        assert table.rows == rows(*listed)
        qtmodeltester.check(table)
        qtmodeltester.check(order)


def test_only_what_changed_is_told(qtbot: QtBot) -> None:
    table = ProcessTable()
    table.set_rows(rows(*ALL))
    busier = replace(GATEWAY, cpu_percent=99.0)
    with qtbot.assertNotEmitted(table.modelReset):
        with qtbot.waitSignal(table.dataChanged) as changed:
            table.set_rows(rows(ENGINE, busier, FOREIGN))
        assert changed.args is not None and changed.args[0].row() == 1
        with qtbot.waitSignal(table.rowsRemoved), qtbot.waitSignal(table.rowsInserted):
            table.set_rows(rows(process(9, "new"), busier, FOREIGN))


def text(row: ProcessRow, title: str, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
    table = ProcessTable()
    table.set_rows((row,))
    return table.index(0, [field.title for field in table.fields].index(title)).data(role)


def test_what_stands_in_the_columns(qtbot: QtBot) -> None:
    row = ProcessRow(ENGINE, "debug")
    shown = {title: text(row, title) for title in ("Name", "PID", "User", "Command", "CPU %", "Memory", "Threads")}
    assert list(shown.values()) == ["engine", "11", "ada", "/opt/engine --seed 7", "12.3", "48.2 MB", "3"]
    assert [text(row, title) for title in ("Binary", "Build", "Container")] == [
        "/opt/engine", "debug", "docker 3f2a9c01b2aa",
    ]  # fmt: skip
    assert text(ProcessRow(GATEWAY), "CPU %") == "—", "not known yet is not zero"
    assert "without optimisation" in text(row, "Build", Qt.ItemDataRole.ToolTipRole)
    gone = ProcessRow(replace(ENGINE, deleted=True))
    assert "built anew" in text(gone, "Binary", Qt.ItemDataRole.ToolTipRole)


def test_what_cannot_be_attached_to_is_faint_and_says_why(qtbot: QtBot) -> None:
    for title in ("Name", "Command", "CPU %", "Build", "Container"):
        assert text(ProcessRow(FOREIGN), title, Qt.ItemDataRole.ToolTipRole) == (
            "Cannot be attached to: it belongs to postgres."
        )
        assert QColor(text(ProcessRow(FOREIGN), title, Qt.ItemDataRole.ForegroundRole)) == theme.current().faint


# The picker.


def test_the_choice_stays_while_others_come_and_go(picker: ProcessPicker, seen: Scripted, qtbot: QtBot) -> None:
    with qtbot.waitSignal(picker.selected) as told:
        picker.view.select_line(1)
    assert told.args == [GATEWAY]
    seen.seen = (process(9, "new"), replace(GATEWAY, cpu_percent=50.0), FOREIGN)
    with qtbot.assertNotEmitted(picker.selected):
        look_again(picker, qtbot)
    assert names(picker) == ["new", "gateway", "postgres"]
    assert picker.process is not None and picker.process.cpu_percent == 50.0
    seen.seen = (FOREIGN,)
    with qtbot.waitSignal(picker.selected) as told:
        look_again(picker, qtbot)
    assert told.args == [None]


def test_filter_and_attach_by_keys_alone(picker: ProcessPicker, qtbot: QtBot) -> None:
    picker.setFocus()
    chosen: list[RunningProcess] = []
    picker.chosen.connect(chosen.append)
    QTest.keyClicks(picker.filter_field, "GATE ada")
    QTest.keyClick(picker.filter_field, Qt.Key.Key_Return)
    assert names(picker) == ["gateway"]
    assert chosen == [GATEWAY]
    QTest.keyClick(picker.filter_field, Qt.Key.Key_Escape)
    assert len(names(picker)) == 3
    picker.view.clearSelection()
    QTest.keyClick(picker.filter_field, Qt.Key.Key_Down)
    assert picker.process == ENGINE
    QTest.keyClick(picker.view, Qt.Key.Key_Return)
    assert chosen == [GATEWAY, ENGINE]


@pytest.mark.parametrize("words", ["13", "postgres", "docker", "seed 7 engine"])
def test_every_column_is_searched(words: str, picker: ProcessPicker) -> None:
    picker.filter_field.set_query(words)
    assert len(names(picker)) == 1


def test_what_cannot_be_attached_to_is_not_chosen(picker: ProcessPicker, qtbot: QtBot) -> None:
    with qtbot.assertNotEmitted(picker.chosen), qtbot.assertNotEmitted(picker.selected):
        picker.filter_field.set_query("postgres")
        QTest.keyClick(picker.filter_field, Qt.Key.Key_Return)
    assert picker.cautions.texts == ["postgres cannot be attached to: it belongs to postgres."]
    picker.view.clearSelection()
    assert picker.cautions.texts == []


def test_a_program_that_was_built_anew_is_told_of(picker: ProcessPicker, seen: Scripted, qtbot: QtBot) -> None:
    seen.seen = (replace(ENGINE, deleted=True),)
    look_again(picker, qtbot)
    picker.view.select_line(0)
    assert "built anew" in picker.cautions.texts[0]


def test_nothing_matches(picker: ProcessPicker, seen: Scripted, qtbot: QtBot) -> None:
    picker.filter_field.set_query("<b>late")
    assert not picker.view.isVisible()
    seen.seen = (*ALL, process(14, "<b>late"))
    look_again(picker, qtbot)
    assert picker.view.isVisible() and names(picker) == ["<b>late"]


def test_a_fault_is_a_sentence(picker: ProcessPicker, seen: Scripted, qtbot: QtBot) -> None:
    seen.fault = TailflameError("/proc cannot be read.", advice="Mount it.")
    look_again(picker, qtbot)
    assert picker.cautions.texts == ["/proc cannot be read. Mount it."]
    assert len(names(picker)) == 3


def test_it_looks_only_while_it_is_seen(picker: ProcessPicker, seen: Scripted, qtbot: QtBot) -> None:
    picker.hide()
    qtbot.waitUntil(tasks.at_rest)
    seen.seen = (ENGINE,)
    assert len(names(picker)) == 3
    picker.show()
    qtbot.waitUntil(lambda: names(picker) == ["engine"])


def test_the_real_list_is_followed_by_itself(qtbot: QtBot) -> None:
    picker = ProcessPicker()
    qtbot.addWidget(picker)
    picker.show()
    with subprocess.Popen(["sleep", "612"]) as child:
        picker.filter_field.set_query(f"{child.pid} sleep 612")
        qtbot.waitUntil(lambda: names(picker) == ["sleep"])
        qtbot.waitUntil(lambda: picker.view.order.row_at(picker.view.order.index(0, 0)).process.cpu_percent == 0.0)
        child.kill()
    qtbot.waitUntil(lambda: names(picker) == [])
    picker.hide()
    qtbot.waitUntil(tasks.at_rest)
