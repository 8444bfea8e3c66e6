"""What cg_annotate and callgrind_annotate print, and what a CostTable says, in the same plain form."""

from __future__ import annotations

import gzip
import re
from collections import Counter
from pathlib import Path

import numpy as np

from tailflame.model import CostTable

Costs = tuple[int, ...]
_ROW = re.compile(r" *(-?[\d,.]+(?: +-?[\d,.]+)*) {2,}(\S.*)")
_LINE = re.compile(r"-- line (\d+) -+")


def text_of(path: Path) -> str:
    return gzip.decompress(path.read_bytes()).decode() if path.suffix == ".gz" else path.read_text()


def report_totals(text: str) -> Costs:
    """The figures of "PROGRAM TOTALS"."""
    line = next(line for line in text.splitlines() if line.endswith("PROGRAM TOTALS"))
    return _figures(line.removesuffix("PROGRAM TOTALS"))


def report_functions(text: str) -> dict[str, Costs]:
    """Costs by "file:function" (callgrind's with their object cut off), as many figures as there are events."""
    events = len(report_totals(text))
    found: Counter[tuple[str, int]] = Counter()
    names = []
    for line in text.split("file:function\n", 1)[1].split("\n\n", 1)[0].splitlines():
        row = _ROW.fullmatch(line)
        if row is not None and len(row[1].split()) == events:
            name = re.sub(r" \[[^\[\]]*\]$", "", row[2])
            names.append(name)
            for event, figure in enumerate(_figures(row[1])):
                found[name, event] += figure
    return {name: tuple(found[name, event] for event in range(events)) for name in names}


def report_lines(text: str, file: str) -> dict[int, Costs]:
    """Costs by line of a file that was annotated with --context=0, without what callgrind_annotate tells of calls."""
    lines: dict[int, Costs] = {}
    section = text.split(f"-- Auto-annotated source: {file}\n", 1)[1]
    at = 0
    for line in section.split("\n-----", 1)[0].splitlines():
        mark = _LINE.fullmatch(line)
        if mark is not None:
            at = int(mark[1])
        elif at and (row := _ROW.fullmatch(line)) is not None and not row[2].startswith("=> "):
            lines[at] = _figures(row[1])
            at += 1
    return lines


def _figures(text: str) -> Costs:
    return tuple(0 if word == "." else int(word.replace(",", "")) for word in text.split())


def table_functions(table: CostTable) -> dict[str, Costs]:
    """Costs by "file:function", "???" where unknown."""
    return _summed(
        table, [f"{table.string(f) or '???'}:{table.string(n) or '???'}"
                for f, n in zip(table.file.tolist(), table.function.tolist(), strict=True)]
    )  # fmt: skip


def table_lines(table: CostTable, file: str) -> dict[int, Costs]:
    """Costs by line of one file, without the costs of no known line."""
    mine = np.array([table.string(f) == file for f in table.file.tolist()]) & (table.line > 0)
    found: dict[int, Costs] = {}
    for row in np.flatnonzero(mine).tolist():
        before = found.get(int(table.line[row]), (0,) * len(table.events))
        found[int(table.line[row])] = tuple(a + int(b) for a, b in zip(before, table.costs[row], strict=True))
    return found


def _summed(table: CostTable, keys: list[str]) -> dict[str, Costs]:
    distinct = {key: at for at, key in enumerate(dict.fromkeys(keys))}
    sums = np.zeros((len(distinct), len(table.events)), dtype=np.int64)
    np.add.at(sums, [distinct[key] for key in keys], table.costs)
    return {key: tuple(sums[at].tolist()) for key, at in distinct.items()}
