"""The summary: the top three by name, the facts of the run, its cautions, and sentences that are links."""

from __future__ import annotations

import numpy as np
from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QLabel
from pytestqt.qtbot import QtBot

from helpers.results import MATCH, RISK, recording, show, two_events
from helpers.stacks import profile
from tailflame.model import Histogram, HistogramSeries, Recording, Weight
from tailflame.model.stacks import readonly
from tailflame_gui.models.scope import ResultScope, Scope
from tailflame_gui.models.trees import ProfileTrees
from tailflame_gui.selection import Selection
from tailflame_gui.views.summary_view import SummaryView


def view_of(qtbot: QtBot, held: Recording) -> SummaryView:
    view = SummaryView(selection=Selection(), scope=ResultScope())
    view.set_recording(held, None if held.profile is None else ProfileTrees(held.profile))
    show(qtbot, view)
    settle(qtbot, view)
    return view


def settle(qtbot: QtBot, view: SummaryView) -> None:
    qtbot.waitUntil(lambda: not view._latest.busy)


def top(view: SummaryView) -> list[tuple[str, str]]:
    return [(line.name, line._figure) for line in view.hotspots if not line.isHidden()]


def test_names_the_three_hottest_functions_with_their_share(qtbot: QtBot) -> None:
    view = view_of(qtbot, recording())
    assert top(view) == [(MATCH, "50.0"), (RISK, "27.5"), ("sys_write", "18.3")]
    assert "book.rs:40" in view.hotspots[0]._below
    assert "engine" in view.hotspots[0]._below


def test_tells_every_fact_of_the_run(qtbot: QtBot) -> None:
    facts = dict(view_of(qtbot, recording()).facts)
    assert facts["Command"] == "/opt/engine/bin/engine --mode benchmark"
    assert facts["Samples"] == "1,200"
    assert facts["Lost"] == "3"
    assert "997" in facts["Rate"] and "granted" in facts["Rate"]
    assert "lab-7" in facts["Machine"] and "4 CPUs" in facts["Machine"]
    assert facts["Kernel"] == "6.1.0-18-amd64"
    assert facts["Tool"] == "perf 6.1.0"
    assert "12.3" in facts["Duration"]
    assert facts["Recorded"].startswith("2026-03-04 12:04")


def test_counts_threads(qtbot: QtBot) -> None:
    facts = dict(view_of(qtbot, recording(results=(two_events(),))).facts)
    assert facts["Threads"] == "2"


def test_what_the_file_does_not_tell_is_left_out(qtbot: QtBot) -> None:
    view = view_of(qtbot, Recording("folded", "folded", "stacks.folded", (profile("a;b 2000"),)))
    assert "Lost" not in dict(view.facts)
    assert "Kernel" not in dict(view.facts)


def test_says_what_spoils_the_result_with_its_fix(qtbot: QtBot) -> None:
    assert view_of(qtbot, recording()).caution_texts == ["3 samples were lost. Raise the buffer with -m."]


def test_fewer_than_a_thousand_samples_are_said_to_be_too_few(qtbot: QtBot) -> None:
    view = view_of(qtbot, recording("main;work 999", warnings=()))
    assert any(text.startswith("Too few samples: 999") for text in view.caution_texts)
    assert view_of(qtbot, recording("main;work 1000", warnings=())).caution_texts == []


def test_a_click_selects_and_leads_to_the_flame_graph(qtbot: QtBot) -> None:
    view = view_of(qtbot, recording())
    with qtbot.waitSignal(view.show_flame) as shown:
        qtbot.mouseClick(view.hotspots[1], Qt.MouseButton.LeftButton)
    assert shown.args == [RISK]
    assert view._selection.function == RISK
    view.hotspots[0].setFocus()
    qtbot.keyClick(view.hotspots[0], Qt.Key.Key_Space)
    assert view._selection.function == MATCH


def test_sentences_read_the_graph_and_select_what_they_speak_of(qtbot: QtBot) -> None:
    view = view_of(qtbot, recording())
    assert any("match_order" in sentence for sentence in view.reading.lines())
    at = next(i for i, sentence in enumerate(view.reading.lines()) if "on top of the stack" in sentence)
    with qtbot.waitSignal(view.show_flame):
        view.reading.chosen.emit(at)
    assert view._selection.function == MATCH


def test_follows_the_chosen_event_and_weight(qtbot: QtBot) -> None:
    view = view_of(qtbot, recording(results=(two_events(),)))
    assert top(view)[0] == ("hot", "66.7")
    view._scope.set(Scope(event=1, weight=Weight.PERIOD))
    settle(qtbot, view)
    assert top(view)[0] == ("cold", "80.0")
    assert "cache-misses" in view._of.text()


def test_copies_the_facts(qtbot: QtBot) -> None:
    view = view_of(qtbot, recording())
    view._copy_facts()
    assert "Kernel\t6.1.0-18-amd64" in QGuiApplication.clipboard().text()


def test_latencies_are_told_as_percentiles(qtbot: QtBot) -> None:
    counts = readonly([0, 5000, *[0] * 248, 3], "int64")
    series = HistogramSeries(("", "tail"), (0.0, 1.0), (1.0, 1.0), (Histogram(counts), Histogram(counts)))
    view = view_of(qtbot, recording(results=(series,)))
    assert [line[0] for line in view.percentiles.lines] == ["all", "tail"]
    heads = view.percentiles.widget().findChildren(QLabel)
    assert view.percentiles.height() > 3 * heads[0].height()  # though it was filled before it was shown
    line = view.percentiles.lines[0]
    assert line[1] == "5,003"
    assert (line[2].split()[0], line[-1].split()[0]) == ("1", "250")
    assert view_of(qtbot, recording()).percentiles.isHidden()


def test_a_result_without_stacks_still_tells_its_facts(qtbot: QtBot) -> None:
    view = view_of(qtbot, recording(results=()))
    assert top(view) == []
    assert view._nothing.text() == "This result holds no call stacks."
    assert dict(view.facts)["Tool"] == "perf 6.1.0"


def test_latencies_alone_are_not_called_functions(qtbot: QtBot) -> None:
    series = HistogramSeries(("total",), (0.0,), (1.0,), (Histogram(np.ones(40, dtype=np.int64)),))
    view = view_of(qtbot, Recording("hlog", "hlog", "a.hlog", (series,)))
    assert view._heading.text() == "Latencies"
    assert view.reading.isHidden() and not view.percentiles.isHidden()
    view.resize(500, 400)
    cells = view.percentiles.widget().findChildren(QLabel)
    qtbot.waitUntil(lambda: view.percentiles.width() < 400)
    assert all(cell.width() >= cell.sizeHint().width() for cell in cells), "figures are scrolled, never cut"
