"""Readable names of C++ and Rust symbols: those that perf shows.

perf demangles with binutils' library, without parameters and without the hashes of Rust; so does c++filt, which is
asked once for many names (about 2 us each, and 20 ms to start).
"""

from __future__ import annotations

import contextlib
import os
import re
import resource
import select
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterable, Sequence

_MANGLED = re.compile(r"(?:_Z|_R|_GLOBAL_[._$][DI]_)[A-Za-z0-9_.$]+", re.ASCII)
_LENGTH = 32_000  # c++filt parts longer words
_TIMEOUT_S = 20.0
_OUTPUT_PER_NAME, _OUTPUT_MIN = 2_000, 4 * 1024**2
"""Bytes of answer that are taken at most: a hostile name of 400 characters can stand for petabytes."""
_MEMORY_LIMIT = 512 * 1024**2
_TRIES = 24
_READABLE_LIMIT = 32_000

# perf leaves these out of Rust names; c++filt does too, where it knows the scheme.
_CRATE = re.compile(r"(?<=\w)\[[0-9a-f]{12,16}\](?=::|$|>)")
_HASH = re.compile(r"::h[0-9a-f]{16}$")


class Demangler:
    """Remembers what it has asked."""

    def __init__(self) -> None:
        self._known: dict[str, str] = {}
        self.complete = True
        """False where names stayed mangled because c++filt is missing."""

    def names(self, names: Iterable[str]) -> dict[str, str]:
        """The readable form of every mangled name among `names`; the others are left out."""
        names = dict.fromkeys(names)
        wanted = [name for name in names if name not in self._known and is_mangled(name)]
        if wanted:
            tool = shutil.which("c++filt")
            if tool is None:
                self.complete = False
                return {}
            self._known.update(_asked(tool, wanted))
        return {name: self._known[name] for name in names if name in self._known}


def is_mangled(name: str) -> bool:
    return name.startswith(("_Z", "_R", "_G")) and len(name) < _LENGTH and _MANGLED.fullmatch(name) is not None


def _asked(tool: str, names: Sequence[str]) -> dict[str, str]:
    """A batch that c++filt chokes on is halved, until the name that does it is alone and stays as it is."""
    found: dict[str, str] = {}
    deadline = time.monotonic() + _TIMEOUT_S
    left = [names]
    failures = 0
    while left and failures < _TRIES and time.monotonic() < deadline:
        batch = left.pop()
        answer = _run(tool, batch, min(deadline, time.monotonic() + _TIMEOUT_S / 4))
        if answer is not None:
            found.update(zip(batch, answer, strict=True))
            continue
        failures += 1
        if len(batch) > 1:
            half = len(batch) // 2
            left += [batch[half:], batch[:half]]
    return found


def _run(tool: str, names: Sequence[str], deadline: float) -> list[str] | None:
    """c++filt's answers; None where it takes too long or says too much."""
    limit = _OUTPUT_MIN + _OUTPUT_PER_NAME * len(names)
    parts: list[bytes] = []
    with tempfile.TemporaryFile() as asked:
        asked.write("\n".join(names).encode() + b"\n")
        asked.seek(0)
        try:
            # Without parameters (-p), short names of the standard library and no hashes (-i).
            child = subprocess.Popen(
                [tool, "-p", "-i"],
                stdin=asked,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env={**os.environ, "LC_ALL": "C"},
            )
        except OSError:
            return None
    with child:
        with contextlib.suppress(OSError):
            resource.prlimit(child.pid, resource.RLIMIT_AS, (_MEMORY_LIMIT, _MEMORY_LIMIT))
        whole = _drained(child, parts, limit, deadline)
        if not whole:
            child.kill()
    if not whole or child.returncode:
        return None
    answers = b"".join(parts).decode("utf-8", "replace").split("\n")
    if len(answers) != len(names) + 1:
        return None
    return [_short(answer, name) for answer, name in zip(answers, names, strict=False)]


def _drained(child: subprocess.Popen[bytes], parts: list[bytes], limit: int, deadline: float) -> bool:
    """Reads all that the child says; False where that is too much, or takes too long."""
    assert child.stdout is not None
    size = 0
    while size <= limit:
        ready, _, _ = select.select([child.stdout], [], [], max(deadline - time.monotonic(), 0))
        if not ready:
            return False
        part = os.read(child.stdout.fileno(), 1 << 16)
        if not part:
            return True
        parts.append(part)
        size += len(part)
    return False


def _short(readable: str, name: str) -> str:
    if len(readable) > _READABLE_LIMIT:
        return name
    return _HASH.sub("", _CRATE.sub("", readable))
