"""Where the symbols and the debug information of a module may lie. A build id decides whether a file is the one."""

from __future__ import annotations

import lzma
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tailflame.parse.symbolize.answers import Module
from tailflame.parse.symbolize.elf_file import ElfFile, NotElf, elf_in_memory, open_elf
from tailflame.parse.symbolize.state import State
from tailflame.parse.symbolize.symtab import has_symtab

DEBUG_ROOT = Path("/usr/lib/debug")
_MINI_LIMIT = 256 * 1024**2
"""Bytes of MiniDebugInfo, unpacked; also the memory that unpacking may take."""
_LINK_LIMIT = 1024**3

Fetch = Callable[[str, str], Path | None]
"""Asks debuginfod for (build id, "debuginfo" or "executable"); None where it has none, or may not be asked."""


def fetch_nothing(build_id: str, kind: str) -> Path | None:
    """Asks nobody."""
    return None


@dataclass(slots=True, eq=False)
class ModuleFiles:
    """The files of one module.

    state: what there is to say of the binary; READ where it is there and the right one. running: the binary, or a copy
    of it; None where there is neither. key: its build id, or what else tells that an index of it is still right; ""
    where inlined functions must not be looked up.
    """

    module: Module
    state: State
    running: ElfFile | None
    key: str
    _home: Path
    _fetch: Fetch = fetch_nothing
    _opened: dict[Path, ElfFile | None] = field(default_factory=dict)

    def symbols(self) -> ElfFile | None:
        """The first file that has a symbol table, as perf looks for it; the binary itself where none has."""
        if self.running is None:
            return None
        found = next((elf for elf in self._candidates() if has_symtab(elf)), None)
        return found or _mini_debug_info(self.running) or self.running

    def debug_info(self) -> ElfFile | None:
        """The first file that has debug information."""
        if self.running is None:
            return None
        found = next((elf for elf in (self.running, *self._candidates()) if has_debug_info(elf)), None)
        if found is None and self.key and self.module.build_id:
            path = self._fetch(self.module.build_id, "debuginfo")
            fetched = _opened(path) if path is not None else None
            if fetched is not None and fetched.build_id() == self.module.build_id and has_debug_info(fetched):
                return fetched
        return found

    def _candidates(self) -> Iterator[ElfFile]:
        assert self.running is not None
        build_id = self.running.build_id()
        for path, checksum in self._places(self.running, build_id):
            if path == self.running.path:
                yield self.running
                continue
            if path not in self._opened:
                self._opened[path] = _opened(path)
            elf = self._opened[path]
            if elf is None:
                continue
            if elf.build_id() == build_id if build_id else checksum and _checksum(path) == checksum:
                yield elf

    def _places(self, running: ElfFile, build_id: str) -> Iterator[tuple[Path, int]]:
        """Paths in perf's order, with the checksum that `.gnu_debuglink` gives (0 where none is known)."""
        path = Path(self.module.path)
        folder = path.parent
        inside = folder.relative_to(folder.anchor) if folder.is_absolute() else folder
        link, checksum = _debug_link(running)
        if link:
            yield folder / link, checksum
            yield folder / ".debug" / link, checksum
            yield DEBUG_ROOT / inside / link, checksum
        if build_id:
            cache = _cache(self._home, build_id)
            yield cache / "elf", 0
            yield cache / "debug", 0
        yield DEBUG_ROOT / inside / f"{path.name}.debug", 0
        yield DEBUG_ROOT / inside / path.name, 0
        if build_id:
            yield DEBUG_ROOT / ".build-id" / build_id[:2] / f"{build_id[2:]}.debug", 0
        yield running.path, 0
        if build_id:
            yield self._home / ".cache/debuginfod_client" / build_id / "debuginfo", 0


