"""Find models: those bundled with the package, and folders of the user."""

from __future__ import annotations

from pathlib import Path

from cancernet_cli.core.cards import CARD_FILE, Card, read_card
from cancernet_cli.core.errors import ModelError
from cancernet_cli.core.registry import suggestion

DEFAULT_MODEL = "breakhis_lite0"
DEFAULT_UNET = "tnbc_unet"
_PACKAGE = Path(__file__).resolve().parents[1]


def bundled_models_folder() -> Path:
    """`_models` inside an installed wheel, `models` at the top of a checkout."""
    inside = _PACKAGE / "_models"
    return inside if inside.is_dir() else _PACKAGE.parent / "models"


def bundled_models() -> dict[str, Path]:
    """Name and folder of every bundled model, sorted by name."""
    return {card.parent.name: card.parent for card in sorted(bundled_models_folder().glob(f"*/{CARD_FILE}"))}


def find_model(name: str) -> Path:
    """The folder of a bundled model, or a model folder given by its path.

    Raises:
        ModelError: there is no such model.
    """
    bundled = bundled_models()
    if name in bundled:
        return bundled[name]
    folder = Path(name).expanduser()
    if folder.is_dir():
        return folder
    raise ModelError(
        f"there is no bundled model {name!r} and no folder of that name",
        fix=f"{suggestion(name, bundled)} (or pass the path of a model folder)",
    )


def is_for(card: Card, kind: str) -> bool:
    """Whether a model is for files of a kind, `image` or `slide`; if its card does not say, for slides with an mpp."""
    if card.use.suits:
        return card.use.suits == f"{kind}s"
    return kind == "image" or card.input.mpp is not None


def bundled_classifiers_for(kind: str) -> list[str]:
    """Names of the bundled classifiers whose cards state that they are for files of this kind, sorted."""
    cards = map(read_card, bundled_models().values())
    return [card.name for card in cards if card.task == "classify" and card.use.suits == f"{kind}s"]
