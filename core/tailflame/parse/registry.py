"""What a format is. One file in parse/ holds one format; formats.py lists them all."""

from __future__ import annotations

from typing import Protocol

from tailflame.model import Recording
from tailflame.parse.source import Source

NO = -1.0
"""What `sniff` answers for "certainly not mine"."""


class Format(Protocol):
    """Recognises and reads one kind of file. Implementations hold no state."""

    @property
    def name(self) -> str:
        """The word for `--format` and for Recording.format: "folded"."""

    @property
    def title(self) -> str:
        """For people, inside a sentence: "folded stacks"."""

    def sniff(self, head: bytes, name: str) -> float:
        """How surely the file is of this format: below 0 for no, up to 1.

        head: the first 64 KiB, decompressed. name: the file's name without a compression suffix; it may break
        a tie (by 0.05 at most), never decide: content does.
        """

    def load(self, source: Source) -> Recording:
        """Reads the whole file; ParseError where it is not what the format promises."""
