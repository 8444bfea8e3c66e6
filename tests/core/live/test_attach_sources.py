"""Recording and tracing a program that runs: what is told, that the files are whole, and that it is left as it was."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import aclosing
from pathlib import Path

import pytest

from helpers.loop import in_loop
from tailflame.errors import TailflameError, TargetError, ToolDenied, ToolFailed
from tailflame.live.cpu_recording import CpuRecording, is_complete
from tailflame.live.launcher import Running, start
from tailflame.live.source import LiveSource
from tailflame.live.syscall_summary import SyscallSummary
from tailflame.model.live import Armed, Artifact, Reading, Said, Update
from tailflame.run.perf_file import GrowingPerfFile
from tailflame.tools.perf_record import CallGraph, PerfOptions, attach_argv, explain_attach

OPTIONS = PerfOptions(frequency=499, call_graph=CallGraph.FRAME_POINTERS, events=("cpu-clock",))
BUSY = """
import os, signal, sys, threading
signal.signal(signal.SIGUSR1, lambda *_: None)
signal.signal(signal.SIGPIPE, signal.SIG_IGN)
def work():
    while True:
        for _ in range(1000): os.getppid()
threading.Thread(target=work, daemon=True).start()
print(flush=True)
work()
"""


@pytest.fixture
def target() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen([sys.executable, "-c", BUSY], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield process
        process.kill()


def untouched(pid: int) -> list[str]:
    """What a tracer or a debugger would have changed."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return [line for line in lines if line.startswith(("TracerPid", "SigBlk", "SigIgn", "SigCgt", "Seccomp:"))]


def recording(pid: int, out: Path, options: PerfOptions = OPTIONS) -> CpuRecording:
    argv = attach_argv(options, pid, out)
    return CpuRecording(out, argv, explain=explain_attach, look=GrowingPerfFile(out).look)


async def follow(source: LiveSource, until: Callable[[list[Update]], bool] = lambda _seen: False) -> list[Update]:
    """All updates, or those until something is true; then the source is closed."""
    seen: list[Update] = []
    async with aclosing(source.updates()) as updates:
        async for update in updates:
            seen.append(update)
            if until(seen):
                break
    return seen


def has_read(seen: list[Update]) -> bool:
    return isinstance(seen[-1], Reading)


