"""Recipes: bpftrace programs that ask one question each, and what is put into them.

A recipe is a .bt file whose first lines say what it is (see `read`), and whose text holds places, `{{pid}}` and those
of its parameters. Only the standard library is used here, and nothing of Tailflame: a helper that runs as root takes
this file along, with its own copies of the recipes, and trusts them rather than its caller. Nothing that a caller gives
becomes text of a program unless it is a number in its range, one of a recipe's own words, a plain path, or a symbol;
`compose` raises ValueError for whatever else.

The composed program says what it is in lines that begin with MARK, so that its output can be read without the recipe.
Where the recipe takes stacks of the program, it also prints /proc/PID/maps now and then: bpftrace has no names for the
addresses of a program that has ended, and we can look them up.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

MARK = "tailflame-"
"""What a line begins with that tells of the program and not of what it saw."""
ENVIRONMENT = {
    "BPFTRACE_CAT_BYTES_MAX": "1048576",
    "BPFTRACE_MAP_KEYS_MAX": "16384",
    # Their names from 0.21 on.
    "BPFTRACE_MAX_CAT_BYTES": "1048576",
    "BPFTRACE_MAX_MAP_KEYS": "16384",
}
LIVE_MS = (100, 60_000)
"""How often the maps may be printed while it runs."""
LIVE_MS_USUAL = 1000
STACK_KEY = "stack"

_HEADER = re.compile(r"// (\w+): ?(.*)$")
_PLACE = re.compile(r"\{\{(\w+)\}\}")
_MAP_NAME = re.compile(r"@[a-z_0-9]+")
# No quote, no backslash, no colon (bpftrace would split there), no control character, and no wildcard.
_PATH = re.compile(r"/[^\x00-\x1f\x7f\"\\:*?\[\]{}$]{1,3900}")
_SYMBOL = re.compile(r"[A-Za-z_$.][A-Za-z0-9_$.]{0,3999}")
_KINDS = ("number", "choice", "file", "symbol")
_TICK_MS = 100
_MAPS_EVERY_TICKS = 100
_PID_MOST = 1 << 22


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """What a recipe asks for. kind: "number", "choice", "file" (of code) or "symbol" (mangled, of that file).

    default: "" where there is none that fits every program. low, high: of a number. words: of a choice.
    """

    name: str
    kind: str
    default: str
    title: str
    tip: str
    unit: str = ""
    low: int = 0
    high: int = 1 << 40
    words: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class MapColumn:
    """What a map of a recipe holds. unit: of its values: "calls", "ns", "bytes". keys: the kinds of its parts:
    "syscall" (a number), "thread", "stack", "text", "errno" (a number), "function".
    """

    name: str
    title: str
    unit: str
    keys: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """A program that can be asked for by name. needs: probes that the kernel must have, as bpftrace writes them.

    machine_wide: it sees other programs too. instead: what is used in its place, where Tailflame does it better.
    hidden: maps that hold what is going on, and are not printed.
    """

    name: str
    title: str
    question: str
    cost: str
    needs: tuple[str, ...] = ()
    machine_wide: bool = False
    note: str = ""
    instead: str = ""
    parameters: tuple[Parameter, ...] = ()
    maps: tuple[MapColumn, ...] = ()
    hidden: tuple[str, ...] = ()
    text: str = field(default="", repr=False)

    @property
    def takes_stacks(self) -> bool:
        return any(STACK_KEY in one.keys for one in self.maps)


def read(name: str, text: str) -> Recipe:
    """The recipe in a .bt file.

        // title: System calls
        // question: one sentence        // cost: one sentence        // note: one sentence, where there is more to say
        // needs: tracepoint:raw_syscalls:sys_enter tracepoint:raw_syscalls:sys_exit
        // scope: process        (or machine)
        // param: slow_us | number | 1000 | 1 | 1000000 | µs | Slow from | What counts as slow.
        // param: side | choice | both | both,user | | | Side | Which.
        // map: @calls | Calls | calls | syscall,thread
        // hidden: @start

    Raises ValueError where it is none.
    """
    single: dict[str, str] = {}
    parameters: list[Parameter] = []
    maps: list[MapColumn] = []
    lines = text.split("\n")
    first = 0
    for first, line in enumerate(lines):  # noqa: B007 - where the header ends
        match = _HEADER.fullmatch(line.rstrip())
        if match is None:
            break
        word, rest = match[1], match[2].strip()
        cells = [cell.strip() for cell in rest.split("|")]
        if word == "param":
            parameters.append(_parameter(cells))
        elif word == "map":
            if len(cells) != 4 or not _MAP_NAME.fullmatch(cells[0]):
                raise ValueError(f"this describes no map: {line!r}")
            maps.append(MapColumn(name=cells[0], title=cells[1], unit=cells[2], keys=tuple(_words(cells[3]))))
        elif word in single:
            single[word] += f" {rest}"
        else:
            single[word] = rest
    if not single.get("title") or not single.get("question"):
        raise ValueError(f"{name} has no title or no question")
    recipe = Recipe(
        name=name,
        title=single["title"],
        question=single["question"],
        cost=single.get("cost", ""),
        needs=tuple(single.get("needs", "").split()),
        machine_wide=single.get("scope", "process") == "machine",
        note=single.get("note", ""),
        instead=single.get("instead", ""),
        parameters=tuple(parameters),
        maps=tuple(maps),
        hidden=tuple(single.get("hidden", "").split()),
        text="\n".join(lines[first:]).strip("\n") + "\n",
    )
    known = {"pid", *(parameter.name for parameter in recipe.parameters)}
    for place in _PLACE.findall(recipe.text):
        if place not in known:
            raise ValueError(f"{name} has a place for {place}, which it does not ask for")
    return recipe


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


def _parameter(cells: list[str]) -> Parameter:
    if len(cells) != 8 or cells[1] not in _KINDS:
        raise ValueError(f"this describes no parameter: {' | '.join(cells)!r}")
    name, kind, default, low, high, unit, title, tip = cells
    if kind == "choice":
        return Parameter(name=name, kind=kind, default=default, words=tuple(_words(low)), title=title, tip=tip)
    if kind != "number":
        return Parameter(name=name, kind=kind, default=default, title=title, tip=tip)
    return Parameter(
        name=name, kind=kind, default=default, low=int(low), high=int(high), unit=unit, title=title, tip=tip
    )


def checked(parameter: Parameter, value: object) -> str:
    """What stands in the program for `value`. ValueError in words for people where it is not what it must be."""
    text = value if isinstance(value, str) else ""
    match parameter.kind:
        case "number":
            if isinstance(value, bool) or not re.fullmatch(r"-?[0-9]{1,15}", str(value)):
                raise ValueError(f"{parameter.title} takes a whole number")
            if not parameter.low <= int(str(value)) <= parameter.high:
                raise ValueError(f"{parameter.title} lies between {parameter.low:,} and {parameter.high:,}")
            return str(int(str(value)))
        case "choice":
            if text not in parameter.words:
                raise ValueError(f"{parameter.title} is one of {', '.join(parameter.words)}")
            return text
        case "file":
            if not text:
                raise ValueError(f"{parameter.title} is missing")
            if not plain_path(text):
                raise ValueError(f"{parameter.title} takes an absolute path that bpftrace can read, not {text!r}")
            return text
        case _:
            if not text:
                raise ValueError(f"{parameter.title} is missing")
            if _SYMBOL.fullmatch(text) is None:
                raise ValueError(f"{parameter.title} takes the name of a symbol, not {text!r}")
            return text


def plain_path(path: str) -> bool:
    """Whether bpftrace reads a path as it is."""
    return _PATH.fullmatch(path) is not None and "//" not in path and "/../" not in f"{path}/"


def values_of(recipe: Recipe, given: Mapping[str, object]) -> dict[str, str]:
    """Every parameter's value, checked. ValueError, also for a parameter that the recipe does not have."""
    known = {parameter.name for parameter in recipe.parameters}
    for name in given:
        if name not in known:
            raise ValueError(f"{recipe.title} does not ask for {name!r}")
    return {
        parameter.name: checked(parameter, given.get(parameter.name, parameter.default))
        for parameter in recipe.parameters
    }


