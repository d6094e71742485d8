"""What color alone achieves on the images and folds of a training."""

from __future__ import annotations

from typing import Any

import numpy as np

from cancernet_cli.core.arrays import F64, I64
from cancernet_cli.core.records import Epoch
from cancernet_cli.data.splits.duplicates import Fingerprint
from cancernet_cli.engine.finetune.dataset.labelled_images import LabelledImages
from cancernet_cli.engine.finetune.frozen.head import out_of_fold
from cancernet_cli.training.baselines import fit_linear


def color_logits(images: LabelledImages, prints: dict[str, Fingerprint], seed: int) -> F64:
    """Logits `[N, K]` of a logistic regression on mean, spread and tint of color (`duplicates.colours_of`).

    Each image is scored by a fit on the images that the model which scored it was trained on; NaN where none did.

    Args:
        prints: the fingerprint of each image, by its path.
    """
    values = np.stack([prints[file.path].colours for file in images.files]).astype(np.float64)
    labels, patients, classes = images.labels, images.patients, len(images.classes)

    def fit(rows: I64, _test: I64, _split: str) -> tuple[Any, list[Epoch]]:
        return fit_linear(values[rows], labels[rows], patients[rows], classes, seed), []

    if images.splits is None:
        return out_of_fold(values, images.folds, classes, fit).logits
    train = images.splits == "train"
    model, _ = fit(np.flatnonzero(train), np.zeros(0, np.int64), "holdout")
    logits = np.full((len(values), classes), np.nan)
    logits[~train] = model.logits(values[~train])
    return logits
