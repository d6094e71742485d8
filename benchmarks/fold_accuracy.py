"""Measure the accuracy cost of int8, and of JPEGs decoded at reduced scale, on held-out patients.

    python benchmarks/fold_accuracy.py data/breakhis/manifest.csv                             # the bundled recipe
    python benchmarks/fold_accuracy.py data/breakhis/manifest.csv --backbone densenet121 --weights FILE

Every fold has a model trained on the other folds as by `cancernet finetune`: a linear head on a frozen backbone. It is
quantised on images of the other folds, and `cancernet classify` scores the fold with it in fp32, in int8, and in fp32
with `--jpeg-scale auto`. With `--backbone`, images are resized to 224 x 224 without segmentation, as in the comparison
with TIAToolbox.

All metrics are out-of-fold; the difference of two AUROCs has an interval from a bootstrap over patients. Labels are
predicted at the threshold chosen from the fp32 probabilities of the other folds.
"""

from __future__ import annotations

import argparse
import csv
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import machine
import numpy as np
import pyarrow.parquet as pq
import torch

from cancernet_cli import classify
from cancernet_cli.classification import build_backbone, build_classifier
from cancernet_cli.classification.base import Backbone
from cancernet_cli.classification.pretrained import load_pretrained
from cancernet_cli.core.arrays import F64
from cancernet_cli.core.cards import Card, read_card
from cancernet_cli.core.events import silent
from cancernet_cli.core.models import find_model
from cancernet_cli.core.options import FinetuneOptions
from cancernet_cli.core.options.recipes import Recipe, recipe_of
from cancernet_cli.core.records import FoundFile
from cancernet_cli.engine.finetune.card import first_card
from cancernet_cli.engine.finetune.dataset.labelled_images import LabelledImages, list_images
from cancernet_cli.engine.finetune.figures import HeldOut, figures, held_out
from cancernet_cli.engine.finetune.frozen.features import image_features
from cancernet_cli.engine.finetune.frozen.head import HeadTrainer, Scorer, fill_head
from cancernet_cli.engine.finetune.model_folder import write_model
from cancernet_cli.inference.int8 import VIEWS, image_views, make_int8
from cancernet_cli.inference.runtime import resolve
from cancernet_cli.metrics.paired import compare_scores
from cancernet_cli.metrics.resampling import Resampling
from cancernet_cli.metrics.scores import Scores
from cancernet_cli.segmentation import segmenters

MAX_PIXELS = 100_000_000
SQUEEZED = {
    "head": "linear",
    "levels": "4",
    "segmenter": "none",
    "view": "resize",
    "stain_normalization": "none",
    "scale": 1.0,
}
SIDE_PX = 224
# Variants compared with the reference, as options of `classify`.
REFERENCE = "fp32"
VARIANTS: dict[str, dict[str, Any]] = {
    REFERENCE: {"precision": "fp32"},
    "int8": {"precision": "int8"},
    "jpeg_scale_auto": {"precision": "fp32", "jpeg_scale": "auto"},
}


@dataclass(frozen=True)
class Trained:
    """The images, and one fitted head per fold on the same frozen backbone."""

    images: LabelledImages
    backbone: Backbone
    card: Card
    models: dict[int, Scorer]


def train(data: list[str], options: FinetuneOptions, recipe: Recipe, scratch: Path) -> Trained:
    """Fit each fold's head on the other folds, as `engine.finetune.frozen.backbone` does."""
    images = list_images(data, options, silent)
    torch.manual_seed(options.seed)
    backbone = build_backbone(recipe.backbone, recipe.levels).eval()
    source = load_pretrained(backbone, recipe.backbone, options.weights)
    unet = find_model(options.segmentation_model) if options.segmenter == "unet" else None
    card = first_card("fold", recipe, images, source, options.segmenter, unet)
    found = image_features(
        images.files,
        backbone,
        segmenters[options.segmenter].factory(unet),
        card,
        options,
        resolve(options),
        silent,
        stage="features",
        folder=scratch / "features",
    )
    images = images.only(found.rows)
    trainer = HeadTrainer(found.values, images.labels, images.groups, len(images.classes), recipe, options.seed)
    return Trained(images, backbone, card, trainer.by_folds(images.folds).models)


