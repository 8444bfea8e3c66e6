"""From core's objects to what the pages show."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

from tailflame.run import Entry
from tailflame.store import SessionInfo
from tailflame.tools import FIELD_TOOLS, TOOLS
from tailflame_gui.rows import RunRow, SessionRow, TargetRow

_NAMED_IN_TABS = frozenset(tool.title for tool in FIELD_TOOLS)
"""Their results are told apart by them: those of a queue are all of one program, which the header names."""
_TITLES = {**{tool.name: tool.title for tool in TOOLS}, "live": "live run"}


def session_row(info: SessionInfo) -> SessionRow:
    manifest = info.manifest
    return SessionRow(
        id=info.id,
        path=info.path,
        title=info.title,
        binary=info.binary,
        tool=tool_title(info.tool),
        state=info.state.value,
        started_at=info.started_at,
        duration_s=manifest.duration_s if manifest else None,
        samples=info.samples,
        lost=manifest.lost if manifest else None,
        commit=info.commit.short if info.commit else "",
        branch=info.commit.branch if info.commit else "",
        profile=manifest.cargo_profile if manifest else "",
        outcome=info.problem or (manifest.outcome if manifest else ""),
        baseline=info.baseline,
        project=info.commit.root if info.commit else "",
        binary_key=info.binary_key,
        measures=info.measures.value,
        group=manifest.group if manifest else "",
    )


def session_rows(infos: Iterable[SessionInfo]) -> tuple[SessionRow, ...]:
    """The library's sessions, newest first, each with its place in its group."""
    rows = tuple(session_row(info) for info in infos)
    sizes = Counter(row.group for row in rows)
    seen: Counter[str] = Counter()
    placed = []
    for row in reversed(rows):
        seen[row.group] += 1
        alone = not row.group or sizes[row.group] == 1
        placed.append(row if alone else replace(row, place=f"{seen[row.group]} of {sizes[row.group]}"))
    return tuple(reversed(placed))


def tool_title(name: str) -> str:
    """ "perf record" for "perf-record"; formats and tools nobody knows keep their name."""
    return _TITLES.get(name, name)


def tab_title(row: SessionRow, *, now: datetime | None = None) -> str:
    """ "12:04 trading-system", of other tools "12:06 massif", with the day where it is not today."""
    name = row.tool if row.tool in _NAMED_IN_TABS else row.binary_name or row.title
    if row.started_at is None:
        return name
    at = row.started_at.astimezone()
    today = (now or datetime.now().astimezone()).date()
    day = "" if at.date() == today else f"{at.day} {at:%b} "
    return f"{day}{at:%H:%M} {name}"


def target_row(binary: str, key: str, sessions: tuple[SessionRow, ...], *, of: SessionRow | None = None) -> TargetRow:
    """The program at hand; `of` is the session that is looked at, else the newest one of the binary tells."""
    own = [row for row in sessions if row.binary_key == key]
    newest = of or next(iter(own), None)
    baseline = next((row for row in own if row.baseline), None)
    return TargetRow(
        binary=binary,
        profile=newest.profile if newest else "",
        commit=newest.commit if newest else "",
        baseline=tab_title(baseline).removesuffix(f" {baseline.binary_name}") if baseline else "",
    )


def run_row(entry: Entry) -> RunRow:
    outcome = entry.problem or (entry.outcome.sentence if entry.outcome else "")
    return RunRow(
        number=entry.number,
        started_at=entry.started_at,
        command_line=entry.command_line,
        outcome=outcome,
        ok=None
        if entry.outcome is None and not entry.problem
        else not entry.problem and bool(entry.outcome and entry.outcome.ok),
        pid=entry.pid,
    )
