"""Trains a head on precomputed features: by folds, and on everything."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from cancernet_cli.classification import heads
from cancernet_cli.core import interruption
from cancernet_cli.core.arrays import F64, I64, Strings
from cancernet_cli.core.events import Reporter, StageAdvanced, StageFinished, StageStarted, silent
from cancernet_cli.core.options.recipes import Recipe
from cancernet_cli.core.records import Epoch
from cancernet_cli.training.logistic import LinearModel, fit_logistic
from cancernet_cli.training.softmax import SoftmaxPolicy, fit_softmax

Values = NDArray[np.floating]

ROWS_AT_ONCE = 256


class Scorer(Protocol):
    """A fitted model from features `[N, F]` to logits `[N, K]`."""

    def logits(self, features: Values, /) -> F64: ...


@dataclass(frozen=True)
class OutOfFold:
    """The result of a cross-validation.

    logits: `[N, K]`, each row from the model of its fold, which was not trained on it; NaN where the fold is negative.
    models: one per fold. history: the folds' epochs; empty for a fit without epochs.
    """

    logits: F64
    models: dict[int, Scorer]
    history: list[Epoch]


# Takes the training rows, the rows to report on, and the name of the split.
Fit = Callable[[I64, I64, str], tuple[Scorer, list[Epoch]]]
OnEpoch = Callable[[Epoch], None]


@dataclass(frozen=True)
class HeadTrainer:
    """Fits a recipe's head on features.

    features: `[N, A, F]`, of each image (first) and its variants; may be on disk. labels: `[N]`. patients: `[N]` names.
    classes: K.
    """

    features: Values
    labels: I64
    patients: Strings
    classes: int
    recipe: Recipe
    seed: int

    def by_folds(self, folds: I64, report: Reporter = silent, *, stage: str = "folds") -> OutOfFold:
        """Fit on each fold's complement and score the fold.

        Args:
            folds: `[N]`; images of a negative fold are trained on in every fold and never scored.
        """
        return self.by_divisions([folds], report, stage=stage)[0]

    def by_divisions(
        self, divisions: Sequence[I64], report: Reporter = silent, *, stage: str = "folds"
    ) -> list[OutOfFold]:
        """`by_folds` for each of several divisions into folds.

        In the history the second division's folds are `division_2_fold_0` and so on.
        """
        count = sum(len(np.unique(folds[folds >= 0])) for folds in divisions)
        has_epochs = self.recipe.fit == "adam"
        total = count * self.recipe.epochs if has_epochs else count
        report(StageStarted(stage, total, "epochs" if has_epochs else "folds"))

        def fit(train: I64, test: I64, split: str) -> tuple[Scorer, list[Epoch]]:
            found = self.fit(train, test, split=split, on_epoch=_advance(stage, report))
            if not has_epochs:
                report(StageAdvanced(stage, 1))
                interruption.check("the features are kept")
            return found

        values = self.features[:, 0]
        found = [
            out_of_fold(values, folds, self.classes, fit, prefix=division_prefix(number))
            for number, folds in enumerate(divisions)
        ]
        report(StageFinished(stage))
        return found

    def on_everything(self, report: Reporter = silent) -> tuple[LinearModel, list[Epoch]]:
        """Fit on every image."""
        stage, has_epochs = "fit on all images", self.recipe.fit == "adam"
        report(StageStarted(stage, self.recipe.epochs if has_epochs else 1, "epochs" if has_epochs else "fits"))
        everything, nothing = np.arange(len(self.labels)), np.zeros(0, np.int64)
        found = self.fit(everything, nothing, split="final", on_epoch=_advance(stage, report))
        if not has_epochs:
            report(StageAdvanced(stage, 1))
        report(StageFinished(stage))
        return found

    def fit(
        self, train: I64, validate: I64, *, split: str, on_epoch: OnEpoch = lambda epoch: None
    ) -> tuple[LinearModel, list[Epoch]]:
        """Fit on the rows `train`; the rows `validate` are only reported, after each epoch."""
        recipe = self.recipe
        if recipe.fit == "logistic":
            values = np.asarray(self.features[train], np.float64)
            return fit_logistic(values, self.labels[train], self.patients[train], self.classes, self.seed), []
        count, variants, width = self.features.shape
        policy = SoftmaxPolicy(
            epochs=recipe.epochs,
            learning_rate=recipe.learning_rate,
            sampling=recipe.sampling,
            loss=recipe.loss,
            standardise=bool(heads[recipe.head].facts.get("standardised")),
        )
        return fit_softmax(
            self.features.reshape(count * variants, width),
            np.repeat(self.labels, variants),
            np.repeat(self.patients, variants),
            (train[:, None] * variants + np.arange(variants)).ravel(),
            validate * variants,
            self.classes,
            policy,
            seed=self.seed,
            split=split,
            on_epoch=on_epoch,
        )


def division_prefix(number: int) -> str:
    """What precedes `fold_0` in the name of a training, for a division's number from 0; the first has no prefix."""
    return f"division_{number + 1}_" if number else ""


def out_of_fold(values: Values, folds: I64, classes: int, fit: Fit, *, prefix: str = "") -> OutOfFold:
    """Fit on each fold's complement and score the fold.

    Args:
        values: `[N, F]`; may be on disk. prefix: of the names of the folds.
    """
    logits = np.full((len(values), classes), np.nan)
    models: dict[int, Scorer] = {}
    history: list[Epoch] = []
    for fold in np.unique(folds[folds >= 0]).tolist():
        test = np.flatnonzero(folds == fold)
        models[fold], epochs = fit(np.flatnonzero(folds != fold), test, f"{prefix}fold_{fold}")
        history += epochs
        for part in np.array_split(test, math.ceil(len(test) / ROWS_AT_ONCE)):
            logits[part] = models[fold].logits(values[part])
    return OutOfFold(logits, models, history)


def fill_head(head: nn.Module, linear: LinearModel) -> None:
    """Load a fitted linear model into a head of the registry, whether it standardises its input or not."""
    state = {"centre": linear.centre, "spread": linear.spread}
    weight, bias = linear.weight, linear.bias
    if "centre" not in head.state_dict():
        weight = weight / linear.spread
        bias, state = bias - weight @ linear.centre, {}
    state |= {"linear.weight": weight, "linear.bias": bias}
    head.load_state_dict({name: torch.from_numpy(value.astype(np.float32)) for name, value in state.items()})


def _advance(stage: str, report: Reporter) -> OnEpoch:
    def advance(epoch: Epoch) -> None:
        shown = {"loss": epoch.train_loss, "accuracy": epoch.train_accuracy, "validation": epoch.validation_accuracy}
        report(StageAdvanced(stage, 1, figures={name: value for name, value in shown.items() if value is not None}))
        interruption.check("the features are kept")

    return advance
