"""What a binary is, before it runs."""

from __future__ import annotations

import os
from pathlib import Path

from tailflame.errors import TargetError


def check_runnable(path: Path) -> None:
    """Raises TargetError, in one sentence, where the program cannot be started."""
    if not path.exists():
        raise TargetError(f"There is no file {path}.", advice="Was it built? Check the path.")
    if path.is_dir():
        raise TargetError(f"{path} is a folder.", advice="Choose the program in it.")
    if not os.access(path, os.X_OK):
        raise TargetError(f"{path} is not executable.", advice=f"If it is a program: chmod +x {path}")
