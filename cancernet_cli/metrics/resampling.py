"""Resample patients with replacement.

Patients are drawn as whole clusters (Field and Welsh, J. R. Stat. Soc. B 69:369, 2007), as many as there are,
separately for each class of patient (the most frequent label among the patient's images), so that hardly any resample
is without a class. If the patient of an image is unknown, images are drawn instead, separately for each label: such an
interval is too narrow when patients have several images, so its unit is `image`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import numpy as np

from cancernet_cli.core.arrays import F64, I64
from cancernet_cli.metrics.numbering import distinct, renumbered
from cancernet_cli.metrics.scores import Scores

RESAMPLES = 1_000
_MANY_UNITS = 100_000  # above this 200 resamples suffice: the interval is far narrower than every other uncertainty


@dataclass(frozen=True)
class Resampling:
    """How a bootstrap draws: how often, and from which seed."""

    resamples: int = RESAMPLES
    seed: int = 0


@dataclass(frozen=True)
class Design:
    """The units to draw with replacement, in strata.

    units: `[N]`, the unit (patient or image) of each entry. n_units: their number. unit: `patient` or `image`. strata:
    the units of each; one that stands for several images is repeated. per_class: units with images of each class.
    """

    units: I64
    n_units: int
    unit: str
    strata: list[I64]
    per_class: list[int]

    @classmethod
    def of(cls, scores: Scores) -> Design:
        """Patients, or images where the patient of one is unknown."""
        y, c, classes = scores.labels, scores.counts, len(scores.classes)
        if (scores.patients < 0).any():
            units = np.arange(len(y))
            strata = _strata(y, units, c, classes, by_image=True)
            return cls(units, int(c.sum()), "image", strata, [int(c[y == k].sum()) for k in range(classes)])
        units = renumbered(scores.patients)
        strata = _strata(y, units, c, classes, by_image=False)
        per_class = [len(distinct(units[y == k])) for k in range(classes)]
        return cls(units, int(units.max()) + 1 if len(y) else 0, "patient", strata, per_class)

    @property
    def size(self) -> int:
        """The number of distinct units, each with a weight."""
        return int(self.units.max()) + 1 if len(self.units) else 0

    @property
    def reason(self) -> str:
        """Why there is no interval; "" if there is."""
        present = [n for n in self.per_class if n]
        return "" if present and min(present) >= 2 else f"fewer than 2 {self.unit}s of a class"

    def weights(self, resampling: Resampling, at_once: int) -> Iterator[F64]:
        """How often each unit was drawn, `[R, units]`; the same draws for any `at_once`."""
        resamples, n = resampling.resamples, self.size
        if self.n_units > _MANY_UNITS:
            resamples = min(resamples, 200)
        generators = [np.random.default_rng([resampling.seed, i]) for i in range(len(self.strata))]
        for start in range(0, resamples, at_once):
            rows = min(at_once, resamples - start)
            offset = (np.arange(rows) * n)[:, None]
            weights = np.zeros(rows * n)
            for generator, stratum in zip(generators, self.strata, strict=True):
                drawn = stratum[generator.integers(len(stratum), size=(rows, len(stratum)))]
                weights += np.bincount((drawn + offset).reshape(-1), minlength=rows * n)
            yield weights.reshape(rows, n)


class Resampler(Protocol):
    """A figure in many resamples: maps the weights of the units, `[R, units]`, to `[R]`.

    width: numbers it needs per resample, which bounds memory.
    """

    @property
    def width(self) -> int: ...

    def __call__(self, weights: F64, /) -> F64: ...


_Function = TypeVar("_Function", bound=Callable[[Scores], Any])
RESAMPLERS: dict[Callable[..., Any], Callable[[Design, Scores], Resampler]] = {}


def resampled_by(make: Callable[[Design, Scores], Resampler]) -> Callable[[_Function], _Function]:
    """Register a fast computation of a measure for all resamples at once."""

    def mark(function: _Function) -> _Function:
        RESAMPLERS[function] = make
        return function

    return mark


def _strata(y: I64, units: I64, counts: I64 | F64, classes: int, *, by_image: bool) -> list[I64]:
    """The units of each stratum; a unit that stands for several images is repeated.

    A patient alone in a stratum would be in every resample and therefore joins the largest one.
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
