"""Features on disk, filled image by image: a killed run goes on from what it had finished."""

from __future__ import annotations

import json
import os
import shutil
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from cancernet_cli.core.arrays import I64
from cancernet_cli.core.files import output_error, write_bytes
from cancernet_cli.core.records import Failure

STATE_FILE = "features.json"
VALUES_FILE = "features.npy"
COMMIT_EVERY_S = 10.0


@dataclass(frozen=True)
class Features:
    """What was computed of every image that can be read.

    values: `[N, A, F]` float32 or float16, of each image (first) and its variants; a memory map. rows: `[N]`, which of
    the files they are. elapsed_s: what computing them took, over all runs.
    """

    values: NDArray[np.floating]
    rows: I64
    elapsed_s: float = 0.0


@dataclass
class FeatureStore:
    """A folder that takes the features of `count` files in their order.

    What an earlier run left there is taken over if it has the same key, and thrown away if not: nothing in it cannot be
    computed again.

    Args:
        key: what decides the values, as JSON has it.
        count: how many files there are.

    Attributes:
        seen: how many of the files are done. failed: those of them that have no features, with the reason.
    """

    folder: Path
    key: dict[str, Any]
    count: int
    dtype: DTypeLike = np.float32
    seen: int = 0
    failed: dict[int, str] = field(default_factory=dict)
    elapsed_s: float = 0.0
    _values: NDArray[np.floating] | None = None

    def __post_init__(self) -> None:
        self.key = json.loads(json.dumps(self.key))  # tuples as lists, as they come back
        self._since = self._committed = time.monotonic()
        try:
            state = json.loads((self.folder / STATE_FILE).read_text("utf-8"))
            if state["key"] != self.key:
                return
            self._values = np.load(self.folder / VALUES_FILE, mmap_mode="r+")
            self.seen, self.elapsed_s = state["seen"], state["elapsed_s"]
            self.failed = {int(row): why for row, why in state["failed"].items()}
        except (OSError, ValueError, KeyError):
            self._values, self.seen, self.failed = None, 0, {}

    def add(self, values: list[NDArray[np.floating] | Failure]) -> dict[int, str]:
        """Take the features `[A, F]` of the next files, or why there are none; written to disk every ten seconds.

        Returns:
            The files among them that failed, and why; numbers that are not finite are a failure too.

        Raises:
            OutputError: there is no room for them.
        """
        new_failures: dict[int, str] = {}
        for value in values:
            if not isinstance(value, Failure):
                at = self.seen - len(self.failed) - len(new_failures)
                stored = self._room(value.shape)
                with np.errstate(over="ignore"):  # half precision ends at 65,504
                    stored[at] = value
                if np.isfinite(stored[at]).all():
                    self.seen += 1
                    continue
                value = Failure("features", "NonFiniteOutput", "the network gave numbers that are not finite")
            new_failures[self.seen] = str(value)
            self.seen += 1
        self.failed |= new_failures
        if time.monotonic() - self._committed >= COMMIT_EVERY_S:
            self.commit()
        return new_failures

    def commit(self) -> None:
        """Make sure that what was added outlives this process."""
        now = time.monotonic()
        self.elapsed_s, self._since, self._committed = self.elapsed_s + now - self._since, now, now
        if isinstance(self._values, np.memmap):
            self._values.flush()
        state = {"key": self.key, "seen": self.seen, "elapsed_s": self.elapsed_s, "failed": self.failed}
        write_bytes(self.folder / STATE_FILE, json.dumps(state).encode())

    def features(self) -> Features:
        """Everything added so far, to be read from disk as it is needed."""
        self.commit()
        rows = np.array([row for row in range(self.seen) if row not in self.failed], dtype=np.int64)
        values = np.empty((0, 1, 0), self.dtype) if self._values is None else self._values[: len(rows)]
        return Features(values, rows, self.elapsed_s)

    def remove(self) -> None:
        """The features are not needed any more."""
        self._values = None
        shutil.rmtree(self.folder, ignore_errors=True)

    def _room(self, shape: tuple[int, ...]) -> NDArray[np.floating]:
        if self._values is None:
            path = self.folder / VALUES_FILE
            try:
                self.folder.mkdir(parents=True, exist_ok=True)
                (self.folder / STATE_FILE).unlink(missing_ok=True)  # it tells of other values
                whole = (self.count, *shape)
                self._values = np.lib.format.open_memmap(path, mode="w+", dtype=self.dtype, shape=whole)
                if hasattr(os, "posix_fallocate"):
                    # A hole in the file that the disk cannot fill later would end the process, not raise.
                    with path.open("r+b") as file:
                        os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
            except OSError as error:
                raise output_error(path, error) from None
        return self._values
