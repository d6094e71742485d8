"""A backbone that learns too: tuned once a fold and then on everything, or once on a single split."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from cancernet_cli.classification import build_classifier
from cancernet_cli.classification.base import Backbone
from cancernet_cli.core import interruption
from cancernet_cli.core.cards import Card
from cancernet_cli.core.errors import InputError
from cancernet_cli.core.events import Reporter, StageAdvanced, StageFinished, StageStarted, Warn
from cancernet_cli.core.options import FinetuneOptions
from cancernet_cli.core.recipes import Recipe
from cancernet_cli.core.records import Epoch
from cancernet_cli.data.readers import UnreadableImage, read_image
from cancernet_cli.data.splits.folds import Part
from cancernet_cli.engine.finetune.checkpoints import Checkpoints
from cancernet_cli.engine.finetune.dataset.labelled_images import LabelledImages, parts
from cancernet_cli.engine.finetune.dataset.learned import Learned
from cancernet_cli.engine.finetune.tuned_backbone import final_epochs, tune
from cancernet_cli.inference.runtime import Runtime


def learn_tuned(
    images: LabelledImages,
    backbone: Backbone,
    segmenter: nn.Module,
    card: Card,
    options: FinetuneOptions,
    recipe: Recipe,
    runtime: Runtime,
    checkpoints: Checkpoints,
    report: Reporter,
) -> Learned:
    """Tune on each fold's training part, then on all patients for the median of the folds' best epochs.

    A killed run goes on from the checkpoints.
    """
    images = _readable(images, options, report)
    torch.manual_seed(options.seed)
    start = build_classifier(card.architecture)
    start.backbone.load_state_dict(backbone.state_dict())
    logits = np.full((len(images.files), len(images.classes)), np.nan)
    history: list[Epoch] = []
    best: list[int] = []

    def train(part: Part, stop_after: int | None = None) -> nn.Module:
        tuned = tune(
            images.files, images.labels, images.patients, part, recipe=recipe, options=options, card=card,
            segmenter=segmenter, start=start, runtime=runtime, checkpoints=checkpoints, stop_after=stop_after,
            report=report,
        )  # fmt: skip
        history.extend(tuned.history)
        best.append(tuned.best_epoch)
        held_out = part.test if images.splits is None else np.concatenate([part.validate, part.test])
        if len(held_out):
            logits[held_out] = tuned.logits(held_out)
        return tuned.classifier.cpu()

    for part in parts(images, options, report):
        classifier = train(part)
    if images.splits is None:
        none = np.zeros(0, np.int64)
        classifier = train(Part("final", np.arange(len(images.files)), none, none), final_epochs(best))
    return Learned(images, logits, classifier, history)


def _readable(images: LabelledImages, options: FinetuneOptions, report: Reporter) -> LabelledImages:
    """The images that can be read; the others are left out with a warning, before hours of work.

    Raises:
        InputError: there is none.
    """
    rows = []
    report(StageStarted("reading", len(images.files), "images"))
    for row, file in enumerate(images.files):
        try:
            read_image(file.location, max_pixels=options.max_pixels)
            rows.append(row)
        except UnreadableImage as error:
            report(Warn(f"{file.path} is left out: {error.failure}"))
        report(StageAdvanced("reading", 1))
        interruption.check("nothing was trained yet")
    report(StageFinished("reading"))
    if not rows:
        raise InputError(f"none of {len(images.files)} images could be read", fix="look at the warnings above")
    return images.only(rows)
