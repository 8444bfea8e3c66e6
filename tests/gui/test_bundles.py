"""A bundle that is dropped on the window, or named: it is in the library then, or one sentence says why not."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest
from PySide6.QtCore import QMimeData, QPointF, Qt, QUrl
from PySide6.QtGui import QDropEvent
from pytestqt.qtbot import QtBot

from helpers.loop_project import LoopProject
from helpers.results import recording
from tailflame.store import Library
from tailflame.store.bundle import MANIFEST, write_bundle
from tailflame_gui import dropping, tasks
from tailflame_gui.dropping import Kind, look_at
from tailflame_gui.state import Page, Stage
from tailflame_gui.views.loop_page import LoopPage
from tailflame_gui.wiring import Parts


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """Two measurements of a project that a colleague has, the later one slower."""
    project = LoopProject(tmp_path / "colleague" / "engine", Library(tmp_path / "colleague" / "profiles"))
    first = project.measure(note="as it was", baseline=True)
    project.program(base=300)
    second = project.measure(note="slower")
    path = tmp_path / "engine.tailflame"
    write_bundle(path, project.library, sessions=project.library.sessions(), iterations=[first, second])
    (tmp_path / "colleague").rename(tmp_path / "gone")
    return path


def drop(parts: Parts, qtbot: QtBot, *paths: Path) -> list[str]:
    """What was told."""
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(path)) for path in paths])
    buttons, keys = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
    parts.window.dropEvent(QDropEvent(QPointF(9, 9), Qt.DropAction.CopyAction, data, buttons, keys))
    qtbot.waitUntil(lambda: tasks.at_rest() and not parts.jobs.jobs, timeout=60_000)
    return [notice.sentence for notice in parts.window.notices.notices]


def test_a_dropped_bundle_is_announced_and_its_measurement_shown(parts: Parts, bundle: Path, qtbot: QtBot) -> None:
    (announced,) = dropping.announce((bundle,))
    assert announced.works and announced.sentence == "Bring the bundle engine.tailflame into the library"
    told = drop(parts, qtbot, bundle)
    assert told == ["engine.tailflame is in the library: 2 measurements with 4 sessions."]
    assert parts.state.page is Page.LOOP and len(parts.state.sessions) == 4
    page = parts.window.loop_page
    assert isinstance(page, LoopPage)
    view = page.view
    assert view.shown is not None and view.shown.note == "slower" and len(view.iterations) == 2
    assert view.verdict is not None and page.verdict.text().startswith("Revert: p99 total_us")
    assert not page.measure.isEnabled() and not page.edit_plan.isVisible() and not page.empty.isVisible()
    again = drop(parts, qtbot, bundle)
    assert len(parts.state.sessions) == 4 and len(again) >= 1


def test_a_bundle_by_another_name_is_one(bundle: Path) -> None:
    renamed = bundle.rename(bundle.with_name("from a mail.zip"))
    assert look_at(renamed).kind is Kind.BUNDLE
    other = bundle.with_name("other.zip")
    with zipfile.ZipFile(other, "w") as archive:
        archive.writestr("readme", "")
    assert look_at(other).kind is Kind.RESULT


def test_a_bundle_of_one_session_opens_it(parts: Parts, tmp_path: Path, qtbot: QtBot) -> None:
    library = Library(tmp_path / "elsewhere")
    session = library.new_session(tool="perf", binary="/opt/engine")
    session.complete(recording())
    path = tmp_path / "one.tailflame"
    write_bundle(path, library, sessions=library.sessions())
    drop(parts, qtbot, path)
    tab = parts.state.result
    assert tab is not None and tab.stage is Stage.READY and tab.path.parent == parts.controller.library.root


@pytest.mark.parametrize("kind", ["text", "empty", "cut", "outside", "missing"])
def test_what_is_no_sound_bundle_is_one_sentence(
    parts: Parts, bundle: Path, tmp_path: Path, qtbot: QtBot, kind: str
) -> None:
    bad = tmp_path / "bad.tailflame"
    whole = bundle.read_bytes()
    match kind:
        case "text":
            bad.write_text("not a zip")
        case "empty":
            bad.touch()
        case "cut":
            bad.write_bytes(whole[: len(whole) // 2])
        case "outside":
            with zipfile.ZipFile(bundle) as archive, zipfile.ZipFile(bad, "w") as made:
                made.writestr(MANIFEST, archive.read(MANIFEST))
                made.writestr("../outside", "x")
    told = drop(parts, qtbot, bad)
    assert len(told) == 1 and "bad.tailflame" in told[0] and "Traceback" not in told[0]
    assert parts.state.sessions == () and parts.controller.library.sessions() == ()
    assert not (tmp_path / "outside").exists()


def test_one_on_the_command_line_goes_the_same_way(parts: Parts, bundle: Path, qtbot: QtBot) -> None:
    parts.controller.open_paths([bundle])
    qtbot.waitUntil(lambda: tasks.at_rest() and not parts.jobs.jobs, timeout=60_000)
    assert parts.state.page is Page.LOOP and len(parts.state.sessions) == 4
