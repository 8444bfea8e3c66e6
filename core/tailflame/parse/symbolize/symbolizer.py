"""Names, inlined functions and source lines of addresses, module by module."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import MappingProxyType

import numpy as np

from tailflame.model import NONE, FrameKind
from tailflame.model.stacks import Bool, Int64, UInt64, readonly
from tailflame.parse.symbolize.answers import Inlined, Module, Named, no_lines, no_names
from tailflame.parse.symbolize.demangle import Demangler
from tailflame.parse.symbolize.elf_file import ElfFile, NotElf, open_elf
from tailflame.parse.symbolize.state import State
from tailflame.parse.symbolize.symtab import SymbolTable, elf_symbols, table_of


def _ignored(share: float) -> None:
    """Progress that nobody watches."""


class Symbolizer:
    """Looks up each module's addresses; keeps what it has read of each module.

    recorded_at: when the recording ended (seconds since the epoch): a binary that was recorded without a build id is
    trusted where it is older, and the same file. home: where `.debug`, perf's own cache of binaries, lies. progress:
    called with 0 to 1 of the question at hand; what it raises (Cancelled) ends the work.
    """

    def __init__(
        self,
        *,
        recorded_at: float = 0.0,
        home: Path | None = None,
        progress: Callable[[float], None] = _ignored,
    ) -> None:
        self.strings: list[str] = []
        """Names and files that the answers' columns point to; grows with each question."""
        self._numbers: dict[str, int] = {}
        self._recorded_at = recorded_at
        self._home = home or Path.home()
        self._progress = progress
        self._demangler = Demangler()
        self._tables: dict[Module, tuple[ElfFile | None, SymbolTable | None]] = {}
        self._states: dict[str, State] = {}

    @property
    def states(self) -> Mapping[str, State]:
        """What became of the modules that were asked, by path."""
        return MappingProxyType(self._states)

    @property
    def demangled(self) -> bool:
        """False where names had to stay mangled, because c++filt is missing."""
        return self._demangler.complete

    def names(self, module: Module, offsets: UInt64) -> Named:
        """The functions that the symbols of a module tell. offsets: ascending."""
        offsets = np.asarray(offsets, dtype=np.uint64)
        running, table = self._table(module)
        if table is None:
            found = no_names(offsets)
            return found if running is None else Named(found.name, found.start, _linked(running, offsets))
        places = table.find(offsets, self._demangler.names)
        known = places >= 0
        distinct, inverse = np.unique(places[known], return_inverse=True)
        numbers = np.array([self._number(table.name(place)) for place in distinct.tolist()], dtype=np.int32)
        name = np.full(len(offsets), NONE, dtype=np.int32)
        start = np.zeros(len(offsets), dtype=np.uint64)
        name[known] = numbers[inverse]
        start[known] = table.start[places[known]]
        address = offsets if running is None else _linked(running, offsets)
        return Named(readonly(name, np.int32), readonly(start, np.uint64), readonly(address, np.uint64))

    def inlined(self, module: Module, offsets: UInt64, exact: Bool) -> Inlined:
        """Source lines and inlined functions. exact: whether an offset is the sampled instruction's; otherwise it is
        that which a call returns to, and the call itself stands before it."""
        return no_lines(len(offsets))

    def _table(self, module: Module) -> tuple[ElfFile | None, SymbolTable | None]:
        if module not in self._tables:
            self._tables[module] = self._read(module)
        return self._tables[module]

    def _read(self, module: Module) -> tuple[ElfFile | None, SymbolTable | None]:
        if module.kind is not FrameKind.USER or not module.path.startswith("/"):
            return None, None
        try:
            elf = open_elf(Path(module.path))
        except NotElf:
            return None, None
        if module.build_id and elf.build_id() != module.build_id:
            return None, None
        return elf, table_of(elf_symbols(elf, elf))

    def _number(self, text: str) -> int:
        number = self._numbers.setdefault(text, len(self.strings))
        if number == len(self.strings):
            self.strings.append(text)
        return number


def _linked(elf: ElfFile, offsets: UInt64) -> UInt64:
    return readonly(elf.linked(offsets), np.uint64)
