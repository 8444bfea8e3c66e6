"""The text of the hot source lines, kept with a session: the file will have changed by the time it is compared.

What is kept: for each frame with a file and a line, hottest first, that line and three on either side, where the
file can be read when the recording is saved. At most 400 files and 2 MB of text.
"""

from __future__ import annotations

import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tailflame.errors import StoreError
from tailflame.model import StackProfile
from tailflame.store.files import read_json, write_json
from tailflame.store.upgrade import SOURCES

CONTEXT = 3
_FILES = 400
_TEXT = 2_000_000
_FILE_SIZE = 4 * 2**20
_LINE = 400
_SUFFIXES = frozenset(
    {".rs", ".c", ".h", ".cc", ".cpp", ".cxx", ".c++", ".hh", ".hpp", ".hxx", ".ipp", ".inl", ".inc", ".s", ".asm"}
    | {".go", ".zig", ".d", ".swift", ".f90", ".py", ".java", ".ml"}
)
"""Debug information names files freely, also ones that are nobody's source; only these are read."""


@dataclass(frozen=True, slots=True)
class SourceExcerpts:
    """Text by file as the frames name it, and by 1-based line."""

    lines: Mapping[str, Mapping[int, str]]

    def around(self, file: str, line: int, context: int = CONTEXT) -> tuple[tuple[int, str], ...]:
        """(line number, text) near `line`, as far as they were kept."""
        kept = self.lines.get(file, {})
        return tuple((n, kept[n]) for n in range(line - context, line + context + 1) if n in kept)


def gather_sources(profile: StackProfile, *, bases: Iterable[Path] = ()) -> SourceExcerpts:
    """Reads the excerpts of `profile`'s frames. Relative file names are looked for under each of `bases`."""
    frames, stacks, samples = profile.frames, profile.stacks, profile.samples
    held = samples.stack >= 0
    leaf = stacks.frame[samples.stack[held]]
    heat = np.bincount(leaf, weights=samples.count[held], minlength=len(frames))
    wanted: dict[str, set[int]] = {}
    for frame in np.argsort(-heat, kind="stable"):
        if frames.file[frame] >= 0 and frames.line[frame] > 0:
            wanted.setdefault(frames.file_of(int(frame)), set()).add(int(frames.line[frame]))
    roots = tuple(bases)
    kept: dict[str, dict[int, str]] = {}
    room = _TEXT
    for file, lines in wanted.items():
        if len(kept) >= _FILES or room <= 0:
            break
        text = _read(file, roots)
        if text is None:
            continue
        around = {n for line in lines for n in range(line - CONTEXT, line + CONTEXT + 1) if 1 <= n <= len(text)}
        excerpt = {n: text[n - 1][:_LINE] for n in sorted(around)}
        room -= sum(map(len, excerpt.values()))
        if excerpt:
            kept[file] = excerpt
    return SourceExcerpts(kept)


def _read(file: str, bases: tuple[Path, ...]) -> list[str] | None:
    if Path(file).suffix.lower() not in _SUFFIXES or "\0" in file:
        return None
    candidates = (Path(file),) if Path(file).is_absolute() else tuple(base / file for base in bases)
    for path in candidates:
        try:
            facts = path.stat()
            if stat.S_ISREG(facts.st_mode) and facts.st_size <= _FILE_SIZE:
                return path.read_text("utf-8", "replace").split("\n")
        except OSError:
            continue
    return None


def save_sources(path: Path, excerpts: SourceExcerpts) -> None:
    files = {file: {str(n): text for n, text in lines.items()} for file, lines in excerpts.lines.items()}
    write_json(path, {"format": "tailflame sources", "version": SOURCES.version, "files": files})


def load_sources(path: Path) -> SourceExcerpts:
    """StoreError where the file is not what `save_sources` writes. Without a file there are no excerpts."""
    if not path.exists():
        return SourceExcerpts({})
    fields = SOURCES.upgraded(read_json(path))
    files = fields.part("files")
    kept: dict[str, dict[int, str]] = {}
    for file in files.document:
        try:
            kept[file] = {int(n): text for n, text in files.mapping(file).items()}
        except ValueError as error:
            raise StoreError(f"{path} is damaged: a line of “{file}” has no number.") from error
    return SourceExcerpts(kept)
