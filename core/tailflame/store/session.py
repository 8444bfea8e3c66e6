"""One session's folder: written so that a crash at any moment loses nothing that was recorded.

profiles/20261123_120455_trading-system_perf/
    session.json                            first, state "recording"; replaced whole at each step
    perf.data                               the tool's own files under their usual names
    cpu_flamegraph_20261123_120455.svg      the flame graph, for a browser
    recording.npz                           everything a view shows (codec.py)
    sources.json                            text of the hot source lines (sources.py)
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any, TypeAlias

from tailflame.analyse.counted import tells_amounts
from tailflame.errors import StoreError
from tailflame.model import Meta, Recording, StackProfile
from tailflame.store.codec import decode, encode
from tailflame.store.columns import read_columns, write_columns
from tailflame.store.files import locked, read_json, write_json
from tailflame.store.manifest import Manifest, SessionState
from tailflame.store.measures import Measures, measures_of
from tailflame.store.owner import Owner
from tailflame.store.sources import SourceExcerpts, gather_sources, load_sources, save_sources

MANIFEST = "session.json"
RECORDING = "recording.npz"
SOURCES = "sources.json"
FLAME_GRAPH = "flame_graph"
"""The role of the SVG among a session's artifacts."""

_NOT_READ = frozenset({FLAME_GRAPH, "stdout", "stderr"})

Draw: TypeAlias = Callable[[StackProfile, Path], None]
"""Writes a profile's flame graph to a path (report.svg: the store does not draw)."""


def now() -> datetime:
    """The time with its zone. Microseconds order sessions whose folders are named after the same second."""
    return datetime.now().astimezone()


def read_manifest(folder: Path) -> Manifest:
    """session.json of `folder`. StoreError or StoreVersionError where it cannot be read."""
    return Manifest.from_fields(read_json(folder / MANIFEST))


def save_recording(folder: Path, recording: Recording) -> None:
    """Writes `folder`/recording.npz, whole or not at all."""
    header, columns = encode(recording)
    write_columns(folder / RECORDING, header, columns)


def load_recording(folder: Path) -> Recording:
    """What `save_recording` wrote, exactly. StoreError where it is missing, damaged or newer."""
    path = folder / RECORDING
    if not path.exists():
        raise StoreError(
            f"{folder.name} holds no finished recording.",
            advice="Open the raw file in it, or record again.",
        )
    fields, columns = read_columns(path)
    return _placed(decode(fields, columns), folder)


