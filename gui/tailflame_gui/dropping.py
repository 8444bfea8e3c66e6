"""What dropped or named paths are, and what opening them will do. Looks at names and first bytes only."""

from __future__ import annotations

import os
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from tailflame.errors import StoreError
from tailflame.store.bundle import SUFFIX, is_bundle
from tailflame_gui.rows import DropRow

SESSION = "session.json"
_ONE_RESULT = (
    *(f"{'*/' * depth}new/estimates.json" for depth in range(4)),  # criterion: group, function, value
    "estimates.json",
    "*.heap",  # jemalloc's dumps
)
"""Files that make one result of the folder which they are in."""


class Kind(StrEnum):
    RESULT = "result"
    PROGRAM = "program"
    SESSION = "session"
    PROFILES = "profiles"
    PROJECT = "project"
    BUNDLE = "bundle"
    NOTHING = "nothing"


@dataclass(frozen=True, slots=True)
class Dropped:
    kind: Kind
    path: Path


def look_at(path: Path) -> Dropped:
    """What `path` is. A file that is no program is a result until reading it shows otherwise."""
    try:
        if path.is_dir():
            return Dropped(_folder(path), path)
        if path.name == SESSION and path.is_file():
            return Dropped(Kind.SESSION, path.parent)
        if path.suffix == SUFFIX or _is_zip(path):
            return Dropped(Kind.BUNDLE, path)
        if _is_program(path):
            return Dropped(Kind.PROGRAM, path)
    except OSError:
        return Dropped(Kind.RESULT, path)  # reading it says what is wrong with it
    return Dropped(Kind.RESULT, path)


def nothing_in(path: Path) -> StoreError:
    """What is said of a folder that holds nothing to open."""
    return StoreError(
        f"{path} holds no session and no cargo project.",
        advice="Drop the result files themselves, a session's folder, or a profiles folder.",
    )


def _is_zip(path: Path) -> bool:
    """A zip with a bundle's manifest, whatever it is called."""
    with path.open("rb") as file:
        return file.read(4) == b"PK\x03\x04" and is_bundle(path)


def _folder(folder: Path) -> Kind:
    if (folder / SESSION).is_file():
        return Kind.SESSION
    if (folder / "Cargo.toml").is_file():
        return Kind.PROJECT
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir() and (Path(entry.path) / SESSION).is_file():
                return Kind.PROFILES
    recorded = any(_is_recording(file) for file in folder.glob("*perf.data*"))
    return Kind.RESULT if recorded or any(_first(folder, name) for name in _ONE_RESULT) else Kind.NOTHING


def _first(folder: Path, pattern: str) -> Path | None:
    return next(folder.glob(pattern), None)


def _is_recording(file: Path) -> bool:
    """What `perf record --switch-output` leaves: a folder of them is one result."""
    if not file.is_file():
        return False
    with file.open("rb") as raw:
        return raw.read(8) in (b"PERFILE2", b"2ELIFREP")


def _is_program(path: Path) -> bool:
    """An executable ELF file or script. A shared library has the same magic, but seldom the permission."""
    if not os.access(path, os.X_OK) or not path.is_file():
        return False
    with path.open("rb") as file:
        head = file.read(18)
    if head.startswith(b"#!"):
        return True
    # e_type at 16: 2 is an executable, 3 a position-independent one (or a library); 1 is an object file.
    return head.startswith(b"\x7fELF") and len(head) == 18 and head[16 if head[5] == 1 else 17] in (2, 3)


def announce(paths: tuple[Path, ...]) -> tuple[DropRow, ...]:
    """What a drop of `paths` will do, a line for each kind of thing."""
    seen = [look_at(path) for path in paths]
    rows: list[DropRow] = []
    results = [item.path for item in seen if item.kind is Kind.RESULT]
    if results:
        more = f" and {len(results) - 1} more" if len(results) > 1 else ""
        rows.append(DropRow(f"Open {results[0].name}{more}", icon="flame"))
    for item in seen:
        name = item.path.name or str(item.path)
        match item.kind:
            case Kind.PROGRAM:
                rows.append(DropRow(f"Record {name}", icon="circle-dot"))
            case Kind.PROJECT:
                rows.append(DropRow(f"Record the cargo project {name}", icon="package"))
            case Kind.BUNDLE:
                rows.append(DropRow(f"Bring the bundle {name} into the library", icon="package"))
            case Kind.SESSION:
                rows.append(DropRow(f"Open the session {name}", icon="flame"))
            case Kind.PROFILES:
                rows.append(DropRow(f"Show the sessions of {name}, and keep new ones there", icon="library"))
            case Kind.NOTHING:
                rows.append(DropRow(f"{name} holds no session and no cargo project", works=False, icon="ban"))
    return tuple(rows)
