"""Recognize DICOM files, and read their series UID from the header."""

from __future__ import annotations

import re
import struct
from contextlib import suppress
from typing import BinaryIO

from cancernet_cli.data.signatures import DICOM, has_signature

_SERIES = (0x0020, 0x000E)
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
        with open(path, "rb") as file:
            if not has_signature(file.read(132), [DICOM]):
                return None
            while True:
                tag, length = _element(file)
                if tag == _SERIES:
                    return file.read(length).rstrip(b"\0 ").decode("ascii", "replace")
                if _SERIES < tag != _ITEM:  # elements are sorted by tag
                    return None
                _skip(file, length)
    except (OSError, ValueError, struct.error):
        return None


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
    while True:
        tag, length = _element(file)
        if tag in (_ITEM_END, _SEQUENCE_END):
            return
        _skip(file, length, depth + 1)
