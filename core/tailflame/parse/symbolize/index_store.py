"""Indexes of debug information, kept on disk by build id. Whatever is wrong with one, it is made again."""

from __future__ import annotations

import contextlib
import os
import re
import stat
import struct
import tempfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from tailflame.parse.symbolize.symcache import SymCache, parse_symcache

SIZE_LIMIT = 2 * 1024**3
"""Bytes that all indexes may take together; those that were not used for longest go first."""
_HEADER = struct.Struct("<8sQQI4x")
_MAGIC = b"TFINDEX\x01"
"""Its last byte is the version: an index of another one is not read, and goes when its time has come."""
_LINES_LIMIT, _PATH_LIMIT = 32 * 1024**2, 4096
_KEY = re.compile(r"[0-9a-f]{8,128}")

Lines: TypeAlias = dict[int, tuple[int, str]]
"""(line, file) by address as linked; (0, "") where it is known that none is known."""


@dataclass(frozen=True, slots=True, eq=False)
class Index:
    """A module's debug information. base: the lowest address that its file is linked to."""

    base: int
    cache: SymCache


@dataclass(frozen=True, slots=True)
class IndexStore:
    """A folder of indexes. Several processes may use it at once."""

    folder: Path
    limit: int = SIZE_LIMIT

    def get(self, key: str) -> Index | None:
        """The index of a build id; None where there is none, or it is damaged."""
        if not _KEY.fullmatch(key):
            return None
        path = self._path(key)
        try:
            data = path.read_bytes()
            os.utime(path)
        except OSError:
            return None
        if len(data) < _HEADER.size:
            return None
        magic, base, size, checksum = _HEADER.unpack_from(data)
        payload = data[_HEADER.size :]
        if magic != _MAGIC or size != len(payload) or checksum != zlib.crc32(payload):
            return None
        cache = parse_symcache(payload)
        return Index(base, cache) if cache is not None else None

    def put(self, key: str, base: int, payload: bytes) -> None:
        """Keeps an index; where there is no room for it, or no right to write, it is not kept."""
        size = _HEADER.size + len(payload)
        if _KEY.fullmatch(key) and size <= self.limit:
            header = _HEADER.pack(_MAGIC, base, len(payload), zlib.crc32(payload))
            self._write(self._path(key), header, payload)

    def get_lines(self, key: str) -> Lines:
        """Lines of single addresses, as far as they were asked."""
        found: Lines = {}
        if not _KEY.fullmatch(key):
            return found
        path = self.folder / f"{key}.lines"
        with contextlib.suppress(OSError):
            if path.stat().st_size <= _LINES_LIMIT:
                found = lines_in(path.read_text(errors="replace"))
                os.utime(path)
        return found

    def put_lines(self, key: str, lines: Lines) -> None:
        text = "".join(f"{address:x}\t{line}\t{path}\n" for address, (line, path) in lines.items()).encode()
        if _KEY.fullmatch(key) and len(text) <= min(_LINES_LIMIT, self.limit):
            self._write(self.folder / f"{key}.lines", text)

    def _write(self, path: Path, *parts: bytes) -> None:
        with contextlib.suppress(OSError):
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            make_room(self.folder, sum(map(len, parts)), self.limit)
            with tempfile.NamedTemporaryFile(dir=self.folder, prefix=".new-", delete=False) as new:
                try:
                    new.writelines(parts)
                    new.flush()
                    Path(new.name).replace(path)
                except OSError:
                    Path(new.name).unlink(missing_ok=True)
                    raise

    def _path(self, key: str) -> Path:
        return self.folder / f"{key}.symcache"


def lines_in(text: str) -> Lines:
    """What is said in lines such as `1fbcb4\t94\t/src/waker.rs`; what is no such line is left out."""
    found: Lines = {}
    for row in text.split("\n"):
        address, _, rest = row.partition("\t")
        line, _, path = rest.partition("\t")
        with contextlib.suppress(ValueError):
            found[int(address, 16)] = int(line) if len(line) < 10 else 0, path[:_PATH_LIMIT]
    return found


def make_room(folder: Path, size: int, limit: int) -> None:
    """Removes those files of a folder that were not used for longest, until `size` bytes fit into its limit."""
    held = sorted(_held(folder))
    total = sum(taken for _, taken, _ in held) + size
    for _, freed, path in held:
        if total <= limit:
            return
        path.unlink(missing_ok=True)
        total -= freed


def _held(folder: Path) -> Iterator[tuple[float, int, Path]]:
    for path in folder.iterdir():
        with contextlib.suppress(OSError):
            status = path.stat()
            if stat.S_ISREG(status.st_mode):
                yield status.st_mtime, status.st_size, path


def default_store() -> IndexStore:
    return IndexStore(cache_folder() / "debug-info")


def cache_folder() -> Path:
    """Where what can be made again is kept: TAILFLAME_CACHE_DIR, or `tailflame` in the user's cache folder (XDG)."""
    own = os.environ.get("TAILFLAME_CACHE_DIR", "")
    if own.startswith("/"):
        return Path(own)
    told = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(told) if told.startswith("/") else user_home() / ".cache") / "tailflame"


def user_home() -> Path:
    """The user's home folder; one that is not there where the user has none."""
    try:
        return Path.home()
    except RuntimeError:
        return Path("/nonexistent")
