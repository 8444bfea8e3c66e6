"""A bundle: sessions and measurements in one file that a colleague opens. NAME.tailflame is a zip.

    manifest.json            format, version, every file with its size and SHA-256, what is in it
    sessions/ID/...          a session's folder as it is in the profiles folder, finished ones only
    iterations/ID.json       a measurement, where there is one

Nothing of a bundle is believed: names stay inside the folder that it is unpacked to and belong to something that the
manifest lists, sizes and sums must be those of the manifest, links and other special files are refused, and so is what
unpacks to more than it says, or to far more than anything that was measured would.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import stat
import tempfile
import zipfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any

import tailflame
from tailflame.errors import StoreError
from tailflame.model.iteration import Iteration
from tailflame.store.files import ARCHIVE_FAULTS, Fields, reason, write_atomically
from tailflame.store.iterations import Iterations, insist_on_the_past, read_iteration
from tailflame.store.library import Library, SessionInfo
from tailflame.store.manifest import SessionState
from tailflame.store.session import read_manifest
from tailflame.store.upgrade import BUNDLE
from tailflame.units import size as size_text

SUFFIX = ".tailflame"
MANIFEST = "manifest.json"
_MANIFEST_LIMIT = 16 << 20
_MOST_FILES = 20_000
_MOST_BYTES = 64 << 30
_SMALL = 64 << 20
"""Bytes once unpacked: so much may be packed as tightly as it likes."""
_TIGHTEST = 200
"""How many times its own size a larger bundle may unpack to. Deflate ends at 1032 : 1, and sessions are at 5 : 1 to
40 : 1; a log that repeats a hundred lines for hours is at 190 : 1."""
_TAKEN = frozenset({"iterations", "programs"})
"""Folders that a profiles folder has beside its sessions."""
_ASK_AGAIN = "It is damaged, or was not written by Tailflame: ask for it once more."
_CHUNK = 1 << 20
_PART = re.compile(r"[^/\\\0]{1,255}")
Progress = Callable[[float], None]


@dataclass(frozen=True, slots=True)
class Unpacked:
    """What a bundle has brought into a library: ids of sessions and measurements, those that were there already too."""

    sessions: tuple[SessionInfo, ...]
    iterations: tuple[Iteration, ...]


@dataclass(frozen=True, slots=True)
class Contents:
    """What a bundle says that it holds: ids, bytes once unpacked, who wrote it."""

    sessions: tuple[str, ...]
    iterations: tuple[str, ...]
    bytes: int
    written_by: str


def contents(path: Path) -> Contents:
    """By its manifest alone; nothing is unpacked. StoreError where it is no sound bundle."""
    try:
        with zipfile.ZipFile(path) as archive:
            fields = _manifest(archive, path)
            entries = _entries(archive, fields, path)
    except (OSError, *ARCHIVE_FAULTS) as error:
        raise _unreadable(path, error) from error
    return Contents(
        sessions=tuple(fields.texts("sessions")),
        iterations=tuple(fields.texts("iterations")),
        bytes=sum(info.file_size for info, _sum in entries),
        written_by=fields.text("written_by", ""),
    )


def is_bundle(path: Path) -> bool:
    """Whether a file is a zip with a bundle's manifest; looks at its directory alone."""
    try:
        if not zipfile.is_zipfile(path):
            return False
        with zipfile.ZipFile(path) as archive:
            return MANIFEST in archive.namelist()[:_MOST_FILES]
    except (OSError, *ARCHIVE_FAULTS):
        return False


def write_bundle(
    path: Path,
    library: Library,
    *,
    sessions: Sequence[SessionInfo],
    iterations: Sequence[Iteration] = (),
    progress: Progress | None = None,
) -> None:
    """Finished sessions and measurements as one file, which appears whole or not at all.

    StoreError where a session is not finished, or the file cannot be written.
    """
    listed: list[tuple[str, Path]] = []
    for info in sessions:
        if info.state is not SessionState.COMPLETE:
            raise StoreError(f"{info.title} is not read yet.", advice="Open it first, which finishes it.")
        listed += [
            (f"sessions/{info.id}/{file.relative_to(info.path).as_posix()}", file)
            for file in sorted(info.path.rglob("*"))
            if file.is_file() and not file.is_symlink()
        ]
    for one in iterations:
        listed.append((f"iterations/{one.id}.json", library.root / "iterations" / f"{one.id}.json"))
    whole = sum(file.stat().st_size for _name, file in listed) or 1

    def fill(stream: IO[bytes]) -> None:
        done, entries = 0, []
        with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED, compresslevel=6, allowZip64=True) as archive:
            for name, file in listed:
                digest, size = hashlib.sha256(), 0
                with file.open("rb") as original, archive.open(name, "w", force_zip64=True) as inside:
                    while piece := original.read(_CHUNK):
                        digest.update(piece)
                        size += len(piece)
                        inside.write(piece)
                        done += len(piece)
                        if progress is not None:
                            progress(done / whole)
                entries.append({"name": name, "size": size, "sha256": digest.hexdigest()})
            document = {
                "format": "tailflame bundle",
                "version": BUNDLE.version,
                "written_by": f"tailflame {tailflame.__version__}",
                "sessions": [info.id for info in sessions],
                "iterations": [one.id for one in iterations],
                "files": entries,
            }
            archive.writestr(MANIFEST, json.dumps(document, indent=1))
        if _is_bomb(done, stream.tell()):
            raise StoreError(
                f"{path} would hold {size_text(done)} of nearly nothing, and such a bundle is never opened.",
                advice=f"Leave out what is large and says the same throughout: “{_largest(listed)}”, for example.",
            )

    write_atomically(path, fill)


