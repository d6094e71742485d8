"""The weights of each stage of a backbone."""

from __future__ import annotations

import torch
from torch import nn

from cancernet_cli.classification import Backbone, build_backbone
from cancernet_cli.core.cards import Architecture
from cancernet_cli.core.errors import ModelError

PROBE_PX = 64  # two pixels at stride 32


def backbone_stages(backbone: Backbone, architecture: Architecture) -> list[tuple[nn.Parameter, ...]]:
    """The parameters of each stage, the deepest first.

    A stage has the parameters that its level's feature map depends on and the map of the level before does not, found
    by automatic differentiation rather than by name, so that any network works; the stem belongs to the first level.
    """
    probe, levels = _probe(architecture)
    named = dict(probe.named_parameters())
    maps = probe(torch.zeros(1, 3, PROBE_PX, PROBE_PX))
    own, reached, stages = dict(backbone.named_parameters()), set[str](), []
    for level in range(levels):
        gradients = torch.autograd.grad(maps[level].sum(), list(named.values()), retain_graph=True, allow_unused=True)
        names = [name for name, gradient in zip(named, gradients, strict=True) if gradient is not None]
        stages.append(tuple(own[name] for name in names if name not in reached))
        reached |= set(names)
    return [stage for stage in reversed(stages) if stage]


def _probe(architecture: Architecture) -> tuple[nn.Module, int]:
    """The same backbone with all levels up to its deepest, and their number; some networks have no first level."""
    deepest = max(architecture.levels, default=4)
    with torch.random.fork_rng():
        for first in range(deepest):
            try:
                levels = tuple(range(first, deepest + 1))
                return build_backbone(architecture.backbone, levels).eval(), len(levels)
            except ModelError:
                continue
        return build_backbone(architecture.backbone, (deepest,)).eval(), 1
