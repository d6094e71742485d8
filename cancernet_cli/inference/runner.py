"""The interface of a runner, which computes a model's networks on batches of views."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from torch import Tensor


@dataclass(frozen=True)
class Outputs:
    """Outputs of the networks for V views, in float32.

    logits: `[V, K]`, before temperature scaling. mask_fraction: `[V]`. mask: `[V, H, W]`, None unless requested.
    novelty: `[V]`, see `classification.domain`; NaN if the model cannot tell, None for all NaN.
    """

    logits: np.ndarray
    mask_fraction: np.ndarray
    mask: np.ndarray | None
    novelty: np.ndarray | None = None

    @classmethod
    def empty(cls) -> Outputs:
        """The outputs of a batch without views, in which every file failed."""
        return cls(np.empty((0, 0), np.float32), np.empty(0, np.float32), None, np.empty(0, np.float32))


class Runner(Protocol):
    """Runs a model's networks on batches of views.

    `in_flight` is the number of batches to start before waiting for the first.
    """

    @property
    def in_flight(self) -> int: ...

    def start(self, pixels: Tensor) -> Callable[[], Outputs]:
        """Start computing views, `[V, H, W, 3]` uint8; the function returned waits for their outputs."""
