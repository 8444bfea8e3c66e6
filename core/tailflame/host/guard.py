"""What ends a tool when Tailflame itself is killed."""

from __future__ import annotations

import shutil


def guard(signal_name: str) -> tuple[str, ...]:
    """What makes a child get a signal when the thread that started it dies: `setpriv` of util-linux, where it is there.

    Setting it between fork and exec ourselves would run Python in a fork of a program with threads, which may deadlock.
    """
    setpriv = shutil.which("setpriv")
    return (setpriv, "--pdeathsig", signal_name, "--") if setpriv is not None else ()
