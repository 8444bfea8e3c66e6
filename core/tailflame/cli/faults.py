"""What to say of a fault of our own, which nobody should ever see."""

from __future__ import annotations

import traceback
from datetime import datetime
from pathlib import Path

import platformdirs

from tailflame import __version__
from tailflame.errors import TailflameError


def written_down(fault: BaseException, words: list[str]) -> TailflameError:
    """The fault as an error; its traceback is in a file that the advice names, or in the details."""
    text = f"tailflame {__version__}\n{words}\n{''.join(traceback.format_exception(fault))}"
    try:
        folder = Path(platformdirs.user_log_dir("tailflame", appauthor=False))
        place = folder / f"fault_{datetime.now():%Y%m%d_%H%M%S}.txt"
        folder.mkdir(parents=True, exist_ok=True)
        place.write_text(text, errors="backslashreplace")
        advice = f"Please report it with {place}."
    except (OSError, RuntimeError):  # a full disk, or nobody's home
        advice = "Run it again with --details and report what it prints."
    return TailflameError(f"A fault of Tailflame: {type(fault).__name__}: {fault}.", advice=advice, details=text)
