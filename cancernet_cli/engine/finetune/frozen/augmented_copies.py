"""Augmented copies of images, as views, for training a head on a frozen backbone."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np

from cancernet_cli.core.records import FoundFile
from cancernet_cli.data.loading.images import BatchDecoder, DecodedImage
from cancernet_cli.data.loading.quality import quality
from cancernet_cli.data.loading.views import make_views
from cancernet_cli.data.scales import image_policy
from cancernet_cli.data.splits.duplicates import Fingerprint, fingerprint
from cancernet_cli.training.augment import AugmentPolicy, rescaled, restain

# Half as strong as for a U-Net's crops: a variant must keep the texture that its label depends on.
VARIANTS = AugmentPolicy(zoom=(0.8, 1.25), stain=0.25, light=0.15, blur=0.0)


@dataclass(frozen=True)
class SeenImage(DecodedImage):
    """An image with its variants.

    parts: number of views of the image itself, then of each variant, which may differ in size. fingerprint: if
    requested.
    """

    parts: tuple[int, ...] = ()
    fingerprint: Fingerprint | None = None


@dataclass(frozen=True)
class VariantDecoder(BatchDecoder):
    """Decodes the views of each image, then of its re-stained and zoomed variants; deterministic in the seed."""

    variants: int = 0
    seed: int = 0
    with_fingerprints: bool = False

    def look_at(self, file: FoundFile, image: np.ndarray) -> tuple[SeenImage, np.ndarray]:
        """The facts of a readable file, and the views of it and of its variants, one after the other."""
        # By name, not by position: adding or removing a file does not change the others.
        rng = np.random.default_rng([self.seed, zlib.crc32(file.path.encode("utf-8", "surrogateescape"))])
        shown = [image, *(rescaled(restain(image, VARIANTS, rng), VARIANTS, rng) for _ in range(self.variants))]
        policy = image_policy(self.policy, file.truth)
        views = [make_views(one, policy) for one in shown]
        height_px, width_px = image.shape[:2]
        parts = tuple(len(of_one) for of_one in views)
        seen = fingerprint(image) if self.with_fingerprints else None
        return SeenImage(width_px, height_px, sum(parts), quality(image), parts, seen), np.concatenate(views)
