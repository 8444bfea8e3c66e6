"""The profiles/ folder: its sessions, the baseline of each binary, and the catalogue that lists them fast."""

from __future__ import annotations

import contextlib
import errno
import itertools
import json
import os
import re
import secrets
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import IO

import tailflame
from tailflame.errors import StoreError
from tailflame.model import Caution, Recording
from tailflame.store.catalogue import Catalogue, Entry
from tailflame.store.files import absolute, parse_json, reason, sync_folder, write_atomically, write_json
from tailflame.store.manifest import Manifest, SessionState
from tailflame.store.measures import Measures
from tailflame.store.owner import Owner
from tailflame.store.provenance import Commit, Origin, binary_key, cargo_profile, commit_of
from tailflame.store.session import (
    MANIFEST,
    RECORDING,
    SOURCES,
    Draw,
    SessionFolder,
    now,
    read_manifest,
)

INTERRUPTED = Caution(
    "The recording was interrupted: Tailflame ended before it was finished. This is what was on disk.",
    "Record again for a whole run.",
)
LIVE = "live"
"""The tool of a session that a live run has left."""
_NAME = re.compile(r"[^\w.+-]+")
_TRASH = ".deleting-"
_NEW = ".making-"
_ADOPTING = ".adopting-"
_HALF_MADE_S = 600.0
"""Whoever makes a session is done with it by then."""


@dataclass(frozen=True, slots=True)
class SessionInfo:
    """One line of the list. `problem` says why session.json cannot be read; `manifest` is None then."""

    id: str
    path: Path
    state: SessionState
    manifest: Manifest | None
    baseline: bool = False
    problem: str = ""

    @property
    def binary(self) -> str:
        return self.manifest.binary if self.manifest else ""

    @property
    def binary_key(self) -> str:
        return self.manifest.binary_key if self.manifest else ""

    @property
    def title(self) -> str:
        return (self.manifest.title if self.manifest else "") or self.id

    @property
    def tool(self) -> str:
        return self.manifest.tool if self.manifest else ""

    @property
    def started_at(self) -> datetime | None:
        """When it was made; from the folder's name where session.json does not tell."""
        if self.manifest:
            return self.manifest.created_at
        try:
            return datetime.strptime(self.id[:15], "%Y%m%d_%H%M%S").astimezone()
        except ValueError:
            return None

    @property
    def samples(self) -> int | None:
        return self.manifest.samples if self.manifest else None

    @property
    def measures(self) -> Measures:
        """What it is compared by, and so which of its binary's baselines it may be."""
        known = self.manifest.measures if self.manifest else ""
        if self.tool != LIVE and known in set(Measures):
            return Measures(known)
        return Measures.TIME if self.samples is not None and self.tool != LIVE else Measures.LATENCY

    @property
    def commit(self) -> Commit | None:
        return self.manifest.commit if self.manifest else None

    @property
    def folder(self) -> SessionFolder:
        return SessionFolder(self.path)


def session_at(folder: Path) -> SessionInfo:
    """The session in any folder, without the profiles folder around it (and so never a baseline)."""
    return _info(folder, _read_entry(folder))


def program_of(recording: Recording) -> str:
    """The path of the profiled program, "" where the recording holds none or only a name."""
    program = next(iter(recording.meta.command), "")
    return program if Path(program).is_absolute() else ""


