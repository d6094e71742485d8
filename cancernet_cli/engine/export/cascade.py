"""The module that is exported: from pixels to calibrated probabilities, everything between included."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from cancernet_cli.core.cards import Card, InputPolicy
from cancernet_cli.core.errors import ModelError
from cancernet_cli.core.pixels import fast_steps
from cancernet_cli.data.loading.views import ViewGrid, mirrored, view_grid
from cancernet_cli.engine.export.resizing import resizing
from cancernet_cli.inference.pipeline import Pipeline, load_pipeline, to_tensor
from cancernet_cli.segmentation import segmenters
from cancernet_cli.segmentation.unet import load_unet


@dataclass(frozen=True)
class Exported:
    """A network to export.

    module: `[N, height_px, width_px, 3]` uint8 RGB to one tensor per name in `outputs`, in this order. is_view: the
    input is what the classifier sees, and not a whole image or tile.
    """

    module: nn.Module
    outputs: tuple[str, ...]
    width_px: int
    height_px: int
    is_view: bool

    def example(self, count: int = 2) -> Tensor:
        """Different inputs of the right shape, for tracing: `[count, H, W, 3]` uint8."""
        random = np.random.default_rng(0)
        return torch.from_numpy(random.integers(0, 256, (count, self.height_px, self.width_px, 3), dtype=np.uint8))


class Views(nn.Module):
    """Images of one size to the views that `data.loading.views` cuts from them, pixel for pixel.

    Attributes:
        count: V, views per image.
    """

    rows: Tensor | None
    columns: Tensor | None

    def __init__(self, width_px: int, height_px: int, policy: InputPolicy) -> None:
        super().__init__()
        grid = view_grid(width_px, height_px, policy)
        self.view_px = (policy.width_px, policy.height_px)
        self.corners = grid.corners
        self.count = len(grid.corners)
        self.steps = nn.Sequential()
        for step in fast_steps(width_px, height_px, grid.width_px, grid.height_px, enlarge="cubic"):
            self.steps.append(resizing(width_px, height_px, step))
            width_px, height_px = step.width_px, step.height_px
        rows, columns = _mirrored_places(grid, policy)
        self.register_buffer("rows", rows, persistent=False)
        self.register_buffer("columns", columns, persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """`[N, H, W, 3]` uint8 to `[N * V, h, w, 3]` of whole numbers, an image's views one after the other."""
        if len(self.steps):
            images = self.steps(images.permute(0, 3, 1, 2).float()).permute(0, 2, 3, 1)
        if self.rows is not None and self.columns is not None:
            images = images.index_select(1, self.rows).index_select(2, self.columns)
        wide, high = self.view_px
        views = [images[:, top : top + high, left : left + wide] for left, top in self.corners]
        return torch.stack(views, dim=1).flatten(0, 1) if self.count > 1 else views[0]


def _mirrored_places(grid: ViewGrid, policy: InputPolicy) -> tuple[Tensor | None, Tensor | None]:
    """Row and column of the scaled image at each place of the one that `mirrored` makes of it; None if unchanged."""
    places: Any = np.indices((grid.height_px, grid.width_px)).transpose(1, 2, 0)
    larger: Any = mirrored(places, policy.width_px, policy.height_px)
    if larger is places:
        return None, None
    return torch.from_numpy(larger[:, 0, 0].copy()), torch.from_numpy(larger[0, :, 1].copy())


class Cascade(nn.Module):
    """A classifier's pipeline from images or views to calibrated probabilities.

    Args:
        views: from images to views; None: the input is one view.
    """

    def __init__(self, pipeline: Pipeline, card: Card, views: Views | None) -> None:
        super().__init__()
        self.pipeline = pipeline
        self.temperature = card.decision.temperature
        self.views = views
        self.count = views.count if views else 1
        self.gives_novelty = bool(card.domain.rank)
        self.gives_mask = card.segmentation.segmenter != "none"

    def forward(self, pixels: Tensor) -> tuple[Tensor, ...]:
        """`[N, H, W, 3]` uint8 to probabilities `[N, K]`; novelty `[N]` and masks `[N, V, h, w]` if there are any."""
        found = self.pipeline(self.views(pixels) if self.views else pixels)
        logits = found.logits.reshape(-1, self.count, found.logits.shape[1]).mean(dim=1)
        outputs = [torch.softmax(logits / self.temperature, dim=1)]
        if self.gives_novelty:
            outputs.append(found.novelty.reshape(-1, self.count).mean(dim=1))
        if self.gives_mask:
            outputs.append(found.mask.float().reshape(-1, self.count, *found.mask.shape[2:]))
        return tuple(outputs)

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of the tensors that `forward` returns."""
        names = {"probabilities": True, "novelty": self.gives_novelty, "mask": self.gives_mask}
        return tuple(name for name, given in names.items() if given)


class Nuclei(nn.Module):
    """A U-Net from pixels to the probability of each to be in a nucleus."""

    def __init__(self, unet: nn.Module) -> None:
        super().__init__()
        self.unet = unet

    def forward(self, pixels: Tensor) -> tuple[Tensor, ...]:
        """`[N, H, W, 3]` uint8 to `[N, 1, H, W]` float32."""
        return (self.unet(to_tensor(pixels)),)


def build(folder: Path, card: Card, image_px: tuple[int, int] | None) -> Exported:
    """The network of a model's folder, in eval mode on the CPU.

    Args:
        card: of the folder, with the segmenter filled in.
        image_px: width and height of the input; None: a classifier's tile or else its view, a U-Net's training crop.

    Raises:
        ModelError: the weights are missing, changed or do not fit, or the segmenter cannot become part of a graph.
    """
    policy = card.input
    if card.task == "segment":
        crop = (round(policy.width_px / policy.scale), round(policy.height_px / policy.scale))
        return Exported(Nuclei(load_unet(folder)).eval(), ("mask",), *(image_px or crop), is_view=False)
    segmenter = segmenters[card.segmentation.segmenter]
    if not segmenter.facts.get("on_device"):
        raise ModelError(
            f"segmenter {segmenter.name!r} runs outside the network, so {card.name} cannot become one graph",
            fix=f"choose another --segmenter of {', '.join(exportable(card.segmentation.allowed)) or 'another model'}",
        )
    size = image_px or policy.tile_px
    views = Views(*size, policy) if size else None
    cascade = Cascade(load_pipeline(folder, card), card, views).eval()
    return Exported(cascade, cascade.outputs, *(size or (policy.width_px, policy.height_px)), is_view=views is None)


def exportable(names: tuple[str, ...]) -> list[str]:
    """The segmenters among `names` that can become part of a graph."""
    return [name for name in names if segmenters[name].facts.get("on_device")]
