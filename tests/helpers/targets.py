"""Programs to look at while they run."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def python_target(code: str, *prefix: str, python: str = sys.executable) -> Iterator[subprocess.Popen[bytes]]:
    """Runs `code`, which prints a line when it is ready; killed at the end. prefix: what starts it ("setpriv", …)."""
    with subprocess.Popen((*prefix, python, "-c", code), stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        try:
            yield process
        finally:
            process.kill()
