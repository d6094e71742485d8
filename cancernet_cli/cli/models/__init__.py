"""`cancernet models`: one module per group of its commands."""

from __future__ import annotations

from collections.abc import Callable

import typer

from cancernet_cli.cli.models.cards import list_models as list_models
from cancernet_cli.cli.models.cards import show_model
from cancernet_cli.cli.models.export import export_model
from cancernet_cli.cli.models.fetch import fetch_weights
from cancernet_cli.cli.models.quantise import quantise_model

app = typer.Typer(
    help="List the bundled models, show a model's card, quantise or export a model, or fetch weights to train from.",
    no_args_is_help=True,
)
_COMMANDS: dict[str, Callable[..., None]] = {
    "list": list_models,
    "show": show_model,
    "quantise": quantise_model,
    "export": export_model,
    "fetch": fetch_weights,
}
for name, command in _COMMANDS.items():
    app.command(name)(command)
