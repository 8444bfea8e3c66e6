"""Where a binary comes from: the project's commit, cargo's profile, and the key that stands for it across builds."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

_GIT_TIMEOUT_S = 5.0
_HASHED = re.compile(r"-[0-9a-f]{16}$")
_TARGET_KINDS = frozenset({"deps", "examples", "build"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where a program is from that no longer lies where it was built. binary: where that was; commit: of its code, None
    where that was in no repository.
    """

    binary: Path
    commit: Commit | None = None
    build_id: str = ""


def binary_key(path: str | Path) -> str:
    """What a baseline belongs to: the path with its links resolved, without the hash that cargo puts on tests.

    `target/release/deps/book-0123456789abcdef` gets a new hash with each change of its inputs.
    """
    resolved = Path(os.path.realpath(path))
    if resolved.parent.name in {"deps", "examples"}:
        resolved = resolved.with_name(_HASHED.sub("", resolved.name) or resolved.name)
    return str(resolved)


def cargo_profile(path: str | Path) -> str:
    """The cargo profile that a binary's folder names ("release-with-debug"); "" where it is not under target/."""
    folder = Path(os.path.realpath(path)).parent
    while folder.name in _TARGET_KINDS:
        folder = folder.parent
    above = [folder.parent.name, folder.parent.parent.name]
    # target/PROFILE, or target/TRIPLE/PROFILE when cross-compiling. Other target folders carry cargo's tag.
    tagged = any((place / "CACHEDIR.TAG").is_file() for place in (folder.parent, folder.parent.parent))
    if "target" not in above and not (tagged and (folder / ".cargo-lock").exists()):
        return ""
    return "dev" if folder.name == "debug" else folder.name


@dataclass(frozen=True, slots=True)
class Commit:
    """`dirty`: tracked files differ from the commit; None where git could not tell in time. changes: a hash of what
    differs, "" where nothing does or git could not tell.
    """

    commit: str
    branch: str = ""
    dirty: bool | None = None
    root: str = ""
    changes: str = ""

    @property
    def short(self) -> str:
        return self.commit[:9] + ("+" if self.dirty else "")

    @property
    def state(self) -> str:
        """ "9f3c2e1a4+5d0b77a1": the code itself, also where changes on one commit follow each other."""
        return self.short + self.changes[:8]


def commit_of(folder: Path) -> Commit | None:
    """The commit of the project that `folder` lies in; None outside git, without git, or where git is too slow."""
    while not folder.is_dir() and folder != folder.parent:
        folder = folder.parent
    head = _git(folder, "rev-parse", "--show-toplevel", "HEAD")
    lines = head.splitlines() if head else []
    if len(lines) != 2:
        return None
    branch = _git(folder, "symbolic-ref", "--quiet", "--short", "HEAD")
    changes = _git(folder, "status", "--porcelain", "--untracked-files=no", "--ignore-submodules")
    return Commit(
        commit=lines[1],
        branch=(branch or "").strip(),
        dirty=None if changes is None else bool(changes.strip()),
        root=lines[0],
        changes=_changes(folder) if changes and changes.strip() else "",
    )


def _changes(folder: Path) -> str:
    # The plumbing: the user's own settings of how differences look, and own programs that show them, do not count.
    found = _git(folder, "diff-index", "-p", "--binary", "--no-color", "--no-ext-diff", "--no-textconv",
                 "--ignore-submodules", "HEAD")  # fmt: skip
    return hashlib.blake2s(found.encode("utf-8", "surrogateescape"), digest_size=8).hexdigest() if found else ""


def _git(folder: Path, *arguments: str) -> str | None:
    """git's output, None where it fails. Asks only: no lock is taken and no hook of the project's is run."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    environment |= {"LC_ALL": "C", "GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0"}
    try:
        done = subprocess.run(
            ("git", "-c", "core.fsmonitor=false", "-C", str(folder), *arguments),
            capture_output=True,
            stdin=subprocess.DEVNULL,
            env=environment,
            timeout=_GIT_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.decode("utf-8", "surrogateescape") if done.returncode == 0 else None
