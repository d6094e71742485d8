"""Set up fine-tuning of head and backbone: parameters, learning rates, variants and validation."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from cancernet_cli.classification import Backbone, Classifier, build_backbone
from cancernet_cli.classification.base import LinearHead
from cancernet_cli.core.arrays import F64, I64
from cancernet_cli.core.cards import Architecture, Card
from cancernet_cli.core.choices import Augment
from cancernet_cli.core.errors import ModelError, OptionError
from cancernet_cli.core.options.recipes import Recipe, Tuning
from cancernet_cli.inference.pipeline import Pipeline
from cancernet_cli.metrics.predictions import auroc
from cancernet_cli.metrics.scores import Scores, softmax
from cancernet_cli.training.augment import AugmentPolicy
from cancernet_cli.training.schedules import thaw_epochs
from cancernet_cli.training.task import Group, Judgement

# Milder than for a U-Net's crops: a view must keep the texture that its label depends on.
AUGMENTS: dict[Augment, AugmentPolicy] = {
    "usual": AugmentPolicy(
        zoom=(0.8, 1.25),
        zoom_chance=0.5,
        stain=0.25,
        light=0.15,
        own_stain_chance=0.5,
        blur=1.0,
        blur_chance=0.2,
        jpeg=(50, 95),
        jpeg_chance=0.3,
    ),
    "light": AugmentPolicy(zoom=(0.8, 1.25), mirror=True, stain=0.15, light=0.1, blur=0.7, blur_chance=0.2),
}
PROBE_PX = 64  # two pixels at stride 32


class ViewLogits(nn.Module):
    """Views `[B, h, w, 3]` uint8 to logits `[B, K]`, as in `inference.pipeline`."""

    def __init__(self, pipeline: Pipeline) -> None:
        super().__init__()
        self.pipeline = pipeline

    def forward(self, views: Tensor) -> Tensor:
        """Logits, float32."""
        logits: Tensor = self.pipeline(views).logits
        return logits


def training_network(pipeline: Pipeline, recipe: Recipe) -> ViewLogits:
    """The pipeline of a classifier, each module in the mode that it trains in.

    All are in eval mode, except for a head that drops features, and batch normalization if the recipe says so.

    Raises:
        OptionError: the head cannot drop features.
    """
    network = ViewLogits(pipeline).eval()
    classifier = pipeline.classifier
    assert isinstance(classifier, Classifier)
    if recipe.dropout:
        if not isinstance(classifier.head, LinearHead):
            raise OptionError(f"--dropout does not apply to --head {recipe.head}", fix="omit it")
        classifier.head.dropout = recipe.dropout
        classifier.head.train()
    if recipe.tuning.batch_statistics:
        for module in classifier.backbone.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.train()
    return network


def draw_seed(seed: int, name: str) -> int:
    """The seed of what a network draws in the training of this name, such as `fold_0`."""
    return int(np.random.default_rng([seed, zlib.crc32(name.encode())]).integers(2**62))


def learning_groups(
    classifier: Classifier, card: Card, unfreeze: int, epochs: int, tuning: Tuning | None = None
) -> list[Group]:
    """The head, then the backbone's `unfreeze` deepest stages, each as late and slow as `tuning` says."""
    tuning = tuning or Tuning()
    stages = backbone_stages(classifier.backbone, card.architecture)[:unfreeze]
    starts = thaw_epochs(len(stages), epochs, tuning.thaw)
    rates = [tuning.backbone_rate * tuning.deeper_rate**k for k in range(len(stages))]
    return [
        Group(tuple(classifier.head.parameters())),
        *(Group(*one) for one in zip(stages, rates, starts, strict=True)),
    ]


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


def judgement(logits: F64, labels: I64, weights: F64, classes: Sequence[str]) -> Judgement:
    """Cross-entropy with weights `[n]` that add up to 1, accuracy and AUROC (None if a class is missing)."""
    probs = softmax(logits)
    true = np.log(np.maximum(probs[np.arange(len(labels)), labels], np.finfo(np.float64).tiny))
    area = auroc(Scores.of(labels, probs, classes=classes)).value
    return Judgement(
        loss=float(-(weights * true).sum()), accuracy=float((probs.argmax(axis=1) == labels).mean()), auroc=area
    )


def is_unset(head: nn.Module) -> bool:
    """Whether a head that standardises its input still has the initial mean 0 and deviation 1."""
    centre, spread = getattr(head, "centre", None), getattr(head, "spread", None)
    return isinstance(centre, Tensor) and isinstance(spread, Tensor) and not centre.any() and bool((spread == 1).all())


def set_statistics(head: nn.Module, features: F64) -> None:
    """Set a head's mean and deviation to those of features `[V, F]`; constant features keep deviation 1."""
    deviation = features.std(axis=0)
    for name, values in (("centre", features.mean(axis=0)), ("spread", np.where(deviation > 1e-6, deviation, 1.0))):
        head.get_buffer(name).copy_(torch.from_numpy(values.astype(np.float32)))
