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
from cancernet_cli.core.machine.devices import check_device
from cancernet_cli.core.options.base import Options, OptionSpec, flag_name

Format = Literal["human", "json", "quiet"]
FORMAT = typer.Option(
    "--format", help="human: tables and progress. json: one JSON object on stdout. quiet: errors only."
)

# Panels in the order of --help; any other panel follows them.
GROUPS = (
    "Output",
    "Model",
    "Comparison",
    "Split",
    "Training",
    "Measures",
    "Measurement",
    "Input",
    "Slides",
    "Run",
    "Machine",
    "Options",
)


def options_from(record: type[Options]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Decorate a command with one flag for each field of `record`; it receives them as one argument, `options`."""
    hints = typing.get_type_hints(record)
    declared = [f for f in dataclasses.fields(record) if "option" in f.metadata]
    declared.sort(key=_panel)

    def wrap(command: Callable[..., Any]) -> Callable[..., Any]:
        own = inspect.signature(command, eval_str=True).parameters
        parameters = [p for name, p in own.items() if name != "options"]
        parameters += [_parameter(f, hints[f.name]) for f in declared]

        def run(**values: Any) -> Any:
            chosen = {f.name: _value(hints[f.name], values.pop(f.name)) for f in declared}
            try:
                options = record(**chosen)
            except OptionError as error:
                raise typer.BadParameter(str(error)) from None
            if isinstance(device := getattr(options, "device", None), str):
                check_device(device)  # before PyTorch is loaded
            return command(**values, options=options)

        run.__name__, run.__doc__ = command.__name__, _unwrapped(command.__doc__ or "")
        run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        run.__annotations__ = {p.name: p.annotation for p in parameters}
        return run

    return wrap


def _unwrapped(doc: str) -> str:
    """A docstring with each paragraph on one line, for terminals of any width; examples stay as they are."""
    paragraphs = inspect.cleandoc(doc).split("\n\n")
    return "\n\n".join(text if text.startswith(" ") else " ".join(text.split()) for text in paragraphs)


def _panel(field: dataclasses.Field[Any]) -> int:
    """Position of an option's panel in --help."""
    group = field.metadata["option"].group
    return GROUPS.index(group) if group in GROUPS else len(GROUPS)


def _is_number_or_auto(hint: Any) -> bool:
    return int in typing.get_args(hint) and type(None) not in typing.get_args(hint)


def _parameter(field: dataclasses.Field[Any], hint: Any) -> inspect.Parameter:
    spec: OptionSpec = field.metadata["option"]
    flag = spec.flag or flag_name(field.name)
    names = [f"{flag}/--no-{flag[2:]}" if field.default is True else flag] + ([spec.short] if spec.short else [])
    extra: dict[str, Any] = {}
    if _is_number_or_auto(hint):
        hint, extra = str, {"metavar": "auto|N"}
    elif spec.limits.min is not None or spec.limits.max is not None:
        extra = {"min": spec.limits.min, "max": spec.limits.max}
    default = field.default if field.default_factory is dataclasses.MISSING else field.default_factory()
    if isinstance(default, str) and "," in default:  # shown so that it wraps instead of being cut off
        extra["show_default"] = default.replace(",", ", ")
    info = typer.Option(*names, help=escape(spec.help), rich_help_panel=spec.group, **extra)
    return inspect.Parameter(
        field.name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=Annotated[hint, info]
    )


def _value(hint: Any, value: Any) -> Any:
    """What the record is given; it refuses text that is neither a number nor auto."""
    try:
        return int(value) if _is_number_or_auto(hint) else value
    except ValueError:
        return value
