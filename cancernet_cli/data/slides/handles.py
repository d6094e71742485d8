"""Open slides, once per process however many tiles are read."""

from __future__ import annotations

import itertools
import os
import stat
from collections import OrderedDict

from cancernet_cli.core.records import Failure
from cancernet_cli.core.text import words_of
from cancernet_cli.data.dicom import is_cut_off, is_dicom
from cancernet_cli.data.loading.limits import no_memory
from cancernet_cli.data.slide_parts import missing_companion
from cancernet_cli.data.slides.base import (
    BadSlide,
    MissingCompanion,
    NotASlide,
    Slide,
    SlideReader,
    TruncatedSlide,
    UnreadableSlide,
    slide_readers,
)
from cancernet_cli.data.slides.tiff import check_directories

MAX_OPEN = 4
_PROBE_PX = 16
_PROBES = 6  # along each side of a level, where its center is damaged

# What libraries raise where a tag has the wrong type or number of values
_CONFUSED = (TypeError, AttributeError, LookupError, UnicodeError, AssertionError, ArithmeticError)

_Key = tuple[bytes, int, int]
_open: OrderedDict[_Key, Slide] = OrderedDict()


def shared_slide(location: bytes) -> Slide:
    """The open slide at a path; reused between calls unless the file has changed. The caller must not close it.

    The `MAX_OPEN` most recently used slides stay open. For one thread per process; a forked child opens its own,
    because processes that share a handle would move each other's file position. Raises as `open_slide`.
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


def open_slide(location: bytes) -> Slide:
    """Open the slide at an absolute path; the caller closes it.

    Of the readers that support its format, the first that can decode it; if none can, the first that opens it.

    Raises:
        UnreadableSlide: with stage `read` (no access to the file) or `open` (truncated, not a slide, missing companion
            files, unknown compression). Nothing else, whatever the file.
    """
    _look(location)
    try:
        missing = missing_companion(location)
        if missing:
            raise MissingCompanion(missing)
        check_directories(location)
        if is_dicom(location) and is_cut_off(location):
            raise TruncatedSlide("the file ends before its pixels do")
        readers = sorted((entry.factory() for entry in slide_readers), key=lambda reader: reader.rank)
        return _first_that_reads(location, [reader for reader in readers if reader.takes(location)])
    except UnreadableSlide:
        raise
    except OSError as error:
        raise UnreadableSlide(Failure("open", type(error).__name__, words_of(error))) from None
    except MemoryError:
        raise UnreadableSlide(no_memory("open", "its directories")) from None
    except _CONFUSED as error:
        words = f"its metadata cannot be understood ({' '.join(str(error).split())})"
        raise UnreadableSlide(Failure("open", "DamagedSlide", words)) from None
    except Exception as error:  # a `BadSlide`, or anything that readers raise
        raise UnreadableSlide(Failure.of("open", error)) from None


def _first_that_reads(location: bytes, readers: list[SlideReader]) -> Slide:
    first: Slide | None = None
    errors: list[Exception] = []
    for reader in readers:
        try:
            slide = reader.open(location)
        except Exception as error:  # the next reader is asked
            errors.append(error)
            continue
        is_last = reader is readers[-1]
        if first is None and (is_last or _can_decode(slide)):
            return slide
        if first is None:
            first = slide
        elif slide.levels[0] == first.levels[0] and _can_decode(slide):
            first.close()
            return slide
        else:
            slide.close()
    if first is not None:
        return _if_anything_can_be_decoded(first)
    if errors:  # the reasons of `BadSlide` are more precise than those of libraries
        raise next((error for error in errors if isinstance(error, BadSlide)), errors[0])
    raise NotASlide("no slide reader supports its format")


def _can_decode(slide: Slide) -> bool:
    """Whether the centers of the finest and the coarsest level can be decoded."""
    return all(_failure_at(slide, level, 0.5, 0.5) is None for level in {0, len(slide.levels) - 1})


def _if_anything_can_be_decoded(slide: Slide) -> Slide:
    """The slide; raises if neither its finest nor its coarsest level can be decoded at any of many places.

    Each failure costs up to 0.1 s (OpenSlide has to open the file again), which adds up where every tile is damaged.
    """
    error = None
    for level in sorted({0, len(slide.levels) - 1}):
        for y, x in itertools.product(range(_PROBES), repeat=2):
            error = _failure_at(slide, level, (x + 0.5) / _PROBES, (y + 0.5) / _PROBES)
            if error is None:
                return slide
    slide.close()
    assert error is not None
    raise error


def _failure_at(slide: Slide, level: int, x: float, y: float) -> UnreadableSlide | None:
    """Why the place at these fractions of a level's sides cannot be decoded; None if it can."""
    size = slide.levels[level]
    try:
        slide.read_level(level, int(size.width_px * x), int(size.height_px * y), _PROBE_PX, _PROBE_PX)
    except UnreadableSlide as error:
        return error
    return None


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
        raise UnreadableSlide(Failure("read", type(error).__name__, words_of(error))) from None
    if not status.st_size:
        raise UnreadableSlide(Failure("open", "EmptyFile", "the file is empty"))
    return status


def _forget() -> None:
    """In a forked child: do not use the parent's handles."""
    global _open
    _open = OrderedDict()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
