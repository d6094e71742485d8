"""The figures of a cell, and the folds that leak on purpose."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import log_loss, roc_auc_score

from cancernet_cli.core.records import FoundFile
from cancernet_cli.engine.compare.figures import cell_figures, leaking_folds, scored_folds
from cancernet_cli.engine.finetune.dataset.labelled_images import LabelledImages

N = 40


def images(splits: np.ndarray | None = None) -> LabelledImages:
    """Ten patients, four images each, every second one malignant, five folds by patient."""
    patient = np.arange(N) // 4
    names = np.array([f"p{p}" for p in patient])
    return LabelledImages(
        files=[FoundFile(f"{i}.png", b"", 1, 1) for i in range(N)],
        classes=("benign", "malignant"),
        labels=patient % 2,
        patients=names,
        unknown_patients=np.zeros(N, bool),
        slides=np.full(N, ""),
        magnifications=np.full(N, 100.0),
        groups=names,
        folds=patient // 2,
        splits=splits,
    )


def logits(seed: int = 0, scale: float = 1.0) -> np.ndarray:
    random = np.random.default_rng(seed)
    one = random.normal(size=N) + images().labels
    return scale * np.stack([-one, one], axis=1)


def test_figures_are_scikit_learns() -> None:
    found = cell_figures(logits(), images())
    probs = 1 / (1 + np.exp(-2 * logits()[:, 1]))
    labels = images().labels
    assert found["count"] == N
    assert found["auroc"]["value"] == pytest.approx(roc_auc_score(labels, probs))
    assert found["log_loss"]["value"] == pytest.approx(log_loss(labels, probs))
    assert found["accuracy"]["value"] == pytest.approx(((probs > 0.5) == labels).mean())
    assert found["auroc"]["interval_units"] == 10
    assert found["patients"]["count"] == 10


def test_very_sure_scores_are_still_ranked() -> None:
    """Their probabilities are 0 and 1 to the last digit, and would all be ties."""
    gentle, sure = cell_figures(logits(), images()), cell_figures(logits(scale=500), images())
    for name in ("value", "low", "high"):
        assert sure["auroc"][name] == gentle["auroc"][name]
    assert sure["accuracy"] == gentle["accuracy"]
    assert sure["log_loss"]["value"] > gentle["log_loss"]["value"]


def test_rows_without_scores_do_not_count() -> None:
    some = logits()
    some[:8] = np.nan
    assert cell_figures(some, images())["count"] == N - 8


def test_leaking_folds_put_patients_on_both_sides() -> None:
    found = leaking_folds(images(), 0)
    assert sorted(np.bincount(found)) == [8] * 5
    for fold in range(5):
        assert images().labels[found == fold].mean() == 0.5
    torn = [len(np.unique(found[images().patients == name])) > 1 for name in np.unique(images().patients)]
    assert all(torn)
    np.testing.assert_array_equal(scored_folds(images()), images().folds)


def test_of_a_single_split_only_the_test_is_scored() -> None:
    splits = np.array(["train"] * 24 + ["val"] * 8 + ["test"] * 8)
    single = replace(images(splits), folds=np.where(splits == "test", 0, 1))
    np.testing.assert_array_equal(scored_folds(single), [-1] * 32 + [0] * 8)
    leaking = leaking_folds(single, 0)
    assert (leaking == 0).sum() == 8
    assert set(leaking) == {-1, 0}
    assert single.labels[leaking == 0].mean() == 0.5
