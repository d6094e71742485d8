"""Features on disk, filled image by image, from which a killed run resumes."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from cancernet_cli.core.arrays import I64, Pixels
from cancernet_cli.core.files import mark_output, output_error, write_bytes
from cancernet_cli.core.records import Failure
from cancernet_cli.data.splits.duplicates import PACKED_BYTES, Fingerprint

STATE_FILE = "features.json"
VALUES_FILE = "features.npy"
FINGERPRINTS_FILE = "fingerprints.npy"
DOMAIN_FILE = "domain.npy"
COMMIT_EVERY_S = 10.0


@dataclass(frozen=True)
class Features:
    """The features of every readable image.

    values: `[N, A, F]` float32 or float16, of each image (first) and its variants; a memory map. rows: `[N]`, which of
    the files they are. elapsed_s: computing time over all runs. fingerprints: of every file, None for one
    that could not be read; empty unless requested. domain: `[N, K, D]` float32, a memory map: the features that novelty
    is computed from, of K views of each image; None unless there are any.
    """

    values: NDArray[np.floating]
    rows: I64
    elapsed_s: float = 0.0
    fingerprints: tuple[Fingerprint | None, ...] = ()
    domain: NDArray[np.floating] | None = None


@dataclass
class FeatureStore:
    """A folder with the features of `count` files, filled in their order.

    The contents of an earlier run are reused if they have the same key, and discarded otherwise.

    Args:
        key: everything that the values depend on, for JSON.
        count: number of files.
        with_fingerprints: keep the files' fingerprints as well.

    Attributes:
        seen: number of files done. failed: those of them without features, by row, with the reason.
    """

    folder: Path
    key: dict[str, Any]
    count: int
    dtype: DTypeLike = np.float32
    with_fingerprints: bool = False
    seen: int = 0
    failed: dict[int, str] = field(default_factory=dict)
    elapsed_s: float = 0.0
    _values: NDArray[np.floating] | None = None
    _prints: Pixels | None = None
    _domain: NDArray[np.floating] | None = None

    def __post_init__(self) -> None:
        self.key = json.loads(json.dumps(self.key))  # tuples become lists, as when read back
        self._since = self._committed = time.monotonic()
        try:
            state = json.loads((self.folder / STATE_FILE).read_text("utf-8"))
            if state["key"] != self.key:
                return
            self._values = np.load(self.folder / VALUES_FILE, mmap_mode="r+")
            if self.with_fingerprints:
                self._prints = np.load(self.folder / FINGERPRINTS_FILE, mmap_mode="r+")
            if state["has_domain"]:
                self._domain = np.load(self.folder / DOMAIN_FILE, mmap_mode="r+")
            self.seen, self.elapsed_s = state["seen"], state["elapsed_s"]
            self.failed = {int(row): why for row, why in state["failed"].items()}
        except (OSError, ValueError, KeyError):
            self._values, self._prints, self._domain, self.seen, self.failed = None, None, None, 0, {}

    def add(
        self,
        values: list[NDArray[np.floating] | Failure],
        prints: Sequence[Fingerprint | None] = (),
        domain: Sequence[NDArray[np.floating] | None] = (),
    ) -> dict[int, str]:
        """Add the features `[A, F]` of the next files, or why they have none; written to disk every ten seconds.

        Args:
            prints: the files' fingerprints, where they are kept. domain: `[K, D]` of each file, None for one that
                failed; empty if there are none.

        Returns:
            The failed files among them, and why; values that are not finite are a failure too.

        Raises:
            OutputError: there is no space for them.
        """
        new_failures: dict[int, str] = {}
        if self.with_fingerprints:
            if self._prints is None:
                self._prints = self._open(FINGERPRINTS_FILE, np.uint8, (self.count, PACKED_BYTES))
            for row, one in enumerate(prints, self.seen):
                self._prints[row] = 0 if one is None else one.packed()
        for row, seen in enumerate(domain, self.seen):
            if seen is not None:
                if self._domain is None:
                    self._domain = self._open(DOMAIN_FILE, np.float32, (self.count, *seen.shape))
                self._domain[row] = seen
        for value in values:
            if not isinstance(value, Failure):
                at = self.seen - len(self.failed) - len(new_failures)
                if self._values is None:
                    self._values = self._open(VALUES_FILE, self.dtype, (self.count, *value.shape))
                with np.errstate(over="ignore"):  # half precision ends at 65,504
                    self._values[at] = value
                if np.isfinite(self._values[at]).all():
                    self.seen += 1
                    continue
                value = Failure("features", "NonFiniteOutput", "the network's output is not finite")
            new_failures[self.seen] = str(value)
            self.seen += 1
        self.failed |= new_failures
        if time.monotonic() - self._committed >= COMMIT_EVERY_S:
            self.commit()
        return new_failures

    def commit(self) -> None:
        """Write everything added so far to disk, so that it survives this process."""
        now = time.monotonic()
        self.elapsed_s, self._since, self._committed = self.elapsed_s + now - self._since, now, now
        for kept in (self._values, self._prints, self._domain):
            if isinstance(kept, np.memmap):
                kept.flush()
        state = {"key": self.key, "seen": self.seen, "elapsed_s": self.elapsed_s, "failed": self.failed}
        state["has_domain"] = self._domain is not None
        write_bytes(self.folder / STATE_FILE, json.dumps(state).encode())

    def features(self) -> Features:
        """Everything added so far, read from disk on demand."""
        self.commit()
        rows = np.array([row for row in range(self.seen) if row not in self.failed], dtype=np.int64)
        values = np.empty((0, 1, 0), self.dtype) if self._values is None else self._values[: len(rows)]
        packed = np.empty((0, 0), np.uint8) if self._prints is None else self._prints[: self.seen]
        prints = tuple(Fingerprint.unpacked(one) if one.any() else None for one in packed)
        return Features(values, rows, self.elapsed_s, prints, None if self._domain is None else self._domain[rows])

    def _open(self, name: str, dtype: DTypeLike, shape: tuple[int, ...]) -> NDArray[Any]:
        """A new array in the folder, its space on disk allocated."""
        path = self.folder / name
        try:
            mark_output(self.folder)
            (self.folder / STATE_FILE).unlink(missing_ok=True)  # it describes other values
            made = np.lib.format.open_memmap(path, mode="w+", dtype=dtype, shape=shape)
            if hasattr(os, "posix_fallocate"):
                # A hole in the file that the disk cannot fill later would end the process, not raise.
                with path.open("r+b") as file:
                    os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
        except OSError as error:
            raise output_error(path, error) from None
        return made
