"""Pillow's limit on pixels set aside, for files that ours has let through."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from PIL import Image

_lock = threading.Lock()


@contextmanager
def pillow_limit_lifted() -> Iterator[None]:
    """No decompression-bomb error inside.

    Pillow keeps its limit in a global that TIFF and WebP ask in the middle of loading. It is put back at once, so that
    other users of Pillow in the process keep theirs, and one thread at a time holds it lifted.
    """
    with _lock:
        limit = Image.MAX_IMAGE_PIXELS
        Image.MAX_IMAGE_PIXELS = None
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = limit
