"""Tools that live sources start: their lines, their last words, their end."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest

from helpers.loop import in_loop
from tailflame.errors import ToolMissing
from tailflame.live.launcher import Running, start


def python(code: str) -> tuple[str, ...]:
    return sys.executable, "-c", f"import os, signal, sys, time\n{code}"


async def all_lines(running: Running) -> list[bytes]:
    return [line async for line in running.lines()]


@in_loop
async def test_lines_come_whole_and_the_last_one_without_its_end() -> None:
    running = await start(python("print('a\\n\\nb'); print('x' * 3_000_000); print('last', end='')"))
    assert await all_lines(running) == [b"a", b"", b"b", b"x" * 3_000_000, b"last"]
    assert await running.wait() == 0
    assert await running.stop() == 0


@in_loop
async def test_stderr_and_exit_code_are_kept() -> None:
    running = await start(python("sys.stderr.write('no such event\\n'); sys.exit(3)"))
    assert await all_lines(running) == []
    assert await running.wait() == 3
    assert running.stderr_text() == "no such event\n"


@in_loop
async def test_an_interrupted_tool_has_its_last_words() -> None:
    code = (
        "signal.signal(2, lambda *_: (print('bye'), sys.exit(0)))\nprint('up', flush=True)\nwhile True: time.sleep(9)"
    )
    running = await start(python(code))
    seen = []
    async for line in running.lines():
        seen.append(line)
        running.interrupt()
    assert seen == [b"up", b"bye"]
    assert await running.stop() == 0


@in_loop
async def test_a_deaf_tool_that_writes_without_end_is_killed() -> None:
    code = "signal.signal(2, signal.SIG_IGN)\nwhile True: print('x' * 1000)"
    running = await start(python(code))
    async for _ in running.lines():
        break
    assert await running.stop(grace_s=0.1) == -signal.SIGKILL
    with pytest.raises(ProcessLookupError):
        os.kill(running.pid, 0)


@in_loop
async def test_a_pipe_that_a_grandchild_holds_open_does_not_hold_the_reader() -> None:
    code = "import subprocess; p = subprocess.Popen(['sleep', '600']); print(p.pid)"
    running = await start(python(code))
    (line,) = await all_lines(running)
    os.kill(int(line), signal.SIGKILL)
    assert await running.stop() == 0


@in_loop
async def test_it_may_write_to_a_file(tmp_path: Path) -> None:
    running = await start(python("print(os.environ['LC_ALL'], os.environ['MORE'])"), env={"MORE": "1"},
                          stdout=tmp_path / "out")  # fmt: skip
    assert await all_lines(running) == []
    assert await running.wait() == 0
    assert (tmp_path / "out").read_text() == "C 1\n"


@in_loop
async def test_a_missing_tool_is_said() -> None:
    with pytest.raises(ToolMissing, match="no-such-tool is not installed"):
        await start(("no-such-tool",))
