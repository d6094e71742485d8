"""The cut of a U-Net's probabilities: never chosen on the patients whose figure it makes."""

from __future__ import annotations

import numpy as np

from cancernet_cli.engine.finetune.segmenter.overlap import BASELINES, CUTS, Overlaps, by_folds, by_validation


def best_at(cut: float, patient: str, pixels: int = 100) -> Overlaps:
    """One image on which the U-Net is right at one cut, and finds a quarter of what there is at the others."""
    counts = [(pixels, pixels, pixels) if at == cut else (pixels // 4, pixels // 4, pixels) for at in CUTS]
    return Overlaps((patient,), CUTS, np.array([counts]), {name: np.array([(0, 1, pixels)]) for name in BASELINES})


def test_each_folds_cut_comes_from_the_others() -> None:
    found = by_folds({"fold_0": best_at(0.3, "a", 400), "fold_1": best_at(0.6, "b"), "fold_2": best_at(0.6, "c")})
    figures = found.metrics["out_of_fold"]
    assert {fold: row["cut"] for fold, row in figures["by_fold"].items()} == {
        "fold_0": 0.6,
        "fold_1": 0.3,
        "fold_2": 0.3,
    }
    assert figures["by_patient"] == {"a": 0.4, "b": 0.4, "c": 0.4}  # what was best on each is not what it gets
    assert found.cut == 0.3
    assert found.chosen_on == (
        "Dice on 3 patients out of fold (3 folds); the last layer is shifted so that 0.5 corresponds to 0.3"
    )


def test_a_single_splits_cut_comes_from_its_validation_patients() -> None:
    found = by_validation(best_at(0.4, "a"), best_at(0.7, "b"))
    assert found.cut == found.metrics["test"]["cut"] == 0.7
    assert found.metrics["test"]["by_patient"] == {"a": 0.4}


def test_a_cut_that_is_given_is_taken() -> None:
    folds = {"fold_0": best_at(0.3, "a"), "fold_1": best_at(0.6, "b")}
    found = by_folds(folds, 0.6)
    assert found.metrics["out_of_fold"]["by_patient"] == {"a": 0.4, "b": 1.0}
    assert (found.cut, found.chosen_on) == (0.6, "as given; the last layer is shifted so that 0.5 corresponds to 0.6")
    assert by_folds(folds, 0.5).chosen_on == ""
    assert by_validation(best_at(0.4, "a"), best_at(0.7, "b"), 0.4).metrics["test"]["by_patient"] == {"a": 1.0}


def test_without_validation_patients_the_cut_stays() -> None:
    found = by_validation(best_at(0.5, "a"), None)
    assert (found.cut, found.chosen_on) == (0.5, "")
    assert found.metrics["test"]["dice"]["value"] == 1.0
