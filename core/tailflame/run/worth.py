"""What the files of a run are worth when its tool has ended: whole, mended, or why not."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tailflame.errors import TailflameError, ToolFailed
from tailflame.run import perf_file
from tailflame.run.growth import PERF_DATA, Grown, Growth, left_files
from tailflame.run.outcome import signal_name
from tailflame.tools import Plan, tool_named

_FULL = 1 << 20
"""Bytes that are free on a disk that counts as full: file systems keep a little for themselves."""
NOTHING = 16 << 10
"""The same for one of which nothing is left for certain: whoever has written all may have left a little."""
_VGDB_PIPES = "vgdb-pipe-*-{pid}-by-*"


@dataclass(frozen=True, slots=True)
class Worth:
    """What the files are worth at the end: `whole` as the tool meant them, or `mended` after it could not end well."""

    whole: bool
    mended: bool
    result: Path | None
    grown: Grown


def move(plan: Plan) -> None:
    """Put the files that the tool leaves elsewhere in their places."""
    for source, place in plan.moves.items():
        if source.is_file():
            shutil.move(source, place)


def worth_of(plan: Plan, growth: Growth) -> Worth:
    """Look at the files, and mend perf's where it was cut short."""
    data = plan.artifacts.get(PERF_DATA)
    meant = result_of(plan)
    if data is None:
        # An exit code tells nothing: valgrind ends with 0 although it could not write its file.
        return Worth(meant is not None, False, meant or _next_best(plan), growth.look())
    recorded = perf_file.is_finished(data)
    mended = not recorded and data.is_file() and perf_file.mend(data)
    result = meant if meant is not None and recorded else data if recorded or mended else None
    return Worth(whole=meant is not None and recorded, mended=mended, result=result, grown=growth.look())


def result_of(plan: Plan) -> Path | None:
    """The file that opens as the result, None where it is not there or empty. Of a name with a "*" the newest one."""
    if "*" not in plan.result.name:
        return plan.result if _holds(plan.result) else None
    found = sorted(filter(_holds, plan.result.parent.glob(plan.result.name)), key=lambda path: path.stat().st_mtime_ns)
    return found[-1] if found else None


def _next_best(plan: Plan) -> Path | None:
    """What the result should have been made of, or the last of the files that the tool left while it ran."""
    made_of = [path for role, path in plan.artifacts.items() if role != plan.primary and _holds(path)]
    return next(iter(made_of), None) or next(reversed(list(filter(_holds, left_files(plan)))), None)


def _holds(path: Path) -> bool:
    """Something is in it: in a file, or in a folder that is a result as a whole."""
    return any(path.iterdir()) if path.is_dir() else path.is_file() and path.stat().st_size > 0


def why(plan: Plan, words: str, all_words: str, *, killed: bool, seen: bool, crashed_by: int = 0) -> TailflameError:
    """Why there is no whole result, in a sentence.

    words: the tool's own; all_words: what stands on stderr, where nobody can tell who wrote it. killed: we ended the
    tool the hard way. seen: the program did start. crashed_by: the number of the signal that ended the tool unasked.
    """
    tool = tool_named(plan.tool)
    if killed:
        return ToolFailed(
            f"{tool.title} did not end after its target and had to be killed.",
            advice="What it had written by then was kept. Is the disk very slow?",
        )
    known = tool.explain(words, plan) or (tool.explain(all_words, plan) if not seen else None)
    if known is None and disk_is_full(plan):
        # The tool's own words about it had no room on the disk either.
        known = tool.explain(os.strerror(errno.ENOSPC), plan) or disk_filled_up(plan)
    crash = f"was ended by {signal_name(crashed_by)} and " if crashed_by else ""
    return known or ToolFailed(
        f"{tool.title} {crash}left no result in {plan.result}.",
        advice="What it said is in stderr.txt beside it, and in the console.",
        details=all_words,
    )


def disk_is_full(plan: Plan, *, least: int = _FULL) -> bool:
    """Whether fewer than `least` bytes are free where the files are."""
    return shutil.disk_usage(plan.out).free < least


def disk_filled_up(plan: Plan) -> ToolFailed:
    return ToolFailed(
        f"The disk filled up while {tool_named(plan.tool).title} wrote {plan.result}.",
        advice="Free space or choose another profiles folder; what was written until then is kept.",
    )


def drop(plan: Plan, more: set[Path]) -> None:
    """Remove what the tool has left, `more` as well, and the folder too if nothing else is in it."""
    meant = plan.result.parent.glob(plan.result.name) if "*" in plan.result.name else ()
    for path in (*plan.artifacts.values(), *left_files(plan), *meant, *more):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
    with contextlib.suppress(OSError):  # somebody keeps other files in it
        plan.out.rmdir()


def remove_pipes(plan: Plan, pid: int) -> None:
    """The pipes that a valgrind which was killed has left behind: it makes them for its debugger."""
    folder = Path(plan.environment().get("TMPDIR") or tempfile.gettempdir())
    for pipe in folder.glob(_VGDB_PIPES.format(pid=pid)):
        with contextlib.suppress(OSError):
            pipe.unlink()
