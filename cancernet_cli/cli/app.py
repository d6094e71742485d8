"""The table of contents of the command line, and the only place that turns errors into text and exit codes."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from cancernet_cli.cli import bench, classify, compare, evaluate, finetune, models, output, tile
from cancernet_cli.core import interruption
from cancernet_cli.core.errors import CancernetError

HELP = """Classify folders of breast histopathology images: benign or malignant, one row a file.

Research use only: not a medical device, not for diagnosis.

Examples:

    cancernet classify ./slides --out preds.parquet

    cancernet finetune ./BreaKHis_v1 --out models/mine

    cancernet evaluate preds.parquet

    cancernet compare ./BreaKHis_v1 --out comparison

    cancernet tile ./slides --out tiles

    cancernet models list

    cancernet bench
"""

app = typer.Typer(
    name="cancernet",
    help=HELP,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(classify.classify)
app.command()(finetune.finetune)
app.command()(compare.compare)
app.command()(evaluate.evaluate)
app.command()(tile.tile)
app.command()(bench.bench)
app.add_typer(models.app, name="models")


def _version(wanted: bool) -> None:
    if wanted:
        from cancernet_cli import __version__

        output.line(f"cancernet {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", help="Show the version.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    """Options that stand before a command."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and leave with its exit code (see `core.errors`)."""
    # Read when PyTorch is loaded. Its threads would spin while they wait, and take the cores from the workers that
    # decode: measured on 2 busy cores, EfficientNet-Lite0 ran 2 to 5 times slower.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        with interruption.watch():
            _run(arguments)
    except CancernetError as error:
        output.error(error)
        sys.exit(error.exit_code)
    except BrokenPipeError:
        # The reader of stdout went away (`| head`); Python would complain again when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)


def _run(arguments: Sequence[str] | None) -> None:
    """The command; Typer leaves without a word when a second signal stops it at once."""
    try:
        app(args=arguments)
    except SystemExit as left:
        if left.code == 130 and interruption.requested():
            interruption.check("at once, so what was begun is lost and what was finished is kept")
        raise


if __name__ == "__main__":
    main()
