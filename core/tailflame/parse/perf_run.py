"""`perf script` as a child process: its text streamed into the reader, its complaints kept, killed on cancel."""

from __future__ import annotations

import os
import re
import select
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from tailflame.errors import ToolFailed, ToolMissing
from tailflame.parse.perf_script import PerfText

_FIELDS = ("comm", "pid", "tid", "cpu", "time", "period", "event", "ip", "sym", "symoff", "dso")
_NEEDS = {"cpu": "CPU", "time": "TIME", "pid": "TID", "tid": "TID"}
"""Fields that perf refuses to print where the samples do not carry them; a period it always has."""
_REFUSED = re.compile(r"Cannot print '(\w+)' field")
_MAX_STACK = 4096
"""Frames: perf cuts at 127 by default, also what it unwinds itself."""

PIPE = 1024 * 1024
POLL_MS = 100
_STDERR_LIMIT = 64 * 1024


@dataclass(frozen=True, slots=True)
class Ended:
    """How perf script ended: its exit code (negative: the signal that killed it) and what it complained of."""

    code: int
    complaints: str

    @property
    def last_complaint(self) -> str:
        lines = [line.strip() for line in self.complaints.splitlines() if line.strip()]
        return lines[-1] if lines else ""

    @property
    def refused(self) -> str:
        """The field that perf would not print; empty where it ended otherwise."""
        found = _REFUSED.search(self.complaints) if self.code else None
        return found[1] if found else ""


def killed(path: Path, ended: Ended) -> ToolFailed:
    return ToolFailed(
        f"perf script was killed by signal {-ended.code} while it read {path}.",
        advice="Signal 9 often means that memory ran out: close other programs, or record for less long.",
        details=ended.complaints,
    )


def perf_program() -> str:
    """perf's path; ToolMissing where it is not installed."""
    found = shutil.which("perf")
    if found is None:
        raise ToolMissing(
            "Reading a perf.data file needs perf, and perf is not installed.",
            advice="Install it: sudo apt install linux-perf (Debian), linux-tools-generic (Ubuntu),"
            " or perf (Fedora, Arch).",
        )
    return found


def script_argv(perf: str, path: Path, fields: Iterable[str], *more: str) -> list[str]:
    """-f: perf refuses a file of another user, which guards against reading what somebody else planted; the user has
    chosen this one."""
    return [
        *(perf, "script", "-f", "-i", str(path), "--no-inline", "--ns", "--max-stack", str(_MAX_STACK)),
        *(*more, "-F", ",".join(fields)),
    ]


def fields_for(carried: frozenset[str]) -> tuple[str, ...]:
    """The fields to ask for, where every sample carries `carried` (perf's words; empty: not known)."""
    return tuple(f for f in _FIELDS if not carried or f not in _NEEDS or _NEEDS[f] in carried)


def run_script(
    path: Path, *, fields: Sequence[str], has_chains: bool, watch: Callable[[PerfText], None]
) -> tuple[PerfText, Ended]:
    """What perf script prints of a file: the reader that took it in (not yet finished), and how perf ended.

    has_chains: whether the samples were recorded with call chains. watch: called at least ten times a second; what it
    raises (Cancelled) kills perf. Raises ToolMissing, and ToolFailed where perf is killed or cannot be started.
    """
    perf = perf_program()
    asked = list(fields)
    while True:
        reader = PerfText(keep_addresses=True)
        argv = script_argv(perf, path, asked, "--show-mmap-events", "--show-lost-events")
        ended = _run(argv, reader, watch)
        refused = ended.refused
        if refused not in asked:
            break
        asked.remove(refused)
    if ended.code < 0:
        raise killed(path, ended)
    complete(reader, perf, path, asked, has_chains=has_chains, watch=lambda: watch(reader))
    return reader, ended


def complete(
    reader: PerfText, perf: str, path: Path, asked: Sequence[str], *, has_chains: bool, watch: Callable[[], None]
) -> None:
    """Gives samples whose chain perf discarded their function on top back.

    perf script discards a chain with an impossible address in it, as code without frame pointers leaves them, and the
    function on top with it; perf report counts that. Without chains (-G) perf script shows it too.
    """
    if has_chains and reader.bare_threads and "time" in asked:
        tops = PerfText(keep_addresses=True)
        threads = ",".join(map(str, sorted(reader.bare_threads)))
        argv = script_argv(perf, path, [f for f in asked if f != "period"], "-G", "--tid", threads)
        _run(argv, tops, lambda _: watch())
        reader.complete(tops.finish())


def started(argv: Sequence[str], complaints: IO[bytes]) -> subprocess.Popen[bytes]:
    """perf as a child that writes into a pipe; ToolFailed where it cannot be started."""
    try:
        return subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=complaints,
            env=_environment(),
            pipesize=PIPE,
        )
    except OSError as error:
        raise ToolFailed(f"{argv[0]} cannot be started: {error.strerror}.") from error


def ended_as(child: subprocess.Popen[bytes], complaints: IO[bytes]) -> Ended:
    complaints.seek(0)
    return Ended(child.returncode, complaints.read(_STDERR_LIMIT).decode(errors="backslashreplace"))


def _run(argv: Sequence[str], reader: PerfText, watch: Callable[[PerfText], None]) -> Ended:
    with tempfile.TemporaryFile() as complaints:
        with started(argv, complaints) as child:
            try:
                assert child.stdout is not None
                _stream(child.stdout, reader, watch)
            except BaseException:
                child.kill()
                raise
        return ended_as(child, complaints)


def _stream(output: IO[bytes], reader: PerfText, watch: Callable[[PerfText], None]) -> None:
    """perf may be silent for long while it reads symbols: wait in steps, so that a cancel is heard."""
    descriptor = output.fileno()
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    while True:
        if poll.poll(POLL_MS):
            data = os.read(descriptor, PIPE)
            if not data:
                return
            reader.feed(data)
        watch(reader)


def _environment() -> dict[str, str]:
    """Ours, without translations, pagers, and the search of the network for debug information."""
    kept = {k: v for k, v in os.environ.items() if k != "DEBUGINFOD_URLS" and not k.startswith("LC_")}
    return {**kept, "LC_ALL": "C", "PAGER": "cat", "PERF_PAGER": "cat"}
