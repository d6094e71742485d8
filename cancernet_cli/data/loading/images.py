"""Read, check and decode image files in workers: batches of uint8 views in order; bad files never raise."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice
from typing import TypeVar

import numpy as np
import torch

from cancernet_cli.core.arrays import Pixels
from cancernet_cli.core.cards import InputPolicy
from cancernet_cli.core.records import Failure, FoundFile
from cancernet_cli.data.loading.limits import FileLimits, failure_of, no_memory
from cancernet_cli.data.loading.quality import Quality, quality
from cancernet_cli.data.loading.views import make_views, scaled_size
from cancernet_cli.data.readers import UnreadableImage, read_flagged, read_image, read_shrunk
from cancernet_cli.data.scales import image_policy, scale_of
from cancernet_cli.data.splits.training_images import TrainingImages

Item = TypeVar("Item")


@dataclass(frozen=True)
class DecodedImage:
    """Size and quality of one decoded file.

    views: its number of rows in the batch's pixels. knows_scale: False if the card has a scale for each magnification
    and this image's is unknown. seen: whether it is one of the decoder's training images; None if these are unknown.
    flags: what its reader had to decide (`data.readers.base.FILE_FLAGS`).
    """

    width_px: int
    height_px: int
    views: int
    quality: Quality
    knows_scale: bool = field(default=True, kw_only=True)
    seen: bool | None = field(default=None, kw_only=True)
    flags: tuple[str, ...] = field(default=(), kw_only=True)


@dataclass(frozen=True)
class DecodedBatch:
    """One batch of files, in path order.

    `images[i]` belongs to `files[i]`. `pixels` is `[V, h, w, 3]` uint8, the views of all decoded files in order (V may
    be 0). `originals` has the full images of the decoded files, `[H, W, 3]` uint8, if requested.
    """

    files: list[FoundFile]
    images: list[DecodedImage | Failure]
    pixels: torch.Tensor
    originals: list[torch.Tensor] = field(default_factory=list)

    def pin_memory(self) -> DecodedBatch:
        """A copy of the batch with its pixels in pinned memory."""
        return replace(self, pixels=self.pixels.pin_memory(), originals=[one.clone() for one in self.originals])


@dataclass(frozen=True)
class BatchDecoder:
    """Decode a list of files into a DecodedBatch; called in workers.

    shrink: decode JPEGs at 1/2, 1/4 or 1/8 scale if the views need no more pixels, and measure quality on these; sizes
    and originals are those of the full image. training_images: of the model, to recognize them. timeout_s: for a file.
    """

    policy: InputPolicy
    max_pixels: int
    keep_originals: bool = False
    shrink: bool = False
    training_images: TrainingImages | None = None
    timeout_s: float = FileLimits.timeout_s

    def __getitem__(self, files: list[FoundFile]) -> DecodedBatch:
        images: list[DecodedImage | Failure] = []
        views: list[np.ndarray] = []
        originals: list[torch.Tensor] = []
        limits = FileLimits(self.timeout_s, self.max_pixels)
        for number, file in enumerate(files):
            limits.begin(number, size_bytes=file.size_bytes)
            try:
                if file.problem is not None:
                    raise UnreadableImage(file.problem)
                image, decoded, its_views = self.decode(file)
            except UnreadableImage as error:
                images.append(error.failure)
                continue
            except MemoryError:
                images.append(no_memory())
                continue
            except Exception as error:  # per image: one bad file never ends a run
                images.append(failure_of("decode", error))
                continue
            images.append(decoded)
            views.append(its_views)
            if self.keep_originals:
                originals.append(torch.from_numpy(np.require(image, requirements="W")))
        pixels = torch.from_numpy(np.concatenate(views)) if views else self.no_views()
        return DecodedBatch(files, images, pixels, originals)

    def decode(self, file: FoundFile) -> tuple[np.ndarray, DecodedImage, np.ndarray]:
        """The pixels of a file, `[H, W, 3]` uint8, its size and quality, and its views `[V, h, w, 3]`.

        Raises:
            UnreadableImage: the file cannot be decoded.
        """
        if self.shrink:
            policy = image_policy(self.policy, file.truth)
            found = read_shrunk(file.location, partial(scaled_size, policy), max_pixels=self.max_pixels)
            size = (found.width_px, found.height_px)
            views = make_views(found.pixels, policy, size)
            decoded = DecodedImage(
                *size,
                len(views),
                quality(found.pixels),
                knows_scale=self._knows_scale(file),
                seen=self.has_seen(found.pixels),
                flags=found.flags,
            )
            whole = read_image(file.location, max_pixels=self.max_pixels) if self.keep_originals else found.pixels
            return whole, decoded, views
        image, flags = read_flagged(file.location, max_pixels=self.max_pixels)
        decoded, views = self.look_at(file, image)
        return image, replace(decoded, flags=flags), views

    def look_at(self, file: FoundFile, image: np.ndarray) -> tuple[DecodedImage, np.ndarray]:
        """Size, quality and views of an image in full resolution; a subclass may compute more."""
        its_views = make_views(image, image_policy(self.policy, file.truth))
        height_px, width_px = image.shape[:2]
        decoded = DecodedImage(
            width_px,
            height_px,
            len(its_views),
            quality(image),
            knows_scale=self._knows_scale(file),
            seen=self.has_seen(image),
        )
        return decoded, its_views

    def _knows_scale(self, file: FoundFile) -> bool:
        return scale_of(self.policy, file.truth) is not None

    def has_seen(self, pixels: Pixels) -> bool | None:
        """Whether a picture is one of the training images; None if these are unknown."""
        return None if self.training_images is None else self.training_images.has(pixels)

    def no_views(self) -> torch.Tensor:
        """The pixels of a batch in which no file could be decoded."""
        return torch.empty((0, self.policy.height_px, self.policy.width_px, 3), dtype=torch.uint8)

    def apart(self, files: list[FoundFile]) -> list[list[FoundFile]]:
        return [[file] for file in files]

    def lost(self, files: list[FoundFile], failure: Failure) -> DecodedBatch:
        return DecodedBatch(files, [failure] * len(files), self.no_views())

    def join(self, batches: Sequence[DecodedBatch]) -> DecodedBatch:
        return DecodedBatch(
            [file for batch in batches for file in batch.files],
            [image for batch in batches for image in batch.images],
            torch.cat([batch.pixels for batch in batches]),
            [original for batch in batches for original in batch.originals],
        )


def chunks(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """Consecutive lists of `size` items, such as files; the last one may be shorter."""
    rest = iter(items)
    while chunk := list(islice(rest, size)):
        yield chunk
