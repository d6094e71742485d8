"""A thread that writes finished rows as Parquet parts, so that the networks never wait for the disk."""

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

FLUSH_ROWS = 2048
FLUSH_S = 5.0  # what a kill can cost


@dataclass(frozen=True)
class Finished:
    """Rows of either table, and the side files that must be on disk before the rows count as done."""

    rows: pa.RecordBatch | None = None
    tiles: pa.RecordBatch | None = None
    side_files: list[Callable[[], None]] = field(default_factory=list)


class PartWriter:
    """Takes finished batches in order and writes a part whenever enough rows or seconds have come together.

    Of one number, the part with tiles is written before the part with rows: a slide whose row is there has its tiles.

    Use it as a context manager: leaving it writes what is left, also after an interruption; after a failure of its own
    the error is raised in the caller's thread.

    Args:
        path_of: where part number N of the rows goes. first: the number of the first part. tiles: likewise, and the
            schema, for tiles; None where there are none.
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
        # A few batches at most wait here: a slow disk holds the networks back instead of filling the memory.
        self._queue: queue.Queue[Finished | None] = queue.Queue(maxsize=8)
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

    def put(self, finished: Finished) -> None:
        """Hand over a batch; waits when the disk is far behind."""
        if self._error is not None:
            raise self._error
        self._queue.put(finished)

    def _work(self) -> None:
        waiting: tuple[list[pa.RecordBatch], list[pa.RecordBatch]] = ([], [])
        last = time.monotonic()
        while (finished := self._queue.get()) is not None:
            if self._error is not None:
                continue  # keep emptying the queue, so that the caller can come to its next `put`
            try:
                for write in finished.side_files:
                    write()
                for batches, rows in zip(waiting, (finished.tiles, finished.rows), strict=True):
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
