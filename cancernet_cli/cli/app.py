"""The command line's entry point; the only place that turns errors into text and exit codes."""

from __future__ import annotations

import importlib
import os
import sys
import warnings
from collections.abc import Sequence
from typing import Annotated

import typer

from cancernet_cli import VERBS
from cancernet_cli.cli import models, output
from cancernet_cli.cli.process.shortages import shortage
from cancernet_cli.cli.process.streams import prepare_streams
from cancernet_cli.core import interruption
from cancernet_cli.core.cards import RenamedKey
from cancernet_cli.core.errors import CancernetError
from cancernet_cli.core.text import one_line

INTRODUCTION = """Classify folders of breast histopathology images: benign or malignant, one row per file.

Research use only: not a medical device, not for diagnosis.

Examples:"""

_python_warning_text = warnings.formatwarning


def build_app(verbs: Sequence[str] = VERBS) -> typer.Typer:
    """The command line with `models` and one command per verb: the function `<verb>` in `cli/<verb>.py`."""
    commands = [getattr(importlib.import_module(f"cancernet_cli.cli.{verb}"), verb) for verb in verbs]
    examples = [_first_example(command.__doc__ or "") for command in commands]
    app = typer.Typer(
        name="cancernet",
        help="\n\n    ".join([INTRODUCTION, *examples, _first_example(models.list_models.__doc__ or "")]),
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(options)
    for command in commands:
        app.command()(command)
    app.add_typer(models.app, name="models")
    return app


def _version(wanted: bool) -> None:
    if wanted:
        from cancernet_cli import __version__

        output.line(f"cancernet {__version__}")
        raise typer.Exit


def options(
    version: Annotated[
        bool, typer.Option("--version", help="Show the version and exit.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    """Options given before a command."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line with the process's arguments, or with these, and exit with its code (see `core.errors`)."""
    # Read when PyTorch is loaded. Its threads would spin while they wait, and take the cores from the workers that
    # decode: measured on 2 busy cores, EfficientNet-Lite0 ran 2 to 5 times slower.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    warnings.formatwarning = _warning_text
    prepare_streams()
    code = _exit_code(arguments)
    try:
        output.flush()
    except CancernetError as error:
        output.error(error)
        code = code or error.exit_code
    sys.exit(code)


def _exit_code(arguments: Sequence[str] | None) -> int | str | None:
    try:
        with interruption.watch():
            try:
                app(args=arguments)
            except SystemExit as left:
                if left.code == 130 and interruption.requested():  # a second signal: Typer exits without a message
                    interruption.check("at once, so what was begun is lost and what was finished is kept")
                if isinstance(left.__context__, BrokenPipeError):  # the reader of --help left: for Typer an error
                    return 0
                return left.code
    except CancernetError as error:
        output.error(error)
        return error.exit_code
    except Exception as error:
        known = shortage(error)
        if known is None:
            raise
        output.error(known)
        return known.exit_code
    return 0


def _first_example(doc: str) -> str:
    """The first call in a command's docstring."""
    return next(line.strip() for line in doc.partition("Examples:")[2].splitlines() if line.strip())


def _warning_text(
    message: Warning | str, category: type[Warning], filename: str, lineno: int, line: str | None = None
) -> str:
    """Warnings for the user on one line; those of libraries as Python formats them."""
    if issubclass(category, RenamedKey):
        return f"warning: {one_line(str(message))}\n"
    return _python_warning_text(message, category, filename, lineno, line)


app = build_app()

if __name__ == "__main__":
    main()
