"""The loop from the window on the demo: measured, made slower, measured again; the verdict, and the hotspot's page."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

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
from tailflame.analyse.names import match_key
from tailflame.analyse.verdict import Decision
from tailflame.model.iteration import StepState
from tailflame.model.metrics import Family
from tailflame_gui import tasks
from tailflame_gui.state import Page
from tailflame_gui.views.loop_page import LoopPage
from tailflame_gui.wiring import Parts

pytestmark = [pytest.mark.tool("perf"), pytest.mark.timeout(600)]

REGRESSED = "trading_system::risk::check_exposure"
PATIENCE = 240_000
PLAN = """
[target]
path = {binary}
args = ["--seconds", "1", "--rate", "8000", "--hlog", "{{out}}/latency.hlog", {more}]
[measure]
repetitions = 3
warm_up_s = 0
steps = ["cpu", "latency"]
[latency]
hlog = "{{out}}/latency.hlog"
[goal]
metric = "p50 risk_check"
"""


def test_a_change_is_measured_judged_and_looked_into(
    parts: Parts,  # noqa: F811
    qtbot: QtBot,
    tmp_path: Path,
    demo_binary: Path,
) -> None:
    project = tmp_path / "engine"
    project.mkdir()

    def plan(*more: str) -> None:
        words = ", ".join(json.dumps(word) for word in more)
        (project / "tailflame.toml").write_text(PLAN.format(binary=json.dumps(str(demo_binary)), more=words))

    def wait(done: Callable[[], bool] = lambda: True) -> None:
        qtbot.waitUntil(lambda: done() and tasks.at_rest() and not parts.jobs.jobs, timeout=PATIENCE)

    plan()
    parts.actions["loop"].trigger()
    wait(lambda: parts.late_loop.made is not None)
    page, controller = parts.window.loop_page, parts.late_loop.made
    assert isinstance(page, LoopPage) and controller is not None
    controller._choose_folder = lambda _start, take: take(project)
    page.choose.click()
    wait(lambda: bool(page.view.plan))

    def measure(note: str) -> None:
        page.note.setText(note)
        page.measure.click()
        assert page.running
        wait(lambda: not controller.running)
        failed = [step.problem for step in page.view.shown.steps if step.state is not StepState.DONE]  # type: ignore[union-attr]
        assert not failed, failed

    measure("as it was")
    assert [group.words.partition("  ")[0] for group in page.steps.groups] == ["cpu", "latency"]
    assert page.verdict.text() == "This is the baseline." and len(page.view.hotspots) == 3
    plan("--regress", "300")
    measure("a slower check")
    verdict = page.view.verdict
    assert verdict is not None and verdict.decision is Decision.REVERT, verdict
    assert page.verdict.text().startswith("Revert: ") and page.reasons.text()
    goal = verdict.goal
    assert goal is not None and goal.low < goal.change < goal.high and goal.change > 0.5
    assert page.rows.rows[0] is goal

    # The function that got slower: from its figure to its page, and from there to the whole flame graph.
    figure = next(
        row for row in page.rows.rows if row.family is Family.CPU and match_key(row.key) == match_key(REGRESSED)
    )
    page.figures.activated_row.emit(figure)
    wait(lambda: page.hotspot.facts is not None)
    facts = page.hotspot.facts
    assert page.on_hotspot and facts is not None and facts.function == REGRESSED
    before, after = (sum(s.self_share for s in turn.shares) / len(turn.shares) for turn in facts.turns)
    assert after > 1.3 * before and len(facts.shares) == 3
    assert set(facts.missing) == {"caches", "heap", "syscalls"}
    assert page.hotspot.tabs.count() == 3
    page.hotspot.whole.click()
    wait(lambda: parts.state.result is not None and parts.state.result.recording is not None)
    assert parts.state.page is Page.RESULTS and parts.state.result is not None
    assert parts.state.result.selection.function == REGRESSED