class Library:
    """The sessions under `root`, which is made when the first one is."""

    def __init__(self, root: Path) -> None:
        self.root = Path(absolute(root))
        self._catalogue = Catalogue(self.root / "catalogue.sqlite")

    def new_session(
        self,
        *,
        tool: str,
        binary: str | Path = "",
        args: tuple[str, ...] = (),
        cwd: str | Path = "",
        env: Mapping[str, str] | None = None,
        title: str = "",
        at: datetime | None = None,
        group: str = "",
        origin: Origin | None = None,
    ) -> SessionFolder:
        """Makes a session's folder with its session.json in state "recording", owned by this process.

        group: what the sessions of several tools on one target have in common.
        origin: of a program that is not where it was built; otherwise git is asked for the binary's commit: a few
        milliseconds, at most some seconds in a huge project.
        """
        at = at or now()
        binary = origin.binary if origin is not None else binary
        place = absolute(binary) if binary else ""
        manifest = Manifest(
            state=SessionState.RECORDING,
            tool=tool,
            created_at=at,
            title=title or _title(place, args),
            binary=place,
            binary_key=binary_key(place) if place else "",
            args=args,
            cwd=absolute(cwd) if cwd else "",
            env=dict(env or {}),
            build_id=origin.build_id if origin is not None else "",
            cargo_profile=cargo_profile(place) if place else "",
            group=group,
            owner=Owner.of_this_process(),
            written_by=f"tailflame {tailflame.__version__}",
        )
        folder = self._new_folder(f"{at:%Y%m%d_%H%M%S}_{_label(Path(place).name or 'session', tool)}", manifest)
        session = SessionFolder(folder)
        if origin is not None:
            commit = origin.commit
        else:
            commit = commit_of(Path(os.path.realpath(place)).parent) if place else None
        if commit is not None:
            session.update(commit=commit)
        return session

    def _new_folder(self, stem: str, manifest: Manifest) -> Path:
        """profiles/<YYYYmmdd_HHMMSS>_<binary>_<tool>[_n], n from 2 on where the name is taken, with its session.json.

        It is filled under another name: a session is there whole or not at all.
        """
        unfinished = self.root / f"{_NEW}{secrets.token_hex(4)}"
        try:
            unfinished.mkdir(parents=True)
            write_json(unfinished / MANIFEST, manifest.document())
            self._sweep()
            for n in range(1, 10_000):
                folder = self.root / (stem if n == 1 else f"{stem}_{n}")
                try:
                    unfinished.rename(folder)
                except OSError as error:
                    if error.errno in {errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR}:
                        continue
                    raise
                sync_folder(self.root)
                return folder
        except (OSError, StoreError) as error:
            system = error if isinstance(error, OSError) else error.__cause__
            raise StoreError(
                f"No session can be made in {self.root}: {reason(system) if isinstance(system, OSError) else error}.",
                advice="Choose another profiles folder, or check its permissions and free space.",
            ) from error
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
        raise StoreError(f"{self.root} holds ten thousand sessions named {stem}.", advice="Delete some.")

    def _sweep(self) -> None:
        """Removes what a crash left half deleted or half made. What is half made and young may be someone's work."""
        for prefix, age in ((_TRASH, 0.0), (_NEW, _HALF_MADE_S), (_ADOPTING, _HALF_MADE_S)):
            for leftover in self.root.glob(f"{prefix}*"):
                with contextlib.suppress(OSError):  # another Tailflame was faster
                    if time.time() - leftover.stat().st_mtime >= age:
                        shutil.rmtree(leftover)

    def sessions(self) -> tuple[SessionInfo, ...]:
        """All sessions, newest first. One that cannot be read is listed with its problem; the rest are not touched."""
        stamps = self._stamps()
        entries = self._catalogue.entries(stamps, lambda name: _read_entry(self.root / name)) if stamps else {}
        infos = [_info(self.root / key, entry) for key, entry in entries.items()]
        pinned = _pinned(infos)
        infos = [replace(info, baseline=True) if info.id in pinned else info for info in infos]
        return tuple(sorted(infos, key=_order, reverse=True))

    def session(self, session_id: str) -> SessionInfo:
        """The session of this id. StoreError where there is none."""
        for info in self.sessions():
            if info.id == session_id:
                return info
        raise StoreError(f"There is no session {session_id} in {self.root}.", advice="See `tailflame list`.")

    def rebuild(self) -> tuple[SessionInfo, ...]:
        """Makes the catalogue anew from the folders, and removes what a crash left half made or half deleted."""
        self._catalogue.discard()
        self._sweep()
        return self.sessions()

    def delete(self, session_id: str) -> None:
        """Removes a session's folder for good. StoreError while it is being recorded."""
        folder = self._folder_of(session_id)
        info = session_at(folder)
        if info.state is SessionState.RECORDING:
            raise StoreError(f"{session_id} is being recorded.", advice="Stop or cancel the recording first.")
        self._remove(folder)

    def discard(self, session: SessionFolder) -> None:
        """Removes a session that its own process has cancelled."""
        self._remove(self._folder_of(session.id))

    def _remove(self, folder: Path) -> None:
        trash = self.root / f"{_TRASH}{folder.name}"
        try:
            # The rename is one step: a crash in the middle leaves no half session in the list.
            folder.rename(trash)
            shutil.rmtree(trash)
        except OSError as error:
            raise StoreError(
                f"{folder} cannot be deleted: {reason(error)}.", advice="Check the folder's permissions."
            ) from error

    def keep(
        self,
        recording: Recording,
        *,
        source: Path,
        binary: str | Path = "",
        title: str = "",
        draw: Draw | None = None,
        copied: bool = True,
    ) -> SessionInfo:
        """Makes a session of a result that was opened from `source`, which is copied into it.

        copied: False where `source` is no file but only names what was shown, as a part of another result.
        `binary` is whose baseline it may become; by default the recording's own command, where that is a path.
        """
        program = str(binary) or program_of(recording)
        tool = recording.tool or recording.format
        session = self.new_session(
            tool=tool,
            binary=program,
            args=recording.meta.command[1:] if program else (),
            title=title or source.name,
        )

        def fill(stream: IO[bytes]) -> None:
            with source.open("rb") as original:
                shutil.copyfileobj(original, stream)

        try:
            if copied:
                # The session's own names stay free for the session's own files.
                name = source.name if source.name not in {MANIFEST, RECORDING, SOURCES} else f"original_{source.name}"
                write_atomically(session.path / name, fill)
                session.planned(argv=(), artifacts={"original": session.path / name}, primary="original")
            session.complete(recording, draw=draw)
        except BaseException:
            self.discard(session)
            raise
        return self.session(session.id)

    def adopt(self, folder: Path, *, name: str = "") -> SessionInfo:
        """A copy of a finished session from elsewhere, under its own name; the one that is here already, if it is.

        name: the one that it had elsewhere; by default what its time and its program give. Where another session has
        that name here, it gets one like it. It is nobody's baseline at first.
        """
        info = session_at(folder)
        if info.manifest is None or info.state is not SessionState.COMPLETE:
            raise StoreError(info.problem or f"{folder} holds no finished session.")
        at = info.manifest.created_at
        stem = name or f"{at:%Y%m%d_%H%M%S}_{_label(Path(info.binary).name or 'session', info.tool)}"
        name = next(
            tried
            for tried in itertools.chain((stem,), (f"{stem}-{n}" for n in itertools.count(2)))
            if not (self.root / tried / MANIFEST).exists() or _made_at(self.root / tried) == at
        )
        unfinished = self.root / f"{_ADOPTING}{secrets.token_hex(4)}"
        try:
            if not (self.root / name / MANIFEST).exists():
                self.root.mkdir(parents=True, exist_ok=True)
                shutil.copytree(folder, unfinished)
                write_json(unfinished / MANIFEST, replace(info.manifest, pinned_at=None).document())
                unfinished.rename(self.root / name)
        except OSError as error:
            raise StoreError(
                f"{folder} cannot be copied to {self.root}: {reason(error)}.",
                advice="Check the folder's permissions and free space.",
            ) from error
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
        return self.session(name)

    def set_baseline(self, session_id: str, *, binary: str | Path = "") -> SessionInfo:
        """Pins a session as the baseline of its binary; `binary` says whose where the session does not.

        The one before it that measures the same is unpinned. StoreError where the session is not complete or belongs to
        no binary.
        """
        info = self.session(session_id)
        if info.manifest is None:
            raise StoreError(info.problem)
        if info.state is not SessionState.COMPLETE:
            raise StoreError(
                f"{session_id} cannot be a baseline: its state is “{info.state.value}”.",
                advice="Open it first, so that it is read and kept." if info.manifest.primary else "Record again.",
            )
        changes: dict[str, object] = {}
        if binary:
            changes = {"binary": absolute(binary), "binary_key": binary_key(binary)}
        elif not info.binary_key:
            raise StoreError(
                f"{session_id} does not tell which binary it belongs to.", advice="Name the binary as well."
            )
        key = str(changes.get("binary_key", info.binary_key))
        others = [
            other
            for other in self.sessions()
            if (other.binary_key, other.measures) == (key, info.measures) and other.id != session_id
        ]
        # Pinned first and the others unpinned after: the later pin wins should this be cut short.
        latest = max((o.manifest.pinned_at for o in others if o.manifest and o.manifest.pinned_at), default=None)
        pinned_at = now()
        info.folder.update(pinned_at=max(pinned_at, latest) if latest else pinned_at, **changes)
        for other in others:
            if other.manifest and other.manifest.pinned_at:
                other.folder.update(pinned_at=None)
        return self.session(session_id)

    def baseline_of(self, binary: str | Path, *, measures: Measures | None = None) -> SessionInfo | None:
        """The baseline of a binary (by its resolved path), None where none is pinned.

        measures: of that kind; else the one of where time goes, where there are two.
        """
        key = binary_key(binary)
        pinned = [info for info in self.sessions() if info.baseline and info.binary_key == key]
        if measures is not None:
            return next((info for info in pinned if info.measures is measures), None)
        return next(iter(sorted(pinned, key=lambda info: info.measures is not Measures.TIME)), None)

    def clear_baseline(self, binary: str | Path) -> bool:
        """Unpins the baselines of `binary`; False where there was none."""
        key = binary_key(binary)
        pinned = [i for i in self.sessions() if i.binary_key == key and i.manifest and i.manifest.pinned_at]
        for info in pinned:
            info.folder.update(pinned_at=None)
        return bool(pinned)

    def _folder_of(self, session_id: str) -> Path:
        folder = self.root / session_id
        if folder.parent != self.root or folder.is_symlink() or not (folder / MANIFEST).is_file():
            raise StoreError(f"There is no session {session_id} in {self.root}.", advice="See `tailflame list`.")
        return folder

    def _stamps(self) -> dict[str, str]:
        """Session ids with the state of their session.json on disk."""
        stamps = {name: _stamp(self.root / name) for name in self._folder_names()}
        return {name: stamp for name, stamp in stamps.items() if stamp}

    def _folder_names(self) -> Iterator[str]:
        try:
            with os.scandir(self.root) as entries:
                for entry in entries:
                    if not entry.name.startswith(".") and entry.is_dir():
                        yield entry.name
        except FileNotFoundError:
            return
        except OSError as error:
            raise StoreError(
                f"{self.root} cannot be read: {reason(error)}.", advice="Choose another profiles folder."
            ) from error


