"""Recognize DICOM files, and read their series UID from the header."""

from __future__ import annotations

import os
import re
import struct
from contextlib import suppress
from typing import BinaryIO

from cancernet_cli.data.readers.jpeg_colors import jpeg_colors
from cancernet_cli.data.signatures import DICOM, has_signature

_SERIES = (0x0020, 0x000E)
_COLOR = (0x0028, 0x0004)
_PIXELS = (0x7FE0, 0x0010)
_MAX_ELEMENTS = 10_000  # of a file, and of a sequence
_MAX_UID = 128
_HEAD_BYTES = 1 << 16  # has the markers of a JPEG
_UNDEFINED = 0xFFFFFFFF
_LONG = {b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"}
_ITEM, _ITEM_END, _SEQUENCE_END = (0xFFFE, 0xE000), (0xFFFE, 0xE00D), (0xFFFE, 0xE0DD)
_DEEPEST = 32
_NO_ENDING = re.compile(rb"[^.]+|.*\.\d+", re.DOTALL)  # some names are UIDs, such as 1.2.840.10008


def may_be_dicom(name: bytes) -> bool:
    """Whether a file name has no ending, or a number for one, as names of DICOM files often do."""
    return _NO_ENDING.fullmatch(name) is not None and name.upper() != b"DICOMDIR"


def is_dicom(location: bytes) -> bool:
    """Whether a regular file starts as DICOM does; False if it cannot be read."""
    with suppress(OSError), open(location, "rb", buffering=0) as file:
        return has_signature(file.read(132), [DICOM])
    return False


def series_of(path: str) -> str | None:
    """SeriesInstanceUID; None if the file is not DICOM, has none, or uses an encoding that slides never use.

    Supports explicit VR little endian (PS3.5, section 7.1), the encoding of all compressed files.
    """
    try:
        if not os.path.isfile(path):  # reading a FIFO would wait for a writer
            return None
        with open(path, "rb") as file:
            if not has_signature(file.read(132), [DICOM]):
                return None
            for _ in range(_MAX_ELEMENTS):
                tag, length = _element(file)
                if tag == _SERIES:
                    return file.read(min(length, _MAX_UID)).rstrip(b"\0 ").decode("ascii", "replace")
                if _SERIES < tag != _ITEM:  # elements are sorted by tag
                    return None
                _skip(file, length)
            return None
    except (OSError, ValueError, struct.error):
        return None


def files_of_series(path: str) -> list[str]:
    """The files of a slide: those in its folder that have its series, in order of their names."""
    uid, folder = series_of(path), os.path.dirname(path)
    if uid is None:
        return [path]
    names = sorted(entry.path for entry in os.scandir(folder) if entry.is_file())
    return [name for name in names if name == path or (is_dicom(os.fsencode(name)) and series_of(name) == uid)]


def misstates_colors(path: str) -> bool:
    """Whether the first frame is a JPEG whose own statement of its colors contradicts the header's.

    OpenSlide believes the header. False if that cannot be told.
    """
    color = ""
    try:
        with open(path, "rb") as file:
            file.seek(132)
            for _ in range(_MAX_ELEMENTS):
                tag, length = _element(file)
                if tag == _COLOR:
                    color = file.read(min(length, _MAX_UID)).rstrip(b"\0 ").decode("ascii", "replace")
                elif tag == _PIXELS:
                    _, offsets = _element(file)
                    file.seek(offsets, 1)
                    _element(file)
                    found = jpeg_colors(file.read(_HEAD_BYTES))
                    return found is not None and (found == "RGB") != (color == "RGB")
                else:
                    _skip(file, length)
    except (OSError, ValueError, struct.error):
        pass
    return False


def is_cut_off(location: bytes) -> bool:
    """Whether a DICOM file ends before its pixels do; False if that cannot be told."""
    size = os.path.getsize(location)
    with open(location, "rb") as file:
        file.seek(132)
        try:
            for _ in range(_MAX_ELEMENTS):
                tag, length = _element(file)
                if tag == _PIXELS:
                    return file.tell() + length > size if length != _UNDEFINED else _ends_early(file, size)
                _skip(file, length)
        except struct.error:
            return True
        except ValueError:  # an encoding that slides do not use
            pass
    return False


def _ends_early(file: BinaryIO, size: int) -> bool:
    """Whether the file ends before the last of the frames that follow."""
    while True:
        tag, length = _element(file)
        if tag != _ITEM:
            return False
        if file.tell() + length > size:
            return True
        file.seek(length, 1)


def _element(file: BinaryIO) -> tuple[tuple[int, int], int]:
    """Read an element's tag and length, up to its value."""
    group, element = struct.unpack("<HH", file.read(4))
    if group == 0xFFFE:  # items have no value representation
        return (group, element), struct.unpack("<I", file.read(4))[0]
    kind = file.read(2)
    if not kind.isalpha():
        raise ValueError("no value representation")
    if kind in _LONG:
        return (group, element), struct.unpack("<2xI", file.read(6))[0]
    return (group, element), struct.unpack("<H", file.read(2))[0]


def _skip(file: BinaryIO, length: int, depth: int = 0) -> None:
    """Skip a value; one of undefined length is a sequence, whose items are skipped one by one."""
    if length != _UNDEFINED:
        file.seek(length, 1)
        return
    if depth > _DEEPEST:
        raise ValueError("nested too deeply")
    for _ in range(_MAX_ELEMENTS):
        tag, length = _element(file)
        if tag in (_ITEM_END, _SEQUENCE_END):
            return
        _skip(file, length, depth + 1)
    raise ValueError("too many elements")
