"""Who outlives the program that was recorded."""

from __future__ import annotations

import os
import subprocess
import time

from tailflame.host.survivors import survivors, survivors_sentence


def test_only_those_that_live_and_were_started_since() -> None:
    began = time.time()
    living = subprocess.Popen(["sleep", "60"], start_new_session=True)
    dead = subprocess.Popen(["true"])
    os.waitid(os.P_PID, dead.pid, os.WEXITED | os.WNOWAIT)  # a zombie until somebody takes note of it
    try:
        assert survivors([living.pid, dead.pid, 2**22 + 1], since=began) == (living.pid,)
        assert survivors([living.pid], since=began + 3600) == (), "a number that was inherited"
        own = survivors_sentence((living.pid,), session=os.getsid(0))
        assert own.startswith("1 process that it had started lives on in a session of its own, as a daemon does: perf")
        assert "its own" not in survivors_sentence((living.pid,), session=living.pid)
        two = survivors_sentence((living.pid, living.pid), session=0)
        assert two.startswith("2 processes that it had started live on in sessions of their own, as daemons do: perf")
        assert survivors_sentence((), session=0) == ""
    finally:
        living.kill()
        living.wait()
        dead.wait()