def fold_model(trained: Trained, fold: int, options: FinetuneOptions, folder: Path) -> Path:
    """Write a fold's model folder, with its int8 network next to the weights."""
    classifier = build_classifier(trained.card.architecture)
    classifier.backbone.load_state_dict(trained.backbone.state_dict())
    fill_head(classifier.head, trained.models[fold])  # type: ignore[arg-type]  # every frozen head is linear
    card = write_model(classifier, replace(trained.card, name=folder.name), replace(options, out=folder))
    images = trained.images
    learned_from = [file for file, of in zip(images.files, images.folds, strict=True) if of != fold]
    sample = learned_from[:: max(1, len(learned_from) // VIEWS)]
    make_int8(folder, card, image_views(sample, card, MAX_PIXELS), into=folder)
    return folder


def probabilities(model: Path, files: list[FoundFile], scratch: Path, **options: Any) -> F64:
    """Probabilities of `cancernet classify` for these files, `[N, K]` in their order."""
    listing = scratch / "files.csv"
    with listing.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["path"], *([one.location.decode()] for one in files)])
    out = scratch / "predictions.parquet"
    result = classify(listing, out=out, model=str(model), labels="none", device="cpu", overwrite=True, **options)
    if result.failed:
        raise SystemExit(f"{result.failed} of {result.files} images could not be classified")
    table = pq.read_table(out)
    names = [f"prob_{name}" for name in read_card(model).architecture.classes]
    by_path = dict(zip(table["path"].to_pylist(), np.stack([table[n].to_numpy() for n in names], axis=1), strict=True))
    tails = {path.rsplit("/", 1)[-1]: row for path, row in by_path.items()}
    if len(tails) != len(files):
        raise SystemExit("two images have the same file name")
    return np.stack([tails[one.path.rsplit("/", 1)[-1]] for one in files]).astype(np.float64)


def scores_of(held: HeldOut, images: LabelledImages) -> Scores:
    """Held-out predictions with numbered patients, for a paired comparison."""
    return Scores.of(
        images.labels[held.rows],
        held.probs,
        classes=images.classes,
        predicted=held.predicted,
        patients=np.unique(images.patients[held.rows], return_inverse=True)[1],
    )


def against(variant: F64, reference: F64, images: LabelledImages) -> dict[str, Any]:
    """Metrics of a variant, and their difference from the reference's on the same images.

    Args:
        variant, reference: probabilities `[N, K]`, each row by the model of its fold.
    """
    ours, theirs = (held_out(_logits(one), images, basis=_logits(reference)) for one in (variant, reference))
    paired = compare_scores(scores_of(ours, images), scores_of(theirs, images), Resampling())
    apart = np.abs(variant - reference)
    return {
        "out_of_fold": figures(ours, images),
        "against_fp32": {
            "auroc": {key: paired["differences"]["auroc"][key] for key in ("value", "low", "high")},
            "accuracy": {key: paired["differences"]["accuracy"][key] for key in ("value", "low", "high")},
            "labels_changed": int((ours.predicted != theirs.predicted).sum()),
            "probability_largest_change": float(apart.max()),
            "probability_mean_change": float(apart.mean()),
        },
    }


def _logits(probs: F64) -> F64:
    return np.log(np.clip(probs, 1e-12, 1.0))


def main() -> None:
    """Train each fold, score it with every variant, and report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="+")
    parser.add_argument(
        "--backbone", help="backbone for whole images resized to 224 x 224; default: the bundled recipe"
    )
    parser.add_argument("--weights", default="imagenet", help="initial weights of the backbone, as for finetune")
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    asked: dict[str, Any] = {"weights": given.weights, "folds": given.folds, "device": "cpu"}
    if given.backbone:
        asked |= {"backbone": given.backbone, "view_width_px": SIDE_PX, "view_height_px": SIDE_PX, **SQUEEZED}
    options = FinetuneOptions(**asked)
    recipe = recipe_of(options)
    with tempfile.TemporaryDirectory() as temporary:
        scratch = Path(temporary)
        trained = train(given.data, options, recipe, scratch)
        images = trained.images
        probs = {name: np.zeros((len(images.files), len(images.classes))) for name in VARIANTS}
        for fold in trained.models:
            model = fold_model(trained, fold, options, scratch / f"fold_{fold}")
            rows = np.flatnonzero(images.folds == fold)
            for name, variant in VARIANTS.items():
                probs[name][rows] = probabilities(model, [images.files[row] for row in rows], scratch, **variant)
    found = {name: against(given_probs, probs[REFERENCE], images) for name, given_probs in probs.items()}
    result = machine.facts() | {
        "images": len(images.files),
        "patients": len(set(images.patients)),
        "folds": len(trained.models),
        "network": recipe.backbone,
        "started_from": trained.card.weights.started_from,
        "head": recipe.head,
        "view": f"{recipe.view} {recipe.view_width_px} x {recipe.view_height_px}",
        "segmenter": options.segmenter,
        **found,
    }
    machine.report(f"fold-accuracy-{given.backbone or 'bundled'}", result, given.out)


if __name__ == "__main__":
    main()
