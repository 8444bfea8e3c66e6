"""How a recording begins: with how much patience, behind which guard, in which folder."""

from __future__ import annotations

import signal
from dataclasses import dataclass
from pathlib import Path

from tailflame.errors import StoreError
from tailflame.host.guard import guard
from tailflame.tools import Plan, TargetIs


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long each step may take, in seconds."""

    tick: float = 0.25
    search: float = 0.01
    """Between two looks for the target, while the tool starts it."""
    hold: float = 2.0
    """How long output waits at the start until it is known who writes."""
    grace: float = 5.0
    """From SIGTERM to SIGKILL of the target."""
    flush: float = 60.0
    """For the tool to end after its target, counted from when its file last grew or it last used the CPU; also for a
    target that writes the result itself, from SIGTERM to SIGKILL.
    """
    longest_flush: float = 600.0
    """For such a target, however busy it is: it may be one that does not heed SIGTERM."""
    tool_grace: float = 10.0
    """From the tool's SIGINT to its SIGKILL."""
    full: float = 2.0
    """From a disk that is full, and files that grow no more, to the end of the recording."""
    request: float = 30.0
    """For what is asked of the program while it runs."""


def guarded(plan: Plan) -> tuple[tuple[str, ...], dict[str, str]]:
    """What stands before the command line, so that all ends with Tailflame; and the whole environment.

    The program is asked to end as it would be by us. perf and bpftrace are told, so that they end the target and their
    files. A build is left to end by itself.
    """
    env = plan.environment()
    if plan.builds_first:
        return (), env
    asked = signal.SIGINT if plan.target_is in (TargetIs.CHILD_OF_PERF, TargetIs.CHILD) else plan.stop_signal
    prefix = guard(signal.Signals(asked).name.removeprefix("SIG"))
    if not prefix or "LD_PRELOAD" not in plan.env:
        return prefix, env
    # A library that records must be loaded into the program alone, and not into the guard before its exec.
    if "=" in plan.argv[0]:
        return (), env  # env would take it for a variable
    return (*prefix, "env", *(f"{name}={value}" for name, value in plan.env.items())), plan.target.environment()


def make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        raise StoreError(
            f"The folder {folder} cannot be made: {problem.strerror}.", advice="Choose another profiles folder."
        ) from problem
