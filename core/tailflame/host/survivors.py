"""Processes that outlive the program that started them: daemons above all."""

from __future__ import annotations

import os
from collections.abc import Iterable

import psutil

_CLOCK_SLACK_S = 5.0
"""Starting times count from the start of the machine, and a clock may be set meanwhile."""


def survivors(pids: Iterable[int], *, since: float) -> tuple[int, ...]:
    """Those of `pids` that live and were started after `since` (seconds since 1970): others have inherited a number."""
    found = []
    for pid in pids:
        try:
            process = psutil.Process(pid)
            alive = process.status() not in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)
            if alive and process.create_time() >= since - _CLOCK_SLACK_S:
                found.append(pid)
        except psutil.NoSuchProcess:
            continue
    return tuple(found)


def survivors_sentence(pids: tuple[int, ...], *, session: int) -> str:
    """What it means for a recording, which ended with its first process, that these live on; "" where none does.

    `session` is the one that the program was started in.
    """
    if not pids:
        return ""
    one = len(pids) == 1
    away = [pid for pid in pids if _session_of(pid) != session]
    who = "1 process that it had started lives" if one else f"{len(pids)} processes that it had started live"
    where = " in a session of its own, as a daemon does" if one else " in sessions of their own, as daemons do"
    return (
        f"{who} on{where if len(away) == len(pids) else ''}: perf stops with the first process, so what"
        f" {'it does' if one else 'they do'} from then on is not in the recording. To record"
        f" {'it' if one else 'them'}, keep the program in the foreground; many have an option for it."
    )


def _session_of(pid: int) -> int:
    try:
        return os.getsid(pid)
    except OSError:
        return -1
