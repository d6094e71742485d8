"""Bootstrap intervals of figures over patients, since images of one patient resemble each other.

A figure of exactly 0 or 1 gets an exact one-sided bound instead: all its resamples are the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
from scipy.sparse import csr_matrix

from cancernet_cli.core.arrays import F64
from cancernet_cli.core.figures import Figure, FigureSpec, Interval
from cancernet_cli.metrics.exact import exact_interval, extreme_value
from cancernet_cli.metrics.measure import function_of, measure, measure_resamples
from cancernet_cli.metrics.resampling import RESAMPLERS, Design, Resampler, Resampling
from cancernet_cli.metrics.scores import Scores

_CELLS = 2_000_000  # numbers an intermediate array may hold (16 MB): what bounds memory
_CONFIDENCE = 0.95


def measure_all(specs: Iterable[FigureSpec], scores: Scores, resampling: Resampling) -> dict[str, Figure]:
    """Figures by name, with intervals for those of the table of figures that have one."""
    return measure_divisions(specs, [scores], resampling)


def measure_divisions(
    specs: Iterable[FigureSpec], divisions: Sequence[Scores], resampling: Resampling
) -> dict[str, Figure]:
    """The mean of each figure over divisions into folds, with its interval over patients and its value in each.

    Args:
        divisions: predictions on the same images in the same order, by models of different divisions.
    """
    chosen, design = list(specs), Design.of(divisions[0])
    found = {spec.name: _mean([measure(spec, scores) for scores in divisions]) for spec in chosen}
    exact = {spec.name: _exactly(spec, found[spec.name], divisions, design) for spec in chosen if spec.interval}
    found |= {name: figure for name, figure in exact.items() if figure is not None}
    drawn = _bootstrap([spec for spec in chosen if exact.get(spec.name, True) is None], divisions, resampling)
    return found | {name: replace(found[name], interval=interval) for name, interval in drawn.items()}


def _mean(figures: Sequence[Figure]) -> Figure:
    """The mean of a figure over divisions; undefined if it is in one of them."""
    if len(figures) == 1 or any(figure.value is None for figure in figures):
        return next((figure for figure in figures if figure.value is None), figures[0])
    each = tuple(float(figure.value) for figure in figures if figure.value is not None)
    count = round(float(np.mean([figure.count for figure in figures])))
    return replace(figures[0], value=float(np.mean(each)), count=count, each=each)


def _exactly(spec: FigureSpec, figure: Figure, divisions: Sequence[Scores], design: Design) -> Figure | None:
    """A figure of exactly 0 or 1 with its bound, or None where the bootstrap gives the interval."""
    value = extreme_value(figure)
    if value is None or (_reason(design, spec) and design.unit == "image"):
        return None
    intervals = [exact_interval(spec, value, scores, design) for scores in divisions]
    known = [interval for interval in intervals if interval is not None]
    if len(known) < len(intervals):
        return None
    return replace(figure, value=value, interval=min(known, key=lambda interval: interval.units))


def clustered_bootstrap(specs: Sequence[FigureSpec], scores: Scores, resampling: Resampling) -> dict[str, Interval]:
    """Percentile intervals of figures, resampling whole patients (`metrics.resampling`)."""
    return _bootstrap(specs, [scores], resampling)


def _bootstrap(specs: Sequence[FigureSpec], divisions: Sequence[Scores], resampling: Resampling) -> dict[str, Interval]:
    """Percentile intervals of the figures' means over divisions, on the same resamples of patients."""
    design = Design.of(divisions[0])
    each = [_drawn(design, scores, specs, resampling) for scores in divisions]
    means = {spec.name: np.mean([one[spec.name] for one in each], axis=0) for spec in specs}
    return {spec.name: _interval(means[spec.name], design, spec) for spec in specs}


def paired_bootstrap(
    specs: Sequence[FigureSpec], this: Scores, other: Scores, resampling: Resampling
) -> dict[str, Interval]:
    """Percentile intervals of the figures of `this` minus those of `other`, on the same resamples of the same images.

    Resampling depends only on labels and patients, so both are evaluated on the same patients in every resample, and
    cases that are hard for both cancel out.
    """
    design = Design.of(this)
    one, two = (_drawn(design, scores, specs, resampling) for scores in (this, other))
    return {spec.name: _interval(one[spec.name] - two[spec.name], design, spec) for spec in specs}


