"""Batches on their way through the networks: what images and slides share, and images themselves."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
from torch import Tensor

from cancernet_cli.core.cards import Card
from cancernet_cli.core.records import Failure, FoundFile
from cancernet_cli.data.loading.images import BatchDecoder, DecodedBatch, chunks
from cancernet_cli.data.loading.load import Decoder
from cancernet_cli.engine.classify.image_files import image_writes
from cancernet_cli.engine.classify.job import Job
from cancernet_cli.engine.classify.predictions import predict, record_batch
from cancernet_cli.engine.explain.explanations import Explanations
from cancernet_cli.inference.runner import Outputs, Runner
from cancernet_cli.outputs.tables.parts import BatchOutcome

NO_ANSWER = Outputs(np.empty((0, 0), np.float32), np.empty(0, np.float32), None)


@dataclass(frozen=True)
class Batch:
    """Loaded work whose outcome can be committed once the networks have seen its pixels.

    pixels: `[V, h, w, 3]` uint8; V is 0 if nothing could be decoded. None if the networks have nothing to do. commit:
    turns the network outputs for V views into rows and files; called with `NO_ANSWER` without pixels.
    """

    pixels: Tensor | None
    commit: Callable[[Outputs], BatchOutcome]


class ImageSource:
    """Where batches come from: iterating yields work for the loader, `batches` wraps what it returns.

    decoder: run by the loader's workers. tile_schema: of parts of the tile table; None if there are no slides.

    Args:
        files: images to classify. schema: of a part of the main table.
    """

    decoder: Decoder[Any, Any]
    tile_schema: pa.Schema | None = None

    def __init__(self, job: Job, files: Iterator[FoundFile], schema: pa.Schema) -> None:
        self.job, self.schema = job, schema
        self.explanations = Explanations(job.folder, job.card) if job.needs("explanation") else None
        self._work = chunks(files, files_per_batch(job.card, job.runtime.batch_size))
        self.decoder = BatchDecoder(
            job.card.input,
            job.options.max_pixels,
            keep_originals=job.needs("pixels"),
            shrink=job.options.jpeg_scale == "auto",
            training_images=job.training_images,
            timeout_s=job.options.file_timeout,
        )

    def __iter__(self) -> Iterator[Any]:
        return self._work

    def batches(self, loaded: Iterator[Any]) -> Iterator[Batch]:
        """Each decoded batch, ready for the networks."""
        return map(self._batch, loaded)

    def _batch(self, decoded: DecodedBatch) -> Batch:
        return Batch(decoded.pixels, partial(self._commit, decoded))

    def _commit(self, decoded: DecodedBatch, answer: Outputs) -> BatchOutcome:
        """One row per image, and the files of the sinks."""
        files, card = decoded.files, self.job.card
        predictions = predict(decoded, answer, card)
        failures = [(file.path, p) for file, p in zip(files, predictions, strict=True) if isinstance(p, Failure)]
        writes = image_writes(decoded, predictions, answer, self.job, self.explanations)
        rows = record_batch(decoded, predictions, card, self.schema)
        return BatchOutcome(rows, writes=writes, files=len(files), failures=failures)

    def finish(self) -> None:
        """Called after the last batch."""


def files_per_batch(card: Card, batch_size: int) -> int:
    """How many images give about `batch_size` views; a grid cuts a microscope field into about four."""
    return batch_size if card.input.view == "resize" else max(1, batch_size // 4)


def outcomes(batches: Iterator[Batch], runner: Runner) -> Iterator[BatchOutcome]:
    """Run and commit batches in order, late: the device works on the next ones while rows are made.

    Batches without pixels are committed at once.
    """
    waiting: deque[tuple[Batch, Callable[[], Outputs]]] = deque()
    for batch in batches:
        if batch.pixels is None:
            yield batch.commit(NO_ANSWER)
            continue
        waiting.append((batch, runner.start(batch.pixels)))
        if len(waiting) > runner.in_flight:
            ready, wait = waiting.popleft()
            yield ready.commit(wait())
    for ready, wait in waiting:
        yield ready.commit(wait())
