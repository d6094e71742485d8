"""Two classifiers on the same images: which is better, and whether the difference may be due to chance."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import binomtest

from cancernet_cli.core.figures import Figure, figures_in
from cancernet_cli.metrics.intervals import paired_bootstrap
from cancernet_cli.metrics.measure import measure
from cancernet_cli.metrics.resampling import Resampling
from cancernet_cli.metrics.scores import Scores


def compare_scores(this: Scores, other: Scores, resampling: Resampling) -> dict[str, Any]:
    """Differences of figures, each with an interval over patients, and McNemar's test.

    Args:
        this, other: of the same images in the same order; labels, patients and classes are those of `this`. One entry
            per image.

    Returns:
        `differences`, by figure: `this`, `other`, `Figure.to_json` of this minus other, and a `verdict`; `mcnemar`;
        and the numbers of `images` and `patients`.
    """
    specs = figures_in("differences")
    drawn = paired_bootstrap(specs, this, other, resampling)
    differences = {}
    for spec in specs:
        one, two = (measure(spec, scores) for scores in (this, other))
        known = one.value is not None and two.value is not None
        value = one.value - two.value if known else None  # type: ignore[operator]
        figure = replace(Figure.of(value, one.count, one.reason), interval=drawn[spec.name])
        values = {"this": one.value, "other": two.value}
        differences[spec.name] = {**values, **figure.to_json(), "verdict": _verdict(figure)}
    return {
        "images": this.n_images,
        "patients": len(np.unique(this.patients[this.patients >= 0])),
        "differences": differences,
        "mcnemar": mcnemar(this.right, other.right),
    }


def _verdict(difference: Figure) -> str:
    """`this` or `other` is better, `unclear` if the interval contains 0, or `unknown` without an interval."""
    if difference.value is None or difference.bounds is None:
        return "unknown"
    low, high = difference.bounds
    return "this" if low > 0 else "other" if high < 0 else "unclear"


def mcnemar(this_right: ArrayLike, other_right: ArrayLike) -> dict[str, Any]:
    """McNemar's exact test: whether the images that only one of two gets right are split evenly between them.

    McNemar, Psychometrika 12:153, 1947, in its exact form: a two-sided binomial test of the discordant images. It
    assumes that images are independent; with several images per patient the p-value is too small.

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
