"""Segmenters: interface, registry, and how a mask dims the pixels outside it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from torch import Tensor, nn

from cancernet_cli.core.registry import SEGMENTERS, Registry

# From the folder of a segmentation model (None for segmenters without weights) to a module: pixels `[B, 3, H, W]`
# float, 0 to 1, to a mask `[B, 1, H, W]` float32, 0 to 1, on the same device. H and W are at least 16. An image's mask
# does not depend on the other images in its batch.
SegmenterFactory = Callable[[Path | None], nn.Module]

# Facts:
#   summary: one line of help. Required.
#   title: its name in plots; default: the registered name.
#   needs_model: it is a `LearnedSegmenter` with trained weights. Default False.
#   openvino: its module converts to OpenVINO. Default False.
#   on_device: no pixels leave the device, so the pipeline fits in a CUDA graph. Default False.
#   baseline: a trained segmenter is compared with it on held-out images. Default False.
segmenters: Registry[SegmenterFactory] = Registry("segmenter", SEGMENTERS)


class LearnedSegmenter(nn.Module):
    """A segmenter with trained weights.

    Attributes:
        network: the trained part, normalised pixels to logits; GPUs run it in reduced precision.
    """

    network: nn.Module

    def at_scale(self, scale: float, *, view_mpp: float | None = None) -> None:
        """Adapt to pixels of images that have been resized by `scale`, so that objects keep their trained size.

        view_mpp: micrometers per pixel after resizing, where known.
        """


def openvino_segmenters() -> list[str]:
    """Names of the segmenters that OpenVINO can run, sorted."""
    return [entry.name for entry in segmenters if entry.facts.get("openvino")]


def combine(pixels: Tensor, mask: Tensor, background_weight: float) -> Tensor:
    """Dim pixels by a mask: `pixel * (mask + (1 - mask) * background_weight)`.

    Args:
        pixels: `[B, 3, H, W]` float, 0 to 1.
        mask: `[B, 1, H, W]` float, 0 to 1.
        background_weight: weight of the background, 0 to 1: 0 blanks it, as the paper does; 1 ignores the mask.

    Returns:
        `[B, 3, H, W]` float, 0 to 1.
    """
    return pixels * (mask * (1 - background_weight) + background_weight)
