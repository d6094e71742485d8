"""An image and its variants, as views: what a head on a frozen backbone may also learn from."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np

from cancernet_cli.core.records import FoundFile
from cancernet_cli.data.loading.images import BatchDecoder, DecodedImage
from cancernet_cli.data.loading.quality import quality
from cancernet_cli.data.loading.views import make_views
from cancernet_cli.data.splits.duplicates import Fingerprint, fingerprint
from cancernet_cli.training.augment import AugmentPolicy, rescaled, restain

# Half as far as a U-Net's crops: a variant must keep its label's texture.
VARIANTS = AugmentPolicy(zoom=(0.8, 1.25), stain=0.25, light=0.15, blur=0.0)


@dataclass(frozen=True)
class SeenImage(DecodedImage):
    """An image with its variants.

    parts: how many views the image itself has, and each variant: they may differ in size. fingerprint: where it was
    asked for.
    """

    parts: tuple[int, ...] = ()
    fingerprint: Fingerprint | None = None


@dataclass(frozen=True)
class VariantDecoder(BatchDecoder):
    """Gives the views of each image, then those of its re-stained and zoomed variants; the same for the same seed."""

    variants: int = 0
    seed: int = 0
    with_fingerprints: bool = False

    def look_at(self, file: FoundFile, image: np.ndarray) -> tuple[SeenImage, np.ndarray]:
        """What is known of a good file, and the views of it and its variants, one after the other."""
        # By name, not by place: a file that is added or left out changes nothing for the others.
        rng = np.random.default_rng([self.seed, zlib.crc32(file.path.encode("utf-8", "surrogateescape"))])
        shown = [image, *(rescaled(restain(image, VARIANTS, rng), VARIANTS, rng) for _ in range(self.variants))]
        views = [make_views(one, self.policy) for one in shown]
        height_px, width_px = image.shape[:2]
        parts = tuple(len(of_one) for of_one in views)
        seen = fingerprint(image) if self.with_fingerprints else None
        return SeenImage(width_px, height_px, sum(parts), quality(image), parts, seen), np.concatenate(views)
