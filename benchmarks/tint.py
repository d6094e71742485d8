"""Measure how well the tint of the lightest pixels alone separates the classes, on the same folds as a model.

    python benchmarks/tint.py data/breakhis/manifest.csv

Two features per image: the logarithms of red over blue and green over blue, from the 98th percentile of each channel.
This is the baseline for a network's scores on the same folds.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import machine
import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from cancernet_cli.core.options import FinetuneOptions
from cancernet_cli.data.readers import read_image
from cancernet_cli.engine.finetune.dataset.labelled_images import LabelledImages, list_images
from cancernet_cli.engine.finetune.figures import figures, held_out
from cancernet_cli.training.logistic import image_weights

MAX_PIXELS = 100_000_000


def tints(images: LabelledImages) -> np.ndarray:
    """`[N, 2]`: log of red over blue and of green over blue of the lightest pixels."""
    found = []
    for file in images.files:
        image = read_image(file.location, max_pixels=MAX_PIXELS)
        red, green, blue = np.percentile(image.reshape(-1, 3), 98, axis=0) + 1
        found.append([np.log(red / blue), np.log(green / blue)])
    return np.array(found)


def main() -> None:
    """Score every fold by a logistic regression fitted on the others."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="+")
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    images = list_images(arguments.data, FinetuneOptions(folds=arguments.folds), lambda event: None)
    features = tints(images)
    logits = np.zeros((len(images.files), 2))
    for fold in np.unique(images.folds):
        test = images.folds == fold
        model = make_pipeline(StandardScaler(), LogisticRegression())
        weights = image_weights(images.labels[~test], images.patients[~test])
        model.fit(features[~test], images.labels[~test], logisticregression__sample_weight=weights)
        logits[test, 1] = model.decision_function(features[test])
    found = figures(held_out(logits, images), images)
    machine.report("tint", machine.facts() | {"images": len(images.files), "out_of_fold": found}, arguments.out)


if __name__ == "__main__":
    main()
