"""Files as found in folders: path, size and time of modification, or why they cannot be read."""

from __future__ import annotations

import errno
import os
import stat
from dataclasses import dataclass

from cancernet_cli.core.files import display_path
from cancernet_cli.core.records import Failure


@dataclass(frozen=True, slots=True)
class Entry:
    """A file by its absolute path; `problem` is the reason why it cannot be read."""

    location: bytes
    size_bytes: int = 0
    mtime_ns: int = 0
    problem: Failure | None = None


def status_of(location: bytes) -> os.stat_result | Failure:
    """The status of a path, following links, or the reason why it has none."""
    try:
        return os.stat(location)
    except FileNotFoundError as error:
        words = "no such file"
        if os.path.islink(location):
            words = f"a broken link to {display_path(os.readlink(location))}"
        return Failure("discover", type(error).__name__, words)
    except OSError as error:
        words = "a symbolic link loop" if error.errno == errno.ELOOP else error.strerror or "unknown error"
        return Failure("discover", type(error).__name__, words)
    except ValueError as error:  # a NUL byte in the name
        return Failure.of("discover", error)


def entry_at(location: bytes, status: os.stat_result | Failure | None = None) -> Entry:
    """The file at a path, with its status if known; its `problem` is set if it is not a regular file."""
    if status is None:
        status = status_of(location)
    if isinstance(status, Failure):
        return Entry(location, problem=status)
    if stat.S_ISDIR(status.st_mode):
        return Entry(location, problem=Failure("discover", "IsADirectoryError", "a folder, not a file"))
    if not stat.S_ISREG(status.st_mode):
        return Entry(location, problem=Failure("discover", "OSError", f"a {_kind(status)}, not a regular file"))
    return Entry(location, status.st_size, status.st_mtime_ns)


def absolute(location: bytes, folder: bytes | None = None) -> bytes:
    """An absolute, normalised path; `..` is resolved after links, as the system does."""
    whole = os.path.join(folder or os.getcwdb(), location)
    if b".." in whole.split(os.fsencode(os.sep)):
        head, tail = os.path.split(whole)
        whole = real(whole) if tail in (b"", b"..") else os.path.join(real(head), tail)
    return os.path.normpath(whole)


def real(location: bytes) -> bytes:
    """A path without links; unchanged if it has a NUL byte, on which `realpath` fails."""
    return location if b"\0" in location else os.path.realpath(location)


def _kind(status: os.stat_result) -> str:
    mode = status.st_mode
    return "FIFO" if stat.S_ISFIFO(mode) else "socket" if stat.S_ISSOCK(mode) else "device"
