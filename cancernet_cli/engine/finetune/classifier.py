"""`cancernet finetune`: a classifier from labelled images, judged on patients it has not seen."""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from cancernet_cli.classification import build_backbone
from cancernet_cli.classification.base import Backbone
from cancernet_cli.classification.pretrained import Pretrained, load_pretrained
from cancernet_cli.core.cards import Card, Training
from cancernet_cli.core.errors import OptionError
from cancernet_cli.core.events import Note, Reporter, Warn, silent
from cancernet_cli.core.models import find_model
from cancernet_cli.core.options import FinetuneOptions
from cancernet_cli.core.recipes import Recipe
from cancernet_cli.core.records import FinetuneResult
from cancernet_cli.data.discovery.inputs import resolve_base
from cancernet_cli.engine.finetune.card import first_card
from cancernet_cli.engine.finetune.checkpoints import file_facts, open_checkpoints
from cancernet_cli.engine.finetune.dataset.labelled_images import LabelledImages, list_images
from cancernet_cli.engine.finetune.dataset.learned import Learned
from cancernet_cli.engine.finetune.dataset.listing import lists_among
from cancernet_cli.engine.finetune.dataset.slides import SlideCutter
from cancernet_cli.engine.finetune.figures import figures, final_decision, held_out
from cancernet_cli.engine.finetune.frozen.backbone import learn_frozen
from cancernet_cli.engine.finetune.model_folder import (
    command_line,
    read_about,
    seed_everything,
    work_folder,
    write_model,
)
from cancernet_cli.engine.finetune.report import write_report
from cancernet_cli.engine.finetune.tuned import learn_tuned
from cancernet_cli.inference.runtime import resolve
from cancernet_cli.outputs.reports.tensorboard import check_board
from cancernet_cli.segmentation import segmenters
from cancernet_cli.training.distributed import Processes, join_processes


def train_classifier(
    data: Sequence[str], options: FinetuneOptions, recipe: Recipe, report: Reporter = silent
) -> FinetuneResult:
    """Train by the recipe and write model, held-out predictions, history and plots into `options.out`.

    With folds, every image is scored by a model that has not learned from its patient, and the weights that are written
    have learned from all patients. With a single split, they have learned from its training part. Temperature and
    threshold never come from the images whose figures stand on the card.
    """
    started = time.monotonic()
    read_about(options)
    check_board(options.tensorboard)
    # What can be wrong with the options is found before thousands of images are read.
    if options.unfreeze and options.also_segmenters:
        raise OptionError(
            "--also-segmenters measures a frozen backbone's features again; --unfreeze trains it",
            fix="leave one of the two away",
        )
    resolve(options)
    unet = _unet(options)
    backbone, source = _backbone(options, recipe)
    processes = join_processes()
    if processes.count > 1 and not options.unfreeze:
        raise OptionError(
            f"{processes.count} processes were started, but features of a frozen backbone are computed by one",
            fix="run it without torchrun, or train the backbone with --unfreeze",
        )
    report = report if processes.is_first else silent
    cutter = SlideCutter(options, recipe, lists_among(data, options), resolve_base(data), report, processes)
    images = list_images(data, options, report, cutter)
    seed_everything(options.seed)  # so that what follows does not depend on what reading drew
    if images.tiles is not None and images.tiles.are_all:
        recipe = replace(recipe, scale=1.0)  # a tile is a view already
    for leak in images.leaks:
        report(Warn(f"LEAKING SPLIT: {leak}"))
    card = first_card(options.out.resolve().name, recipe, images, source, options.segmenter, unet)
    report(Note(_outline(images)))
    if options.unfreeze:
        learned = _tuned(images, backbone, card, options, recipe, processes, report)
    else:
        learned = learn_frozen(images, backbone, card, options, recipe, work_folder(options), report)
    images = learned.images
    held = held_out(learned.logits, images)
    card = replace(
        card,
        decision=final_decision(learned.logits, images),
        metrics=_metrics(figures(held, images), learned.others, images),
        segmentation=replace(card.segmentation, allowed=(options.segmenter, *learned.others)),
        training=_training(data, images, options),
    )
    if processes.is_first:
        write_report(held, images, learned.history, card, options, report)
        card = write_model(learned.classifier, card, options)
        shutil.rmtree(work_folder(options), ignore_errors=True)
    processes.wait()
    return FinetuneResult(
        options.out,
        card.name,
        "classify",
        len(images.files),
        len(set(images.patients)),
        time.monotonic() - started,
        card.metrics,
    )


def _tuned(
    images: LabelledImages,
    backbone: Backbone,
    card: Card,
    options: FinetuneOptions,
    recipe: Recipe,
    processes: Processes,
    report: Reporter,
) -> Learned:
    runtime = resolve(options)
    model = _unet(options)
    segmenter = segmenters[options.segmenter].factory(model)
    checkpoints = open_checkpoints(options, recipe, map(file_facts, images.files), runtime, processes)
    return learn_tuned(images, backbone, segmenter, card, options, recipe, runtime, checkpoints, report)


def _backbone(options: FinetuneOptions, recipe: Recipe) -> tuple[Backbone, Pretrained]:
    seed_everything(options.seed)
    backbone = build_backbone(recipe.backbone, recipe.levels)
    return backbone.eval(), load_pretrained(backbone, recipe.backbone, options.weights)


def _unet(options: FinetuneOptions) -> Path | None:
    """The segmentation model, where one of the segmenters needs it."""
    also = (name.strip() for name in options.also_segmenters.split(","))
    used = [segmenters[name] for name in (options.segmenter, *filter(None, also))]
    needs_model = any(entry.facts.get("needs_model") for entry in used)
    return find_model(options.segmentation_model) if needs_model else None


def _outline(images: LabelledImages) -> str:
    about = f"{len(images.files)} images of {len(set(images.patients))} patients"
    if images.splits is None:
        return f"{about}, {len(np.unique(images.folds))} folds"
    counts = {name: int((images.splits == name).sum()) for name in ("train", "val", "test")}
    return f"{about}: {counts['train']} to learn from, {counts['val']} to validate, {counts['test']} to test"


def _metrics(found: dict[str, Any], others: dict[str, Any], images: LabelledImages) -> dict[str, Any]:
    name = "out_of_fold" if images.splits is None else "test"
    metrics: dict[str, Any] = {name: found}
    if others:
        metrics["other_segmenters"] = others
    return metrics


def _training(data: Sequence[str], images: LabelledImages, options: FinetuneOptions) -> Training:
    sides = images.splits
    if sides is None:
        sides = np.array([f"fold_{fold}" for fold in images.folds])
    return Training(
        data=", ".join(Path(name).name for name in data),
        command=command_line(data, options),
        seed=options.seed,
        images=len(images.files) if images.splits is None else int((images.splits == "train").sum()),
        labels=images.tiles.labels if images.tiles else "",
        group_by=_unit(images),
        leaks=images.leaks,
        splits={str(name): sorted(set(images.patients[sides == name].tolist())) for name in np.unique(sides)},
    )


def _unit(images: LabelledImages) -> str:
    """What the split keeps whole."""
    if images.tiles is not None and images.tiles.are_all and images.tiles.group_by:
        return images.tiles.group_by
    return "image" if images.unknown_patients.all() else "patient"