def _drawn(design: Design, scores: Scores, specs: Sequence[FigureSpec], resampling: Resampling) -> dict[str, F64]:
    """The figures in each resample, `[R]`; empty for those without interval."""
    resamplers = _resamplers(design, scores, [spec for spec in specs if not _reason(design, spec)])
    found: dict[str, list[F64]] = {spec.name: [np.zeros(0)] for spec in specs}
    if resamplers:
        width = max(design.n_units, *(resampler.width for resampler in resamplers.values()))
        for weights in design.weights(resampling, max(1, _CELLS // width)):
            for name, resampler in resamplers.items():
                found[name].append(resampler(weights))
    return {name: np.concatenate(values) for name, values in found.items()}


def _resamplers(design: Design, scores: Scores, specs: Sequence[FigureSpec]) -> dict[str, Resampler]:
    """How each figure is computed from the weights of the units."""
    k = len(scores.classes)
    cells = scores.labels * k + scores.predicted  # of each unit's confusion matrix, flat
    found: dict[str, Resampler] = {}
    for weighting in sorted({spec.weighting for spec in specs}):
        weighted = scores.case_weighted if weighting == "cases" else scores
        matrices = _Matrices(_cells_by_unit(weighted.counts.astype(np.float64), cells, design, k * k))
        for spec in (spec for spec in specs if spec.weighting == weighting):
            fast = RESAMPLERS.get(function_of(spec))
            if spec.measured_from == "decisions":
                found[spec.name] = _OfDecisions(spec, matrices)
            else:
                found[spec.name] = fast(design, weighted) if fast else _OneByOne(spec, design, weighted)
    return found


def _cells_by_unit(counts: F64, cells: np.ndarray, design: Design, width: int) -> csr_matrix:
    """Sums of `counts` by cell of the confusion matrix and unit, `[width, units]`."""
    if design.size * width > len(counts):
        return csr_matrix((counts, (cells, design.units)), (width, design.size))
    table = np.bincount(cells * design.size + design.units, counts, width * design.size)
    return csr_matrix(table.reshape(width, design.size))


class _Matrices:
    """The confusion matrix of every resample, computed once for all figures; counts: `[K x K, units]`."""

    def __init__(self, counts: csr_matrix) -> None:
        self._counts, self.width = counts, counts.shape[0]
        self._of: F64 | None = None
        self._found = np.zeros(0)

    def __call__(self, weights: F64) -> F64:
        """`[R, units]` to `[R, K, K]`."""
        if weights is not self._of:
            k = round(self.width**0.5)
            self._of, self._found = weights, (self._counts @ weights.T).T.reshape(-1, k, k)
        return self._found


class _OfDecisions:
    """A figure of decisions, from the confusion matrix of every resample."""

    def __init__(self, spec: FigureSpec, matrices: _Matrices) -> None:
        self._spec, self._matrices, self.width = spec, matrices, matrices.width

    def __call__(self, weights: F64) -> F64:
        return measure_resamples(self._spec, self._matrices(weights))


class _OneByOne:
    """A figure without a faster way, measured for each resample."""

    width = 1

    def __init__(self, spec: FigureSpec, design: Design, scores: Scores) -> None:
        self._spec, self._units, self._scores = replace(spec, weighting="images"), design.units, scores  # weighted

    def __call__(self, weights: F64) -> F64:
        return np.array([self._value(row[self._units].astype(np.int64)) for row in weights])

    def _value(self, times: np.ndarray) -> float:
        drawn = replace(self._scores, counts=self._scores.counts * times).where(times > 0)
        value = measure(self._spec, drawn).value
        return np.nan if value is None else value


def _reason(design: Design, spec: FigureSpec) -> str:
    """Why a figure has no interval; "" if it has one."""
    if (spec.measured_from == "patients" or spec.weighting == "cases") and design.unit == "image":
        return "the patients of some images are unknown"
    return design.reason


def _interval(drawn: F64, design: Design, spec: FigureSpec) -> Interval:
    usable = drawn[np.isfinite(drawn)]
    reason = _reason(design, spec) or ("" if len(usable) else "undefined in every resample")
    if reason:
        return Interval(None, None, design.unit, design.n_units, reason=reason)
    low, high = np.quantile(usable, [(1 - _CONFIDENCE) / 2, (1 + _CONFIDENCE) / 2])
    return Interval(float(low), float(high), design.unit, design.n_units, len(usable))
