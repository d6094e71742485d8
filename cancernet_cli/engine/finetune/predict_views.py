"""Predictions on the card's own views of images, as in `cancernet classify`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cancernet_cli.core import interruption
from cancernet_cli.core.arrays import F64, I64
from cancernet_cli.core.cards import InputPolicy
from cancernet_cli.core.errors import InputError
from cancernet_cli.core.records import Failure, FoundFile
from cancernet_cli.data.loading.images import BatchDecoder, chunks, load_batches
from cancernet_cli.inference.torch_runner import TorchRunner
from cancernet_cli.training.distributed import Processes


@dataclass(frozen=True)
class CardViews:
    """The views of N files; with several processes, each reads its share."""

    files: Sequence[FoundFile]
    policy: InputPolicy
    max_pixels: int
    processes: Processes

    def pooled(self, runner: TorchRunner, rows: I64) -> F64:
        """The pipeline's outputs, averaged over the views of each image, `[n, F]`, for n of the files.

        Raises:
            InputError: a file cannot be read.
            Interrupted: a signal asked to stop.
        """
        own = [value.mean(axis=0) for value in self._outputs(runner, rows[self.processes.rank :: self.processes.count])]
        shares = self.processes.gathered(np.array(own))
        found = np.empty((len(rows), next(share.shape[1] for share in shares if len(share))))
        for rank, share in enumerate(shares):
            if len(share):
                found[rank :: self.processes.count] = share
        return found

    def every(self, runner: TorchRunner, rows: I64) -> F64:
        """The outputs of every view, `[V, F]`, in the order of the rows of each process."""
        own = self._outputs(runner, rows[self.processes.rank :: self.processes.count])
        return np.concatenate([value for share in self.processes.gathered(own) for value in share])

    def _outputs(self, runner: TorchRunner, rows: I64) -> list[F64]:
        """One array `[views, F]` per row."""
        runtime = runner.runtime
        decoder = BatchDecoder(self.policy, self.max_pixels)
        batches = load_batches(
            chunks((self.files[row] for row in rows.tolist()), runtime.batch_size),
            decoder,
            workers=runtime.workers if len(rows) > runtime.batch_size else 0,
            pin_memory=runtime.device.type == "cuda",
        )
        found: list[F64] = []
        for batch in batches:
            logits = runner.start(batch.pixels)().logits.astype(np.float64)
            start = 0
            for file, image in zip(batch.files, batch.images, strict=True):
                if isinstance(image, Failure):
                    raise InputError(f"{file.path}: {image}", fix="repair or remove the file")
                found.append(logits[start : start + image.views])
                start += image.views
            if self.processes.count == 1:
                interruption.check("finished epochs are kept")
        return found
