"""The machine code and the sources of what a profile measured: found, read, and joined by line.

Everything here blocks for some tenths of a second, the first look into a binary's debug information for a second or
two: call it from a thread.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np

from tailflame.analyse.annotate import CodePlace, InstructionLines
from tailflame.analyse.names import plain
from tailflame.host.cargo import project_root
from tailflame.host.disassembly import CodeRange, FunctionCode, NoCode, disassemble, find_binary, ranges_of
from tailflame.host.elf import Elf
from tailflame.host.functions import demangled
from tailflame.host.source_files import Found, MissingSource, PathMap, SourceText, find_source, read_source
from tailflame.model import FrameKind, Meta
from tailflame.model.stacks import NONE, readonly
from tailflame.parse.debug_info import DebugInfo, Line, State, open_debug_info

Watch = Callable[[], None]
_BINARIES = 4


def build_id_of(meta: Meta, module: str) -> str:
    """The build id that was recorded of a module; "" where none was, or several were: it was replaced meanwhile."""
    name = module.removesuffix(" (deleted)")
    found = {build_id for path, build_id in meta.build_ids if path.removesuffix(" (deleted)") == name}
    return found.pop() if len(found) == 1 else ""


def read_code(
    place: CodePlace, meta: Meta, *, watch: Watch = lambda: None, symbol: CodeRange | None = None
) -> FunctionCode:
    """The machine code of `place`: the symbol in it with the most weight, or the one asked for.

    Raises:
        NoCode: it is not on this machine, or is another build.
        ToolMissing, ToolFailed: objdump is missing, or failed.
    """
    if place.kind is FrameKind.JIT:
        raise NoCode(
            f"{place.name} was compiled while the program ran.", advice="Its code is not kept in the recording."
        )
    if place.kind is FrameKind.KERNEL and not place.module.startswith("/"):
        raise NoCode(
            f"{place.name} belongs to the kernel, whose code is not kept in a recording.",
            advice="`perf annotate` can show it where a vmlinux of the same build is installed.",
        )
    if not place.module:
        raise NoCode(f"The file does not tell which binary holds {place.name}.")
    build_id = build_id_of(meta, place.module)
    binary = find_binary(place.module, build_id)
    watch()
    ranges = ranges_of(binary, (int(a) for a in place.address))
    weights = {symbol.start: _within(place, symbol) for symbol in ranges}
    heaviest = sorted(ranges, key=lambda symbol: -weights[symbol.start])
    chosen = next((known for known in heaviest if symbol is not None and known.start == symbol.start), heaviest[0])
    caution = ""
    if not build_id:
        caution = f"The recording does not tell which build of {binary.name} ran: the code may be another one's."
    return FunctionCode(binary, disassemble(binary, chosen, watch=watch), tuple(heaviest), caution)


def _within(place: CodePlace, symbol: CodeRange) -> float:
    inside = (place.address >= np.uint64(symbol.start)) & (place.address < np.uint64(symbol.stop))
    return float(place.weight[inside].sum())


def instruction_lines(
    code: FunctionCode, module: str, meta: Meta, *, watch: Watch = lambda: None
) -> tuple[InstructionLines | None, State]:
    """Where each instruction was written; None, and why, where the debug information does not tell."""
    build_id = build_id_of(meta, module) or _build_id(code.binary)
    state, info = _debug_info(module, build_id, watch)
    if info is None:
        return None, state
    chains = info.lookup_all([int(a) for a in code.disassembly.address])
    watch()
    return _joined(chains), state


def _joined(chains: Iterable[Sequence[Line]]) -> InstructionLines:
    """Chains of lines, innermost first, as a table in which equal ends are one."""
    rows: dict[tuple[str, str, int, int], int] = {}
    places: list[int] = []
    for chain in chains:
        into = NONE
        for line in reversed(chain):
            into = rows.setdefault((line.symbol, line.file, line.line, into), len(rows))
        places.append(into)
    names, _worked = demangled([symbol for symbol, _file, _line, _into in rows])
    return InstructionLines(
        place=readonly(places, np.int32),
        name=tuple(plain(name) for name in names),
        file=tuple(file for _symbol, file, _line, _into in rows),
        line=readonly([line for _symbol, _file, line, _into in rows], np.int32),
        into=readonly([into for _symbol, _file, _line, into in rows], np.int32),
    )


_lock = threading.Lock()
_opened: dict[tuple[str, str], tuple[State, DebugInfo | None]] = {}


def _debug_info(module: str, build_id: str, watch: Watch) -> tuple[State, DebugInfo | None]:
    """The index of a binary's debug information: the last few are kept, because each takes a second to make."""
    key = module, build_id
    with _lock:
        found = _opened.pop(key, None)
    if found is None:
        found = open_debug_info(module, build_id, watch=watch)
    with _lock:
        _opened[key] = found
        while len(_opened) > _BINARIES:
            _opened.pop(next(iter(_opened)))
    return found


@functools.lru_cache(maxsize=16)
def _build_id(binary: Path) -> str:
    with Elf(binary) as elf:
        return elf.build_id


def read_lines(
    name: str, *, path_map: PathMap = (), roots: Sequence[Path] = (), binary: str = ""
) -> tuple[Found, SourceText]:
    """The source that debug information calls `name`. MissingSource lists where it was looked for.

    roots: folders that relative names may begin at; binary: the program, whose project counts as well.
    """
    built_at: float | None = None
    every = list(roots)
    if binary:
        path = Path(binary)
        project = project_root(path)
        every += [project] if project is not None else []
        every.append(path.parent)
        try:
            built_at = path.stat().st_mtime
        except OSError:
            built_at = None
    found = find_source(name, path_map=path_map, roots=tuple(dict.fromkeys(every)), built_at=built_at)
    if found.path is None:
        raise MissingSource(found)
    return found, read_source(found.path)
