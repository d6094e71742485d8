"""Nuclei as the rooms pass them on: place, shape, stain and outline of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np

from cancernet_cli.core.arrays import F32, I64


@dataclass(frozen=True)
class Nuclei:
    """N nuclei, `[N]` arrays; lengths in pixels, (0, 0) is the upper left corner of the upper left pixel.

    labels: int64. x, y: centroid. area, perimeter: float32. eccentricity: of the ellipse with the same second moments,
    0 for a circle. solidity: area over that of the convex hull. hematoxylin, eosin: mean amount of stain
    (`skimage.color.rgb2hed`; Ruifrok and Johnston, 2001). outlines: N closed rings `[P, 2]` float32 (x, y), oriented as
    RFC 7946 requires.
    """

    labels: I64
    x: F32
    y: F32
    area: F32
    perimeter: F32
    eccentricity: F32
    solidity: F32
    hematoxylin: F32
    eosin: F32
    outlines: list[F32]

    def __len__(self) -> int:
        return len(self.labels)

    def where(self, rows: I64) -> Nuclei:
        """Some of the nuclei, by index."""
        values = {one.name: getattr(self, one.name)[rows] for one in fields(self) if one.name != "outlines"}
        return Nuclei(**values, outlines=[self.outlines[row] for row in rows.tolist()])

    def placed(self, factor: float, x: float = 0, y: float = 0) -> Nuclei:
        """The nuclei in pixels that are `factor` times smaller, with (0, 0) moved to (x, y)."""
        if factor == 1 and not (x or y):
            return self
        corner = np.array([x, y])
        return Nuclei(
            labels=self.labels,
            x=(self.x * factor + x).astype(np.float32),
            y=(self.y * factor + y).astype(np.float32),
            area=(self.area * factor**2).astype(np.float32),
            perimeter=(self.perimeter * factor).astype(np.float32),
            eccentricity=self.eccentricity,
            solidity=self.solidity,
            hematoxylin=self.hematoxylin,
            eosin=self.eosin,
            outlines=[(ring * factor + corner).astype(np.float32) for ring in self.outlines],
        )


def no_nuclei() -> Nuclei:
    """None at all."""
    none = np.empty(0, np.float32)
    return Nuclei(np.empty(0, np.int64), none, none, none, none, none, none, none, none, [])


def joined(parts: Sequence[Nuclei]) -> Nuclei:
    """The nuclei of all parts, one after the other."""
    parts = [no_nuclei(), *parts]
    names = [one.name for one in fields(Nuclei) if one.name != "outlines"]
    values = {name: np.concatenate([getattr(part, name) for part in parts]) for name in names}
    return Nuclei(**values, outlines=[ring for part in parts for ring in part.outlines])
