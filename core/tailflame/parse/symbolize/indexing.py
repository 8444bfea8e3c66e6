"""Reads debug information in processes of their own: to make a module's index, and lines of single addresses."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

from tailflame.parse.symbolize import index_debug_info

SIZE_LIMIT = 1024**3
"""Bytes of a file with debug information that is indexed at most: about a minute, and some gigabytes of memory."""
_MEMORY, _MEMORY_PER_BYTE = 1024**3, 8
_CPU_S, _CPU_BYTES_PER_S = 30, 8 * 1024**2
"""What indexing may take, ten times what it does take: a file of 28 MB needs 100 MB and a second."""
RESULT_LIMIT = 1024**3
_POLL_S = 0.05


class Indexing:
    """One process that reads debug information. `wait` for it, or `stop` it."""

    def __init__(self, source: Path, program: ModuleType = index_debug_info, asked: str = "") -> None:
        """program: what is run; asked: its input. Raises OSError where the process cannot be started."""
        size = source.stat().st_size
        descriptor, name = tempfile.mkstemp(prefix="tailflame-", suffix=".symcache")
        os.close(descriptor)
        self._target = Path(name)
        argv = [sys.executable, "-I", str(program.__file__), str(source), name]
        try:
            with tempfile.TemporaryFile() as questions:
                questions.write(asked.encode())
                questions.seek(0)
                self._process = subprocess.Popen(
                    [*argv, str(_MEMORY + _MEMORY_PER_BYTE * size), str(_CPU_S + size // _CPU_BYTES_PER_S)],
                    stdin=questions,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    env={**os.environ, "LC_ALL": "C"},
                )
        except OSError:
            self._target.unlink(missing_ok=True)
            raise

    @property
    def works(self) -> bool:
        return self._process.poll() is None

    def wait(self, watch: Callable[[], None], *, partial: bool = False) -> bytes:
        """What the program wrote; b"" where the debug information is damaged, or takes too much time or memory: with
        `partial`, what it wrote until then. watch: called now and then; what it raises (Cancelled) ends the work."""
        try:
            while True:
                try:
                    code = self._process.wait(timeout=_POLL_S)
                    break
                except subprocess.TimeoutExpired:
                    watch()
            if (code and not partial) or self._target.stat().st_size > RESULT_LIMIT:
                return b""
            return self._target.read_bytes()
        except OSError:
            return b""
        finally:
            self.stop()

    def stop(self) -> None:
        """Leaves nothing behind; may be called again."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        self._target.unlink(missing_ok=True)
