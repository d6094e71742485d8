"""Hashes of the images and slides that a model was trained on."""

from __future__ import annotations

import numpy as np

from cancernet_cli.data.splits.duplicates import Fingerprint
from cancernet_cli.data.splits.training_images import TrainingImages
from cancernet_cli.engine.finetune.dataset.labelled_images import LabelledImages
from cancernet_cli.engine.finetune.dataset.slides import RECTANGLE


def training_hashes(images: LabelledImages, prints: dict[str, Fingerprint]) -> TrainingImages:
    """The hashes of every image except those of a held-out test part; of tiles, those of their slides.

    Args:
        prints: the fingerprint of each image, by its path.
    """
    used = np.ones(len(images.files), bool) if images.splits is None else images.splits != "test"
    paths = [images.files[row].path for row in np.flatnonzero(used)]
    pictures = images.tiles.pictures if images.tiles else {}
    slides = {path.rpartition(RECTANGLE)[0] for path in paths} & pictures.keys()
    photos = [path for path in paths if path.rpartition(RECTANGLE)[0] not in slides]
    return TrainingImages.of([prints[path] for path in photos], [pictures[path] for path in sorted(slides)])
