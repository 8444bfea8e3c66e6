"""From what a user names to a recording: a file, a session's folder or id, "latest", "baseline"."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from tailflame.errors import StoreError
from tailflame.model import Recording
from tailflame.store.files import absolute
from tailflame.store.library import Library, SessionInfo, recover, session_at
from tailflame.store.manifest import SessionState
from tailflame.store.provenance import binary_key
from tailflame.store.session import MANIFEST, RECORDING, Draw, load_recording

Load: TypeAlias = Callable[[Path], Recording]

Mend: TypeAlias = Callable[[Path], object]

_LATEST = re.compile(r"latest(?:~(\d{1,6}))?")


@dataclass(frozen=True, slots=True, eq=False)
class Opened:
    """A recording, and the session it is kept in (None for a file of its own). `label` is for a title."""

    recording: Recording
    label: str
    session: SessionInfo | None = None
    recovered: bool = False
    """True where an interrupted or unread session has just been read and finished."""


def find_session(name: str, library: Library, *, binary: str | Path = "") -> SessionInfo | None:
    """The session that `name` stands for; None where it is none of:

    latest, latest~1 ...   the newest session that can be read, the one before it; of `binary`, where given
    baseline               the baseline of `binary`, else of the newest session's binary
    an id                  or the beginning of one
    a folder, or its session.json or recording.npz

    StoreError where a name is meant for a session and there is none, or more than one.
    """
    latest = _LATEST.fullmatch(name)
    if latest:
        readable = [info for info in library.sessions() if _readable(info) and _belongs(info, binary)]
        back = int(latest[1] or 0)
        if back < len(readable):
            return readable[back]
        if not readable:
            raise StoreError(f"There is no session in {library.root} yet.", advice="Record one: tailflame record.")
        raise StoreError(f"“{name}” goes back further than the {len(readable)} sessions there are.")
    if name == "baseline":
        return _baseline(library, binary)
    path = Path(name)
    if path.name in {MANIFEST, RECORDING} and _is_file(path.parent / MANIFEST):
        path = path.parent
    if name and _is_file(path / MANIFEST):
        path = Path(absolute(path))
        # Elsewhere it is looked at alone: a folder that is not ours gets no catalogue.
        return library.session(path.name) if path.parent == library.root else session_at(path)
    if not name or os.sep in name or _is_there(path):
        return None
    matches = [info for info in library.sessions() if info.id.startswith(name)]
    exact = [info for info in matches if info.id == name]
    if len(exact or matches) > 1:
        raise StoreError(
            f"“{name}” stands for {len(matches)} sessions: {', '.join(info.id for info in matches[:3])} …",
            advice="Write more of the name.",
        )
    return next(iter(exact or matches), None)


def open_result(
    name: str | Path,
    library: Library,
    *,
    load: Load,
    draw: Draw | None = None,
    mend: Mend | None = None,
    binary: str | Path = "",
) -> Opened:
    """The recording that `name` stands for (see find_session); any other path is a result file, read by `load`.

    An interrupted or unread session is read from its raw file and finished; `mend` makes a cut file whole first.
    StoreError, or `load`'s own errors.
    """
    text = os.fspath(name)
    info = find_session(text, library, binary=binary)
    if info is None:
        path = Path(text)
        if os.path.islink(text) and not _is_there(path):  # noqa: PTH114 - the one that does not raise
            raise StoreError(f"“{text}” is a link that leads to no file.", advice="Name the file itself.")
        if not text or not _is_there(path):
            raise StoreError(
                f"“{text}” is neither a file nor a session.", advice="See `tailflame list` for the sessions."
            )
        return Opened(load(path), label=path.name)
    return open_session(info, load=load, draw=draw, mend=mend)


def open_session(info: SessionInfo, *, load: Load, draw: Draw | None = None, mend: Mend | None = None) -> Opened:
    """The recording of a session; StoreError where it has none to read."""
    if info.state is SessionState.UNREADABLE:
        raise StoreError(info.problem or f"{info.id} cannot be read.")
    if info.state is SessionState.FAILED:
        raise StoreError(
            f"{info.id} failed: {info.manifest.outcome if info.manifest else ''}".rstrip(": "),
            advice="Record again.",
        )
    if info.state is SessionState.COMPLETE:
        return Opened(load_recording(info.path), label=info.title, session=info)
    recording = recover(info, load, draw=draw, mend=mend)
    after = session_at(info.path)
    return Opened(recording, label=info.title, session=after, recovered=after.state is SessionState.COMPLETE)


def _is_file(path: Path) -> bool:
    """False as well where it cannot be told: whoever reads the path says why."""
    try:
        return path.is_file()
    except OSError:
        return False


def _is_there(path: Path) -> bool:
    """True as well where a folder above it is closed: whoever reads the path says so."""
    try:
        return path.exists()
    except OSError as error:
        return error.errno != errno.ENAMETOOLONG


def _readable(info: SessionInfo) -> bool:
    return info.state in {SessionState.COMPLETE, SessionState.RECORDED, SessionState.INTERRUPTED}


def _belongs(info: SessionInfo, binary: str | Path) -> bool:
    return not binary or info.binary_key == binary_key(binary)


def _baseline(library: Library, binary: str | Path) -> SessionInfo:
    advice = "Pin one: tailflame baseline set SESSION."
    if binary:
        found = library.baseline_of(binary)
        if found is None:
            raise StoreError(f"{binary} has no baseline.", advice=advice)
        return found
    sessions = library.sessions()
    newest = next((info for info in sessions if _readable(info) and info.binary_key), None)
    if newest is None:
        raise StoreError("There is no session whose baseline could be meant.", advice=advice)
    pinned = [info for info in sessions if info.baseline and info.binary_key == newest.binary_key]
    if not pinned:
        raise StoreError(f"{newest.binary} has no baseline.", advice=advice)
    # The one that the newest session can be compared with, where there are two.
    return next((info for info in pinned if info.measures is newest.measures), pinned[0])
