"""Files that appear under their name only once they are whole."""

from __future__ import annotations

import errno
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from cancernet_cli.core.errors import OutputError
from cancernet_cli.core.paths import display_path

_FIXES = {
    errno.ENOSPC: "free some space there, or choose another place with --out",
    errno.EDQUOT: "free some of your quota, or choose another place with --out",
    errno.EROFS: "the file system is read-only: choose another place with --out",
    errno.EACCES: "make the folder writable, or choose another place with --out",
    errno.EPERM: "make the folder writable, or choose another place with --out",
    errno.ENAMETOOLONG: "choose a shorter name",
    errno.EISDIR: "a folder has that name: remove it, or choose another name",
    errno.ENOTDIR: "a part of the path is a file: choose another place with --out",
    errno.EEXIST: "a part of the path is a file: choose another place with --out",
}


@contextmanager
def atomic_write(path: Path, *, durable: bool = True) -> Iterator[Path]:
    """An empty temporary file beside `path`, which takes its place when the block ends well.

    Missing folders are made. On any error, an interruption included, the temporary file is removed and what was at
    `path` stays as it was.

    Args:
        durable: wait until the disk has the bytes, so that a power cut leaves the old file or the new one. Off for
            side files by the thousand.

    Raises:
        OutputError: any OSError of the block or of the renaming (disk full, read-only, a folder in the way); or `path`
            is a device or a pipe, which must not be replaced by a file.
    """
    # Not path's own name with an ending: that may fill the 255 bytes already.
    temporary = path.parent / f".cancernet-{os.getpid()}-{secrets.token_hex(4)}.tmp"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _refuse_special(path)
        os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
        yield temporary
        if durable:
            _sync(temporary)
        os.replace(temporary, path)
    except OSError as error:
        raise output_error(path, error) from error
    finally:
        with suppress(OSError):  # gone already when all went well
            temporary.unlink()
    if durable:
        _sync_folder(path.parent)


def write_bytes(path: Path, content: bytes, *, durable: bool = True) -> None:
    """Write a whole file at once, as `atomic_write` does."""
    with atomic_write(path, durable=durable) as temporary:
        temporary.write_bytes(content)


def output_error(path: Path, error: OSError) -> OutputError:
    """The OutputError that says why `path` cannot be written, and what to do about it."""
    why = error.strerror or " ".join(str(error).split()) or type(error).__name__
    number = errno.ENOSPC if "disk is full" in why else error.errno or 0  # as SQLite says it, without a number
    fix = _FIXES.get(number, "look at the disk, or choose another place with --out")
    return OutputError(f"{display_path(os.fsencode(path))} cannot be written: {why}", fix=fix)


def _refuse_special(path: Path) -> None:
    """Raise when `path` is there and is no regular file; /dev/null would be replaced for the whole machine."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if not stat.S_ISREG(mode):
        raise OutputError(f"{path} is not a plain file", fix="name a file; devices and pipes cannot be replaced by one")


def _sync(path: Path) -> None:
    """Wait until the disk has the file's bytes."""
    handle = os.open(path, os.O_RDWR)  # Windows flushes only what is open for writing
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _sync_folder(folder: Path) -> None:
    """Wait until the disk has the folder's names, where the system can (Windows and some network disks cannot)."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    with suppress(OSError):
        os.fsync(handle)
    os.close(handle)
