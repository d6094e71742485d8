"""Learning a head on features that are computed once: by folds, and on everything."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from cancernet_cli.core import interruption
from cancernet_cli.core.arrays import F64, I64, Strings
from cancernet_cli.core.events import Reporter, StageAdvanced, StageFinished, StageStarted, silent
from cancernet_cli.core.recipes import Recipe
from cancernet_cli.core.records import Epoch
from cancernet_cli.training.logistic import fit_logistic
from cancernet_cli.training.softmax import fit_softmax

Values = NDArray[np.floating]

ROWS_AT_ONCE = 256
STANDARDISED = ("level_stats", "correlations")  # heads that keep mean and deviation of what they read


class Scorer(Protocol):
    """Anything fitted that gives features `[N, F]` logits `[N, K]`."""

    def logits(self, features: Values, /) -> F64:
        """`[N, F]` to `[N, K]`."""
        ...


class Linear(Scorer, Protocol):
    """A fitted head: logits are `((x - centre) / spread) @ weight.T + bias`."""

    @property
    def centre(self) -> F64:
        """`[F]`."""

    @property
    def spread(self) -> F64:
        """`[F]`."""

    @property
    def weight(self) -> F64:
        """`[K, F]`."""

    @property
    def bias(self) -> F64:
        """`[K]`."""


@dataclass(frozen=True)
class OutOfFold:
    """What a cross-validation leaves.

    logits: `[N, K]`, each row from the model of its own fold, which has not learned from it; NaN where the fold is
    negative. models: one a fold. history: the folds' epochs, empty where nothing is learned by epochs.
    """

    logits: F64
    models: dict[int, Scorer]
    history: list[Epoch]


# From the rows to learn from, the rows to look at, and the name of the split.
Fit = Callable[[I64, I64, str], tuple[Scorer, list[Epoch]]]
OnEpoch = Callable[[Epoch], None]


def learn(
    features: Values,
    labels: I64,
    patients: Strings,
    folds: I64,
    classes: int,
    recipe: Recipe,
    seed: int,
    report: Reporter = silent,
    *,
    stage: str = "folds",
) -> OutOfFold:
    """Fit the recipe's head on each fold's complement and score the fold with it.

    Args:
        features: `[N, A, F]`, of each image (first) and its variants; may lie on disk.
        labels: `[N]`. patients: `[N]` names. folds: `[N]`; negative: learned from in every fold, never scored.
    """

    def advance(epoch: Epoch) -> None:
        report(StageAdvanced(stage, 1, figures=_figures(epoch)))
        interruption.check("the features are kept")

    def fit(train: I64, test: I64, split: str) -> tuple[Scorer, list[Epoch]]:
        found = fit_head(features, labels, patients, train, test, classes, recipe, seed, split=split, on_epoch=advance)
        if recipe.fit != "adam":
            report(StageAdvanced(stage, 1))
            interruption.check("the features are kept")
        return found

    count = len(np.unique(folds[folds >= 0]))
    by_epochs = recipe.fit == "adam"
    report(StageStarted(stage, count * recipe.epochs if by_epochs else count, "epochs" if by_epochs else "folds"))
    found = out_of_fold(features[:, 0], folds, classes, fit)
    report(StageFinished(stage))
    return found


def learn_all(
    features: Values,
    labels: I64,
    patients: Strings,
    classes: int,
    recipe: Recipe,
    seed: int,
    report: Reporter = silent,
    *,
    stage: str = "final fit",
) -> tuple[Linear, list[Epoch]]:
    """Fit the recipe's head on every image; arguments as `learn`."""
    report(StageStarted(stage, recipe.epochs if recipe.fit == "adam" else None, "epochs"))

    def advance(epoch: Epoch) -> None:
        report(StageAdvanced(stage, 1, figures=_figures(epoch)))
        interruption.check("the features are kept")

    everything, nothing = np.arange(len(labels)), np.zeros(0, np.int64)
    found = fit_head(
        features, labels, patients, everything, nothing, classes, recipe, seed, split="final", on_epoch=advance
    )
    report(StageFinished(stage))
    return found


def fit_head(
    features: Values,
    labels: I64,
    patients: Strings,
    train: I64,
    validate: I64,
    classes: int,
    recipe: Recipe,
    seed: int,
    *,
    split: str,
    on_epoch: OnEpoch = lambda epoch: None,
) -> tuple[Linear, list[Epoch]]:
    """The recipe's head learned from the rows `train`; the rows `validate` are looked at after each epoch, no more."""
    if recipe.fit == "logistic":
        values = np.asarray(features[train], np.float64)
        return fit_logistic(values, labels[train], patients[train], classes, seed), []
    count, variants, width = features.shape
    return fit_softmax(
        features.reshape(count * variants, width),
        np.repeat(labels, variants),
        np.repeat(patients, variants),
        (train[:, None] * variants + np.arange(variants)).ravel(),
        validate * variants,
        classes,
        epochs=recipe.epochs,
        learning_rate=recipe.learning_rate,
        sampling=recipe.sampling,
        loss=recipe.loss,
        seed=seed,
        standardise=recipe.head in STANDARDISED,
        split=split,
        on_epoch=on_epoch,
    )


def out_of_fold(values: Values, folds: I64, classes: int, fit: Fit) -> OutOfFold:
    """Fit on each fold's complement, and score the fold.

    Args:
        values: `[N, F]`, may lie on disk.
    """
    logits = np.full((len(values), classes), np.nan)
    models: dict[int, Scorer] = {}
    history: list[Epoch] = []
    for fold in np.unique(folds[folds >= 0]).tolist():
        test = np.flatnonzero(folds == fold)
        models[fold], epochs = fit(np.flatnonzero(folds != fold), test, f"fold_{fold}")
        history += epochs
        for part in np.array_split(test, math.ceil(len(test) / ROWS_AT_ONCE)):
            logits[part] = models[fold].logits(values[part])
    return OutOfFold(logits, models, history)


def fill_head(head: nn.Module, linear: Linear) -> None:
    """Put a fitted linear model into a head of the registry, whether it standardises what it reads or not."""
    state = {"centre": linear.centre, "spread": linear.spread}
    weight, bias = linear.weight, linear.bias
    if "centre" not in head.state_dict():
        weight = weight / linear.spread
        bias, state = bias - weight @ linear.centre, {}
    state |= {"linear.weight": weight, "linear.bias": bias}
    head.load_state_dict({name: torch.from_numpy(value.astype(np.float32)) for name, value in state.items()})


def _figures(epoch: Epoch) -> dict[str, float]:
    shown = {"loss": epoch.train_loss, "accuracy": epoch.train_accuracy, "validation": epoch.validation_accuracy}
    return {name: value for name, value in shown.items() if value is not None}
