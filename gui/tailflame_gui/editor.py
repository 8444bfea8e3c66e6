"""Opens a source line in the user's editor, detached, so that it outlives this window."""

from __future__ import annotations

import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from tailflame.errors import ToolFailed, ToolMissing
from tailflame.host import source_files
from tailflame.host.source_files import MissingSource, PathMap
from tailflame.run import Journal, Outcome
from tailflame.store import Settings, editor_command

Start = Callable[[tuple[str, ...]], int]
"""Starts a program that is left to itself; returns its process id."""
Failed = Callable[[str, int], None]
_AT_ONCE_S = 5.0

_TERMINALS = (
    ("x-terminal-emulator", "-e"),
    ("gnome-terminal", "--"),
    ("konsole", "-e"),
    ("xfce4-terminal", "-x"),
    ("foot",),
    ("alacritty", "-e"),
    ("kitty",),
    ("xterm", "-e"),
)


def find_source(file: str, bases: Sequence[Path], path_map: PathMap = ()) -> Path:
    """The source file on this machine: mapped, as it is named, below one of `bases`, or where its toolchain keeps it.

    StoreError where it is not here: sources of the standard library, of another machine, or of an older checkout.
    """
    found = source_files.find_source(file, path_map=path_map, roots=bases)
    if found.path is None:
        raise MissingSource(found)
    return found.path


def open_in_editor(
    file: Path,
    line: int,
    *,
    settings: Settings,
    journal: Journal,
    start: Start | None = None,
    failed: Failed | None = None,
) -> None:
    """StoreError where no editor can be found; ToolMissing, ToolFailed where it does not start.

    `failed(name, code)` is called from a thread when the editor ends with a failure right after its start.
    """
    command = editor_command(settings, file, line)
    argv = (*_terminal(), *command.argv) if command.needs_terminal else command.argv
    entry = journal.started(argv)
    try:
        if start is not None:
            start(argv)
        else:
            _start(argv, failed)
    except OSError as error:
        sentence = f"{argv[0]} could not be started: {error.strerror}."
        journal.ended(entry, None, problem=sentence)
        raise ToolFailed(sentence, advice="Set another editor command.") from error
    journal.ended(entry, Outcome.of(Path(argv[0]).name, 0, 0.0))


def _terminal() -> tuple[str, ...]:
    for terminal in _TERMINALS:
        if shutil.which(terminal[0]):
            return terminal
    raise ToolMissing(
        "The editor needs a terminal window, and no terminal program was found.",
        advice="Set an editor with a window of its own.",
    )


def _start(argv: tuple[str, ...], failed: Failed | None = None) -> int:
    process = subprocess.Popen(
        argv,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    # It is left to itself, and outlives us; while we live, somebody has to take note of its end.
    threading.Thread(
        target=_wait, args=(process, argv[0], failed), name=f"tailflame-worker-editor-{process.pid}", daemon=True
    ).start()
    return process.pid


def _wait(process: subprocess.Popen[bytes], program: str, failed: Failed | None) -> None:
    """In a thread. An editor that fails later has been seen: what it does then is between it and its user."""
    began = time.monotonic()
    code = process.wait()
    if code and failed is not None and time.monotonic() - began < _AT_ONCE_S:
        failed(Path(program).name, code)
