"""Continuous profiling with the real perf: slices as they close, a budget that is kept, and nothing lost at any end."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import aclosing
from itertools import pairwise
from pathlib import Path

import pytest

from helpers.loop import in_loop
from helpers.perf_report import ARGV, PerfReport
from tailflame.errors import StoreError, TailflameError, ToolDenied, ToolFailed
from tailflame.live.launcher import Running, start
from tailflame.model.live import Armed, Artifact, Said, Update
from tailflame.model.slices import Overhead, Sliced, SliceFigures
from tailflame.run import continuous_session
from tailflame.run.continuous import LEAST_FREQUENCY, Continuous, ContinuousOptions, has_ended
from tailflame.run.live_session import load_raw
from tailflame.store import Library, SessionState, open_session
from tailflame.store.slice_store import SliceStore

pytestmark = pytest.mark.tool("perf")

BUSY = ("sh", "-c", "echo; while :; do :; done")
"""Little code: its symbols are read fast."""
RICH = ContinuousOptions(slice_s=1, frequency=199, cpu_share=10.0)
"""A budget that no test exceeds."""


@pytest.fixture
def target() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(BUSY, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield process
        process.kill()


async def followed(source: Continuous, *, slices: int, then: str = "finish") -> list[Update]:
    """Everything it tells; after so many slices were read it is asked to finish, or `then` is left to the caller."""
    told: list[Update] = []
    async with aclosing(source.updates()) as updates:
        async for update in updates:
            told.append(update)
            if len(read(told)) == slices and then == "finish":
                source.finish()
    return told


def read(told: Sequence[Update]) -> list[SliceFigures]:
    return [one.row for one in told if isinstance(one, Sliced) and one.row is not None and not one.row.waiting]


def said(told: Sequence[Update]) -> str:
    return "\n".join(f"{one.text} {one.fix}" for one in told if isinstance(one, Said))


def reported(path: Path) -> int:
    """Samples of a file as perf report counts them."""
    argv = ["perf", "report", "-i", str(path), *ARGV]
    environment = {**os.environ, "LC_ALL": "C"}
    text = subprocess.run(argv, capture_output=True, text=True, check=True, env=environment).stdout
    return sum(event.samples for event in PerfReport.parse(text).events)


@in_loop
async def test_each_slice_holds_what_perf_report_counts_in_its_file(
    tmp_path: Path, target: subprocess.Popen[bytes]
) -> None:
    source = Continuous(tmp_path, target.pid, program="busy", options=RICH)
    told = await followed(source, slices=3)
    assert isinstance(told[0], Armed)
    assert isinstance(told[-1], Artifact)
    rows = read(told)
    assert [row.first for row in rows] == list(range(1, len(rows) + 1))
    assert {row.source: row.samples for row in rows} == {path.name: reported(path) for path in source.store.raws()}
    assert sum(row.samples for row in rows) > 0
    assert all(one.end_s <= other.start_s + 1e-6 for one, other in pairwise(rows))
    assert source.store.rows == tuple(rows)
    assert "program runs on" in source.outcome
    assert source.error is None
    assert target.poll() is None
    cost = source.overhead()
    assert cost.perf_s is not None
    assert cost.perf_s > 0
    assert cost.own_s > 0
    assert cost.disk_bytes >= sum(path.stat().st_size for path in source.store.raws())


@in_loop
async def test_the_end_of_the_program_ends_it_with_a_sentence(tmp_path: Path, target: subprocess.Popen[bytes]) -> None:
    source = Continuous(tmp_path, target.pid, program="busy", options=RICH)
    told: list[Update] = []
    async with aclosing(source.updates()) as updates:
        async for update in updates:
            told.append(update)
            if len(read(told)) == 1:
                target.kill()
    assert source.outcome == "busy has ended, and with it the recording."
    assert source.error is None
    assert read(told)


@in_loop
async def test_a_perf_that_dies_leaves_what_it_has_recorded(tmp_path: Path, target: subprocess.Popen[bytes]) -> None:
    perfs: list[Running] = []

    async def launched(
        argv: Sequence[str], *, env: Mapping[str, str] | None = None, stdout: Path | None = None
    ) -> Running:
        perfs.append(await start(argv, env=env, stdout=stdout))
        return perfs[-1]

    source = Continuous(tmp_path, target.pid, options=RICH, launcher=launched)
    told: list[Update] = []
    async with aclosing(source.updates()) as updates:
        async for update in updates:
            told.append(update)
            if len(read(told)) == 2 and perfs[-1].returncode is None:
                os.kill(perfs[-1].pid, signal.SIGKILL)
    assert isinstance(source.error, ToolFailed)
    assert "perf has ended with -9 while the program runs on" in said(told)
    assert len(read(told)) >= 2
    assert target.poll() is None


ALARM = 1 << (signal.SIGALRM - 1)


def mask(pid: int, which: str) -> int:
    """Signals of a process, as the kernel tells them: SigCgt those it handles, ShdPnd those that wait for it."""
    text = Path(f"/proc/{pid}/status").read_text()
    return next((int(line.split()[1], 16) for line in text.splitlines() if line.startswith(which)), 0)


@in_loop
async def test_an_alarm_that_perf_was_not_ready_for_is_rung_again(
    tmp_path: Path, target: subprocess.Popen[bytes]
) -> None:
    """As on a loaded machine: the first second is over before perf heeds its alarm, and it would never set another."""

    async def slowly(
        argv: Sequence[str], *, env: Mapping[str, str] | None = None, stdout: Path | None = None
    ) -> Running:
        running = await start(argv, env=env, stdout=stdout)
        while not mask(running.pid, "SigCgt") & ALARM:  # noqa: ASYNC110 - the kernel tells nobody
            await asyncio.sleep(0)
        os.kill(running.pid, signal.SIGSTOP)
        while not mask(running.pid, "ShdPnd") & ALARM:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
        os.kill(running.pid, signal.SIGCONT)
        return running

    source = Continuous(tmp_path, target.pid, options=RICH, launcher=slowly)
    told = await followed(source, slices=3)
    assert len(read(told)) >= 3
    assert source.error is None


@in_loop
async def test_a_perf_that_closes_nothing_is_started_anew(tmp_path: Path, target: subprocess.Popen[bytes]) -> None:
    deaf = "import os, signal, sys; signal.pthread_sigmask(0, [signal.SIGALRM]); os.execvp(sys.argv[1], sys.argv[1:])"
    started: list[Running] = []

    async def launched(
        argv: Sequence[str], *, env: Mapping[str, str] | None = None, stdout: Path | None = None
    ) -> Running:
        first = () if started else (sys.executable, "-c", deaf)
        started.append(await start((*first, *argv), env=env, stdout=stdout))
        return started[-1]

    source = Continuous(tmp_path, target.pid, options=RICH, launcher=launched)
    told = await followed(source, slices=2)
    assert len(started) >= 2
    assert "it is started anew" in said(told)
    assert [row.first for row in source.store.rows] == list(range(1, len(read(told)) + 1))
    assert source.error is None


@in_loop
async def test_too_small_a_budget_lowers_the_frequency_and_says_so(
    tmp_path: Path, target: subprocess.Popen[bytes]
) -> None:
    options = ContinuousOptions(slice_s=1, frequency=49, cpu_share=1e-6)
    source = Continuous(tmp_path, target.pid, options=options)
    told: list[Update] = []
    async with aclosing(source.updates()) as updates:
        async for update in updates:
            told.append(update)
            if "even at" in said(told):
                source.finish()
    words = said(told)
    assert "from 49 to 23 Hz" in words
    assert f"even at {LEAST_FREQUENCY} Hz" in words
    assert source.overhead().frequency == LEAST_FREQUENCY
    # All that was recorded is read at the end, in the order of time.
    assert [row.first for row in source.store.rows] == list(range(1, len(read(told)) + 1))


@in_loop
async def test_reading_waits_while_it_cannot_be_afforded(tmp_path: Path, target: subprocess.Popen[bytes]) -> None:
    options = ContinuousOptions(slice_s=1, frequency=99, cpu_share=1e-6, credit_s=0.0)
    source = Continuous(tmp_path, target.pid, options=options)
    told: list[Update] = []
    async with aclosing(source.updates()) as updates:
        async for update in updates:
            told.append(update)
            closed = [one for one in told if isinstance(one, Sliced)]
            if len(closed) == 2 and not source._finishing:
                assert not read(told)
                assert all(row.waiting for row in closed[-1].rows)
                source.finish()
    assert "they wait until it is affordable" in said(told)
    assert len(read(told)) >= 2
    assert not any(row.waiting for row in source.rows)


@in_loop
async def test_what_waits_is_read_when_somebody_wants_to_see_it(
    tmp_path: Path, target: subprocess.Popen[bytes]
) -> None:
    options = ContinuousOptions(slice_s=1, frequency=LEAST_FREQUENCY, cpu_share=1e-6, credit_s=0.0)
    source = Continuous(tmp_path, target.pid, options=options)
    told: list[Update] = []
    asked = False
    async with aclosing(source.updates()) as updates:
        async for update in updates:
            told.append(update)
            closed = [one.rows for one in told if isinstance(one, Sliced)]
            if not asked and closed and len(closed[-1]) >= 2:
                assert not read(told)
                asked = True
                source.read_until(closed[-1][1].end_s)
            if len(read(told)) == 2 and not source._finishing:
                # Before it was asked to end: the rest goes on waiting.
                assert [row.first for row in source.store.rows] == [1, 2]
                source.finish()
    assert [row.first for row in source.store.rows] == list(range(1, len(source.rows) + 1))


@in_loop
async def test_a_process_that_is_gone_is_said_before_anything_is_recorded(tmp_path: Path) -> None:
    gone = await asyncio.create_subprocess_exec("true")
    await gone.wait()
    with pytest.raises(TailflameError, match="had ended before perf could attach"):
        await followed(Continuous(tmp_path, gone.pid, options=RICH), slices=1)


class Refusing:
    """A perf that ends at once, with the kernel's words."""

    pid = 0
    returncode = 255

    def __init__(self, words: str) -> None:
        self._words = words

    async def __call__(
        self, argv: Sequence[str], *, env: Mapping[str, str] | None = None, stdout: Path | None = None
    ) -> Refusing:
        return self

    async def lines(self) -> AsyncIterator[bytes]:
        for line in ():
            yield line

    async def wait(self) -> int:
        return self.returncode

    def interrupt(self) -> None:
        pass

    async def stop(self, *, grace_s: float = 3.0) -> int:
        return self.returncode

    def stderr_text(self) -> str:
        return self._words


