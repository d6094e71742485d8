"""From a card to a network: random weights to train, or the trained ones."""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path

import timm
from safetensors.torch import load_file

from cancernet_cli.classification.base import Backbone, Classifier, backbones, heads
from cancernet_cli.classification.timm_any import timm_backbone
from cancernet_cli.core.cards import Architecture, Card, checked_weights
from cancernet_cli.core.errors import ModelError

LEVELS = (0, 1, 2, 3, 4)


def build_backbone(name: str, levels: tuple[int, ...] = ()) -> Backbone:
    """A backbone with random weights that gives the chosen levels; none chosen means the last.

    Raises:
        ModelError: neither the registry nor timm knows the name, or a level is not one of 0 to 4 in ascending order.
    """
    chosen = tuple(levels) or LEVELS[-1:]
    if list(chosen) != sorted(set(chosen)) or not set(chosen) <= set(LEVELS):
        raise ModelError(f"levels are {list(chosen)}", fix="choose from 0 (stride 2) to 4 (stride 32), ascending")
    if name in backbones:
        return backbones[name].factory(chosen)
    if timm.is_model(name):
        return timm_backbone(name, chosen)
    near = get_close_matches(name, [*backbones.names(), *timm.list_models()], n=3) or backbones.names()
    raise ModelError(
        f"no backbone is called {name!r}", fix=f"choose one of: {', '.join(near)}; any name of timm's will do"
    )


def build_classifier(architecture: Architecture) -> Classifier:
    """The classifier that a card describes, with random weights.

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
    """The trained classifier in a model's folder, in eval mode, its checksum compared with the card's.

    Raises:
        ModelError: the card is not a classifier's, or the weights are missing, changed or do not fit.
    """
    if card.task != "classify":
        raise ModelError(f"{folder} is a model to {card.task}, not to classify", fix="choose one that classifies")
    classifier = build_classifier(card.architecture)
    state = load_file(checked_weights(folder, card))
    try:
        classifier.load_state_dict(state)
    except RuntimeError as error:
        lines = str(error).splitlines()
        raise ModelError(
            f"the weights in {folder} do not fit its card: {lines[min(1, len(lines) - 1)].strip()}",
            fix="restore the card and weights of one training run",
        ) from None
    return classifier.eval()
