"""The models that come with the package."""

from __future__ import annotations

from cancernet_cli.core.cards import Card, read_card
from cancernet_cli.core.models import bundled_models, find_model


def models(*names: str) -> dict[str, Card]:
    """Cards of models by name: what each is for, how it was trained, and how good it is.

    Args:
        names: Bundled models or model folders; default: all bundled models.

    Raises:
        ModelError: There is no such model, or its card is invalid.
    """
    folders = {name: find_model(name) for name in names} if names else bundled_models()
    return {name: read_card(folder) for name, folder in folders.items()}
