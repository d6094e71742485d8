"""What a frozen backbone sees in every image: computed once, learned from as often as wanted."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from cancernet_cli.classification.base import Backbone
from cancernet_cli.classification.head_level_stats import level_statistics
from cancernet_cli.core.cards import Card, InputPolicy
from cancernet_cli.core.events import Reporter, StageAdvanced, StageFinished, StageStarted, Warn
from cancernet_cli.core.options import FinetuneOptions
from cancernet_cli.core.records import FoundFile
from cancernet_cli.data.readers import UnreadableImage, read_image
from cancernet_cli.data.views import make_views
from cancernet_cli.engine.finetune_folder import check_interruption
from cancernet_cli.engine.pipeline import Pipeline
from cancernet_cli.engine.runtime import keep_freed_memory, resolve
from cancernet_cli.training.augment import AugmentPolicy, rescaled, restain

# Half as far as a U-Net's crops: a variant must keep its label's texture.
VARIANTS = AugmentPolicy(zoom=(0.8, 1.25), stain=0.25, light=0.15, blur=0.0)


@dataclass(frozen=True)
class Features:
    """values: `[N, A, F]` float64, of each image (first) and its variants; rows: which of the files they are."""

    values: NDArray[np.float64]
    rows: NDArray[np.int64]


class Statistics(nn.Module):
    """Normalised pixels to the statistics that the `level_stats` head standardises."""

    def __init__(self, backbone: Backbone) -> None:
        super().__init__()
        self.backbone = backbone

    def forward(self, pixels: Tensor) -> Tensor:
        """`[B, 3, H, W]` to `[B, F]` float32."""
        return level_statistics(self.backbone(pixels))


def image_features(
    files: list[FoundFile],
    backbone: Backbone,
    segmenter: nn.Module,
    card: Card,
    options: FinetuneOptions,
    report: Reporter,
    *,
    stage: str,
    variants: int = 0,
) -> Features:
    """Statistics of every image that can be read, mean over its views; the pixels go the way of `engine.pipeline`."""
    runtime = resolve(options)
    keep_freed_memory(runtime.device)
    pipeline = Pipeline(card, segmenter, Statistics(backbone)).eval().to(runtime.device)
    pipeline = pipeline.to(memory_format=torch.channels_last)
    max_pixels = int(options.max_megapixels * 1e6)
    values, rows = [], []
    report(StageStarted(stage, len(files), "images"))
    for row, file in enumerate(files):
        try:
            image = read_image(file.location, max_pixels=max_pixels)
        except UnreadableImage as error:
            report(Warn(f"{file.path} is left out: {error.failure}"))
            report(StageAdvanced(stage, 1))
            continue
        rng = np.random.default_rng([options.seed, row])
        shown = [image, *(rescaled(restain(image, VARIANTS, rng), VARIANTS, rng) for _ in range(variants))]
        values.append([_mean_of_views(pipeline, seen, card.input, runtime.device) for seen in shown])
        rows.append(row)
        report(StageAdvanced(stage, 1))
        check_interruption()
    report(StageFinished(stage))
    return Features(np.array(values, dtype=np.float64), np.array(rows, dtype=np.int64))


def _mean_of_views(
    pipeline: Pipeline, image: NDArray[np.uint8], policy: InputPolicy, device: torch.device
) -> NDArray[np.float32]:
    views = torch.from_numpy(make_views(image, policy)).to(device)
    with torch.inference_mode():
        found: NDArray[np.float32] = pipeline(views).logits.mean(dim=0).cpu().numpy()
    return found
