"""Opens a source line in the user's editor, detached, so that it outlives this window."""

from __future__ import annotations

import shutil
import subprocess
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from tailflame.errors import StoreError, ToolFailed, ToolMissing
from tailflame.run import Journal, Outcome
from tailflame.store import Settings, editor_command

Start = Callable[[tuple[str, ...]], int]
"""Starts a program that is left to itself; returns its process id."""

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


def find_source(file: str, bases: Sequence[Path]) -> Path:
    """The source file on this machine: as it is named, or below one of `bases`.

    StoreError where it is not here: sources of the standard library, of another machine, or of an older checkout.
    """
    path = Path(file)
    candidates = [path] if path.is_absolute() else [base / path for base in bases]
    for candidate in candidates:
        if candidate.is_file():
            return candidate
    if file.startswith("/rustc/"):
        raise StoreError(
            f"{file} belongs to Rust's standard library, whose sources are not where the compiler had them.",
            advice="`rustup component add rust-src` installs them.",
        )
    raise StoreError(
        f"The source file {file} is not on this machine.", advice="Check out the commit it was built from."
    )


def open_in_editor(file: Path, line: int, *, settings: Settings, journal: Journal, start: Start | None = None) -> None:
    """StoreError where no editor can be found; ToolMissing, ToolFailed where it does not start."""
    command = editor_command(settings, file, line)
    argv = (*_terminal(), *command.argv) if command.needs_terminal else command.argv
    entry = journal.started(argv)
    try:
        (start or _start)(argv)
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


def _start(argv: tuple[str, ...]) -> int:
    process = subprocess.Popen(
        argv,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    # It is left to itself, and outlives us; while we live, somebody has to take note of its end.
    threading.Thread(target=process.wait, name=f"tailflame-worker-editor-{process.pid}", daemon=True).start()
    return process.pid