def compose(
    recipe: Recipe,
    given: Mapping[str, object],
    *,
    pid: int | None,
    machine: str,
    live_ms: int = LIVE_MS_USUAL,
) -> str:
    """The program. pid: None for the program that bpftrace starts (-c). live_ms: print the maps so often.

    Raises ValueError.
    """
    values = values_of(recipe, given)
    if pid is not None and (isinstance(pid, bool) or not isinstance(pid, int) or not 1 <= pid <= _PID_MOST):
        raise ValueError("the pid is no number of a process")
    if isinstance(live_ms, bool) or not isinstance(live_ms, int) or not LIVE_MS[0] <= live_ms <= LIVE_MS[1]:
        raise ValueError("the interval is out of its range")
    if re.fullmatch(r"[a-z0-9_]{1,32}", machine) is None:
        raise ValueError("this is no kind of machine")
    whose = "cpid" if pid is None else str(pid)
    values["pid"] = whose
    said = [f'printf("{MARK}recipe|{recipe.name}|{machine}\\n");']
    said += [f'printf("{MARK}map|{m.name}|{m.title}|{m.unit}|{",".join(m.keys)}\\n");' for m in recipe.maps]
    # A map of stacks is long, and its addresses are looked up anew each time: at the end alone.
    shown = [one.name for one in recipe.maps if STACK_KEY not in one.keys]
    hidden = list(recipe.hidden)
    parts = [
        "BEGIN {",
        *(f"  {one}" for one in said),
        "}",
        _PLACE.sub(lambda place: values[place[1]], recipe.text).rstrip("\n"),
    ]
    if shown:
        parts.append(f"interval:ms:{live_ms} {{ {' '.join(f'print({name});' for name in shown)} }}")
    if recipe.takes_stacks:
        hidden.append("@tailflame_ticks")
        parts.append(
            f"interval:ms:{_TICK_MS} {{ if (@tailflame_ticks == 0 || @tailflame_ticks == 5"
            f" || @tailflame_ticks % {_MAPS_EVERY_TICKS} == {_MAPS_EVERY_TICKS - 1})"
            f' {{ cat("/proc/%d/maps", {whose}); }} @tailflame_ticks = @tailflame_ticks + 1; }}'
        )
    if hidden:
        parts.append(f"END {{ {' '.join(f'clear({name});' for name in hidden)} }}")
    return "\n".join((*parts, ""))
