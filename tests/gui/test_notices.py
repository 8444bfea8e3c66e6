"""Notices stand above the page, can be copied, and go when they are dealt with."""

from __future__ import annotations

import pytest
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QPushButton
from pytestqt.qtbot import QtBot

from tailflame_gui.rows import Level, Notice, Offer
from tailflame_gui.widgets.notices import MOST, NoticeArea


@pytest.fixture
def area(qtbot: QtBot) -> NoticeArea:
    made = NoticeArea()
    qtbot.addWidget(made)
    made.resize(800, 200)
    return made


def buttons(area: NoticeArea) -> dict[str, QPushButton]:
    return {made.text(): made for made in area.findChildren(QPushButton)}


@pytest.mark.parametrize("level", list(Level))
def test_each_level_has_a_shape_and_a_word(area: NoticeArea, level: Level) -> None:
    area.show_notice(Notice(level, "perf is missing.", "apt install linux-perf"))
    assert area.isVisibleTo(area.parentWidget()) or not area.isHidden()
    words = {"ok": "Done", "note": "Note", "warning": "Warning", "error": "Error"}
    assert area._lines[0].accessibleName() == f"{words[level]}: perf is missing. apt install linux-perf"


def test_details_can_be_copied(area: NoticeArea) -> None:
    area.show_notice(Notice(Level.ERROR, "perf failed.", "Try again.", "perf: line 1"))
    buttons(area)["Copy details"].click()
    assert QGuiApplication.clipboard().text() == "perf failed.\n\nTry again.\n\nperf: line 1"


def test_an_offer_takes_the_notice_away(area: NoticeArea) -> None:
    taken: list[str] = []
    area.show_notice(
        Notice(
            Level.NOTE,
            "Deleted.",
            offers=(Offer("Undo", lambda: taken.append("undone")),),
            on_dismiss=lambda: taken.append("deleted"),
        )
    )
    buttons(area)["Undo"].click()
    assert taken == ["undone"]
    assert area.notices == ()
    assert area.isHidden()


def test_dismissing_is_an_answer_too(area: NoticeArea) -> None:
    taken: list[str] = []
    area.show_notice(Notice(Level.NOTE, "Deleted.", on_dismiss=lambda: taken.append("deleted")))
    area.dismiss_all()
    assert taken == ["deleted"]


def test_one_with_the_same_key_replaces_the_other(area: NoticeArea) -> None:
    area.show_notice(Notice(Level.NOTE, "first", key="k"))
    area.show_notice(Notice(Level.NOTE, "second", key="k"))
    area.show_notice(Notice(Level.NOTE, "third"))
    assert [notice.sentence for notice in area.notices] == ["third", "second"]


def test_more_than_fit_push_the_oldest_out(area: NoticeArea) -> None:
    for number in range(MOST + 2):
        area.show_notice(Notice(Level.NOTE, str(number)))
    assert [notice.sentence for notice in area.notices] == ["5", "4", "3", "2"]


def test_a_passing_notice_goes_by_itself(area: NoticeArea, qtbot: QtBot) -> None:
    area.show_notice(Notice(Level.OK, "Saved.", seconds=0.01))
    qtbot.waitUntil(lambda: area.notices == ())
