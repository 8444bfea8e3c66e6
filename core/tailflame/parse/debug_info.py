"""Debug information of one binary, asked address by address: for the text of perf script, and for machine code."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tailflame.model import NONE
from tailflame.parse.symbolize import NOWHERE, Module, State
from tailflame.parse.symbolize.debug_index import DebugIndexes
from tailflame.parse.symbolize.elf_file import ElfFile
from tailflame.parse.symbolize.files import find_files
from tailflame.parse.symbolize.index_store import Index, IndexStore, Lines, default_store, user_home

__all__ = ["DebugInfo", "Line", "State", "open_debug_info"]


class Line(NamedTuple):
    """A function at a place, as the linker knows it. start: where its code begins, -1 for an inlined one; line: -1
    where unknown."""

    symbol: str
    start: int
    file: str
    line: int


@dataclass(frozen=True, slots=True, eq=False)
class DebugInfo:
    """Looks up addresses of one binary."""

    _running: ElfFile
    _index: Index
    _single_lines: Callable[[list[int]], Lines]
    """Of functions of which the debug information tells lines, and nothing else."""

    def address(self, offset: int) -> int:
        """The address that the byte at `offset` of the file is linked to; -1 where it is not loaded."""
        if not 0 <= offset <= NOWHERE:
            return NONE
        found = int(self._running.linked(np.array([offset], dtype=np.uint64))[0])
        return NONE if found == NOWHERE else found

    def lookup(self, address: int) -> list[Line]:
        """Functions at an address, innermost first: inlined ones, then the one they are inlined into."""
        return self.lookup_all([address])[0]

    def lookup_all(self, addresses: Sequence[int]) -> list[list[Line]]:
        base, cache = self._index.base, self._index.cache
        relative = [address - base if address >= base else NOWHERE for address in addresses]
        found = cache.lookup(np.array(relative, dtype=np.uint64))
        rows = zip(found.function.tolist(), found.file.tolist(), found.line.tolist(), strict=True)
        known: dict[tuple[int, int, int], Line] = {}
        lines: list[Line] = []
        for row in rows:
            line = known.get(row)
            if line is None:
                function, file, number = row
                entry = cache.entry(function) if function >= 0 else NONE
                line = known[row] = Line(
                    (cache.function(function) if function >= 0 else "") or "?",
                    entry + base if entry >= 0 else NONE,
                    cache.path(file) if file >= 0 else "",
                    number or NONE,
                )
            lines.append(line)
        runs = [lines[begin:end] for begin, end in pairwise(found.first.tolist())]
        bare = [
            at
            for at, run in enumerate(runs)
            if addresses[at] >= base and (not run or (len(run) == 1 and not run[0].file))
        ]
        single = self._single_lines([addresses[at] for at in bare]) if bare else {}
        for at in bare:
            number, path = single.get(addresses[at], (0, ""))
            if path:
                physical = runs[at][0] if runs[at] else Line("?", NONE, "", NONE)
                runs[at] = [physical._replace(file=path, line=number or NONE)]
        return runs


def _go_on() -> None:
    """Single lines are few: nobody watches while they are looked up."""


def open_debug_info(
    module: str,
    build_id: str,
    *,
    watch: Callable[[], None],
    home: Path | None = None,
    inode: int = 0,
    recorded_at: float = 0.0,
    store: IndexStore | None = None,
) -> tuple[State, DebugInfo | None]:
    """The debug information of the binary at path `module` as it was when it was recorded.

    build_id: "" where it was recorded without: it is then the recorded one where it is older than the recording
    (recorded_at: when that ended, seconds since the epoch) and the very file that was mapped (inode). watch: called now
    and then; what it raises (Cancelled) ends the work. home: where `.debug`, perf's own cache of binaries, lies; the
    user's home folder. store: where indexes of debug information are kept; the user's cache folder.
    """
    if not build_id and not (inode and recorded_at):
        return State.UNKNOWN, None
    asked = Module(module, build_id, inode=inode)
    files = find_files(asked, home=home or user_home(), recorded_at=recorded_at)
    indexes = DebugIndexes(store or default_store())
    try:
        state, index = indexes.of(files, watch)
    finally:
        indexes.close()
    if index is None or files.running is None:
        return state, None
    return state, DebugInfo(files.running, index, lambda addresses: indexes.lines(files, addresses, _go_on))
