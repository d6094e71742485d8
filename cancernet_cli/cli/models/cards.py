"""`cancernet models list` and `show`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cancernet_cli.cli import output
from cancernet_cli.cli.bind import FORMAT, Format
from cancernet_cli.cli.render.card import card_parts, headline, network
from cancernet_cli.core.cards import WEIGHTS_FILE, Card, read_card
from cancernet_cli.core.models import DEFAULT_MODEL, bundled_models, find_model

if TYPE_CHECKING:
    from rich.console import RenderableType


def list_models(*, format: Annotated[Format, FORMAT] = "human") -> None:
    """List the models that come with the package.

    Examples:

        cancernet models list

        cancernet models list --format json
    """
    rows = [summary(name, read_card(folder), folder) for name, folder in bundled_models().items()]
    if format == "json":
        output.record(rows)
    elif format == "human":
        output.show(list_table(rows))


def show_model(
    name: Annotated[str, typer.Argument(help="A bundled model's name, or a model's folder.")] = DEFAULT_MODEL,
    *,
    full: Annotated[bool, typer.Option("--full", help="Show everything on the card.")] = False,
    format: Annotated[Format, FORMAT] = "human",
) -> None:
    """Show a model's card: architecture, training data, performance and intended use.

    Examples:

        cancernet models show breakhis_lite0

        cancernet models show breakhis_lite0 --full

        cancernet models show models/mine --format json
    """
    folder = find_model(name)
    card = read_card(folder)
    if format == "json":
        output.record(asdict(card))
    elif format == "human":
        output.show(*card_parts(card, folder, full=full))


def summary(name: str, card: Card, folder: Path) -> dict[str, Any]:
    """One row of the list."""
    weights = folder / WEIGHTS_FILE
    return {
        "name": name,
        "task": card.task,
        "network": network(card),
        "segmenter": card.segmentation.segmenter if card.task == "classify" else "",
        "classes": list(card.architecture.classes),
        "size_bytes": weights.stat().st_size if weights.is_file() else 0,
        "figure": headline(card),
        "default": name == DEFAULT_MODEL,
    }


def list_table(rows: list[dict[str, Any]]) -> RenderableType:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), caption="* the default", caption_justify="left")
    for column in ("name", "task", "network", "classes", "size", "figure"):
        # Names, and sizes with their unit, are never wrapped; the rest wraps between words.
        words = [word for row in rows for word in row[column].split()] if column in ("network", "figure") else []
        table.add_column(column, no_wrap=column in ("name", "size"), min_width=max(map(len, words), default=None))
    for row in rows:
        name = f"{row['name']} *" if row["default"] else row["name"]
        size = f"{row['size_bytes'] / 1e6:.1f} MB" if row["size_bytes"] else "no weights"
        classes = ", ".join(row["classes"])
        table.add_row(*map(Text, (name, row["task"], row["network"], classes, size, row["figure"])))
    return table