class SessionFolder:
    """The handle of whoever writes a session. Each step is on disk when its method returns."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.id = path.name

    @property
    def manifest(self) -> Manifest:
        return read_manifest(self.path)

    @property
    def primary(self) -> Path:
        """The artifact to read; of a name with a "*" the newest. StoreError where the session has none.

        Of a recording that was interrupted before its result was made, what that would have been made of.
        """
        manifest = self.manifest
        if not manifest.primary:
            raise StoreError(f"{self.id} has no file to read.", advice="Record again.")
        roles = [
            role for role, name in manifest.artifacts.items() if name != manifest.primary and role not in _NOT_READ
        ]
        for name in (manifest.primary, *(manifest.artifacts[role] for role in roles)):
            found = self.path.glob(name) if "*" in name else (self.path / name,)
            held = sorted(filter(_holds, found), key=lambda path: path.stat().st_mtime_ns)
            if held:
                return held[-1]
        return self.path / manifest.primary

    @property
    def stamp(self) -> str:
        """The YYYYmmdd_HHMMSS of the folder's name, which its flame graph shares."""
        return f"{self.manifest.created_at:%Y%m%d_%H%M%S}"

    def update(self, **changes: Any) -> Manifest:
        """Replaces fields of session.json, keeping what others (a pin, a note) wrote meanwhile."""
        with locked(self.path):
            manifest = replace(self.manifest, **changes)
            write_json(self.path / MANIFEST, manifest.document())
        return manifest

    def planned(
        self,
        *,
        argv: tuple[str, ...],
        artifacts: Mapping[str, Path],
        primary: str,
        args: tuple[str, ...] | None = None,
        leaves: tuple[str, ...] = (),
    ) -> None:
        """What is about to run, and the files it will leave, by role. `primary` is the role that is read.

        args: the target's arguments, where they name the session's folder and so were not known before it. leaves:
        patterns of files whose names are not known: should the recording be interrupted, the newest is read.
        """
        names = {**self._inside(artifacts), **{pattern: pattern for pattern in leaves}}
        changes = {} if args is None else {"args": args}
        self.update(tool_argv=argv, artifacts=names, primary=names[primary], **changes)

    def tool_started(self, pid: int) -> None:
        """The profiler's process: it may go on recording after a crash of Tailflame."""
        self.update(tool_owner=Owner.of(pid))

    def recorded(
        self,
        *,
        outcome: str = "",
        exit_code: int | None = None,
        duration_s: float | None = None,
        lost: int | None = None,
        artifacts: Mapping[str, Path] | None = None,
        result: Path | None = None,
    ) -> None:
        """The tool has ended and its files are complete; they still have to be read.

        duration_s, lost: as the recorder saw them, for files that do not tell. result: the file to read, where it is
        not the one that was planned.
        """
        changes = {"primary": str(result.relative_to(self.path))} if result is not None else {}
        planned = {role: name for role, name in self.manifest.artifacts.items() if "*" not in name}
        self.update(
            **changes,
            state=SessionState.RECORDED,
            outcome=outcome,
            exit_code=exit_code,
            duration_s=duration_s,
            lost=lost,
            artifacts={**planned, **self._inside(artifacts or {})},
            finished_at=now(),
            tool_owner=None,
        )

    def complete(self, recording: Recording, *, draw: Draw | None = None) -> Recording:
        """Keeps `recording` for good; its meta is filled up with what only the session knows. Returns it."""
        manifest = self.manifest
        full = replace(recording, meta=_filled(recording.meta, manifest))
        full = replace(full, source=_within(full.source, self.path))
        save_recording(self.path, full)
        artifacts = dict(manifest.artifacts)
        profile, measures = full.profile, measures_of(full)
        if profile is not None:
            bases = [Path(base) for base in (manifest.cwd, manifest.commit.root if manifest.commit else "") if base]
            excerpts = gather_sources(profile, bases=bases)
            if excerpts.lines:
                save_sources(self.path / SOURCES, excerpts)
            if manifest.primary.endswith(".svg"):
                artifacts[FLAME_GRAPH] = manifest.primary  # a tool drew it already
            elif draw is not None:
                artifacts[FLAME_GRAPH] = self._draw(profile, draw, measures)
        self.update(
            state=SessionState.COMPLETE,
            artifacts=artifacts,
            measures=measures.value,
            samples=_samples(profile),
            events=() if profile is None else tuple(event.name for event in profile.events),
            lost=full.meta.lost,
            duration_s=full.meta.duration_s,
            tool_version=full.meta.tool_version,
            build_id=manifest.build_id or _build_id(full.meta, manifest.binary),
            finished_at=manifest.finished_at or now(),
            owner=None,
            tool_owner=None,
        )
        return _placed(full, self.path)

    def failed(self, sentence: str) -> None:
        """The tool left nothing that can be read; its files stay for inspection."""
        self.update(state=SessionState.FAILED, outcome=sentence, finished_at=now(), owner=None, tool_owner=None)

    def load(self) -> Recording:
        return load_recording(self.path)

    def sources(self) -> SourceExcerpts:
        return load_sources(self.path / SOURCES)

    def _draw(self, profile: StackProfile, draw: Draw, measures: Measures) -> str:
        name = f"{'cpu' if measures is Measures.TIME else measures.value.replace(' ', '_')}_flamegraph_{self.stamp}.svg"
        unfinished = self.path / f".{name}.tmp"
        try:
            draw(profile, unfinished)
            unfinished.replace(self.path / name)
        finally:
            with contextlib.suppress(FileNotFoundError):
                unfinished.unlink()
        return name

    def _inside(self, artifacts: Mapping[str, Path]) -> dict[str, str]:
        """Names relative to the folder; artifacts elsewhere are not the session's."""
        return {
            role: str(path.relative_to(self.path)) for role, path in artifacts.items() if path.is_relative_to(self.path)
        }


def _within(source: str, folder: Path) -> str:
    """The name alone of a file in `folder`, since folders are moved and copied; any other source as it is."""
    return Path(source).name if Path(source).parent == folder else source


def _placed(recording: Recording, folder: Path) -> Recording:
    """With the whole path of a source that lies in `folder`."""
    source = recording.source
    if "\0" in source or Path(source).name != source or not (folder / source).is_file():
        return recording
    return replace(recording, source=str(folder / source))


def _filled(meta: Meta, manifest: Manifest) -> Meta:
    """`meta` with what the tool's file does not tell."""
    return replace(
        meta,
        command=_command(meta, manifest),
        tool_argv=meta.tool_argv or manifest.tool_argv,
        started_at=meta.started_at or manifest.created_at,
        duration_s=manifest.duration_s if meta.duration_s is None else meta.duration_s,
        lost=manifest.lost if meta.lost is None else meta.lost,
        outcome=meta.outcome or manifest.outcome,
    )


def _command(meta: Meta, manifest: Manifest) -> tuple[str, ...]:
    """The file's own, but for one that tells it in part: jemalloc the program, strace the beginning of each word."""
    started = (manifest.binary, *manifest.args) if manifest.binary else ()
    same = (
        whole == told or (told.endswith("…") and whole.startswith(told[:-1]))
        for whole, told in zip(started, meta.command, strict=False)
    )
    return started if len(meta.command) <= len(started) and all(same) else meta.command


def _holds(path: Path) -> bool:
    """Something is in it: in a file, or in a folder that is a result as a whole."""
    return any(path.iterdir()) if path.is_dir() else path.is_file() and path.stat().st_size > 0


def _samples(profile: StackProfile | None) -> int | None:
    """None where there are none: what tells amounts, as heaps do, is nothing that a sampler saw so often."""
    if profile is None or (profile.events and all(map(tells_amounts, profile.events))):
        return None
    return round(float(profile.samples.count.sum()))


def _build_id(meta: Meta, binary: str) -> str:
    # perf names a file by the place that its links lead to.
    names = (binary, os.path.realpath(binary))
    return next((build_id for module, build_id in meta.build_ids if module in names), "")
