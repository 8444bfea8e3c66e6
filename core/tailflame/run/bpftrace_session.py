"""A probe's run as a session: its folder before, its result after."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from tailflame import parse
from tailflame.errors import ToolFailed
from tailflame.model import Caution, Recording, StackProfile
from tailflame.model.maps import ProbeMaps
from tailflame.parse.source import Progress
from tailflame.run.bpftrace_run import ProbeEnded, ProbeWish
from tailflame.store import Library, SessionFolder
from tailflame.tools.bpftrace import RESULT

TOOL = "bpftrace"


def new_session(library: Library, wish: ProbeWish, *, title: str = "") -> SessionFolder:
    """A folder for what is about to run. Blocks some milliseconds: git is asked for the binary's commit."""
    target = wish.target
    what = wish.recipe.title if wish.recipe is not None else "own program"
    session = library.new_session(
        tool=TOOL,
        binary=target.binary if target is not None else "",
        args=target.args if target is not None else (),
        cwd=(target.cwd or "") if target is not None else "",
        env=target.env if target is not None else None,
        title=title or (f"{what}: {target.name}" if target is not None else what),
    )
    artifacts = {"result": session.path / RESULT}
    session.planned(argv=wish.argv(), artifacts=artifacts, primary="result")
    return session


def kept(
    session: SessionFolder,
    wish: ProbeWish,
    ended: ProbeEnded,
    *,
    draw: Callable[[StackProfile, Path], None] | None = None,
    progress: Progress | None = None,
) -> Recording:
    """Reads what was left and keeps it. Raises ToolFailed where there is nothing; the session is marked then."""
    if ended.result is None:
        sentence = "bpftrace saw nothing to count: no probe was met while it ran."
        session.failed(sentence)
        raise ToolFailed(sentence, advice="Let it run longer, or while the program works.", details=ended.said)
    session.recorded(
        outcome=ended.outcome,
        duration_s=ended.duration_s,
        lost=ended.maps.lost,
        artifacts={"result": ended.result},
    )
    recording = parse.load(ended.result, progress=progress)
    program = wish.program()
    results = tuple(
        replace(result, program=program) if isinstance(result, ProbeMaps) else result for result in recording.results
    )
    recording = replace(recording, results=results)
    if wish.recipe is not None and wish.recipe.machine_wide:
        recording = recording.with_warnings(Caution(wish.recipe.note))
    return session.complete(recording, draw=draw)
