"""A child under the event loop: its output, its end, and who gets signals."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tailflame.errors import TargetError, ToolFailed, ToolMissing
from tailflame.run.process import Child, Handle, Output, _Text, guard


async def start(
    code: str, own_lines: re.Pattern[str] | None = None, cwd: Path | None = None
) -> tuple[Child, asyncio.Event]:
    woken = asyncio.Event()
    child = await Child.start(
        (sys.executable, "-c", code), wake=woken.set, cwd=cwd, env=dict(os.environ), own_lines=own_lines
    )
    return child, woken


async def outputs(child: Child, woken: asyncio.Event) -> AsyncIterator[Output]:
    """Everything until the end."""
    while not child.closed:
        woken.clear()
        for output in child.take():
            yield output
        if not child.closed:
            await woken.wait()
    for output in child.take(partial=True):
        yield output
    child.close()


def run(code: str, own_lines: re.Pattern[str] | None = None) -> tuple[dict[str, str], int | None]:
    async def everything() -> tuple[dict[str, str], int | None]:
        child, woken = await start(code, own_lines)
        texts = {"stdout": "", "stderr": "", "tool": ""}
        async for output in outputs(child, woken):
            texts[output.stream] += output.text
        return texts, child.returncode

    return asyncio.run(everything())


def test_both_streams_and_the_code() -> None:
    texts, code = run("import sys; print('out'); print('err', file=sys.stderr); sys.exit(3)")
    assert (texts["stdout"], texts["stderr"], code) == ("out\n", "err\n", 3)


def test_a_signal_is_negative() -> None:
    assert run("import os; os.kill(os.getpid(), 11)")[1] == -11


def test_lines_above_64_kib_and_characters_cut_in_two() -> None:
    texts, _ = run("import sys; sys.stdout.buffer.write(('ä' * 300_000 + '\\n').encode() + b'\\xff!'); print('é' * 5)")
    assert texts["stdout"] == "ä" * 300_000 + "\n�!" + "é" * 5 + "\n"


def test_lines_of_stderr_go_to_their_owner_whole() -> None:
    texts, _ = run(
        "import sys, time\n"
        "for part in ('mine\\n[ perf ', 'record: Woken ]\\n', 'again', ' mine\\n[ perf record: Captured ]\\nlast'):\n"
        "    sys.stderr.write(part); sys.stderr.flush(); time.sleep(0.02)",
        re.compile(r"^\[ perf record: .*\]$"),
    )
    assert texts["tool"] == "[ perf record: Woken ]\n[ perf record: Captured ]\n"
    assert texts["stderr"] == "mine\nagain mine\nlast"


def test_stdin_is_at_its_end() -> None:
    assert run("print(repr(input.__call__() if False else __import__('sys').stdin.read()))")[0]["stdout"] == "''\n"


def test_a_flood_waits_for_its_reader() -> None:
    """100 MB are never held: the child is made to wait, and nothing is lost."""

    async def flood() -> tuple[int, int]:
        child, woken = await start("import sys\nfor _ in range(100): sys.stdout.write('x' * 999_999 + '\\n')")
        largest = total = 0
        while not child.closed:
            woken.clear()
            await asyncio.sleep(0)
            size = sum(len(output.text) for output in child.take())
            largest, total = max(largest, size), total + size
            if not size and not child.closed:
                await woken.wait()
        total += sum(len(output.text) for output in child.take(partial=True))
        child.close()
        return largest, total

    largest, total = asyncio.run(flood())
    assert total == 100_000_000
    assert largest < 10_000_000


def test_a_slow_reader_pauses_the_child() -> None:
    async def slow() -> int:
        child, woken = await start("import sys\nfor _ in range(40): sys.stdout.write('x' * 999_999 + '\\n')")
        while not child._paused:
            await woken.wait()
            woken.clear()
        held = child._held
        total = 0
        async for output in outputs(child, woken):
            total += len(output.text)
        assert total == 40_000_000
        return held

    assert asyncio.run(slow()) < 10_000_000


def test_own_session() -> None:
    texts, _ = run("import os; print(os.getsid(0) == os.getpid())")
    assert texts["stdout"] == "True\n"


def test_what_cannot_be_started(tmp_path: Path) -> None:
    async def begin(argv: tuple[str, ...], cwd: Path | None = None) -> None:
        await Child.start(argv, wake=lambda: None, cwd=cwd, env={})

    with pytest.raises(ToolMissing, match="nosuch"):
        asyncio.run(begin((str(tmp_path / "nosuch"),)))
    with pytest.raises(ToolFailed, match="Permission denied"):
        asyncio.run(begin((str(tmp_path),)))
    with pytest.raises(TargetError, match="working directory"):
        asyncio.run(begin(("true",), tmp_path / "nosuch"))


def test_a_grandchild_that_holds_the_pipe_does_not_hold_us() -> None:
    async def orphan() -> tuple[bool, bool]:
        child, woken = await start(
            "import subprocess, sys\nsubprocess.Popen([sys.executable, '-c', 'import time; time.sleep(30)'])"
        )
        while not child.ended:
            woken.clear()
            await woken.wait()
        closed = child.closed
        left = child.signal_group(signal.SIGKILL)
        child.close()
        return closed, left

    assert asyncio.run(orphan()) == (False, True)


def test_handle_signals_and_hears_of_the_end() -> None:
    async def held() -> tuple[bool, bool, int | None]:
        child, woken = await start("import time; print('ready', flush=True); time.sleep(30)")
        while not child.take():
            woken.clear()
            await woken.wait()
        ended = asyncio.Event()
        handle = Handle(child.pid, ended.set)
        assert handle.alive
        sent = handle.signal(signal.SIGTERM)
        await asyncio.wait_for(ended.wait(), 10)
        again = handle.signal(signal.SIGTERM)
        while not child.closed:
            woken.clear()
            await woken.wait()
        child.close()
        return sent, again, child.returncode

    assert asyncio.run(held()) == (True, False, -signal.SIGTERM)


def test_handle_of_nobody() -> None:
    async def nobody() -> None:
        with pytest.raises(ProcessLookupError):
            Handle(2**22 - 1, lambda: None)

    asyncio.run(nobody())


def test_guard_needs_setpriv(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "setpriv").write_text("")
    (tmp_path / "setpriv").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert guard("INT") == (str(tmp_path / "setpriv"), "--pdeathsig", "INT", "--")
    monkeypatch.setenv("PATH", "/nowhere")
    assert guard("INT") == ()


def test_half_a_line_waits() -> None:
    text = _Text()
    text.feed(b"one\ntw")
    assert text.take(partial=False) == "one\n"
    assert text.take(partial=False) == ""
    text.feed(b"o\n")
    assert text.take(partial=False) == "two\n"
    text.feed(b"end")
    assert text.take(partial=True) == "end"
