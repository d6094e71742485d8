"""An option: a dataclass field that knows its help, limits and flag."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any, Literal

from cancernet_cli.core.errors import OptionError
from cancernet_cli.core.validation import NO_LIMITS, InvalidValue, Limits, check_fields

Auto = Literal["auto"]


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


def flag_name(name: str) -> str:
    """`batch_size` as `--batch-size`."""
    return "--" + name.replace("_", "-")
