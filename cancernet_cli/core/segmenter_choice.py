"""Apply the user's choice of segmenter to a card."""

from __future__ import annotations

from dataclasses import replace

from cancernet_cli.core.cards import Card
from cancernet_cli.core.errors import ModelError


def with_segmenter(card: Card, segmenter: str | None) -> Card:
    """The card with another segmenter; None keeps its own.

    Raises:
        ModelError: the card does not allow this segmenter.
    """
    if segmenter in (None, card.segmentation.segmenter):
        return card
    if segmenter not in card.segmentation.allowed:
        raise ModelError(
            f"{card.name} has not been evaluated with segmenter {segmenter!r}",
            fix=f"choose one of: {', '.join(card.segmentation.allowed)}; or train a model with this segmenter",
        )
    return replace(card, segmentation=replace(card.segmentation, segmenter=segmenter))
