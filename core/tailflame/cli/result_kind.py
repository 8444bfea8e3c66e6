"""What a kind of result is on the command line. One file here holds one kind; kinds.py lists them all."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from tailflame.cli.terminal import Terminal
from tailflame.model import Recording


@dataclass(frozen=True, slots=True)
class Section:
    """What a comparison of one kind came to. document: its JSON. worse: what got worse beyond doubt, in words."""

    document: Any
    worse: tuple[str, ...] = ()


class ResultKind(Protocol):
    """One kind of result on the command line. `key` is its name in the JSON documents of show and diff."""

    @property
    def key(self) -> str: ...

    def held(self, recording: Recording) -> bool: ...

    def show(self, recording: Recording, terminal: Terminal, *, number: int) -> Any:
        """Prints it, at most `number` rows of a table; its JSON."""

    def compare(
        self, before: Recording, after: Recording, terminal: Terminal, *, number: int, beyond: float
    ) -> Section:
        """Prints what changed; both hold it. beyond: the share (0.1 is 10 %) up to which a change for the worse is let
        pass.
        """
