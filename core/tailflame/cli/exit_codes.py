"""What the exit status of `tailflame` means."""

from __future__ import annotations

from enum import IntEnum

from tailflame.errors import (
    Cancelled,
    NotComparable,
    ParseError,
    StoreError,
    TailflameError,
    TargetError,
    ToolDenied,
    ToolFailed,
    ToolMissing,
)


class ExitCode(IntEnum):
    """Stable: scripts may rely on it."""

    OK = 0
    REGRESSION = 1
    USAGE = 2
    INPUT = 3
    TOOL = 4
    TARGET = 5
    INTERNAL = 70
    CANCELLED = 130
    BROKEN_PIPE = 141


MEANING = {
    ExitCode.OK: "it went well",
    ExitCode.REGRESSION: "something got worse: gate, verdict, diff --fail-on-regression",
    ExitCode.USAGE: "the command line was wrong",
    ExitCode.INPUT: "a file or a session could not be read or written; gate: nothing can be said",
    ExitCode.TOOL: "a tool is missing, was denied, or failed",
    ExitCode.TARGET: "the program to profile could not be started",
    ExitCode.INTERNAL: "a fault of Tailflame; the report's place is printed",
    ExitCode.CANCELLED: "cancelled with Ctrl-C",
    ExitCode.BROKEN_PIPE: "the reader of the output went away",
}


class UsageError(TailflameError):
    """The command line was wrong."""


def exit_code_of(error: TailflameError) -> ExitCode:
    """The status that stands for `error`."""
    match error:
        case UsageError():
            return ExitCode.USAGE
        case Cancelled():
            return ExitCode.CANCELLED
        case TargetError():
            return ExitCode.TARGET
        case ToolMissing() | ToolDenied() | ToolFailed():
            return ExitCode.TOOL
        case ParseError() | StoreError() | NotComparable():
            return ExitCode.INPUT
        case _:
            return ExitCode.INTERNAL


def epilog() -> str:
    """The table for --help."""
    rows = [f"  {code.value:>3}  {meaning}" for code, meaning in MEANING.items()]
    return (
        "exit status:\n" + "\n".join(rows) + "\n  record --exit-code ends with the target's own (128 + n for signal n)"
    )
