"""Which time a recording of system calls tells: how long calls took, or the CPU time that they spent in the kernel.

`strace -c` sums up CPU time unless it is run with -w, and its table looks the same either way.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from tailflame.model import Caution, Recording

_OPTION = re.compile(r"-[A-Za-z]*w[A-Za-z]*")
_WORDS = {
    True: "how long calls took",
    False: "CPU time inside the kernel",
    None: "CPU time inside the kernel unless strace was run with -w",
}


def tells_wall_time(recording: Recording) -> bool | None:
    """True: how long calls took; False: CPU time inside the kernel; None where nobody knows which of the two."""
    trace = recording.syscalls
    assert trace is not None
    if len(trace):
        return True
    known = {sums.wall for sums in trace.sums}
    if len(known) == 1 and None not in known:
        return known.pop()
    return _asked_for(recording.meta.tool_argv)


def _asked_for(argv: Sequence[str]) -> bool | None:
    """What strace's command line asks for; None where it is not known."""
    if not argv or argv[0].rpartition("/")[2] != "strace":
        return None
    for word in argv[1:]:
        if word == "--":
            break
        if word == "--summary-wall-clock" or _OPTION.fullmatch(word) is not None:
            return True
    return False


def time_cautions(recording: Recording) -> tuple[Caution, ...]:
    """What has to be known of the seconds of a table."""
    if recording.syscalls is None:
        return ()
    wall = tells_wall_time(recording)
    if wall or not any(sums.seconds.any() for sums in recording.syscalls.sums):
        return ()
    doubt = "not how long calls took." if wall is False else "unless strace was run with -w: its table does not tell."
    return (
        Caution(
            f"The seconds are CPU time inside the kernel, {doubt}",
            "Record with strace -c -w, or every call by itself, to see how long calls take.",
        ),
    )


def unlike_times(before: Recording, after: Recording) -> str:
    """Why the times of two recordings say nothing of each other, a sentence; "" where they do."""
    one, two = tells_wall_time(before), tells_wall_time(after)
    if one is two:
        return ""
    return f"Times are not compared: the baseline's are {_WORDS[one]}, the candidate's {_WORDS[two]}."
