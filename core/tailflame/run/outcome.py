"""How a process ended, as data that phrases its own sentence."""

from __future__ import annotations

import signal
from dataclasses import dataclass
from enum import StrEnum

from tailflame import units


class Ending(StrEnum):
    """Who ended it."""

    ITSELF = "itself"
    USER = "user"
    DURATION = "duration"
    RECORDER = "recorder"
    """We ended it because the recording could not go on."""
    NOBODY = "nobody"
    """It ran before the recording and runs on after it."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """`code` is the exit code, or `signal` the number that killed it; both None where it never ran or nobody knows."""

    what: str
    seconds: float
    code: int | None = None
    signal: int | None = None
    ended_by: Ending = Ending.ITSELF
    forced: bool = False
    """It ignored the polite request and was killed."""

    @classmethod
    def of(
        cls,
        what: str,
        returncode: int | None,
        seconds: float,
        *,
        ended_by: Ending = Ending.ITSELF,
        forced: bool = False,
    ) -> Outcome:
        """From Python's return code: negative for a signal, None for a process that never ran."""
        return cls(
            what=what,
            seconds=seconds,
            code=returncode if returncode is not None and returncode >= 0 else None,
            signal=-returncode if returncode is not None and returncode < 0 else None,
            ended_by=ended_by,
            forced=forced,
        )

    @property
    def ok(self) -> bool:
        """It ended well: of itself with 0, or because it was asked to."""
        asked = self.ended_by in (Ending.USER, Ending.DURATION, Ending.NOBODY)
        return self.code == 0 or (asked and not self.crashed)

    @property
    def crashed(self) -> bool:
        """A signal that nobody sent on purpose."""
        asked = {signal.SIGTERM, signal.SIGINT, *((signal.SIGKILL,) if self.forced else ())}
        expected = self.ended_by is not Ending.ITSELF and self.signal in asked
        return self.signal is not None and not expected

    @property
    def status(self) -> int:
        """What a shell would report in `$?`; 0 for what runs on."""
        if self.signal is not None:
            return 128 + self.signal
        if self.ended_by is Ending.NOBODY:
            return 0
        return self.code if self.code is not None else 125

    @property
    def sentence(self) -> str:
        """As a person says it, without the name: "killed by SIGSEGV after 12.3 s"."""
        time = units.seconds(self.seconds)
        own = self._own_words()
        match self.ended_by:
            case Ending.ITSELF:
                return f"{own} after {time}"
            case Ending.NOBODY:
                return f"runs on; it was recorded for {time}"
            case Ending.USER:
                asked = f"stopped by you after {time}"
            case Ending.DURATION if self.forced:
                return f"stopped when its time was up; it ignored SIGTERM and was killed after {time}"
            case Ending.DURATION:
                asked = f"stopped after {time}, when its time was up"
            case Ending.RECORDER:
                asked = f"stopped after {time} because the recording could not go on"
        if self.forced:
            return f"{asked}; it ignored SIGTERM and was killed"
        if self.crashed or self.code not in (None, 0):
            return f"{asked}; {own} while it stopped"
        return asked

    def _own_words(self) -> str:
        if self.signal is not None:
            return f"killed by {signal_name(self.signal)}"
        if self.code is None:
            return "ended"
        return "finished" if self.code == 0 else f"exited with code {self.code}"


def signal_name(number: int) -> str:
    """SIGSEGV for 11; "signal 60" for one without a name."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def signal_told(text: str, program: str) -> int | None:
    """The signal that a line "/path/engine: Segmentation fault" in `text` names, None where there is none.

    So psignal(3) writes in the C locale; perf stat says it of its program, and ends with 0.
    """
    words = {signal.strsignal(number): int(number) for number in signal.Signals}
    for line in reversed(text.splitlines()):
        name, _, told = line.rpartition(": ")
        if name == program and told in words:
            return words[told]
    return None
