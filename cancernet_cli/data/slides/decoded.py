"""Decoded parts of a slide, the last used ones kept."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from numpy.typing import NDArray

CACHE_BYTES = 48 * 1024**2  # a slide: a row of tiles of 256 over 60,000 pixels

Part = NDArray[Any] | None


class Decoded:
    """Tiles or strips by level and index, up to a number of bytes; None where the file holds none."""

    def __init__(self, capacity_bytes: int = CACHE_BYTES) -> None:
        self.held_bytes = 0
        self._capacity_bytes = capacity_bytes
        self._parts: OrderedDict[tuple[int, int], Part] = OrderedDict()

    def get(self, level: int, index: int, decode: Callable[[int, int], Part]) -> Part:
        """The part at a level and index, by `decode` where it is not held; what that raises is not held."""
        key = level, index
        if key in self._parts:
            self._parts.move_to_end(key)
            return self._parts[key]
        part = decode(level, index)
        self._parts[key] = part
        self.held_bytes += _size(part)
        while self.held_bytes > self._capacity_bytes and len(self._parts) > 1:
            self.held_bytes -= _size(self._parts.popitem(last=False)[1])
        return part

    def clear(self) -> None:
        """Hold nothing."""
        self._parts.clear()
        self.held_bytes = 0


def _size(part: Part) -> int:
    return 0 if part is None else part.nbytes
