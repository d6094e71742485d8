"""`cancernet finetune`: a classifier on a frozen backbone, judged on patients it has not seen."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from cancernet_cli.classification import build_backbone, build_classifier
from cancernet_cli.classification.base import Backbone
from cancernet_cli.classification.pretrained import Pretrained, load_pretrained
from cancernet_cli.core.cards import (
    Architecture,
    Card,
    InputPolicy,
    SegmentationPolicy,
    Training,
    Use,
    Weights,
    read_card,
)
from cancernet_cli.core.errors import OptionError
from cancernet_cli.core.events import Note, Reporter, StageAdvanced, StageFinished, StageStarted, silent
from cancernet_cli.core.models import find_model
from cancernet_cli.core.options import FinetuneOptions
from cancernet_cli.core.records import FinetuneResult
from cancernet_cli.engine.finetune_features import Features, image_features
from cancernet_cli.engine.finetune_figures import decide, figures
from cancernet_cli.engine.finetune_folder import (
    NOT_FOR,
    check_interruption,
    command_line,
    read_about,
    seed_everything,
    write_model,
)
from cancernet_cli.engine.finetune_images import LabelledImages, list_images
from cancernet_cli.segmentation import segmenters
from cancernet_cli.training.logistic import Floats, LinearModel, fit_logistic

CHOSEN_ON = "out-of-fold predictions of the training patients ({folds} folds, no patient in two)"


@dataclass(frozen=True)
class Judged:
    """Out-of-fold logits `[N, K]` and the models, one a fold, that gave them."""

    logits: Floats
    models: dict[int, LinearModel]


def train_classifier(data: Sequence[str], options: FinetuneOptions, report: Reporter = silent) -> FinetuneResult:
    """Fit a linear classifier on the texture statistics of a frozen, pretrained backbone.

    Its figures come from a cross-validation over patients, in which the penalty is chosen inside each training part;
    the weights that are written are fitted on all patients. Temperature and threshold are fitted on the out-of-fold
    predictions; the figures that depend on them use those of the other folds.
    """
    started = time.monotonic()
    read_about(options)
    images = list_images(data, options, report)
    backbone, source = _backbone(options)
    card = _card(images, options, source)
    report(Note(f"{len(images.files)} images of {len(set(images.patients))} patients, {images.folds.max() + 1} folds"))
    model = find_model(options.segmentation_model) if options.segmenter == "unet" else None
    segmenter = segmenters[options.segmenter].factory(model)
    features = image_features(
        images.files, backbone, segmenter, card, options, report, stage="features", variants=options.variants
    )
    images = _only(images, features)
    judged = _cross_validate(images, features, options, report)
    decision = decide(judged.logits, images.labels, images.classes)
    decision = replace(decision, chosen_on=CHOSEN_ON.format(folds=len(judged.models)))
    metrics = {"out_of_fold": figures(judged.logits, images)}
    others = _others(images, features, judged, backbone, card, options, report)
    final = fit_logistic(features.values, images.labels, images.patients, len(images.classes), options.seed)
    classifier = build_classifier(card.architecture)
    _fill(classifier.backbone, backbone, classifier.head, final)
    card = replace(
        card,
        decision=decision,
        metrics=metrics | ({"other_segmenters": others} if others else {}),
        segmentation=replace(card.segmentation, allowed=(options.segmenter, *others)),
        training=_training(data, images, options),
    )
    card = write_model(classifier, card, options)
    seconds = time.monotonic() - started
    patients = len(set(images.patients))
    return FinetuneResult(options.out, card.name, "classify", len(images.files), patients, seconds, card.metrics)


def _backbone(options: FinetuneOptions) -> tuple[Backbone, Pretrained]:
    try:
        levels = tuple(int(level) for level in options.levels.split(","))
    except ValueError:
        raise OptionError(
            f"--levels is {options.levels!r}", fix="give numbers from 0 to 4 with commas, as 1,2,3"
        ) from None
    seed_everything(options.seed)
    backbone = build_backbone(options.backbone, levels)
    return backbone.eval(), load_pretrained(backbone, options.backbone, options.weights)


def _card(images: LabelledImages, options: FinetuneOptions, source: Pretrained) -> Card:
    """All of the card that is known before training."""
    known = images.magnifications[np.isfinite(images.magnifications)]
    model, sha256 = "", ""
    if options.segmenter == "unet":
        folder = find_model(options.segmentation_model)
        model, sha256 = folder.resolve().name, read_card(folder).weights.sha256
    return Card(
        name=options.out.resolve().name,
        task="classify",
        summary=f"{', '.join(images.classes)}: trained by cancernet finetune.",
        paper="IJNRD 7(6), June 2022: CancerNet",
        architecture=Architecture(
            backbone=options.backbone,
            head="level_stats",
            levels=tuple(int(level) for level in options.levels.split(",")),
            classes=images.classes,
        ),
        input=InputPolicy(
            view=options.view,
            width_px=options.view_width_px,
            height_px=options.view_height_px,
            scale=options.scale or 1.0,
            magnifications=tuple(float(m) for m in np.unique(known)),
            mean=source.mean,
            std=source.std,
        ),
        segmentation=SegmentationPolicy(
            segmenter=options.segmenter, model=model, sha256=sha256, keep=options.keep, allowed=(options.segmenter,)
        ),
        weights=Weights(started_from=source.source),
        use=Use(intended="Research on images like those it was trained on.", not_for=NOT_FOR),
    )


def _only(images: LabelledImages, features: Features) -> LabelledImages:
    """The images that could be read."""
    rows = features.rows
    return replace(
        images,
        files=[images.files[i] for i in rows],
        labels=images.labels[rows],
        patients=images.patients[rows],
        magnifications=images.magnifications[rows],
        folds=images.folds[rows],
    )


def _cross_validate(images: LabelledImages, features: Features, options: FinetuneOptions, report: Reporter) -> Judged:
    classes, models = len(images.classes), {}
    logits = np.zeros((len(images.files), classes))
    folds = np.unique(images.folds).tolist()
    report(StageStarted("folds", len(folds), "folds"))
    for fold in folds:
        test = images.folds == fold
        models[fold] = fit_logistic(
            features.values[~test], images.labels[~test], images.patients[~test], classes, options.seed
        )
        logits[test] = models[fold].logits(features.values[test, 0])
        report(StageAdvanced("folds", 1))
        check_interruption()
    report(StageFinished("folds"))
    return Judged(logits, models)


def _others(
    images: LabelledImages,
    features: Features,
    judged: Judged,
    backbone: Backbone,
    card: Card,
    options: FinetuneOptions,
    report: Reporter,
) -> dict[str, Any]:
    """What the same weights say when another segmenter makes the mask: out-of-fold figures by its name."""
    found: dict[str, Any] = {}
    for name in (word.strip() for word in options.also_segmenters.split(",") if word.strip()):
        if name == options.segmenter:
            continue
        model = find_model(options.segmentation_model) if name == "unet" else None
        segmenter = segmenters[name].factory(model)
        seen = image_features(images.files, backbone, segmenter, card, options, report, stage=f"features, {name}")
        logits = np.zeros_like(judged.logits)
        for fold, linear in judged.models.items():
            test = images.folds == fold
            logits[test] = linear.logits(seen.values[test, 0])
        # With the decision that the card's own segmenter gets: it is what a user who changes the segmenter has.
        found[name] = figures(logits, images, decided_by=judged.logits)
    return found


def _fill(target: Backbone, backbone: Backbone, head: torch.nn.Module, linear: LinearModel) -> None:
    """Put the backbone's weights and the fitted linear model into the classifier."""
    target.load_state_dict(backbone.state_dict())

    def tensor(values: NDArray[np.float64]) -> torch.Tensor:
        return torch.from_numpy(values.astype(np.float32))

    head.load_state_dict(
        {
            "centre": tensor(linear.centre),
            "spread": tensor(linear.spread),
            "linear.weight": tensor(linear.weight),
            "linear.bias": tensor(linear.bias),
        }
    )


def _training(data: Sequence[str], images: LabelledImages, options: FinetuneOptions) -> Training:
    splits = {
        f"fold_{fold}": sorted(set(images.patients[images.folds == fold].tolist())) for fold in np.unique(images.folds)
    }
    return Training(
        data=", ".join(Path(name).name for name in data),
        command=command_line(data, options),
        seed=options.seed,
        images=len(images.files),
        group_by="patient",
        splits=splits,
    )
