"""Files: written atomically, in output folders that are checked, and named in valid Unicode."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from cancernet_cli.core.errors import OutputError
from cancernet_cli.core.text import words_of

OUTPUT_MARKER = ".cancernet-output"
_MARKER_TEXT = "CancerNet wrote this folder. When its commands search a folder for images, they pass this one over.\n"
_ESCAPE = re.compile(r"\\x([0-9a-f]{2})")
_FIXES = {
    errno.ENOSPC: "free some disk space, or choose another --out",
    errno.EDQUOT: "free some of your quota, or choose another --out",
    errno.EROFS: "choose an --out on a file system that is not read-only",
    errno.EACCES: "make the folder writable, or choose another --out",
    errno.EPERM: "make the folder writable, or choose another --out",
    errno.ENOENT: "choose a folder that exists and is writable",
    errno.ENAMETOOLONG: "choose a shorter name",
    errno.EISDIR: "remove the folder of that name, or choose another name",
    errno.ENOTDIR: "choose another --out: part of the path is a file",
    errno.EEXIST: "choose another --out: part of the path is a file",
}


@contextmanager
def atomic_write(path: Path, *, durable: bool = True) -> Iterator[Path]:
    """An empty temporary file in the folder of `path`, which replaces `path` when the block ends without an error.

    Missing folders are created. On any error or interruption, the temporary file is removed and `path` stays as it was.

    Args:
        durable: wait until the bytes are on disk, so that a power cut leaves the old file or the new one. Turn off for
            thousands of side files.

    Raises:
        OutputError: an OSError in the block or on renaming (disk full, read-only, a folder in the way); or `path` is a
            device or a pipe, which must not be replaced by a file.
    """
    # Not path's own name with a suffix: the name may already have the full 255 bytes.
    temporary = path.parent / f".cancernet-{os.getpid()}-{secrets.token_hex(4)}.tmp"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _refuse_special(path)
        os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
        yield temporary
        publish(temporary, path, durable=durable)
    except OSError as error:
        raise output_error(path, error) from error
    finally:
        with suppress(OSError):  # renamed, if all went well
            temporary.unlink()


def publish(made: Path, path: Path, *, durable: bool = True) -> None:
    """Replace `path` with the finished file `made` on the same file system, in one step; raises as `atomic_write`."""
    try:
        _refuse_special(path)
        if durable:
            _sync(made, os.O_RDWR)  # Windows flushes only files open for writing
        os.replace(made, path)
    except OSError as error:
        raise output_error(path, error) from error
    if durable:
        with suppress(OSError):  # not supported on Windows and some network file systems
            _sync(path.parent, os.O_RDONLY)


def write_bytes(path: Path, content: bytes, *, durable: bool = True) -> None:
    """Write a whole file atomically, as `atomic_write` does."""
    with atomic_write(path, durable=durable) as temporary:
        temporary.write_bytes(content)


def output_error(path: Path, error: OSError) -> OutputError:
    """The OutputError for an OSError while writing `path`: the cause and its fix."""
    why = words_of(error)
    if error.errno == errno.ENOENT:  # Linux also reports it for folders that accept no new files, such as /proc
        why = "the folder does not exist or accepts no new files"
    number = errno.ENOSPC if "disk is full" in why else error.errno or 0  # SQLite's message, which has no number
    fix = _FIXES.get(number, "check the disk, or choose another --out")
    return OutputError(f"{display_path(os.fsencode(path))} cannot be written: {why}", fix=fix)


def check_output_folder(folder: Path, *, overwrite: bool, marker: str = "*") -> None:
    """Refuse a folder that already has output, that is files that match the glob pattern `marker`.

    Raises:
        OutputError: the folder is a file or cannot be read, or it has output and `overwrite` is not set.
    """
    if folder.exists() and not folder.is_dir():
        raise OutputError(f"{folder} is a file", fix="choose another --out")
    try:
        is_taken = folder.is_dir() and any(path.name != OUTPUT_MARKER for path in folder.glob(marker))
    except OSError as error:
        raise output_error(folder, error) from error
    if is_taken and not overwrite:
        found = "is not empty" if marker == "*" else f"already has {marker}"
        raise OutputError(f"{folder} {found}", fix="choose another --out, or pass --overwrite to replace its content")


def mark_output(folder: Path) -> bool:
    """Create an output folder, with a marker by which searches for images pass it over.

    A folder that has files already gets no marker, unless these are outputs too: it would hide the user's images.

    Returns:
        Whether the folder is marked.

    Raises:
        OSError: it cannot be created or written to.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if is_output(os.fsencode(folder)):
        return True
    if any(not is_output(os.fsencode(path)) for path in folder.iterdir()):
        return False
    (folder / OUTPUT_MARKER).write_text(_MARKER_TEXT, "utf-8")
    return True


def is_output(folder: bytes) -> bool:
    """Whether a folder is marked as one that CancerNet wrote."""
    return os.path.lexists(os.path.join(folder, os.fsencode(OUTPUT_MARKER)))


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def partial_folder(out: Path) -> Path:
    """`<out>.partial`, in which an unfinished run keeps what the next run can resume from."""
    return out.with_name(f"{out.name}.partial")


def private_folder(path: Path) -> None:
    """Create a folder that only its owner may read and write, or make an own one private.

    Files in it are created and replaced by fixed names; anyone else who may write to it could plant links there.

    Raises:
        OutputError: it is a link, a file or another user's folder, or cannot be created.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileExistsError):
            path.mkdir(mode=0o700)
        status = path.lstat()
        if not stat.S_ISDIR(status.st_mode):
            kind = "a link" if stat.S_ISLNK(status.st_mode) else "a file"
            raise OutputError(f"{path} is {kind}, not a folder", fix="remove it, or choose another --out")
        if hasattr(os, "getuid"):
            if status.st_uid != os.getuid():
                raise OutputError(f"{path} belongs to another user", fix="choose another --out")
            if stat.S_IMODE(status.st_mode) != 0o700:
                path.chmod(0o700)
    except OSError as error:
        raise output_error(path.parent, error) from None


def _refuse_special(path: Path) -> None:
    """Raise if `path` is not a regular file; /dev/null would be replaced for the whole machine."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if not stat.S_ISREG(mode):
        raise OutputError(f"{path} is not a regular file", fix="name a file instead of a device or pipe")


def _sync(path: Path, flags: int) -> None:
    """Wait until a file's bytes, or a folder's entries, are on disk."""
    handle = os.open(path, flags)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def display_path(location: bytes) -> str:
    r"""A POSIX path as valid Unicode; bytes that are not UTF-8 become `\xHH`.

    A backslash that would read as such an escape becomes `\x5c`, so that no two files share a name and `real_path` is
    the exact inverse.
    """
    text = location.decode("utf-8", "surrogateescape")
    text = re.sub(r"\\(?=x[0-9a-f]{2})", r"\\x5c", text)
    text = "".join(f"\\x{ord(c) - 0xDC00:02x}" if "\udc80" <= c <= "\udcff" else c for c in text)
    return text if os.sep == "/" else text.replace(os.sep, "/")


def real_path(path: str | bytes) -> bytes:
    """The bytes of a file name from the text of `display_path`; bytes are returned unchanged.

    Lists may also have bytes or numbers as names.
    """
    if isinstance(path, bytes):
        return path
    path = str(path)
    parts: list[bytes] = []
    end = 0
    for match in _ESCAPE.finditer(path):
        parts += [path[end : match.start()].encode(), bytes([int(match[1], 16)])]
        end = match.end()
    return b"".join([*parts, path[end:].encode()])
