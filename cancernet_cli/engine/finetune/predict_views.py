"""Predictions on the card's own views of images, as in `cancernet classify`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from cancernet_cli.core import interruption
from cancernet_cli.core.arrays import F64, I64
from cancernet_cli.core.cards import InputPolicy
from cancernet_cli.core.errors import InputError
from cancernet_cli.core.records import Failure, FoundFile
from cancernet_cli.data.loading.images import BatchDecoder, chunks
from cancernet_cli.data.loading.limits import FileLimits
from cancernet_cli.data.loading.load import load_batches
from cancernet_cli.engine.finetune.domain import chosen_views
from cancernet_cli.inference.runner import Outputs
from cancernet_cli.inference.torch_runner import TorchRunner
from cancernet_cli.training.distributed import Processes


@dataclass(frozen=True)
class CardViews:
    """The views of N files; with several processes, each reads its share."""

    files: Sequence[FoundFile]
    policy: InputPolicy
    limits: FileLimits
    processes: Processes

    def pooled(self, runner: TorchRunner, rows: I64) -> F64:
        """The pipeline's outputs, averaged over the views of each image, `[n, F]`, for n of the files.

        Raises:
            InputError: a file cannot be read.
            Interrupted: a signal asked to stop.
        """
        return self._of_images(rows, [value.mean(axis=0) for value in self._outputs(runner, self._own(rows))])

    def domain(self, runner: TorchRunner, rows: I64) -> F64:
        """The features that novelty is computed from, of some views of each image, `[n, K, D]`.

        Args:
            runner: of a pipeline whose classifier is a `FeatureExtractor`.

        Raises:
            InputError, Interrupted: as `pooled`.
        """
        found = self._outputs(runner, self._own(rows), lambda answer: answer.novelty)
        return self._of_images(rows, [np.asarray(chosen_views(value), np.float64) for value in found])

    def every(self, runner: TorchRunner, rows: I64) -> F64:
        """The outputs of every view, `[V, F]`, in the order of the rows of each process."""
        own = self._outputs(runner, self._own(rows))
        return np.concatenate([value for share in self.processes.gathered(own) for value in share])

    def _own(self, rows: I64) -> I64:
        return rows[self.processes.rank :: self.processes.count]

    def _of_images(self, rows: I64, own: list[F64]) -> F64:
        """One entry per row, `[n, ...]`, from each process's own ones."""
        shares = self.processes.gathered(np.array(own))
        found = np.empty((len(rows), *next(share.shape[1:] for share in shares if len(share))))
        for rank, share in enumerate(shares):
            if len(share):
                found[rank :: self.processes.count] = share
        return found

    def _outputs(
        self, runner: TorchRunner, rows: I64, of: Callable[[Outputs], Any] = lambda answer: answer.logits
    ) -> list[F64]:
        """One array `[views, F]` per row."""
        runtime = runner.runtime
        decoder = BatchDecoder(self.policy, self.limits.max_pixels, timeout_s=self.limits.timeout_s)
        batches = load_batches(
            chunks((self.files[row] for row in rows.tolist()), runtime.batch_size),
            decoder,
            workers=runtime.workers if len(rows) > runtime.batch_size else 0,
            pin_memory=runtime.device.type == "cuda",
        )
        found: list[F64] = []
        for batch in batches:
            outputs = np.asarray(of(runner.start(batch.pixels)()), np.float64)
            start = 0
            for file, image in zip(batch.files, batch.images, strict=True):
                if isinstance(image, Failure):
                    raise InputError(f"{file.path}: {image}", fix="repair or remove the file")
                found.append(outputs[start : start + image.views])
                start += image.views
            if self.processes.count == 1:
                interruption.check("finished epochs are kept")
        return found