def _made_at(folder: Path) -> datetime | None:
    """None for a folder that holds no session that can be read."""
    info = session_at(folder)
    return info.manifest.created_at if info.manifest is not None else None


def _read_entry(folder: Path) -> Entry:
    stamp = _stamp(folder)
    try:
        manifest = read_manifest(folder)
    except StoreError as error:
        return Entry(stamp=stamp, document="", problem=_printable(str(error)))
    return Entry(
        stamp=stamp,
        document=json.dumps(manifest.document()),
        created_at=manifest.created_at.isoformat(),
        tool=_printable(manifest.tool),
        binary_key=_printable(manifest.binary_key),
        pinned_at=manifest.pinned_at.isoformat() if manifest.pinned_at else "",
    )


def _info(folder: Path, entry: Entry) -> SessionInfo:
    if entry.problem:
        return SessionInfo(folder.name, folder, SessionState.UNREADABLE, None, problem=entry.problem)
    try:
        manifest = Manifest.from_fields(parse_json(entry.document, str(folder / MANIFEST)))
    except StoreError as error:
        return SessionInfo(folder.name, folder, SessionState.UNREADABLE, None, problem=error.sentence)
    state = manifest.state
    if state is SessionState.RECORDING and not _written(manifest, folder):
        state = SessionState.INTERRUPTED
    return SessionInfo(folder.name, folder, state, manifest)


