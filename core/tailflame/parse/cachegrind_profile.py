"""Costs of source lines as a table and as a profile, for all the tools that count them.

In the profile each cost is an event of its own, and a stack is one frame: a function at a line. So the views of stacks
show what costs what, and the source view shows it line by line.
"""

from __future__ import annotations

import shlex
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from tailflame.model import Caution, CostTable, Event, FrameKind, FrameTable, SampleTable, StackProfile, StackTable
from tailflame.model.costs import is_library
from tailflame.model.stacks import NONE, Bool, Int32, Int64, readonly
from tailflame.parse.frames import Numbers
from tailflame.units import Unit, count

MOST_LINES = 400_000
"""Lines from which on those are told together, by function, that cost next to nothing."""
THIN = 1e-6
"""The share of every event's total under which a line costs next to nothing."""
DESCRIPTIONS = {
    "Ir": "Instructions executed",
    "I1mr": "Instruction reads that miss the first-level cache",
    "ILmr": "Instruction reads that miss the last-level cache",
    "Dr": "Data reads",
    "D1mr": "Data reads that miss the first-level cache",
    "DLmr": "Data reads that miss the last-level cache",
    "Dw": "Data writes",
    "D1mw": "Data writes that miss the first-level cache",
    "DLmw": "Data writes that miss the last-level cache",
    "Bc": "Conditional branches executed",
    "Bcm": "Conditional branches mispredicted",
    "Bi": "Indirect branches executed",
    "Bim": "Indirect branches mispredicted",
    # https://valgrind.org/docs/manual/cg-manual.html of the versions before 3.5: the last level was the second.
    "I2mr": "Instruction reads that miss the second-level cache",
    "D2mr": "Data reads that miss the second-level cache",
    "D2mw": "Data writes that miss the second-level cache",
    "sysCount": "System calls",
    "sysTime": "Time in system calls",
    "sysCpuTime": "CPU time in system calls",
    "Ge": "Global bus events",
}
_UNKNOWN = ("", "???")


class Place(NamedTuple):
    """Where rows of costs belong: a group and a line each (0: unknown); of each group the indices into lists of
    modules, files and functions (-1: unknown).
    """

    group: Int64
    line: Int64
    module: Int64
    file: Int64
    function: Int64


def cost_table(
    *,
    events: tuple[str, ...],
    place: Place,
    modules: tuple[str, ...],
    files: tuple[str, ...],
    functions: tuple[str, ...],
    costs: Int64,
    totals: tuple[int, ...] | None,
    notes: tuple[str, ...],
    descriptions: tuple[str, ...] | None = None,
    real: bool = False,
) -> CostTable:
    """The table of rows that name each place once. totals None: what the rows add up to."""
    strings = Numbers()
    has_rows = np.zeros(len(place.module), dtype=bool)
    has_rows[place.group] = True
    module = _numbered(strings, modules, place.module, has_rows)[place.group]
    file = _numbered(strings, files, place.file, has_rows, as_file=True)[place.group]
    function = _numbered(strings, functions, place.function, has_rows)[place.group]
    return CostTable(
        events=events,
        descriptions=descriptions or tuple(DESCRIPTIONS.get(event, "") for event in events),
        strings=tuple(strings),
        module=_frozen(module, np.int32),
        file=_frozen(file, np.int32),
        function=_frozen(function, np.int32),
        line=readonly(np.where(place.line > 0, place.line, NONE), np.int32),
        costs=_frozen(costs, np.int64),
        totals=readonly(costs.sum(axis=0) if totals is None else totals, np.int64),
        notes=notes,
        real=real,
    )


def _numbered(
    strings: Numbers, texts: tuple[str, ...], index: Int64, has_rows: Bool, *, as_file: bool = False
) -> Int32:
    """The names that the `index` of each group points to as numbers of `strings`; -1 for those that say that they are
    not known. Names of groups without rows are not taken up.
    """
    if not len(texts):
        return np.full(len(index), NONE, dtype=np.int32)
    used = np.flatnonzero(np.bincount(index[has_rows] + 1, minlength=len(texts) + 1)[1:])
    number = np.full(len(texts) + 1, NONE, dtype=np.int32)  # the last one stands for -1
    for at in used.tolist():
        text = normalised(texts[at]) if as_file else texts[at]
        number[at] = NONE if text in _UNKNOWN else strings[text]
    return number[index]


def normalised(file: str) -> str:
    """A file's name without what says nothing: "./malloc/./malloc/malloc.c" is "malloc/malloc/malloc.c".

    "../" stays: what it leads out of may be a link.
    """
    if "./" not in file and "//" not in file:
        return file
    root = "/" if file.startswith("/") else ""
    return root + "/".join(part for part in file.split("/") if part not in ("", "."))


def words_of_command(text: str) -> tuple[str, ...]:
    """A command line as words; split at blanks where its quotes do not close."""
    try:
        return tuple(shlex.split(text))
    except ValueError:
        return tuple(text.split())


def events_of(table: CostTable) -> tuple[Event, ...]:
    return tuple(Event(name, Unit.EVENTS, True, Unit.EVENTS, True) for name in table.events)


