"""The runs of a project's benchmarks that a profiles folder keeps."""

from __future__ import annotations

from pathlib import Path

from tailflame.analyse.bench_history import PastRun
from tailflame.errors import TailflameError
from tailflame.parse.criterion import flame_graphs
from tailflame.store.library import Library, SessionInfo
from tailflame.store.manifest import SessionState

TOOL = "cargo-bench"
MOST = 20
"""Runs that are read for a history."""


def past_runs(library: Library, shown: SessionInfo, *, most: int = MOST) -> tuple[PastRun, ...]:
    """The run of `shown` last, before it those of the same project that are older; what cannot be read is left out.

    Reads a file for each: call it from a thread. Empty for a session of another tool.
    """
    found: list[PastRun] = []
    for info in _of_the_project(library, shown):
        if info.id == shown.id or _older(info, shown):
            found += _run(info)
            if len(found) == most:
                break
    return tuple(reversed(found))


def project_flame_graphs(library: Library, shown: SessionInfo, *, most: int = MOST) -> dict[str, Path]:
    """By benchmark the newest flame graph that a run of the project's benchmarks has left (`--profile-time`)."""
    found: dict[str, Path] = {}
    for info in _of_the_project(library, shown)[:most]:
        found = flame_graphs(info.path / "criterion") | found
    return found


def _of_the_project(library: Library, shown: SessionInfo) -> list[SessionInfo]:
    """The newest first."""
    if shown.tool != TOOL or shown.manifest is None:
        return []
    project = shown.manifest.cwd
    return [
        info
        for info in library.sessions()
        if info.tool == TOOL and info.manifest is not None and info.manifest.cwd == project
    ]


def _older(info: SessionInfo, shown: SessionInfo) -> bool:
    at, last = info.started_at, shown.started_at
    return at is not None and last is not None and at < last


def _run(info: SessionInfo) -> list[PastRun]:
    if info.state is not SessionState.COMPLETE:
        return []
    try:
        recording = info.folder.load()
    except TailflameError:
        return []
    if not recording.benchmarks:  # it left flame graphs
        return []
    commit = info.commit
    at = info.started_at.timestamp() if info.started_at is not None else 0.0
    return [PastRun(info.id, commit.state if commit is not None else "", at, recording.benchmarks[0])]
