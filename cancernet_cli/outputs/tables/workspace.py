"""Folder next to an output in which an unfinished run keeps its finished parts."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

from cancernet_cli.core.errors import OutputError
from cancernet_cli.core.files import mark_output, output_error, partial_folder, private_folder, write_bytes

try:
    import fcntl
except ImportError:  # Windows: no advisory lock, so two runs with one output go unnoticed
    fcntl = None  # type: ignore[assignment]

STATE_FILE = "state.json"


class Workspace:
    """`<out>.partial/`: a lock, the state that the parts were made with, and the parts.

    The folder is private, and may contain no links. The lock is a POSIX record lock: it is released when its process
    ends, even by kill -9, and is not inherited by workers, which may outlive the process for a moment.
    """

    def __init__(self, out: Path) -> None:
        self.out = out
        self.folder = partial_folder(out)
        private_folder(self.folder)
        try:
            mark_output(self.folder)
            flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
            self._lock = os.fdopen(os.open(self.folder / "lock", flags, 0o600), "r+")
            self._refuse_links()
        except OSError as error:
            raise output_error(out.parent, error) from None
        try:
            if fcntl:
                fcntl.lockf(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._lock.close()
            raise OutputError(
                f"another run is writing {out}", fix="wait for it to finish, or choose another --out"
            ) from None

    def _refuse_links(self) -> None:
        with os.scandir(self.folder) as entries:
            links = sorted(entry.name for entry in entries if entry.is_symlink())
        if links:
            self._lock.close()
            raise OutputError(
                f"{self.folder} has a link, {links[0]}, which no run makes", fix="remove it, or choose another --out"
            )

    def adopt(self, state: dict[str, Any], *, overwrite: bool) -> None:
        """Keep the parts of an earlier run if its state was the same; otherwise discard them if `overwrite` is set.

        Raises:
            OutputError: the state was different, and `overwrite` is not set.
        """
        path = self.folder / STATE_FILE
        try:
            old = json.loads(path.read_text("utf-8"))
        except (OSError, ValueError):
            old = None
        if old is not None and old != state and not overwrite:
            self.close()
            raise OutputError(
                f"{self.folder} holds an unfinished run made with {describe_difference(old, state)}",
                fix="use the same options to resume it, pass --overwrite to start over, or choose another --out",
            )
        if old != state:
            for part in (*self.parts().values(), *self.tile_parts().values()):
                part.unlink()
            write_bytes(path, json.dumps(state, indent=2, sort_keys=True).encode(), durable=False)

    def parts(self) -> dict[int, Path]:
        """Finished parts by number, in the order written."""
        return self._numbered("part")

    def tile_parts(self) -> dict[int, Path]:
        """Finished parts of the tile table by number, likewise."""
        return self._numbered("tiles")

    def part(self, number: int) -> Path:
        """Path of part `number`."""
        return self.folder / f"part-{number:08d}.parquet"

    def tile_part(self, number: int) -> Path:
        """Path of part `number` of the tile table."""
        return self.folder / f"tiles-{number:08d}.parquet"

    def next_number(self) -> int:
        """The first unused part number."""
        return max((*self.parts(), *self.tile_parts()), default=-1) + 1

    def _numbered(self, kind: str) -> dict[int, Path]:
        found = [(path.stem.partition("-")[2], path) for path in sorted(self.folder.glob(f"{kind}-*.parquet"))]
        return {int(number): path for number, path in found if number.isdecimal()}  # no other file is of this run

    def close(self) -> None:
        """Release the lock and keep the parts for the next run; a folder without parts is removed."""
        self._lock.close()
        if not self.parts() and not self.tile_parts():
            shutil.rmtree(self.folder, ignore_errors=True)

    def remove(self) -> None:
        """Remove the folder, once the run is finished."""
        self._lock.close()
        shutil.rmtree(self.folder, ignore_errors=True)


def describe_difference(old: dict[str, Any], new: dict[str, Any]) -> str:
    """Describe the entries that differ: "model 'a' (now 'b')"."""
    names = sorted(k for k in old.keys() | new.keys() if old.get(k) != new.get(k))
    names = [name for name in names if not name.endswith("_sha256")] or names  # a hash follows from the file it is of
    shown = [f"{name.replace('_', ' ')} {_short(old.get(name))} (now {_short(new.get(name))})" for name in names]
    return ", ".join(shown)


def _short(value: Any) -> str:
    text = repr(value or "none")
    if len(text) <= 60:
        return text
    return f"{text[:24]}...{os.path.basename(text)[-24:]}" if os.sep in text else f"{text[:20]}..."
