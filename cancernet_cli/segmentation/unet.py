"""The U-Net that segments nuclei: its network, and how it is applied to pixels."""

from __future__ import annotations

import math
from pathlib import Path
from typing import cast

import segmentation_models_pytorch as smp
import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F

from cancernet_cli.core.cards import Architecture, InputPolicy, load_weights, read_card
from cancernet_cli.core.errors import ModelError
from cancernet_cli.segmentation.base import LearnedSegmenter

STRIDE = 32
NEAR = 0.1


def build_network(architecture: Architecture) -> nn.Module:
    """A U-Net with random weights: normalised `[B, 3, H, W]`, sides a multiple of 32, to logits `[B, 1, H, W]`.

    Ronneberger et al., arXiv:1505.04597, with the card's encoder from `segmentation_models_pytorch`.

    Raises:
        ModelError: the card's encoder or decoder cannot be built.
    """
    try:
        network = smp.Unet(
            architecture.encoder,
            encoder_weights=None,
            decoder_channels=architecture.decoder_channels,
            classes=1,
        )
    except (KeyError, ValueError, RuntimeError, IndexError, TypeError) as error:
        raise ModelError(
            f"cannot build a U-Net with encoder {architecture.encoder!r} and decoder_channels "
            f"{list(architecture.decoder_channels)} ({error})",
            fix="name an encoder of segmentation_models_pytorch and five decoder channels",
        ) from None
    return cast(nn.Module, network)


class UNet(LearnedSegmenter):
    """A U-Net applied to pixels downsampled by the card's scale; its mask has full size."""

    mean: Tensor
    std: Tensor

    def __init__(self, network: nn.Module, policy: InputPolicy) -> None:
        super().__init__()
        self.network = network
        self.trained_scale = self.scale = policy.scale
        self.trained_mpp = None if policy.mpp is None else policy.mpp / policy.scale
        self.register_buffer("mean", torch.tensor(policy.mean).reshape(1, -1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(policy.std).reshape(1, -1, 1, 1), persistent=False)

    def at_scale(self, scale: float, *, view_mpp: float | None = None) -> None:
        """Adapt to pixels of images that have been resized by `scale`, so that nuclei keep their trained size.

        view_mpp: micrometers per pixel after resizing, where known. It decides if the card has the mpp of the training
        images too; otherwise the images are taken to have that of the training images.

        Pixels are never enlarged. If downsampling by a whole number leaves nuclei within a tenth of their trained size,
        it is by that number, since averaging blocks is fast.
        """
        ideal = self.trained_scale / scale
        if view_mpp is not None and self.trained_mpp is not None:
            ideal = view_mpp / self.trained_mpp
            block = max(1, round(1 / ideal))
            ideal = 1 / block if abs(ideal * block - 1) <= NEAR else ideal
        self.scale = min(1.0, ideal)

    def forward(self, pixels: Tensor) -> Tensor:
        """`[B, 3, H, W]` float, 0 to 1, to `[B, 1, H, W]` float32: each pixel's nucleus probability."""
        height, width = pixels.shape[2:]
        small = (shrink(pixels, self.scale) - self.mean) / self.std
        rows, columns = small.shape[2:]
        padded = F.pad(small, (0, -columns % STRIDE, 0, -rows % STRIDE), mode="replicate")
        mask = torch.sigmoid(self.network(padded)[:, :, :rows, :columns].float())
        if (rows, columns) == (height, width):
            return mask
        if self.scale == 0.5:  # the usual case, kept exact: one mask pixel per 2 x 2 block
            return F.interpolate(mask, scale_factor=2.0, mode="bilinear")[:, :, :height, :width]
        return F.interpolate(mask, size=(height, width), mode="bilinear")


def move_cut(network: nn.Module, cut: float) -> None:
    """Shift the bias of the network's last layer so that probability `cut` (0 to 1) becomes 0.5.

    Raises:
        ValueError: the last layer has no bias.
    """
    last = [module for module in network.modules() if isinstance(module, nn.Conv2d)][-1]
    if last.bias is None:
        raise ValueError("the last layer has no bias")
    with torch.no_grad():
        last.bias -= math.log(cut / (1 - cut))


def shrink(pixels: Tensor, scale: float) -> Tensor:
    """Pixels downsampled by `scale` (0 to 1) by area averaging.

    A scale of 1/2, 1/3, ... averages blocks; an incomplete last row or column is averaged separately.
    """
    block = round(1 / scale)
    if scale == 1:
        return pixels
    if abs(block * scale - 1) < 1e-6:
        return F.avg_pool2d(pixels, block, ceil_mode=True, count_include_pad=False)
    rows, columns = (_shares(side, max(1, round(side * scale)), pixels) for side in pixels.shape[2:])
    return rows @ pixels @ columns.T


def _shares(side: int, shrunk: int, like: Tensor) -> Tensor:
    """`[shrunk, side]`: the weight of each source pixel in each output pixel.

    For a matrix product, because PyTorch's antialiased interpolation has no counterpart in OpenVINO.
    """
    ends = torch.arange(shrunk + 1, dtype=torch.float32, device=like.device)[:, None] * (side / shrunk)
    at = torch.arange(side, dtype=torch.float32, device=like.device)[None]
    overlap = torch.minimum(ends[1:], at + 1) - torch.maximum(ends[:-1], at)
    return (overlap.clamp(min=0) * (shrunk / side)).to(like.dtype)


def load_unet(model: Path | None) -> UNet:
    """The trained U-Net in a segmentation model's folder, in eval mode; its checksum is verified.

    Raises:
        ModelError: no folder is given, its card is not a segmenter's, or its weights are missing or do not fit.
    """
    if model is None:
        raise ModelError("the unet segmenter needs a model", fix="name one in the card's [segmentation] model")
    card = read_card(model)
    if card.task != "segment":
        raise ModelError(f"{model} is a model to {card.task}, not to segment", fix="choose a segmentation model")
    network = build_network(card.architecture)
    load_weights(network, model, card, load_file)
    return UNet(network, card.input).eval()
