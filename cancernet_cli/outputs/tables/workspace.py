"""The folder beside an output where an unfinished run keeps its finished parts."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

from cancernet_cli.core.errors import OutputError
from cancernet_cli.core.files import partial_folder, write_bytes

try:
    import fcntl
except ImportError:  # Windows: no advisory lock, two runs into one output are not noticed
    fcntl = None  # type: ignore[assignment]

STATE_FILE = "state.json"


class Workspace:
    """`<out>.partial/`: a lock, the state that its parts were made with, and the parts.

    The lock is a POSIX record lock: it ends with the process that took it, even by kill -9, and DataLoader workers that
    outlive it for a moment do not hold it.
    """

    def __init__(self, out: Path) -> None:
        self.out = out
        self.folder = partial_folder(out)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._lock = (self.folder / "lock").open("a")
        except OSError as error:
            raise OutputError(
                f"{out.parent} cannot be written: {error.strerror}", fix="choose another --out, or mend the folder"
            ) from None
        try:
            if fcntl:
                fcntl.lockf(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._lock.close()
            raise OutputError(
                f"another run is writing {out}", fix="wait until it ends, or choose another --out"
            ) from None

    def adopt(self, state: dict[str, Any], *, overwrite: bool) -> None:
        """Take over the parts of an earlier run made with the same state; throw them away with `overwrite`.

        Raises:
            OutputError: they were made with another state, and `overwrite` is not set.
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
                fix="give the same options to go on with it, pass --overwrite to start anew, or choose another --out",
            )
        if old != state:
            for part in (*self.parts().values(), *self.tile_parts().values()):
                part.unlink()
            write_bytes(path, json.dumps(state, indent=2, sort_keys=True).encode(), durable=False)

    def parts(self) -> dict[int, Path]:
        """Finished parts by number, in the order they were written."""
        return self._numbered("part")

    def tile_parts(self) -> dict[int, Path]:
        """Finished parts of the tile table by number, likewise."""
        return self._numbered("tiles")

    def part(self, number: int) -> Path:
        """Where part `number` goes."""
        return self.folder / f"part-{number:08d}.parquet"

    def tile_part(self, number: int) -> Path:
        """Where part `number` of the tile table goes."""
        return self.folder / f"tiles-{number:08d}.parquet"

    def next_number(self) -> int:
        """A number that no part has yet."""
        return max((*self.parts(), *self.tile_parts()), default=-1) + 1

    def _numbered(self, kind: str) -> dict[int, Path]:
        return {int(path.stem.split("-")[1]): path for path in sorted(self.folder.glob(f"{kind}-*.parquet"))}

    def close(self) -> None:
        """Release the lock; the parts stay for the next run. A folder that holds no part is removed."""
        self._lock.close()
        if not self.parts() and not self.tile_parts():
            shutil.rmtree(self.folder, ignore_errors=True)

    def remove(self) -> None:
        """The run is finished: nothing of it is needed any more."""
        self._lock.close()
        shutil.rmtree(self.folder, ignore_errors=True)


def describe_difference(old: dict[str, Any], new: dict[str, Any]) -> str:
    """Which entries differ, in words: "model 'a' (now 'b')"."""
    names = sorted(k for k in old.keys() | new.keys() if old.get(k) != new.get(k))
    shown = [f"{name} {_short(old.get(name))} (now {_short(new.get(name))})" for name in names]
    return ", ".join(shown)


def _short(value: Any) -> str:
    text = repr(value)
    return (
        text
        if len(text) <= 60
        else f"{text[:24]}...{os.path.basename(text)[-24:]}"
        if os.sep in text
        else f"{text[:20]}..."
    )
