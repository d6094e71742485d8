"""The training loop: AdamW, warm-up and cosine, a moving average of the weights."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from cancernet_cli.core.errors import ModelError

Batch = tuple[Tensor, Tensor]
Loss = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class LoopPolicy:
    """How the weights move.

    learning_rate: at its peak. warm_up: share of the steps in which it rises from nothing; then it falls as a cosine
    to nothing (Loshchilov, Hutter, arXiv:1608.03983). average: the moving average keeps this share of itself at each
    step, less while it is young. clip: largest norm of the gradient.
    """

    learning_rate: float = 1e-3
    weight_decay: float = 1e-2
    warm_up: float = 0.1
    average: float = 0.99
    clip: float = 1.0


def fit(
    network: nn.Module,
    batches: Iterable[Batch],
    steps: int,
    loss_of: Loss,
    policy: LoopPolicy = LoopPolicy(),
    on_step: Callable[[int, float], None] = lambda step, loss: None,
) -> None:
    """Train `network` in place; it ends in eval mode with the moving average of its weights.

    Args:
        batches: network input and target, at least `steps` of them.
        on_step: called with the number of steps done and the loss of the last one.

    Raises:
        ModelError: the loss is no longer a number.
    """
    optimiser = torch.optim.AdamW(network.parameters(), lr=policy.learning_rate, weight_decay=policy.weight_decay)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: rate_at(step, steps, policy.warm_up))
    average = {name: value.detach().clone() for name, value in network.state_dict().items()}
    network.train()
    for step, (inputs, target) in zip(range(1, steps + 1), batches, strict=False):
        loss = loss_of(network(inputs), target)
        figure = loss.item()  # a wait on the device: the only one, and it stops a run that has gone wrong
        if not math.isfinite(figure):
            raise ModelError(f"the loss became {figure} at step {step}", fix="check the images and masks")
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(network.parameters(), policy.clip)
        optimiser.step()
        schedule.step()
        _move(average, network.state_dict(), min(policy.average, step / (step + 10)))
        on_step(step, figure)
    network.load_state_dict(average)
    network.eval()


def rate_at(step: int, steps: int, warm_up: float) -> float:
    """Share of the peak learning rate at a step: a straight rise, then half a cosine down to nothing."""
    rise = max(1, round(warm_up * steps))
    if step < rise:
        return (step + 1) / rise
    return 0.5 * (1 + math.cos(math.pi * min(1.0, (step - rise) / max(1, steps - rise))))


@torch.no_grad()
def _move(average: dict[str, Tensor], now: dict[str, Tensor], keep: float) -> None:
    for name, value in now.items():
        if value.is_floating_point():
            average[name].lerp_(value, 1 - keep)
        else:
            average[name].copy_(value)
