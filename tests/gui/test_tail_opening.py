"""The tail in the window: what the form asks for, slow calls against fast ones, and captures that open."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot

from helpers.slow_runs import slow_run
from tailflame.errors import TargetError
from tailflame.host.functions import Function
from tailflame.host.probe_safety import FirstInstruction, Probed
from tailflame.report import folded
from tailflame_gui import tail_opening, tasks
from tailflame_gui.live_controller import sources_of
from tailflame_gui.live_model import FunctionRow, LiveDraft, SourcesDraft
from tailflame_gui.state import OpenComparison, OpenResult
from tailflame_gui.views.compare_view import CompareView
from tailflame_gui.views.result_view import ResultView
from tailflame_gui.views.sources_form import SourcesForm
from tailflame_gui.widgets.verdict_lines import verdicts_of
from tailflame_gui.wiring import Parts

ORDERS = FunctionRow("engine::process_order", "process_order", 100)
PROBED = Probed(
    function=Function(name="engine::process_order", symbol="process_order", address=1, size=32, head=b"\x55"),
    first=FirstInstruction.EMULATED,
    recursive=False,
)


def test_slow_calls_are_compared_in_a_tab_of_their_own(parts: Parts, qtbot: QtBot, tmp_path: Path) -> None:
    tab = OpenResult("run", path=tmp_path / "live.jsonl", session=None)
    tab.ready(slow_run(), title="run", session=None)
    parts.state.results.add(tab)
    qtbot.waitUntil(lambda: isinstance(parts.window.results.page_of(tab), ResultView))
    view = parts.window.results.page_of(tab)
    assert isinstance(view, ResultView) and not view.slow.isHidden()
    view.slow.click()
    (made,) = parts.state.comparisons.all
    assert isinstance(made, OpenComparison)
    qtbot.waitUntil(lambda: made.comparison is not None and tasks.at_rest())
    assert made.comparison is not None and made.after is not None
    assert made.comparison.verdict[0].startswith("recheck is the slow calls' own: 100.0% of their samples")
    line = verdicts_of(made.comparison)[0]
    assert (line.function, line.sign) == ("recheck", 1)
    assert "50 calls of engine::process_order took 100 µs or longer" in made.after.warnings[0].text
    assert isinstance(parts.window.comparisons.page, CompareView)


def test_without_slow_calls_there_is_no_button_and_a_sentence(parts: Parts, qtbot: QtBot) -> None:
    view = ResultView(slow_run(slow=False))
    qtbot.addWidget(view)
    assert view.slow.isHidden()
    with pytest.raises(TargetError, match="No slow calls were kept"):
        tail_opening.slow_against_fast(slow_run(slow=False))
    with pytest.raises(TargetError, match="no CPU profile"):
        tail_opening.slow_against_fast(slow_run(profile=False))


def test_a_capture_opens_from_beside_the_run(parts: Parts, qtbot: QtBot, tmp_path: Path) -> None:
    profile = slow_run().profile
    assert profile is not None
    folded.write(profile, tmp_path / "tail-1.data")
    tail_opening.open_capture(parts.controller, tmp_path, "tail-1.data")
    qtbot.waitUntil(lambda: tasks.at_rest() and parts.state.results.current is not None)
    opened = parts.state.results.current
    assert isinstance(opened, OpenResult) and opened.recording is not None and opened.path == tmp_path / "tail-1.data"
    tail_opening.open_capture(parts.controller, tmp_path, "tail-2.data")
    assert len(parts.state.results.all) == 1


def test_the_form_asks_for_what_the_tail_takes(qtbot: QtBot) -> None:
    form = SourcesForm()
    qtbot.addWidget(form)
    form.probe.box.setChecked(True)
    assert (form.draft.slow_above, form.draft.capture_when) == ("", "")
    form.slow.setChecked(True)
    assert form.slow_above.isEnabled() and form.draft.slow_above == "p99.9"
    form.slow_above.setText(" 100us ")
    form.captures.box.setChecked(True)
    form.capture_when.setText("max total_us > 5ms")
    assert (form.draft.slow_above, form.draft.capture_when) == ("100us", "max total_us > 5ms")
    form.probe.box.setChecked(False)
    assert form.draft.slow_above == ""


def test_sources_go_with_what_the_tail_takes() -> None:
    draft = LiveDraft(sources=SourcesDraft(functions=(ORDERS,), slow_above="100us", capture_when="slow process_order"))
    wanted = {name for name, wish in sources_of(draft, (PROBED,), None).items() if wish is not None}
    assert {"probe", "cpu", "tail"} <= wanted
    plain = LiveDraft(sources=replace(draft.sources, slow_above="", capture_when=""))
    assert not {"cpu", "tail"} & {name for name, wish in sources_of(plain, (PROBED,), None).items() if wish}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"slow_above": "100"}, "neither a duration"),
        ({"functions": ()}, "Choose the function"),
        ({"capture_when": "p99"}, "is no rule"),
        ({"slow_above": "", "capture_when": "slow"}, "Keep the slow calls"),
    ],
)
def test_wrong_words_are_said_before_it_starts(changes: dict[str, object], words: str) -> None:
    from tailflame_gui.live_controller import _tail_problem

    good = SourcesDraft(functions=(ORDERS,), slow_above="100us", capture_when="p99.9 process_order > 1ms")
    assert _tail_problem(good) == ""
    assert words in _tail_problem(replace(good, **changes))  # type: ignore[arg-type]
