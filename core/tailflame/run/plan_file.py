"""tailflame.toml: what of a project is measured, how, and what is wanted of it. One file in the user's repository.

Read without trust: an unknown key is an error that names those there are, because a misspelt bound would hold nothing.
"""

from __future__ import annotations

import difflib
import math
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from tailflame.errors import StoreError
from tailflame.tools.base import OptionValue

FILE_NAME = "tailflame.toml"
VERSION = 1
TOOL_OF: Mapping[str, str] = {
    "cpu": "perf-record",
    "counters": "perf-stat",
    "caches": "cachegrind",
    "heap": "heaptrack",
    "latency": "latency",
    "probes": "bpftrace",
    "syscalls": "strace",
    "benches": "cargo-bench",
}
"""What each step is measured with."""
STEPS = tuple(TOOL_OF)
"""What can be measured, in the order in which it is."""
OUT = "{out}"
"""In an argument, or in the name of a log: the folder of the run's own files."""
MOST_REPETITIONS = 100
_FILE_LIMIT = 1 << 20


class PlanError(StoreError):
    """Something in the plan is wrong; the sentence names the file and the key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """A limit of a figure: low <= figure <= high, in the figure's own unit (ns for latencies)."""

    key: str
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasurementPlan:
    """The content of tailflame.toml. Paths are absolute. `path`: the file; `folder`: where it is; text: what it says.

    bin, example, bench: what cargo builds, the binary is then asked of cargo; binary: a program's path instead.
    exit_codes: of the program, that are no failure.
    build, test: commands; None where they follow from the rest, () for none. probe: names of functions that are timed
    in runs of their own; accept_unwinding: also where a panic that passes through one would end the program.
    """

    path: Path
    text: str = ""
    bin: str = ""
    binary: Path | None = None
    package: str = ""
    profile: str = "release"
    features: tuple[str, ...] = ()
    args: tuple[str, ...] = ()
    directory: Path
    env: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    build: tuple[str, ...] | None = None
    test: tuple[str, ...] | None = None
    fixed_work: bool = False
    exit_codes: tuple[int, ...] = (0,)
    warm_up_s: float = 1.0
    repetitions: int = 5
    steps: tuple[str, ...] = STEPS
    log: str = ""
    fields: tuple[str, ...] = ()
    hlog: str = ""
    probe: tuple[str, ...] = ()
    accept_unwinding: bool = False
    goal: str = ""
    wanted: float = 0.10
    bounds: tuple[Bound, ...] = ()
    tools: Mapping[str, Mapping[str, OptionValue]] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def folder(self) -> Path:
        return self.path.parent


def find_plan(folder: Path) -> Path | None:
    """The plan of `folder`, or of the nearest folder above it."""
    return next((up / FILE_NAME for up in (folder, *folder.parents) if (up / FILE_NAME).is_file()), None)


def read_plan(path: Path) -> MeasurementPlan:
    """PlanError where it cannot be read, is no TOML, or holds what no plan does."""
    path = path.absolute()
    try:
        if path.stat().st_size > _FILE_LIMIT:
            raise PlanError(f"{path} is too large for a plan.", advice="A plan has a few dozen lines.")
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise PlanError(f"{path} cannot be read: {error.strerror}.", advice="`tailflame init` writes one.") from error
    except UnicodeDecodeError as error:
        raise _no_toml(path, error) from error
    return plan_of(text, path)


