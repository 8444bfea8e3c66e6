"""Whether a process still runs that is not ours."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time

import pytest

from helpers.loop import PATIENCE_S
from tailflame.live.lifetime import Lifetime


@pytest.mark.parametrize("with_descriptor", [True, False])
def test_a_process_that_ends(monkeypatch: pytest.MonkeyPatch, with_descriptor: bool) -> None:
    def forbidden(pid: int) -> int:
        raise PermissionError

    if not with_descriptor:
        monkeypatch.setattr(os, "pidfd_open", forbidden)
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    lifetime = Lifetime(process.pid)
    assert not lifetime.ended
    process.communicate(b"\n")
    assert lifetime.ended
    assert lifetime.ended
    lifetime.close()
    lifetime.close()
    late = Lifetime(process.pid)
    assert late.ended
    late.close()


def test_an_end_that_nobody_has_asked_for_yet() -> None:
    pid = os.posix_spawn("/bin/true", ["true"], {})
    lifetime = Lifetime(pid)
    asyncio.run(lifetime.wait(time.monotonic() + PATIENCE_S))
    assert lifetime.ended
    os.waitpid(pid, 0)
    lifetime.close()


def test_nobody_in_particular_never_ends() -> None:
    lifetime = Lifetime(None)
    asyncio.run(lifetime.wait(time.monotonic() + 0.01))
    assert not lifetime.ended
    lifetime.close()
