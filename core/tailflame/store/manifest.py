"""session.json: what a session is, in versioned JSON a person can read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import PurePosixPath
from typing import Any

from tailflame.store.files import Fields
from tailflame.store.owner import Owner
from tailflame.store.provenance import Commit
from tailflame.store.upgrade import SESSION


class SessionState(StrEnum):
    """How far a session got."""

    RECORDING = "recording"  # its tool runs, or did when Tailflame ended
    RECORDED = "recorded"  # the tool's files are complete and not yet read
    COMPLETE = "complete"  # read and kept: needs neither the tool's files nor the binary any more
    FAILED = "failed"  # the tool left nothing that could be read
    INTERRUPTED = "interrupted"  # never stored: RECORDING without a living owner
    UNREADABLE = "unreadable"  # never stored: session.json is damaged or of a newer Tailflame


_STORED = frozenset({SessionState.RECORDING, SessionState.RECORDED, SessionState.COMPLETE, SessionState.FAILED})


@dataclass(frozen=True, slots=True)
class Manifest:
    """The content of session.json. None and "" mean "not known"."""

    state: SessionState
    tool: str
    created_at: datetime
    title: str = ""
    note: str = ""
    binary: str = ""
    """The profiled program as the user named it, absolute."""
    binary_key: str = ""
    """What its baseline is found by (provenance.binary_key)."""
    args: tuple[str, ...] = ()
    cwd: str = ""
    env: Mapping[str, str] = field(default_factory=dict)
    """Only what was set for this run."""
    build_id: str = ""
    commit: Commit | None = None
    cargo_profile: str = ""
    owner: Owner | None = None
    tool_owner: Owner | None = None
    """The profiler's own process, which may outlive a crash of Tailflame."""
    tool_argv: tuple[str, ...] = ()
    tool_version: str = ""
    primary: str = ""
    """The artifact that is read, relative to the folder."""
    artifacts: Mapping[str, str] = field(default_factory=dict)
    """File names by role, relative to the folder."""
    finished_at: datetime | None = None
    duration_s: float | None = None
    samples: int | None = None
    lost: int | None = None
    events: tuple[str, ...] = ()
    outcome: str = ""
    """How the target ended, or why the session failed: a sentence."""
    exit_code: int | None = None
    """The target's own, 128 + n for signal n."""
    pinned_at: datetime | None = None
    """When it was made the baseline. Where two sessions of one binary say so, the later one is it."""
    group: str = ""
    """What the sessions have in common that several tools made of one target in turn; "" for one that stands alone."""
    measures: str = ""
    """The kind of its result (measures.Measures); "" for what was kept before there were several."""
    written_by: str = ""

    def document(self) -> dict[str, Any]:
        commit = self.commit
        return {
            "format": "tailflame session",
            "version": SESSION.version,
            "state": self.state.value,
            "tool": self.tool,
            "created_at": self.created_at.isoformat(),
            "title": self.title,
            "note": self.note,
            "target": {
                "binary": self.binary,
                "binary_key": self.binary_key,
                "args": list(self.args),
                "cwd": self.cwd,
                "env": dict(self.env),
                "build_id": self.build_id,
                "cargo_profile": self.cargo_profile,
            },
            "git": commit
            and {
                "commit": commit.commit,
                "branch": commit.branch,
                "dirty": commit.dirty,
                "root": commit.root,
                "changes": commit.changes,
            },
            "owner": self.owner and self.owner.document(),
            "tool_owner": self.tool_owner and self.tool_owner.document(),
            "tool_argv": list(self.tool_argv),
            "tool_version": self.tool_version,
            "primary": self.primary,
            "artifacts": dict(self.artifacts),
            "finished_at": self.finished_at.isoformat() if self.finished_at else None,
            "duration_s": self.duration_s,
            "samples": self.samples,
            "lost": self.lost,
            "events": list(self.events),
            "outcome": self.outcome,
            "exit_code": self.exit_code,
            "pinned_at": self.pinned_at.isoformat() if self.pinned_at else None,
            "group": self.group,
            "measures": self.measures,
            "written_by": self.written_by,
        }

    @classmethod
    def from_fields(cls, fields: Fields) -> Manifest:
        """StoreError where a field is missing or of the wrong kind; StoreVersionError for a newer file."""
        fields = SESSION.upgraded(fields)
        target = fields.part("target")
        state = fields.text("state")
        if state not in _STORED:
            raise fields.wrong("state", "a known state")
        created_at = fields.zoned("created_at")
        if created_at is None:
            raise fields.wrong("created_at", "a time with its zone")
        artifacts = fields.mapping("artifacts")
        primary = fields.text("primary", "")
        for name in (primary, *artifacts.values()):
            if not _stays_inside(name):
                raise fields.wrong("artifacts", "names inside the session's folder")
        return cls(
            state=SessionState(state),
            tool=fields.text("tool"),
            created_at=created_at,
            title=fields.text("title", ""),
            note=fields.text("note", ""),
            binary=target.text("binary", ""),
            binary_key=target.text("binary_key", ""),
            args=target.texts("args"),
            cwd=target.text("cwd", ""),
            env=target.mapping("env"),
            build_id=target.text("build_id", ""),
            cargo_profile=target.text("cargo_profile", ""),
            commit=_commit(fields.part("git")) if "git" in fields else None,
            owner=Owner.from_fields(fields.part("owner")) if "owner" in fields else None,
            tool_owner=Owner.from_fields(fields.part("tool_owner")) if "tool_owner" in fields else None,
            tool_argv=fields.texts("tool_argv"),
            tool_version=fields.text("tool_version", ""),
            primary=primary,
            artifacts=artifacts,
            finished_at=fields.zoned("finished_at"),
            duration_s=fields.number("duration_s"),
            samples=fields.whole("samples"),
            lost=fields.whole("lost"),
            events=fields.texts("events"),
            outcome=fields.text("outcome", ""),
            exit_code=fields.whole("exit_code"),
            pinned_at=fields.zoned("pinned_at"),
            group=fields.text("group", ""),
            measures=fields.text("measures", ""),
            written_by=fields.text("written_by", ""),
        )


def _commit(fields: Fields) -> Commit:
    return Commit(
        commit=fields.text("commit"),
        branch=fields.text("branch", ""),
        dirty=fields.flag("dirty") if "dirty" in fields else None,
        root=fields.text("root", ""),
        changes=fields.text("changes", ""),
    )


def _stays_inside(name: str) -> bool:
    path = PurePosixPath(name)
    return not path.is_absolute() and ".." not in path.parts and "\0" not in name
