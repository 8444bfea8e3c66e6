"""The program itself: it starts, opens what it is given, takes pictures, and ends in order."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from PySide6.QtGui import QImage
from pytestqt.qtbot import QtBot

from tailflame.errors import StoreError, TailflameError
from tailflame_gui import app, tasks
from tailflame_gui.wiring import Parts


def environment(tmp_path: Path) -> dict[str, str]:
    return {
        **os.environ,
        "QT_QPA_PLATFORM": "offscreen",
        "XDG_STATE_HOME": str(tmp_path / "state"),
        "HOME": str(tmp_path),
    }


def run(tmp_path: Path, *args: str, timeout: float = 90) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-c", "import sys; from tailflame_gui.app import main; sys.exit(main())", *args]
    return subprocess.run(argv, env=environment(tmp_path), capture_output=True, text=True, timeout=timeout, check=False)


def test_a_screenshot_shows_what_was_opened(tmp_path: Path) -> None:
    good, bad, picture = tmp_path / "good.folded", tmp_path / "bad.bin", tmp_path / "window.png"
    good.write_text("main;hot 700\nmain;cold 300\n")
    done = run(tmp_path, "--theme", "dark", "--size", "1000x700", "--screenshot", str(picture), str(good))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    image = QImage(str(picture))
    assert (image.width(), image.height()) == (1000, 700)
    assert image.pixelColor(2, 2).name() == "#15171a"
    settings = json.loads((Path(os.environ["TAILFLAME_CONFIG_DIR"]) / "settings.json").read_text())
    assert settings["recent_files"] == [str(good)]
    assert settings["window"]["place"][2:] == [1000, 700]

    bad.write_bytes(bytes(range(256)) * 9)
    done = run(tmp_path, "--screenshot", str(tmp_path / "no-such-folder" / "x.png"), str(bad))
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    lines = done.stderr.splitlines()
    assert len(lines) == 2
    assert "bad.bin" in lines[0] and "x.png cannot be written" in lines[1]


def test_without_a_display_it_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("QT_QPA_PLATFORM", "DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    assert app.main([]) == 1
    assert capsys.readouterr().err.startswith("tailflame-gui: there is no display. Use `tailflame`")


@pytest.mark.parametrize("argv", [["--size", "big"], ["--theme", "pink"], ["--page", "nowhere"]])
def test_arguments_that_mean_nothing(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        app.main(argv)
    assert ended.value.code == 2
    assert "tailflame-gui: error" in capsys.readouterr().err


def test_a_signal_ends_it_in_order(tmp_path: Path) -> None:
    code = "import sys; from tailflame_gui.app import main; print('x', flush=True); sys.exit(main())"
    process = subprocess.Popen(
        [sys.executable, "-c", code, "--page", "library"],
        env=environment(tmp_path),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        log = tmp_path / "state/tailflame/log/tailflame-gui.log"
        while process.poll() is None and not (log.exists() and "the window is open" in log.read_text()):
            os.sched_yield()
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()
    assert (process.returncode, errors) == (0, "")


class Told:
    def __init__(self) -> None:
        self.errors: list[TailflameError] = []

    def __call__(self, error: TailflameError) -> None:
        self.errors.append(error)


def test_what_nobody_caught_is_a_sentence_and_a_log_line(caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    told = Told()
    catcher = app._Catcher(told, tmp_path / "x.log")
    with caplog.at_level(logging.ERROR):
        try:
            raise ZeroDivisionError("surprise")
        except ZeroDivisionError as error:
            catcher._unexpected(type(error), error, error.__traceback__)
        catcher._in_loop(asyncio.get_running_loop(), {"exception": StoreError("full.", advice="Make room.")})
        catcher._in_loop(asyncio.get_running_loop(), {"message": "odd"})
    assert [error.sentence for error in told.errors] == ["An internal error happened: ZeroDivisionError.", "full."]
    assert "surprise" in told.errors[0].details and "x.log" in told.errors[0].advice
    assert "odd" in caplog.text


def test_closing_waits_until_all_is_in_order(parts: Parts, qtbot: QtBot) -> None:
    ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    closer = app._Closer(parts, ended)
    parts.window.ask_before_close(closer.may_close)
    job = parts.jobs.start("Reading something")
    assert not parts.window.close()
    assert not parts.window.close()
    qtbot.waitUntil(ended.done)
    assert job.cancelled
    assert ended.result() == 0
    assert not parts.window.isVisible()
    job.end(tasks.JobState.CANCELLED)
