"""What every test of the window gets: an offscreen platform, one event loop, its own folders, and strictness.

A test fails when it leaves a thread, a timer, a task or a top-level window behind, or when a log record of
WARNING or above was written that it did not announce with `caplog.at_level`.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import threading
import time
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

import pytest
import qasync
import shiboken6
from PySide6.QtCore import QCoreApplication, QEvent, QThread, QTimer
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from tailflame_gui import tasks, theme, wiring

_TESTS = pytest.StashKey[int]()
_COLLECT_EVERY = 10
_REST_S = 5.0


def pytest_configure(config: pytest.Config) -> None:
    headless = os.environ["QT_QPA_PLATFORM"].startswith(("offscreen", "minimal", "vnc"))
    if not headless and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        pytest.exit("QT_QPA_PLATFORM asks for a display and there is none; unset it to test offscreen.")


@pytest.fixture(autouse=True)
def own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings, profiles and window state stay inside the test."""
    monkeypatch.setenv("TAILFLAME_CONFIG_DIR", str(tmp_path / "config"))
    monkeypatch.setenv("TAILFLAME_PROFILES", str(tmp_path / "profiles"))


@pytest.fixture(scope="session")
def _session_loop(qapp: QApplication) -> qasync.QEventLoop:
    # Stopping or closing it would call QApplication.exit() and break every later wait.
    loop = qasync.QEventLoop(qapp, already_running=True)
    tasks.adopt(loop)
    asyncio.events._set_running_loop(None)
    return loop


@pytest.fixture(autouse=True)
def loop(_session_loop: qasync.QEventLoop) -> Iterator[qasync.QEventLoop]:
    """The running loop: coroutines spawned in a test run whenever Qt's events do (qtbot.waitUntil)."""
    asyncio.events._set_running_loop(_session_loop)
    yield _session_loop
    asyncio.events._set_running_loop(None)


@pytest.fixture(autouse=True, scope="session")
def _themed(qapp: QApplication) -> None:
    theme.install(qapp, theme.Mode.LIGHT)


@pytest.fixture(autouse=True)
def _collected_here(request: pytest.FixtureRequest) -> Iterator[None]:
    """As tasks.Collector does in the window: cyclic garbage of Qt objects must not be collected in a worker thread."""
    gc.disable()
    yield
    collected = request.session.stash.setdefault(_TESTS, 0) + 1
    request.session.stash[_TESTS] = collected
    if collected % _COLLECT_EVERY == 0:
        gc.collect()
    gc.enable()


@pytest.fixture(autouse=True)
def _light_again() -> Iterator[None]:
    yield
    theme.set_mode(theme.Mode.LIGHT)


@pytest.fixture
def parts(qtbot: QtBot) -> Iterator[wiring.Parts]:
    """A whole window with its controllers, shown, with an empty library."""
    made = wiring.build()

    def come_to_rest(_window: object) -> None:
        made.recorder.cancel_recording()
        made.jobs.cancel_all()
        qtbot.waitUntil(tasks.at_rest)

    qtbot.addWidget(made.window, before_close_func=come_to_rest)
    made.window.show()
    qtbot.waitExposed(made.window)
    yield made
    # The window is closed by now; losing the focus may have asked a last question.
    qtbot.waitUntil(tasks.at_rest)


class _Unexpected(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.seen: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        levels = (logging.getLogger().level, logging.getLogger(record.name).level)
        if record.levelno not in levels:  # caplog.at_level(that level) announces it
            self.seen.append(f"{record.levelname} {record.name}: {record.getMessage()}")


@pytest.fixture(autouse=True)
def _logs_are_clean() -> Iterator[None]:
    handler = _Unexpected()
    root = logging.getLogger()
    level = root.level
    if level == logging.WARNING:
        # Python's default is exactly WARNING, which would look like an announcement.
        root.setLevel(logging.WARNING - 1)
    root.addHandler(handler)
    yield
    root.removeHandler(handler)
    root.setLevel(level)
    if handler.seen:
        pytest.fail("unexpected log records:\n" + "\n".join(handler.seen))


def _tracked(monkeypatch: pytest.MonkeyPatch, owner: Any) -> list[weakref.ref[Any]]:
    started: list[weakref.ref[Any]] = []
    original = owner.start

    def start(self: Any, *arguments: Any) -> Any:
        started.append(weakref.ref(self))
        return original(self, *arguments)

    monkeypatch.setattr(owner, "start", start)
    return started


def _alive(refs: list[weakref.ref[Any]]) -> list[Any]:
    there = (ref() for ref in refs)
    return [thing for thing in there if thing is not None and shiboken6.isValid(thing)]


@pytest.fixture(autouse=True)
def _nothing_left_running(
    monkeypatch: pytest.MonkeyPatch, loop: qasync.QEventLoop, qapp: QApplication
) -> Iterator[None]:
    timers, threads = _tracked(monkeypatch, QTimer), _tracked(monkeypatch, QThread)
    windows_before = set(map(id, qapp.topLevelWidgets()))
    python_threads = set(threading.enumerate())
    yield

    def left() -> list[str]:
        QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete.value)
        QCoreApplication.processEvents()
        found = [f"QTimer {t.objectName()!r} of {t.parent()!r}" for t in _alive(timers) if t.isActive()]
        found += [f"QThread {t.objectName()!r}" for t in _alive(threads) if t.isRunning()]
        found += [f"task {task.get_name()!r}" for task in asyncio.all_tasks(loop) if not task.done()]
        found += [
            f"thread {thread.name!r}"
            for thread in threading.enumerate()
            # The pool of tasks.py keeps idle workers; what they do is checked through its jobs.
            if thread not in python_threads and not thread.name.startswith("tailflame-worker")
        ]
        found += [
            f"window {widget!r}"
            for widget in qapp.topLevelWidgets()
            if id(widget) not in windows_before and widget.isVisible()
        ]
        return found

    # Garbage in a cycle may hold a timer until it is collected; collecting is slow, so only if something is left.
    if left():
        gc.collect()
        # Work that was asked for in the last line of a test may end by itself; what does not, has been left behind.
        deadline = time.monotonic() + _REST_S
        while not tasks.at_rest() and time.monotonic() < deadline:
            QTest.qWait(5)
        if still := left():
            pytest.fail("left behind: " + "; ".join(still))
