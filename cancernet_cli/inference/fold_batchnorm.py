"""Batch normalisations folded into the convolutions before them: the same function in fewer operations."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Sequence

import torch
from timm.layers.norm_act import BatchNormAct2d
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

# What rounding in float32 may change, of the largest number in a map; a wrong fold changes the first digit.
TOLERANCE = 1e-3

Pair = tuple[nn.Conv2d, nn.BatchNorm2d]


def folded(network: nn.Module, sample: Tensor) -> nn.Module:
    """A copy of a network in which no normalisation directly behind a convolution is left.

    The pairs are found by running the network once. A normalisation that comes before its convolution, as in DenseNet,
    stays. A network whose copy gives other numbers comes back as it was.

    Args:
        network: in eval mode, on the CPU, float32; gives a tensor or a list of them.
        sample: what it takes, of any size that it takes.
    """
    made = copy.deepcopy(network)
    with (
        torch.inference_mode(False),
        torch.no_grad(),
    ):  # inference mode keeps no versions of tensors, which `_pairs` reads
        pairs = _pairs(made, sample)
        if not pairs:
            return made
        names = {module: name for name, module in made.named_modules()}
        for convolution, norm in pairs:
            _fold(convolution, norm)
            parent, _, leaf = names[norm].rpartition(".")
            setattr(made.get_submodule(parent), leaf, _behind(norm))
        same = _agree(_tensors(made(sample)), _tensors(network(sample)))
    return made if same else copy.deepcopy(network)


def _pairs(network: nn.Module, sample: Tensor) -> list[Pair]:
    """Each convolution, called once, with the normalisation that takes its output as it is."""
    calls: Counter[nn.Module] = Counter()
    made: dict[int, tuple[nn.Conv2d, Tensor, int]] = {}  # holds the tensors, so that no id is given twice
    found: list[Pair] = []

    def after_convolution(module: nn.Module, taken: tuple[Tensor, ...], given: Tensor) -> None:
        assert isinstance(module, nn.Conv2d)
        calls[module] += 1
        made[id(given)] = (module, given, given._version)

    def before_norm(module: nn.Module, taken: tuple[Tensor, ...]) -> None:
        assert isinstance(module, nn.BatchNorm2d)
        calls[module] += 1
        convolution, _, version = made.get(id(taken[0]), (None, None, 0))
        # A changed version: something, such as an activation, has worked on it in place.
        if convolution is not None and taken[0]._version == version and module.running_mean is not None:
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
    """Other subclasses may do what nobody here knows of."""
    return type(module) is nn.BatchNorm2d or isinstance(module, BatchNormAct2d)


def _fold(convolution: nn.Conv2d, norm: nn.BatchNorm2d) -> None:
    assert norm.running_mean is not None
    assert norm.running_var is not None
    convolution.weight, convolution.bias = fuse_conv_bn_weights(
        convolution.weight, convolution.bias, norm.running_mean, norm.running_var, norm.eps, norm.weight, norm.bias
    )


def _behind(norm: nn.BatchNorm2d) -> nn.Module:
    """What a normalisation does besides normalising: timm's has an activation in it."""
    return nn.Sequential(norm.drop, norm.act) if isinstance(norm, BatchNormAct2d) else nn.Identity()


def _tensors(given: Tensor | Sequence[Tensor]) -> Sequence[Tensor]:
    return [given] if isinstance(given, Tensor) else given


def _agree(ours: Sequence[Tensor], theirs: Sequence[Tensor]) -> bool:
    return all(
        bool((a - b).abs().max() <= TOLERANCE * b.abs().max().clamp_min(1e-6))
        for a, b in zip(ours, theirs, strict=True)
    )
