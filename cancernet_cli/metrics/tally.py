"""Counts of labelled predictions, so that memory does not grow with the number of images."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cancernet_cli.core.arrays import F32, F64, I64
from cancernet_cli.metrics.scores import Scores, log_losses

LIMIT = 500_000  # distinct entries; about 30 MB with two classes
_STEPS = (1e-3, 1e-2)  # the second is for patients so many that the first leaves too many entries


class Tally:
    """Takes labelled predictions batch by batch and keeps how often each distinct one came.

    Distinct are patient, slide, magnification, true class, decision and probabilities. Exact until there are `limit` of
    them; then probabilities are rounded to 0.001 (to two digits near 0 and 1, where sure networks put most of them) and
    the entries merged, which moves no figure by more than 0.001. With very many patients the step becomes 0.01. Counts,
    decisions and log losses stay exact even then.

    Args:
        classes: K names; with two, the second is the positive one.

    Attributes:
        step: what probabilities are rounded to; 0 while all is exact.
    """

    def __init__(self, classes: Sequence[str], *, limit: int = LIMIT) -> None:
        self.classes = tuple(classes)
        self.step = 0.0
        self._limit = limit
        self._patients: dict[str, int] = {}
        self._slides: dict[str, int] = {}
        self._key = np.dtype(
            [
                ("patient", "<i4"),
                ("slide", "<i4"),
                ("magnification", "<f4"),
                ("label", "<i4"),
                ("predicted", "<i4"),
                ("probs", "<f4", (len(self.classes),)),
            ]
        )
        self._entries = np.zeros(0, self._key)
        self._counts = np.zeros(0, np.int64)
        self._losses = np.zeros(0, np.float64)  # summed over the images of an entry
        self._pending: list[NDArray[np.void]] = []
        self._pending_losses: list[F64] = []
        self._n_pending = 0

    def patient_index(self, name: str | None) -> int:
        """The number that stands for a patient; -1 for an unknown one."""
        return -1 if name is None else self._patients.setdefault(name, len(self._patients))

    def slide_index(self, name: str | None) -> int:
        """The number that stands for a slide; -1 for an unknown one."""
        return -1 if name is None else self._slides.setdefault(name, len(self._slides))

    def add(
        self,
        labels: ArrayLike,
        predicted: ArrayLike,
        probs: NDArray[np.floating],
        patients: ArrayLike,
        magnifications: ArrayLike,
        slides: ArrayLike = -1,
    ) -> None:
        """Count a batch.

        Args:
            labels, predicted: `[N]` int. probs: `[N, K]`, kept as float32.
            patients: `[N]` int from `patient_index`. magnifications: `[N]` float, NaN where unknown.
            slides: `[N]` int from `slide_index`.
        """
        y = np.asarray(labels, dtype=np.int64)
        rows = np.zeros(len(y), self._key)
        rows["label"], rows["predicted"], rows["patient"] = y, predicted, patients
        rows["slide"] = slides
        rows["magnification"] = np.nan_to_num(np.asarray(magnifications, dtype=np.float32), nan=-1.0)
        rows["probs"] = _rounded(np.asarray(probs, dtype=np.float32), self.step)
        self._pending.append(rows)
        self._pending_losses.append(log_losses(y, np.asarray(probs, dtype=np.float64)))
        self._n_pending += len(y)
        if self._n_pending > max(65_536, len(self._entries) // 2):
            self._merge()

    def scores(self) -> Scores:
        """Everything counted so far."""
        self._merge()
        magnifications = self._entries["magnification"].astype(np.float64)
        return Scores(
            classes=self.classes,
            labels=self._entries["label"].astype(np.int64),
            predicted=self._entries["predicted"].astype(np.int64),
            probs=self._entries["probs"].astype(np.float64),
            counts=self._counts,
            log_losses=self._losses / self._counts,
            patients=self._entries["patient"].astype(np.int64),
            magnifications=np.where(magnifications < 0, np.nan, magnifications),
            slides=self._entries["slide"].astype(np.int64),
            patient_names=tuple(self._patients),
            step=self.step,
        )

    def _merge(self) -> None:
        """Take in what is pending; round when there is too much of it."""
        rows = np.concatenate([self._entries, *self._pending])
        counts = np.concatenate([self._counts, np.ones(self._n_pending, np.int64)])
        losses = np.concatenate([self._losses, *self._pending_losses])
        self._pending, self._pending_losses, self._n_pending = [], [], 0
        self._entries, self._counts, self._losses = _distinct(rows, counts, losses)
        for step in _STEPS:
            if len(self._entries) > self._limit and step > self.step:
                self.step = step
                self._entries["probs"] = _rounded(self._entries["probs"], step)
                self._entries, self._counts, self._losses = _distinct(self._entries, self._counts, self._losses)


def _rounded(probs: F32, step: float) -> F32:
    """Probabilities in steps of `step`, finer by the decade near 0 and 1."""
    if not step:
        return probs
    p = probs.astype(np.float64)
    edge = np.minimum(p, 1 - p)  # distance to the nearer end
    unit = np.minimum(step, 100 * step * 10 ** np.floor(np.log10(np.maximum(edge, 1e-9))))
    rounded = np.round(edge / unit) * unit
    return np.where(p <= 0.5, rounded, 1 - rounded).astype(np.float32)


def _distinct(rows: NDArray[np.void], counts: I64, losses: F64) -> tuple[NDArray[np.void], I64, F64]:
    """Each distinct row once, in a fixed order, with its counts and losses added up."""
    if not len(rows):
        return rows, counts, losses
    as_bytes = np.ascontiguousarray(rows).view(np.dtype((np.void, rows.dtype.itemsize)))
    _, first, at = np.unique(as_bytes, return_index=True, return_inverse=True)
    at = at.reshape(-1)
    return rows[first], np.bincount(at, counts).astype(np.int64), np.bincount(at, losses).astype(np.float64)
