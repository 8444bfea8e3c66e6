"""Stops itself, then becomes the program in its arguments: run as `python -I -S stopped_start.py PROGRAM ARGS...`.

Whoever started it arms probes, counters and recorders on this process while it stands still, and continues it with
SIGCONT: it keeps its pid through the exec, so that nothing of the program's first second is missed. Standard library
only, and no import of ours: it must not show in what is measured.

What stands still takes no signal but SIGKILL: that is what it gets while it does, should whoever started it die.
"""

import ctypes
import os
import signal
import sys

_SET, _GET = 1, 2  # PR_SET_PDEATHSIG, PR_GET_PDEATHSIG of linux/prctl.h

if __name__ == "__main__":
    prctl = ctypes.CDLL(None).prctl
    before = ctypes.c_int(0)
    prctl(_GET, ctypes.byref(before))
    prctl(_SET, int(signal.SIGKILL))
    os.kill(os.getpid(), signal.SIGSTOP)
    prctl(_SET, before.value)
    try:
        os.execv(sys.argv[1], sys.argv[1:])
    except OSError as problem:
        sys.stderr.write(f"{sys.argv[1]}: {problem.strerror}\n")
        os._exit(127)
