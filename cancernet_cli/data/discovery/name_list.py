"""Paths on standard input."""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO

_CHUNK_BYTES = 1 << 16  # longer than any path, so the first chunk shows what separates them


def read_names(stream: IO[bytes]) -> Iterator[bytes]:
    """Names as `find` prints them: separated by NUL where there is one, else by newline. Empty ones are left out."""
    chunk = stream.read(_CHUNK_BYTES)
    separator = b"\0" if b"\0" in chunk else b"\n"
    rest = b""
    while chunk:
        *names, rest = (rest + chunk).split(separator)
        yield from filter(None, names)
        chunk = stream.read(_CHUNK_BYTES)
    if rest:
        yield rest