@pytest.mark.tool("perf")
@in_loop
async def test_a_recording_ends_with_its_file_and_leaves_the_program_alone(
    target: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    before = untouched(target.pid)
    source = recording(target.pid, tmp_path / "perf.data")

    def enough(seen: list[Update]) -> bool:
        if has_read(seen):
            source.finish()
        return False

    seen = await follow(source, enough)
    assert isinstance(seen[0], Armed)
    assert seen[-1] == Artifact(role="perf.data", path=tmp_path / "perf.data", opens=True)
    assert not [u for u in seen if isinstance(u, Said)]
    times = [(u.start_s, u.length_s) for u in seen if isinstance(u, Reading) and u.series == "recorded"]
    assert times == sorted(times) and all(length > 0 for _, length in times)
    assert times[-1][0] < time.monotonic()
    counts = GrowingPerfFile(tmp_path / "perf.data").look()
    pids = (await asyncio.to_thread(perf_script, tmp_path / "perf.data")).split()
    assert is_complete(tmp_path / "perf.data") and pids == [str(target.pid)] * counts.samples != []
    assert [u.value for u in seen if isinstance(u, Reading) and u.series == "samples"][-1] == counts.samples
    assert untouched(target.pid) == before and target.poll() is None


def perf_script(path: Path) -> str:
    return subprocess.run(
        ["perf", "script", "-i", path, "-F", "pid", "-G"], capture_output=True, text=True, check=True
    ).stdout


@pytest.mark.tool("perf")
@in_loop
async def test_a_recording_that_is_switched_off_is_whole_too(target: subprocess.Popen[bytes], tmp_path: Path) -> None:
    before = untouched(target.pid)
    await follow(recording(target.pid, tmp_path / "perf.data"), has_read)
    assert is_complete(tmp_path / "perf.data")
    assert untouched(target.pid) == before


@pytest.mark.tool("perf")
@in_loop
async def test_the_end_of_the_program_ends_its_recording(target: subprocess.Popen[bytes], tmp_path: Path) -> None:
    def kill(seen: list[Update]) -> bool:
        if has_read(seen):
            target.kill()
        return False

    seen = await follow(recording(target.pid, tmp_path / "perf.data"), kill)
    assert isinstance(seen[-1], Artifact) and is_complete(tmp_path / "perf.data")


async def failure(source: LiveSource) -> TailflameError:
    with pytest.raises(TailflameError) as caught:
        await follow(source)
    return caught.value


@pytest.mark.tool("perf")
@in_loop
async def test_why_nothing_is_recorded(target: subprocess.Popen[bytes], tmp_path: Path) -> None:
    out = tmp_path / "perf.data"
    odd = PerfOptions(events=("no-such-event",))
    assert "does not know the event “no-such-event”" in (await failure(recording(target.pid, out, odd))).sentence
    assert isinstance(await failure(recording(4_194_000, out)), TargetError)
    assert "cannot write" in (await failure(recording(target.pid, tmp_path / "no folder" / "perf.data"))).sentence
    assert not out.exists()


@in_loop
async def test_perfs_refusal_is_told_with_its_fix(
    target: subprocess.Popen[bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    perf = tmp_path / "perf"
    perf.write_text(
        "#!/bin/sh\n"
        "echo 'Error:\nAccess to performance monitoring and observability operations is limited.' >&2\nexit 255\n"
    )
    perf.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    error = await failure(recording(target.pid, tmp_path / "perf.data"))
    assert isinstance(error, ToolDenied) and "perf_event_paranoid" in error.advice
    perf.write_text("#!/bin/sh\nexit 7\n")
    assert isinstance(error := await failure(recording(target.pid, tmp_path / "perf.data")), ToolFailed)
    assert "ended with 7" in error.sentence


@in_loop
async def test_a_killed_perf_leaves_what_it_had(
    target: subprocess.Popen[bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    perf = tmp_path / "perf"
    perf.write_text('#!/bin/sh\nfor last; do :; done\nprintf PERFILE2 >"$last"\nkill -9 $$\n')
    perf.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    seen = await follow(recording(target.pid, tmp_path / "perf.data"))
    assert isinstance(seen[-1], Artifact)
    assert any(isinstance(u, Said) and "no proper end" in u.text for u in seen)


@pytest.mark.tool("strace")
@in_loop
async def test_system_calls_are_counted_and_the_program_is_let_go(
    target: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    before = untouched(target.pid)
    source = SyscallSummary(target.pid, tmp_path / "syscalls.txt", seconds=0.5)
    traced: list[str] = []

    def look(seen: list[Update]) -> bool:
        if isinstance(seen[-1], Armed):
            traced.extend(untouched(target.pid)[:1])
        return False

    seen = await follow(source, look)
    assert traced != before[:1], "it was traced"
    assert isinstance(seen[0], Armed) and isinstance(seen[1], Said) and "50 times" in seen[1].text
    readings = {u.series: u for u in seen if isinstance(u, Reading)}
    assert readings["getppid: calls"].value and readings["getppid: calls"].unit == "/s"
    share = readings["getppid: share of the time in calls"].value
    assert share is not None and 0 < share <= 100
    assert readings["system calls"].length_s >= 0.5
    assert seen[-1] == Artifact(role="syscalls.txt", path=tmp_path / "syscalls.txt")
    assert "getppid" in (tmp_path / "syscalls.txt").read_text()
    assert untouched(target.pid) == before and target.poll() is None


@pytest.mark.tool("strace")
@in_loop
async def test_tracing_ends_early_when_asked_closed_or_when_the_program_ends(
    target: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    before = untouched(target.pid)
    out = tmp_path / "syscalls.txt"
    await follow(SyscallSummary(target.pid, out, seconds=600), lambda seen: isinstance(seen[-1], Armed))
    assert untouched(target.pid) == before
    source = SyscallSummary(target.pid, out, seconds=600)

    def finish(seen: list[Update]) -> bool:
        if isinstance(seen[-1], Said):
            source.finish()
        return False

    assert isinstance((await follow(source, finish))[-1], Artifact)
    assert untouched(target.pid) == before
    source = SyscallSummary(target.pid, out, seconds=600)

    def kill(seen: list[Update]) -> bool:
        if isinstance(seen[-1], Said):
            target.send_signal(signal.SIGKILL)
        return False

    assert isinstance((await follow(source, kill))[-1], Artifact)


@pytest.mark.tool("strace")
@in_loop
async def test_why_nothing_is_traced(target: subprocess.Popen[bytes], tmp_path: Path) -> None:
    out = tmp_path / "syscalls.txt"
    assert isinstance(await failure(SyscallSummary(4_194_000, out)), TargetError)
    first = SyscallSummary(target.pid, tmp_path / "first.txt", seconds=600)
    async with aclosing(first.updates()) as updates:
        assert isinstance(await anext(updates), Armed)
        error = await failure(SyscallSummary(target.pid, out))
    assert isinstance(error, ToolDenied) and "traced already, by process" in error.sentence


@in_loop
async def test_a_strace_that_crashes_has_not_counted_nothing(target: subprocess.Popen[bytes], tmp_path: Path) -> None:
    crash = (
        "import os, signal, sys; open(sys.argv[1], 'w').close()\n"
        "print('strace: Process 1 attached', file=sys.stderr, flush=True)\n"
        "os.kill(os.getpid(), signal.SIGSEGV)"
    )

    async def crashing(
        argv: Sequence[str], *, env: Mapping[str, str] | None = None, stdout: Path | None = None
    ) -> Running:
        return await start((sys.executable, "-c", crash, argv[argv.index("-o") + 1]), env=env, stdout=stdout)

    error = await failure(SyscallSummary(target.pid, tmp_path / "strace.txt", seconds=600, launcher=crashing))
    assert isinstance(error, ToolFailed)
    assert "crashed" in error.sentence and "probed" in error.advice