def plan_of(text: str, path: Path) -> MeasurementPlan:
    """The plan that `path` had when it said `text`. PlanError as above."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise _no_toml(path, error) from error
    return replace(_plan(path, _Table(document, path, "")), text=text)


def _no_toml(path: Path, error: ValueError) -> PlanError:
    return PlanError(f"{path} is no TOML: {error}.", advice="https://toml.io tells how it is written.")


def _plan(path: Path, whole: _Table) -> MeasurementPlan:
    version = whole.whole("version", VERSION, low=1)
    if version > VERSION:
        raise PlanError(
            f"{path} is of a newer Tailflame (version {version}, this one knows {VERSION}).", advice="Update Tailflame."
        )
    whole.knows("version", "target", "measure", "latency", "goal", "bounds", "tools")
    target, measure = whole.table("target"), whole.table("measure")
    latency, goal, tools = whole.table("latency"), whole.table("goal"), whole.table("tools")
    target.knows(
        "bin",
        "path",
        "package",
        "profile",
        "features",
        "args",
        "directory",
        "env",
        "build",
        "test",
        "fixed_work",
        "exit_codes",
    )
    measure.knows("warm_up_s", "repetitions", "steps")
    latency.knows("log", "fields", "hlog", "probe", "accept_unwinding")
    goal.knows("metric", "improve")
    tools.knows(*TOOL_OF.values())
    folder = path.parent
    program = target.text("path")
    if program and target.text("bin"):
        raise target.wrong("path", "alone: the plan names a bin besides")
    steps = measure.texts("steps") if "steps" in measure else STEPS
    for step in steps:
        if step not in STEPS:
            raise measure.wrong("steps", f"of {', '.join(STEPS)}, not “{step}”")
    return MeasurementPlan(
        path=path,
        bin=target.text("bin"),
        binary=(folder / program) if program else None,
        package=target.text("package"),
        profile=target.text("profile", "release"),
        features=target.texts("features"),
        args=target.texts("args"),
        directory=folder / target.text("directory", "."),
        env=MappingProxyType(target.table("env").all_texts()),
        build=target.texts("build") if "build" in target else None,
        test=target.texts("test") if "test" in target else None,
        fixed_work=target.flag("fixed_work"),
        exit_codes=target.wholes("exit_codes", (0,), low=0, high=255),
        warm_up_s=measure.number("warm_up_s", 1.0, low=0.0, high=3600.0),
        repetitions=measure.whole("repetitions", 5, low=1, high=MOST_REPETITIONS),
        steps=tuple(step for step in STEPS if step in steps),
        log=latency.text("log"),
        fields=latency.texts("fields"),
        hlog=latency.text("hlog"),
        probe=latency.texts("probe"),
        accept_unwinding=latency.flag("accept_unwinding"),
        goal=goal.text("metric"),
        wanted=goal.number("improve", 0.10, low=0.0, high=10.0),
        bounds=_bounds(whole.table("bounds")),
        tools=MappingProxyType({name: tools.table(name).options() for name in tools.names()}),
    )


_UNITS = {"": 1.0, "ns": 1.0, "us": 1e3, "µs": 1e3, "ms": 1e6, "s": 1e9, "%": 1.0, "B": 1.0, "kB": 1e3, "MB": 1e6,
          "GB": 1e9}  # fmt: skip
_TIMES = ("ns", "us", "µs", "ms", "s")
_BYTES = ("B", "kB", "MB", "GB")
_PERCENTILE = re.compile(r"p\d+(\.\d+)?( |$)")
_SIZES = frozenset({"peak heap", "leaked", "peak RSS"})


def _bounds(table: _Table) -> tuple[Bound, ...]:
    bounds = []
    for key in table.names():
        bound = table.table(key)
        bound.knows("min", "max", "unit")
        unit, units = bound.text("unit"), _units_of(key)
        if unit and unit not in units:
            raise bound.wrong("unit", f"one of {', '.join(units)}")
        low, high = (bound.number(name, math.nan, low=-1e18, high=1e18) * _UNITS[unit] for name in ("min", "max"))
        if math.isnan(low) and math.isnan(high):
            raise table.wrong(key, "a table with min or max")
        if low > high:
            raise bound.wrong("min", "no more than max")
        bounds.append(Bound(key=key, low=None if math.isnan(low) else low, high=None if math.isnan(high) else high))
    return tuple(bounds)


def _units_of(key: str) -> tuple[str, ...]:
    """The units that a bound of the figure called `key` can have; all of them where its name does not tell."""
    if _PERCENTILE.match(key):
        return _TIMES
    return _BYTES if key in _SIZES else tuple(name for name in _UNITS if name)


class _Table:
    """A table of the file; every access says what it wants."""

    def __init__(self, value: Mapping[str, Any], path: Path, name: str) -> None:
        self._value = value
        self._path = path
        self._name = name

    def __contains__(self, key: str) -> bool:
        return key in self._value

    def names(self) -> tuple[str, ...]:
        return tuple(self._value)

    def _full(self, key: str) -> str:
        return f"{self._name}.{key}" if self._name else key

    def wrong(self, key: str, wanted: str) -> PlanError:
        return PlanError(f"{self._path}: “{self._full(key)}” must be {wanted}.", advice="Correct it, then try again.")

    def knows(self, *names: str) -> None:
        for key in self._value:
            if key not in names:
                near = difflib.get_close_matches(key, names, 1)
                advice = f"Did you mean “{near[0]}”?" if near else f"There are: {', '.join(names)}."
                raise PlanError(f"{self._path}: there is no “{self._full(key)}”.", advice=advice)

    def table(self, key: str) -> _Table:
        value = self._value.get(key, {})
        if not isinstance(value, dict):
            raise self.wrong(key, "a table")
        return _Table(value, self._path, self._full(key))

    def text(self, key: str, default: str = "") -> str:
        value = self._value.get(key, default)
        if not isinstance(value, str) or "\0" in value:
            raise self.wrong(key, "a text")
        return value

    def texts(self, key: str) -> tuple[str, ...]:
        value = self._value.get(key, [])
        if not isinstance(value, list) or not all(isinstance(item, str) and "\0" not in item for item in value):
            raise self.wrong(key, "a list of texts")
        return tuple(value)

    def all_texts(self) -> dict[str, str]:
        return {key: self.text(key) for key in self._value}

    def flag(self, key: str) -> bool:
        value = self._value.get(key, False)
        if not isinstance(value, bool):
            raise self.wrong(key, "true or false")
        return value

    def number(self, key: str, default: float, *, low: float, high: float) -> float:
        value = self._value.get(key, default)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self.wrong(key, "a number")
        if key in self._value and not low <= value <= high:
            raise self.wrong(key, f"from {low:g} to {high:g}")
        return float(value)

    def whole(self, key: str, default: int, *, low: int, high: int = 1 << 31) -> int:
        value = self._value.get(key, default)
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise self.wrong(key, f"a whole number from {low} to {high:,}")
        return value

    def wholes(self, key: str, default: tuple[int, ...], *, low: int, high: int) -> tuple[int, ...]:
        value = self._value.get(key, list(default))
        sound = isinstance(value, list) and value and all(type(item) is int and low <= item <= high for item in value)
        if not sound:
            raise self.wrong(key, f"a list of whole numbers from {low} to {high}")
        return tuple(value)

    def options(self) -> Mapping[str, OptionValue]:
        for key, value in self._value.items():
            if not isinstance(value, str | bool | int | float):
                raise self.wrong(key, "a text, a number, true or false")
        return MappingProxyType(dict(self._value))