@in_loop
async def test_a_refusal_is_one_sentence_with_its_fix(tmp_path: Path) -> None:
    words = "Access to performance monitoring and observability operations is limited."
    with pytest.raises(ToolDenied, match="refuses performance events") as denied:
        await followed(Continuous(tmp_path, os.getpid(), options=RICH, launcher=Refusing(words)), slices=1)
    assert "sysctl" in denied.value.advice


@in_loop
async def test_a_full_disk_keeps_what_is_there(
    tmp_path: Path, target: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    source = Continuous(tmp_path, target.pid, options=RICH)
    add = SliceStore.add

    def full(store: SliceStore, *args: object, **kwargs: object) -> SliceFigures:
        if len(store.rows) == 1:
            raise StoreError("The slice cannot be written: No space left on device.", advice="Free some space.")
        return add(store, *args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(SliceStore, "add", full)
    told = await followed(source, slices=99, then="nothing")
    assert "No space left on device" in said(told)
    assert isinstance(source.error, StoreError)
    assert len(source.store.rows) == 1
    assert len(source.store.raws()) > 1
    assert target.poll() is None


@in_loop
async def test_what_nobody_finished_is_read_by_the_next(tmp_path: Path, target: subprocess.Popen[bytes]) -> None:
    """As after a kill of ours: some slices are stored, some files closed and unread, one was cut."""
    library = Library(tmp_path)
    session = library.new_session(tool=continuous_session.TOOL, binary=sys.executable)
    source = Continuous(session.path, target.pid, options=RICH)
    continuous_session.planned(session, argv=source.argv)
    told = await followed(source, slices=3)
    rows = read(told)
    total = sum(row.samples for row in rows)
    (session.path / "slices" / f"{rows[-1].first:06d}-{rows[-1].last:06d}.npz").unlink()
    session.update(owner=None)
    info = library.session(session.id)
    assert info.state is SessionState.INTERRUPTED
    opened = open_session(info, load=load_raw)
    assert opened.recovered
    assert opened.recording.profile is not None
    assert opened.recording.profile.total() == total
    assert opened.recording.slices is not None
    assert len(opened.recording.slices.rows) == len(rows)
    assert [row.source for row in opened.recording.slices.rows] == [row.source for row in rows]
    # And once more, as what it is now: a finished session.
    again = open_session(library.session(session.id), load=load_raw)
    assert again.recording.slices is not None
    assert again.recording.slices.rows == opened.recording.slices.rows


@in_loop
async def test_switched_on_anew_it_goes_on_where_it_was(tmp_path: Path, target: subprocess.Popen[bytes]) -> None:
    first = read(await followed(Continuous(tmp_path, target.pid, options=RICH), slices=1))
    again = Continuous(tmp_path, target.pid, options=RICH)
    second = read(await followed(again, slices=1))
    assert [row.first for row in again.store.rows] == list(range(1, len(first) + len(second) + 1))
    assert again.store.rows == (*first, *second)
    assert first[-1].end_s <= second[0].start_s


@in_loop
async def test_a_finished_session_holds_all_slices(tmp_path: Path, target: subprocess.Popen[bytes]) -> None:
    session = Library(tmp_path).new_session(tool=continuous_session.TOOL, binary=sys.executable)
    source = Continuous(session.path, target.pid, options=RICH)
    continuous_session.planned(session, argv=source.argv)
    told = await followed(source, slices=2)
    recording = await asyncio.to_thread(continuous_session.keep, session, source.store, outcome=source.outcome)
    assert recording.profile is not None
    assert recording.slices is not None
    assert recording.profile.total() == sum(row.samples for row in read(told))
    assert recording.slices.pid == target.pid
    assert session.manifest.state is SessionState.COMPLETE
    assert not (session.path / "slices").exists()


def test_the_dead_and_the_undead_have_ended() -> None:
    assert not has_ended(os.getpid())
    with subprocess.Popen(["true"]) as process:
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert has_ended(process.pid)  # a zombie, until we take note
    assert has_ended(process.pid)


def test_overhead_is_a_share_of_one_core() -> None:
    assert Overhead(wall_s=10.0, perf_s=0.05, own_s=0.05).share == pytest.approx(0.01)
    assert Overhead(wall_s=10.0, perf_s=None, own_s=0.1).share == pytest.approx(0.01)
    assert Overhead(wall_s=0.0, perf_s=1.0, own_s=1.0).share == 0.0
