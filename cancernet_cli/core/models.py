"""Where models live: the ones that travel with the package, and folders of the user's own."""

from __future__ import annotations

import difflib
from pathlib import Path

from cancernet_cli.core.cards import CARD_FILE
from cancernet_cli.core.errors import ModelError

DEFAULT_MODEL = "breakhis_lite0"
_PACKAGE = Path(__file__).resolve().parents[1]


def bundled_models_folder() -> Path:
    """`_models` inside an installed wheel, `models` at the top of a checkout."""
    inside = _PACKAGE / "_models"
    return inside if inside.is_dir() else _PACKAGE.parent / "models"


def bundled_models() -> dict[str, Path]:
    """Name and folder of every model that travels with the package, sorted by name."""
    return {card.parent.name: card.parent for card in sorted(bundled_models_folder().glob(f"*/{CARD_FILE}"))}


def find_model(name: str) -> Path:
    """The folder of a bundled model, or of one named by its path.

    Raises:
        ModelError: it is neither.
    """
    bundled = bundled_models()
    if name in bundled:
        return bundled[name]
    folder = Path(name).expanduser()
    if folder.is_dir():
        return folder
    near = ", ".join(difflib.get_close_matches(name, bundled, n=3) or bundled) or "none"
    raise ModelError(
        f"no model is called {name!r}, and no folder of that name exists",
        fix=f"choose a bundled one ({near}) or give the path of a model's folder; `cancernet models list` shows them",
    )
