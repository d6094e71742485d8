"""The content that each row of a finished table was made from, so that a later run can reuse the row."""

from __future__ import annotations

import hashlib
import os
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from cancernet_cli.core.files import atomic_write, real_path
from cancernet_cli.core.records import FoundFile

_SCHEMA = pa.schema(
    [("path", pa.string()), ("size_bytes", pa.int64()), ("mtime_ns", pa.int64()), ("sha256", pa.binary(32))]
)
_MOST_BYTES = 1 << 30  # of a file that is hashed; a larger slide is classified again if its time has changed
_MULTI_FILE = (b".mrxs", b".vms", b".vmu", b".dcm")
_ROWS = 16_384
_INSERT = "INSERT OR REPLACE INTO content VALUES (?, ?, ?, ?)"


def contents_file(out: Path) -> Path:
    """Path of the contents of a table."""
    return out.with_name(f"{out.stem}.contents.parquet")


class ContentHashes:
    """SHA-256 of the files that rows were made from, in a database in the folder of an unfinished run."""

    def __init__(self, database: Path, base: Path) -> None:
        self._base = os.fsencode(base)
        with suppress(sqlite3.DatabaseError):
            self._db = _opened(database)
            return
        database.unlink(missing_ok=True)  # damaged by a full disk or a power cut
        self._db = _opened(database)

    def close(self) -> None:
        self._db.close()

    def add(self, rows: pa.RecordBatch) -> None:
        """Hash the files of rows of a part that have a prediction, if they are still those that were classified."""
        found = []
        names = ("path", "status", "_size_bytes", "_mtime_ns")
        for path, status, size, mtime in zip(*(rows[name].to_pylist() for name in names), strict=True):
            location = os.path.join(self._base, real_path(path))
            digest = None if status == "failed" else content_hash(location, size)
            if digest is not None and _is(location, size, mtime):
                found.append((path, size, mtime, digest))
        with self._db:
            self._db.executemany(_INSERT, found)

    def keep(self, known: Iterable[tuple[str, int, int, bytes | None]]) -> None:
        """Keep path, size, time and hash of files that are known from an earlier run."""
        with self._db:
            self._db.executemany(_INSERT, (row for row in known if row[3] is not None))

    def of(self, path: str, size_bytes: int, mtime_ns: int) -> bytes | None:
        """The hash of a file as it is now, if it is known."""
        query = "SELECT sha256 FROM content WHERE path = ? AND size_bytes = ? AND mtime_ns = ?"
        found = self._db.execute(query, (path, size_bytes, mtime_ns)).fetchone()
        return None if found is None else bytes(found[0])


def _opened(database: Path) -> sqlite3.Connection:
    found = sqlite3.connect(database, check_same_thread=False)
    found.execute("PRAGMA synchronous = OFF")
    found.execute(
        "CREATE TABLE IF NOT EXISTS content (path TEXT PRIMARY KEY, size_bytes, mtime_ns, sha256) WITHOUT ROWID"
    )
    return found


def content_hash(location: bytes, size_bytes: int) -> bytes | None:
    """SHA-256 of a file; None for slides of several files, of more than 1 GiB, and if it cannot be read."""
    if size_bytes > _MOST_BYTES or location.lower().endswith(_MULTI_FILE):
        return None
    with suppress(OSError), open(location, "rb", buffering=0) as file:
        return hashlib.file_digest(file, "sha256").digest()
    return None


def _is(location: bytes, size_bytes: int, mtime_ns: int) -> bool:
    with suppress(OSError):
        status = os.stat(location)
        return (status.st_size, status.st_mtime_ns) == (size_bytes, mtime_ns)
    return False


def write_contents(files: Iterable[FoundFile], hashes: ContentHashes, out: Path) -> None:
    """Write path, size, time and hash of each file of a table, in its order.

    Raises:
        OutputError: it cannot be written.
    """
    with atomic_write(out) as temporary, pq.ParquetWriter(temporary, _SCHEMA, compression="zstd") as writer:
        rest = iter(files)
        while some := list(islice(rest, _ROWS)):
            rows = [
                (file.path, file.size_bytes, file.mtime_ns, hashes.of(file.path, file.size_bytes, file.mtime_ns))
                for file in some
            ]
            columns = zip(_SCHEMA.names, zip(*rows, strict=True), strict=True)
            writer.write_table(pa.table({name: list(column) for name, column in columns}, schema=_SCHEMA))


def contents_of(table: Path) -> Iterator[tuple[pa.Table, list[tuple[int, int, bytes | None]]]]:
    """The rows of a finished table, some at a time, with size, time and hash of the file of each.

    Raises:
        OSError, ArrowException: a file cannot be read.
        ValueError: the contents are not those of this table.
    """
    rows, contents = pq.ParquetFile(table), pq.ParquetFile(contents_file(table))
    if rows.metadata.num_rows != contents.metadata.num_rows:
        raise ValueError("another number of rows")
    pairs = zip(rows.iter_batches(_ROWS), contents.iter_batches(_ROWS, columns=_SCHEMA.names), strict=True)
    for some, its in pairs:
        if some["path"].to_pylist() != its["path"].to_pylist():
            raise ValueError("other rows")
        facts = (its[name].to_pylist() for name in _SCHEMA.names[1:])
        yield pa.Table.from_batches([some]), list(zip(*facts, strict=True))
