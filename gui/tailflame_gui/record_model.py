"""What the record page shows and what its user wishes, as plain data. It knows no tool, no file, no widget."""

from __future__ import annotations

import math
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeAlias

from tailflame_gui.rows import Level

PERF_RECORD = "perf-record"
CARGO_FLAMEGRAPH = "cargo-flamegraph"

MIN_DURATION_S = 0.1
MAX_DURATION_S = 86_400.0
MAX_FREQUENCY = 1_000_000
MAX_STACK = 65_528

_NAME = re.compile(r"[^=\0]+")
_SHELL_ONLY = re.compile(r"^(\|\|?|&&?|;|[0-9]?>>?|<<?|[0-9]?>&[0-9])$")
_EXPANDED = re.compile(r"\$[A-Za-z_{(]|`")
_MOST_QUEUED = 64

FieldValue: TypeAlias = str | bool | int | float
NO_VALUES: Mapping[str, FieldValue] = MappingProxyType({})


# What the user wishes.


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetDraft:
    """The target as it stands in the form: what is wrong with it is said, not refused."""

    binary: str = ""
    arguments: str = ""
    """As typed; `split` makes words of it."""
    directory: str = ""
    """"" for the folder that Tailflame was started in."""
    environment: tuple[tuple[str, str], ...] = ()
    """(name, value), laid over the user's own environment."""
    duration_s: float | None = None
    """None: until it ends or is stopped."""
    project: str = ""
    """The folder of the cargo project, for cargo flamegraph."""
    cargo_kind: str = "bin"
    cargo_name: str = ""
    cargo_package: str = ""
    pid: int | None = None
    """The running process to attach to, in place of starting `binary`. It is not kept in presets."""
    attach: bool = False
    """A running process is asked for, chosen or not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OptionsDraft:
    """The tool and its options as they stand in the form."""

    tool: str = PERF_RECORD
    call_graph: str = "dwarf"
    frequency: int = 1999
    events: tuple[str, ...] = ("cpu-clock",)
    dwarf_stack: int = 8192
    off_cpu: bool = False
    """Also how long threads are off the CPU."""
    extra: str = ""
    """Further arguments for the tool, as typed."""
    profile: str = ""
    """cargo's profile; "" for the tool's own choice."""
    features: str = ""
    """cargo's features, separated by commas."""
    values: Mapping[str, FieldValue] = field(default_factory=lambda: NO_VALUES, hash=False)
    """What differs from the defaults of a tool whose options are fields, by their names."""

    def document(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "tool": self.tool,
            "call_graph": self.call_graph,
            "frequency": self.frequency,
            "events": list(self.events),
            "dwarf_stack": self.dwarf_stack,
            "off_cpu": self.off_cpu,
            "extra": self.extra,
            "profile": self.profile,
            "features": self.features,
            "values": dict(self.values),
        }

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> OptionsDraft:
        """What `document` wrote; what is no such value keeps its default."""
        fields, plain = _Fields(document), cls()
        return cls(
            tool=fields.text("tool", plain.tool),
            call_graph=fields.text("call_graph", plain.call_graph),
            frequency=_whole(fields.number("frequency") or plain.frequency, 1, MAX_FREQUENCY),
            events=fields.texts("events") or plain.events,
            dwarf_stack=_whole(fields.number("dwarf_stack") or plain.dwarf_stack, 8, MAX_STACK),
            off_cpu=document.get("off_cpu") is True,
            extra=fields.text("extra"),
            profile=fields.text("profile"),
            features=fields.text("features"),
            values=fields.values("values"),
        )


@dataclass(frozen=True, slots=True)
class Draft:
    """Everything one recording needs. queue: the tools that run one after the other on this target instead."""

    target: TargetDraft = TargetDraft()
    options: OptionsDraft = OptionsDraft()
    queue: tuple[OptionsDraft, ...] = ()

    @property
    def in_project(self) -> bool:
        """It records a target of a cargo project and not a binary."""
        return self.options.tool == CARGO_FLAMEGRAPH

    @property
    def key(self) -> str:
        """Whose presets it belongs to: the binary's or the project's path."""
        return self.target.project if self.in_project else self.target.binary

    @property
    def each(self) -> tuple[Draft, ...]:
        """One draft for each tool of the queue; this one alone where nothing is queued."""
        return tuple(Draft(self.target, options) for options in self.queue) or (self,)

    def document(self) -> dict[str, Any]:
        """As JSON values, for the settings file."""
        target = self.target
        return {
            "arguments": target.arguments,
            "directory": target.directory,
            "environment": [list(pair) for pair in target.environment],
            "duration_s": target.duration_s,
            "cargo": [target.cargo_kind, target.cargo_name, target.cargo_package],
            **self.options.document(),
            "queue": [options.document() for options in self.queue],
        }

    @classmethod
    def from_document(cls, document: Mapping[str, Any], *, target: TargetDraft) -> Draft:
        """What `document` wrote, for the binary, project or process of `target`. What is no such value keeps its
        default.
        """
        fields = _Fields(document)
        kind, name, package = _three(fields.texts("cargo"))
        duration = fields.number("duration_s")
        return cls(
            replace(
                target,
                arguments=target.arguments if target.attach else fields.text("arguments"),
                directory=fields.text("directory"),
                environment=fields.pairs("environment"),
                duration_s=min(max(duration, MIN_DURATION_S), MAX_DURATION_S) if duration is not None else None,
                cargo_kind=kind or "bin",
                cargo_name=name,
                cargo_package=package,
            ),
            OptionsDraft.from_document(document),
            tuple(OptionsDraft.from_document(part) for part in fields.parts("queue")[:_MOST_QUEUED]),
        )


