"""Temporary databases on disk, for data that may not fit in memory."""

from __future__ import annotations

import sqlite3


def scratch_database(schema: str) -> sqlite3.Connection:
    """A temporary SQLite database with the tables of a schema, deleted when closed.

    With an empty name, SQLite uses an unlinked file: a few megabytes stay in memory, the rest is on disk, and nothing
    remains even after `kill -9`. Threads may use it one after another.
    """
    database = sqlite3.connect("", check_same_thread=False)
    database.executescript(f"PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; {schema}")
    return database
