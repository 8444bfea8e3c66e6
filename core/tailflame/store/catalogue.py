"""The catalogue: an index of the session folders in SQLite, so that a long list opens at once.

The folders are the truth. A catalogue that is missing, damaged or of an older version is made anew from them; one
of a newer Tailflame is left alone; and where SQLite refuses (a locked or read-only folder) the folders are read
directly.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

VERSION = 1
_APPLICATION = 0x7A11F1A3  # "tailflame" in SQLite's application_id: `file` and we know whose it is
_BUSY_S = 2.0
_SCHEMA = """
CREATE TABLE session (
    id          TEXT PRIMARY KEY,
    stamp       TEXT NOT NULL,
    document    TEXT NOT NULL,
    problem     TEXT NOT NULL,
    created_at  TEXT NOT NULL,
    tool        TEXT NOT NULL,
    binary_key  TEXT NOT NULL,
    pinned_at   TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX session_by_binary ON session (binary_key, pinned_at);
"""


class _NewerCatalogue(Exception):
    """Its schema is of a later version: not ours to read or to replace."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One session as indexed: `stamp` says which state of session.json this is, `document` holds its text.

    `problem` is why it could not be read, "" where it could.
    """

    stamp: str
    document: str
    problem: str = ""
    created_at: str = ""
    tool: str = ""
    binary_key: str = ""
    pinned_at: str = ""


class Catalogue:
    """profiles/catalogue.sqlite. Opened anew for each question: any thread may ask."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def entries(self, stamps: Mapping[str, str], read: Callable[[str], Entry]) -> dict[str, Entry]:
        """An entry for each session id of `stamps`; `read` makes those that are new or have changed."""
        try:
            return self._synchronised(stamps, read)
        except _NewerCatalogue:
            return {key: read(key) for key in stamps}
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_ERROR:
                # Locked for long, read-only, or no space: the folders still tell everything.
                return {key: read(key) for key in stamps}
            self.discard()  # "no such table": not what it says it is
        except sqlite3.DatabaseError:
            self.discard()  # "file is not a database", "database disk image is malformed"
        try:
            return self._synchronised(stamps, read)
        except (sqlite3.DatabaseError, _NewerCatalogue):
            return {key: read(key) for key in stamps}

    def discard(self) -> None:
        """Removes the index; the next question makes it anew."""
        for suffix in ("", "-journal", "-wal", "-shm"):
            with contextlib.suppress(FileNotFoundError):
                Path(f"{self.path}{suffix}").unlink()

    def _synchronised(self, stamps: Mapping[str, str], read: Callable[[str], Entry]) -> dict[str, Entry]:
        with self._connection() as connection:
            known = {
                row[0]: Entry(*row[1:])
                for row in connection.execute(
                    "SELECT id, stamp, document, problem, created_at, tool, binary_key, pinned_at FROM session"
                )
            }
            gone = [(key,) for key in known if key not in stamps]
            fresh = {key: read(key) for key, stamp in stamps.items() if key not in known or known[key].stamp != stamp}
            if gone or fresh:
                with connection:
                    connection.executemany("DELETE FROM session WHERE id = ?", gone)
                    connection.executemany(
                        "INSERT OR REPLACE INTO session VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                        [
                            (key, e.stamp, e.document, e.problem, e.created_at, e.tool, e.binary_key, e.pinned_at)
                            for key, e in fresh.items()
                        ],
                    )
            return {key: fresh.get(key) or known[key] for key in stamps}

    @contextlib.contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        connection = sqlite3.connect(self.path, timeout=_BUSY_S)
        try:
            self._prepare(connection)
            yield connection
        finally:
            connection.close()

    def _prepare(self, connection: sqlite3.Connection) -> None:
        """Brings the schema to VERSION. A rollback journal, not WAL: a profiles folder may lie on a network."""
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version == VERSION:
            return
        if version > VERSION:
            raise _NewerCatalogue
        with connection:
            connection.execute("BEGIN IMMEDIATE")
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            if version == VERSION:
                return  # another Tailflame was faster
            connection.execute("DROP TABLE IF EXISTS session")
            for statement in filter(str.strip, _SCHEMA.split(";")):
                connection.execute(statement)
            connection.execute(f"PRAGMA application_id = {_APPLICATION}")
            connection.execute(f"PRAGMA user_version = {VERSION}")
