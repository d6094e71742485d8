"""Match glob patterns as a stream; `glob.iglob` first lists each folder in memory."""

from __future__ import annotations

import fnmatch
import os
import re
from collections.abc import Iterator, Sequence

from cancernet_cli.core.files import display_path
from cancernet_cli.data.discovery.scratch import scratch_database
from cancernet_cli.data.discovery.walk import FolderWalk, listed

_WILDCARD = re.compile(r"[*?\[]")


def matches(folder: bytes, pattern: Sequence[str], walk: FolderWalk) -> Iterator[bytes]:
    """Absolute paths below `folder` that match a pattern, in no particular order, without duplicates.

    As in a shell: `**` matches any number of folders but does not follow links, and wildcards do not match a leading
    dot. `pattern` is split at slashes. What the walk excludes or passes over is not matched by wildcards.
    """
    parts = [*pattern, "*"] if pattern[-1] == "**" else list(pattern)
    database = scratch_database(
        "CREATE TABLE pending (id INTEGER PRIMARY KEY, folder BLOB, part INTEGER, UNIQUE (folder, part));"
    )

    def later(folder: bytes, part: int) -> None:
        database.execute("INSERT OR IGNORE INTO pending (folder, part) VALUES (?, ?)", (folder, part))

    def report(folder: bytes, error: OSError) -> None:
        walk.on_problem(f"{display_path(folder)} cannot be listed: {error.strerror}")

    later(folder, 0)
    done = 0
    while row := database.execute(
        "SELECT id, folder, part FROM pending WHERE id > ? ORDER BY id LIMIT 1", (done,)
    ).fetchone():
        done, folder, at = row
        if folder in walk.excluded:
            continue
        part, is_last = parts[at], at == len(parts) - 1
        if part == "**":
            later(folder, at + 1)
        if not _WILDCARD.search(part):
            path = os.path.join(folder, os.fsencode(part))
            if is_last and os.path.lexists(path):
                yield path
            elif not is_last and os.path.isdir(path):
                later(path, at + 1)
            continue
        fits = re.compile(fnmatch.translate(part)).match
        for entry in listed(folder, report):
            if entry.name.startswith(b".") and not part.startswith("."):
                continue
            if part == "**":
                if entry.is_dir(follow_symlinks=False) and not _passed_over(entry, part, walk):
                    later(entry.path, at)
            elif fits(os.fsdecode(entry.name)):
                if not is_last and not entry.is_dir():
                    continue
                if _passed_over(entry, part, walk):
                    continue
                if is_last:
                    yield entry.path
                else:
                    later(entry.path, at + 1)


def _passed_over(entry: os.DirEntry[bytes], part: str, walk: FolderWalk) -> bool:
    """Whether the walk passes an entry over; a wildcard that begins with a dot asks for hidden names."""
    return not part.startswith(".") and walk.passes_over(entry.path, is_folder=entry.is_dir())
