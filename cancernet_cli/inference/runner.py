"""What runs a pipeline over views."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from torch import Tensor


@dataclass(frozen=True)
class Outputs:
    """What the networks say of V views, float32: logits `[V, K]`, mask fraction `[V]`, mask `[V, h, w]` if wanted."""

    logits: np.ndarray
    mask_fraction: np.ndarray
    mask: np.ndarray | None


class Runner(Protocol):
    """Runs a model's networks over views.

    `in_flight` batches are to be under way before the first is waited for.
    """

    @property
    def in_flight(self) -> int: ...

    def start(self, pixels: Tensor) -> Callable[[], Outputs]:
        """Send `[V, h, w, 3]` uint8 views on their way; calling what comes back waits for the answer."""
