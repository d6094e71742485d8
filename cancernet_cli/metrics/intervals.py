"""Bootstrap intervals that know that images of one patient resemble each other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.sparse import csr_matrix

from cancernet_cli.core.arrays import F64, I64

FIGURES = ("auroc", "accuracy", "recognition_rate")
RESAMPLES = 1_000
_CELLS = 2_000_000  # numbers an intermediate array may hold (16 MB): what bounds memory
_MANY_UNITS = 100_000  # beyond this 200 resamples do: the interval is far narrower than anything else that is unsure


@dataclass(frozen=True)
class Resampling:
    """How a bootstrap draws: how often, and from which seed."""

    resamples: int = RESAMPLES
    seed: int = 0


@dataclass(frozen=True)
class Interval:
    """A percentile interval, or why there is none.

    unit: what was drawn with replacement: `patient`, or `image` when some image's patient is unknown.
    units: how many of them there are. resamples: how many could be used (one without a class has no AUROC).
    """

    low: float | None
    high: float | None
    unit: str
    units: int
    resamples: int = 0
    reason: str = ""


def clustered_bootstrap(
    labels: ArrayLike,
    probs: ArrayLike,
    right: ArrayLike,
    patients: ArrayLike,
    counts: ArrayLike | None = None,
    *,
    figures: Sequence[str] = FIGURES,
    resamples: int = RESAMPLES,
    confidence: float = 0.95,
    seed: int = 0,
) -> dict[str, Interval]:
    """Percentile intervals of `auroc`, `accuracy` and `recognition_rate`, resampling whole patients.

    Patients are drawn with replacement (Field and Welsh, J. R. Stat. Soc. B 69:369, 2007), as many as there are, apart
    for each class of patient (the most frequent label among the patient's images), so that a resample hardly ever lacks
    a class. With an image whose patient is unknown, images are drawn instead, apart for each label: such an interval is
    too narrow when patients have several images, so it says `image`, and there is none for the recognition rate.

    Args:
        labels: `[N]` int, 0 to K - 1; with two classes, 1 is the positive one.
        probs: `[N, K]` float.
        right: `[N]` bool, whether the decision was right.
        patients: `[N]` int, -1 where unknown; any other numbers.
        counts: `[N]` int, images an entry stands for; None is one each.
        figures: the ones wanted.
    """
    design = _design(labels, np.shape(probs)[1], patients, counts)
    drawn = _drawn(design, probs, right, figures, resamples, seed)
    return {name: _interval(drawn[name], design, name, confidence) for name in figures}


def paired_bootstrap(
    labels: ArrayLike,
    first: tuple[ArrayLike, ArrayLike],
    second: tuple[ArrayLike, ArrayLike],
    patients: ArrayLike,
    *,
    figures: Sequence[str] = FIGURES,
    resamples: int = RESAMPLES,
    confidence: float = 0.95,
    seed: int = 0,
) -> dict[str, Interval]:
    """Percentile intervals of the first's figures minus the second's, both on the same images and the same resamples.

    What is drawn depends on labels and patients alone, so the two meet the same patients in every resample, and what is
    hard for both cancels out.

    Args:
        labels, patients: as `clustered_bootstrap`.
        first, second: the probabilities `[N, K]` and whether the decision was right `[N]`, of each.
    """
    design = _design(labels, np.shape(first[0])[1], patients, None)
    one, other = (_drawn(design, probs, right, figures, resamples, seed) for probs, right in (first, second))
    return {name: _interval(one[name] - other[name], design, name, confidence) for name in figures}


def weighted_auroc(labels: ArrayLike, scores: ArrayLike, weights: ArrayLike) -> F64:
    """AUROC under each of many weightings, from one sort; ties count half, as in scikit-learn.

    Args:
        labels: `[N]` bool. scores: `[N]` float.
        weights: `[R, N]`, one weighting a row.

    Returns:
        `[R]` float64; NaN where a weighting leaves out a class.
    """
    y = np.asarray(labels).astype(np.int64)
    p = np.asarray(scores, dtype=np.float64)
    curve = _Auroc(y, np.column_stack([1 - p, p]), np.arange(len(y)), np.ones(len(y), np.int64))
    return curve(np.asarray(weights, dtype=np.float64))


@dataclass(frozen=True)
class _Design:
    """What is drawn with replacement: units (patients, or images), apart for each stratum.

    units: `[N]`, the unit of each entry. n_units: how many there are. reasons: why a figure has no interval, or "".
    """

    labels: I64
    counts: I64
    units: I64
    n_units: int
    unit: str
    strata: list[I64]
    reasons: dict[str, str]


def _design(labels: ArrayLike, classes: int, patients: ArrayLike, counts: ArrayLike | None) -> _Design:
    y = np.asarray(labels, dtype=np.int64)
    c = np.ones(len(y), np.int64) if counts is None else np.asarray(counts, dtype=np.int64)
    ids = np.asarray(patients, dtype=np.int64)
    by_image = bool((ids < 0).any())
    units = np.arange(len(y)) if by_image else np.unique(ids, return_inverse=True)[1].reshape(-1)
    n_units = int(c.sum()) if by_image else (int(units.max()) + 1 if len(y) else 0)
    unit = "image" if by_image else "patient"
    strata = _strata(y, units, c, classes, by_image)
    reasons = _reasons(_units_of_class(y, units, c, classes, by_image), strata, unit)
    if by_image:
        reasons["recognition_rate"] = "the patients of some images are unknown"
    return _Design(y, c, units, n_units, unit, strata, reasons)


def _drawn(
    design: _Design, probs: ArrayLike, right: ArrayLike, figures: Sequence[str], resamples: int, seed: int
) -> dict[str, F64]:
    """The figures in each resample, `[R]`; empty for those that can have no interval."""
    values: dict[str, list[F64]] = {name: [] for name in figures if not design.reasons[name]}
    if values:
        p = np.asarray(probs, dtype=np.float64)
        totals = np.bincount(design.units, design.counts)
        correct = np.bincount(design.units, design.counts * np.asarray(right).astype(np.float64))
        curve = _Auroc(design.labels, p, design.units, design.counts) if "auroc" in values else None
        if design.n_units > _MANY_UNITS:
            resamples = min(resamples, 200)
        at_once = max(1, _CELLS // max(design.n_units, curve.width if curve else 1))
        for weights in _resampled(design.strata, len(totals), resamples, at_once, seed):
            if curve:
                values["auroc"].append(curve(weights))
            if "accuracy" in values:
                values["accuracy"].append(weights @ correct / (weights @ totals))
            if "recognition_rate" in values:
                values["recognition_rate"].append(weights @ (correct / totals) / weights.sum(axis=1))
    return {name: np.concatenate(values[name]) if name in values else np.zeros(0) for name in figures}


def _interval(drawn: F64, design: _Design, name: str, confidence: float) -> Interval:
    if design.reasons[name]:
        return Interval(None, None, design.unit, design.n_units, reason=design.reasons[name])
    usable = drawn[np.isfinite(drawn)]
    low, high = np.quantile(usable, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Interval(float(low), float(high), design.unit, design.n_units, len(usable))


class _Auroc:
    """AUROC as a function of the weights of the units; with K > 2, the mean of each class against the rest.

    The images are sorted once, into matrices of counts: distinct score x unit, one for the class and one for the rest.
    A resample then costs a product and a cumulative sum: the Mann-Whitney statistic, ties counted half.
    """

    def __init__(self, y: I64, p: F64, units: I64, counts: I64) -> None:
        self.pairs = []
        n_units = int(units.max()) + 1
        for k in [1] if p.shape[1] == 2 else np.unique(y).tolist():
            scores, at = np.unique(p[:, k], return_inverse=True)
            shape = (len(scores), n_units)
            of, rest = y == k, y != k
            self.pairs.append(
                tuple(
                    csr_matrix((counts[chosen].astype(np.float64), (at.reshape(-1)[chosen], units[chosen])), shape)
                    for chosen in (of, rest)
                )
            )
        self.width = max(of.shape[0] for of, _ in self.pairs)

    def __call__(self, weights: F64) -> F64:
        """`[R, units]` to `[R]`."""
        each = [_mann_whitney(of @ weights.T, rest @ weights.T) for of, rest in self.pairs]
        return np.asarray(np.mean(each, axis=0))


def _mann_whitney(positives: F64, negatives: F64) -> F64:
    """Share of pairs in the right order; weights by ascending score, `[S, R]` each."""
    below = np.cumsum(negatives, axis=0)
    pairs = positives.sum(axis=0) * below[-1]
    wins = np.einsum("sr,sr->r", positives, below - negatives / 2)
    share: F64 = np.divide(wins, pairs, out=np.full(len(pairs), np.nan), where=pairs > 0)
    return share


def _units_of_class(y: I64, units: I64, counts: I64, classes: int, by_image: bool) -> list[int]:
    """How many units have an image of each class."""
    if by_image:
        return [int(counts[y == k].sum()) for k in range(classes)]
    return [len(np.unique(units[y == k])) for k in range(classes)]


def _strata(y: I64, units: I64, counts: I64, classes: int, by_image: bool) -> list[I64]:
    """The units of each stratum; a unit that stands for several images is listed as often.

    A patient who would be alone in a stratum joins the largest, for it would be in every resample.
    """
    if not len(y):
        return []
    n_units = int(units.max()) + 1
    table = np.bincount(units * classes + y, counts, n_units * classes).reshape(n_units, classes)
    majority = table.argmax(axis=1)
    repeats = table.sum(axis=1).astype(np.int64) if by_image else np.ones(n_units, np.int64)
    members = [np.flatnonzero(majority == k) for k in range(classes)]
    strata = sorted((np.repeat(m, repeats[m]) for m in members if len(m)), key=len, reverse=True)
    alone = [s for s in strata[1:] if len(s) == 1]
    return [np.concatenate([strata[0], *alone]), *(s for s in strata[1:] if len(s) > 1)]


def _reasons(per_class: list[int], strata: list[I64], unit: str) -> dict[str, str]:
    """Why a figure can have no interval; empty where it can."""
    present = [n for n in per_class if n]
    few = f"fewer than 2 {unit}s of a class"
    of_all = few if not present or min(present) < 2 or not strata else ""
    auroc = "only one class" if len(present) < 2 else few if min(present) < 2 else ""
    return {"auroc": auroc, "accuracy": of_all, "recognition_rate": of_all}


def _resampled(strata: list[I64], n_units: int, resamples: int, at_once: int, seed: int) -> Iterator[F64]:
    """How often each unit was drawn, `[R, units]`; the same draws however many are made at once."""
    generators = [np.random.default_rng([seed, i]) for i in range(len(strata))]
    for start in range(0, resamples, at_once):
        rows = min(at_once, resamples - start)
        offset = (np.arange(rows) * n_units)[:, None]
        weights = np.zeros(rows * n_units)
        for generator, stratum in zip(generators, strata, strict=True):
            drawn = stratum[generator.integers(len(stratum), size=(rows, len(stratum)))]
            weights += np.bincount((drawn + offset).reshape(-1), minlength=rows * n_units)
        yield weights.reshape(rows, n_units)
