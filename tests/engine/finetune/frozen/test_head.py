"""Learning on frozen features: nothing is scored by a model that has seen it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from cancernet_cli.classification import heads
from cancernet_cli.core.events import Event, StageAdvanced, StageStarted
from cancernet_cli.core.options.recipes import MODERN, PAPER, Recipe
from cancernet_cli.engine.finetune.frozen.head import HeadTrainer, fill_head

N = 24
LABELS = np.arange(N) // 2 % 2
PATIENTS = np.array([f"p{i // 2}" for i in range(N)])
FOLDS = np.arange(N) // 2 % 3
RECIPES = {
    "logistic": replace(MODERN, head="level_stats"),
    "adam, standardised": replace(MODERN, head="level_stats", fit="adam", epochs=3),
    "adam, as it is": replace(PAPER, epochs=3),
}


def features(variants: int = 0, width: int = 20) -> np.ndarray:
    random = np.random.default_rng(0)
    values = random.normal(size=(N, 1 + variants, width))
    values[..., 0] += 2 * LABELS[:, None]
    return values.astype(np.float32)


def trainer(values: np.ndarray, recipe: Recipe) -> HeadTrainer:
    return HeadTrainer(values, LABELS, PATIENTS, 2, recipe, seed=0)


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES.keys())
class TestLearn:
    def test_a_fold_is_scored_by_a_model_that_has_not_seen_it(self, recipe: Recipe) -> None:
        values = features()
        found = trainer(values, recipe).by_folds(FOLDS)
        assert set(found.models) == {0, 1, 2}
        for fold, model in found.models.items():
            test = fold == FOLDS
            np.testing.assert_allclose(found.logits[test], model.logits(values[test, 0]), atol=1e-5)
            changed = values.copy()
            changed[test] = 99.0
            again, _ = trainer(changed, recipe).fit(np.flatnonzero(~test), np.flatnonzero(test), split="")
            np.testing.assert_array_equal(again.weight, model.weight)  # type: ignore[attr-defined]

    def test_the_head_of_the_registry_gives_the_same_logits(self, recipe: Recipe) -> None:
        torch.manual_seed(0)
        maps = [torch.rand(N, 2, 7, 7)]
        read = heads[recipe.head].facts["reads"](maps)
        linear, _ = trainer(read.numpy()[:, None], recipe).on_everything()
        head = heads[recipe.head].factory((2,), 2)
        fill_head(head, linear)
        np.testing.assert_allclose(head(maps).detach(), linear.logits(read.numpy()), atol=1e-4)

    def test_variants_are_trained_on_and_not_scored(self, recipe: Recipe) -> None:
        values = features(variants=2)
        found = trainer(values, recipe).by_folds(FOLDS)
        assert found.logits.shape == (N, 2)
        alone = trainer(values[:, :1], recipe).by_folds(FOLDS)
        assert not np.allclose(found.logits, alone.logits)


def test_epochs_are_recorded_by_fold_and_told() -> None:
    told: list[Event] = []
    found = trainer(features(), RECIPES["adam, as it is"]).by_folds(FOLDS, told.append, stage="here")
    assert [(row.split, row.epoch) for row in found.history] == [(f"fold_{f}", e) for f in range(3) for e in (1, 2, 3)]
    assert told[0] == StageStarted("here", 9, "epochs")
    assert sum(event.done for event in told if isinstance(event, StageAdvanced)) == 9
    assert all(row.validation_accuracy is not None for row in found.history)
    _, final = trainer(features(), RECIPES["adam, as it is"]).on_everything()
    assert [(row.split, row.validation_loss) for row in final] == [("final", None)] * 3


def test_rows_outside_every_fold_are_only_trained_on() -> None:
    folds = np.where(FOLDS == 0, -1, FOLDS)
    found = trainer(features(), RECIPES["logistic"]).by_folds(folds)
    assert set(found.models) == {1, 2}
    assert np.isnan(found.logits[folds < 0]).all()
    assert np.isfinite(found.logits[folds >= 0]).all()
