"""The source file that debug information names, on this machine: moved, mapped, or in a toolchain's own folder.

Debug information holds names as the compiler had them: on another machine, in a container, below `/rustc/<hash>` for
Rust's library. Each rule below turns such a name into places to look at, and every place is kept, so that a source
that is missing can say where it was looked for.
"""

from __future__ import annotations

import functools
import os
import re
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from tailflame.errors import StoreError
from tailflame.host.system import ask, find_tool

SIZE_LIMIT = 16 << 20
"""Bytes of a source that are read: nobody writes so much by hand, and a view of more lines is of no use."""
LINE_LIMIT = 4000
"""Characters of a line that are kept: generated sources have lines of megabytes."""
PathMap = Sequence[tuple[str, str]]
"""(how a path begins in the debug information, how it begins here), the first that fits wins."""

_RUSTC = re.compile(r"^/rustc/([0-9a-f]{8,40})/(.+)$")
_REGISTRY = re.compile(r"/(?:registry/src/[^/]+|git/checkouts/[^/]+/[^/]+)/(.+)$")
_TOOLCHAIN = re.compile(r"/lib/rustlib/src/rust/(.+)$")
_MARKS = (".git", "Cargo.toml", ".hg", "CMakeLists.txt", "meson.build")
_LONGEST = 8
"""Last components of a name that are looked for below a project's folder."""


@dataclass(frozen=True, slots=True)
class Found:
    """`path`: where the source is, None where it is not here. looked: the places, in the order they were tried.
    caution: what makes it doubtful that this is the text that was compiled, "" where nothing does.
    """

    name: str
    path: Path | None
    looked: tuple[str, ...]
    caution: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class SourceText:
    """Lines of a source without their ends. cut: the file goes on."""

    path: Path
    lines: tuple[str, ...]
    cut: bool = False


class MissingSource(StoreError):
    """`found` tells where it was looked for."""

    def __init__(self, found: Found) -> None:
        self.found = found
        listed = "\n".join(found.looked)
        of_rust = "belongs to Rust's standard library, whose sources are not on this machine"
        super().__init__(
            f"{found.name} {of_rust}." if _RUSTC.match(found.name) else f"{found.name} is not on this machine.",
            advice=advice_for(found.name),
            details=f"Looked for\n{listed}" if listed else "",
        )


def advice_for(name: str) -> str:
    """How a missing source is had."""
    if name.startswith("/rustc/"):
        return "`rustup component add rust-src` installs the sources of Rust's library."
    if _REGISTRY.search(name):
        return "`cargo fetch` in the project downloads the sources of its dependencies."
    return "Check out the commit it was built from, or map the folder it was built in to the one it is in now."


def find_source(
    name: str, *, path_map: PathMap = (), roots: Sequence[Path] = (), built_at: float | None = None
) -> Found:
    """Looks for the source that debug information calls `name`.

    path_map: the user's own rules, tried first. roots: the project's folder and others that relative names may begin
    at; also of an absolute name the end is looked for there. built_at: when the program was built (seconds since the
    epoch), for a word of caution about a source that was changed since. Asks rustc for its folder: not for the window's
    own thread.
    """
    looked: list[str] = []
    for place in _places(name, path_map, roots):
        shown = str(place)
        if shown in looked:
            continue
        looked.append(shown)
        if _is_file(place):
            mapped = any(_below(name, prefix) is not None for prefix, _instead in path_map)
            return Found(name, place, tuple(looked), _caution(name, place, built_at, mapped=mapped))
    return Found(name, None, tuple(looked))


def _places(name: str, path_map: PathMap, roots: Sequence[Path]) -> Iterator[Path]:
    if not name or "\0" in name:
        return
    for prefix, instead in path_map:
        rest = _below(name, prefix)
        if rest is not None:
            yield Path(instead, rest) if rest else Path(instead)
    path = Path(name)
    if path.is_absolute():
        yield path
    rust = _RUSTC.match(name) or _TOOLCHAIN.search(name)
    if rust is not None:
        rest = rust[rust.lastindex or 0]
        for folder in rust_sources():
            yield folder / rest
        return
    crate = _REGISTRY.search(name)
    if crate is not None:
        yield from _in_registry(name, crate[1])
        return
    if not path.is_absolute():
        yield from (base / path for root in roots for base in _bases(root))
        return
    # Built elsewhere: /build/engine/src/risk.rs is src/risk.rs below the project's folder here.
    parts = PurePosixPath(name).parts[1:]
    projects = (base for root in roots for base in _bases(root) if _is_project(base))
    for base in dict.fromkeys(projects):
        if base.name in parts[:-1]:
            begin = len(parts) - parts[::-1].index(base.name)
            yield base.joinpath(*parts[begin:])
        for begin in range(max(len(parts) - _LONGEST, 0), len(parts) - 1):
            yield base.joinpath(*parts[begin:])