def read_bundle(path: Path, library: Library, *, progress: Progress | None = None) -> Unpacked:
    """Brings what a bundle holds into `library`: all of it, or nothing.

    StoreError for anything that is not as it says.
    """
    try:
        with zipfile.ZipFile(path) as archive, tempfile.TemporaryDirectory(prefix="tailflame-bundle-") as made:
            fields = _manifest(archive, path)
            entries = _entries(archive, fields, path)
            folder = Path(made)
            _unpack(archive, entries, folder, path, progress)
            try:
                places, iterations = _sound(folder, fields)
                return _adopt(places, iterations, library)
            except StoreError as error:
                raise _by_its_name(error, folder, path) from error.__cause__
    except (OSError, *ARCHIVE_FAULTS) as error:
        raise _unreadable(path, error) from error


def _manifest(archive: zipfile.ZipFile, path: Path) -> Fields:
    infos = archive.infolist()
    if len(infos) > _MOST_FILES:
        raise _hostile(path, f"it holds more than {_MOST_FILES:,} files")
    found = [info for info in infos if info.filename == MANIFEST]
    if len(found) != 1 or found[0].file_size > _MANIFEST_LIMIT:
        raise _hostile(path, "it has no manifest" if not found else "its manifest is not one small file")
    with archive.open(found[0]) as stream:
        data = stream.read(_MANIFEST_LIMIT + 1)
    try:
        document: Any = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise _hostile(path, "its manifest is no JSON") from error
    return BUNDLE.upgraded(Fields(document, f"the manifest of {path}"))


def _entries(archive: zipfile.ZipFile, fields: Fields, path: Path) -> list[tuple[zipfile.ZipInfo, str]]:
    """Each file with its sum; all are as the manifest says, as far as names, kinds and sizes go."""
    told = {part.text("name"): part for part in fields.parts("files")}
    entries: list[tuple[zipfile.ZipInfo, str]] = []
    seen: set[str] = set()
    whole = 0
    for info in archive.infolist():
        name = info.filename
        if name == MANIFEST:
            continue
        if not _is_inside(name):
            raise _hostile(path, f"“{name[:80]}” would leave its folder")
        kind = stat.S_IFMT(info.external_attr >> 16)
        if info.is_dir() or (kind and kind != stat.S_IFREG):
            raise _hostile(path, f"“{name}” is no plain file")
        if info.flag_bits & 1:
            raise _hostile(path, f"“{name}” is encrypted")
        part = told.get(name)
        if name in seen or part is None:
            raise _hostile(path, f"“{name}” is {'in it twice' if name in seen else 'not in its manifest'}")
        seen.add(name)
        whole += info.file_size
        if part.integer("size") != info.file_size:
            raise _hostile(path, f"“{name}” is not as large as its manifest says")
        entries.append((info, part.text("sha256")))
    # By its size on the disk: what the directory says of packed sizes may be a lie.
    packed = path.stat().st_size
    if whole > _MOST_BYTES or _is_bomb(whole, packed):
        raise _hostile(path, f"it unpacks to {size_text(whole)}, from {size_text(packed)}")
    missing = set(told) - seen
    if missing:
        raise _hostile(path, f"“{min(missing)}” is missing")
    _insist_on_the_listed(seen, fields, path)
    return entries


def _insist_on_the_listed(names: set[str], fields: Fields, path: Path) -> None:
    """Each session and measurement that is listed has its files, and each file belongs to one of them."""
    held = {_whose(name) for name in names}
    listed = {f"sessions/{identity}": ("session", identity) for identity in fields.texts("sessions")}
    listed |= {f"iterations/{identity}.json": ("measurement", identity) for identity in fields.texts("iterations")}
    for place, (kind, identity) in listed.items():
        if place not in held:
            raise _hostile(path, f"it has no {kind} “{identity[:80]}”")
        if identity.startswith(".") or identity in _TAKEN:
            raise _hostile(path, f"“{identity}” is no name of a {kind}")
    stray = min((name for name in names if _whose(name) not in listed), default="")
    if stray:
        raise _hostile(path, f"“{stray[:80]}” belongs to nothing that its manifest lists")


