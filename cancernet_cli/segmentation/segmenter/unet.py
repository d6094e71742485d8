"""Nuclei by a trained U-Net."""

from __future__ import annotations

from pathlib import Path

from torch import nn

from cancernet_cli.segmentation.base import segmenters


@segmenters.register(
    "unet",
    summary="a trained U-Net",
    title="U-Net",
    paper="arXiv:1505.04597",
    needs_model=True,
    openvino=True,
    on_device=True,
)
def unet(model: Path | None) -> nn.Module:
    """The U-Net in a segmentation model's folder, in eval mode.

    Raises:
        ModelError: no folder is given, its card is not a segmenter's, or its weights are missing or do not fit.
    """
    from cancernet_cli.segmentation.unet import load_unet  # segmentation_models_pytorch takes two seconds to import

    return load_unet(model)
