"""A probe's run, with a bpftrace that plays a part: what comes is shown, what is asked is done, what fails is said."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from helpers.loop import in_loop
from tailflame.errors import TailflameError, TargetError, ToolDenied, ToolFailed
from tailflame.host.running import process_of
from tailflame.live.bpftrace_start import RecipeRequest
from tailflame.live.launcher import Running
from tailflame.parse.bpftrace_bundled import recipe_named
from tailflame.run import bpftrace_run
from tailflame.run.bpftrace_run import ProbeBegan, ProbeEnded, ProbeRun, ProbeSeen, ProbeWish, attached_target
from tailflame.run.bpftrace_session import kept, new_session
from tailflame.store import Library
from tailflame.tools import Target

HERE = Target(Path("/opt/engine"), pid=os.getpid())
BEGUN = b'{"type": "attached_probes", "data": {"probes": 3}}'
CALLS = b'{"type": "map", "data": {"@calls": {"1": 4}}}'


class Part:
    """A bpftrace: its lines, then, when it is asked to, its last words."""

    def __init__(
        self, lines: tuple[bytes, ...], last: tuple[bytes, ...] = (), *, status: int = 0, said: str = ""
    ) -> None:
        self._lines, self._last, self._status, self._said = lines, last, status, said
        self._asked, self._gone = asyncio.Event(), asyncio.Event()
        self._ends = not last
        self.stopped = False
        self.returncode: int | None = None
        self.pid = 0

    async def lines(self) -> AsyncIterator[bytes]:
        for line in self._lines:
            yield line
        if not self._ends:
            await self._asked.wait()
        for line in self._last:
            yield line
        self.returncode = self._status
        self._gone.set()

    async def wait(self) -> int:
        await self._gone.wait()
        return self._status

    def interrupt(self) -> None:
        self._asked.set()

    async def stop(self, *, grace_s: float = 3.0) -> int:
        self.stopped = True
        self._asked.set()
        return self.returncode or 0

    def stderr_text(self) -> str:
        return self._said


def wish(**changes: object) -> ProbeWish:
    recipe = recipe_named("syscalls")
    return replace(ProbeWish(target=HERE, recipe=recipe), **changes)  # type: ignore[arg-type]


def played(part: Part, out: Path, asked: ProbeWish | None = None) -> ProbeRun:
    async def begin(_request: RecipeRequest) -> Running:
        return part

    return ProbeRun(asked or wish(), out, start_recipe=begin)


@in_loop
async def test_what_comes_is_shown_and_kept_in_the_file(tmp_path: Path) -> None:
    part = Part((BEGUN, CALLS, b"", CALLS.replace(b"4", b"9")))
    updates = [update async for update in played(part, tmp_path).updates()]
    assert isinstance(updates[0], ProbeBegan) and updates[0].argv[:2] == ("bpftrace", "-f")
    seen = [update for update in updates if isinstance(update, ProbeSeen)]
    assert seen[-1].maps.maps[0].rows[0].values == (9,)
    ended = updates[-1]
    assert isinstance(ended, ProbeEnded) and ended.result == tmp_path / "bpftrace.json"
    assert ended.outcome == "ended" and ended.maps.probes == 3
    assert (tmp_path / "bpftrace.json").read_bytes().splitlines()[:2] == [BEGUN, CALLS]
    assert part.stopped


@in_loop
async def test_asked_to_end_it_keeps_its_last_words(tmp_path: Path) -> None:
    run = played(Part((BEGUN,), (CALLS,)), tmp_path)
    ended = None
    async for update in run.updates():
        if isinstance(update, ProbeSeen):
            run.stop()
        if isinstance(update, ProbeEnded):
            ended = update
    assert ended is not None and ended.outcome == "stopped"
    assert ended.maps.maps[0].rows[0].values == (4,)


@in_loop
async def test_its_time_is_up(tmp_path: Path) -> None:
    run = played(Part((BEGUN,), (CALLS,)), tmp_path, wish(duration_s=1e-6))
    updates = [update async for update in run.updates()]
    assert isinstance(updates[-1], ProbeEnded) and updates[-1].maps.maps


@in_loop
async def test_nothing_seen_is_no_result(tmp_path: Path) -> None:
    updates = [update async for update in played(Part((BEGUN,)), tmp_path).updates()]
    assert isinstance(updates[-1], ProbeEnded) and updates[-1].result is None


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ("stdin:1:1-24: ERROR: tracepoint not found: nosuch:thing", ToolFailed),
        ("ERROR: bpftrace currently only supports running as the root user.", ToolDenied),
        ("", ToolFailed),
    ],
)
@in_loop
async def test_why_it_did_not_work(tmp_path: Path, said: str, kind: type[TailflameError]) -> None:
    with pytest.raises(kind):
        async for _ in played(Part((), status=1, said=said), tmp_path).updates():
            pass


@in_loop
async def test_whoever_leaves_takes_it_away(tmp_path: Path) -> None:
    part = Part((BEGUN,), (CALLS,))
    updates = played(part, tmp_path).updates()
    async for _ in updates:
        break
    await updates.aclose()
    assert part.stopped


def test_a_wish_is_checked_before_anything_starts(tmp_path: Path) -> None:
    calls = recipe_named("calls")
    with pytest.raises(TargetError, match="Function is missing"):
        wish(recipe=calls).program()
    with pytest.raises(TargetError, match="Function is missing"):
        wish(recipe=calls).request()
    with pytest.raises(TargetError, match="looks at a program"):
        wish(target=None).program()
    with pytest.raises(TargetError, match="no process"):
        wish(target=Target(Path("/opt/engine"))).request()
    request = wish(recipe=calls, values={"symbol": "f"}).request()
    assert request.values == {"file": "/opt/engine", "symbol": "f"} and request.pid == os.getpid()
    assert request.program() == wish(recipe=calls, values={"symbol": "f"}).program()


@in_loop
async def test_programs_are_started_by_root_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bpftrace_run.os, "geteuid", lambda: 1000)
    with pytest.raises(ToolDenied, match="root alone"):
        async for _ in ProbeRun(wish(target=Target(Path("/bin/true"))), tmp_path).updates():
            pass


def test_a_process_is_named_by_its_file() -> None:
    process = process_of(os.getpid())
    assert process is not None
    target = attached_target(process)
    assert target.pid == os.getpid() and target.binary.samefile(process.image)
    gone = attached_target(replace(process, binary=Path("/nowhere/python")))
    assert gone.binary == process.image


@in_loop
async def test_it_becomes_a_session(tmp_path: Path) -> None:
    library = Library(tmp_path)
    asked = wish()
    session = await asyncio.to_thread(new_session, library, asked)
    ended = None
    async for update in played(Part((BEGUN, CALLS)), session.path, asked).updates():
        ended = update
    assert isinstance(ended, ProbeEnded)
    recording = await asyncio.to_thread(kept, session, asked, ended)
    assert recording.maps is not None and recording.maps.program == asked.program()
    info = library.session(session.id)
    assert (info.title, info.tool) == ("System calls: engine", "bpftrace")
    assert session.load().maps == recording.maps


@in_loop
async def test_a_session_of_nothing_is_marked(tmp_path: Path) -> None:
    library = Library(tmp_path)
    session = await asyncio.to_thread(new_session, library, wish())
    with pytest.raises(ToolFailed, match="saw nothing"):
        kept(session, wish(), ProbeEnded(None, "ended", 1.0, bpftrace_run.ProbeMaps()))