def _whose(name: str) -> str:
    """The session's folder that a file lies in; a measurement is one file."""
    return "/".join(name.split("/")[:2])


def _is_bomb(unpacked: int, packed: int) -> bool:
    return unpacked > _SMALL and unpacked > _TIGHTEST * packed


def _largest(listed: Sequence[tuple[str, Path]]) -> str:
    return max(listed, key=lambda one: one[1].stat().st_size)[0]


def _is_inside(name: str) -> bool:
    """sessions/ID/FILES or iterations/ID.json, each part a plain name."""
    parts = PurePosixPath(name).parts
    if "\\" in name or name.startswith("/") or "//" in name or len(parts) < 2 or "/".join(parts) != name:
        return False
    if any(part in (".", "..") or not _PART.fullmatch(part) for part in parts):
        return False
    return (parts[0] == "sessions" and len(parts) >= 3) or (
        parts[0] == "iterations" and len(parts) == 2 and name.endswith(".json")
    )


def _unpack(
    archive: zipfile.ZipFile,
    entries: list[tuple[zipfile.ZipInfo, str]],
    folder: Path,
    path: Path,
    progress: Progress | None,
) -> None:
    whole = sum(info.file_size for info, _sum in entries) or 1
    free = shutil.disk_usage(folder).free
    if whole > free:
        raise StoreError(
            f"{path} unpacks to {size_text(whole)}, and {size_text(free)} are free.",
            advice="Make room, then try again.",
        )
    done = 0
    for info, wanted in entries:
        place = folder / info.filename
        place.parent.mkdir(parents=True, exist_ok=True)
        digest, size = hashlib.sha256(), 0
        with archive.open(info) as inside, place.open("xb") as stream:
            while piece := inside.read(_CHUNK):
                size += len(piece)
                if size > info.file_size:
                    raise _hostile(path, f"“{info.filename}” is larger than it says")
                digest.update(piece)
                stream.write(piece)
                done += len(piece)
                if progress is not None:
                    progress(done / whole)
        if size != info.file_size or digest.hexdigest() != wanted:
            raise _hostile(path, f"“{info.filename}” is not what its manifest says")


def _sound(folder: Path, fields: Fields) -> tuple[list[Path], list[Iteration]]:
    """The sessions and the measurements of an unpacked bundle. StoreError where any of them cannot be adopted."""
    places = [folder / "sessions" / identity for identity in dict.fromkeys(fields.texts("sessions"))]
    for place in places:
        manifest = read_manifest(place)
        if manifest.state is not SessionState.COMPLETE:
            raise StoreError(f"{place} holds no finished session.")
        insist_on_the_past(manifest.created_at, str(place))
    named = dict.fromkeys(fields.texts("iterations"))
    return places, [read_iteration(folder / "iterations" / f"{identity}.json") for identity in named]


def _adopt(places: list[Path], brought: list[Iteration], library: Library) -> Unpacked:
    """Sessions first: a measurement names them by their ids, which change where a library has one of that name.

    What is adopted before a fault (a full disk) is taken away again.
    """
    kept = Iterations(library.root)
    known = {info.id for info in library.sessions()}
    measured = {one.id for one in brought if kept.holds(one.id)}
    sessions: dict[str, SessionInfo] = {}
    iterations: list[Iteration] = []
    try:
        for place in places:
            sessions[place.name] = library.adopt(place, name=place.name)
        identities = {name: info.id for name, info in sessions.items()}
        for one in brought:
            iterations.append(kept.adopt(one, identities))
    except BaseException:
        with suppress(StoreError, OSError):  # the fault itself is what is told
            for one in iterations:
                if one.id not in measured:
                    kept.discard(one)
            for info in sessions.values():
                if info.id not in known:
                    library.discard(info.folder)
        raise
    return Unpacked(tuple(sessions.values()), tuple(iterations))


def _by_its_name(error: StoreError, folder: Path, path: Path) -> StoreError:
    """What is said of the folder that it was unpacked to, said of the bundle: nobody else knows that folder."""
    told = error.sentence.replace(f"{folder}/", f"{path}: ")
    if told == error.sentence:
        return error
    return type(error)(told, advice=error.advice or _ASK_AGAIN, details=error.details)


def _unreadable(path: Path, error: Exception) -> StoreError:
    why = reason(error) if isinstance(error, OSError) else str(error) or "it is damaged"
    return StoreError(f"{path} cannot be opened as a bundle: {why}.", advice="Ask for it once more.")


def _hostile(path: Path, why: str) -> StoreError:
    return StoreError(f"{path} is not opened: {why}.", advice=_ASK_AGAIN)
