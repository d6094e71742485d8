"""Where the files go that belong to one input: its overlay, its mask."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

_NAME_BYTES = 255  # what nearly every file system allows for one name
_PARENT = b"__parent__"


def side_path(folder: Path, location_rel: bytes, suffix: str) -> Path:
    """The place below `folder` that mirrors an input's relative path: `a/b.png` and `.jpg` give `a/b.png.jpg`.

    The suffix comes after the whole name, so `a.png` and `a.jpg` do not meet. The place is always below `folder`:
    `..` becomes `__parent__`, and a leading slash or drive is dropped. A name that would grow too long is cut and gets
    a checksum, so that no two meet there either.
    """
    separators = os.fsencode(os.sep), os.fsencode(os.altsep or os.sep)
    parts = os.path.splitdrive(location_rel)[1].replace(separators[1], separators[0]).split(separators[0])
    safe = [_PARENT if part == b".." else part for part in parts if part not in (b"", b".")]
    safe = safe or [b"unnamed"]
    safe[-1] = _with_suffix(safe[-1], os.fsencode(suffix))
    return folder / os.fsdecode(separators[0].join(safe))


def _with_suffix(name: bytes, suffix: bytes) -> bytes:
    if len(name) + len(suffix) <= _NAME_BYTES:
        return name + suffix
    checksum = b"~" + hashlib.sha256(name).hexdigest()[:12].encode()
    kept = name[: _NAME_BYTES - len(suffix) - len(checksum)].decode("utf-8", "ignore").encode()  # no half characters
    return kept + checksum + suffix
