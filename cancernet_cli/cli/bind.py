"""Command-line flags made from the option records in `core.options`."""

from __future__ import annotations

import dataclasses
import inspect
import typing
from collections.abc import Callable
from typing import Annotated, Any, Literal

import typer
from rich.markup import escape

from cancernet_cli.core.errors import OptionError
from cancernet_cli.core.options import Options, OptionSpec, flag_name

Format = Literal["human", "json", "quiet"]
FORMAT = typer.Option(
    "--format", help="human: tables and progress. json: one JSON object on stdout. quiet: errors only."
)

GROUPS = (
    "Output",
    "Model",
    "Split",
    "Training",
    "Measures",
    "Measurement",
    "Input",
    "Slides",
    "Run",
    "Machine",
    "Options",
)  # as --help shows them


def options_from(record: type[Options]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Decorator that gives a command one flag for each field of `record` and passes them on as `options`."""
    hints = typing.get_type_hints(record)
    declared = [f for f in dataclasses.fields(record) if "option" in f.metadata]
    declared.sort(key=lambda f: GROUPS.index(f.metadata["option"].group))

    def wrap(command: Callable[..., Any]) -> Callable[..., Any]:
        own = inspect.signature(command, eval_str=True).parameters
        parameters = [p for name, p in own.items() if name != "options"]
        parameters += [_parameter(f, hints[f.name]) for f in declared]

        def run(**values: Any) -> Any:
            chosen = {f.name: _value(f, hints[f.name], values.pop(f.name)) for f in declared}
            try:
                options = record(**chosen)
            except OptionError as error:
                raise typer.BadParameter(str(error)) from None
            return command(**values, options=options)

        run.__name__, run.__doc__ = command.__name__, _unwrapped(command.__doc__ or "")
        run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        run.__annotations__ = {p.name: p.annotation for p in parameters}
        return run

    return wrap


def _unwrapped(doc: str) -> str:
    """A docstring whose paragraphs are one line each, for terminals of any width; examples stay as they are."""
    paragraphs = inspect.cleandoc(doc).split("\n\n")
    return "\n\n".join(text if text.startswith(" ") else " ".join(text.split()) for text in paragraphs)


def _is_number_or_auto(hint: Any) -> bool:
    return int in typing.get_args(hint) and type(None) not in typing.get_args(hint)


def _parameter(field: dataclasses.Field[Any], hint: Any) -> inspect.Parameter:
    spec: OptionSpec = field.metadata["option"]
    flag = flag_name(field.name)
    names = [f"{flag}/--no-{flag[2:]}" if field.default is True else flag] + ([spec.short] if spec.short else [])
    extra: dict[str, Any] = {}
    if _is_number_or_auto(hint):
        hint, extra = str, {"metavar": "auto|N"}
    elif spec.min is not None or spec.max is not None:
        extra = {"min": spec.min, "max": spec.max}
    info = typer.Option(*names, help=escape(spec.help), rich_help_panel=spec.group, **extra)
    default = field.default if field.default_factory is dataclasses.MISSING else field.default_factory()
    return inspect.Parameter(
        field.name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=Annotated[hint, info]
    )


def _value(field: dataclasses.Field[Any], hint: Any, value: Any) -> Any:
    if not _is_number_or_auto(hint) or value == "auto":
        return value
    try:
        return int(value)
    except ValueError:
        raise typer.BadParameter(
            f"{value!r} is neither auto nor a whole number", param_hint=flag_name(field.name)
        ) from None
