"""The live page: what it asks for before a look, what it shows and offers during one. The tools are in tests/e2e."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncGenerator, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtWidgets import QMenu
from pytestqt.qtbot import QtBot

from tailflame.errors import ToolDenied
from tailflame.host.running import process_of
from tailflame.model import Histogram
from tailflame.model.live import Armed, Behind, Found, LatencySlice, Said, Update
from tailflame.model.slices import Sliced, SliceFigures
from tailflame.run.continuous_wish import cut_short
from tailflame.run.live_events import SourceWish
from tailflame.tools import CallGraph, Target
from tailflame_gui import tasks
from tailflame_gui.live_controller import LiveController
from tailflame_gui.live_model import Judged, LiveDraft, SlicesDraft
from tailflame_gui.live_slices import options_of
from tailflame_gui.rows import Level
from tailflame_gui.state import Page
from tailflame_gui.views.live_page import LivePage, Side
from tailflame_gui.views.live_setup import How
from tailflame_gui.wiring import Parts


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(["sleep", "600"])
    yield process
    process.kill()
    process.wait()


@pytest.fixture
def page(parts: Parts) -> LivePage:
    made = parts.window.live_page
    assert isinstance(made, LivePage)
    return made


class Source:
    """Tells what it is given, then waits until it is taken away."""

    name = "made up"
    title = "Made up"

    def __init__(self, *updates: Update, error: ToolDenied | None = None) -> None:
        self._updates, self._error = updates, error
        self.chosen: list[str] = []

    def choose(self, name: str, unit: str = "") -> None:
        self.chosen.append(name)

    async def updates(self) -> AsyncGenerator[Update, None]:
        if self._error is not None:
            raise self._error
        yield Armed()
        for update in self._updates:
            yield update
        await asyncio.get_running_loop().create_future()


class Waiting(Source):
    """Slices that the budget leaves unread."""

    def __init__(self, *rows: SliceFigures) -> None:
        super().__init__(Sliced(rows=rows, row=rows[-1]))
        self.wanted: list[float] = []

    def read_until(self, time_s: float) -> None:
        self.wanted.append(time_s)


def values(start: float, *ns: int) -> LatencySlice:
    histogram = Histogram.of(np.array(ns, np.int64))
    return LatencySlice(series="orders", start_s=start, length_s=0.2, histogram=histogram)


def _given(source: Source, _target: object) -> Source:
    return source


def look(parts: Parts, qtbot: QtBot, pid: int, *sources: tuple[str, Source]) -> None:
    wishes = [SourceWish(name, name.title(), partial(_given, source)) for name, source in sources]
    parts.live.start(wishes, attach=pid, binary=Path("/bin/sleep"), argv=("sleep", "600"))
    qtbot.waitUntil(lambda: all(row.state != "waiting" for row in parts.live.sources))


def let_go(parts: Parts, qtbot: QtBot) -> None:
    parts.live.stop()
    qtbot.waitUntil(lambda: not parts.live.running and tasks.at_rest())


def test_nothing_starts_before_a_program_is_chosen(parts: Parts, page: LivePage, qtbot: QtBot) -> None:
    parts.actions["live"].trigger()
    assert parts.state.page is Page.LIVE and page.side is Side.SETUP
    assert not page.setup.start.isEnabled() and page.setup.note.whole == "Choose a process."
    page.setup.how.choose(How.LAUNCH)
    page.setup._how_changed()
    assert page.setup.note.whole == "Choose a program to start."
    assert not page.setup.sources.own_lines.isHidden()
    parts.actions["start"].trigger()
    qtbot.waitUntil(tasks.at_rest)


def test_a_process_without_a_source_cannot_be_looked_at(
    parts: Parts, page: LivePage, qtbot: QtBot, sleeper: subprocess.Popen[bytes]
) -> None:
    setup = page.setup
    setup._picked(process_of(sleeper.pid))
    assert setup.start.text() == f"Attach to sleep ({sleeper.pid})" and setup.start.isEnabled()
    setup.sources.counters.box.setChecked(False)
    setup.sources.process.box.setChecked(False)
    assert not setup.start.isEnabled() and setup.note.whole == "Choose at least one source."
    setup.sources.query.box.setChecked(True)
    assert setup.note.whole == "Write the PromQL query."
    setup.sources.promql.setText("up")
    setup.sources.changed.emit()
    assert setup.start.isEnabled()
    assert setup.draft.sources.server == "http://127.0.0.1:9090"
    qtbot.waitUntil(tasks.at_rest)


def test_a_continuous_profile_is_set_up_with_its_budgets(
    parts: Parts, page: LivePage, qtbot: QtBot, sleeper: subprocess.Popen[bytes]
) -> None:
    parts.actions["continuous"].trigger()
    setup, form = page.setup, page.setup.sources.slices
    setup._picked(process_of(sleeper.pid))
    offered = [field.placeholderText() for field in (form.length, form.frequency, form.cpu, form.disk)]
    assert offered == ["60", "99", "1", "1G"]
    assert setup.draft.sources.slices == SlicesDraft()
    told = cut_short("sleep", setup.draft.process.image) if setup.draft.process is not None else ""
    qtbot.waitUntil(tasks.at_rest)
    assert any(told in text for text in setup.cautions.texts if told) == bool(told)
    qtbot.keyClicks(form.length, "10")
    qtbot.keyClicks(form.frequency, "199")
    qtbot.keyClicks(form.cpu, "2.5")
    qtbot.keyClicks(form.disk, "many")
    assert not setup.start.isEnabled()
    assert setup.note.whole == "“many” is no size."
    form.disk.setText("500M")
    form.dwarf.setChecked(True)
    assert setup.start.isEnabled()
    assert setup.draft.sources.slices is not None
    options = options_of(setup.draft.sources.slices)
    assert (options.slice_s, options.frequency, options.cpu_share) == (10, 199, 0.025)
    assert (options.disk_bytes, options.call_graph) == (500 << 20, CallGraph.DWARF)
    qtbot.waitUntil(tasks.at_rest)
    assert not any(told in text for text in setup.cautions.texts if told)


def test_a_refused_probe_keeps_the_look_from_starting(page: LivePage, parts: Parts, qtbot: QtBot) -> None:
    chooser = page.setup.sources.functions
    chooser.show_judged(Judged("It unwinds.", "Accept it.", may_accept=True))
    assert chooser.verdict.text() == "It unwinds. Accept it."
    assert not chooser.accept_risk.isHidden() and not chooser.accepted
    chooser.accept_risk.setChecked(True)
    assert chooser.accepted
    chooser.forget()
    assert not chooser.accepted
    qtbot.waitUntil(tasks.at_rest)


def test_functions_of_the_program_are_searched_and_chosen(
    parts: Parts, page: LivePage, qtbot: QtBot, tmp_path: Path
) -> None:
    setup, chooser = page.setup, page.setup.sources.functions
    setup.how.choose(How.LAUNCH)
    setup._how_changed()
    setup.binary.setText(sys.executable)
    setup._binary_settled()
    setup._edited()
    chooser.search.set_query("main")
    qtbot.waitUntil(lambda: tasks.at_rest() and (chooser.found.count() > 0 or bool(chooser.said.text())))
    setup.binary.setText(str(tmp_path / "nothing"))
    setup._binary_settled()
    qtbot.waitUntil(lambda: chooser.said.text() == "There is no such program." and tasks.at_rest())


def test_what_sources_say_stands_beside_their_switches(
    parts: Parts, page: LivePage, qtbot: QtBot, sleeper: subprocess.Popen[bytes]
) -> None:
    good = Source(values(1.0, 100, 200), Said(text="It rolls.", fix="Wait."), Found(names={"queue": ""}))
    late = Source(values(1.0, 5), Behind(seconds=2.0, bytes=10_000))
    refused = Source(error=ToolDenied("Not for you.", advice="Ask root."))
    look(parts, qtbot, sleeper.pid, ("good", good), ("late", late), ("refused", refused))
    qtbot.waitUntil(lambda: "queue" in parts.live.offered.get("good", {}))
    rows = {row.name: row for row in parts.live.sources}
    assert (rows["good"].state, rows["good"].fix, rows["good"].level) == ("It rolls.", "Wait.", Level.WARNING)
    qtbot.waitUntil(lambda: "behind by 2.0 s, 10.0 kB" in next(r.state for r in parts.live.sources if r.name == "late"))
    assert (rows["refused"].state, rows["refused"].on) == ("Not for you.", False)
    assert page.side is Side.RUN and parts.actions["stop_live"].isEnabled()
    assert page.view.data.latency["orders"].whole.total == 3

    # What a source has found is offered, and taken.
    menu = QMenu()
    qtbot.addWidget(menu)
    controller = page.findChild(LiveController)
    assert controller is not None
    controller.fill_menu(menu)
    first = menu.actions()[0]
    assert first.text().startswith("queue")
    first.trigger()
    assert good.chosen == ["queue"] and parts.live.offered["good"] == {}

    # A second look is refused in a sentence.
    parts.live.start([], attach=sleeper.pid)
    assert parts.live.running
    let_go(parts, qtbot)
    (result,) = parts.state.open_results
    assert result.recording is not None and result.recording.live is not None
    assert page.side is Side.SETUP and not parts.actions["stop_live"].isEnabled()


def test_slices_that_wait_are_read_when_they_are_selected(
    parts: Parts, page: LivePage, qtbot: QtBot, sleeper: subprocess.Popen[bytes]
) -> None:
    rows = [
        SliceFigures(first=n, last=n, start_s=1000.0 + n, length_s=1.0, samples=10.0, waiting=n > 1)
        for n in range(1, 5)
    ]
    source = Waiting(*rows)
    look(parts, qtbot, sleeper.pid, ("slices", source))
    strip = page.view.plots.slices
    qtbot.waitUntil(lambda: len(strip.rows) == 4)
    for row in (rows[0], rows[2]):
        strip.axis.select(row.start_s, row.end_s)
        strip.ranges_changed.emit()
    assert source.wanted == [rows[2].end_s]
    strip.set_second((rows[3].start_s, rows[3].end_s))
    assert source.wanted[-1] == rows[3].end_s
    let_go(parts, qtbot)


def test_a_look_that_saw_nothing_is_said_and_not_kept(
    parts: Parts, qtbot: QtBot, sleeper: subprocess.Popen[bytes]
) -> None:
    notices: list[str] = []
    parts.state.noticed.connect(lambda notice: notices.append(notice.sentence))
    look(parts, qtbot, sleeper.pid, ("refused", Source(error=ToolDenied("Not for you."))))
    let_go(parts, qtbot)
    assert "Nothing was seen, so nothing is kept." in notices
    assert parts.state.open_results == () and parts.controller.library.sessions() == ()


def test_a_program_that_cannot_start_is_a_sentence(parts: Parts, qtbot: QtBot, tmp_path: Path) -> None:
    notices: list[str] = []
    parts.state.noticed.connect(lambda notice: notices.append(notice.sentence))
    parts.live.start([], launch=Target(tmp_path / "nothing"), argv=("nothing",))
    qtbot.waitUntil(lambda: not parts.live.running and tasks.at_rest())
    assert any("nothing" in notice for notice in notices)
    assert parts.controller.library.sessions() == ()


def test_a_draft_names_its_subject() -> None:
    assert LiveDraft(launch=True, binary="/opt/engine").subject == "engine"
    assert LiveDraft().subject == ""
