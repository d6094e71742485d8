"""Errors by which libraries report that this machine has too little memory, threads or processes."""

from __future__ import annotations

import errno
import re

from cancernet_cli.core.errors import DeviceError

_SIGNS = re.compile(
    "cannot allocate memory|can't allocate memory|failed to map segment|can't start new thread|bad_alloc|out of memory",
    re.IGNORECASE,
)


def shortage(error: Exception) -> DeviceError | None:
    """The error to show instead, or None if it is another one."""
    number = error.errno if isinstance(error, OSError) else None
    is_known = isinstance(error, MemoryError) or number in (errno.ENOMEM, errno.EMFILE, errno.ENFILE)
    if not is_known and not (isinstance(error, (ImportError, OSError, RuntimeError)) and _SIGNS.search(str(error))):
        return None
    said = " ".join(str(error).split()) or "an allocation failed"
    return DeviceError(
        f"this machine has too little memory, or lets this process use too little: {said}",
        fix="close other programs, raise the limits of this shell (ulimit -v, -d, -n, -u), or use fewer --workers and "
        "a smaller --batch-size",
    )
