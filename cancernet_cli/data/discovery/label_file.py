"""Labels from a CSV or Parquet file, matched to files by path."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path

from cancernet_cli.core.files import display_path
from cancernet_cli.core.records import Truth
from cancernet_cli.data.discovery.entries import absolute, real
from cancernet_cli.data.discovery.manifest import DEFAULT_RULE, LabelRule, Manifest, check_same_label
from cancernet_cli.data.discovery.scratch import scratch_database

_FACTS = "label, patient, slide, magnification, mpp"


class LabelSource:
    """A source of labels and metadata; this base has none."""

    def truth(self, location: bytes) -> Truth:
        """The label and metadata of the file at an absolute path; empty if unknown."""
        return Truth()

    def report(self, on_problem: Callable[[str], None]) -> None:
        """Report rows that matched no file; called after the last file."""


class LabelFile(LabelSource):
    """A label file, kept in a database on disk so that memory use is constant.

    Paths are relative to the label file's folder or, if that file is not among the inputs, to the base folder. Folders
    are compared by their real paths.

    Raises:
        InputError: a row is invalid, or two rows have different labels for the same file.
    """

    def __init__(self, file: Path, base: Path, classes: Sequence[str], rule: LabelRule = DEFAULT_RULE) -> None:
        self._file = file
        self._db = scratch_database(
            f"""
            CREATE TABLE row (line INTEGER, name BLOB, by_folder BLOB UNIQUE, by_base BLOB, {_FACTS}, used INTEGER);
            CREATE INDEX row_by_base ON row (by_base);
            """
        )
        folder, base_folder = os.path.dirname(absolute(os.fsencode(file))), os.fsencode(base)
        for row in Manifest(file, classes, rule):
            key = _key(absolute(row.name, folder))
            base_key = _key(absolute(row.name, base_folder))
            truth = row.truth
            facts = (truth.label, truth.patient, truth.slide, truth.magnification, truth.mpp)
            insert = f"INSERT OR IGNORE INTO row (line, name, by_folder, by_base, {_FACTS}) VALUES (?,?,?,?,?,?,?,?,?)"
            if not self._db.execute(insert, (row.line, row.name, key, base_key, *facts)).rowcount:
                check_same_label(self._db, "by_folder", key, row)

    def truth(self, location: bytes) -> Truth:
        key = _key(location)
        for column in ("by_folder", "by_base"):
            found = self._db.execute(f"SELECT rowid, {_FACTS} FROM row WHERE {column} = ?", (key,)).fetchone()
            if found is not None:
                self._db.execute("UPDATE row SET used = 1 WHERE rowid = ?", found[:1])
                return Truth(*found[1:])
        return Truth()

    def report(self, on_problem: Callable[[str], None]) -> None:
        query = "SELECT count(*), sum(used IS NULL), min(CASE WHEN used IS NULL THEN rowid END) FROM row"
        rows, unused, first = self._db.execute(query).fetchone()
        if unused:
            line, name = self._db.execute("SELECT line, name FROM row WHERE rowid = ?", (first,)).fetchone()
            first_row = f"{display_path(name)!r}, row {line}"
            on_problem(f"{unused} of {rows} rows in {self._file} match no file; the first is {first_row}")


def _key(location: bytes) -> bytes:
    folder, name = os.path.split(location)
    return os.path.join(_real_folder(folder), name)


_real_folder = lru_cache(maxsize=4096)(real)
