"""Softmax regression on precomputed features, trained by gradient steps: the paper's classifier."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator
from dataclasses import dataclass
from itertools import count

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from cancernet_cli.core.arrays import F64, I64, Strings
from cancernet_cli.core.choices import ClassLoss, Sampling
from cancernet_cli.core.records import Epoch
from cancernet_cli.training.logistic import LinearModel
from cancernet_cli.training.loop import fit
from cancernet_cli.training.losses import classification_loss, share_right
from cancernet_cli.training.samplers import epoch_draws
from cancernet_cli.training.task import Batch, Group, Judgement, LoopPolicy, Task

ROWS_AT_ONCE = 256  # of features turned to float32; 100 MB of the widest


class SoftmaxModel(LinearModel):
    """A linear model of wide features, applied in float32 a few rows at a time."""

    def logits(self, features: NDArray[np.floating]) -> F64:
        """`[N, F]` of any precision, in memory or on disk, to `[N, K]`."""
        weight = torch.from_numpy((self.weight / self.spread).astype(np.float32))
        bias = torch.from_numpy((self.bias - (self.weight / self.spread) @ self.centre).astype(np.float32))
        return _logits(features, np.arange(len(features)), weight, bias).double().numpy()


@dataclass(frozen=True, kw_only=True)
class SoftmaxPolicy:
    """How a softmax head is trained: by Adam (Kingma, Ba, arXiv:1412.6980) at a constant learning rate.

    sampling: how often an epoch draws an image (`training.samplers`). loss: see `training.losses`. batch: rows per
    step, at most. standardise: scale every feature to mean 0 and standard deviation 1 over the training rows.
    """

    epochs: int
    learning_rate: float
    sampling: Sampling = "natural"
    loss: ClassLoss = "cross-entropy"
    batch: int = 32
    standardise: bool = False


def fit_softmax(
    features: NDArray[np.floating],
    labels: I64,
    patients: Strings,
    train: I64,
    validate: I64,
    classes: int,
    policy: SoftmaxPolicy,
    *,
    seed: int = 0,
    split: str = "",
    on_epoch: Callable[[Epoch], None] = lambda epoch: None,
) -> tuple[SoftmaxModel, list[Epoch]]:
    """Softmax regression by `training.loop`; the same arguments give the same weights on a CPU.

    Weights and bias start at 0. Nothing is chosen on the validation rows; they are only reported. An epoch draws as
    many images as there are training rows.

    Args:
        features: `[N, F]` of any precision; a memory map is read batch by batch.
        labels: `[N]`. patients: `[N]` names. train, validate: row numbers; `validate` may be empty.
        split: the name under which the epochs are recorded.

    Returns:
        The model after the last epoch, and one record per epoch: training figures are means over its batches, each
        before its step; validation figures are measured after the epoch.

    Raises:
        ModelError: the loss is no longer finite.
        Interrupted: a signal asked to stop.
    """
    width = features.shape[1]
    centre, spread = _moments(features, train) if policy.standardise else (np.zeros(width), np.ones(width))
    shift, scale = (torch.from_numpy(v.astype(np.float32)) for v in (centre, spread))
    layer = _zero_layer(width, classes)
    target = torch.from_numpy(labels)
    loss_of = classification_loss(policy.loss, torch.bincount(target[train], minlength=classes))
    steps = math.ceil(len(train) / policy.batch)

    def batches(first_epoch: int) -> Generator[Batch]:
        room = torch.empty(policy.batch, width)  # reused by every batch: fresh memory costs more than the step itself
        for epoch in count(first_epoch + 1):
            draws = epoch_draws(labels[train], patients[train], policy.sampling, len(train), seed=seed, epoch=epoch)
            for rows in np.array_split(train[draws], steps):
                inputs = room[: len(rows)].copy_(torch.from_numpy(features[rows]))
                yield inputs.sub_(shift).div_(scale) if policy.standardise else inputs, target[rows]

    def judge() -> Judgement:
        folded = layer.weight / scale
        seen = _logits(features, validate, folded, layer.bias - folded @ shift)
        return Judgement(float(loss_of(seen, target[validate])), float(share_right(seen, target[validate])))

    task = Task(
        split, layer, layer, [Group(tuple(layer.parameters()))], batches, steps, len(train), loss_of, share_right,
        judge if len(validate) else None, kept="the features are kept",
    )  # fmt: skip
    fitted = fit(task, _adam(policy), on_epoch=on_epoch)
    weight, bias = (v.double().numpy() for v in (layer.weight, layer.bias))
    return SoftmaxModel(centre, spread, weight, bias), fitted.history


def _zero_layer(width: int, classes: int) -> nn.Linear:
    layer: nn.Linear = nn.utils.skip_init(nn.Linear, width, classes)  # type: ignore[no-untyped-call]
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


def _adam(policy: SoftmaxPolicy) -> LoopPolicy:
    """Plain Adam in terms of the loop: AdamW without decay, averaging, clipping, schedule or choice of an epoch."""
    return LoopPolicy(
        epochs=policy.epochs,
        learning_rate=policy.learning_rate,
        schedule="constant",
        weight_decay=0.0,
        average=0.0,
        clip=math.inf,
        select=False,
    )


def _moments(features: NDArray[np.floating], rows: I64) -> tuple[F64, F64]:
    """Mean and standard deviation of each feature over the rows; constant features have deviation 1."""
    parts = [features[part].astype(np.float64) for part in _parts(rows)]
    centre = np.asarray(sum(part.sum(axis=0) for part in parts) / len(rows), np.float64)
    variance = sum(np.square(part - centre).sum(axis=0) for part in parts) / len(rows)
    deviation = np.sqrt(variance)
    return centre, np.where(deviation > 1e-6, deviation, 1.0)


def _logits(features: NDArray[np.floating], rows: I64, weight: Tensor, bias: Tensor) -> Tensor:
    parts = (torch.from_numpy(np.ascontiguousarray(features[part])).float() for part in _parts(rows))
    return torch.cat([F.linear(part, weight, bias) for part in parts])


def _parts(rows: I64) -> list[I64]:
    return np.array_split(rows, max(1, math.ceil(len(rows) / ROWS_AT_ONCE)))
