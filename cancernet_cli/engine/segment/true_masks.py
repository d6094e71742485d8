"""Find the true masks of images: in a folder, or in a manifest's column `mask`."""

from __future__ import annotations

import os
from pathlib import Path

from cancernet_cli.core.errors import InputError
from cancernet_cli.core.events import Note, Reporter
from cancernet_cli.core.figures import counted
from cancernet_cli.data.discovery.entries import absolute
from cancernet_cli.data.discovery.tables import TextTable
from cancernet_cli.data.loading.true_masks import masks_in
from cancernet_cli.engine.classify.worklist import Worklist
from cancernet_cli.engine.segment.job import SegmentJob

_COLUMNS = ("path", "image", "mask")


def find_true_masks(job: SegmentJob, worklist: Worklist, report: Reporter) -> dict[str, bytes]:
    """The location of each image's true mask, by the image's path; empty if there are none.

    Raises:
        InputError: the folder of --masks has none of the images' masks.
    """
    found = _in_manifests(job, worklist)
    if job.options.masks is not None:
        paths = (file.path for file in worklist.everything() if file.kind == "image")
        found = masks_in(job.options.masks, paths)
        if not found:
            raise InputError(
                f"{job.options.masks} has no mask of any image",
                fix="name masks like their images: a/b.png or a/b_mask.png for a/b.jpg",
            )
    images = worklist.kinds()["image"]
    if found and len(found) < images:
        report(Note(f"{images - len(found):,} of {counted(images, 'image')} have no true mask"))
    return found


def _in_manifests(job: SegmentJob, worklist: Worklist) -> dict[str, bytes]:
    by_location: dict[bytes, bytes] = {}
    for one in job.inputs:
        if one.kind != "manifest":
            continue
        table = TextTable(Path(os.fsdecode(one.location)), _COLUMNS)
        if "mask" not in table.columns:
            continue
        for _, values in table:
            name = values.get("path") or values.get("image")
            if name is not None and values["mask"] is not None:
                image, mask = (absolute(table.real_name(cell), one.folder) for cell in (name, values["mask"]))
                by_location[image] = mask
    if not by_location:
        return {}
    return {file.path: by_location[file.location] for file in worklist.everything() if file.location in by_location}
