"""Objects on disk: SQLite in WAL mode, one transaction per write, committed before the write is acknowledged.

With ``synchronous=NORMAL`` a transaction that was committed survives the death of the process (kill -9); only the loss of
the machine's power may take the last few, and never leaves the file damaged.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

_SCHEMA = """
CREATE TABLE IF NOT EXISTS objects (
    resource TEXT NOT NULL, namespace TEXT NOT NULL, name TEXT NOT NULL,
    revision INTEGER NOT NULL, version TEXT NOT NULL, body BLOB NOT NULL,
    PRIMARY KEY (resource, namespace, name)
);
CREATE TABLE IF NOT EXISTS settings (key TEXT PRIMARY KEY, value TEXT NOT NULL);
"""
# a row that is there is written over where it stands: half the pages of replacing it
_PUT = """
INSERT INTO objects VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT DO UPDATE SET revision = excluded.revision, version = excluded.version, body = excluded.body
"""


class Journal:
    """The file behind a store. Every method is one transaction."""

    def __init__(self, path: Path) -> None:
        self._db = sqlite3.connect(path, isolation_level=None)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=NORMAL")
        self._db.executescript(_SCHEMA)

    def close(self) -> None:
        """Close the file; a second call does nothing."""
        self._db.close()

    def setting(self, key: str) -> str:
        """A small persisted value, "" when it was never set."""
        row = self._db.execute("SELECT value FROM settings WHERE key = ?", (key,)).fetchone()
        return row[0] if row else ""

    def set_setting(self, key: str, value: str) -> None:
        """Persist a small value."""
        self._db.execute("INSERT OR REPLACE INTO settings VALUES (?, ?)", (key, value))

    def revision(self) -> int:
        """The last revision: of the newest object, or of a later removal."""
        newest = self._db.execute("SELECT max(revision) FROM objects").fetchone()[0]
        return max(newest or 1, int(self.setting("revision") or 1))

    def objects(self) -> Iterator[tuple[str, str, str, str, bytes]]:
        """Every object: resource, namespace, name, version in which it is stored, body."""
        yield from self._db.execute("SELECT resource, namespace, name, version, body FROM objects")

    def put(self, revision: int, identity: tuple[str, str, str], version: str, body: bytes) -> None:
        """Store an object; ``identity`` is its resource, namespace and name."""
        self._db.execute(_PUT, (*identity, revision, version, body))

    def remove(self, revision: int, identity: tuple[str, str, str]) -> None:
        """Remove an object, and remember the revision that this makes."""
        self._db.execute("BEGIN")
        try:
            self._db.execute(
                "DELETE FROM objects WHERE resource = ? AND namespace = ? AND name = ?", identity
            )
            self.set_setting("revision", str(revision))
            self._db.execute("COMMIT")
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
