"""An option: a dataclass field that knows its help, limits and flag."""

from __future__ import annotations

import dataclasses
import difflib
import inspect
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Any, Literal, TypeVar

from cancernet_cli.core.errors import OptionError
from cancernet_cli.core.validation import NO_LIMITS, InvalidValue, Limits, check_fields

Auto = Literal["auto"]
Record = TypeVar("Record", bound="Options")
_LISTED = "\nAttributes:"


@dataclass(frozen=True)
class OptionSpec:
    """What the command line needs to know beyond a field's name, type and default.

    short: one-letter flag, for example `-o`. group: panel of `--help`. changes_result: predictions depend on the
    option: it is stored in the table's metadata and decides what a resumed run may reuse. flag: where it is not the
    field's name.
    """

    help: str
    limits: Limits = NO_LIMITS
    short: str | None = None
    group: str = "Options"
    changes_result: bool = False
    flag: str = ""


def option(
    default: Any,
    *,
    help: str,
    min: float | None = None,
    max: float | None = None,
    short: str | None = None,
    group: str = "Options",
    changes_result: bool = False,
    flag: str = "",
) -> Any:
    """Declare a dataclass field that is also a command-line flag; see `OptionSpec` and `Limits`."""
    spec = OptionSpec(help, Limits(min, max), short, group, changes_result, flag)
    return field(default=default, metadata={"option": spec})


@dataclass(frozen=True, kw_only=True)
class Options:
    """Base of all options: checks types, choices and ranges, for library callers as for the command line.

    Raises:
        OptionError: a value has the wrong type, is not one of the choices, or is out of range.
    """

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """List the options under the docstring, for `help()` and editors."""
        super().__init_subclass__(**kwargs)
        fields = {
            f.name: f for base in reversed(cls.__mro__[1:]) for f in getattr(base, "__dataclass_fields__", {}).values()
        }
        own = {name: value for name, value in vars(cls).items() if isinstance(value, dataclasses.Field)}
        lines = [_described(name, f) for name, f in (fields | own).items() if "option" in f.metadata]
        summary = inspect.cleandoc((cls.__doc__ or "").partition(_LISTED)[0])
        cls.__doc__ = "\n".join([summary, _LISTED, *lines]) if lines else summary

    def __post_init__(self) -> None:
        try:
            check_fields(self, {name: spec.limits for name, spec in self._specs().items()})
        except InvalidValue as wrong:
            flag = self._specs()[wrong.name].flag or flag_name(wrong.name)
            raise OptionError(f"{flag} is {wrong.value!r}", fix=wrong.fix) from None

    @classmethod
    def _specs(cls) -> dict[str, OptionSpec]:
        return {f.name: f.metadata["option"] for f in dataclasses.fields(cls) if "option" in f.metadata}

    def result_options(self) -> dict[str, Any]:
        """Name and value of the options on which predictions depend."""
        return {name: getattr(self, name) for name, spec in self._specs().items() if spec.changes_result}

    def changed(self, group: str) -> list[str]:
        """Names of a group's options that are not at their defaults."""
        defaults = {f.name: f.default for f in dataclasses.fields(self)}
        specs = self._specs().items()
        return [name for name, spec in specs if spec.group == group and getattr(self, name) != defaults[name]]


def _described(name: str, of: dataclasses.Field[Any]) -> str:
    default = of.default if of.default_factory is dataclasses.MISSING else of.default_factory()
    spec: OptionSpec = of.metadata["option"]
    return f"    {name}: {spec.help} [default: {str(default) if isinstance(default, PurePath) else repr(default)}]"


def chosen(record: type[Record], options: Record | None, changes: Mapping[str, Any]) -> Record:
    """Options with changes by name; default: those of the class.

    Raises:
        OptionError: the name of a change is unknown, or a value is invalid.
    """
    known = {f.name for f in dataclasses.fields(record)}
    if unknown := sorted(changes.keys() - known):
        close = difflib.get_close_matches(unknown[0], known, n=1)
        meant = f"did you mean {close[0]}? " if close else ""
        raise OptionError(f"unknown option {unknown[0]!r}", fix=f"{meant}help({record.__name__}) lists them all")
    return record(**changes) if options is None else dataclasses.replace(options, **changes)


def input_names(inputs: str | os.PathLike[str] | Sequence[str | os.PathLike[str]]) -> list[str]:
    """One or several inputs of a command as text."""
    return [os.fspath(name) for name in ([inputs] if isinstance(inputs, (str, os.PathLike)) else inputs)]


def flag_name(name: str) -> str:
    """`batch_size` as `--batch-size`."""
    return "--" + name.replace("_", "-")
