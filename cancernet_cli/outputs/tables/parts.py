"""Writer thread for finished rows, so that inference never waits for the disk."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from cancernet_cli.core.files import atomic_write
from cancernet_cli.core.records import Failure

FLUSH_ROWS = 2048
FLUSH_S = 5.0  # work lost by a kill, at most


@dataclass(frozen=True)
class BatchOutcome:
    """What a batch adds to a run.

    rows, tiles: of the main table and of the tile table. writes: files that must be on disk before the rows count as
    done; each is made when called. files: how many input files are completed. failures: (path, reason) of those of them
    that failed.
    """

    rows: pa.RecordBatch | None = None
    tiles: pa.RecordBatch | None = None
    writes: list[Callable[[], None]] = field(default_factory=list)
    files: int = 0
    failures: list[tuple[str, Failure]] = field(default_factory=list)


class PartWriter:
    """Collects outcomes in order and writes a part once there are enough rows or enough time has passed.

    Of one number, the part with tiles is written before the part with rows: a slide that has its row has its tiles.

    A context manager: leaving it writes the remaining rows, also after an interruption. Errors of the thread are raised
    in the caller's thread.

    Args:
        path_of: path of part number N of the main table. first: number of the first part. tiles: likewise, with the
            schema, for the tile table; None if there are no slides.
    """

    def __init__(
        self,
        path_of: Callable[[int], Path],
        schema: pa.Schema,
        first: int,
        *,
        tiles: tuple[Callable[[int], Path], pa.Schema] | None = None,
    ) -> None:
        self._number = first
        self._tables = (tiles or (path_of, schema), (path_of, schema))
        # Bounded: a slow disk slows inference down instead of filling the memory.
        self._queue: queue.Queue[BatchOutcome | None] = queue.Queue(maxsize=8)
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._work, name="part-writer", daemon=True)

    def __enter__(self) -> PartWriter:
        self._thread.start()
        return self

    def __exit__(self, *details: object) -> None:
        self._queue.put(None)
        self._thread.join()
        if self._error is not None:
            raise self._error

    def put(self, outcome: BatchOutcome) -> None:
        """Enqueue an outcome; blocks while the disk is far behind."""
        if self._error is not None:
            raise self._error
        self._queue.put(outcome)

    def _work(self) -> None:
        waiting: tuple[list[pa.RecordBatch], list[pa.RecordBatch]] = ([], [])
        last = time.monotonic()
        while (outcome := self._queue.get()) is not None:
            if self._error is not None:
                continue  # keep emptying the queue, so that the caller reaches its next `put`
            try:
                for write in outcome.writes:
                    write()
                for batches, rows in zip(waiting, (outcome.tiles, outcome.rows), strict=True):
                    batches += [rows] if rows is not None else []
                rows = max(sum(map(len, batches)) for batches in waiting)
                if rows >= FLUSH_ROWS or time.monotonic() - last >= FLUSH_S:
                    self._flush(waiting)
                    waiting, last = ([], []), time.monotonic()
            except BaseException as error:
                self._error = error
        if self._error is None:
            try:
                self._flush(waiting)
            except BaseException as error:
                self._error = error

    def _flush(self, waiting: tuple[list[pa.RecordBatch], list[pa.RecordBatch]]) -> None:
        for (path_of, schema), batches in zip(self._tables, waiting, strict=True):
            if batches:
                with atomic_write(path_of(self._number)) as temporary:
                    pq.write_table(pa.Table.from_batches(batches, schema), temporary)
        self._number += any(waiting)
