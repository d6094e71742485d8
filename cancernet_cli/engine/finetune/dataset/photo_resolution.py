"""The resolution of training photos, and how much of a slide becomes one view as they do."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace

import numpy as np

from cancernet_cli.core.cards import InputPolicy
from cancernet_cli.core.errors import OptionError
from cancernet_cli.core.events import Note, Reporter
from cancernet_cli.core.options import FinetuneOptions
from cancernet_cli.core.records import Failure, FoundFile
from cancernet_cli.data.loading.each import in_workers
from cancernet_cli.data.loading.views import part_of_one_view
from cancernet_cli.data.readers import read_image
from cancernet_cli.engine.finetune.dataset.labelled_images import UnsplitImages
from cancernet_cli.engine.finetune.dataset.reading import limits_of

SAMPLE = 16  # photos whose size is looked at
_AGREE = 1.05  # resolutions that differ by less are one


def with_resolution(
    policy: InputPolicy, images: UnsplitImages, options: FinetuneOptions, report: Reporter
) -> InputPolicy:
    """The policy with the photos' `mpp`, and the size of a slide's tile where photos are enlarged to a view.

    The resolution is the `mpp` of a manifest or label file, otherwise `--mpp`; unchanged if that of a photo is unknown,
    if they differ, or if there are slides, whose tiles decide.

    Raises:
        OptionError: `--mpp` cannot be that of all photos.
    """
    if images.tiles is not None:
        return policy
    if options.mpp is not None and (policy.scales or len(policy.magnifications) > 1):
        seen = ", ".join(f"{power:g}X" for power in policy.magnifications) or "several magnifications"
        raise OptionError(
            f"--mpp {options.mpp:g} is one resolution, but the images have {seen}",
            fix="give each image's in a column mpp of the manifest, or choose a --magnification",
        )
    mpp = None if policy.scales else _one_mpp(images.files, options.mpp)
    if mpp is None:
        return policy
    policy = replace(policy, mpp=mpp)
    size = _usual_size(images.files, options)
    tile = part_of_one_view(*size, policy) if size else None
    if tile is None:
        return policy
    report(
        Note(
            f"a tile of a slide will be {tile[0]} x {tile[1]} px at {mpp:g} µm/px, then {policy.width_px} x "
            f"{policy.height_px} px like the images"
        )
    )
    return replace(policy, tile_width_px=tile[0], tile_height_px=tile[1])


@dataclass(frozen=True)
class _Measure:
    max_pixels: int

    def __call__(self, location: bytes) -> tuple[int, int]:
        height_px, width_px = read_image(location, max_pixels=self.max_pixels).shape[:2]
        return width_px, height_px


def _one_mpp(files: list[FoundFile], otherwise: float | None) -> float | None:
    """The resolution of all files; None if it is unknown or differs."""
    found = [file.truth.mpp or otherwise for file in files]
    known = [mpp for mpp in found if mpp is not None]
    if len(known) < len(found) or max(known) > min(known) * _AGREE:
        return None
    return float(np.median(known))


def _usual_size(files: list[FoundFile], options: FinetuneOptions) -> tuple[int, int] | None:
    """Width and height of most of some photos, evenly spread over all; None if they differ."""
    rows = np.unique(np.linspace(0, len(files) - 1, SAMPLE).round().astype(np.int64))
    chosen = [files[row].location for row in rows]
    found = in_workers(_Measure(options.max_pixels), chosen, limits_of(options))
    sizes = Counter(size for size in found if not isinstance(size, Failure))  # reported once it is needed
    (size, count), *_ = sizes.most_common(1) or [((0, 0), 0)]
    return size if count * 2 > sizes.total() else None
