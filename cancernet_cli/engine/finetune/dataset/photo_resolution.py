"""The resolution of training photos, and how much of a slide becomes one view as they do."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np

from cancernet_cli.core.cards import InputPolicy
from cancernet_cli.core.errors import OptionError
from cancernet_cli.core.events import Note, Reporter
from cancernet_cli.core.options import FinetuneOptions
from cancernet_cli.core.records import FoundFile
from cancernet_cli.data.loading.views import part_of_one_view
from cancernet_cli.data.readers import UnreadableImage, read_image
from cancernet_cli.engine.finetune.dataset.labelled_images import UnsplitImages

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
    size = _usual_size(images.files, options.max_pixels)
    tile = part_of_one_view(*size, policy) if size else None
    if tile is None:
        return policy
    report(
        Note(
            f"a tile of a slide will be {tile[0]} x {tile[1]} px at {mpp:g} um/px, then {policy.width_px} x "
            f"{policy.height_px} px like the images"
        )
    )
    return replace(policy, tile_width_px=tile[0], tile_height_px=tile[1])


def _one_mpp(files: list[FoundFile], otherwise: float | None) -> float | None:
    """The resolution of all files; None if it is unknown or differs."""
    found = [file.truth.mpp or otherwise for file in files]
    known = [mpp for mpp in found if mpp is not None]
    if len(known) < len(found) or max(known) > min(known) * _AGREE:
        return None
    return float(np.median(known))


def _usual_size(files: list[FoundFile], max_pixels: int) -> tuple[int, int] | None:
    """Width and height of most of some photos, evenly spread over all; None if they differ."""
    rows = np.unique(np.linspace(0, len(files) - 1, SAMPLE).round().astype(np.int64))
    sizes = Counter[tuple[int, int]]()
    for row in rows:
        try:
            height_px, width_px = read_image(files[row].location, max_pixels=max_pixels).shape[:2]
        except UnreadableImage:
            continue  # reported once it is needed
        sizes[width_px, height_px] += 1
    (size, count), *_ = sizes.most_common(1) or [((0, 0), 0)]
    return size if count * 2 > sizes.total() else None
