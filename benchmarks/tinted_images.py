"""Measure how much a classifier's AUROC on unseen cases depends on the tint of the slides.

    python benchmarks/tinted_images.py data/breakhis/manifest.csv
    python benchmarks/tinted_images.py data/breakhis/manifest.csv --options 'head = "level_stats", levels = "3,4"'

Heads are fitted on the original images, as in `cancernet finetune`, in several divisions into folds by case. Each is
tested on the fold it was not fitted on: the original images, and the same images in other tints. `gray` images have no
color at all; `trained on gray` are heads that were fitted on such images too. Every case has the same weight.

`auroc` by tint, and `change` from the original images: means over the divisions, with the lowest and highest.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import machine
import numpy as np
from nested_choice import features_of

from cancernet_cli.core.arrays import F64, I64, Pixels
from cancernet_cli.core.events import silent
from cancernet_cli.core.options import FinetuneOptions
from cancernet_cli.core.options.recipes import recipe_of
from cancernet_cli.core.pixels import STAINS, UNMIX
from cancernet_cli.data.readers import read_image
from cancernet_cli.data.splits.repeats import repeated_folds
from cancernet_cli.engine.finetune.dataset.labelled_images import Division, LabelledImages, list_images
from cancernet_cli.engine.finetune.figures import division_figures, held_out_by_division
from cancernet_cli.engine.finetune.frozen.head import HeadTrainer, Values
from cancernet_cli.training.stain_variation import restained

MAX_PIXELS = 100_000_000
FIGURE = "case_weighted_auroc"
NOBODY = np.zeros(0, np.int64)


def stained(hematoxylin: float, eosin: float) -> Callable[[Pixels], Pixels]:
    """A tint that multiplies the amounts of both stains."""
    change = np.asarray(UNMIX @ np.diag([hematoxylin, eosin, 1.0]) @ STAINS)
    return lambda image: restained(image, change)


def lit(red: float, green: float, blue: float) -> Callable[[Pixels], Pixels]:
    """A tint that multiplies the light of each channel, as another white balance does."""
    return lambda image: np.asarray(np.clip(image * np.array([red, green, blue]), 0, 255).round(), np.uint8)


def gray(image: Pixels) -> Pixels:
    """The image without color."""
    return np.asarray(cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB), np.uint8)


TINTS: dict[str, Callable[[Pixels], Pixels]] = {
    "blue: hematoxylin x 1.4, eosin x 0.7": stained(1.4, 0.7),
    "pink: hematoxylin x 0.7, eosin x 1.4": stained(0.7, 1.4),
    "faded: both stains x 0.6": stained(0.6, 0.6),
    "yellow light: blue x 0.85": lit(1.0, 0.97, 0.85),
    "gray": gray,
}


def in_tint(images: LabelledImages, tint: Callable[[Pixels], Pixels], folder: Path) -> LabelledImages:
    """The images in another tint, as PNG files."""
    folder.mkdir()
    files = []
    for i, file in enumerate(images.files):
        path = folder / f"{i:06d}.png"
        pixels = tint(read_image(file.location, max_pixels=MAX_PIXELS))
        cv2.imwrite(str(path), cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_PNG_COMPRESSION, 1])
        facts = path.stat()
        files.append(replace(file, location=os.fsencode(path), size_bytes=facts.st_size, mtime_ns=facts.st_mtime_ns))
    return replace(images, files=files)


def out_of_fold(
    fitted_on: Values, tested_on: Sequence[Values], images: LabelledImages, folds: I64, options: FinetuneOptions
) -> list[F64]:
    """Logits of each set of test images, `[N, K]`, by heads fitted on `fitted_on` in the other folds."""
    trainer = HeadTrainer(
        fitted_on, images.labels, images.groups, len(images.classes), recipe_of(options), options.seed
    )
    found = [np.zeros((len(images.labels), len(images.classes))) for _ in tested_on]
    for fold in np.unique(folds).tolist():
        test = np.flatnonzero(folds == fold)
        model, _ = trainer.fit(np.flatnonzero(folds != fold), NOBODY, split=f"fold_{fold}")
        for logits, values in zip(found, tested_on, strict=True):
            logits[test] = model.logits(values[test, 0])
    return found


def measured(given: argparse.Namespace, scratch: Path) -> dict[str, Any]:
    """AUROC by tint in each division, from features computed once for each tint."""
    options = FinetuneOptions(
        folds=given.folds,
        classes=given.classes,
        seed=given.seed,
        **tomllib.loads(f"given = {{{given.options}}}")["given"],
    )
    images = list_images(given.data, options, silent)
    original = features_of("original", options, images, scratch / "original")
    if len(original.rows) != len(images.files):
        raise SystemExit(f"{len(images.files) - len(original.rows)} images cannot be read; leave them out")
    plain = replace(options, variants=0)
    names = list(TINTS)
    values = []
    for i, name in enumerate(names):
        variants = options if TINTS[name] is gray else plain
        tinted = in_tint(images, TINTS[name], scratch / f"images_{i}")
        values.append(features_of(name, variants, tinted, scratch / f"features_{i}").values)
    folds = repeated_folds(images.labels, images.groups, images.folds, given.divisions, given.seed)
    of_each: dict[str, list[Division]] = {name: [] for name in ("original", *names, "trained on gray")}
    for one in folds:
        found = out_of_fold(original.values, [original.values, *values], images, one, options)
        without = values[names.index("gray")]
        found += out_of_fold(without, [without], images, one, options)
        for name, logits in zip(of_each, found, strict=True):
            of_each[name].append(Division(one, logits))
    auroc = {name: _aurocs(divisions, images) for name, divisions in of_each.items()}
    return {
        "images": len(images.files),
        "patients": len(np.unique(images.patients)),
        "options": given.options,
        "divisions": given.divisions,
        "folds": given.folds,
        "auroc": {name: _spread(found) for name, found in auroc.items()},
        "change": {name: _spread(found - auroc["original"]) for name, found in auroc.items() if name != "original"},
    }


def _aurocs(divisions: list[Division], images: LabelledImages) -> F64:
    held = held_out_by_division(divisions, images)
    alone = [division_figures([one], images)["images"][FIGURE].value for one in held]
    return np.array(alone, np.float64)


def _spread(values: F64) -> dict[str, float]:
    found = {"value": values.mean(), "low": values.min(), "high": values.max()}
    return {name: round(float(value), 4) for name, value in found.items()}


def main() -> None:
    """Measure one data set."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="+")
    parser.add_argument(
        "--options", default="", help="options of `cancernet finetune` for the recipe, as in TOML's braces"
    )
    parser.add_argument("--classes", default="")
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--divisions", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        result = machine.facts() | measured(given, Path(scratch))
    machine.report("tinted-images", result, given.out)


if __name__ == "__main__":
    main()
