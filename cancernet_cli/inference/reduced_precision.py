"""A pipeline made ready for a GPU: batch norms folded, networks in a smaller number format, channels last."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from cancernet_cli.inference.fold_batchnorm import folded
from cancernet_cli.inference.pipeline import Pipeline
from cancernet_cli.segmentation.base import LearnedSegmenter

SAMPLE_PX = 64  # a side that every network takes


class Lowered(nn.Module):
    """A network whose weights are in another number format; float32 goes in and comes out.

    Args:
        network: normalised pixels `[B, 3, H, W]` to a tensor or a list of them. dtype: of its weights from now on.
    """

    def __init__(self, network: nn.Module, dtype: torch.dtype) -> None:
        super().__init__()
        # Norms that could not be folded stay float32: a variance can be too small or too large for fp16, and their
        # kernels take maps of another format.
        norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
        kept = [copy.deepcopy(norm.state_dict()) for norm in norms]
        self.network = network.to(dtype)
        self.dtype = dtype
        for norm, state in zip(norms, kept, strict=True):
            norm.float().load_state_dict(state)

    def forward(self, pixels: Tensor) -> Tensor | list[Tensor]:
        """What the network gives, float32."""
        given = self.network(pixels.to(self.dtype))
        return given.float() if isinstance(given, Tensor) else [one.float() for one in given]


def lowered(pipeline: Pipeline, dtype: torch.dtype) -> Pipeline:
    """A copy of a pipeline that computes the same more quickly on a GPU.

    The two networks hold nearly all of the arithmetic. What is between them stays float32: normalising, powers and
    logarithms of densities, thresholds, correlations, the head's linear layer and what it standardises with.

    Args:
        pipeline: in eval mode, on the CPU.
    """
    made = copy.deepcopy(pipeline)
    sample = torch.randn(1, 3, SAMPLE_PX, SAMPLE_PX, generator=torch.Generator().manual_seed(0))
    holders = [(made.classifier, "backbone")]
    if isinstance(made.segmenter, LearnedSegmenter):
        holders.append((made.segmenter, "network"))
    for holder, name in holders:
        setattr(holder, name, _ready(getattr(holder, name), sample, dtype))
    return made.to(memory_format=torch.channels_last)


def _ready(network: nn.Module, sample: Tensor, dtype: torch.dtype) -> nn.Module:
    found = folded(network, sample)
    return found if dtype == torch.float32 else Lowered(found, dtype)
