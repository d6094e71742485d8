"""Files that can be recomputed, kept between runs in the user's cache folder.

The folders are private to the user, and every entry has the checksums of its files: what is loaded is what was made.
"""

from __future__ import annotations

import errno
import os
import shutil
import stat
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import platformdirs

from cancernet_cli.core.errors import OutputError
from cancernet_cli.core.events import Reporter, Warn, silent
from cancernet_cli.core.files import OUTPUT_MARKER, file_sha256, mark_output, private_folder

KEEP_S = 60 * 24 * 3600.0  # entries unused for longer are removed
SUMS_FILE = "SHA256SUMS"  # as `sha256sum --check` reads it
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


class Untrusted(OSError):
    """A cached file or folder that another user may have written, or that has changed since it was made."""

    def __init__(self, reason: str) -> None:
        super().__init__(errno.EPERM, reason)


def cache_root() -> Path:
    """`$CANCERNET_CACHE`, else the system's cache folder (https://platformdirs.readthedocs.io)."""
    return Path(os.environ.get("CANCERNET_CACHE") or platformdirs.user_cache_path("cancernet"))


def cache_folder(kind: str, report: Reporter = silent) -> Path:
    """A subfolder of the cache that only this user can read or write; created if it is missing.

    A folder of this user that others could write to is emptied first, with a warning.

    Raises:
        Untrusted: it, or the cache, belongs to another user.
        OSError: it cannot be created.
    """
    root = cache_root()
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    _refuse_foreign(root)
    folder = root / kind
    was_open = _checks_owners() and folder.is_dir() and bool(folder.stat().st_mode & _OTHERS_WRITE)
    try:
        private_folder(folder)
    except OutputError as error:
        raise Untrusted(error.message) from None
    if was_open:
        for entry in folder.iterdir():
            _remove(entry)
        report(Warn(f"{folder} was writable by other users; its content was removed and is created again"))
    return folder


def find_cached(kind: str, key: str) -> Path | None:
    """The cache folder for `key`, with all files as they were made; None if there is none.

    Raises:
        Untrusted: a file has changed, or others may have written to the folder.
        OSError: it cannot be read.
    """
    entry = cache_root() / kind / key
    if not entry.is_dir():
        return None
    _refuse_foreign(cache_root())
    _refuse_others(entry.parent)
    if entry.is_symlink():
        raise Untrusted("it is a link")
    _refuse_others(entry)
    _check_sums(entry)
    with suppress(OSError):  # a cache that is read-only
        os.utime(entry)
    return entry


@contextmanager
def cached_folder(kind: str, key: str, make: Callable[[Path], None], report: Reporter = silent) -> Iterator[Path]:
    """The cache folder for `key`, filled by `make` if it does not exist yet.

    It appears complete or not at all, even if several processes create it at the same time. If a file has changed, or
    others may have written to the folder, it is made again, with a warning. If the cache cannot be used, the block gets
    a temporary folder, with a warning. `kind` is a subfolder of the cache.

    Raises:
        OutputError: nothing can be written to the temporary folder either.
    """
    entry: Path | None = None
    try:
        entry = cache_entry(kind, key, make, report)
    except OSError as error:
        shelf = cache_root() / kind
        report(Warn(f"{shelf} cannot be used as a cache ({error.strerror}); set CANCERNET_CACHE to another folder"))
    if entry is not None:
        yield entry
        return
    try:
        temporary = tempfile.TemporaryDirectory()
        make(Path(temporary.name))
    except OSError as error:
        raise OutputError(
            f"{tempfile.gettempdir()} cannot be written: {error.strerror}",
            fix="free some disk space, or set CANCERNET_CACHE to a writable folder",
        ) from None
    with temporary:
        yield Path(temporary.name)


def cache_entry(kind: str, key: str, make: Callable[[Path], None], report: Reporter = silent) -> Path:
    """As `cached_folder`, for callers that need the folder after a block.

    Raises:
        OSError: the cache cannot be used.
    """
    shelf = cache_folder(kind, report)
    entry = shelf / key
    try:
        found = find_cached(kind, key)
    except Untrusted as error:
        report(Warn(f"{entry} is not used: {error.strerror}; it is made again"))
        _remove(entry)
        found = None
    if found is not None:
        return found
    mark_output(shelf)
    _remove_old(shelf)
    scratch = Path(tempfile.mkdtemp(prefix=".new-", dir=shelf))
    try:
        make(scratch)
        _write_sums(scratch)
        _publish(scratch, entry)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return entry


def _publish(scratch: Path, entry: Path) -> None:
    try:
        scratch.rename(entry)
    except OSError:
        if not entry.is_dir():  # else another process was faster, with the same content
            raise


def _write_sums(folder: Path) -> None:
    lines = [f"{file_sha256(path)}  {path.name}\n" for path in sorted(folder.iterdir())]
    (folder / SUMS_FILE).write_text("".join(lines), "utf-8")


def _check_sums(folder: Path) -> None:
    """Raises Untrusted unless the folder holds exactly the files that were made, unchanged."""
    try:
        lines = (folder / SUMS_FILE).read_text("utf-8").splitlines()
        sums = {name: digest for digest, _, name in (line.partition("  ") for line in lines)}
    except (OSError, ValueError):
        raise Untrusted("it has no checksums") from None
    if {path.name for path in folder.iterdir()} != {*sums, SUMS_FILE}:
        raise Untrusted("files were added or removed")
    for name, digest in sums.items():
        path = folder / name
        if not stat.S_ISREG(path.lstat().st_mode):
            raise Untrusted(f"{name} is not a file")
        if file_sha256(path) != digest:
            raise Untrusted(f"{name} has changed since it was made")


def _refuse_others(path: Path) -> None:
    """Raises Untrusted for a folder that others own or may write to."""
    _refuse_foreign(path)
    if path.stat().st_mode & _OTHERS_WRITE and _checks_owners():
        raise Untrusted(f"{path.name} is writable by other users")


def _refuse_foreign(path: Path) -> None:
    """Raises Untrusted unless the folder belongs to this user or to root."""
    if _checks_owners() and path.stat().st_uid not in (os.getuid(), 0):
        raise Untrusted(f"{path.name} belongs to another user")


def _checks_owners() -> bool:
    return hasattr(os, "getuid")  # Windows has no such owners


def _remove(entry: Path) -> None:
    if entry.is_dir() and not entry.is_symlink():
        shutil.rmtree(entry, ignore_errors=True)
    else:
        with suppress(OSError):
            entry.unlink()


def _remove_old(shelf: Path) -> None:
    for entry in shelf.iterdir():
        if entry.name == OUTPUT_MARKER:
            continue
        try:
            if time.time() - entry.stat().st_mtime > KEEP_S:
                _remove(entry)
        except OSError:  # another run is removing it
            continue
