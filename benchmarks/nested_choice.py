"""Measure what choosing among recipes is worth on patients that the choice never saw: nested cross-validation.

    python benchmarks/nested_choice.py data/breakhis/manifest.csv --recipes recipes.toml
    python benchmarks/nested_choice.py data/breakhis/manifest.csv --recipe 'modern = {}' \\
        --recipe 'deep = {head = "level_stats", levels = "3,4", scale = 1.0}'

A recipe is a name and options of `cancernet finetune` (heads on a frozen backbone); in a TOML file a table each. For
each outer fold the recipe is chosen on the other folds alone, by repeated inner folds, refitted on them with
temperature and threshold from the inner predictions, and scored on the outer fold. `nested` has the figures of these
predictions; `own` those of each recipe, evaluated by repeated folds on all patients. The best of `own` is optimistic
as an estimate for the recipe that was chosen by it.
"""

from __future__ import annotations

import argparse
import tempfile
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import machine
import numpy as np
import torch

from cancernet_cli.classification import build_backbone
from cancernet_cli.classification.pretrained import load_pretrained
from cancernet_cli.core.arrays import F64, I64
from cancernet_cli.core.events import silent
from cancernet_cli.core.models import find_model
from cancernet_cli.core.options import FinetuneOptions
from cancernet_cli.core.options.recipes import Recipe, recipe_of
from cancernet_cli.data.splits.repeats import repeated_folds
from cancernet_cli.engine.finetune.card import first_card
from cancernet_cli.engine.finetune.dataset.labelled_images import Division, LabelledImages, list_images
from cancernet_cli.engine.finetune.figures import (
    HeldOut,
    division_figures,
    divisions_on_card,
    figures,
    final_decision,
    held_out_by_division,
)
from cancernet_cli.engine.finetune.frozen.feature_store import Features
from cancernet_cli.engine.finetune.frozen.features import image_features
from cancernet_cli.engine.finetune.frozen.head import HeadTrainer, Values
from cancernet_cli.inference.runtime import resolve
from cancernet_cli.metrics.scores import softmax
from cancernet_cli.segmentation import segmenters

FIGURES = ("case_weighted_auroc", "auroc", "case_weighted_balanced_accuracy")  # the higher, the better


@dataclass(frozen=True)
class Candidate:
    """A recipe with the features of N images, `[N, A, F]`."""

    name: str
    options: FinetuneOptions
    recipe: Recipe
    values: Values

    def divisions(self, images: LabelledImages, rows: I64, folds: Sequence[I64]) -> list[Division]:
        """Out-of-fold predictions of the images in `rows`, for several divisions of these rows."""
        found = self.trainer(images, rows).by_divisions(folds)
        return [Division(one, of_one.logits) for one, of_one in zip(folds, found, strict=True)]

    def trainer(self, images: LabelledImages, rows: I64) -> HeadTrainer:
        """Fits heads on the images in `rows`."""
        labels, groups = images.labels[rows], images.groups[rows]
        return HeadTrainer(self.values[rows], labels, groups, len(images.classes), self.recipe, self.options.seed)


@dataclass(frozen=True)
class Protocol:
    """How recipes are chosen: the figure, and repeated divisions of the training patients into inner folds."""

    figure: str
    repeats: int
    inner_folds: int
    seed: int


