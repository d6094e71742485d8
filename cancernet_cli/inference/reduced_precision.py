"""Prepare a pipeline for a GPU: fold batch norms, reduce the precision of the networks, use channels-last memory."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from cancernet_cli.inference.fold_batchnorm import fold_batchnorm
from cancernet_cli.inference.pipeline import Pipeline
from cancernet_cli.segmentation.base import LearnedSegmenter

SAMPLE_PX = 64  # side of an input that every network accepts


class ReducedPrecision(nn.Module):
    """A network with weights in fp16 or bf16, and with float32 input and output.

    Args:
        network: normalised pixels `[B, 3, H, W]` to a tensor or a list of tensors; its weights become `dtype`.
    """

    def __init__(self, network: nn.Module, dtype: torch.dtype) -> None:
        super().__init__()
        # Norms that could not be folded stay float32: a variance may be too small or too large for fp16, and their
        # kernels accept maps in another precision.
        norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
        kept = [copy.deepcopy(norm.state_dict()) for norm in norms]
        self.network = network.to(dtype)
        self.dtype = dtype
        for norm, state in zip(norms, kept, strict=True):
            norm.float().load_state_dict(state)

    def forward(self, pixels: Tensor) -> Tensor | list[Tensor]:
        """The output of the network as float32."""
        outputs = self.network(pixels.to(self.dtype))
        return outputs.float() if isinstance(outputs, Tensor) else [one.float() for one in outputs]


def reduce_precision(pipeline: Pipeline, dtype: torch.dtype) -> Pipeline:
    """A copy of a pipeline that runs faster on a GPU.

    Only the two networks, which do nearly all of the arithmetic, are reduced. The rest stays float32: normalisation,
    optical densities, thresholds, correlations, and the head's linear layer and standardisation.

    Args:
        pipeline: in eval mode, on the CPU.
    """
    ready = copy.deepcopy(pipeline)
    sample = torch.randn(1, 3, SAMPLE_PX, SAMPLE_PX, generator=torch.Generator().manual_seed(0))
    holders = [(ready.classifier, "backbone")]
    if isinstance(ready.segmenter, LearnedSegmenter):
        holders.append((ready.segmenter, "network"))
    for holder, name in holders:
        network = fold_batchnorm(getattr(holder, name), sample)
        setattr(holder, name, network if dtype == torch.float32 else ReducedPrecision(network, dtype))
    return ready.to(memory_format=torch.channels_last)
