"""Softmax on given features, learned by gradient steps: the paper's classifier, epoch by epoch."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from cancernet_cli.core.arrays import F64, I64, Strings
from cancernet_cli.core.errors import ModelError
from cancernet_cli.core.records import Epoch
from cancernet_cli.training.losses import classification_loss
from cancernet_cli.training.samplers import Sampling, epoch_draws

ROWS_AT_ONCE = 256  # of features turned to float32; 100 MB of the widest


@dataclass(frozen=True)
class SoftmaxModel:
    """Logits are `((x - centre) / spread) @ weight.T + bias`; centre is 0 and spread 1 where nothing is standardised.

    centre, spread: `[F]`. weight: `[K, F]`. bias: `[K]`.
    """

    centre: F64
    spread: F64
    weight: F64
    bias: F64

    def logits(self, features: NDArray[np.floating]) -> F64:
        """`[N, F]`, of any precision and on disk if need be, to `[N, K]`."""
        weight = torch.from_numpy((self.weight / self.spread).astype(np.float32))
        bias = torch.from_numpy((self.bias - (self.weight / self.spread) @ self.centre).astype(np.float32))
        return _logits(features, np.arange(len(features)), weight, bias).double().numpy()


def fit_softmax(
    features: NDArray[np.floating],
    labels: I64,
    patients: Strings,
    train: I64,
    validate: I64,
    classes: int,
    *,
    epochs: int,
    learning_rate: float,
    sampling: Sampling = "natural",
    loss: Literal["cross-entropy", "weighted", "focal"] = "cross-entropy",
    seed: int = 0,
    batch: int = 32,
    standardise: bool = False,
    split: str = "",
    on_epoch: Callable[[Epoch], None] = lambda epoch: None,
) -> tuple[SoftmaxModel, list[Epoch]]:
    """Softmax regression by Adam (Kingma, Ba, arXiv:1412.6980); the same arguments give the same weights on a CPU.

    Weights and bias start at 0. Nothing is chosen by the validation rows: they are only looked at. `samplers` says how
    often an epoch draws an image, `losses` what is made small; an epoch draws as many images as there are to train on.

    Args:
        features: `[N, F]` of any precision; a memory map is read batch by batch.
        labels: `[N]`. patients: `[N]` names.
        train, validate: row numbers; the second may be none.
        standardise: every feature to mean 0 and deviation 1 over the training rows.
        split: the name under which the epochs are recorded.

    Returns:
        The model after the last epoch, and one record an epoch: training figures are means over the epoch's batches,
        each before its step; validation figures are taken after the epoch.

    Raises:
        ModelError: the loss is no longer a number.
    """
    width = features.shape[1]
    centre, spread = _moments(features, train) if standardise else (np.zeros(width), np.ones(width))
    shift, scale = (torch.from_numpy(v.astype(np.float32)) for v in (centre, spread))
    weight, bias = torch.zeros(classes, width, requires_grad=True), torch.zeros(classes, requires_grad=True)
    # Fused: one pass over the weights instead of a dozen; ten times as fast for a hundred thousand features.
    optimiser = torch.optim.Adam([weight, bias], lr=learning_rate, fused=True)
    target = torch.from_numpy(labels)
    room = torch.empty(batch, width)  # used again by every batch: fresh memory costs more than the step itself
    loss_of = classification_loss(loss, torch.bincount(target[train], minlength=classes))
    history = []
    for number in range(1, epochs + 1):
        started = time.monotonic()
        order = train[epoch_draws(labels[train], patients[train], sampling, len(train), seed=seed, epoch=number)]
        total, right = 0.0, 0
        for rows in np.array_split(order, math.ceil(len(order) / batch)):
            inputs = room[: len(rows)].copy_(torch.from_numpy(features[rows]))
            if standardise:
                inputs.sub_(shift).div_(scale)
            logits = F.linear(inputs, weight, bias)
            value = loss_of(logits, target[rows])
            optimiser.zero_grad(set_to_none=True)
            value.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            total += float(value.detach()) * len(rows)
            right += int((logits.detach().argmax(dim=1) == target[rows]).sum())
        if not math.isfinite(total):
            raise ModelError(f"the loss became {total} in epoch {number}", fix="give a lower --learning-rate")
        validation_loss, validation_accuracy = None, None
        if len(validate):
            with torch.no_grad():
                folded = weight / scale
                seen = _logits(features, validate, folded, bias - folded @ shift)
                validation_loss = float(loss_of(seen, target[validate]))
                validation_accuracy = float((seen.argmax(dim=1) == target[validate]).float().mean())
        history.append(
            Epoch(
                split=split,
                epoch=number,
                train_loss=total / len(order),
                train_accuracy=right / len(order),
                validation_loss=validation_loss,
                validation_accuracy=validation_accuracy,
                learning_rate=learning_rate,
                images=len(order),
                elapsed_s=time.monotonic() - started,
            )
        )
        on_epoch(history[-1])
    found = (v.detach().double().numpy() for v in (weight, bias))
    return SoftmaxModel(centre, spread, *found), history


def _moments(features: NDArray[np.floating], rows: I64) -> tuple[F64, F64]:
    """Mean and standard deviation of each feature over the rows; what never varies has deviation 1."""
    parts = [features[part].astype(np.float64) for part in _parts(rows)]
    centre = np.asarray(sum(part.sum(axis=0) for part in parts) / len(rows), np.float64)
    variance = sum(np.square(part - centre).sum(axis=0) for part in parts) / len(rows)
    deviation = np.sqrt(variance)
    return centre, np.where(deviation > 1e-6, deviation, 1.0)


def _logits(features: NDArray[np.floating], rows: I64, weight: Tensor, bias: Tensor) -> Tensor:
    return torch.cat([F.linear(_float(features[part]), weight, bias) for part in _parts(rows)])


def _parts(rows: I64) -> list[I64]:
    return np.array_split(rows, max(1, math.ceil(len(rows) / ROWS_AT_ONCE)))


def _float(rows: NDArray[np.floating]) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(rows)).float()
