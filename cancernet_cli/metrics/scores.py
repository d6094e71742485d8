"""Labelled predictions as columns: the input of every figure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike

from cancernet_cli.core.arrays import F64, Bools, Indices
from cancernet_cli.metrics.numbering import renumbered
from cancernet_cli.metrics.ranks.ranking import Ranking

_INDEX = np.int32  # half the memory, and enough for the rows of any table
MANY_IMAGES = 100_000  # with more, figures take shortcuts that differ in the last digits


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
    labels: Indices
    predicted: Indices
    probs: F64
    counts: Indices | F64
    patients: Indices
    magnifications: F64
    slides: Indices
    unsure: Bools
    patient_names: tuple[str, ...] = ()
    _rankings: dict[int, Ranking] = field(default_factory=dict, init=False, compare=False, repr=False)  # of `probs`

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
        y = np.asarray(labels, dtype=_INDEX)
        p = np.asarray(probs, dtype=np.float64)
        if p.ndim == 1:
            p = np.column_stack([1 - p, p])
        if predicted is None:
            predicted = p[:, 1] >= threshold if p.shape[1] == 2 else p.argmax(axis=1)
        n = len(y)
        return cls(
            classes=tuple(classes),
            labels=y,
            predicted=np.asarray(predicted, dtype=_INDEX),
            probs=p,
            counts=np.ones(n, _INDEX) if counts is None else np.asarray(counts, dtype=np.int64),
            patients=np.full(n, -1, _INDEX) if patients is None else np.asarray(patients, dtype=_INDEX),
            magnifications=np.full(n, np.nan) if magnifications is None else np.asarray(magnifications, np.float64),
            slides=np.full(n, -1, _INDEX) if slides is None else np.asarray(slides, dtype=_INDEX),
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

    @property
    def is_large(self) -> bool:
        """Whether there are so many entries that sorting them for every figure would take too long."""
        return len(self.labels) > MANY_IMAGES

    def ranking(self, k: int) -> Ranking:
        """The ranking of the probabilities of class `k`, computed once."""
        if k not in self._rankings:
            self._rankings[k] = Ranking.of(self.probs[:, k])
        return self._rankings[k]

    @cached_property
    def case_weighted(self) -> Scores:
        """The entries of known patients, with weights in `counts`: the images of each patient share weight 1."""
        known = self.where(self.patients >= 0)
        at = renumbered(known.patients)
        weighted = replace(known, counts=known.counts / np.bincount(at, known.counts)[at])
        weighted._rankings.update(known._rankings)  # of the same probabilities
        return weighted

    @cached_property
    def confusion_matrix(self) -> F64:
        """Images, or their weights, by true class (rows) and decision: `[K, K]`."""
        k = len(self.classes)
        cells = np.bincount(self.labels * k + self.predicted, self.counts, k * k)
        return cells.reshape(k, k).astype(np.float64)

    def where(self, chosen: Bools) -> Scores:
        """The chosen entries, `[N]` bool; no copy if all are."""
        if chosen.all():
            return self
        columns = ("labels", "predicted", "probs", "counts", "patients", "magnifications", "slides", "unsure")
        found = replace(self, **{name: getattr(self, name)[chosen] for name in columns})
        found._rankings.update({k: ranking.where(chosen) for k, ranking in self._rankings.items()})
        return found
