"""How often images are drawn."""

from __future__ import annotations

import numpy as np
import pytest

from cancernet_cli.training.samplers import Sampling, draw_shares, epoch_draws

LABELS = np.array([0] * 6 + [1] * 2 + [2] * 4)
PATIENTS = np.array(["a"] * 5 + ["b"] + ["c", "d"] + ["e"] * 3 + ["a"])  # patient a has images of two classes


def counts(how: Sampling, draws: int, epochs: int) -> np.ndarray:
    drawn = [epoch_draws(LABELS, PATIENTS, how, draws, seed=0, epoch=epoch) for epoch in range(epochs)]
    assert all(len(rows) == draws for rows in drawn)
    return np.bincount(np.concatenate(drawn), minlength=len(LABELS))


def test_natural_draws_each_image_once_before_any_comes_again() -> None:
    assert set(counts("natural", 12, 1)) == {1}
    assert set(counts("natural", 30, 1)) == {2, 3}


def test_class_draws_every_class_alike() -> None:
    found = counts("class", 30, 1)
    assert [found[label == LABELS].sum() for label in range(3)] == [10, 10, 10]
    assert set(found[:6]) == {1, 2}


def test_patient_draws_every_class_and_every_patient_in_it_alike() -> None:
    found = counts("patient", 24, 1)
    assert [found[label == LABELS].sum() for label in range(3)] == [8, 8, 8]
    assert found[:5].sum() == found[5] == 4
    assert found[8:11].sum() == found[11] == 4


@pytest.mark.parametrize("how", ["natural", "class", "patient"])
def test_in_the_long_run_each_image_has_its_share(how: Sampling) -> None:
    shares = draw_shares(LABELS, PATIENTS, how)
    assert shares.sum() == pytest.approx(1)
    np.testing.assert_allclose(counts(how, 25, 2000) / 50000, shares, atol=0.004)


@pytest.mark.parametrize("how", ["natural", "class", "patient"])
def test_the_seed_and_the_epoch_decide(how: Sampling) -> None:
    draw = lambda seed, epoch: epoch_draws(LABELS, PATIENTS, how, 24, seed=seed, epoch=epoch).tolist()  # noqa: E731
    assert draw(0, 1) == draw(0, 1)
    assert draw(0, 1) != draw(0, 2)
    assert draw(0, 1) != draw(1, 1)
