"""Randomly augmented training batches, made by workers while the network computes."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import count
from typing import NamedTuple

import numpy as np
import torch
from numpy.random import Generator as Random
from numpy.typing import NDArray
from torch import Tensor

from cancernet_cli.core.arrays import I64, Pixels
from cancernet_cli.core.cards import InputPolicy
from cancernet_cli.core.errors import DeviceError, InputError
from cancernet_cli.core.files import display_path
from cancernet_cli.core.pixels import resize_fast
from cancernet_cli.core.records import FoundFile
from cancernet_cli.data.loading.limits import FileLimits
from cancernet_cli.data.loading.views import scaled_image
from cancernet_cli.data.loading.workers import WorkerLost, start_workers
from cancernet_cli.data.readers import UnreadableImage, read_image
from cancernet_cli.data.scales import image_policy
from cancernet_cli.data.splits.pairs import Pair, read_pair, read_pairs
from cancernet_cli.engine.finetune.dataset.reading import limits_of
from cancernet_cli.engine.finetune.job import FinetuneJob
from cancernet_cli.training.augment import AugmentPolicy, random_crop, random_view
from cancernet_cli.training.distributed import Processes

# Makes a random variant of a row, and its target; both arrays have the same shape for all rows.
Maker = Callable[[int, Random], tuple[NDArray[np.generic], NDArray[np.generic]]]
BATCHES_AHEAD = 2  # per worker
HELD_BYTES = 2 * 1024**3


@dataclass(frozen=True)
class ViewMaker:
    """A random view of an image at the card's scale, and its label.

    files: N images. labels: `[N]`.
    """

    files: tuple[FoundFile, ...]
    labels: I64
    policy: InputPolicy
    augment: AugmentPolicy
    max_pixels: int

    def __call__(self, row: int, rng: Random) -> tuple[Pixels, I64]:
        """`[h, w, 3]` uint8 and a label.

        Raises:
            InputError: the file can no longer be read.
        """
        file = self.files[row]
        try:
            image = read_image(file.location, max_pixels=self.max_pixels)
        except UnreadableImage as error:
            name = display_path(file.location)
            raise InputError(f"{name} can no longer be read: {error.failure}", fix="repair or remove it") from None
        scaled, _ = scaled_image(image, image_policy(self.policy, file.truth))
        view = random_view(scaled, self.policy.width_px, self.policy.height_px, self.augment, rng)
        return view, np.asarray(self.labels[row])


@dataclass(frozen=True)
class CropMaker:
    """A random crop of an image and its mask, at the network's scale.

    examples: the decoded pairs; empty if they take too much memory, and are read again each time.
    """

    pairs: tuple[Pair, ...]
    examples: tuple[tuple[Pixels, Pixels], ...]
    scale: float
    side_px: int
    augment: AugmentPolicy
    max_pixels: int

    def __call__(self, row: int, rng: Random) -> tuple[Pixels, Pixels]:
        """`[side, side, 3]` uint8 and `[side, side]` uint8, 0 or 255.

        Raises:
            InputError: a file can no longer be read.
        """
        if self.examples:
            example = self.examples[row]
        else:
            example = scaled_pair(*read_pair(self.pairs[row], max_pixels=self.max_pixels), scale=self.scale)
        return random_crop(*example, self.side_px, self.augment, rng)


def crop_maker(
    pairs: Sequence[Pair], scale: float, side_px: int, augment: AugmentPolicy, limits: FileLimits
) -> CropMaker:
    """Random crops of the pairs; each pair is read once here, to check it.

    Raises:
        InputError: a pair cannot be read, or its mask does not fit.
    """
    examples: list[tuple[Pixels, Pixels]] = []
    held = 0
    for example in read_pairs(pairs, limits, partial(scaled_pair, scale=scale)):
        examples.append(example)
        held += sum(part.nbytes for part in example)
        if held > HELD_BYTES:
            examples.clear()
    return CropMaker(tuple(pairs), tuple(examples), scale, side_px, augment, limits.max_pixels)


def scaled_pair(image: Pixels, mask: Pixels, *, scale: float) -> tuple[Pixels, Pixels]:
    """Image and mask at the network's scale."""
    size = (max(1, round(mask.shape[1] * scale)), max(1, round(mask.shape[0] * scale)))
    return resize_fast(image, *size, enlarge="linear"), resize_fast(mask, *size, enlarge="linear")


def random_batches(
    maker: Maker,
    order: Callable[[int], I64],
    batch: int,
    job: FinetuneJob,
    *,
    first_epoch: int,
) -> Generator[tuple[Tensor, Tensor]]:
    """Batches of inputs and targets on the device, epoch after epoch without end; close it to stop the workers.

    Each variant depends only on the seed, its epoch and its position in the epoch, so neither the number of workers
    nor an interruption changes it. Each process gets its share of a batch.

    Args:
        order: from an epoch (from 0) to its rows; their number is a multiple of `batch`.

    Raises:
        InputError: a file can no longer be read.
        DeviceError: a worker died, or took too long.
    """
    device = job.runtime.device
    draws = _draws(order, batch, first_epoch, job.processes)
    loader = start_workers(
        _Variants(maker, job.options.seed, limits_of(job.options)),
        draws,
        job.runtime.workers,
        pin_memory=device.type == "cuda",
        ahead=BATCHES_AHEAD,
    )
    try:
        for made in loader:
            inputs, targets = (part.to(device, non_blocking=True) for part in made)
            yield inputs, targets
    except WorkerLost as lost:
        raise DeviceError(
            f"a training image cannot be read again: {lost.failure.message}",
            fix="use fewer --workers if memory is short, then run the same command again to resume",
        ) from None
    finally:
        loader.close()


class _Draw(NamedTuple):
    epoch: int
    position: int
    row: int


def _draws(order: Callable[[int], I64], batch: int, first: int, processes: Processes) -> Iterator[list[_Draw]]:
    share = processes.share(batch)
    for epoch in count(first):
        rows = order(epoch).tolist()
        for start in range(0, len(rows), batch):
            yield [_Draw(epoch, i, rows[i]) for i in range(start + share.start, start + share.stop)]


@dataclass(frozen=True)
class _Variants:
    """Called in workers; raises as `maker`."""

    maker: Maker
    seed: int
    limits: FileLimits

    def __getitem__(self, draws: list[_Draw]) -> tuple[Tensor, Tensor]:
        made = []
        for number, (epoch, position, row) in enumerate(draws):
            self.limits.begin(number)
            made.append(self.maker(row, np.random.default_rng([self.seed, epoch, position])))
        inputs, targets = (torch.from_numpy(np.stack(column)) for column in zip(*made, strict=True))
        return inputs, targets
