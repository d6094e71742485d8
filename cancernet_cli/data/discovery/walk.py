"""Walk folders of any size and depth, and find each file once."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from cancernet_cli.core.files import OUTPUT_MARKER, display_path, is_output
from cancernet_cli.core.records import Failure
from cancernet_cli.data.dicom import is_dicom, may_be_dicom
from cancernet_cli.data.discovery.endings import is_hidden
from cancernet_cli.data.discovery.entries import Entry, entry_at, status_of
from cancernet_cli.data.discovery.passed_over import PassedOver
from cancernet_cli.data.discovery.scratch import scratch_database
from cancernet_cli.data.slide_parts import is_part

_MARKER = os.fsencode(OUTPUT_MARKER)


class ExcludedFolders:
    """Folders to skip, by any path that leads to them; they need not exist yet."""

    def __init__(self, folders: Sequence[Path]) -> None:
        self._real = {os.path.realpath(os.fsencode(folder)) for folder in folders}

    def __contains__(self, folder: bytes) -> bool:
        return bool(self._real) and os.path.realpath(folder) in self._real


class FolderWalk:
    """A walk that keeps one open folder in memory and the others on disk.

    Real folders are visited first, then links to folders that have not been visited, each in path order. So link loops
    end, and each regular file is found once, always by the same path. `takes` selects files by name; if that of a DICOM
    slide would be taken, DICOM files without an ending are too. Hidden files and folders, and folders that CancerNet
    wrote, are passed over, unless they were added.

    Attributes:
        passed_over: what was passed over so far.
    """

    def __init__(
        self, excluded: ExcludedFolders, on_problem: Callable[[str], None], takes: Callable[[bytes], bool]
    ) -> None:
        self.excluded = excluded
        self.takes = takes
        self.on_problem = on_problem
        self.passed_over = PassedOver()
        self._takes_dicom = takes(b".dcm")
        self._db = scratch_database(
            """
            CREATE TABLE pending (is_link INTEGER, folder BLOB, PRIMARY KEY (is_link, folder)) WITHOUT ROWID;
            CREATE TABLE visited (device_inode TEXT PRIMARY KEY) WITHOUT ROWID;
            """
        )

    def add(self, folder: bytes) -> None:
        self._db.execute("INSERT OR IGNORE INTO pending VALUES (?, ?)", (os.path.islink(folder), folder))

    def __iter__(self) -> Iterator[Entry]:
        for location, status in self._found():
            yield entry_at(location, status)

    def locations(self) -> Iterator[bytes]:
        """The paths alone, without a look at each file."""
        return (location for location, _ in self._found())

    def _found(self) -> Iterator[tuple[bytes, os.stat_result | Failure | None]]:
        while pending := self._db.execute("SELECT * FROM pending ORDER BY is_link, folder LIMIT 1").fetchone():
            self._db.execute("DELETE FROM pending WHERE is_link = ? AND folder = ?", pending)
            folder = pending[1]
            if folder not in self.excluded and self._is_new(folder):
                yield from self._files_in(folder)

    def _is_new(self, folder: bytes) -> bool:
        try:
            status = os.stat(folder)
        except OSError as error:
            self._report(folder, error)
            return False
        key = f"{status.st_dev}:{status.st_ino}"  # text: SQLite's integers are signed, inodes may use all 64 bits
        return self._db.execute("INSERT OR IGNORE INTO visited VALUES (?)", (key,)).rowcount > 0

    def passes_over(self, location: bytes, *, is_folder: bool) -> bool:
        """Whether a file or folder is hidden, or a folder that CancerNet wrote; if so, it is counted."""
        if is_hidden(os.path.basename(location)):
            self.passed_over.hidden += 1
            return True
        if is_folder and is_output(location):
            self.passed_over.outputs += location not in self.excluded  # this run's own are not worth a word
            return True
        return False

    def _files_in(self, folder: bytes) -> Iterator[tuple[bytes, os.stat_result | Failure | None]]:
        for entry in listed(folder, self._report):
            if entry.name == _MARKER:
                continue
            if entry.is_dir(follow_symlinks=False):
                self._later(entry.path, is_link=False)
            elif entry.is_symlink():
                status = status_of(entry.path)
                if isinstance(status, os.stat_result) and stat.S_ISDIR(status.st_mode):
                    self._later(entry.path, is_link=True)
                    continue
                is_broken = isinstance(status, Failure)
                if (isinstance(status, Failure) or stat.S_ISREG(status.st_mode)) and self._takes(
                    entry, is_there=not is_broken
                ):
                    yield entry.path, status
            elif entry.is_file(follow_symlinks=False) and self._takes(entry, is_there=True):
                yield entry.path, None

    def _later(self, folder: bytes, *, is_link: bool) -> None:
        if not self.passes_over(folder, is_folder=True):
            self._db.execute("INSERT OR IGNORE INTO pending VALUES (?, ?)", (is_link, folder))

    def _takes(self, entry: os.DirEntry[bytes], *, is_there: bool) -> bool:
        """Whether a regular file or broken link is an input; else it is counted, unless it belongs to a slide."""
        if self.passes_over(entry.path, is_folder=False):
            return False
        if self.takes(entry.name):
            return True
        if self._takes_dicom and is_there and may_be_dicom(entry.name) and is_dicom(entry.path):
            return True
        if not is_part(entry.path):
            self.passed_over.add_file(entry.name)
        return False

    def _report(self, folder: bytes, error: OSError) -> None:
        self.on_problem(f"{display_path(folder)} cannot be listed and is skipped: {error.strerror}")


def listed(folder: bytes, on_error: Callable[[bytes, OSError], None]) -> Iterator[os.DirEntry[bytes]]:
    """A folder's entries in the system's order, up to the first error."""
    try:
        with os.scandir(folder) as entries:
            yield from entries
    except OSError as error:
        on_error(folder, error)
