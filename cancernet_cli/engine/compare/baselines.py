"""The baselines of a comparison: handcrafted features, computed once in the workers, and classifiers on them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cancernet_cli import __version__
from cancernet_cli.classification.handcrafted import colour_features, texture_features
from cancernet_cli.core.arrays import F64, I64
from cancernet_cli.core.cards import InputPolicy
from cancernet_cli.core.events import Reporter
from cancernet_cli.core.options import CompareOptions
from cancernet_cli.core.records import Epoch, FoundFile
from cancernet_cli.data.loading.images import BatchDecoder, DecodedBatch, DecodedImage
from cancernet_cli.data.loading.quality import quality
from cancernet_cli.engine.compare.cells import finish, judged
from cancernet_cli.engine.compare.plan import Cell
from cancernet_cli.engine.finetune.dataset.labelled_images import LabelledImages
from cancernet_cli.engine.finetune.frozen.feature_store import Features, FeatureStore
from cancernet_cli.engine.finetune.frozen.features import ImageFeatures, Rows, files_digest, fill_store
from cancernet_cli.engine.finetune.frozen.head import OutOfFold, out_of_fold
from cancernet_cli.inference.runtime import Runtime
from cancernet_cli.training.baselines import BASELINES as LEARNERS

DESCRIPTIONS = {"colour": colour_features, "texture": texture_features}


@dataclass(frozen=True)
class DescribedImage(DecodedImage):
    """An image with its features, `[F]`."""

    described: F64


@dataclass(frozen=True)
class Describer(BatchDecoder):
    """Computes handcrafted features in the workers, at native resolution; there are no views for a network."""

    kind: str = "colour"

    def look_at(self, file: FoundFile, image: np.ndarray) -> tuple[DescribedImage, np.ndarray]:
        """The image's features, and no views."""
        height_px, width_px = image.shape[:2]
        described = DESCRIPTIONS[self.kind](image)
        return DescribedImage(width_px, height_px, 0, quality(image), described), self.no_views().numpy()


def handcrafted_features(
    kind: str, images: LabelledImages, options: CompareOptions, runtime: Runtime, folder: Path, report: Reporter
) -> Features:
    """Colour or texture of every image, kept in `folder`, from which an interrupted run resumes."""
    key = {
        "version": __version__,
        "features": kind,
        "files": files_digest(images.files),
        "max_megapixels": options.max_megapixels,
    }
    store = FeatureStore(folder, key, len(images.files), np.float64)
    decoder = Describer(InputPolicy(), options.max_pixels, kind=kind)

    def compute(batch: DecodedBatch) -> Rows:
        return [
            ImageFeatures(image.described[None]) if isinstance(image, DescribedImage) else image  # type: ignore[misc]
            for image in batch.images
        ]

    return fill_store(store, images.files, decoder, compute, runtime, report, stage=f"features, {kind}")


def baseline_cell(
    cell: Cell,
    images: LabelledImages,
    features: Features,
    options: CompareOptions,
    folder: Path,
    key: dict[str, Any],
) -> dict[str, Any]:
    """Train and test one baseline; returns the contents of `cell.json`."""
    values = np.asarray(features.values[:, 0], np.float64)

    def train(seen: LabelledImages, folds: I64, name: str) -> OutOfFold:
        def fit(rows: I64, test: I64, split: str) -> tuple[Any, list[Epoch]]:
            learner = LEARNERS[cell.classifier]
            return learner(values[rows], seen.labels[rows], seen.patients[rows], len(seen.classes), options.seed), []

        return out_of_fold(values, folds, len(seen.classes), fit)

    found = judged(cell, images, features, train, options, folder)
    return finish(found | {"weights": "", "random_weights": False}, key, folder)
