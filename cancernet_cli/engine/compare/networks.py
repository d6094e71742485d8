"""The networks of a comparison: what they start from, and one of them behind one segmenter."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cancernet_cli.classification import build_backbone
from cancernet_cli.classification.base import Backbone
from cancernet_cli.classification.pretrained import Pretrained, load_pretrained
from cancernet_cli.core.arrays import I64
from cancernet_cli.core.errors import ModelError
from cancernet_cli.core.events import Reporter, Warn
from cancernet_cli.core.models import find_model
from cancernet_cli.core.options import CompareOptions
from cancernet_cli.core.recipes import Recipe
from cancernet_cli.engine.compare.cells import finish, judged
from cancernet_cli.engine.compare.plan import Cell
from cancernet_cli.engine.finetune.card import first_card
from cancernet_cli.engine.finetune.dataset.labelled_images import LabelledImages
from cancernet_cli.engine.finetune.frozen.features import image_features
from cancernet_cli.engine.finetune.frozen.head import OutOfFold, learn
from cancernet_cli.engine.finetune.model_folder import seed_everything
from cancernet_cli.segmentation import segmenters


@dataclass(frozen=True)
class Start:
    """A backbone with its first weights, and where they come from."""

    backbone: Backbone
    source: Pretrained
    is_random: bool


def start_backbone(name: str, weights: str, recipe: Recipe, seed: int, report: Reporter) -> Start:
    """A backbone with the weights asked for, or random ones, with a warning, where ImageNet's cannot be had.

    Raises:
        ModelError: a weights file does not fit.
    """
    seed_everything(seed)
    backbone = build_backbone(name, recipe.levels).eval()
    try:
        return Start(backbone, load_pretrained(backbone, name, weights), weights == "none")
    except ModelError as error:
        if weights != "imagenet":
            raise
        report(Warn(f"{name} starts from random weights: {error.message}; --weights {name}=FILE brings them"))
        return Start(backbone, load_pretrained(backbone, name, "none"), True)


def network_cell(
    cell: Cell,
    start: Start,
    images: LabelledImages,
    options: CompareOptions,
    recipe: Recipe,
    folder: Path,
    key: dict[str, Any],
    report: Reporter,
) -> dict[str, Any]:
    """Train and test one network behind one segmenter; what `cell.json` holds.

    Raises:
        Interrupted: the features so far are kept in `folder`.
    """
    model = find_model(options.segmentation_model) if segmenters[cell.segmenter].facts["needs_model"] else None
    title = f"{cell.network}, {cell.segmenter}"
    features = image_features(
        images.files,
        start.backbone,
        segmenters[cell.segmenter].factory(model),
        first_card(cell.name, replace(recipe, backbone=cell.network), images, start.source, cell.segmenter, model),
        options,
        report,
        stage=f"features, {title}",
        folder=folder / "features",
    )
    classes = len(images.classes)

    def train(seen: LabelledImages, folds: I64, name: str) -> OutOfFold:
        return learn(
            features.values, seen.labels, seen.patients, folds, classes, recipe, options.seed, report,
            stage=f"{name}, {title}",
        )  # fmt: skip

    found = judged(cell, images, features, train, options, folder)
    found |= {"weights": start.source.source, "random_weights": start.is_random}
    return finish(found, key, folder)
