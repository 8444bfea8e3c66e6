"""Where nobody asks for the password, it is asked for in the terminal. pkexec and pkttyagent are played."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from helpers.loop import in_loop
from tailflame.errors import ToolDenied
from tailflame.live.helper_client import VERSION, HelperClient
from tailflame.live.terminal_agent import TerminalAgent

AGENT = """#!{python}
import os, sys, signal
assert sys.argv[1:4] == ["--process", str(os.getppid()), "--notify-fd"], sys.argv
open("agent", "w").close()
signal.signal(signal.SIGTERM, lambda *_: (os.unlink("agent"), sys.exit(0)))
os.close(int(sys.argv[4]))
while True:
    signal.pause()
"""
PKEXEC = f"""
import os, sys
open("asked", "a").write("x")
if not os.path.exists("agent"):
    print("Error executing command as another user: No authentication agent found.", file=sys.stderr)
    sys.exit(127)
print('{{"event": "hello", "version": {VERSION}, "uid": 1}}', flush=True)
sys.stdin.read()
"""
ARGV = (sys.executable, "-c", PKEXEC)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    agent = tmp_path / "bin" / "pkttyagent"
    agent.parent.mkdir()
    agent.write_text(AGENT.format(python=sys.executable))
    agent.chmod(0o755)
    monkeypatch.setenv("PATH", f"{agent.parent}:{os.environ['PATH']}")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@in_loop
async def test_the_terminal_asks_where_nobody_else_does(folder: Path) -> None:
    client = await HelperClient.start(ARGV, terminal=True)
    assert client.alive
    assert (folder / "asked").read_text() == "xx"
    assert not (folder / "agent").exists(), "it has ended with the question"
    await client.close()


@in_loop
async def test_without_a_terminal_it_is_an_error(folder: Path) -> None:
    with pytest.raises(ToolDenied, match="no authentication agent"):
        await HelperClient.start(ARGV)
    assert (folder / "asked").read_text() == "x"


@in_loop
async def test_an_agent_that_cannot_start_changes_nothing(folder: Path) -> None:
    (folder / "bin" / "pkttyagent").write_text("#!/bin/sh\nexit 127\n")
    with pytest.raises(ToolDenied, match="no authentication agent"):
        await HelperClient.start(ARGV, terminal=True)


def test_an_agent_that_is_closed_does_not_start(folder: Path) -> None:
    agent = TerminalAgent()
    agent.close()
    agent.start()
    assert not (folder / "agent").exists()
