"""Opening slides: once a process each, however many tiles are asked for."""

from __future__ import annotations

import os
import stat
import struct
from collections import OrderedDict
from contextlib import suppress

from cancernet_cli.core.records import Failure
from cancernet_cli.data.slide_parts import missing_companion
from cancernet_cli.data.slides.base import (
    BadSlide,
    MissingCompanion,
    NotASlide,
    Slide,
    TruncatedSlide,
    UnreadableSlide,
    slide_readers,
)
from cancernet_cli.data.slides.tiff import bytes_missing

MAX_OPEN = 4

_Key = tuple[bytes, int, int]
_open: OrderedDict[_Key, Slide] = OrderedDict()


def shared_slide(location: bytes) -> Slide:
    """The open slide at a path: the same one as before, unless the file has changed since.

    The last `MAX_OPEN` stay open. They belong to this process: after a fork the child opens its own, for two processes
    that read through one handle would move each other's place in the file. For one thread a process; do not close it.

    Raises:
        UnreadableSlide: as `open_slide`.
    """
    status = _look(location)
    key = (location, status.st_size, status.st_mtime_ns)
    if key in _open:
        _open.move_to_end(key)
        return _open[key]
    slide = open_slide(location)
    _open[key] = slide
    while len(_open) > MAX_OPEN:
        _open.popitem(last=False)[1].close()
    return slide


def close_shared() -> None:
    """Close what `shared_slide` has opened in this process."""
    while _open:
        with suppress(Exception):
            _open.popitem()[1].close()


def open_slide(location: bytes) -> Slide:
    """Open the slide at an absolute path; the caller closes it.

    Raises:
        UnreadableSlide: with stage `read` (the file cannot be had) or `open` (truncated, no slide, a missing companion
            folder, an unknown compression). Nothing else, whatever the file.
    """
    _look(location)
    try:
        missing = missing_companion(location)
        if missing:
            raise MissingCompanion(missing)
        lacking = bytes_missing(location)
        if lacking:
            raise TruncatedSlide(f"its pixels go on for {lacking:,} bytes after the file's end")
        # The path as the system has it: OpenSlide and tifffile take text, and undo the escapes
        for reader in sorted((entry.factory() for entry in slide_readers), key=lambda reader: reader.rank):
            if reader.takes(location):
                return reader.open(location)
        raise NotASlide("neither OpenSlide nor tifffile knows its format")
    except UnreadableSlide:
        raise
    except BadSlide as error:
        raise UnreadableSlide(Failure.of("open", error)) from None
    except OSError as error:
        words = error.strerror or " ".join(str(error).split()) or "no message"
        raise UnreadableSlide(Failure("open", type(error).__name__, words)) from None
    except struct.error as error:
        raise UnreadableSlide(Failure("open", "TruncatedSlide", f"its directory is cut short: {error}")) from None
    except MemoryError:
        raise UnreadableSlide(Failure("open", "MemoryError", "not enough memory to open it")) from None
    except Exception as error:  # the per-slide edge: readers fail with whatever they like
        raise UnreadableSlide(Failure.of("open", error)) from None


def _look(location: bytes) -> os.stat_result:
    try:
        status = os.stat(location)
        if stat.S_ISDIR(status.st_mode):
            raise IsADirectoryError("a folder, not a file")
        if not stat.S_ISREG(status.st_mode):
            raise OSError("not a regular file")
        if not os.access(location, os.R_OK):
            raise PermissionError("permission denied")
    except OSError as error:
        words = error.strerror or str(error)
        raise UnreadableSlide(Failure("read", type(error).__name__, words)) from None
    if not status.st_size:
        raise UnreadableSlide(Failure("open", "EmptyFile", "the file is empty"))
    return status


def _forget() -> None:
    """In a forked child: leave the parent's handles alone."""
    global _open
    _open = OrderedDict()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