def _below(name: str, prefix: str) -> str | None:
    """What follows `prefix` in a path, whole components only; None where it does not begin so."""
    prefix = prefix.rstrip("/")
    if not prefix:
        return None
    if name == prefix:
        return ""
    return name[len(prefix) + 1 :] if name.startswith(f"{prefix}/") else None


def _bases(root: Path) -> Iterator[Path]:
    """`root`, and the folders above it up to the one that holds the project."""
    yield root
    marked = [folder for folder in (root, *root.parents) if _is_project(folder)]
    if marked:
        top = marked[-1]
        yield from (folder for folder in root.parents if folder == top or top in folder.parents)


def _is_project(folder: Path) -> bool:
    return any((folder / mark).exists() for mark in _MARKS)


def _in_registry(name: str, rest: str) -> Iterator[Path]:
    """The same crate in this user's own cargo folder."""
    home = Path(os.environ.get("CARGO_HOME") or Path.home() / ".cargo")
    if "/registry/src/" in name:
        with_index = sorted(_folders(home / "registry/src"))
        yield from (folder / rest for folder in with_index)
    else:
        for checkout in sorted(_folders(home / "git/checkouts")):
            yield from (version / rest for version in sorted(_folders(checkout)))


def _folders(folder: Path) -> list[Path]:
    try:
        return [entry for entry in folder.iterdir() if entry.is_dir()][:1000]
    except OSError:
        return []


def rust_sources() -> tuple[Path, ...]:
    """Where the sources of Rust's library may lie: of the rustc in use, then of the other toolchains."""
    sysroot, _hash = _rustc()
    folders = [Path(sysroot)] if sysroot else []
    rustup = Path(os.environ.get("RUSTUP_HOME") or Path.home() / ".rustup") / "toolchains"
    folders += sorted(_folders(rustup))
    return tuple(dict.fromkeys(folder / "lib/rustlib/src/rust" for folder in folders))


@functools.lru_cache(maxsize=1)
def _rustc() -> tuple[str, str]:
    """(sysroot, commit) of the rustc in use; empty where there is none."""
    tool = find_tool("rustc")
    if tool is None:
        return "", ""
    sysroot = ask(tool, "--print", "sysroot")
    version = ask(tool, "-vV")
    commit = re.search(r"^commit-hash: ([0-9a-f]{40})$", version.stdout, re.MULTILINE)
    return sysroot.stdout.strip() if sysroot.returncode == 0 else "", commit[1] if commit else ""


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def _caution(name: str, place: Path, built_at: float | None, *, mapped: bool) -> str:
    rust = _RUSTC.match(name)
    if rust is not None:
        sysroot, commit = _rustc()
        same = bool(sysroot) and place.is_relative_to(sysroot) and commit == rust[1]
        return "" if same else "This is the library of another rustc than the program's: lines may differ."
    if built_at is not None:
        try:
            changed = place.stat().st_mtime
        except OSError:
            return ""
        if changed > built_at + 1:
            return f"{place.name} was changed after the program was built: lines may differ."
    kept = PurePosixPath(name).parts[-3:]
    if name.startswith("/") and not mapped and not _REGISTRY.search(name) and place.parts[-len(kept) :] != kept:
        return f"This is the file of that name in the project here; the program was built from {name}."
    return ""


def read_source(path: Path) -> SourceText:
    """The lines of a source, whatever its encoding; of a huge one the first SIZE_LIMIT bytes.

    Raises:
        StoreError: it is no plain file, or cannot be read.
    """
    try:
        # Not to wait for a pipe that nobody writes to, nor to make a terminal ours.
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
        with os.fdopen(handle, "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise StoreError(f"{path} is no plain file.")
            data = file.read(SIZE_LIMIT + 1)
    except OSError as problem:
        raise StoreError(f"{path} cannot be read: {problem.strerror}.", advice="Check its permissions.") from problem
    cut = len(data) > SIZE_LIMIT
    text = data[:SIZE_LIMIT].decode("utf-8-sig", "replace").replace("\r\n", "\n")
    lines = text.split("\n")
    if lines and not lines[-1]:
        lines.pop()
    return SourceText(path, tuple(line[:LINE_LIMIT] for line in lines), cut)
