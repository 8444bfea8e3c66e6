"""Hardware counters from the command line and the window to the result, with a perf that replays a recording of them.

The perf of helpers/counting_perf.py stands first in PATH. Every figure is held to the real perf's own report.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pytestqt.qtbot import QtBot

# The window's strict test bed; a fixture is used by being here.
from gui.conftest import (  # noqa: F401
    _collected_here,
    _light_again,
    _logs_are_clean,
    _nothing_left_running,
    _session_loop,
    _themed,
    loop,
    own_folders,
    parts,
)
from helpers import counting_perf
from helpers.counting_perf import EVENTS
from helpers.perf_report import PerfReport
from tailflame.host.system import forget_host
from tailflame.model import Weight
from tailflame_gui import tasks
from tailflame_gui.state import Page
from tailflame_gui.views.record_page import RecordPage
from tailflame_gui.views.result_view import Part, ResultView
from tailflame_gui.wiring import Parts

pytestmark = [pytest.mark.tool("perf"), pytest.mark.timeout(300)]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A machine whose processor counts; the program to record is `spin` in this folder."""
    for name, value in counting_perf.install(tmp_path / "home").items():
        monkeypatch.setenv(name, value)
    forget_host()
    yield tmp_path / "home"
    forget_host()  # the tests after this one meet the machine as it is


@pytest.fixture(scope="module")
def said() -> PerfReport:
    return PerfReport.read(counting_perf.FOLDER / "counters.report.txt")


def own(report: PerfReport, event: int) -> Counter[str]:
    """Samples of the program's own functions."""
    found = Counter[str]()
    for row in report.events[event].rows:
        if row.module == "spin":
            found[row.symbol] += row.samples
    return found


def tailflame(*arguments: str) -> subprocess.CompletedProcess[str]:
    code = "import sys; from tailflame.cli.main import main; sys.exit(main())"
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, timeout=200, check=False
    )


def answer(*arguments: str) -> dict[str, Any]:
    done = tailflame(*arguments, "--json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert isinstance(document, dict)
    return document


def test_counters_on_the_command_line(home: Path, said: PerfReport) -> None:
    done = tailflame("record", "-e", ",".join(EVENTS), "--", str(home / "spin"))
    assert done.returncode == 0, done.stderr
    assert "Too few samples: 75 samples of cache-misses" in done.stdout + done.stderr
    (recorded,) = [call for call in counting_perf.calls(home) if call[0] == "record" and str(home / "spin") in call]
    assert recorded[recorded.index("-e") + 1] == ",".join(EVENTS)
    for number, name in enumerate(EVENTS):
        shown = answer("show", "latest", "--event", name, "--weight", "samples", "-n", "1000")
        told = [(e["name"], e["samples"], e["period"]) for e in shown["events"]]
        assert told == [(event.name, event.samples, event.period) for event in said.events]
        mine = {row["name"]: row["self_samples"] for row in shown["hotspots"] if row["module"].endswith("/spin")}
        assert Counter({name: count for name, count in mine.items() if count}) == own(said, number)
        by_period = answer("show", "latest", "--event", name, "--weight", "period", "-n", "1")
        assert by_period["view"]["total"] == said.events[number].period
    stacks = home / "stacks.folded"
    assert tailflame("export", "latest", "--event", "branch-misses", "-o", str(stacks)).returncode == 0
    assert sum(int(line.rsplit(" ", 1)[1]) for line in stacks.read_text().splitlines()) == said.events[3].samples


def test_counters_in_the_window(home: Path, said: PerfReport, parts: Parts, qtbot: QtBot) -> None:  # noqa: F811
    page = parts.window.record_page
    assert isinstance(page, RecordPage)
    parts.actions["record_page"].trigger()
    qtbot.waitUntil(lambda: tasks.at_rest() and bool(page.options.cards))
    parts.window.dropped.emit((home / "spin",))
    qtbot.waitUntil(lambda: bool(page.command.toPlainText()) and tasks.at_rest())
    assert "-e cycles " in page.command.toPlainText(), "what counts is the default where it works"
    for name in EVENTS[1:]:
        assert page.options.events[name].isEnabled(), page.options.events[name].toolTip()
        page.options.events[name].click()

    def asked() -> set[str]:
        words = page.command.toPlainText().split()
        return set(words[words.index("-e") + 1].split(","))

    qtbot.waitUntil(lambda: asked() == set(EVENTS) and tasks.at_rest())
    page.record.click()
    qtbot.waitUntil(lambda: parts.state.page is Page.RESULTS and tasks.at_rest(), timeout=120_000)
    view = parts.window.results.page
    assert isinstance(view, ResultView)
    profile = view.recording.profile
    assert profile is not None
    assert [(e.name, profile.total(event=n)) for n, e in enumerate(profile.events)] == [
        (event.name, event.samples) for event in said.events
    ]
    view.show_part(Part.HOTSPOTS)
    assert view.scope_bar.event_box.texts() == list(EVENTS)
    for number, event in enumerate(said.events):
        view.scope_bar.event_box.setCurrentIndex(number)
        qtbot.waitUntil(lambda: tasks.at_rest() and not view.busy)
        table = view.hotspots.model.table
        assert table is not None
        assert table.total == event.samples
        assert int(table.self_samples[table.row("churn")]) == own(said, number)["churn"]
        view.scope_bar.weight_box.setCurrentIndex(1)
        qtbot.waitUntil(lambda: tasks.at_rest() and not view.busy)
        assert view.scope.scope.weight is Weight.PERIOD
        weighed = view.hotspots.model.table
        assert weighed is not None and weighed.total == event.period
        assert view.flame.tree is not None and view.flame.tree.total == event.period
        view.scope_bar.weight_box.setCurrentIndex(0)
