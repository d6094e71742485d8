"""What the training images look like to the network: fitted on them, its limit chosen on images of unseen cases."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from cancernet_cli.classification import Classifier
from cancernet_cli.classification.domain import Novelty
from cancernet_cli.core.arrays import F64, I64, Strings
from cancernet_cli.core.cards import Domain
from cancernet_cli.engine.finetune.dataset.labelled_images import LabelledImages
from cancernet_cli.training.novelty import NoveltyModel, case_weights, fit_novelty, novelty_limit

VIEWS = 4  # of an image; more say little new about what the images look like
MOST_IMAGES = 20_000  # fitted on, evenly spaced
SHARE = 0.05  # of the images of unseen cases that may be called out of domain

ViewFeatures = NDArray[np.floating]


def chosen_views(features: ViewFeatures) -> ViewFeatures:
    """`[VIEWS, D]` of the `[V, D]` features of an image's views: evenly spaced, repeated if there are fewer."""
    return features[np.linspace(0, len(features) - 1, VIEWS).round().astype(np.int64)]


def fit_on(features: ViewFeatures, rows: I64, cases: Strings) -> NoveltyModel:
    """Fit on some of the images.

    Args:
        features: `[N, VIEWS, D]`. rows: of the images to fit on. cases: `[N]` names.
    """
    rows = some_rows(rows)
    return fit_novelty(features[rows], cases[rows])


def some_rows(rows: I64) -> I64:
    """At most `MOST_IMAGES` of the rows, evenly spaced."""
    if len(rows) <= MOST_IMAGES:
        return rows
    return rows[np.linspace(0, len(rows) - 1, MOST_IMAGES).round().astype(np.int64)]


def unseen_novelty(features: ViewFeatures, images: LabelledImages) -> F64:
    """Novelty `[N]` of each image by a fit without its case; NaN for images that only train."""
    found = np.full(len(images.files), np.nan)
    for unseen, train in unseen_parts(images):
        found[unseen] = fit_on(features, train, images.groups).novelty(features[unseen])
    return found


def unseen_parts(images: LabelledImages) -> list[tuple[I64, I64]]:
    """Rows that are not trained on, and those that are: of each fold, or of the single split."""
    if images.splits is not None:
        train = images.splits == "train"
        return [(np.flatnonzero(~train), np.flatnonzero(train))]
    folds = np.unique(images.folds[images.folds >= 0])
    return [(np.flatnonzero(images.folds == fold), np.flatnonzero(images.folds != fold)) for fold in folds]


def add_domain(classifier: Classifier, model: NoveltyModel, unseen: F64, images: LabelledImages) -> Domain:
    """Give the classifier its novelty, 1 at the limit; returns the card's section.

    Args:
        model: fitted on all training images. unseen: from `unseen_novelty`; the validation images of a single split
            choose the limit, not its test images.
    """
    chosen = np.isfinite(unseen)
    on = f"images of the held-out part of {len(unseen_parts(images))} folds"
    if images.splits is not None:
        chosen &= images.splits == "val"
        on = "the validation images"
    if not chosen.any():
        return Domain()
    novelty, cases = unseen[chosen], images.groups[chosen]
    limit = novelty_limit(novelty, cases, SHARE)
    fill_novelty(classifier, model.limited(limit))
    return Domain(
        rank=len(model.gains),
        share=round(max(SHARE, 1 / (len(np.unique(cases)) + 1)), 4),
        flagged=round(float(case_weights(cases) @ (novelty > limit)), 4),
        cases=len(np.unique(cases)),
        chosen_on=on,
    )


def fill_novelty(classifier: Classifier, model: NoveltyModel) -> None:
    """Load a fitted model into a classifier."""
    classifier.domain = Novelty(*model.axes.shape)
    state = {name: getattr(model, name) for name in ("center", "spread", "axes", "gains")}
    state["floor"] = np.array([model.floor])
    classifier.domain.load_state_dict(
        {name: torch.from_numpy(value.astype(np.float32)) for name, value in state.items()}
    )