def find_files(module: Module, *, home: Path, recorded_at: float, fetch: Fetch = fetch_nothing) -> ModuleFiles:
    """The binary at the module's path if it is the recorded one, or a copy of it."""
    path = Path(module.path.removesuffix(" (deleted)"))
    module = module._replace(path=str(path))
    there = _opened(path)
    if not module.build_id:
        return _without_build_id(module, there, home, recorded_at)
    if there is not None and there.build_id() == module.build_id:
        return ModuleFiles(module, State.READ, there, module.build_id, home, fetch)
    build_id = module.build_id
    # A file of debug symbols alone does not tell where in the binary its code lay.
    elsewhere = (
        _cache(home, build_id) / "elf",
        home / ".cache/debuginfod_client" / build_id / "executable",
    )
    for place in elsewhere:
        elf = _opened(place)
        if elf is not None and elf.build_id() == build_id:
            return ModuleFiles(module, State.READ, elf, build_id, home, fetch)
    fetched = fetch(build_id, "executable")
    elf = _opened(fetched) if fetched is not None else None
    if elf is not None and elf.build_id() == build_id:
        return ModuleFiles(module, State.READ, elf, build_id, home, fetch)
    return ModuleFiles(module, State.CHANGED if _exists(path) else State.MISSING, None, "", home)


def _without_build_id(module: Module, there: ElfFile | None, home: Path, recorded_at: float) -> ModuleFiles:
    """A file that is older than the recording is taken for the recorded one, as perf takes any; its lines are only
    told where it is also the very file that was mapped. A linker writes a new file, or at least a newer one."""
    if there is None:
        return ModuleFiles(module, State.UNKNOWN if _exists(Path(module.path)) else State.MISSING, None, "", home)
    device, inode, changed_ns = there.stamp
    if recorded_at and changed_ns / 1e9 > recorded_at:
        return ModuleFiles(module, State.UNKNOWN, None, "", home)
    same = bool(recorded_at) and module.inode == inode
    key = (there.build_id() or f"{device:08x}{inode:016x}{changed_ns:016x}{there.size:016x}") if same else ""
    return ModuleFiles(module, State.READ if same else State.UNKNOWN, there, key, home)


def has_debug_info(elf: ElfFile) -> bool:
    return any(elf.holds(elf.section(name)) for name in (".debug_info", ".zdebug_info"))


def _cache(home: Path, build_id: str) -> Path:
    """perf's own cache of the binaries that it recorded."""
    return home / ".debug/.build-id" / build_id[:2] / build_id[2:]


def _opened(path: Path) -> ElfFile | None:
    try:
        return open_elf(path)
    except NotElf:
        return None


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):
        return False


def _debug_link(elf: ElfFile) -> tuple[str, int]:
    """The name and the checksum in `.gnu_debuglink`; ("", 0) where there is none."""
    data = elf.data(elf.section(".gnu_debuglink"), limit=8192)
    name, _, _ = data.partition(b"\0")
    at = len(name) + 4 & ~3
    try:
        text = name.decode()
    except UnicodeDecodeError:
        return "", 0
    if not text or "/" in text or at + 4 > len(data):
        return "", 0
    return text, int.from_bytes(data[at : at + 4], "big" if elf.big_endian else "little")


def _checksum(path: Path) -> int:
    try:
        with path.open("rb") as raw:
            checksum = left = 0
            while chunk := raw.read(1 << 20):
                checksum = zlib.crc32(chunk, checksum)
                left += len(chunk)
                if left > _LINK_LIMIT:
                    return 0
            return checksum
    except OSError:
        return 0


def _mini_debug_info(elf: ElfFile) -> ElfFile | None:
    """The symbols that Fedora packs into stripped binaries (`.gnu_debugdata`, xz)."""
    packed = elf.data(elf.section(".gnu_debugdata"), limit=_MINI_LIMIT)
    if not packed:
        return None
    try:
        image = lzma.LZMADecompressor(memlimit=_MINI_LIMIT).decompress(packed, _MINI_LIMIT)
        found = elf_in_memory(image, elf.path)
    except (lzma.LZMAError, NotElf, EOFError):
        return None
    return found if has_symtab(found) else None
