"""Measure how well novelty separates images of unseen cases from images that the model should not be asked about.

    CANCERNET_SLIDE=cmu_small_region.svs python benchmarks/out_of_domain.py data/breakhis/manifest.csv
    python benchmarks/out_of_domain.py data/idc/manifest.csv --classes non_idc,idc --segmenter none --slide-scale 0.125

Features come from the default recipe's frozen network, as in `cancernet finetune`. In each of several divisions into
folds by case, novelty is fitted and its limit chosen without a fold, as `finetune` does for a model. Then the fold's
images are compared with skin (the slide), glass, noise, scikit-image's photographs, and the fold's own images in the
colors of immunohistochemistry and at a quarter and at four times their magnification. Every case has the same weight.

`auroc` by kind and `macro` (the mean over kinds), `flagged` of each kind, and of the unseen images and cases (a case is
flagged if most of its images are): means over the divisions, with the lowest and highest.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections import Counter, defaultdict
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import machine
import numpy as np
import torch
from foreign_images import derived, without_parents
from sklearn.metrics import roc_auc_score

from cancernet_cli.classification import build_backbone
from cancernet_cli.classification.pretrained import load_pretrained
from cancernet_cli.core.arrays import F64, I64, Pixels
from cancernet_cli.core.events import silent
from cancernet_cli.core.models import find_model
from cancernet_cli.core.options import FinetuneOptions
from cancernet_cli.core.options.recipes import recipe_of
from cancernet_cli.core.records import FoundFile
from cancernet_cli.data.readers import read_image
from cancernet_cli.engine.finetune.card import first_card
from cancernet_cli.engine.finetune.dataset.labelled_images import (
    LabelledImages,
    UnsplitImages,
    list_unsplit,
    split_images,
)
from cancernet_cli.engine.finetune.dataset.listing import open_source
from cancernet_cli.engine.finetune.domain import SHARE, ViewFeatures, fit_on, unseen_novelty
from cancernet_cli.engine.finetune.frozen.features import image_features
from cancernet_cli.inference.runtime import resolve
from cancernet_cli.segmentation import segmenters
from cancernet_cli.training.novelty import case_weights, novelty_limit

MAX_PIXELS = 100_000_000
UNSEEN = "unseen images"


@dataclass(frozen=True)
class Foreign:
    """M images unlike the training images: kinds and parents (row of the image they were made from, or -1), `[M]`."""

    files: list[FoundFile]
    kinds: np.ndarray
    parents: I64


def thinned(images: UnsplitImages, per_case: int) -> UnsplitImages:
    """At most `per_case` images of each patient and magnification, evenly spaced."""
    groups = defaultdict(list)
    for row, key in enumerate(
        zip(images.patients.tolist(), np.nan_to_num(images.magnifications).tolist(), strict=True)
    ):
        groups[key].append(row)
    spaced = [
        rows[i]
        for rows in groups.values()
        for i in np.unique(np.linspace(0, len(rows) - 1, per_case).round().astype(int))
    ]
    chosen = np.array(sorted(spaced))
    arrays: dict[str, Any] = {k: v[chosen] for k, v in vars(images).items() if isinstance(v, np.ndarray)}
    return replace(images, files=[images.files[row] for row in chosen], **arrays)


def foreign(images: LabelledImages, slide: Path | None, factors: list[float], folder: Path) -> Foreign:
    """Write every kind of image to the folder; images are derived from one of each case and magnification."""
    rng = np.random.default_rng(0)
    height, width = read_image(images.files[0].location, max_pixels=MAX_PIXELS).shape[:2]
    found: list[tuple[str, int, Pixels]] = [
        (kind, -1, image) for kind, image in without_parents(height, width, slide, factors)
    ]
    keys = [f"{case} {magnification}" for case, magnification in zip(images.groups, images.magnifications, strict=True)]
    for row in np.unique(keys, return_index=True)[1].tolist():
        image = read_image(images.files[row].location, max_pixels=MAX_PIXELS)
        found += [(kind, row, one) for kind, one in derived(image, rng)]
    files = []
    for i, (_, _, image) in enumerate(found):
        path = folder / f"{i:05d}.png"
        cv2.imwrite(str(path), cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
        files.append(FoundFile(path.name, os.fsencode(path), path.stat().st_size, path.stat().st_mtime_ns))
    return Foreign(files, np.array([kind for kind, _, _ in found]), np.array([row for _, row, _ in found]))


def one_division(
    features: ViewFeatures, other: ViewFeatures, images: LabelledImages, unlike: Foreign
) -> dict[str, float]:
    """The figures of one division into folds."""
    scores: dict[str, list[F64]] = defaultdict(list)
    cases = []
    for fold in np.unique(images.folds):
        test, train = np.flatnonzero(images.folds == fold), np.flatnonzero(images.folds != fold)
        within = unseen_novelty(features[train], images.only(train))
        limit = novelty_limit(within, images.groups[train], SHARE)
        model = fit_on(features, train, images.groups).limited(limit)
        scores[UNSEEN].append(model.novelty(features[test]))
        cases.append(images.groups[test])
        for kind in np.unique(unlike.kinds):
            rows = (unlike.kinds == kind) & ((unlike.parents < 0) | np.isin(unlike.parents, test))
            scores[kind].append(model.novelty(other[rows]))
    joined = {kind: np.concatenate(found) for kind, found in scores.items()}
    unseen, names = joined.pop(UNSEEN), np.concatenate(cases)
    weights = case_weights(names)
    figures = {}
    for kind, novelty in joined.items():
        truth = np.repeat([0, 1], [len(unseen), len(novelty)])
        equal = np.concatenate([weights, np.full(len(novelty), 1 / len(novelty))])
        figures[f"auroc, {kind}"] = roc_auc_score(truth, np.concatenate([unseen, novelty]), sample_weight=equal)
        figures[f"flagged, {kind}"] = (novelty > 1).mean()
    figures["auroc, macro"] = np.mean([value for name, value in figures.items() if name.startswith("auroc")])
    figures["flagged, unseen images"] = weights @ (unseen > 1)
    figures["flagged, unseen cases"] = np.mean([np.median(unseen[names == case]) > 1 for case in np.unique(names)])
    return {name: float(value) for name, value in figures.items()}


def measured(given: argparse.Namespace, scratch: Path) -> dict[str, Any]:
    """All divisions, from features computed once."""
    options = FinetuneOptions(
        classes=given.classes, segmenter=given.segmenter, resplit=True, device="cpu", folds=given.folds
    )
    recipe = recipe_of(options)
    unsplit = thinned(list_unsplit(open_source(given.data, options), options, silent), given.per_case)
    torch.manual_seed(0)
    backbone = build_backbone(recipe.backbone, recipe.levels).eval()
    source = load_pretrained(backbone, recipe.backbone, options.weights)
    unet = find_model(options.segmentation_model) if options.segmenter == "unet" else None
    card = first_card("fold", recipe, unsplit, source, options.segmenter, unet)
    runtime = resolve(options)

    def features(files: list[FoundFile], name: str, *, prints: bool) -> Any:
        network = segmenters[options.segmenter].factory(unet)
        return image_features(
            files, backbone, network, card, options, runtime, silent,
            stage=name, folder=scratch / name, with_fingerprints=prints,
        )  # fmt: skip

    found = features(unsplit.files, "features", prints=True)
    divisions = [
        split_images(unsplit, found.fingerprints, replace(options, seed=seed), silent).only(found.rows)
        for seed in range(given.divisions)
    ]
    folder = scratch / "images"
    folder.mkdir()
    unlike = foreign(divisions[0], given.slide, given.slide_scale, folder)
    other = features(unlike.files, "foreign", prints=False)
    figures = [one_division(found.domain, other.domain, images, unlike) for images in divisions]
    return {
        "images": len(found.rows),
        "cases": len(np.unique(divisions[0].groups)),
        "kinds": dict(Counter(unlike.kinds.tolist())),
        "divisions": given.divisions,
        "folds": given.folds,
        "network": recipe.backbone,
        "levels": list(recipe.levels),
        "features": found.domain.shape[2],
        "figures": {
            name: {
                "value": round(float(np.mean([one[name] for one in figures])), 4),
                "low": round(min(one[name] for one in figures), 4),
                "high": round(max(one[name] for one in figures), 4),
            }
            for name in figures[0]
        },
    }


def main() -> None:
    """Measure one data set."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="+")
    parser.add_argument("--classes", default=FinetuneOptions().classes)
    parser.add_argument("--segmenter", default=FinetuneOptions().segmenter)
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--divisions", type=int, default=5)
    parser.add_argument("--per-case", type=int, default=6, help="images of each patient and magnification")
    parser.add_argument("--slide", type=Path, default=os.environ.get("CANCERNET_SLIDE"), help="a slide of skin")
    parser.add_argument("--slide-scale", type=float, nargs="+", default=[0.5, 1.0, 2.0])
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    given.slide = Path(given.slide) if given.slide else None
    with tempfile.TemporaryDirectory() as scratch:
        result = machine.facts() | measured(given, Path(scratch))
    machine.report(f"out-of-domain-{Path(given.data[0]).resolve().parent.name}", result, given.out)


if __name__ == "__main__":
    main()
