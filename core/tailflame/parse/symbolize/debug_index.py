"""Indexes of debug information, module by module: from the disk, or made by processes of their own, side by side."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tailflame.parse.symbolize import read_line_programs
from tailflame.parse.symbolize.elf_file import ElfFile
from tailflame.parse.symbolize.files import ModuleFiles
from tailflame.parse.symbolize.index_store import Index, IndexStore, Lines, lines_in
from tailflame.parse.symbolize.indexing import SIZE_LIMIT, Indexing
from tailflame.parse.symbolize.state import State
from tailflame.parse.symbolize.symcache import parse_symcache

ASKED_LIMIT = 20_000
"""Addresses of a module of which single lines are asked."""
_PROCESSORS = os.cpu_count() or 1


@dataclass(slots=True)
class DebugIndexes:
    """Each is looked for once. `close` ends what is still being made."""

    store: IndexStore
    _known: dict[str, tuple[State, Index | None]] = field(default_factory=dict)
    _working: dict[str, Indexing] = field(default_factory=dict)
    _waiting: deque[tuple[str, Path]] = field(default_factory=deque)
    _bases: dict[str, int] = field(default_factory=dict)
    _lines: dict[str, Lines] = field(default_factory=dict)

    def expect(self, files: ModuleFiles) -> None:
        """Begins to make an index that will be asked for."""
        if files.key and files.key not in self._bases and self._kept(files.key) is None:
            source = files.debug_info()
            if source is not None and source.size <= SIZE_LIMIT:
                self._bases[files.key] = _base(source)
                self._waiting.append((files.key, source.path))
                # The first picture is being made meanwhile, and two processors are often the halves of one.
                self._go_on((_PROCESSORS - 1) // 2)

    def of(self, files: ModuleFiles, watch: Callable[[], None]) -> tuple[State, Index | None]:
        """The index of a module, and what became of it. watch: called now and then; what it raises ends the work."""
        key = files.key
        if not key:
            return files.state, None
        kept = self._kept(key)
        if kept is None:
            kept = self._known[key] = self._made(files, watch)
        return kept

    def lines(self, files: ModuleFiles, addresses: list[int], watch: Callable[[], None]) -> Lines:
        """Lines of addresses (as linked) at which the index knows no function: for each, or as far as they are told."""
        key = files.key
        if key not in self._lines:
            self._lines[key] = self.store.get_lines(key)
        known = self._lines[key]
        unknown = [address for address in addresses if address not in known][:ASKED_LIMIT]
        source = files.debug_info() if unknown else None
        if source is not None and source.size <= SIZE_LIMIT:
            asked = "".join(f"{address:x}\n" for address in unknown)
            try:
                answer = Indexing(source.path, read_line_programs, asked).wait(watch, partial=True)
            except OSError:
                answer = b""
            known.update(dict.fromkeys(unknown, (0, "")))
            known.update(lines_in(answer.decode("utf-8", "replace")))
            self.store.put_lines(key, known)
        return known

    def close(self) -> None:
        self._waiting.clear()
        for indexing in self._working.values():
            indexing.stop()
        self._working.clear()

    def _kept(self, key: str) -> tuple[State, Index | None] | None:
        if key not in self._known:
            index = self.store.get(key)
            if index is None:
                return None
            self._known[key] = State.READ, index
        return self._known[key]

    def _made(self, files: ModuleFiles, watch: Callable[[], None]) -> tuple[State, Index | None]:
        key = files.key
        if key not in self._bases:
            source = files.debug_info()
            if source is None:
                return State.NO_DEBUG_INFO, None
            if source.size > SIZE_LIMIT:
                return State.TOO_LARGE, None
            self._bases[key] = _base(source)
            self._waiting.appendleft((key, source.path))
        if key not in self._working:
            path = next(path for other, path in self._waiting if other == key)
            self._waiting.remove((key, path))
            try:
                self._working[key] = Indexing(path)
            except OSError:
                return State.NO_DEBUG_INFO, None
        self._go_on(_PROCESSORS)
        payload = self._working[key].wait(watch)
        del self._working[key]
        self._go_on(_PROCESSORS)
        cache = parse_symcache(payload)
        if cache is None:
            return State.NO_DEBUG_INFO, None
        self.store.put(key, self._bases[key], payload)
        return State.READ, Index(self._bases[key], cache)

    def _go_on(self, at_once: int) -> None:
        while self._waiting and sum(indexing.works for indexing in self._working.values()) < at_once:
            key, path = self._waiting.popleft()
            try:
                self._working[key] = Indexing(path)
            except OSError:
                self._known[key] = State.NO_DEBUG_INFO, None


def _base(elf: ElfFile) -> int:
    """What the index's addresses are relative to."""
    return int(elf.segments["vaddr"][0]) if len(elf.segments) else 0