class _Fields:
    """A JSON object read without trust."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self._document = document

    def text(self, name: str, default: str = "") -> str:
        value = self._document.get(name)
        return value if isinstance(value, str) else default

    def number(self, name: str) -> float | None:
        value = self._document.get(name)
        usable = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
        return float(value) if usable and value is not None else None

    def values(self, name: str) -> Mapping[str, FieldValue]:
        value = self._document.get(name)
        found = value.items() if isinstance(value, dict) else ()
        return {
            key: one
            for key, one in found
            if isinstance(key, str) and isinstance(one, str | bool | int | float) and one == one
        }

    def parts(self, name: str) -> tuple[Mapping[str, Any], ...]:
        value = self._document.get(name)
        return tuple(part for part in value if isinstance(part, dict)) if isinstance(value, list) else ()

    def texts(self, name: str) -> tuple[str, ...]:
        value = self._document.get(name)
        return tuple(item for item in value if isinstance(item, str)) if isinstance(value, list) else ()

    def pairs(self, name: str) -> tuple[tuple[str, str], ...]:
        value = self._document.get(name)
        rows = value if isinstance(value, list) else []
        return tuple(
            (row[0], row[1])
            for row in rows
            if isinstance(row, list) and len(row) == 2 and all(isinstance(item, str) for item in row)
        )


def _whole(value: float, least: int, most: int) -> int:
    return round(min(max(value, least), most))


def _three(texts: tuple[str, ...]) -> tuple[str, str, str]:
    kind, name, package = (*texts, "", "", "")[:3]
    return kind, name, package


@dataclass(frozen=True, slots=True)
class Words:
    """Arguments as the program will get them. `problem` says why the text cannot be split; `note` what a shell would
    have done with it and nobody does here.
    """

    words: tuple[str, ...] = ()
    problem: str = ""
    note: str = ""


def split(text: str) -> Words:
    """Splits as a shell does: blanks separate, quotes and backslashes keep together. Nothing is expanded or run."""
    try:
        words = tuple(shlex.split(text))
    except ValueError as error:
        # shlex says "No closing quotation" or "No escaped character".
        known = {"No closing quotation": "a quote is not closed", "No escaped character": "it ends in a backslash"}
        return Words(problem=known.get(str(error), str(error)))
    if "\0" in text:
        return Words(problem="an argument cannot hold a NUL character")
    special = next((word for word in words if _SHELL_ONLY.match(word)), "")
    if not special and (found := _EXPANDED.search(re.sub(r"'[^']*'|\\.", "", text))):
        special = found[0].rstrip("{(") + "…"
    note = f"No shell reads this: “{special}” reaches the program as it stands." if special else ""
    return Words(words, note=note)


def problem_of_variable(name: str, value: str) -> str:
    """Why this cannot stand in an environment, "" where it can."""
    if not name:
        return "A variable needs a name."
    if not _NAME.fullmatch(name):
        return "A name holds no “=”."
    return "A value holds no NUL character." if "\0" in value else ""


# What can be chosen.


@dataclass(frozen=True, slots=True)
class Choice:
    """One option of a tool. `reason` says why it is off where it is not `available`."""

    value: str
    text: str
    tip: str = ""
    available: bool = True
    reason: str = ""
    group: str = ""


class FieldKind(StrEnum):
    """What a field of a form takes."""

    CHOICE = "choice"
    FLAG = "flag"
    WHOLE = "whole number"
    NUMBER = "number"
    TEXT = "text"


@dataclass(frozen=True, slots=True, kw_only=True)
class FormField:
    """One option of a tool as a line of a form; the words are those of tools.OptionField."""

    name: str
    title: str
    tip: str
    kind: FieldKind
    default: FieldValue
    choices: tuple[tuple[str, str], ...] = ()
    low: float = 0
    high: float = 1e9
    unit: str = ""
    only_with: tuple[str, FieldValue] | None = None
    rare: bool = False
    reason: str = ""

    def taken(self, value: FieldValue | None) -> FieldValue:
        """`value` as this field takes it; what it cannot take becomes the default."""
        match self.kind:
            case FieldKind.FLAG:
                return value if isinstance(value, bool) else self.default
            case FieldKind.WHOLE | FieldKind.NUMBER:
                if isinstance(value, bool) or not isinstance(value, int | float):
                    return self.default
                kept = min(max(value, self.low), self.high)
                return round(kept) if self.kind is FieldKind.WHOLE else float(kept)
            case FieldKind.CHOICE:
                known = [choice for choice, _meaning in self.choices]
                return value if isinstance(value, str) and value in known else self.default
            case FieldKind.TEXT:
                return value if isinstance(value, str) and "\0" not in value else self.default


def shown_fields(fields: tuple[FormField, ...], values: Mapping[str, FieldValue]) -> tuple[FormField, ...]:
    """The fields that have a meaning with these values: what `only_with` names may itself have none."""
    named = {one.name: one for one in fields}

    def meant(one: FormField, depth: int = 0) -> bool:
        if one.only_with is None or depth > len(fields):
            return True
        name, wanted = one.only_with
        above = named.get(name)
        return above is None or (above.taken(values.get(name)) == wanted and meant(above, depth + 1))

    return tuple(one for one in fields if meant(one))


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolChoice:
    """A tool and what of it can work here."""

    name: str
    title: str
    answers: str
    cost: str
    available: bool = True
    reason: str = ""
    fix: str = ""
    version: str = ""
    call_graphs: tuple[Choice, ...] = ()
    events: tuple[Choice, ...] = ()
    many_events: bool = True
    """Several events in one recording, each with a weight of its own."""
    dwarf_stacks: tuple[int, ...] = ()
    max_frequency: int | None = None
    """The kernel's limit; None where it does not tell."""
    off_cpu: Choice | None = None
    """How long threads wait, beside its events; None where the tool cannot tell."""
    needs_project: bool = False
    """It builds a target of a cargo project."""
    family: str = ""
    """What it looks at; the list is grouped by it."""
    slow_down: str = ""
    """How much slower a program runs under it, a sentence; "" where `cost` says it."""
    times: float = 1.0
    """How many times its own time a program that computes takes under it."""
    launches: bool = True
    attaches: bool = False
    fields: tuple[FormField, ...] | None = None
    """Its options; None for a tool with a form of its own."""


