"""Fold batch normalisations into the convolutions before them: the same function in fewer operations."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Sequence

import torch
from timm.layers.norm_act import BatchNormAct2d
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

# Relative to the largest value of a map: rounding in float32 stays below, a wrong fold changes the first digit.
TOLERANCE = 1e-3


def fold_batchnorm(network: nn.Module, sample: Tensor) -> nn.Module:
    """A copy of a network in which every batch norm directly after a convolution is folded into it.

    Pairs are found by running the network once, since `torch.fx` cannot trace every backbone. Norms before their
    convolution, as in DenseNet, stay. If the copy's outputs differ, an unchanged copy is returned.

    Args:
        network: in eval mode, on the CPU, float32; returns a tensor or a list of tensors.
        sample: an input of any size that the network accepts.
    """
    folded = copy.deepcopy(network)
    # Inference mode keeps no version counters of tensors, which `_pairs` reads.
    with torch.inference_mode(False), torch.no_grad():
        names = {module: name for name, module in folded.named_modules()}
        for convolution, norm in _pairs(folded, sample):
            folded.set_submodule(names[convolution], fuse_conv_bn_eval(convolution, norm))
            folded.set_submodule(names[norm], _remainder(norm))
        same = _agree(_tensors(folded(sample)), _tensors(network(sample)))
    return folded if same else copy.deepcopy(network)


def _pairs(network: nn.Module, sample: Tensor) -> list[tuple[nn.Conv2d, nn.BatchNorm2d]]:
    """Each convolution called exactly once, with the norm that takes its unchanged output."""
    calls: Counter[nn.Module] = Counter()
    made: dict[int, tuple[nn.Conv2d, Tensor, int]] = {}  # keeps the tensors alive, so that no id is reused
    found: list[tuple[nn.Conv2d, nn.BatchNorm2d]] = []

    def after_convolution(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        assert isinstance(module, nn.Conv2d)
        calls[module] += 1
        made[id(output)] = (module, output, output._version)

    def before_norm(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        assert isinstance(module, nn.BatchNorm2d)
        calls[module] += 1
        convolution, _, version = made.get(id(inputs[0]), (None, None, 0))
        # The version changes if something, such as an activation, has modified the tensor in place.
        if convolution is not None and inputs[0]._version == version and module.running_mean is not None:
            found.append((convolution, module))

    hooks = [
        *(m.register_forward_hook(after_convolution) for m in network.modules() if isinstance(m, nn.Conv2d)),
        *(m.register_forward_pre_hook(before_norm) for m in network.modules() if _can_fold(m)),
    ]
    try:
        network(sample)
    finally:
        for hook in hooks:
            hook.remove()
    return [(convolution, norm) for convolution, norm in found if calls[convolution] == calls[norm] == 1]


def _can_fold(module: nn.Module) -> bool:
    """Other subclasses may do more than normalise."""
    return type(module) is nn.BatchNorm2d or isinstance(module, BatchNormAct2d)


def _remainder(norm: nn.BatchNorm2d) -> nn.Module:
    """The operations of a norm after normalization: timm's include an activation."""
    return nn.Sequential(norm.drop, norm.act) if isinstance(norm, BatchNormAct2d) else nn.Identity()


def _tensors(outputs: Tensor | Sequence[Tensor]) -> Sequence[Tensor]:
    return [outputs] if isinstance(outputs, Tensor) else outputs


def _agree(ours: Sequence[Tensor], theirs: Sequence[Tensor]) -> bool:
    return all(
        bool((a - b).abs().max() <= TOLERANCE * b.abs().max().clamp_min(1e-6))
        for a, b in zip(ours, theirs, strict=True)
    )
