"""An exponential moving average of a network's weights (Polyak, Juditsky, SIAM J. Control Optim. 30(4), 1992)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor
from torch.optim.swa_utils import get_ema_multi_avg_fn


class MovingAverage:
    """The moving average of some tensors; those that are not floating point are copied.

    PyTorch's `AveragedModel` copies a whole module, frozen parts too, and has no decay that grows with the steps.

    Args:
        tensors: by name, to be followed in place.
        keep: the decay; smaller during the first steps.
    """

    def __init__(self, tensors: Mapping[str, Tensor], keep: float) -> None:
        self.keep = keep
        self._now = dict(tensors)
        self._average = copied(tensors)
        self._floats = [name for name, value in self._now.items() if value.is_floating_point()]
        self._others = [name for name in self._now if name not in set(self._floats)]

    @torch.no_grad()
    def move(self, step: int) -> None:
        """Update with the tensors as they are after `step` steps (from 1)."""
        follow = get_ema_multi_avg_fn(min(self.keep, step / (step + 10)))  # type: ignore[no-untyped-call]
        follow([self._average[n] for n in self._floats], [self._now[n] for n in self._floats], step)
        for name in self._others:
            self._average[name].copy_(self._now[name])

    def state(self) -> dict[str, Tensor]:
        """The averages, not copied."""
        return self._average

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Replace the tensors by their averages inside the block, and restore them after it."""
        kept = copied(self._now)
        put(self._average, self._now)
        try:
            yield
        finally:
            put(kept, self._now)


def copied(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Detached copies with the same memory layout."""
    return {name: value.detach().clone() for name, value in tensors.items()}


@torch.no_grad()
def put(values: Mapping[str, Tensor], into: Mapping[str, Tensor]) -> None:
    """Copy values in place into the tensors of the same names."""
    for name, value in values.items():
        into[name].copy_(value)