@dataclass(frozen=True, slots=True)
class CargoChoice:
    """Something of a project that can be run."""

    kind: str
    name: str
    package: str = ""


@dataclass(frozen=True, slots=True)
class ProjectChoice:
    """A cargo project, its targets, and its profiles beside cargo's own. `problem` says why it cannot be read."""

    folder: str
    targets: tuple[CargoChoice, ...] = ()
    profiles: tuple[str, ...] = ()
    problem: str = ""
    fix: str = ""


# What is known before it runs.


@dataclass(frozen=True, slots=True)
class CheckRow:
    """One line of the preflight. `command` is the fix as a command line, where one command is all of it."""

    level: Level
    title: str
    detail: str = ""
    fix: str = ""
    command: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Assessment:
    """What would happen if Record were pressed now."""

    checks: tuple[CheckRow, ...] = ()
    facts: str = ""
    """What the binary is, in a few words."""
    command_line: str = ""
    """The exact command; the session's folder, which does not exist yet, is called SESSION in it."""
    to_copy: str = ""
    """The same for a terminal: the files go to the terminal's own folder."""
    note: str = ""
    """What the command line does not say by itself: the placeholder in it, how the recording ends."""
    problem: str = ""
    """Why there is no command, or why it cannot run."""

    @property
    def ready(self) -> bool:
        return bool(self.command_line) and not self.problem

    @property
    def passed(self) -> tuple[CheckRow, ...]:
        return tuple(row for row in self.checks if row.level is Level.OK)

    @property
    def open(self) -> tuple[CheckRow, ...]:
        """What is not in order, the gravest first."""
        order = (Level.ERROR, Level.WARNING, Level.NOTE)
        rows = [row for row in self.checks if row.level is not Level.OK]
        return tuple(sorted(rows, key=lambda row: order.index(row.level)))


# What is seen while it runs.


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """One look at the process tree, counts as rates per second. None: not known, which is not zero."""

    time_s: float
    cpu_percent: float | None = None
    """Of one CPU."""
    rss: float | None = None
    threads: float | None = None
    voluntary: float | None = None
    involuntary: float | None = None
    minor_faults: float | None = None
    major_faults: float | None = None
    read_bytes: float | None = None
    write_bytes: float | None = None
    io_permitted: bool = True
    """The kernel tells this user of the tree's I/O."""


@dataclass(frozen=True, slots=True)
class RunHead:
    """What has just been started."""

    title: str
    command_line: str
    duration_s: float | None = None
    builds_first: bool = False
    samples: bool = True
    """It counts samples; what does not shows none."""
    attached: bool = False
    """The program ran before, and runs on when the tool lets go of it."""
    requests: tuple[RequestRow, ...] = ()
    place: str = ""
    """ "2 of 4" in a queue."""


@dataclass(frozen=True, slots=True)
class RequestRow:
    """Something that can be asked for while it runs."""

    name: str
    title: str
    tip: str


@dataclass(frozen=True, slots=True)
class FileRow:
    """A file that appeared while it runs, or the one that an answered request has left."""

    path: Path
    title: str
    bytes: int = 0
    time_s: float = 0.0
    """Seconds since the start."""
