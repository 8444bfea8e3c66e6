"""The preflight: what is in order is folded away, every other line has its fix and a copy button."""

from __future__ import annotations

import pytest
from PySide6.QtCore import QCoreApplication, QPoint
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QLabel, QToolButton
from pytestqt.qtbot import QtBot

from tailflame_gui.record_model import Assessment, CheckRow
from tailflame_gui.rows import Level
from tailflame_gui.views.preflight_panel import CheckLine, PreflightPanel

SETTING = "kernel.perf_event_paranoid=1"
MADE = Assessment(
    checks=(
        CheckRow(Level.OK, "perf 6.1 is installed."),
        CheckRow(Level.OK, "perf may see the kernel.", "kernel.perf_event_paranoid is 1."),
        CheckRow(Level.NOTE, "engine has no debug information.", "There are no lines.", "Build with debug."),
        CheckRow(
            Level.ERROR,
            "The kernel refuses.",
            "paranoid is 3.",
            "Lower it.",
            "sudo sysctl kernel.perf_event_paranoid=1",
        ),
    )
)


@pytest.fixture
def panel(qtbot: QtBot) -> PreflightPanel:
    made = PreflightPanel()
    qtbot.addWidget(made)
    made.resize(320, 500)
    made.show()
    qtbot.waitExposed(made)
    return made


def lines(panel: PreflightPanel) -> list[CheckLine]:
    QCoreApplication.processEvents()  # a layout shows what was added to it in its own time
    seen = [line for line in panel.findChildren(CheckLine) if line.isVisible()]
    return sorted(seen, key=lambda line: line.mapTo(panel, QPoint()).y())


def shown_lines(panel: PreflightPanel) -> list[str]:
    return [line.check.title for line in lines(panel)]


def words(panel: PreflightPanel) -> str:
    texts = [made.text() for made in panel.findChildren(QLabel) if made.isVisible()]
    return "\n".join(texts).replace("\u200b", "")


def test_while_nothing_is_known_it_says_what_is_looked_at(panel: PreflightPanel) -> None:
    assert "Looking at perf" in words(panel)
    assert not panel.fold.isVisible()


def test_what_is_in_order_is_one_line(panel: PreflightPanel) -> None:
    panel.show_checks(MADE)
    assert shown_lines(panel) == ["The kernel refuses.", "engine has no debug information."]
    assert panel.summary == "2 checks passed"
    panel.fold.click()
    assert shown_lines(panel)[2:] == ["perf 6.1 is installed.", "perf may see the kernel."]
    assert len(panel.open_checks) == 4
    panel.fold.click()
    assert len(shown_lines(panel)) == len(panel.open_checks) == 2


def test_one_check_is_singular_and_none_is_no_line(panel: PreflightPanel) -> None:
    panel.show_checks(Assessment(checks=MADE.checks[:1]))
    assert panel.summary == "1 check passed"
    panel.show_checks(Assessment(checks=MADE.checks[2:]))
    assert not panel.fold.isVisible()


def test_every_line_has_a_shape_a_word_its_meaning_and_its_fix(panel: PreflightPanel) -> None:
    panel.show_checks(MADE)
    error, note = lines(panel)
    assert error.accessibleName() == (
        "Error: The kernel refuses. paranoid is 3. Lower it. sudo sysctl kernel.perf_event_paranoid=1"
    )
    assert note.accessibleName().startswith("Note: engine has no debug information.")
    assert "Build with debug." in words(panel)


def test_a_fix_can_be_copied(panel: PreflightPanel) -> None:
    panel.show_checks(MADE)
    line = next(made for made in panel.findChildren(CheckLine) if made.check.command)
    copy = next(made for made in line.findChildren(QToolButton) if made.toolTip() == "Copy the command")
    copy.click()
    assert QGuiApplication.clipboard().text() == "sudo sysctl kernel.perf_event_paranoid=1"


def test_a_long_word_breaks_instead_of_being_cut(panel: PreflightPanel, qtbot: QtBot) -> None:
    long = "5afc8c6d1b9e02356cce218bf0109c3687ad9fa1b2c3d4e5f60718293a4b5c6d7e8f.debug"
    panel.show_checks(Assessment(checks=(CheckRow(Level.NOTE, "bash is stripped.", f"Its symbols are in {long}."),)))
    qtbot.waitUntil(lambda: long in words(panel))
    for made in panel.findChildren(QLabel):
        assert made.width() <= panel.width()


def test_it_can_be_asked_again_and_says_that_it_looks(panel: PreflightPanel, qtbot: QtBot) -> None:
    panel.show_busy(True)
    assert "checking…" in words(panel)
    panel.show_busy(False)
    assert "checking…" not in words(panel)
    with qtbot.waitSignal(panel.check_again):
        panel.again.click()


def test_the_same_checks_leave_the_page_alone(panel: PreflightPanel) -> None:
    panel.show_checks(MADE)
    before = panel.findChildren(CheckLine)
    panel.show_checks(Assessment(checks=MADE.checks, command_line="another"))
    assert panel.findChildren(CheckLine) == before
