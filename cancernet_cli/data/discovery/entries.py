"""A look at a file without opening it."""

from __future__ import annotations

import errno
import os
import stat
from dataclasses import dataclass

from cancernet_cli.core.paths import display_path
from cancernet_cli.core.records import Failure


@dataclass(frozen=True, slots=True)
class Entry:
    """A file by its absolute path; `problem` says why it cannot be read."""

    location: bytes
    size_bytes: int = 0
    mtime_ns: int = 0
    problem: Failure | None = None


def look_at(location: bytes) -> os.stat_result | Failure:
    """What lies at a path, links followed, or why that cannot be said."""
    try:
        return os.stat(location)
    except FileNotFoundError as error:
        words = "no such file"
        if os.path.islink(location):
            words = f"a link to {display_path(os.readlink(location))}, which does not exist"
        return Failure("discover", type(error).__name__, words)
    except OSError as error:
        words = (
            "a link that leads back to itself" if error.errno == errno.ELOOP else error.strerror or "no reason given"
        )
        return Failure("discover", type(error).__name__, words)
    except ValueError as error:  # a NUL byte in the name
        return Failure.of("discover", error)


def entry_at(location: bytes) -> Entry:
    """The file at a path that somebody named; a problem when it is none."""
    return entry_of(location, look_at(location))


def entry_of(location: bytes, status: os.stat_result | Failure) -> Entry:
    """The file that `look_at` saw."""
    if isinstance(status, Failure):
        return Entry(location, problem=status)
    if stat.S_ISDIR(status.st_mode):
        return Entry(location, problem=Failure("discover", "IsADirectoryError", "a folder, where a file was expected"))
    if not stat.S_ISREG(status.st_mode):
        return Entry(location, problem=Failure("discover", "OSError", f"a {_kind(status)}, not a regular file"))
    return Entry(location, status.st_size, status.st_mtime_ns)


def absolute(location: bytes, folder: bytes | None = None) -> bytes:
    """An absolute, normal path; `..` is taken after links, as the system does, not before."""
    whole = os.path.join(folder or os.getcwdb(), location)
    if b".." in whole.split(os.fsencode(os.sep)):
        head, tail = os.path.split(whole)
        whole = real(whole) if tail in (b"", b"..") else os.path.join(real(head), tail)
    return os.path.normpath(whole)


def real(location: bytes) -> bytes:
    """A path without links; one with a NUL byte, which no file has and `realpath` fails on, as it is."""
    return location if b"\0" in location else os.path.realpath(location)


def _kind(status: os.stat_result) -> str:
    mode = status.st_mode
    return "FIFO" if stat.S_ISFIFO(mode) else "socket" if stat.S_ISSOCK(mode) else "device"
