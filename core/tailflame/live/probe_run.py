"""bpftrace as a function probe runs it: how it is started, when its probes are on, and why it did not work."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Protocol

from tailflame.errors import TailflameError, TargetError, ToolDenied, ToolFailed
from tailflame.live.launcher import Launcher, Running, start
from tailflame.live.probe_output import Attached, Attaching, ProbeOutput
from tailflame.live.probe_program import ENVIRONMENT, ProbeRequest, bpftrace_argv, check_path

ATTACH_TIMEOUT_S = 60.0
STOP_GRACE_S = 5.0
"""bpftrace takes its probes off in half a second; killed, the kernel does."""
_REBUILT = "The binary may have been built anew: choose them again."


class ProbeStart(Protocol):
    """Starts bpftrace for a probe: as ourselves where we are root, else through whatever may (see `as_ourselves`).

    Whoever has more rights than its caller checks the request, and composes the program itself (`request.program()`).
    """

    async def __call__(self, request: ProbeRequest) -> Running: ...


def as_ourselves(launcher: Launcher = start) -> ProbeStart:
    """bpftrace started by `launcher`, with its program in argv."""

    async def started(request: ProbeRequest) -> Running:
        follow = await asyncio.to_thread(_sees_our_files, request.pid)
        return await launcher(bpftrace_argv("bpftrace", request, follow=follow), env=ENVIRONMENT)

    return started


def _sees_our_files(pid: int) -> bool:
    """Whether a process has our file systems: one in a container has others."""
    try:
        return Path(f"/proc/{pid}/ns/mnt").readlink() == Path("/proc/self/ns/mnt").readlink()
    except OSError:
        return True


@contextlib.asynccontextmanager
async def probing(starter: ProbeStart, request: ProbeRequest) -> AsyncGenerator[tuple[Running, AsyncIterator[bytes]]]:
    """bpftrace and its lines; on leaving, the probes are off and it is gone."""
    running = await starter(request)
    try:
        lines = running.lines()
        try:
            yield running, lines
        finally:
            if isinstance(lines, AsyncGenerator):
                await lines.aclose()
    finally:
        await running.stop(grace_s=STOP_GRACE_S)


async def attached(
    running: Running,
    lines: AsyncIterator[bytes],
    output: ProbeOutput,
    request: ProbeRequest,
    *,
    keep: Callable[[bytes], object] = lambda line: None,
) -> float:
    """Waits until all probes are on; when that was (s, CLOCK_MONOTONIC). keep: called with each line.

    Raises:
        ToolDenied, TargetError, ToolFailed: they do not come.
    """
    try:
        async with asyncio.timeout(ATTACH_TIMEOUT_S):
            async for line in lines:
                keep(line)
                message = output.feed(line)
                # bpftrace leaves out without a word what it does not find, unless it finds nothing.
                if isinstance(message, Attaching) and message.probes < 2 * len(request.symbols) + 1:
                    raise TargetError(
                        f"bpftrace does not find every chosen function in {request.binary}.", advice=_REBUILT
                    )
                if isinstance(message, Attached):
                    return time.monotonic()
            await running.wait()
    except TimeoutError as late:
        raise ToolFailed(
            f"bpftrace has not put its probes on within {ATTACH_TIMEOUT_S:.0f} seconds.", details=running.stderr_text()
        ) from late
    raise failure(running, request, "bpftrace has ended before its probes were on.")


def failure(running: Running, request: ProbeRequest, sentence: str) -> TailflameError:
    """bpftrace's last words as an error of ours; `sentence` where they are new."""
    said = running.stderr_text()
    if "only supports running as the root user" in said:
        return ToolDenied(
            "bpftrace runs as root alone, and functions are probed by it.",
            advice="Install Tailflame's helper (make install-helper), or run as root.",
            details=said,
        )
    if "No such process" in said:
        return TargetError(f"There is no process {request.pid} any more.", details=said)
    if "does not exist or is not executable" in said:
        return TargetError(f"{request.binary} cannot be probed: it is not there, or not executable.", details=said)
    if "No probes to attach" in said or "ould not resolve symbol" in said:
        return TargetError(f"bpftrace does not find the functions in {request.binary}.", advice=_REBUILT, details=said)
    if "Error attaching probe" in said or "failed to attach" in said.lower():
        return ToolFailed(
            "The kernel refuses a probe at the start of these functions.",
            advice="Choose their callers, or see what bpftrace says.",
            details=said,
        )
    if "Operation not permitted" in said or "Permission denied" in said:
        return ToolDenied(
            "The kernel does not let bpftrace run.",
            advice="In a container it needs CAP_BPF and CAP_PERFMON; kernel lockdown forbids it.",
            details=said,
        )
    return ToolFailed(sentence, details=said)


@contextlib.contextmanager
def plain_path(binary: Path) -> Iterator[str]:
    """The path, or a symbolic link to it where bpftrace would misread its name (a colon, a quote)."""
    path = str(binary.absolute())
    try:
        check_path(path)
    except ValueError:
        with tempfile.TemporaryDirectory(prefix="tailflame-probe-") as folder:
            link = Path(folder, "binary")
            link.symlink_to(path)
            yield str(link)
    else:
        yield path
