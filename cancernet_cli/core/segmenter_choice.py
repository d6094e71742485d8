"""The segmenter that a user chose in place of a card's own."""

from __future__ import annotations

from dataclasses import replace

from cancernet_cli.core.cards import Card
from cancernet_cli.core.errors import ModelError


def with_segmenter(card: Card, segmenter: str | None) -> Card:
    """The card with the segmenter that a user chose in place of its own; None leaves it.

    Raises:
        ModelError: the card does not allow it.
    """
    if segmenter in (None, card.segmentation.segmenter):
        return card
    if segmenter not in card.segmentation.allowed:
        raise ModelError(
            f"{card.name} has not been measured with segmenter {segmenter!r}",
            fix=f"choose one of: {', '.join(card.segmentation.allowed)}; or train a model with it",
        )
    return replace(card, segmentation=replace(card.segmentation, segmenter=segmenter))
