"""Records of a training: how weights are updated, what is trained on which batches, and the result."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from cancernet_cli.core.records import Epoch
from cancernet_cli.training.losses import Loss

Batch = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class LoopPolicy:
    """How the weights are updated.

    learning_rate: at its peak. schedule: `cosine` rises linearly over the fraction `warm_up` of the steps, then falls
    as a cosine; `constant` stays at the peak.
    average: decay of the moving average of the weights at each step; 0: the weights themselves.
    clip: largest norm of the gradient.
    select: keep the epoch of least validation loss; otherwise the last one, and validation is only reported.
    patience: epochs without a better validation loss after which training stops, once all is unfrozen; 0: never.
    stop_after: stop after this many epochs, on the schedule of all `epochs`; None: train to the end.
    precision: dtype of the forward pass; float16 scales its gradients.
    """

    epochs: int = 30
    learning_rate: float = 1e-3
    schedule: Literal["cosine", "constant"] = "cosine"
    weight_decay: float = 1e-2
    warm_up: float = 0.1
    average: float = 0.99
    clip: float = 1.0
    select: bool = True
    patience: int = 0
    stop_after: int | None = None
    precision: torch.dtype = torch.float32


@dataclass(frozen=True)
class Group:
    """Parameters trained at `rate` times the learning rate, from epoch `start` (0: the first) on."""

    parameters: tuple[nn.Parameter, ...]
    rate: float = 1.0
    start: int = 0


@dataclass(frozen=True)
class Judgement:
    """Validation figures of the averaged weights; None where a figure is undefined."""

    loss: float
    accuracy: float | None = None
    auroc: float | None = None
    dice: float | None = None


@dataclass(frozen=True)
class Task:
    """What is trained.

    name: of the split, as `fold_0`. network: inputs to outputs, each module in the mode (training or not) that it
    trains in. learner: the part of it whose weights change and are saved. groups: all parameters that are trained; the
    others are frozen. batches: from an epoch (0: the first) on, without end, `steps` per epoch, on the network's
    device. images: drawn per epoch. loss: of outputs and targets. right: fraction of a batch that is correct.
    judge: validates; called in eval mode with the averaged weights in place. kept: what a stopped run without a
    checkpoint keeps all the same, for the message.
    seed: of what the network itself draws, such as dropped features; None: it draws nothing.
    """

    name: str
    network: nn.Module
    learner: nn.Module
    groups: Sequence[Group]
    batches: Callable[[int], Generator[Batch]]
    steps: int
    images: int
    loss: Loss
    right: Callable[[Tensor, Tensor], Tensor]
    judge: Callable[[], Judgement] | None = None
    kept: str = ""
    seed: int | None = None


@dataclass(frozen=True)
class Fitted:
    """The history, one record per epoch, and the epoch (from 1) whose weights the learner holds."""

    history: list[Epoch]
    best_epoch: int
