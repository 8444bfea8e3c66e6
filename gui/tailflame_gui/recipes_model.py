"""What the probes page shows and what it is asked for, in plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from tailflame_gui.record_model import FieldValue, FormField

OWN = ""
"""The name of the row that stands for a program of one's own."""
DURATION = "duration"
"""The name of the field that says how long it runs, s; 0 is until it is stopped."""


class How(StrEnum):
    """Which program is looked at."""

    ATTACH = "attach"
    LAUNCH = "launch"
    NONE = "none"
    """A program of one's own may look at the whole machine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecipeRow:
    """One entry of the gallery. impossible: why it cannot work here, "" where it can. symbol, file: the names of the
    fields that hold a function and its file, "" where it asks for none.
    """

    name: str
    title: str
    question: str
    cost: str = ""
    note: str = ""
    impossible: str = ""
    instead: str = ""
    fields: tuple[FormField, ...] = ()
    symbol: str = ""
    file: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecipesDraft:
    """The wishes as they stand in the form."""

    recipe: str
    values: Mapping[str, FieldValue] = field(default_factory=dict)
    text: str = ""
    how: How = How.ATTACH
    pid: int = 0
    process: str = ""
    binary: str = ""
    arguments: str = ""
    directory: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Composed:
    """What would run. problem: why it cannot, "" where it can. notes: what is worth knowing before."""

    program: str = ""
    command_line: str = ""
    """Whole, for a terminal."""
    command: str = ""
    """The same without the environment and the text, to be read."""
    problem: str = ""
    notes: tuple[str, ...] = ()
    found: str = ""
    """What a typed name of a function stands for."""


@dataclass(frozen=True, slots=True)
class Marked:
    """A place in a program that bpftrace complains of. line: 1-based; first, last: columns, 0 unknown."""

    line: int
    first: int
    last: int
    text: str
    fatal: bool = True
