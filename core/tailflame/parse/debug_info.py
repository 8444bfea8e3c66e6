"""Debug information of the binaries that were recorded: found by build id, wherever a copy of it is left."""

from __future__ import annotations

import posixpath
import threading
from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any, NamedTuple

from elftools.common.exceptions import ELFError
from elftools.elf.elffile import ELFFile
from symbolic.debuginfo import Archive
from symbolic.exceptions import SymbolicError

from tailflame.model import NONE

DEBUG_ROOT = Path("/usr/lib/debug")
SIZE_LIMIT = 1024**3
"""Bytes of debug information that are indexed at most: about half a minute, and some gigabytes of memory."""
_POLL_S = 0.05


class State(Enum):
    """What became of a module."""

    READ = "read"
    NO_DEBUG_INFO = "has no debug information"
    MISSING = "is not there"
    CHANGED = "is another build than the recorded one"
    UNKNOWN = "was recorded without a build id"
    TOO_LARGE = "is too large"


class Line(NamedTuple):
    """A function at a place. start: where its code begins, -1 for an inlined one; line: -1 where unknown."""

    symbol: str
    start: int
    file: str
    line: int


@dataclass(slots=True)
class DebugInfo:
    """Looks up addresses of one binary."""

    _segments: list[tuple[int, int, int]]
    """Loaded parts of the file: (offset, end, address - offset), by offset."""
    _index: Any  # symbolic's SymCache

    def address(self, offset: int) -> int:
        """The address that the byte at `offset` of the file is linked to; -1 where it is not loaded."""
        at = bisect_right(self._segments, offset, key=lambda segment: segment[0]) - 1
        if at < 0 or offset >= self._segments[at][1]:
            return NONE
        return offset + self._segments[at][2]

    def lookup(self, address: int) -> list[Line]:
        """Functions at an address, innermost first: inlined ones, then the one they are inlined into."""
        return [
            Line(
                found.symbol,
                NONE if found.sym_addr == 0xFFFFFFFF else found.sym_addr,
                _tidy(found.full_path or ""),
                found.line or NONE,
            )
            for found in self._index.lookup(address)
        ]


def open_debug_info(
    module: str, build_id: str, *, watch: Callable[[], None], home: Path | None = None
) -> tuple[State, DebugInfo | None]:
    """The debug information of the binary at path `module` as it was when it had `build_id`.

    watch: called now and then; what it raises (Cancelled) ends the work. home: where `.debug`, perf's own cache of
    binaries, lies; the user's home folder.
    """
    if not build_id:
        return State.UNKNOWN, None
    cache = (home or Path.home()) / ".debug/.build-id" / build_id[:2] / build_id[2:]
    path = Path(module)
    there = path.is_file()
    binary = next((p for p in (path, cache / "elf") if _build_id(p) == build_id), None)
    if binary is None:
        return State.CHANGED if there else State.MISSING, None
    for candidate in (binary, *_separate(binary, path, build_id), cache / "debug"):
        found = _object(candidate)
        if found is None or "debug" not in found.features or found.code_id != build_id:
            continue
        if candidate.stat().st_size > SIZE_LIMIT:
            return State.TOO_LARGE, None
        index = _indexed(found, watch)
        return (State.READ, DebugInfo(_segments(binary), index)) if index else (State.NO_DEBUG_INFO, None)
    return State.NO_DEBUG_INFO, None


def build_id_of_unchanged(module: str, inode: int, *, recorded_at: float) -> str:
    """The build id of a binary that was recorded without one, where it is the very file that was mapped; else "".

    inode: the mapped file's; recorded_at: when the recording ended (seconds since the epoch). A linker writes a new
    file, or at least a newer one.
    """
    path = Path(module)
    try:
        now = path.stat()
    except OSError:
        return ""
    return _build_id(path) if inode == now.st_ino and now.st_mtime <= recorded_at else ""


def _object(path: Path) -> Any | None:
    """symbolic's object for an ELF file; None where there is none."""
    if not path.is_file():
        return None
    try:
        return next(iter(Archive.open(str(path)).iter_objects()), None)
    except (SymbolicError, OSError):
        return None


def _build_id(path: Path) -> str:
    found = _object(path)
    return (found.code_id or "") if found is not None else ""


def _separate(binary: Path, path: Path, build_id: str) -> Iterator[Path]:
    """Where distributions and `objcopy --only-keep-debug` put debug information."""
    yield DEBUG_ROOT / ".build-id" / build_id[:2] / f"{build_id[2:]}.debug"
    try:
        with binary.open("rb") as raw:
            section = ELFFile(raw).get_section_by_name(".gnu_debuglink")
            name = section.data().split(b"\0", 1)[0].decode() if section else ""
    except (ELFError, OSError, UnicodeDecodeError):
        return
    if name:
        folder = path.parent
        yield folder / name
        yield folder / ".debug" / name
        yield DEBUG_ROOT / folder.relative_to(folder.anchor) / name


def _segments(path: Path) -> list[tuple[int, int, int]]:
    with path.open("rb") as raw:
        headers = [s.header for s in ELFFile(raw).iter_segments("PT_LOAD")]
    return sorted((h.p_offset, h.p_offset + h.p_filesz, h.p_vaddr - h.p_offset) for h in headers)


def _indexed(found: Any, watch: Callable[[], None]) -> Any | None:
    """symbolic's index of an object; None where its debug information is damaged.

    Indexing is one call that cannot be stopped: it gets a thread of its own, which ends unheard after a cancel.
    """
    answer: list[Any] = []

    def work() -> None:
        try:
            answer.append(found.make_symcache())
        except SymbolicError:
            answer.append(None)

    thread = threading.Thread(target=work, name="debug information", daemon=True)
    thread.start()
    while thread.is_alive():
        thread.join(_POLL_S)
        watch()
    return answer[0]


def _tidy(path: str) -> str:
    """`./malloc/./malloc/malloc.c` without the detours."""
    return posixpath.normpath(path) if path else ""
