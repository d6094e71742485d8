"""The directories of a TIFF, read with every offset checked (TIFF 6.0, section 2; BigTIFF, libtiff)."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from cancernet_cli.data.readers.base import Contradiction, TruncatedImage

WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC = 256, 257, 258, 259, 262
SUBFILE, OLD_SUBFILE, DESCRIPTION, ORIENTATION, SAMPLES, ROWS_PER_STRIP = 254, 255, 270, 274, 277, 278
STRIPS, STRIP_BYTES, MAX_SAMPLE, PLANAR, COLOR_MAP, TILE_WIDTH, TILE_HEIGHT = 273, 279, 281, 284, 320, 322, 323
TILES, TILE_BYTES, SUB_DIRECTORIES, EXTRA_SAMPLES, SAMPLE_FORMAT, JPEG_TABLES = 324, 325, 330, 338, 339, 347
SUBSAMPLING, REFERENCE_BLACK_WHITE = 530, 532

MAX_DIRECTORIES = 4096
_MAX_ENTRIES = 4096
_NUMBERS = {1: "u1", 3: "u2", 4: "u4", 6: "i1", 7: "u1", 8: "i2", 9: "i4", 13: "u4", 16: "u8", 17: "i8", 18: "u8"}
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
# Tags that decoders read; where one is there twice, some take the first and some the last
_DECISIVE = (WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC, SAMPLES, PLANAR, TILE_WIDTH, TILE_HEIGHT, ROWS_PER_STRIP)


@dataclass(frozen=True, slots=True)
class Directory:
    """One directory (IFD): where it begins, and type, count and place of the value of each tag."""

    offset: int
    next_offset: int
    order: str
    entries: dict[int, tuple[int, int, int]]
    data: bytes

    def __contains__(self, tag: int) -> bool:
        return tag in self.entries

    def count(self, tag: int) -> int:
        """The number of values of a tag; 0 without it."""
        return self.entries[tag][1] if tag in self.entries else 0

    def numbers(self, tag: int, default: tuple[int, ...] = ()) -> tuple[int, ...]:
        """Values of a tag of integers; the default without it, for other types, and for values outside the file."""
        kind, count, at = self.entries.get(tag, (0, 0, 0))
        if kind not in _NUMBERS or not count or at + count * _SIZES[kind] > len(self.data):
            return default
        return tuple(np.frombuffer(self.data, self.order + _NUMBERS[kind], count, at).tolist())

    def number(self, tag: int, default: int) -> int:
        """The first value of a tag of integers."""
        kind, count, at = self.entries.get(tag, (0, 0, 0))
        if kind not in _NUMBERS or not count or at + _SIZES[kind] > len(self.data):
            return default
        return int(np.frombuffer(self.data, self.order + _NUMBERS[kind], 1, at)[0])

    def content(self, tag: int) -> bytes:
        """The bytes of a tag of bytes; empty without it."""
        kind, count, at = self.entries.get(tag, (0, 0, 0))
        return self.data[at : at + count] if kind in (1, 7) else b""

    def text(self, tag: int) -> str:
        """A tag's text; empty without it."""
        kind, count, at = self.entries.get(tag, (0, 0, 0))
        if kind not in (1, 2, 7):
            return ""
        return self.data[at : at + count].split(b"\0", 1)[0].decode("utf-8", "replace")

    @property
    def size(self) -> tuple[int, int]:
        """Width and height; 0 if unknown."""
        return self.number(WIDTH, 0), self.number(HEIGHT, 0)


def first_directory(data: bytes) -> Directory:
    """The directory that the header names.

    Raises:
        TruncatedImage: it lies outside the file. Contradiction: it states the size or the layout twice.
    """
    order, is_big = _layout(data)
    try:
        (offset,) = struct.unpack_from(order + ("Q" if is_big else "I"), data, 8 if is_big else 4)
    except struct.error:
        raise TruncatedImage("the file ends within its header") from None
    return directory_at(data, offset)


def further_directories(first: Directory) -> Iterator[Directory]:
    """The directories after the first; they end at a damaged one, at one met before, and after `MAX_DIRECTORIES`."""
    met = {first.offset}
    offset = first.next_offset
    while offset and offset not in met and len(met) < MAX_DIRECTORIES:
        met.add(offset)
        try:
            found = directory_at(first.data, offset)
        except (TruncatedImage, Contradiction):
            return
        yield found
        offset = found.next_offset


def directory_at(data: bytes, offset: int) -> Directory:
    """The directory at an offset; raises as `first_directory`."""
    order, is_big = _layout(data)
    head, entry, value = ("Q", "HHQ", 8) if is_big else ("H", "HHI", 4)
    try:
        (count,) = struct.unpack_from(order + head, data, offset)
        if count > _MAX_ENTRIES:
            raise TruncatedImage(f"its directory cannot be read: it would have {count:,} tags")
        at = offset + struct.calcsize(order + head)
        step = struct.calcsize(order + entry) + value
        entries: dict[int, tuple[int, int, int]] = {}
        for start in range(at, at + count * step, step):
            tag, kind, many = struct.unpack_from(order + entry, data, start)
            place = start + step - value
            if many * _SIZES.get(kind, 1) > value:
                (place,) = struct.unpack_from(order + ("Q" if is_big else "I"), data, place)
            _keep(entries, tag, (kind, many, place))
        (following,) = struct.unpack_from(order + ("Q" if is_big else "I"), data, at + count * step)
    except struct.error:
        raise TruncatedImage(f"its directory cannot be read: it ends outside the file of {len(data):,} bytes") from None
    return Directory(offset, following, order, entries, data)


def starting_at(data: bytes, directory: Directory) -> bytes:
    """The file with another directory as its first, for decoders that read only the first."""
    order, is_big = _layout(data)
    head = struct.pack(order + "Q", directory.offset) if is_big else struct.pack(order + "I", directory.offset)
    start = 8 if is_big else 4
    if data[start : start + len(head)] == head:
        return data
    return b"".join((data[:start], head, memoryview(data)[start + len(head) :]))


def _layout(data: bytes) -> tuple[str, bool]:
    """Byte order, `<` or `>`, and whether offsets have 64 bits."""
    order = "<" if data[:2] == b"II" else ">"
    return order, data[2:4] in (b"+\0", b"\0+")


def _keep(entries: dict[int, tuple[int, int, int]], tag: int, value: tuple[Any, ...]) -> None:
    if tag in entries:
        if tag in _DECISIVE:
            raise Contradiction(f"its directory has tag {tag} twice")
        return
    kind, count, place = value
    entries[tag] = (kind, count, place)
