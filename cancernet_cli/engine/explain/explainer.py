"""What each place of a view adds to the log odds of a class, by PyTorch on the CPU."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple, cast

import numpy as np
import torch
from torch import Tensor

from cancernet_cli.classification.base import Classifier
from cancernet_cli.classification.contributions import contributions
from cancernet_cli.core.arrays import F32
from cancernet_cli.core.cards import Card
from cancernet_cli.inference.pipeline import Batch, Pipeline, load_pipeline


class Explained(NamedTuple):
    """maps: `[V, h, w]` float32, one per view and of its size. constant: what no place adds. is_exact: whether
    the sum of a map and the constant is the view's score (`classification.contributions`).
    """

    maps: F32
    constant: float
    is_exact: bool


class Explainer:
    """Explains views with a model's networks in full precision, whatever computed the predictions.

    On the CPU, so that it disturbs neither OpenVINO nor a CUDA graph, and because only a few images are explained.

    Args:
        folder: Of the model. card: Its card, with the run's segmenter filled in.
    """

    def __init__(self, folder: Path, card: Card) -> None:
        self._card = card
        self.pipeline = load_pipeline(folder, card)

    def __call__(self, views: Tensor, direction: F32) -> Explained:
        """Contributions to `logits @ direction`, divided by the card's temperature as probabilities are.

        Args:
            views: `[V, h, w, 3]` uint8. direction: `[K]` float32.
        """
        temperature, head = self._card.decision.temperature, self._card.architecture.head
        pixels = prepare(self.pipeline, views)
        found = contributions(cast(Classifier, self.pipeline.classifier), head, pixels, torch.from_numpy(direction))
        maps = found.at_size(views.shape[1], views.shape[2]).numpy() / temperature
        return Explained(np.asarray(maps, np.float32), found.constant / temperature, found.is_exact)


@torch.no_grad()
def prepare(pipeline: Pipeline, views: Tensor) -> Tensor:
    """The pixels that the classifier sees of views, `[V, 3, h, w]` float32: after all stages but the last."""
    batch = Batch(views)
    for _, run in pipeline.stages()[:-1]:
        batch = run(batch)
    return batch.pixels
