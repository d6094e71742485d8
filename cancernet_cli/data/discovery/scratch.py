"""A database on disk for what would not fit in memory; gone when closed."""

from __future__ import annotations

import sqlite3


def scratch_database(schema: str) -> sqlite3.Connection:
    """A temporary SQLite database with these tables.

    An empty name makes SQLite put it into an unlinked file: it holds a couple of megabytes in memory, spills the rest,
    and leaves nothing behind even after `kill -9`. It may be used by one thread after another.
    """
    database = sqlite3.connect("", check_same_thread=False)
    database.executescript(f"PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; {schema}")
    return database
