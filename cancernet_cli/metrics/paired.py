"""Two classifiers on the same images: which is better, and whether that may be chance."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import binomtest

from cancernet_cli.metrics.classification import auroc, figure
from cancernet_cli.metrics.groups import interval_entries, shares_right
from cancernet_cli.metrics.intervals import FIGURES, Resampling, paired_bootstrap
from cancernet_cli.metrics.scores import Scores


def compare(this: Scores, other: Scores, resampling: Resampling) -> dict[str, Any]:
    """Differences of AUROC, accuracy and recognition rate, each with an interval over patients; and McNemar's test.

    Args:
        this, other: on the same images in the same order: labels, patients and classes are those of `this`. One entry
            an image.

    Returns:
        `differences` with `auroc`, `accuracy` and `recognition_rate`: `this` and `other` (their values), `value` (this
        minus other), `low`, `high`, `verdict` ("this", "other", or "unclear" when the interval holds 0, or "unknown").
    """
    drawn = paired_bootstrap(
        this.labels,
        (this.probs, this.right),
        (other.probs, other.right),
        this.patients,
        figures=FIGURES,
        resamples=resampling.resamples,
        seed=resampling.seed,
    )
    values = [_values(scores) for scores in (this, other)]
    differences = {}
    for name in FIGURES:
        one, two = (found[name] for found in values)
        known = one["value"] is not None and two["value"] is not None
        difference = figure(one["value"] - two["value"] if known else None, one["count"], one.get("reason", ""))
        entry = {"this": one["value"], "other": two["value"], **difference, **interval_entries(drawn[name])}
        differences[name] = {**entry, "verdict": _verdict(entry)}
    return {
        "images": this.n_images,
        "patients": len(np.unique(this.patients[this.patients >= 0])),
        "differences": differences,
        "mcnemar": mcnemar(this.right, other.right),
    }


def mcnemar(this_right: ArrayLike, other_right: ArrayLike) -> dict[str, Any]:
    """McNemar's exact test: whether the images that only one of two gets right are shared out as a coin would.

    McNemar, Psychometrika 12:153, 1947, in its exact form: a two-sided binomial test of the discordant images. It takes
    the images as independent, which several images of one patient are not: the p-value is too small then.

    Args:
        this_right, other_right: `[N]` bool, on the same images.
    """
    a, b = np.asarray(this_right).astype(bool), np.asarray(other_right).astype(bool)
    only_this, only_other = int((a & ~b).sum()), int((~a & b).sum())
    discordant = only_this + only_other
    return {
        "both_right": int((a & b).sum()),
        "only_this_right": only_this,
        "only_other_right": only_other,
        "both_wrong": int((~a & ~b).sum()),
        "p_value": float(binomtest(only_this, discordant, 0.5).pvalue) if discordant else 1.0,
    }


def _values(scores: Scores) -> dict[str, Any]:
    n, shares = scores.n_images, shares_right(scores)
    rate = float(shares.mean()) if len(shares) else None
    return {
        "auroc": auroc(scores),
        "accuracy": figure(float(scores.right.mean()) if n else None, n),
        "recognition_rate": figure(rate, len(shares), "the patients of the images are unknown"),
    }


def _verdict(entry: dict[str, Any]) -> str:
    if entry["value"] is None or entry["low"] is None:
        return "unknown"
    return "this" if entry["low"] > 0 else "other" if entry["high"] < 0 else "unclear"
