"""The band of a ROC curve agrees with curves of resampled patients."""

from __future__ import annotations

import numpy as np
from sklearn.metrics import roc_curve

from cancernet_cli.metrics.ranks.roc_band import roc_band
from cancernet_cli.metrics.resampling import Resampling
from cancernet_cli.metrics.scores import Scores


def scores(patients: int = 30, each: int = 5, *, known: bool = True) -> Scores:
    rng = np.random.default_rng(0)
    patient = np.repeat(np.arange(patients), each)
    labels = patient % 2
    level = rng.normal(0, 0.6, patients)[patient]
    probs = 1 / (1 + np.exp(-(level + labels * 1.2 - 0.6 + rng.normal(0, 0.4, len(patient)))))
    return Scores.of(labels, probs.round(2), classes=("b", "m"), patients=patient if known else None)


def test_the_band_is_that_of_resampled_patients() -> None:
    found = roc_band(scores(), Resampling(400, 0))
    assert found is not None
    x, low, high = found
    data, rng = scores(), np.random.default_rng(1)
    curves = []
    for _ in range(400):
        chosen = np.concatenate([rng.choice(np.arange(k, 30, 2), 15) for k in (0, 1)])
        rows = np.concatenate([np.flatnonzero(data.patients == p) for p in chosen])
        false, true, _ = roc_curve(data.labels[rows], data.probs[rows, 1], drop_intermediate=False)
        last = np.append(np.diff(false) > 0, True)
        curves.append(np.interp(x, false[last], true[last]))
    expected = np.percentile(curves, [2.5, 97.5], axis=0)
    np.testing.assert_allclose([low, high], expected, atol=0.08)
    assert (low <= high).all()
    assert (np.diff(low) >= -1e-12).all()


def test_patients_make_the_band_wider_than_images() -> None:
    widths = []
    for known in (True, False):
        found = roc_band(scores(known=known), Resampling(300, 0))
        assert found is not None
        widths.append((found[2] - found[1]).mean())
    assert widths[0] > widths[1]


def test_no_band_without_two_patients_of_a_class() -> None:
    assert roc_band(scores(patients=2), Resampling(50, 0)) is None