def line_profile(table: CostTable) -> tuple[StackProfile, tuple[Caution, ...]]:
    """Each function at a line as a stack of one frame. Costs below zero are left out, and that is told."""
    fat = _worth_a_line(table)
    line = np.where(fat, table.line, NONE)
    file = np.where(fat | (table.function < 0), table.file, NONE)
    frame, frames = _frames(table, file, line)
    has_less = bool(table.costs.min(initial=0) < 0)  # of cg_diff alone: others need no looking through again and again
    weights = [
        np.bincount(frame, weights=np.maximum(column, 0) if has_less else column, minlength=len(frames))
        for column in table.costs.T
    ]
    spent = [np.flatnonzero(weight) for weight in weights]
    period = _frozen(np.concatenate([weight[rows] for weight, rows in zip(weights, spent, strict=True)]), np.float64)
    events = np.repeat(np.arange(len(spent)), [len(rows) for rows in spent])
    stack = np.concatenate(spent)
    size = len(stack)
    nobody = _frozen(np.full(size, NONE, np.int32), np.int32)
    profile = StackProfile(
        frames=frames,
        stacks=StackTable(
            frame=readonly(np.arange(len(frames)), np.int32), parent=readonly(np.full(len(frames), NONE), np.int32)
        ),
        samples=SampleTable(
            stack=_frozen(stack, np.int32),
            count=period,
            period=period,
            time_ns=_frozen(np.full(size, NONE, np.int64), np.int64),
            thread=nobody,
            cpu=nobody,
            event=_frozen(events, np.int32),
        ),
        threads=(),
        events=events_of(table),
    )
    told = []
    below = int((table.costs < 0).any(axis=1).sum()) if has_less else 0
    if below:
        what = "1 line costs" if below == 1 else f"{count(below)} lines cost"
        told.append(
            Caution(
                f"The file is the difference of two runs: {what} less than before, which the graphs of functions and"
                " the source leave out; the view of caches has all of them.",
                "Open the two files that it was made from and compare them here.",
            )
        )
    thin = int((~fat).sum())
    if thin:
        told.append(
            Caution(
                f"{count(thin)} lines that cost less than a millionth of everything are told by their function alone"
                " in the graphs and the source; the view of caches has each of them."
            )
        )
    return profile, tuple(told)


def _worth_a_line(table: CostTable) -> Bool:
    if len(table) <= MOST_LINES:
        return np.ones(len(table), dtype=bool)
    least = np.maximum(np.abs(table.totals).astype(np.float64) * THIN, 1.0)
    fat = (table.costs >= least).any(axis=1)
    if table.costs.min(initial=0) < 0:
        fat |= (table.costs <= -least).any(axis=1)
    return np.asarray(fat)


def _frames(table: CostTable, file: Int32, line: Int32) -> tuple[Int32, FrameTable]:
    """The frame of each row, and the frames: of each function the one that tells most of it comes first.

    cachegrind does not say in which file a function itself stands, only where the code in it was written. That is told
    by the file with most of its cost that is not a library's.
    """
    unknown = len(table.strings)
    function = np.where(table.function < 0, unknown, table.function).astype(np.int64)
    # Two keys are sorted in half the time of four, and most tools tell no modules.
    place = function * (unknown + 2) + file + 1
    keys = [line, place] if (table.module == NONE).all() else [line, file, table.module, function]
    order = np.lexsort(keys)
    fresh = np.zeros(len(order), dtype=bool)
    fresh[:1] = True
    for key in keys:
        arranged = key[order]
        fresh[1:] |= arranged[1:] != arranged[:-1]
    frame = np.empty(len(order), dtype=np.int64)
    frame[order] = np.cumsum(fresh) - 1
    first = order[fresh]
    distinct = np.stack([column[first].astype(np.int64) for column in (function, table.module, file, line)])
    weight = np.bincount(frame, weights=np.abs(table.costs[:, 0]).astype(np.float64), minlength=distinct.shape[1])
    place = _standing(distinct, weight, table.strings)
    rank = np.empty(len(place), dtype=np.int64)
    rank[place] = np.arange(len(place))
    distinct = distinct[:, place]
    return readonly(rank[frame], np.int32), FrameTable(
        strings=(*table.strings, "???"),
        name=readonly(distinct[0], np.int32),
        module=readonly(distinct[1], np.int32),
        file=readonly(distinct[2], np.int32),
        line=readonly(distinct[3], np.int32),
        kind=readonly(np.where(distinct[0] == unknown, FrameKind.OTHER, FrameKind.USER), np.uint8),
    )


def _standing(frames: Int64, weight: Int64, strings: tuple[str, ...]) -> Int64:
    """The order of frames: by function, and of each its own file first, line by line."""
    function, _module, file, line = frames
    library = np.zeros(len(strings) + 1, dtype=bool)
    library[-1] = True  # an unknown one is none of the program's
    for at in np.unique(file[file >= 0]).tolist():
        library[at] = is_library(strings[at])
    # frames stand by function, module and file: the weight of each of these runs
    fresh = np.ones(len(function), dtype=bool)
    fresh[1:] = (frames[:3, 1:] != frames[:3, :-1]).any(axis=0)
    starts = np.flatnonzero(fresh)
    sums = np.add.reduceat(weight, starts) if len(starts) else weight
    heavy = sums[np.cumsum(fresh) - 1]
    return np.lexsort((np.where(line < 0, np.iinfo(np.int64).max, line), -heavy, library[file], function))


def _frozen(column: npt.NDArray[Any], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """`column` itself, read-only, where nobody else has it: there may be a gigabyte of it."""
    whole = np.ascontiguousarray(column, dtype=dtype)
    whole.flags.writeable = False
    return whole
