"""No segmentation."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from cancernet_cli.segmentation.base import segmenters


class Everything(nn.Module):
    """A mask of ones."""

    def forward(self, pixels: Tensor) -> Tensor:
        """`[B, 3, H, W]` to `[B, 1, H, W]` float32 ones."""
        return torch.ones_like(pixels[:, :1], dtype=torch.float32)


@segmenters.register("none", summary="no segmentation", title="without segmentation", openvino=True, on_device=True)
def none(model: Path | None) -> nn.Module:
    """A mask of ones, which keeps every pixel."""
    return Everything()
