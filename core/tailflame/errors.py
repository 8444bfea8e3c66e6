"""The errors a user can meet.

    TailflameError
    |- ToolMissing        a program is not installed
    |- ToolDenied         the system refuses what a tool needs
    |- ToolFailed         a tool ran and did not do its job
    |- TargetError        the program to profile cannot be started
    |- ParseError         a file is not what its format promises
    |  `- UnknownFormat   a file is none of the formats
    |- NotComparable      two results measure different things
    |- StoreError         a session or the catalogue cannot be read or written
    |  `- StoreVersionError   written by a newer Tailflame
    `- Cancelled          the user asked to stop; not a failure

An error states facts: what happened and where. `advice` is what to do about it, one sentence.
Front-ends print `sentence` and `advice`; a traceback never reaches a user.
"""

from __future__ import annotations


class TailflameError(Exception):
    """`sentence` says what happened and where; `advice` says what to do (may be empty)."""

    def __init__(self, sentence: str, *, advice: str = "", details: str = "") -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.advice = advice
        self.details = details
        """Longer material for "copy details": a tool's own output, a line of the file."""

    def __str__(self) -> str:
        return f"{self.sentence} {self.advice}".rstrip()


class ToolMissing(TailflameError):
    """A program is not installed."""


class ToolDenied(TailflameError):
    """The system refuses what a tool needs."""


class ToolFailed(TailflameError):
    """A tool ran and did not do its job."""


class TargetError(TailflameError):
    """The program to profile cannot be started."""


class ParseError(TailflameError):
    """A file is not what its format promises.

    `source` names the file; `line` is 1-based, None where the format has no lines.
    """

    def __init__(
        self,
        sentence: str,
        *,
        source: str = "",
        line: int | None = None,
        advice: str = "",
        details: str = "",
    ) -> None:
        super().__init__(sentence, advice=advice, details=details)
        self.source = source
        self.line = line


class UnknownFormat(ParseError):
    """A file is none of the formats."""


class NotComparable(TailflameError):
    """Two results measure different things."""


class StoreError(TailflameError):
    """A session or the catalogue cannot be read or written."""


class StoreVersionError(StoreError):
    """Written by a newer Tailflame."""


class Cancelled(TailflameError):
    """The user asked to stop."""

    def __init__(self, sentence: str = "Cancelled.") -> None:
        super().__init__(sentence)
