"""Exact one-sided bounds for figures of exactly 0 or 1, for which every resample of a bootstrap gives the same value.

If all of n independent cases are right, the lower 95 % bound of the probability of being right is 0.05 ** (1 / n)
(Clopper and Pearson, Biometrika 26:404, 1934, with one side). A case is right if all its images are, so the same
bound holds for the share of right images when every case has the same weight; it is conservative.

An AUROC is the probability that a random positive case ranks above a random negative one (Hanley and McNeil,
Radiology 143:29, 1982). Of n cases of the smaller class n pairs can be formed that share no case and are therefore
independent, so an AUROC of 1 has the bound of n right pairs out of n. It is conservative, since all other pairs are
ignored, as it is for a mean over classes: a mean below the bound needs a class below it.
"""

from __future__ import annotations

import numpy as np

from cancernet_cli.core.figures import Figure, FigureSpec, Interval
from cancernet_cli.metrics.decisions import PerClass
from cancernet_cli.metrics.measure import function_of
from cancernet_cli.metrics.resampling import Design
from cancernet_cli.metrics.scores import Scores

_CONFIDENCE = 0.95
_ROUNDING = 1e-12  # sums of weights by case are not exact


def extreme_value(figure: Figure) -> float | None:
    """0 or 1 if that is the figure's value up to rounding, else None."""
    if figure.value is None or min(figure.value, 1 - figure.value) > _ROUNDING:
        return None
    return float(round(figure.value))


def exact_interval(spec: FigureSpec, value: float, scores: Scores, design: Design) -> Interval | None:
    """The one-sided interval of a figure whose value is 0 or 1; None if the figure has no such bound.

    Its `units` are the cases that the bound is computed from.
    """
    if not spec.bound:
        return None
    if spec.bound == "covered":
        n = _covered_cases(scores, design)
    else:
        n = _smallest_class(design) if spec.bound == "class" else _own_cases(spec, scores, design)
    if n == 0:
        return None
    bound = one_sided_bound(n)
    low, high = (bound, 1.0) if value == 1 else (0.0, 1 - bound)
    return Interval(low, high, design.unit, n, method="exact")


def one_sided_bound(n: int, confidence: float = _CONFIDENCE) -> float:
    """Lower bound of a probability after n successes in n trials."""
    return float((1 - confidence) ** (1 / n))


def _smallest_class(design: Design) -> int:
    """Cases of the smallest class; no more than disjoint pairs of cases, if some cases have images of both classes."""
    present = [n for n in design.per_class if n]
    return min(*present, design.n_units // 2) if len(present) > 1 else 0


def _own_cases(spec: FigureSpec, scores: Scores, design: Design) -> int:
    """Cases with images in the denominator of a figure; with more than two classes, of the class with the fewest."""
    if spec.measured_from != "decisions":
        return design.n_units
    k = len(scores.classes)
    one_each = np.eye(k * k).reshape(-1, k, k)  # a confusion matrix of one image, for each cell
    found = function_of(spec)(one_each)
    if not isinstance(found, PerClass):
        return design.n_units
    cells = scores.labels * k + scores.predicted
    of = [1] if k == 2 else np.unique(scores.labels).tolist()
    return min(_cases(scores, design, found.counts[cells, c] > 0) for c in of)


def _covered_cases(scores: Scores, design: Design) -> int:
    """Cases with covered images, of the class with the fewest; conservative for a figure of all classes."""
    covered = ~scores.unsure
    return min(
        (_cases(scores, design, covered & (scores.labels == c)) for c in np.unique(scores.labels[covered])), default=0
    )


def _cases(scores: Scores, design: Design, rows: np.ndarray) -> int:
    if design.unit == "image":  # an entry may stand for several
        return int(scores.counts[rows].sum())
    return len(np.unique(design.units[rows]))
