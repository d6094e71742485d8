"""Haematoxylin, the stain of nuclei, by color deconvolution."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from cancernet_cli.core.pixels import DARKEST, UNMIX


class Haematoxylin(nn.Module):
    """The haematoxylin channel of colour deconvolution (Ruifrok, Johnston 2001; see `core.pixels`)."""

    unmix: Tensor

    def __init__(self) -> None:
        super().__init__()
        # Amount of haematoxylin: minus the sum over R, G, B of log10(value) times the first column of the inverse.
        column = torch.tensor(-UNMIX[:, 0], dtype=torch.float32)
        self.register_buffer("unmix", column.reshape(1, 3, 1, 1), persistent=False)

    def forward(self, pixels: Tensor) -> Tensor:
        """`[B, 3, H, W]` float, 0 to 1, to `[B, 1, H, W]` float32: optical density, 0 to about 2, below 0 for eosin."""
        density = torch.log10(pixels.float().clamp(min=DARKEST))
        return (density * self.unmix).sum(dim=1, keepdim=True)
