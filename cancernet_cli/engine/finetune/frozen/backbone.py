"""A head on a frozen backbone: features computed once, then trained by folds or on a single split."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from cancernet_cli.classification import Classifier, build_classifier
from cancernet_cli.classification.base import Backbone
from cancernet_cli.core.arrays import F64
from cancernet_cli.core.cards import Card, Domain
from cancernet_cli.core.records import FoundFile
from cancernet_cli.engine.finetune.dataset.labelled_images import Division, LabelledImages, TrainingOutcome, split_parts
from cancernet_cli.engine.finetune.domain import add_domain, fit_on, unseen_novelty
from cancernet_cli.engine.finetune.figures import figures, held_out
from cancernet_cli.engine.finetune.frozen.feature_store import Features
from cancernet_cli.engine.finetune.frozen.features import image_features
from cancernet_cli.engine.finetune.frozen.head import HeadTrainer, Scorer, Values, fill_head
from cancernet_cli.engine.finetune.job import FinetuneJob, also_segmenters
from cancernet_cli.engine.finetune.model_folder import work_folder
from cancernet_cli.engine.finetune.repeats import divide


def frozen_features(files: list[FoundFile], backbone: Backbone, card: Card, job: FinetuneJob) -> Features:
    """Features and fingerprints of the files, each decoded once; a killed run resumes in the work folder.

    Raises:
        InputError: no file can be read.
        Interrupted: a signal asked to stop; the features so far are kept.
        OutputError: there is no space for them.
    """
    return _features(files, backbone, card, job, card.segmentation.segmenter, job.options.variants, prints=True)


def train_frozen(
    images: LabelledImages, features: Features, backbone: Backbone, card: Card, job: FinetuneJob
) -> TrainingOutcome:
    """Fit the recipe's head on the features, and measure the other segmenters with it.

    Args:
        images: the rows of `features`, in the same order.
    """
    classes = len(images.classes)
    trainer = HeadTrainer(features.values, images.labels, images.groups, classes, job.recipe, job.options.seed)
    models: dict[int, Scorer]
    repeats: list[Division] = []
    divisions = divide(images, job)
    if images.splits is None:
        found, *again = trainer.by_divisions(divisions, job.report)
        logits, models = found.logits, found.models
        repeats = [Division(folds, one.logits) for folds, one in zip(divisions[1:], again, strict=True)]
        final, epochs = trainer.on_everything(job.report)
        history = [epoch for one in (found, *again) for epoch in one.history] + epochs
    else:
        (part,) = split_parts(images, job.options, job.report)
        final, history = trainer.fit(part.train, part.validate, split=part.name)
        models = {0: final}
        logits = _scored(features.values, models, images)
    others: dict[str, Any] = {}
    for name in also_segmenters(job.options):
        seen = _features(images.files, backbone, card, job, name)
        # With the decision of the card's own segmenter, which a user who changes the segmenter gets.
        basis = np.stack([logits, *(division.logits for division in repeats)])
        others[name] = figures(held_out(_scored(seen.values, models, images), images, basis), images)
    classifier = build_classifier(card.architecture)
    classifier.backbone.load_state_dict(backbone.state_dict())
    fill_head(classifier.head, final)
    domain = _domain(features, classifier, images)
    return TrainingOutcome(images, logits, classifier, history, others, domain, tuple(repeats))


def _domain(features: Features, classifier: Classifier, images: LabelledImages) -> Domain:
    """Give the classifier what its training images look like; the card's section about it."""
    if features.domain is None:
        return Domain()
    count = len(images.files)
    trained = np.arange(count) if images.splits is None else np.flatnonzero(images.splits == "train")
    everything = fit_on(features.domain, trained, images.groups)
    return add_domain(classifier, everything, unseen_novelty(features.domain, images), images)


def _features(
    files: list[FoundFile],
    backbone: Backbone,
    card: Card,
    job: FinetuneJob,
    segmenter: str,
    variants: int = 0,
    *,
    prints: bool = False,
) -> Features:
    return image_features(
        files,
        backbone,
        job.segmenter(segmenter),
        replace(card, segmentation=replace(card.segmentation, segmenter=segmenter)),
        job.options,
        job.runtime,
        job.report,
        stage=f"features, {segmenter}",
        folder=work_folder(job.options) / f"features-{segmenter}",
        variants=variants,
        with_fingerprints=prints,
    )


def _scored(values: Values, models: dict[int, Scorer], images: LabelledImages) -> F64:
    """Logits `[N, K]` of each image by a model that was not trained on it; NaN for the rest."""
    logits = np.full((len(images.files), len(images.classes)), np.nan)
    for fold, model in models.items():
        rows = np.flatnonzero(images.folds == fold if images.splits is None else images.splits != "train")
        logits[rows] = model.logits(values[rows, 0])
    return logits
