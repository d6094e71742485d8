"""File names as valid Unicode for tables and messages, and back to bytes."""

from __future__ import annotations

import os
import re

_ESCAPE = re.compile(r"\\x([0-9a-f]{2})")


def display_path(location: bytes) -> str:
    r"""A POSIX path as valid Unicode; bytes that are not UTF-8 become `\xHH`.

    A backslash that would read as such an escape becomes `\x5c`, so that no two files share a name and `real_path` is
    the exact inverse.
    """
    text = location.decode("utf-8", "surrogateescape")
    text = re.sub(r"\\(?=x[0-9a-f]{2})", r"\\x5c", text)
    text = "".join(f"\\x{ord(c) - 0xDC00:02x}" if "\udc80" <= c <= "\udcff" else c for c in text)
    return text if os.sep == "/" else text.replace(os.sep, "/")


def real_path(path: str) -> bytes:
    """The bytes of a file name from the text of `display_path`."""
    parts: list[bytes] = []
    end = 0
    for match in _ESCAPE.finditer(path):
        parts += [path[end : match.start()].encode(), bytes([int(match[1], 16)])]
        end = match.end()
    return b"".join([*parts, path[end:].encode()])
