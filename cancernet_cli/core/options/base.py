"""What an option is: a dataclass field that knows its help, bounds and flag."""

from __future__ import annotations

import dataclasses
import types
import typing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from cancernet_cli.core.errors import OptionError

Auto = Literal["auto"]


@dataclass(frozen=True)
class OptionSpec:
    """What the command line needs to know beyond a field's name, type and default."""

    help: str
    min: float | None = None
    max: float | None = None
    short: str | None = None
    group: str = "Options"
    changes_result: bool = False


def option(
    default: Any,
    *,
    help: str,
    min: float | None = None,
    max: float | None = None,
    short: str | None = None,
    group: str = "Options",
    changes_result: bool = False,
) -> Any:
    """A dataclass field that is also a command-line flag.

    `changes_result` marks options on which the predictions depend: they go into the table's metadata and decide
    what a resumed run may reuse.
    """
    return field(default=default, metadata={"option": OptionSpec(help, min, max, short, group, changes_result)})


@dataclass(frozen=True, kw_only=True)
class Options:
    """Base of all options: checks bounds and choices, for library callers as for the command line."""

    def __post_init__(self) -> None:
        hints = typing.get_type_hints(type(self))
        for spec, name, value in self._declared():
            if isinstance(value, str) and (hints[name] is Path or Path in typing.get_args(hints[name])):
                object.__setattr__(self, name, Path(value))
                continue
            allowed = choices(hints[name])
            flag = flag_name(name)
            is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
            if allowed and isinstance(value, str) and value not in allowed:
                raise OptionError(f"{flag} is {value!r}", fix=f"choose one of: {', '.join(allowed)}")
            if is_number and spec.min is not None and value < spec.min:
                raise OptionError(f"{flag} is {value}", fix=f"give at least {spec.min:g}")
            if is_number and spec.max is not None and value > spec.max:
                raise OptionError(f"{flag} is {value}", fix=f"give at most {spec.max:g}")

    def _declared(self) -> list[tuple[OptionSpec, str, Any]]:
        found = [(f.metadata.get("option"), f.name) for f in dataclasses.fields(self)]
        return [(spec, name, getattr(self, name)) for spec, name in found if spec is not None]

    def result_options(self) -> dict[str, Any]:
        """The options on which the predictions depend."""
        return {name: value for spec, name, value in self._declared() if spec.changes_result}


def choices(hint: Any) -> tuple[str, ...]:
    """The strings that a type admits when it is a Literal; empty when it admits other things too."""
    if typing.get_origin(hint) is Literal:
        return tuple(typing.get_args(hint))
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        inner = [h for h in typing.get_args(hint) if h is not type(None)]
        found = [choices(h) for h in inner]
        return sum(found, ()) if all(f or h is int for f, h in zip(found, inner, strict=True)) else ()
    return ()


def flag_name(name: str) -> str:
    """`batch_size` as `--batch-size`."""
    return "--" + name.replace("_", "-")
