"""tailflame-gui: the window.

tailflame-gui [FILE...]                    open files, session folders or programs in the window
tailflame-gui --screenshot OUT [FILE...]   show, wait until everything is read, save a picture, end
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import logging.handlers
import os
import signal
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import platformdirs
import qasync
from PySide6.QtCore import QMessageLogContext, Qt, QTimer, QtMsgType, qInstallMessageHandler
from PySide6.QtWidgets import QApplication

import tailflame
from tailflame.errors import TailflameError
from tailflame.store import load_settings
from tailflame_gui import tasks, theme, warm, wiring
from tailflame_gui.state import Page

log = logging.getLogger("tailflame.gui")

APP_ID = "org.tailflame.Tailflame"
_IDLE_MS = 200
_SWITCH_S = 0.001
"""How long a parsing thread may hold the interpreter while the window wants to paint."""


def main(argv: Sequence[str] | None = None) -> int:
    """The exit status: 0, or 1 where there is no display or a file of a screenshot could not be read."""
    args = _arguments(argv)
    if args.screenshot is not None:
        os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    if not _has_display():
        print(
            "tailflame-gui: there is no display. "
            "Use `tailflame` on this terminal, or save a picture with --screenshot FILE.",
            file=sys.stderr,
        )
        return 1
    log_file = _start_log()
    sys.setswitchinterval(_SWITCH_S)
    app = QApplication(sys.argv[:1])
    app.setApplicationName("tailflame")
    app.setApplicationDisplayName("Tailflame")
    app.setApplicationVersion(tailflame.__version__)
    app.setDesktopFileName(APP_ID)
    app.setQuitOnLastWindowClosed(False)
    loop = qasync.QEventLoop(app)
    asyncio.set_event_loop(loop)
    tasks.adopt(loop)
    with loop:
        return int(loop.run_until_complete(_run(app, args, log_file)))


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="tailflame-gui", description="Profiler front-end for low-latency software.")
    parser.add_argument(
        "files", nargs="*", type=_path, metavar="FILE", help="results, session folders, bundles, or a program to record"
    )
    parser.add_argument("--theme", choices=[mode.value for mode in theme.Mode], help="light, dark, or the system's")
    parser.add_argument(
        "--screenshot",
        "--offscreen-screenshot",
        metavar="OUT.png",
        type=Path,
        help="open the files, wait until they are read, save a picture of the window, and end",
    )
    parser.add_argument("--demo", action="store_true", help="record the demo target, or open the sample session")
    parser.add_argument("--page", choices=[page.value.lower() for page in Page], help="the page to show")
    parser.add_argument("--size", type=_size, metavar="WxH", help="the window's size (1280x800)")
    parser.add_argument("--version", action="version", version=f"tailflame {tailflame.__version__}")
    return parser.parse_args(argv)


def _path(text: str) -> Path:
    return Path(text).expanduser().absolute()


def _size(text: str) -> tuple[int, int]:
    width, x, height = text.partition("x")
    if not (x and width.isdigit() and height.isdigit()):
        raise argparse.ArgumentTypeError(f"“{text}” is not a size; write it as 1280x800")
    return int(width), int(height)


def _has_display() -> bool:
    return any(os.environ.get(name) for name in ("QT_QPA_PLATFORM", "DISPLAY", "WAYLAND_DISPLAY"))


async def _run(app: QApplication, args: argparse.Namespace, log_file: Path | None) -> int:
    theme.install(app, theme.Mode(args.theme or load_settings().settings.theme))
    parts = wiring.build()
    window, controller = parts.window, parts.controller
    ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    collector = tasks.Collector()
    catcher = _Catcher(controller.fail, log_file)
    catcher.install(asyncio.get_running_loop())
    closer = _Closer(parts, ended)
    window.ask_before_close(closer.may_close)
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, window.close)
    if args.size:
        window.resize(*args.size)
    controller.refresh_library()
    # Another Tailflame, or the command line, may have recorded meanwhile.
    app.applicationStateChanged.connect(
        lambda now: controller.refresh_library() if now is Qt.ApplicationState.ApplicationActive else None
    )
    window.show()
    QTimer.singleShot(0, parts.machine.check)
    log.info("the window is open")
    QTimer.singleShot(_IDLE_MS, warm.begin)  # not before the window has been painted
    controller.open_paths(args.files)
    if args.demo:
        parts.demo.record()
    if args.page:
        parts.state.set_page(next(page for page in Page if page.value.lower() == args.page))
    try:
        if args.screenshot is not None:
            closer.status = await _photograph(parts, args.screenshot)
            window.close()
        return await ended
    finally:
        catcher.remove()
        await tasks.close()
        collector.stop()


async def _photograph(parts: wiring.Parts, out: Path) -> int:
    """Waits until nothing is being read or drawn, then saves the window as it is. Returns the exit status."""
    quiet = 0
    while quiet < 3:
        await asyncio.sleep(0.05)
        quiet = quiet + 1 if tasks.at_rest() and not parts.jobs.jobs else 0
    failures = [str(tab.failure) for tab in (*parts.state.results.all, *parts.state.comparisons.all) if tab.failure]
    if not parts.window.grab().save(str(out)):
        failures.append(f"{out} cannot be written. Choose a folder that exists, and .png as the suffix.")
    for failure in failures:
        print(f"tailflame-gui: {failure}", file=sys.stderr)
    return 1 if failures else 0


class _Closer:
    """Closes in order: a running recording is stopped and kept, what is being read is cancelled."""

    def __init__(self, parts: wiring.Parts, ended: asyncio.Future[int]) -> None:
        self._parts = parts
        self._ended = ended
        self._closing = False
        self.status = 0

    def may_close(self) -> bool:
        """False at first; the window closes by itself once all is in order. Asking again does not hurry it."""
        if not self._closing:
            self._closing = True
            tasks.spawn(self._close(), name="closing", on_error=self.fail)
        return False

    def fail(self, error: TailflameError) -> None:
        print(f"tailflame-gui: {error}", file=sys.stderr)
        self.status = 1
        self._end()

    async def _close(self) -> None:
        parts = self._parts
        if parts.recorder.running:
            parts.controller.warn("Tailflame closes when the recording is stopped and kept.")
            await parts.recorder.close()
        if parts.late_live.running:
            parts.controller.warn("Tailflame closes when the live run is over and kept.")
            await parts.live.close()
        await parts.late_recipes.close()
        await parts.late_loop.close()
        await parts.watches.close()
        parts.jobs.cancel_all()
        await parts.controller.close(window=parts.window.geometry_document())
        self._end()

    def _end(self) -> None:
        window = self._parts.window
        window.ask_before_close(None)
        window.close()
        if not self._ended.done():
            self._ended.set_result(self.status)


class _Catcher:
    """What nobody caught: it goes to the log, and to the user as a sentence. A traceback is shown to nobody."""

    def __init__(self, tell: Any, log_file: Path | None) -> None:
        self._tell = tell
        self._where = f" It is in {log_file}." if log_file else ""
        self._previous = sys.excepthook

    def install(self, loop: asyncio.AbstractEventLoop) -> None:
        sys.excepthook = self._unexpected
        loop.set_exception_handler(self._in_loop)

    def remove(self) -> None:
        sys.excepthook = self._previous

    def _unexpected(self, kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if issubclass(kind, KeyboardInterrupt):
            return
        log.error("unexpected", exc_info=(kind, error, trace))
        if isinstance(error, TailflameError):
            self._tell(error)
            return
        self._tell(
            TailflameError(
                f"An internal error happened: {kind.__name__}.",
                advice=f"Please report it with the details.{self._where}",
                details="".join(traceback.format_exception(kind, error, trace)),
            )
        )

    def _in_loop(self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if isinstance(error, Exception):
            self._unexpected(type(error), error, error.__traceback__)
        else:
            log.error("%s", context.get("message"))


def _start_log() -> Path | None:
    """Warnings and errors go to a file of a megabyte at most; None where none can be written."""
    folder = Path(platformdirs.user_log_dir("tailflame", appauthor=False))
    qInstallMessageHandler(_qt_said)
    logging.getLogger().setLevel(logging.INFO)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handler = logging.handlers.RotatingFileHandler(
            folder / "tailflame-gui.log", maxBytes=500_000, backupCount=1, encoding="utf-8"
        )
    except OSError:
        logging.getLogger().addHandler(logging.NullHandler())
        return None
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.getLogger().addHandler(handler)
    return folder / "tailflame-gui.log"


def _qt_said(kind: QtMsgType, _context: QMessageLogContext, message: str) -> None:
    level = logging.WARNING if kind in (QtMsgType.QtCriticalMsg, QtMsgType.QtFatalMsg) else logging.INFO
    logging.getLogger("qt").log(level, "%s", message)
