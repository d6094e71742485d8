"""A band around an ROC curve."""

from __future__ import annotations

import numpy as np
from scipy.sparse import csr_matrix

from cancernet_cli.core.arrays import F64
from cancernet_cli.metrics.resampling import Design, Resampling
from cancernet_cli.metrics.scores import Scores

_POINTS = 101
_MOST_UNITS = 20_000
_MOST_LEVELS = 1_024  # merging neighbors by rank beyond this moves the band by less than a line's width
_CELLS = 2_000_000  # numbers an intermediate array may hold


def roc_band(scores: Scores, resampling: Resampling) -> tuple[F64, F64, F64] | None:
    """Sensitivity of the second of two classes at each false positive rate: 95 % of the resamples of patients.

    The curves of the resamples are averaged vertically (Fawcett, Pattern Recognit. Lett. 27:861, 2006); the resamples
    are those of the AUROC's interval. The band holds at each rate, not for the whole curve at once.

    Returns:
        False positive rates, lower and upper end, `[P]` each; None where the AUROC has no interval, or of so many
        units that the band would be as thin as the curve.
    """
    design = Design.of(scores)
    if design.reason or design.n_units > _MOST_UNITS:
        return None
    values, at = scores.ranking(1).merged(_MOST_LEVELS)
    shape, from_top = (len(values), design.size), len(values) - 1 - at
    tables = [
        csr_matrix((scores.counts[chosen].astype(np.float64), (from_top[chosen], design.units[chosen])), shape)
        for chosen in (scores.labels == 1, scores.labels == 0)
    ]
    x = np.linspace(0, 1, _POINTS)
    found: list[F64] = []
    for weights in design.weights(resampling, max(1, _CELLS // max(shape))):
        hits, false = (np.cumsum(table @ weights.T, axis=0) for table in tables)
        for true_positive, false_positive in zip(hits.T, false.T, strict=True):
            if true_positive[-1] and false_positive[-1]:
                found.append(_at(x, false_positive / false_positive[-1], true_positive / true_positive[-1]))
    low, high = np.percentile(np.stack(found), [2.5, 97.5], axis=0)
    return x, low, high


def _at(x: F64, false_positive: F64, true_positive: F64) -> F64:
    """The curve at `x`; on a vertical step its top, except at 0, where the curve starts at the first step."""
    rates = np.concatenate([[0.0], false_positive])
    hits = np.concatenate([[0.0], true_positive])
    last = np.append(np.diff(rates) > 0, True)  # the top of each vertical step
    return np.asarray(np.interp(x, rates[last], hits[last]))
