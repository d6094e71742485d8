"""What a segmenter is, and the registry that holds them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from torch import nn

from cancernet_cli.core.registry import Registry

# A factory takes the folder of a segmentation model (None for segmenters that have no weights) and gives a module:
# pixels `[B, 3, H, W]` float, 0 to 1, to a mask `[B, 1, H, W]` float32, 0 to 1, on the same device. H and W are at
# least 16. An image's mask does not depend on the others in its batch. One that has learned at a certain scale may have
# `at_scale(scale)`, which tells it at which scale the pixels come.
SegmenterFactory = Callable[[Path | None], nn.Module]

segmenters: Registry[SegmenterFactory] = Registry("segmenter")
