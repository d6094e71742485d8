"""Walk the directories of a TIFF with bounded time and memory, whatever its bytes.

Libraries follow loops of directories, and allocate what a directory asks for. They see a file only after this.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from cancernet_cli.data.signatures import TIFF, has_signature

MAX_DIRECTORIES = 4096
_MAX_ENTRIES = 4096  # of a directory
_MAX_BELOW = 64  # SubIFDs of a directory
_MAX_SHORT = 64  # values that are read with the directory; longer arrays are read when needed
_CLASSIC_LIMIT = 1 << 32  # a classic TIFF beyond this is NDPI, with its own 64-bit offsets

# TIFF's numbers for its tags
SUBFILE, WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC = 254, 256, 257, 258, 259, 262
STRIP_OFFSETS, SAMPLES, ROWS_PER_STRIP, STRIP_COUNTS, PLANAR = 273, 277, 278, 279, 284
TILE_WIDTH, TILE_HEIGHT, TILE_OFFSETS, TILE_COUNTS, BELOW = 322, 323, 324, 325, 330
SAMPLE_FORMAT, NDPI_VERSION = 339, 65420

# By TIFF's number of the type: NumPy's letter. Only unsigned integers, which sizes and offsets are.
_INTEGERS = {1: "u1", 3: "u2", 4: "u4", 13: "u4", 16: "u8", 18: "u8"}


@dataclass(frozen=True)
class Directory:
    """One directory: the integers of its tags, and where its longer arrays are.

    offset: its position in the file. below: its SubIFDs. arrays: (NumPy type, count, position) by tag. beyond: tags
    whose values are beyond the end of the file.
    """

    offset: int
    numbers: dict[int, tuple[int, ...]]
    arrays: dict[int, tuple[str, int, int]]
    beyond: frozenset[int] = frozenset()
    below: tuple[Directory, ...] = ()

    def number(self, tag: int, default: int = 0) -> int:
        """The first value of a tag."""
        return self.numbers.get(tag, (default,))[0]

    def count(self, tag: int) -> int:
        """The number of values of a tag; 0 without it."""
        return self.arrays[tag][1] if tag in self.arrays else len(self.numbers.get(tag, ()))

    @property
    def width_px(self) -> int:
        return self.number(WIDTH)

    @property
    def height_px(self) -> int:
        return self.number(HEIGHT)

    @property
    def samples(self) -> int:
        return self.number(SAMPLES, 1)

    @property
    def is_tiled(self) -> bool:
        return TILE_WIDTH in self.numbers

    @property
    def pixel_type(self) -> tuple[Any, ...]:
        """What levels of one pyramid have in common: bits, sample format and number of samples."""
        return self.numbers.get(BITS, (1,))[:1], self.numbers.get(SAMPLE_FORMAT, (1,))[:1], self.samples


@dataclass(frozen=True)
class Directories:
    """The directories of a TIFF: `pages` in order; damage: why there may be more, "" if there are none."""

    pages: tuple[Directory, ...]
    damage: str = ""
    is_truncated: bool = False

    @property
    def is_ndpi(self) -> bool:
        return bool(self.pages) and NDPI_VERSION in self.pages[0].numbers

    def all(self) -> Iterator[Directory]:
        """Every directory, SubIFDs included."""
        for page in self.pages:
            yield page
            yield from page.below


def read_directories(location: bytes) -> Directories | None:
    """The directories of the TIFF at a path; never raises.

    None if the file is no TIFF, cannot be read, or is an NDPI above 4 GB, whose offsets only OpenSlide understands.
    """
    try:
        with open(location, "rb") as file:
            if not has_signature(file.read(4), TIFF):
                return None
            return _Walk(file).all()
    except OSError:
        return None


def read_array(file: BinaryIO, directory: Directory, tag: int, order: str) -> NDArray[np.uint64]:
    """All values of a tag; empty without it. `order`: `<` or `>`."""
    if tag not in directory.arrays:
        return np.array(directory.numbers.get(tag, ()), np.uint64)
    kind, count, position = directory.arrays[tag]
    file.seek(position)
    return np.frombuffer(file.read(count * int(kind[1])), order + kind).astype(np.uint64)


def byte_order(location: bytes) -> str:
    """`<` or `>`, as in the first bytes of a TIFF."""
    with open(location, "rb") as file:
        return "<" if file.read(2) == b"II" else ">"


class _Damage(Exception):
    """The rest of the directories cannot be read; `truncated` if the file ends before them."""

    def __init__(self, words: str, *, truncated: bool = False) -> None:
        super().__init__(words)
        self.truncated = truncated


class _Walk:
    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._size = os.fstat(file.fileno()).st_size
        self._seen: set[int] = set()
        self._damage_below: _Damage | None = None
        file.seek(0)
        head = file.read(16)
        self._order = "<" if head[:2] == b"II" else ">"
        self._is_big = head[2:4] in (b"+\0", b"\0+")
        self._start = head[8:16] if self._is_big else head[4:8]

    def all(self) -> Directories | None:
        if not self._is_big and self._size >= _CLASSIC_LIMIT:
            return None
        pages: list[Directory] = []
        try:
            at = self._unpack("Q" if self._is_big else "I", self._start)
            while at:
                if len(pages) == MAX_DIRECTORIES:
                    raise _Damage(f"it has more than {MAX_DIRECTORIES:,} directories")
                page, at = self._directory(at)
                pages.append(page)
                if self._damage_below is not None:
                    raise self._damage_below
        except _Damage as error:
            return Directories(tuple(pages), str(error), error.truncated)
        return Directories(tuple(pages), "" if pages else "it has no image")

    def _unpack(self, kind: str, data: bytes) -> int:
        try:
            return int(struct.unpack(self._order + kind, data)[0])
        except struct.error:
            raise _Damage("the file ends within its directories", truncated=True) from None

    def _directory(self, at: int, *, is_below: bool = False) -> tuple[Directory, int]:
        """The directory at an offset, and the offset of the next one."""
        if at in self._seen:
            raise _Damage("its directories form a loop")
        if at + 2 > self._size:
            raise _Damage(f"the file ends before its directory at byte {at:,}", truncated=True)
        self._seen.add(at)
        self._file.seek(at)
        count = self._unpack("Q", self._file.read(8)) if self._is_big else self._unpack("H", self._file.read(2))
        if count > _MAX_ENTRIES:
            raise _Damage(f"a directory has {count:,} entries")
        width, head, offset = (20, "HHQ", "Q") if self._is_big else (12, "HHI", "I")
        data = self._file.read(count * width)
        following = self._unpack(offset, self._file.read(struct.calcsize(offset)))
        numbers: dict[int, tuple[int, ...]] = {}
        arrays: dict[int, tuple[str, int, int]] = {}
        beyond: set[int] = set()
        for i in range(count):
            entry = data[i * width : (i + 1) * width]
            start = struct.calcsize(self._order + head)
            tag, kind, many = struct.unpack(self._order + head, entry[:start])
            if kind not in _INTEGERS or tag in numbers or tag in arrays or not many:
                continue
            letters, inline = _INTEGERS[kind], entry[start:]
            size = many * int(letters[1])
            position = self._unpack(offset, inline) if size > len(inline) else 0
            if position + size > self._size:
                beyond.add(tag)
            elif many > _MAX_SHORT:
                arrays[tag] = letters, many, position
            else:
                numbers[tag] = self._values(letters, size, position, inline)
        below = [] if is_below else self._below(numbers.get(BELOW, ()))
        return Directory(at, numbers, arrays, frozenset(beyond), tuple(below)), following

    def _values(self, letters: str, size: int, position: int, inline: bytes) -> tuple[int, ...]:
        if position:
            self._file.seek(position)
            inline = self._file.read(size)
        return tuple(np.frombuffer(inline[:size], self._order + letters).tolist())

    def _below(self, places: tuple[int, ...]) -> list[Directory]:
        found: list[Directory] = []
        try:
            for place in places[:_MAX_BELOW]:
                found.append(self._directory(place, is_below=True)[0])  # noqa: PERF401
        except _Damage as error:
            self._damage_below = error
        return found
