"""`cancernet finetune`: a classifier from labelled images, evaluated on held-out patients."""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from cancernet_cli.classification import build_backbone
from cancernet_cli.classification.base import Backbone
from cancernet_cli.classification.pretrained import Pretrained, load_pretrained
from cancernet_cli.core.cards import Card, Decision, Training, split_stamp
from cancernet_cli.core.choices import UNSURE
from cancernet_cli.core.errors import InputError, OptionError
from cancernet_cli.core.events import Note, Reporter, Warn, silent
from cancernet_cli.core.figures import counted, plain
from cancernet_cli.core.options import FinetuneOptions
from cancernet_cli.core.options.recipes import Recipe
from cancernet_cli.core.records import Failure, FinetuneResult
from cancernet_cli.data.splits.duplicates import Fingerprint
from cancernet_cli.engine.finetune.card import first_card
from cancernet_cli.engine.finetune.checks.color_baseline import color_logits
from cancernet_cli.engine.finetune.checks.doubts import doubts
from cancernet_cli.engine.finetune.checks.hashes import training_hashes
from cancernet_cli.engine.finetune.dataset.labelled_images import (
    LabelledImages,
    TrainingOutcome,
    UnsplitImages,
    list_unsplit,
    split_images,
)
from cancernet_cli.engine.finetune.dataset.listing import open_source
from cancernet_cli.engine.finetune.dataset.photo_resolution import with_resolution
from cancernet_cli.engine.finetune.dataset.reading import read_fingerprints, readable_rows
from cancernet_cli.engine.finetune.dataset.slides import SlideCutter
from cancernet_cli.engine.finetune.figures import (
    HeldOut,
    division_figures,
    divisions_on_card,
    figures,
    final_decision,
    held_out,
    held_out_by_division,
    rankings,
    scores_of,
)
from cancernet_cli.engine.finetune.frozen.backbone import frozen_features, train_frozen
from cancernet_cli.engine.finetune.job import FinetuneJob, open_job
from cancernet_cli.engine.finetune.model_folder import command_line, make_folder, work_folder, write_model
from cancernet_cli.engine.finetune.repeats import check_repeats
from cancernet_cli.engine.finetune.report import write_report
from cancernet_cli.engine.finetune.tuned_backbone import train_tuned


def train_classifier(
    data: Sequence[str], options: FinetuneOptions, recipe: Recipe, report: Reporter = silent
) -> FinetuneResult:
    """Train by the recipe and write model, held-out predictions, history and plots to `options.out`.

    With folds, every image is scored by a model that was not trained on its patient, and the weights that are written
    are trained on all patients. With a single split, they are trained on its training part. Temperature and threshold
    are never chosen on the images whose figures are on the card.

    Raises:
        InputError, ModelError, DeviceError, OptionError, OutputError, Interrupted: see `open_job` and `finetune`.
    """
    started = time.monotonic()
    job = _open(data, options, recipe, report)
    backbone, pretrained = _backbone(job)
    source = open_source(job.data, options)
    cutter = SlideCutter(options, recipe, source.lists, source.base, job.report, job.processes)
    unsplit = list_unsplit(source, options, job.report, cutter)
    if UNSURE in unsplit.classes:
        raise InputError(f"a class is called {UNSURE!r}, which is the label for no decision", fix="rename the class")
    check_repeats(unsplit, options)
    torch.manual_seed(options.seed)  # so that what follows does not depend on what reading drew
    if unsplit.tiles is not None and unsplit.tiles.are_all:
        job = replace(job, recipe=replace(recipe, scale=1.0))  # a tile is a view already
    name = options.out.resolve().name
    card = first_card(name, job.recipe, unsplit, pretrained, options.segmenter, job.segmentation_model)
    card = replace(card, input=with_resolution(card.input, unsplit, options, job.report))
    outcome, prints = _train(unsplit, backbone, card, job)
    images = outcome.images
    every = held_out_by_division(outcome.divisions, images, options.abstain_error)
    divisions = division_figures(every, images) if len(every) > 1 else None
    card = _finished(card, outcome, every[0], divisions, prints, job)
    _say_what_is_promised(card.decision, options, job.report)
    if job.processes.is_first:
        make_folder(options.out)
        write_report(every[0], images, outcome.history, card, options, job.report, plain(divisions))
        training_hashes(images, prints).write(options.out)
        card = write_model(outcome.classifier, card, options)
        shutil.rmtree(work_folder(options), ignore_errors=True)
    job.processes.wait()
    seconds = time.monotonic() - started
    patients = images.known_patients
    found = (card.metrics, card.training.doubts)
    return FinetuneResult(options.out, card.name, "classify", len(images.files), patients, seconds, *found)


