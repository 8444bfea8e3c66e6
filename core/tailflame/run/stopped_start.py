"""Stops itself, then becomes the program in its arguments: run as `python -I -S stopped_start.py PROGRAM ARGS...`.

Whoever started it arms probes, counters and recorders on this process while it stands still, and continues it with
SIGCONT: it keeps its pid through the exec, so that nothing of the program's first second is missed. Standard library
only, and no import of ours: it must not show in what is measured.
"""

import os
import signal
import sys

if __name__ == "__main__":
    os.kill(os.getpid(), signal.SIGSTOP)
    try:
        os.execv(sys.argv[1], sys.argv[1:])
    except OSError as problem:
        sys.stderr.write(f"{sys.argv[1]}: {problem.strerror}\n")
        os._exit(127)
