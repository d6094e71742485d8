"""Read one image file, or report why it cannot be read."""

from __future__ import annotations

import os
import re
import stat
import warnings
from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

import numpy as np

from cancernet_cli.core.arrays import Pixels
from cancernet_cli.core.records import Failure
from cancernet_cli.data.loading.limits import is_out_of_memory, no_memory
from cancernet_cli.data.readers.base import (
    BadImage,
    EmptyFile,
    FileTooLarge,
    FlaggedPixels,
    Needs,
    NotAnImage,
    OpenedImage,
    ShrunkImage,
    TooFewPixels,
    TooManyPixels,
    UnreadableImage,
    readers,
)
from cancernet_cli.data.signatures import has_signature

MAX_FILE_BYTES = 4 * 1024**3
MIN_SIDE_PX = 16
T = TypeVar("T")
_ADDRESS = re.compile(r"<([\w.]+) object at 0x[0-9a-f]+>")


def read_image(location: bytes, *, max_pixels: int) -> Pixels:
    """The pixels of an image file, upright by its EXIF orientation.

    Transparency is composited on white, 16 bits are scaled by their full range, and of several pages one is read.

    Returns:
        `[H, W, 3]` uint8 RGB, C-contiguous.

    Raises:
        UnreadableImage: with stage `read` (no access to the file), `check` (empty, not an image, too large, too small,
            wrong checksum) or `decode` (the decoder fails). Nothing else, whatever the file.
    """
    return read_flagged(location, max_pixels=max_pixels).pixels


def read_flagged(location: bytes, *, max_pixels: int) -> FlaggedPixels:
    """The same, with what its reader had to decide (`FILE_FLAGS`)."""
    return _decoded(location, max_pixels, _whole)


def read_shrunk(location: bytes, needs: Needs, *, max_pixels: int) -> ShrunkImage:
    """The same, at a reduced size in formats that decode it faster, such as JPEG."""

    def decode(opened: OpenedImage) -> ShrunkImage:
        if opened.shrink is not None:
            found = opened.shrink(needs)
            return replace(found, pixels=np.ascontiguousarray(found.pixels))
        pixels, flags = _whole(opened)
        return ShrunkImage(pixels, pixels.shape[1], pixels.shape[0], flags)

    return _decoded(location, max_pixels, decode)


def _whole(opened: OpenedImage) -> FlaggedPixels:
    found = opened.decode()
    pixels, flags = found if isinstance(found, FlaggedPixels) else FlaggedPixels(found)
    return FlaggedPixels(np.ascontiguousarray(pixels), flags)


def _decoded(location: bytes, max_pixels: int, decode: Callable[[OpenedImage], T]) -> T:
    """Open and check a file, then `decode` it; raises as `read_image`."""
    stage = "read"
    try:
        data = _read(location)
        stage = "check"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns of unusual metadata, in every worker
            opened = _open(data)
            check_size(opened.width_px, opened.height_px, max_pixels)
            stage = "decode"
            return decode(opened)
    except BadImage as error:
        raise UnreadableImage(Failure.of("check", error)) from None
    except OSError as error:
        raise UnreadableImage(_failure(stage, error, error.strerror or str(error))) from None
    except SyntaxError as error:  # raised by Pillow for an invalid header
        raise UnreadableImage(Failure(stage, "BadHeader", " ".join(str(error).split()) or "no message")) from None
    except MemoryError:
        raise UnreadableImage(no_memory()) from None
    except Exception as error:  # the per-image edge: decoders raise anything
        raise UnreadableImage(_failure(stage, error, str(error))) from None


def _read(location: bytes) -> bytes:
    """All bytes of a regular file; other kinds of files are refused without blocking."""
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
    descriptor = os.open(location, flags)
    try:
        status = os.fstat(descriptor)
        if stat.S_ISDIR(status.st_mode):
            raise IsADirectoryError("a folder, not a file")
        if not stat.S_ISREG(status.st_mode):
            raise OSError("not a regular file")
        if status.st_size > MAX_FILE_BYTES:
            size, most = status.st_size / 1024**3, MAX_FILE_BYTES // 1024**3
            raise FileTooLarge(f"{size:.1f} GiB, more than the limit of {most} GiB")
        with open(descriptor, "rb", closefd=False) as file:
            data = file.read()
    finally:
        os.close(descriptor)
    if not data:
        raise EmptyFile("the file is empty")
    return data


def _open(data: bytes) -> OpenedImage:
    for entry in readers:
        if has_signature(data, entry.facts["signatures"]):
            return entry.factory(data)
    *names, last = (name.upper() for name in readers.names())
    raise NotAnImage(f"its content is not {', '.join(names)} or {last} (it starts with {data[:8]!r})")


def check_size(width: int, height: int, max_pixels: int) -> None:
    """Raise BadImage if an image has too many pixels, or too few."""
    if width * height > max_pixels:
        raise TooManyPixels(
            f"{width} x {height} is {width * height / 1e6:.1f} megapixels, more than {max_pixels / 1e6:g}; "
            "raise --max-megapixels to read it"
        )
    if min(width, height) < MIN_SIDE_PX:
        raise TooFewPixels(f"{width} x {height}, but each side must have at least {MIN_SIDE_PX} pixels")


def _failure(stage: str, error: Exception, words: str) -> Failure:
    """A failure with the same message on every run, without the memory addresses in decoders' messages."""
    plain = " ".join(_ADDRESS.sub(r"\1", words).split())
    return no_memory() if is_out_of_memory(plain) else Failure(stage, type(error).__name__, plain or "no message")