def recover(
    info: SessionInfo,
    load: Callable[[Path], Recording],
    *,
    draw: Draw | None = None,
    mend: Callable[[Path], object] | None = None,
) -> Recording:
    """Reads the raw file of a session that was never finished, and finishes it.

    mend: makes a cut file readable (run.perf_file), where the recording was interrupted. Where nothing can be written
    (a full disk, another user's folder), the recording is read all the same, and says that it was not kept.
    Errors: StoreError where nothing was recorded or someone still records; `load`'s own.
    """
    if info.state is SessionState.RECORDING:
        raise StoreError(f"{info.id} is being recorded.", advice="Stop the recording first.")
    primary = info.folder.primary
    if not primary.is_file() or not primary.stat().st_size:
        raise StoreError(f"{info.id} was interrupted before anything was recorded.", advice="Record again.")
    interrupted = info.state is SessionState.INTERRUPTED
    if mend is not None and interrupted:
        with contextlib.suppress(OSError):  # a cut file can be read, too, up to the cut
            mend(primary)
    recording = load(primary)
    if interrupted:
        recording = recording.with_warnings(INTERRUPTED)
    try:
        if interrupted and not info.folder.manifest.outcome:
            info.folder.update(outcome="interrupted: Tailflame ended before the recording was finished")
        return info.folder.complete(recording, draw=draw)
    except StoreError as error:
        return recording.with_warnings(Caution(f"It was read, but not kept: {error.sentence}", error.advice))


