"""Softmax by gradient steps: against PyTorch's own layer, and deterministic."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from cancernet_cli.core.errors import ModelError
from cancernet_cli.core.records import Epoch
from cancernet_cli.training.softmax import SoftmaxModel, SoftmaxPolicy, fit_softmax

N, WIDTH = 60, 12
TRAIN, VALIDATE = np.arange(40), np.arange(40, 60)
LABELS = np.arange(N) % 2
PATIENTS = np.array([f"p{i // 3}" for i in range(N)])


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Threads that wait for one another would take most of the time of so small a layer."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def features() -> NDArray[np.float32]:
    random = np.random.default_rng(0)
    values = random.normal(size=(N, WIDTH))
    values[:, 0] += 1.5 * LABELS
    return values.astype(np.float32)


def fit(features: NDArray[np.floating], train: NDArray[np.int64] = TRAIN, **changed: object) -> SoftmaxModel:
    given = {"epochs": 4, "learning_rate": 0.01, "seed": 3} | changed
    seed = given.pop("seed")
    policy = SoftmaxPolicy(**given)  # type: ignore[arg-type]
    return fit_softmax(features, LABELS, PATIENTS, train, VALIDATE, 2, policy, seed=seed)[0]  # type: ignore[arg-type]


def test_one_full_batch_step_is_that_of_a_linear_layer(features: NDArray[np.float32]) -> None:
    layer = torch.nn.Linear(WIDTH, 2)
    torch.nn.init.zeros_(layer.weight)
    torch.nn.init.zeros_(layer.bias)
    optimiser = torch.optim.Adam(layer.parameters(), lr=0.01)
    for _ in range(4):
        optimiser.zero_grad()
        loss = torch.nn.functional.cross_entropy(layer(torch.from_numpy(features[:39])), torch.from_numpy(LABELS[:39]))
        loss.backward()
        optimiser.step()
    # Not 20 and 20: the bias would have no gradient but rounding, and Adam makes a whole step of whatever there is.
    found = fit(features, np.arange(39), batch=39)
    np.testing.assert_allclose(found.weight, layer.weight.detach(), rtol=1e-3, atol=1e-6)
    np.testing.assert_allclose(found.logits(features), layer(torch.from_numpy(features)).detach(), rtol=1e-3, atol=1e-5)


def test_with_time_it_ends_where_unpenalised_logistic_regression_does(features: NDArray[np.float32]) -> None:
    best = LogisticRegression(C=1e6, max_iter=5000).fit(features[TRAIN], LABELS[TRAIN])
    found = fit(features, epochs=600, learning_rate=0.02, batch=40)
    difference = np.diff(found.logits(features), axis=1)[:, 0]
    np.testing.assert_allclose(difference, best.decision_function(features), rtol=0.05, atol=0.1)


def test_the_same_seed_gives_the_same_weights_and_another_does_not(features: NDArray[np.float32]) -> None:
    one, two, other = fit(features, batch=8), fit(features, batch=8), fit(features, batch=8, seed=4)
    np.testing.assert_array_equal(one.weight, two.weight)
    assert not np.array_equal(one.weight, other.weight)


def test_half_precision_on_disk_gives_what_memory_gives(features: NDArray[np.float32], tmp_path: Path) -> None:
    np.save(tmp_path / "f.npy", features.astype(np.float16))
    on_disk = np.load(tmp_path / "f.npy", mmap_mode="r")
    in_memory = features.astype(np.float16).astype(np.float32)
    one, two = fit(on_disk), fit(in_memory)
    np.testing.assert_array_equal(one.weight, two.weight)
    np.testing.assert_array_equal(one.logits(on_disk), two.logits(in_memory))


def test_standardising_takes_the_training_rows_only(features: NDArray[np.float32]) -> None:
    shifted = features * 50 + 1000
    shifted[:, 5] = 7  # never varies
    found = fit(shifted, standardise=True)
    np.testing.assert_allclose(found.centre, shifted[TRAIN].mean(axis=0), rtol=1e-5)
    expected = shifted[TRAIN].std(axis=0)
    expected[5] = 1
    np.testing.assert_allclose(found.spread, expected, rtol=1e-4)
    by_hand = (shifted - found.centre) / found.spread @ found.weight.T + found.bias
    np.testing.assert_allclose(found.logits(shifted), by_hand, atol=1e-3)


def test_epochs_are_recorded_as_they_are(features: NDArray[np.float32]) -> None:
    told: list[Epoch] = []
    model, history = fit_softmax(
        features, LABELS, PATIENTS, TRAIN, VALIDATE, 2, SoftmaxPolicy(epochs=3, learning_rate=0.01),
        split="fold_1", on_epoch=told.append,
    )  # fmt: skip
    assert told == history
    assert [(row.split, row.epoch, row.images) for row in history] == [("fold_1", e, 40) for e in (1, 2, 3)]
    logits = model.logits(features[VALIDATE])
    assert history[-1].validation_accuracy == pytest.approx((logits.argmax(axis=1) == LABELS[VALIDATE]).mean())
    log_probs = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    expected = -log_probs[np.arange(20), LABELS[VALIDATE]].mean()
    assert history[-1].validation_loss == pytest.approx(expected, rel=1e-5)
    assert history[0].train_loss > history[-1].train_loss


def test_rare_classes_count_as_much_with_class_sampling_or_weights(features: NDArray[np.float32]) -> None:
    train = np.concatenate([np.flatnonzero(LABELS == 1)[:20], np.flatnonzero(LABELS == 0)[:3]])
    bias = {how: np.diff(fit(features * 0, train, epochs=200, **how_words).bias)[0] for how, how_words in {
        "natural": {}, "class": {"sampling": "class"}, "weighted": {"loss": "weighted", "batch": 23},
    }.items()}  # fmt: skip
    assert bias["natural"] > 1
    assert abs(bias["class"]) < 0.3
    assert abs(bias["weighted"]) < 0.1


def test_a_loss_that_is_no_number_stops_it(features: NDArray[np.float32]) -> None:
    features[3] = np.nan
    with pytest.raises(ModelError, match=r"the loss became nan at step [12] of .*; use a lower --learning-rate"):
        fit(features)
