"""Figures of decisions, from confusion matrices `[..., K, K]` with true classes in rows.

One matrix gives a figure, and many, of resampled patients, its interval. With two classes precision, recall, F1 and
specificity are those of the positive class (the second); with more, the mean over the classes that have images (macro).
Values equal scikit-learn's.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cancernet_cli.core.arrays import F64


@dataclass(frozen=True)
class PerClass:
    """One value per class; a figure is that of the positive class, or the mean.

    values: `[..., K]`, NaN where undefined. counts: `[..., K]`, images behind each value. truth: `[..., K]`, images of
    each class. undefined: why a class has no value, with `{}` for its name.
    """

    values: F64
    counts: F64
    truth: F64
    undefined: str

    def combined(self) -> F64:
        """`[...]`: the positive class's value, or the mean over classes that have images; NaN if one is undefined."""
        if self.values.shape[-1] == 2:
            return np.asarray(self.values[..., 1])
        present = self.truth > 0
        return _ratio(np.where(present, self.values, 0).sum(axis=-1), present.sum(axis=-1))

    def count(self) -> int:
        """Images behind the figure of a single matrix."""
        return round(float(self.counts[1] if len(self.counts) == 2 else self.truth.sum()))

    def reason(self, classes: tuple[str, ...]) -> str:
        """Why the figure of a single matrix is undefined."""
        of = [1] if len(classes) == 2 else np.flatnonzero(self.truth).tolist()
        return self.undefined.format(" or ".join(classes[k] for k in of if not np.isfinite(self.values[k])))


def accuracy(matrix: F64) -> F64:
    """Share of images that were classified correctly."""
    return _ratio(_diagonal(matrix).sum(axis=-1), matrix.sum(axis=(-2, -1)))


def balanced_accuracy(matrix: F64) -> F64:
    """Mean over the classes of the share of their images that are right; NaN unless two classes have images."""
    found = recall(matrix)
    present = found.truth > 0
    classes = present.sum(axis=-1)
    return _ratio(np.where(present, found.values, 0).sum(axis=-1), np.where(classes > 1, classes, 0))


def precision(matrix: F64) -> PerClass:
    """Positive predictive value: share of the images classified as a class that belong to it."""
    predicted = matrix.sum(axis=-2)
    return PerClass(_ratio(_diagonal(matrix), predicted), predicted, _truth(matrix), "no image was classified as {}")


def recall(matrix: F64) -> PerClass:
    """Sensitivity: share of the images of a class that are classified as it."""
    truth = _truth(matrix)
    return PerClass(_ratio(_diagonal(matrix), truth), truth, truth, "no image is {}")


def specificity(matrix: F64) -> PerClass:
    """Share of the images of all other classes that are not classified as a class."""
    truth, predicted, hits = _truth(matrix), matrix.sum(axis=-2), _diagonal(matrix)
    others = matrix.sum(axis=(-2, -1))[..., None] - truth
    return PerClass(_ratio(others - (predicted - hits), others), others, truth, "every image is {}")


def f1(matrix: F64) -> PerClass:
    """Harmonic mean of precision and recall, as 2 TP / (2 TP + FP + FN)."""
    truth, predicted, hits = _truth(matrix), matrix.sum(axis=-2), _diagonal(matrix)
    either = truth + predicted
    return PerClass(_ratio(2 * hits, either), either - hits, truth, "no image is or was classified as {}")


def mcc(matrix: F64) -> F64:
    """Matthews correlation coefficient, -1 to 1, for K classes (Gorodkin, Comput. Biol. Chem. 28:367, 2004)."""
    truth, predicted, images = _truth(matrix), matrix.sum(axis=-2), matrix.sum(axis=(-2, -1))
    covariance = _diagonal(matrix).sum(axis=-1) * images - (truth * predicted).sum(axis=-1)
    variances = (images**2 - (truth**2).sum(axis=-1)) * (images**2 - (predicted**2).sum(axis=-1))
    return _ratio(covariance, np.sqrt(variances))


def _diagonal(matrix: F64) -> F64:
    return np.asarray(np.diagonal(matrix, axis1=-2, axis2=-1))


def _truth(matrix: F64) -> F64:
    return np.asarray(matrix.sum(axis=-1))


def _ratio(part: F64, whole: F64) -> F64:
    """`part / whole`, NaN where `whole` is 0."""
    ratio: F64 = np.divide(part, whole, out=np.full(np.shape(whole), np.nan), where=np.asarray(whole) > 0)
    return ratio
