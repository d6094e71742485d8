"""The list of files of a run: on disk, in path order, of any length."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from itertools import islice
from pathlib import Path

from cancernet_cli.core.records import Failure, FoundFile, Kind, Truth

_COLUMNS = "path, location, size_bytes, mtime_ns, label, patient, slide, magnification, mpp, problem, kind"
_INSERT_EVERY = 1024


class Worklist:
    """Found files in a SQLite database, sorted by `path`; of duplicate paths the first is kept.

    The database is temporary: every run creates it from scratch, so it is never synced to disk. `done` gives the rows
    that finished parts contain, as (part, row).
    """

    unlisted_folders = 0  # number of folders that could not be listed; their files are missing

    def __init__(self, database: Path) -> None:
        database.unlink(missing_ok=True)
        self._db = sqlite3.connect(database, isolation_level=None)
        self._db.execute("PRAGMA journal_mode = OFF")
        self._db.execute("PRAGMA synchronous = OFF")
        self._db.execute(f"CREATE TABLE file ({_COLUMNS}, part INTEGER, row INTEGER, PRIMARY KEY (path)) WITHOUT ROWID")
        self._db.execute("CREATE TABLE tile_part (path, part INTEGER, PRIMARY KEY (path, part)) WITHOUT ROWID")

    def close(self) -> None:
        """Close the database file."""
        self._db.close()

    def add(self, files: Iterable[FoundFile]) -> Iterator[int]:
        """Add files; yields the number added since the last yield, for progress reports."""
        insert = f"INSERT OR IGNORE INTO file ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
        rows: list[tuple[object, ...]] = []
        for file in files:
            problem = json.dumps(asdict(file.problem)) if file.problem else None
            truth = file.truth
            facts = (truth.label, truth.patient, truth.slide, truth.magnification, truth.mpp)
            rows.append((file.path, file.location, file.size_bytes, file.mtime_ns, *facts, problem, file.kind))
            if len(rows) == _INSERT_EVERY:
                self._insert(insert, rows)
                yield len(rows)
                rows = []
        self._insert(insert, rows)
        yield len(rows)

    def _insert(self, statement: str, rows: list[tuple[object, ...]]) -> None:
        self._db.execute("BEGIN")
        self._db.executemany(statement, rows)
        self._db.execute("COMMIT")

    def __len__(self) -> int:
        return int(self._db.execute("SELECT count(*) FROM file").fetchone()[0])

    def count_pending(self, kind: Kind | None = None) -> int:
        """Number of files, or files of one kind, that no finished part contains."""
        query = "SELECT count(*) FROM file WHERE part IS NULL AND kind = coalesce(?, kind)"
        return int(self._db.execute(query, (kind,)).fetchone()[0])

    def kinds(self) -> dict[str, int]:
        """Number of images and of slides."""
        counts = dict(self._db.execute("SELECT kind, count(*) FROM file GROUP BY kind"))
        return {"image": counts.get("image", 0), "slide": counts.get("slide", 0)}

    def endings(self) -> dict[str, int]:
        """Number of files by suffix, most frequent first."""
        counts = Counter(Path(path).suffix.lower() for (path,) in self._db.execute("SELECT path FROM file"))
        return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))

    def pending(self, kind: Kind | None = None) -> Iterator[FoundFile]:
        """Yield files, or files of one kind, that are not done yet, in path order."""
        yield from self._files("part IS NULL", kind)

    def slides(self) -> Iterator[FoundFile]:
        """Yield all slides, in path order."""
        yield from self._files("1", "slide")

    def everything(self) -> Iterator[FoundFile]:
        """Yield all files, in path order."""
        yield from self._files("1", None)

    def known(self, path: str) -> FoundFile | None:
        """The file of a path; None if it is not in the list."""
        return next(self._files("path = ?", None, path), None)

    def sample(self, count: int, kind: Kind) -> Iterator[FoundFile]:
        """Yield `count` evenly spaced files of a kind, in path order; the same for the same files."""
        step = max(1, self.kinds()[kind] // count)
        yield from islice(islice(self._files("1", kind), 0, None, step), count)

    def _files(self, which: str, kind: Kind | None, *values: object) -> Iterator[FoundFile]:
        query = f"SELECT {_COLUMNS} FROM file WHERE {which} AND kind = coalesce(?, kind) ORDER BY path"
        for path, location, size, mtime, *facts, problem, file_kind in self._db.execute(query, (*values, kind)):
            failure = Failure(**json.loads(problem)) if problem else None
            yield FoundFile(path, location, size, mtime, Truth(*facts), failure, file_kind)

    def mark_done(self, rows: Iterable[tuple[int, int, str, int, int, float | None, float | None]]) -> None:
        """Mark rows of finished parts, as (part, row, path, size_bytes, mtime_ns, magnification, mpp).

        Changed files stay pending, as do images whose magnification or mpp is now known to be another: it may decide at
        which scale they are classified. A slide's row has the mpp that was found in the slide.
        """
        # Parts have single precision.
        same = " AND ".join(
            f"abs(coalesce({name}, 0) - coalesce(?, 0)) <= 1e-6 * coalesce({name}, 0)"
            for name in ("magnification", "mpp")
        )
        update = f"""
            UPDATE file SET part = ?, row = ?
            WHERE path = ? AND size_bytes = ? AND mtime_ns = ? AND (kind = 'slide' OR ({same}))
            """
        self._insert(update, list(rows))

    def mark_tiles(self, part: int, paths: Iterable[str]) -> None:
        """Mark the slides whose tiles a finished part contains."""
        self._insert("INSERT OR IGNORE INTO tile_part VALUES (?, ?)", [(path, part) for path in paths])

    def tile_parts(self, path: str) -> list[int]:
        """Numbers of the parts with tiles of a slide, oldest first."""
        query = "SELECT part FROM tile_part WHERE path = ? ORDER BY part"
        return [part for (part,) in self._db.execute(query, (path,))]

    def done(self) -> Iterator[tuple[int, int]]:
        """Yield (part, row) of every file, in path order."""
        yield from self._db.execute("SELECT part, row FROM file ORDER BY path")

    def digest(self, *, with_scale: bool = False) -> str:
        """SHA-256 of names, sizes and modification times: the same for unchanged inputs.

        with_scale: and of magnifications and resolutions, for a model whose predictions depend on them.
        """
        hashed = hashlib.sha256()
        query = "SELECT path, size_bytes, mtime_ns, magnification, mpp FROM file ORDER BY path"
        for path, size, mtime, *scale in self._db.execute(query):
            hashed.update(f"{len(path)}:{path}:{size}:{mtime}\n".encode())
            if with_scale:
                hashed.update(f"{scale}\n".encode())
        return hashed.hexdigest()
