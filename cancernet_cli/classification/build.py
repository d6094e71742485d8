"""Build the classifier that a card describes, with random or trained weights."""

from __future__ import annotations

from pathlib import Path

from safetensors.torch import load_file

from cancernet_cli.classification.base import Backbone, Classifier, backbones, heads
from cancernet_cli.classification.domain import Novelty, domain_width
from cancernet_cli.core.cards import Architecture, Card, load_weights
from cancernet_cli.core.errors import ModelError
from cancernet_cli.core.registry import suggestion

LEVELS = (0, 1, 2, 3, 4)


def build_backbone(name: str, levels: tuple[int, ...] = ()) -> Backbone:
    """A backbone with random weights that returns the chosen levels; default: the last one.

    Args:
        name: a registered backbone or a timm model.
        levels: from 0 (stride 2) to 4 (stride 32), ascending.

    Raises:
        ModelError: the name is unknown, or the levels are invalid.
    """
    chosen = tuple(levels) or LEVELS[-1:]
    if list(chosen) != sorted(set(chosen)) or not set(chosen) <= set(LEVELS):
        raise ModelError(
            f"levels are {list(chosen)}", fix="choose from 0 (stride 2) to 4 (stride 32), in ascending order"
        )
    if name in backbones:
        return backbones[name].factory(chosen)
    import timm  # takes a second, and registered backbones of torchvision need none of it

    if not timm.is_model(name):
        nearest = suggestion(name, backbones.names(), also=timm.list_models())
        raise ModelError(f"unknown backbone {name!r}", fix=f"{nearest} (any timm model works)")
    from cancernet_cli.classification.timm_backbone import TimmBackbone

    return TimmBackbone(name, chosen)


def build_classifier(architecture: Architecture) -> Classifier:
    """The classifier of a card, with random weights.

    Returns:
        A module from normalised pixels `[B, 3, H, W]` to logits `[B, K]` float32, K = `len(architecture.classes)`.

    Raises:
        ModelError: the backbone, head or levels are unknown, or there are fewer than two classes.
    """
    if len(architecture.classes) < 2:
        raise ModelError(f"the card names {len(architecture.classes)} classes", fix="name two or more")
    backbone = build_backbone(architecture.backbone, architecture.levels)
    head = heads[architecture.head].factory(backbone.channels, len(architecture.classes))
    return Classifier(backbone, head)


def load_classifier(folder: Path, card: Card) -> Classifier:
    """The trained classifier in a model's folder, in eval mode; its checksum is verified.

    Raises:
        ModelError: the card is not a classifier's, or the weights are missing, changed or do not fit the card.
    """
    if card.task != "classify":
        raise ModelError(f"{folder} is a model to {card.task}, not to classify", fix="choose a classification model")
    classifier = build_classifier(card.architecture)
    if card.domain.rank:
        classifier.domain = Novelty(domain_width(classifier.backbone.channels), card.domain.rank)
    load_weights(classifier, folder, card, load_file)
    return classifier.eval()
