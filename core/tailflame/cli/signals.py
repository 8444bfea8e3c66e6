"""Ctrl-C and its kin, for commands that keep what they have: asked once they end politely, asked twice at once."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Callable, Iterator

from tailflame.errors import Cancelled


@contextlib.contextmanager
def stopped_by_signals(finish: Callable[[], None]) -> Iterator[None]:
    """The first SIGINT, SIGTERM or SIGHUP ends it politely; the second at once."""
    loop = asyncio.get_running_loop()
    task = asyncio.current_task()
    asked = False

    def ask() -> None:
        nonlocal asked
        if asked and task is not None:
            task.cancel()
        asked = True
        finish()

    handled = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # nohup: the terminal may close
        handled.append(signal.SIGHUP)
    for number in handled:
        loop.add_signal_handler(number, ask)
    try:
        yield
    except asyncio.CancelledError:
        raise Cancelled from None
    finally:
        for number in handled:
            loop.remove_signal_handler(number)