def settings_of(arguments: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """Options by recipe name, from `--recipes` and `--recipe`."""
    found: dict[str, dict[str, Any]] = {}
    texts = [arguments.recipes.read_text("utf-8")] if arguments.recipes else []
    for text in [*texts, *arguments.recipe]:
        found |= tomllib.loads(text)
    known = {field.name for field in fields(FinetuneOptions)}
    for name, given in found.items():
        if not isinstance(given, dict) or not set(given) <= known - {"unfreeze", "repeats"}:
            raise SystemExit(f"recipe {name!r} has an entry that is not an option of a head on a frozen backbone")
    if len(found) < 2:
        raise SystemExit("name at least two recipes with --recipes or --recipe")
    return found


def features_of(name: str, options: FinetuneOptions, images: LabelledImages, folder: Path) -> Features:
    """The features of all images, kept in `folder`."""
    recipe = recipe_of(options)
    torch.manual_seed(options.seed)
    backbone = build_backbone(recipe.backbone, recipe.levels).eval()
    source = load_pretrained(backbone, recipe.backbone, options.weights)
    unet = find_model(options.segmentation_model) if segmenters[options.segmenter].facts.get("needs_model") else None
    return image_features(
        images.files,
        backbone,
        segmenters[options.segmenter].factory(unet),
        first_card(name, recipe, images, source, options.segmenter, unet),
        options,
        resolve(options),
        silent,
        stage=f"features, {name}",
        folder=folder,
        variants=options.variants,
    )


def candidates(
    images: LabelledImages, settings: dict[str, dict[str, Any]], base: dict[str, Any], cache: Path
) -> tuple[LabelledImages, list[Candidate]]:
    """Each recipe with its features, on the images that all of them could read."""
    options = {name: FinetuneOptions(**(base | given)) for name, given in settings.items()}
    found = {name: features_of(name, one, images, cache / name) for name, one in options.items()}
    rows = sorted(set.intersection(*(set(features.rows.tolist()) for features in found.values())))
    kept = {name: features.values[np.isin(features.rows, rows)] for name, features in found.items()}
    return images.only(rows), [Candidate(name, one, recipe_of(one), kept[name]) for name, one in options.items()]


def inner_divisions(images: LabelledImages, rows: I64, protocol: Protocol) -> list[I64]:
    """Drawn divisions of the patients in `rows`, with no more folds than the smallest class has patients."""
    labels, groups = images.labels[rows], images.groups[rows]
    fewest = min(len(np.unique(groups[labels == k])) for k in np.unique(labels))
    folds = np.arange(len(rows)) % max(2, min(protocol.inner_folds, fewest))
    return repeated_folds(labels, groups, folds, protocol.repeats + 1, protocol.seed)[1:]


def value_of(divisions: Sequence[Division], images: LabelledImages, figure: str) -> float:
    """The mean of a figure over divisions."""
    value = division_figures(held_out_by_division(divisions, images), images)["images"][figure].value
    return -np.inf if value is None else float(value)


def nested(
    images: LabelledImages, recipes: list[Candidate], protocol: Protocol
) -> tuple[HeldOut, list[dict[str, Any]]]:
    """Predictions on every outer fold by the recipe chosen without it, and what was chosen."""
    n, two = len(images.labels), len(images.classes) == 2
    probs, predicted, thresholds = np.zeros((n, len(images.classes))), np.zeros(n, np.int64), np.full(n, np.nan)
    choices = []
    for fold in np.unique(images.folds).tolist():
        train, test = np.flatnonzero(images.folds != fold), np.flatnonzero(images.folds == fold)
        seen, folds = images.only(train), inner_divisions(images, train, protocol)
        inner = {one.name: one.divisions(images, train, folds) for one in recipes}
        values = {name: value_of(divisions, seen, protocol.figure) for name, divisions in inner.items()}
        best = max(recipes, key=lambda one: values[one.name])  # of equals the first one
        logits: F64 = np.stack([division.logits for division in inner[best.name]])
        decision = final_decision(logits, seen)
        model, _ = best.trainer(images, train).fit(np.arange(len(train)), np.zeros(0, np.int64), split="refit")
        probs[test] = softmax(model.logits(best.values[test, 0]) / decision.temperature)
        predicted[test] = probs[test, 1] >= decision.threshold if two else probs[test].argmax(axis=1)
        thresholds[test] = decision.threshold if two else np.nan
        rounded = {name: round(value, 4) for name, value in values.items()}
        choices.append({"fold": fold, "chosen": best.name, f"inner_{protocol.figure}": rounded})
    return HeldOut(np.arange(n), probs, predicted, thresholds, np.zeros(n, bool)), choices


def main() -> None:
    """Print the choices, their figures on the outer folds, and each recipe's own figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="+")
    parser.add_argument("--recipes", type=Path, help="TOML file with a table of options for each recipe")
    parser.add_argument("--recipe", action="append", default=[], help="one recipe, as a line of TOML")
    parser.add_argument("--figure", choices=FIGURES, default=FIGURES[0], help="what recipes are chosen by")
    parser.add_argument("--folds", type=int, default=5, help="outer folds, unless the data have a column fold")
    parser.add_argument("--inner-folds", type=int, default=4)
    parser.add_argument("--repeats", type=int, default=5, help="divisions into folds, inner ones and for `own`")
    parser.add_argument("--classes", default="")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--cache", type=Path, help="folder that keeps the features for the next run")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    settings = settings_of(arguments)
    base = {name: getattr(arguments, name) for name in ("folds", "classes", "seed")}
    protocol = Protocol(arguments.figure, arguments.repeats, arguments.inner_folds, arguments.seed)
    images = list_images(arguments.data, FinetuneOptions(**base), silent)
    if images.splits is not None:
        raise SystemExit("nested choice needs folds, not a single split")
    with tempfile.TemporaryDirectory() as scratch:
        images, recipes = candidates(images, settings, base, arguments.cache or Path(scratch))
        held, choices = nested(images, recipes, protocol)
        everything = np.arange(len(images.labels))
        folds = repeated_folds(images.labels, images.groups, images.folds, protocol.repeats, protocol.seed)
        own = {
            one.name: divisions_on_card(
                division_figures(held_out_by_division(one.divisions(images, everything, folds), images), images)
            )
            for one in recipes
        }
    found = figures(held, images)
    best = max(own.values(), key=lambda one: one["images"][protocol.figure]["value"])["images"][protocol.figure]
    machine.report(
        "nested-choice",
        machine.facts()
        | {
            "images": len(images.files),
            "patients": len(np.unique(images.patients)),
            "chosen_by": vars(protocol),
            "choices": choices,
            "nested": found,
            "optimism_of_best": round(best["value"] - found["images"][protocol.figure]["value"], 4),
            "own": own,
        },
        arguments.out,
    )


if __name__ == "__main__":
    main()
