"""What a training hands over, however it was done."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from torch import nn

from cancernet_cli.core.arrays import F64
from cancernet_cli.core.records import Epoch
from cancernet_cli.engine.finetune.dataset.labelled_images import LabelledImages


@dataclass(frozen=True)
class Learned:
    """What a training leaves.

    images: those that could be read. logits: `[N, K]`, of every image that the weights behind them had not learned
    from, NaN elsewhere. classifier: what ships. others: figures by segmenter, of the segmenters measured beside.
    """

    images: LabelledImages
    logits: F64
    classifier: nn.Module
    history: list[Epoch]
    others: dict[str, Any] = field(default_factory=dict)
