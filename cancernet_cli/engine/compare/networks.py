"""The networks of a comparison: first weights, and training one network with one segmenter."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from cancernet_cli.classification import build_backbone
from cancernet_cli.classification.base import Backbone
from cancernet_cli.classification.pretrained import Pretrained, load_pretrained
from cancernet_cli.core.arrays import I64
from cancernet_cli.core.errors import ModelError
from cancernet_cli.core.events import Reporter, Warn
from cancernet_cli.core.models import find_model
from cancernet_cli.core.options import CompareOptions
from cancernet_cli.core.options.recipes import Recipe
from cancernet_cli.engine.compare.cells import finish, judged
from cancernet_cli.engine.compare.plan import Cell
from cancernet_cli.engine.finetune.card import first_card
from cancernet_cli.engine.finetune.dataset.labelled_images import LabelledImages
from cancernet_cli.engine.finetune.frozen.features import image_features
from cancernet_cli.engine.finetune.frozen.head import HeadTrainer, OutOfFold
from cancernet_cli.inference.runtime import Runtime
from cancernet_cli.segmentation import segmenters


@dataclass(frozen=True)
class Start:
    """A backbone with its first weights and their source."""

    backbone: Backbone
    source: Pretrained
    is_random: bool


def start_backbone(name: str, weights: str, recipe: Recipe, seed: int, report: Reporter) -> Start:
    """A backbone with the requested weights, or random ones and a warning if ImageNet weights are not available.

    Raises:
        ModelError: a weights file does not fit.
    """
    torch.manual_seed(seed)
    backbone = build_backbone(name, recipe.levels).eval()
    try:
        return Start(backbone, load_pretrained(backbone, name, weights), weights == "none")
    except ModelError as error:
        if weights != "imagenet":
            raise
        report(Warn(f"{name} starts from random weights: {error.message}; provide them with --weights {name}=FILE"))
        return Start(backbone, load_pretrained(backbone, name, "none"), True)


def network_cell(
    cell: Cell,
    start: Start,
    images: LabelledImages,
    options: CompareOptions,
    runtime: Runtime,
    recipe: Recipe,
    folder: Path,
    key: dict[str, Any],
    report: Reporter,
) -> dict[str, Any]:
    """Train and test one network with one segmenter; returns the contents of `cell.json`.

    Raises:
        Interrupted: the features so far are kept in `folder`.
    """
    model = find_model(options.segmentation_model) if segmenters[cell.segmenter].facts.get("needs_model") else None
    title = f"{cell.network}, {cell.segmenter}"
    features = image_features(
        images.files,
        start.backbone,
        segmenters[cell.segmenter].factory(model),
        first_card(cell.name, replace(recipe, backbone=cell.network), images, start.source, cell.segmenter, model),
        options,
        runtime,
        report,
        stage=f"features, {title}",
        folder=folder / "features",
    )
    classes = len(images.classes)

    def train(seen: LabelledImages, folds: I64, name: str) -> OutOfFold:
        trainer = HeadTrainer(features.values, seen.labels, seen.patients, classes, recipe, options.seed)
        return trainer.by_folds(folds, report, stage=f"{name}, {title}")

    found = judged(cell, images, features, train, options, folder)
    found |= {"weights": start.source.source, "random_weights": start.is_random}
    return finish(found, key, folder)
