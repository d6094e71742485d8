"""A head on a frozen backbone: features once, then learned by folds, or on a single split."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from cancernet_cli.classification import build_classifier
from cancernet_cli.classification.base import Backbone
from cancernet_cli.core.arrays import F64
from cancernet_cli.core.cards import Card
from cancernet_cli.core.events import Reporter
from cancernet_cli.core.models import find_model
from cancernet_cli.core.options import FinetuneOptions
from cancernet_cli.core.recipes import Recipe
from cancernet_cli.engine.finetune.dataset.labelled_images import LabelledImages, parts
from cancernet_cli.engine.finetune.dataset.learned import Learned
from cancernet_cli.engine.finetune.figures import figures, held_out
from cancernet_cli.engine.finetune.frozen.feature_store import Features
from cancernet_cli.engine.finetune.frozen.features import image_features
from cancernet_cli.engine.finetune.frozen.head import Linear, Scorer, Values, fill_head, fit_head, learn, learn_all
from cancernet_cli.segmentation import segmenters


def learn_frozen(
    images: LabelledImages,
    backbone: Backbone,
    card: Card,
    options: FinetuneOptions,
    recipe: Recipe,
    folder: Path,
    report: Reporter,
) -> Learned:
    """Fit the recipe's head; `folder` keeps the features, so that a killed run goes on."""
    features = _features(images, backbone, card, options, folder, report, variants=options.variants)
    images = images.only(features.rows)
    values, classes = features.values, len(images.classes)
    final: Linear
    if images.splits is None:
        found = learn(values, images.labels, images.groups, images.folds, classes, recipe, options.seed, report)
        logits, models, history = found.logits, found.models, found.history
        final, epochs = learn_all(values, images.labels, images.groups, classes, recipe, options.seed, report)
        history = [*history, *epochs]
    else:
        (part,) = parts(images, options, report)
        final, history = fit_head(
            values, images.labels, images.groups, part.train, part.validate, classes, recipe, options.seed,
            split=part.name,
        )  # fmt: skip
        models = {0: final}
        logits = _scored(values, models, images)
    others = _others(images, backbone, card, logits, models, options, folder, report)
    classifier = build_classifier(card.architecture)
    classifier.backbone.load_state_dict(backbone.state_dict())
    fill_head(classifier.head, final)
    return Learned(images, logits, classifier, history, others)


def _features(
    images: LabelledImages,
    backbone: Backbone,
    card: Card,
    options: FinetuneOptions,
    folder: Path,
    report: Reporter,
    *,
    segmenter: str | None = None,
    variants: int = 0,
) -> Features:
    name = segmenter or card.segmentation.segmenter
    model = find_model(options.segmentation_model) if segmenters[name].facts["needs_model"] else None
    return image_features(
        images.files,
        backbone,
        segmenters[name].factory(model),
        replace(card, segmentation=replace(card.segmentation, segmenter=name)),
        options,
        report,
        stage=f"features, {name}",
        folder=folder / f"features-{name}",
        variants=variants,
    )


def _scored(values: Values, models: dict[int, Scorer], images: LabelledImages) -> F64:
    """Logits of what each model had not learned from, `[N, K]`; NaN for the rest."""
    logits = np.full((len(images.files), len(images.classes)), np.nan)
    for fold, model in models.items():
        rows = np.flatnonzero(images.folds == fold if images.splits is None else images.splits != "train")
        logits[rows] = model.logits(values[rows, 0])
    return logits


def _others(
    images: LabelledImages,
    backbone: Backbone,
    card: Card,
    logits: F64,
    models: dict[int, Scorer],
    options: FinetuneOptions,
    folder: Path,
    report: Reporter,
) -> dict[str, Any]:
    """What the same weights say when another segmenter makes the mask: figures by its name.

    With the decision that the card's own segmenter gets: it is what a user who changes the segmenter has.
    """
    found: dict[str, Any] = {}
    for name in (word.strip() for word in options.also_segmenters.split(",") if word.strip()):
        if name == card.segmentation.segmenter:
            continue
        seen = _features(images, backbone, card, options, folder, report, segmenter=name)
        found[name] = figures(held_out(_scored(seen.values, models, images), images, basis=logits), images)
    return found