def _open(data: Sequence[str], options: FinetuneOptions, recipe: Recipe, report: Reporter) -> FinetuneJob:
    """The job, once it is clear that its options fit together."""
    if recipe.unfreeze and options.also_segmenters:
        raise OptionError(
            "--also-segmenters measures the features of a frozen backbone; --unfreeze trains it",
            fix="omit one of the two",
        )
    job = open_job(data, options, recipe, report)
    if job.processes.count > 1 and not recipe.unfreeze:
        raise OptionError(
            f"{job.processes.count} processes were started, but one computes the features of a frozen backbone",
            fix="run it without torchrun, or train the backbone with --unfreeze",
        )
    return job


def _backbone(job: FinetuneJob) -> tuple[Backbone, Pretrained]:
    torch.manual_seed(job.options.seed)
    backbone = build_backbone(job.recipe.backbone, job.recipe.levels)
    return backbone.eval(), load_pretrained(backbone, job.recipe.backbone, job.options.weights)


def _finished(
    card: Card,
    outcome: TrainingOutcome,
    held: HeldOut,
    divisions: dict[str, Any] | None,
    prints: dict[str, Fingerprint],
    job: FinetuneJob,
) -> Card:
    """The card with decision, figures and training data, and with reasons to doubt them."""
    images = outcome.images
    logits = np.stack([division.logits for division in outcome.divisions])
    decision, found = final_decision(logits, images, job.options.abstain_error), figures(held, images)
    by_color = scores_of(held_out(color_logits(images, prints, job.options.seed), images), images)
    reasons = doubts(found, scores_of(held, images), by_color, decision)
    return replace(
        card,
        decision=decision,
        domain=outcome.domain,
        metrics={
            "out_of_fold" if images.splits is None else "test": found,
            **({"divisions": divisions_on_card(divisions)} if divisions else {}),
            "color_alone": {"images": rankings(by_color)},
            **({"other_segmenters": outcome.others} if outcome.others else {}),
        },
        segmentation=replace(card.segmentation, allowed=(job.options.segmenter, *outcome.others)),
        training=replace(_training(images, job), doubts=reasons),
    )


def _train(
    unsplit: UnsplitImages, backbone: Backbone, card: Card, job: FinetuneJob
) -> tuple[TrainingOutcome, dict[str, Fingerprint]]:
    """Read every image once, split them, and train on the readable ones; also their fingerprints, by path."""
    options, report = job.options, job.report
    if not job.recipe.unfreeze:
        features = frozen_features(unsplit.files, backbone, card, job)
        images = _announced(split_images(unsplit, features.fingerprints, options, report), report)
        outcome = train_frozen(images.only(features.rows), features, backbone, card, job)
        return outcome, _by_path(unsplit, features.fingerprints)
    prints = read_fingerprints([file.location for file in unsplit.files], options, report)
    rows = readable_rows(unsplit.files, prints, report)
    images = _announced(split_images(unsplit, prints, options, report), report)
    return train_tuned(images.only(rows), backbone, card, job), _by_path(unsplit, prints)


def _by_path(images: UnsplitImages, prints: Sequence[Fingerprint | Failure | None]) -> dict[str, Fingerprint]:
    found = zip(images.files, prints, strict=True)
    return {file.path: one for file, one in found if isinstance(one, Fingerprint)}


def _announced(images: LabelledImages, report: Reporter) -> LabelledImages:
    for leak in images.leaks:
        report(Warn(f"LEAKING SPLIT: {leak}"))
    report(Note(_outline(images)))
    return images


def _outline(images: LabelledImages) -> str:
    known = images.known_patients
    about = f"{len(images.files)} images" + (f" of {counted(known, 'known patient')}" if known else "")
    if stamp := split_stamp(images.unit):
        about += f", {stamp}"
    if images.splits is None:
        return f"{about}, {len(np.unique(images.folds))} folds"
    counts = {name: int((images.splits == name).sum()) for name in ("train", "val", "test")}
    return f"{about}: {counts['train']} to train, {counts['val']} to validate, {counts['test']} to test"


def _say_what_is_promised(decision: Decision, options: FinetuneOptions, report: Reporter) -> None:
    """Warn if the error that was asked for cannot be promised."""
    abstain = decision.abstain
    if abstain is None or not options.abstain_error or not decision.positive:
        return
    if abstain.error is None:
        report(Warn(f"--abstain-error: nothing can be promised; {abstain.chosen_on}"))
    elif abstain.error > options.abstain_error:
        report(Warn(f"--abstain-error: an error of {abstain.error:g} is promised instead; {abstain.chosen_on}"))


def _training(images: LabelledImages, job: FinetuneJob) -> Training:
    sides = images.splits
    if sides is None:
        sides = np.array([f"fold_{fold}" for fold in images.folds])
    return Training(
        data=", ".join(Path(name).name for name in job.data),
        command=command_line(job.data, job.options),
        seed=job.options.seed,
        images=len(images.files) if images.splits is None else int((images.splits == "train").sum()),
        labels=images.tiles.labels if images.tiles else "",
        group_by=images.unit,
        leaks=images.leaks,
        splits={str(name): sorted(set(images.patients[sides == name].tolist())) for name in np.unique(sides)},
    )