def _stamp(folder: Path) -> str:
    """Changes with every change of session.json, which is always replaced whole; "" where there is none."""
    try:
        facts = (folder / MANIFEST).stat()
    except OSError:
        return ""
    return f"{facts.st_ino}:{facts.st_size}:{facts.st_mtime_ns}"


def _printable(text: str) -> str:
    """For SQLite, which takes no undecodable bytes; session.json keeps them."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _written(manifest: Manifest, folder: Path) -> bool:
    """Whether someone still writes the session: its Tailflame, or the tool it left behind."""
    return any(owner is not None and owner.is_alive(folder) for owner in (manifest.owner, manifest.tool_owner))


def _pinned(infos: list[SessionInfo]) -> set[str]:
    """The sessions that are baselines: of each binary the one pinned last, of each kind."""
    last: dict[tuple[str, Measures], tuple[datetime, str]] = {}
    for info in infos:
        if info.manifest is not None and info.manifest.pinned_at is not None:
            candidate = (info.manifest.pinned_at, info.id)
            whose = (info.binary_key, info.measures)
            last[whose] = max(candidate, last.get(whose, candidate))
    return {key for _, key in last.values()}


def _order(info: SessionInfo) -> tuple[float, int, str]:
    """By time, then by name, so that `_10` comes after `_2`, and that after the one without."""
    return (info.started_at.timestamp() if info.started_at else 0.0, len(info.id), info.id)


def _label(*parts: str) -> str:
    """The parts as a folder's name may hold them."""
    return "_".join(_NAME.sub("_", part).strip("._")[:64] or "x" for part in parts)


def _title(binary: str, args: tuple[str, ...]) -> str:
    return " ".join((Path(binary).name, *args)) if binary else ""
