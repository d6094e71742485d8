"""Files that can be recomputed, kept between runs in the user's cache folder."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import platformdirs

from cancernet_cli.core.events import Reporter, Warn, silent
from cancernet_cli.core.files import OUTPUT_MARKER, mark_output

KEEP_S = 60 * 24 * 3600.0  # entries unused for longer are removed


def cache_root() -> Path:
    """`$CANCERNET_CACHE`, else the system's cache folder (https://platformdirs.readthedocs.io)."""
    return Path(os.environ.get("CANCERNET_CACHE") or platformdirs.user_cache_path("cancernet"))


@contextmanager
def cached_folder(kind: str, key: str, make: Callable[[Path], None], report: Reporter = silent) -> Iterator[Path]:
    """The cache folder for `key`, filled by `make` if it does not exist yet.

    It appears complete or not at all, even if several processes create it at the same time. If the cache cannot be
    written, the block gets a temporary folder, with a warning. `kind` is a subfolder of the cache.
    """
    shelf = cache_root() / kind
    entry = shelf / key
    try:
        mark_output(shelf)
        if not entry.is_dir():
            _remove_old(shelf)
        scratch = None if entry.is_dir() else Path(tempfile.mkdtemp(prefix=".new-", dir=shelf))
    except OSError as error:
        report(Warn(f"{shelf} cannot be used as a cache ({error.strerror}); set CANCERNET_CACHE to another folder"))
        with tempfile.TemporaryDirectory() as temporary:
            make(Path(temporary))
            yield Path(temporary)
        return
    if scratch is not None:
        try:
            make(scratch)
            _publish(scratch, entry)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
    os.utime(entry)
    yield entry


def _publish(scratch: Path, entry: Path) -> None:
    scratch.chmod(0o755)  # mkdtemp's folders are private to their user
    try:
        scratch.rename(entry)
    except OSError:
        if not entry.is_dir():  # else another process was faster, with the same content
            raise


def _remove_old(shelf: Path) -> None:
    for entry in shelf.iterdir():
        if entry.name == OUTPUT_MARKER:
            continue
        try:
            if time.time() - entry.stat().st_mtime > KEEP_S:
                shutil.rmtree(entry, ignore_errors=True)
        except OSError:  # another run is removing it
            continue
