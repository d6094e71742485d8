"""Labelled predictions as columns: the input of every figure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike

from cancernet_cli.core.arrays import F64, I64, Bools


def softmax(logits: np.ndarray) -> np.ndarray:
    """Softmax over the last axis, without overflow."""
    raised = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(raised / raised.sum(axis=-1, keepdims=True))


@dataclass(frozen=True)
class Scores:
    """Labelled predictions; an entry may stand for several identical images.

    classes: K names; with two, the second is the positive one. labels, predicted: `[N]`, index of the true class and of
        the one decided on. probs: `[N, K]`. counts: `[N]`, images per entry, or their weights (`case_weighted`).
        patients: `[N]`, index in `patient_names`, -1 where unknown. magnifications: `[N]`, NaN where unknown. slides:
        `[N]`, any numbers, -1 where unknown; slides of two patients are two slides, whatever their numbers. unsure:
        `[N]`, whether the label is `unsure`; `predicted` is then the class that would have been decided on.
    """

    classes: tuple[str, ...]
    labels: I64
    predicted: I64
    probs: F64
    counts: I64 | F64
    patients: I64
    magnifications: F64
    slides: I64
    unsure: Bools
    patient_names: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        labels: ArrayLike,
        probs: ArrayLike,
        *,
        classes: Sequence[str] = ("benign", "malignant"),
        threshold: float = 0.5,
        predicted: ArrayLike | None = None,
        patients: ArrayLike | None = None,
        magnifications: ArrayLike | None = None,
        slides: ArrayLike | None = None,
        unsure: ArrayLike | None = None,
        counts: ArrayLike | None = None,
        patient_names: Sequence[str] = (),
    ) -> Scores:
        """Scores from plain arrays.

        Args:
            labels: `[N]` int. probs: `[N, K]`, or `[N]` for the positive one of two classes.
            threshold: two classes only: decides for the positive class at or above it.
            predicted: `[N]` int, if the decisions are known already.
            patients, slides: `[N]` int, -1 where unknown; None when all are.
            unsure: `[N]` bool; None when no label is.
        """
        y = np.asarray(labels, dtype=np.int64)
        p = np.asarray(probs, dtype=np.float64)
        if p.ndim == 1:
            p = np.column_stack([1 - p, p])
        if predicted is None:
            predicted = p[:, 1] >= threshold if p.shape[1] == 2 else p.argmax(axis=1)
        n = len(y)
        return cls(
            classes=tuple(classes),
            labels=y,
            predicted=np.asarray(predicted, dtype=np.int64),
            probs=p,
            counts=np.ones(n, np.int64) if counts is None else np.asarray(counts, dtype=np.int64),
            patients=np.full(n, -1) if patients is None else np.asarray(patients, dtype=np.int64),
            magnifications=np.full(n, np.nan) if magnifications is None else np.asarray(magnifications, np.float64),
            slides=np.full(n, -1) if slides is None else np.asarray(slides, dtype=np.int64),
            unsure=np.zeros(n, np.bool_) if unsure is None else np.asarray(unsure, np.bool_),
            patient_names=tuple(patient_names),
        )

    @property
    def right(self) -> Bools:
        """`[N]`, whether the decision was right; an unsure label counts as the decision behind it."""
        return np.asarray(self.labels == self.predicted)

    @property
    def n_images(self) -> int:
        """How many images the entries stand for; with weights by case, how many cases."""
        return round(float(self.counts.sum()))

    def case_weighted(self) -> Scores:
        """The entries of known patients, with weights in `counts`: the images of each patient share weight 1."""
        known = self.where(self.patients >= 0)
        at = np.unique(known.patients, return_inverse=True)[1].reshape(-1)
        return replace(known, counts=known.counts / np.bincount(at, known.counts)[at])

    def where(self, chosen: Bools) -> Scores:
        """The chosen entries, `[N]` bool; no copy if all are."""
        if chosen.all():
            return self
        columns = ("labels", "predicted", "probs", "counts", "patients", "magnifications", "slides", "unsure")
        return replace(self, **{name: getattr(self, name)[chosen] for name in columns})
