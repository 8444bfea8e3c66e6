"""Names, inlined functions and source lines of addresses, module by module."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Self

import numpy as np

from tailflame.model import NONE, FrameKind
from tailflame.model.stacks import Bool, Int32, Int64, UInt64, readonly
from tailflame.parse.symbolize.answers import Inlined, Module, Named, no_lines, no_names
from tailflame.parse.symbolize.debug_index import DebugIndexes
from tailflame.parse.symbolize.debuginfod import debuginfod
from tailflame.parse.symbolize.demangle import Demangler
from tailflame.parse.symbolize.elf_file import NOWHERE, ElfFile
from tailflame.parse.symbolize.files import Fetch, ModuleFiles, find_files
from tailflame.parse.symbolize.index_store import IndexStore, default_store, user_home
from tailflame.parse.symbolize.jit import MAP_NAME, jit_table
from tailflame.parse.symbolize.kernel import RecordedKernel, kernel_table, same_as_running
from tailflame.parse.symbolize.plt import plt_symbols
from tailflame.parse.symbolize.state import State
from tailflame.parse.symbolize.symcache import numbered
from tailflame.parse.symbolize.symtab import SymbolTable, elf_symbols, table_of
from tailflame.parse.symbolize.vdso import vdso

_ONE = np.uint64(1)
_UNREAD = -2


def _unwatched() -> None:
    """Goes on."""


@dataclass(frozen=True, slots=True, eq=False)
class _Code:
    """What is known of a module."""

    table: SymbolTable | None = None
    running: ElfFile | None = None
    """Tells linked addresses; None where these are the run-time ones."""
    files: ModuleFiles | None = None
    by_file: bool = True
    """Whether its offsets are those in a file."""


class Symbolizer:
    """Looks up each module's addresses; keeps what it has read of each module. Close it: it may have work going on.

    kernel: what the recording tells of its kernel. recorded_at: when the recording ended (seconds since the epoch): a
    binary that was recorded without a build id is trusted where it is older, and its lines where it is also the same
    file. home: where `.debug`, perf's own cache of binaries, lies. store: where indexes of debug information are kept;
    the user's cache folder by default. fetch: asks debuginfod; by default as the environment says (debuginfod.py), so
    nobody. watch: called now and then while something is waited for; what it raises (Cancelled) ends the work.
    """

    def __init__(
        self,
        *,
        kernel: RecordedKernel | None = None,
        recorded_at: float = 0.0,
        home: Path | None = None,
        store: IndexStore | None = None,
        fetch: Fetch | None = None,
        watch: Callable[[], None] = _unwatched,
    ) -> None:
        self.strings: list[str] = []
        """Names and files that the answers' columns point to; grows with each question."""
        self._numbers: dict[str, int] = {}
        self._kernel = kernel or RecordedKernel()
        self._recorded_at = recorded_at
        self._home = home or user_home()
        self._fetch = fetch or debuginfod(os.environ, watch)
        self._watch = watch
        self._demangler = Demangler()
        self._indexes = DebugIndexes(store or default_store())
        self._codes: dict[Module, _Code] = {}
        self._kernel_table: SymbolTable | None = None
        self._kernel_read = False
        self._states: dict[str, State] = {}
        self._read_texts: dict[tuple[str, str], Int32] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Ends what is still being indexed."""
        self._indexes.close()

    @property
    def states(self) -> Mapping[str, State]:
        """What became of the modules of user code that were asked, by path."""
        return MappingProxyType(self._states)

    @property
    def demangled(self) -> bool:
        """False where names had to stay mangled, because c++filt is missing."""
        return self._demangler.complete

    def expect(self, modules: Iterable[Module]) -> None:
        """Begins to index the debug information of modules that `inlined` will be asked about, in other processes."""
        for module in modules:
            files = self._code(module).files
            if files is not None:
                self._indexes.expect(files)

    def names(self, module: Module, offsets: UInt64) -> Named:
        """The functions that the symbols of a module tell. offsets: ascending."""
        offsets = np.asarray(offsets, dtype=np.uint64)
        code = self._code(module)
        address = self._linked(code, offsets)
        if code.table is None:
            unknown = no_names(offsets)
            return Named(unknown.name, unknown.start, address)
        places = code.table.find(offsets, self._demangler.names)
        known = places >= 0
        distinct, inverse = numbered(places[known], len(code.table))
        numbers = np.array([self._number(code.table.name(place)) for place in distinct.tolist()], dtype=np.int32)
        name = np.full(len(offsets), NONE, dtype=np.int32)
        start = np.zeros(len(offsets), dtype=np.uint64)
        name[known] = numbers[inverse]
        start[known] = code.table.start[places[known]]
        return Named(readonly(name, np.int32), readonly(start, np.uint64), address)

    def inlined(self, module: Module, offsets: UInt64, exact: Bool) -> Inlined:
        """Source lines and inlined functions. exact: whether an offset is the sampled instruction's; otherwise it is
        that which a call returns to, and the call itself stands before it."""
        offsets = np.asarray(offsets, dtype=np.uint64)
        code = self._code(module)
        if code.files is None or code.running is None:
            return no_lines(len(offsets))
        state, index = self._indexes.of(code.files, self._watch)
        self._states[module.path] = state
        if index is None:
            return no_lines(len(offsets))
        named = self.names(module, offsets)
        exact = np.asarray(exact, dtype=bool)
        # A call that never returns has no code of its caller behind it: perf takes what follows for the caller.
        follows = ~exact & ((offsets == 0) | ((named.name >= 0) & (named.start == offsets)))
        before = offsets - np.where(exact | follows, np.uint64(0), _ONE)
        address = code.running.linked(before)
        nowhere = follows | (address == np.uint64(NOWHERE)) | (address < np.uint64(index.base))
        address = np.where(nowhere, np.uint64(NOWHERE), address - np.uint64(index.base))
        found = index.cache.lookup(address)
        # From innermost first to outermost first.
        row = np.repeat(np.arange(len(offsets)), np.diff(found.first))
        turned = found.first[row] + found.first[row + 1] - 1 - np.arange(len(row))
        function, file, line = found.function[turned], found.file[turned], found.line[turned]
        name = self._texts(
            self._seen((code.files.key, "function"), index.cache.functions),
            function,
            index.cache.function,
            demangle=True,
        )
        outermost = found.first[:-1][np.diff(found.first) > 0]
        physical = named.name[row[outermost]]
        name[outermost] = np.where(physical >= 0, physical, name[outermost])
        file = self._texts(self._seen((code.files.key, "file"), index.cache.files), file, index.cache.path)
        lined = Inlined(found.first, name, file, np.where(line > 0, line, NONE))
        lined = self._with_single_lines(
            lined, code.files, named, np.where(nowhere, address, address + np.uint64(index.base))
        )
        return Inlined(*(readonly(column, np.int32) for column in (lined.first, lined.name, lined.file, lined.line)))

    def _with_single_lines(self, found: Inlined, files: ModuleFiles, named: Named, address: UInt64) -> Inlined:
        """Lines of functions of which the debug information tells nothing else: nothing was inlined into them."""
        length = np.diff(found.first)
        bare = (length == 0) & (named.name >= 0) & (address != np.uint64(NOWHERE))
        alone = np.flatnonzero(length == 1)
        bare[alone] = (found.file[found.first[alone]] < 0) & (address[alone] != np.uint64(NOWHERE))
        rows = [
            row
            for row in np.flatnonzero(bare).tolist()
            if named.name[row] >= 0 and not self.strings[named.name[row]].endswith("@plt")
        ]
        if not rows:
            return found
        known = self._indexes.lines(files, np.unique(address[rows]).tolist(), self._watch)
        rows = [row for row in rows if known.get(int(address[row]), (0, ""))[1]]
        new = [row for row in rows if length[row] == 0]
        columns = [np.insert(column, found.first[new], NONE) for column in (found.name, found.file, found.line)]
        added = np.zeros(len(length), dtype=np.int64)
        added[new] = 1
        first = found.first + np.concatenate(([0], np.cumsum(added)))
        name, file, line = columns
        for row in rows:
            number, path = known[int(address[row])]
            at = first[row]
            name[at], file[at], line[at] = named.name[row], self._number(path), number or NONE
        return Inlined(first, name, file, line)

    def _texts(self, known: Int32, numbers: Int64, text: Callable[[int], str], *, demangle: bool = False) -> Int32:
        """Indices into `strings` of an index's own numbers. known: those that were asked before, by number."""
        distinct, _ = numbered(numbers, len(known) - 1)
        wanted = distinct[(distinct >= 0) & (known[distinct] == _UNREAD)].tolist()
        texts = [text(number) for number in wanted]
        readable = self._demangler.names(texts) if demangle else {}
        for number, found in zip(wanted, texts, strict=True):
            known[number] = self._number(readable.get(found, found)) if found else NONE
        return np.asarray(known[numbers], dtype=np.int32)

    def _seen(self, key: tuple[str, str], size: int) -> Int32:
        """By number the index into `strings`; the last entry is that of -1."""
        if key not in self._read_texts:
            self._read_texts[key] = np.full(size + 1, _UNREAD, dtype=np.int32)
            self._read_texts[key][-1] = NONE
        return self._read_texts[key]

    def _linked(self, code: _Code, offsets: UInt64) -> UInt64:
        if not code.by_file:
            return readonly(offsets, np.uint64)
        if code.running is None:
            return no_names(offsets).address
        return readonly(code.running.linked(offsets), np.uint64)

    def _code(self, module: Module) -> _Code:
        if module not in self._codes:
            self._codes[module] = self._read(module)
        return self._codes[module]

    def _read(self, module: Module) -> _Code:
        if module.kind is FrameKind.KERNEL:
            return _Code(None if module.path.startswith("[guest.") else self._of_kernel(), by_file=False)
        if module.path == "[vdso]":
            running = vdso(module.build_id, self._home, same_kernel=same_as_running(self._kernel))
            return _Code(table_of(elf_symbols(running, running)), running) if running is not None else _Code()
        if not module.path.startswith("/") or module.path.startswith("//"):
            return _Code()
        if MAP_NAME.fullmatch(Path(module.path).name):
            return _Code(jit_table(Path(module.path)), by_file=False)
        files = find_files(module, home=self._home, recorded_at=self._recorded_at, fetch=self._fetch)
        self._states[module.path] = files.state
        running, symbols = files.running, files.symbols()
        if running is None or symbols is None:
            return _Code(files=files)
        parts = elf_symbols(symbols, running)
        if symbols is not running and not any(len(part) for part in parts):
            parts = elf_symbols(running, running)
        return _Code(table_of((*parts, *plt_symbols(running))), running, files)

    def _of_kernel(self) -> SymbolTable | None:
        if not self._kernel_read:
            self._kernel_table = kernel_table(self._kernel, self._home)
            self._kernel_read = True
        return self._kernel_table

    def _number(self, text: str) -> int:
        number = self._numbers.setdefault(text, len(self.strings))
        if number == len(self.strings):
            self.strings.append(text)
        return number
