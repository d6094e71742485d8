"""The images that a model was trained on, as hashes: enough to recognize one of them, not to see it.

The file in a model's folder holds 40 bytes per image, in an order that reveals nothing: 29 kB for 717 images.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from cancernet_cli.core.arrays import Bytes, Pixels
from cancernet_cli.core.errors import ModelError
from cancernet_cli.core.files import write_bytes
from cancernet_cli.data.splits.duplicates import MAX_DISTANCE_BITS, Fingerprint
from cancernet_cli.data.splits.picture_hash import BITS, SKETCH_BYTES, distance, hash_bits, sketch, thumbnail

HASHES_FILE = "training_images.safetensors"
HASH_BYTES = BITS // 8
# The first 64 bits decide which images are compared in full: of 40 differing bits about 10 are among them.
_FIRST, _MOST_FIRST = 8, 20


@dataclass(frozen=True)
class TrainingImages:
    """Hashes of the training images (`data.splits.picture_hash`).

    sketches: of each image. near: `[M, 32]` uint8, the perceptual hashes of those with enough detail to be recognized
    when saved again.
    """

    sketches: frozenset[bytes]
    near: Bytes

    @classmethod
    def of(cls, prints: Iterable[Fingerprint], slides: Iterable[bytes] = ()) -> TrainingImages:
        """The hashes of images, and of slides as `slide_hash` gives them."""
        known = list(prints)
        packed = list(slides)
        near = [one.hashes[0].tobytes() for one in known if one.has_detail] + [one[SKETCH_BYTES:] for one in packed]
        rows = np.frombuffer(b"".join(sorted(set(near))), np.uint8).reshape(-1, HASH_BYTES)
        return cls(frozenset([*(one.sketch for one in known), *(one[:SKETCH_BYTES] for one in packed)]), rows)

    def has(self, pixels: Pixels) -> bool:
        """Whether `[H, W, 3]` uint8 RGB is one of them, or a copy of one, in any of the eight orientations."""
        small = thumbnail(pixels)
        if sketch(pixels, small) in self.sketches:
            return True
        hashes = hash_bits(small)
        first = distance(hashes[:, None, :_FIRST], self.near[None, :, :_FIRST])
        turn, row = np.nonzero(first <= _MOST_FIRST)
        return bool((distance(hashes[turn], self.near[row]) <= MAX_DISTANCE_BITS).any())

    def write(self, folder: Path) -> None:
        """Write them to a model's folder; the same bytes for the same images in any order.

        Raises:
            OutputError: the file cannot be written.
        """
        sketches = np.frombuffer(b"".join(sorted(self.sketches)), np.uint8).reshape(-1, SKETCH_BYTES)
        write_bytes(folder / HASHES_FILE, save({"sketches": sketches, "near": self.near}))

    @classmethod
    def read(cls, folder: Path) -> TrainingImages | None:
        """Those of a model's folder; None if it has none, as models of earlier versions.

        Raises:
            ModelError: the file is damaged.
        """
        path = folder / HASHES_FILE
        if not path.is_file():
            return None
        try:
            found = load(path.read_bytes())
            if any(found[name].dtype != np.uint8 for name in ("sketches", "near")):
                raise ValueError("its values are not bytes")
            sketches, near = found["sketches"].reshape(-1, SKETCH_BYTES), found["near"].reshape(-1, HASH_BYTES)
        except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
            raise ModelError(
                f"{path} cannot be read: {error}", fix="restore it, or remove it to classify without it"
            ) from None
        return cls(frozenset(row.tobytes() for row in sketches), near)


def slide_hash(pixels: Pixels) -> bytes:
    """Sketch and perceptual hash of a slide's thumbnail `[H, W, 3]` uint8 RGB, 40 bytes."""
    small = thumbnail(pixels)
    return sketch(pixels, small) + bytes(hash_bits(small)[0])
