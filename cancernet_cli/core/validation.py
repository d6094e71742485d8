"""Check the fields of a dataclass against their type hints and limits; used by options and model cards."""

from __future__ import annotations

import dataclasses
import math
import re
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Integral, Real
from pathlib import Path
from typing import Any, Literal, Union

_NOUNS = {bool: "true or false", int: "an integer", float: "a number", str: "text", Path: "a path"}
_UNIONS = (Union, types.UnionType)


@dataclass(frozen=True)
class Limits:
    """What a value must satisfy beyond its type; in a tuple, each item must.

    min, max: inclusive bounds. above: exclusive lower bound. pattern: regular expression that matches the whole text.
    form: `pattern` in words, for messages. length: number of items in a tuple.
    """

    min: float | None = None
    max: float | None = None
    above: float | None = None
    pattern: str | None = None
    form: str = ""
    length: int | None = None

    def admit(self, number: float) -> bool:
        """Whether a number is finite and within the bounds."""
        low = self.min is None or number >= self.min
        high = self.max is None or number <= self.max
        try:
            finite = math.isfinite(number)
        except OverflowError:  # an integer that no float can hold
            return False
        return finite and low and high and (self.above is None or number > self.above)

    def range(self) -> str:
        """The bounds in words, with a leading space; empty without bounds."""
        if self.min is not None and self.max is not None:
            return f" from {self.min:g} to {self.max:g}"
        bounds = {"of at least": self.min, "of at most": self.max, "above": self.above}
        return "".join(f" {words} {bound:g}" for words, bound in bounds.items() if bound is not None)


NO_LIMITS = Limits()


class InvalidValue(ValueError):
    """A value of the wrong type or out of range; `fix` is what to give instead, as an imperative."""

    def __init__(self, name: str, value: object, fix: str) -> None:
        super().__init__(f"{name} is {value!r}; {fix}")
        self.name, self.value, self.fix = name, value, fix


def check_fields(record: Any, limits: Mapping[str, Limits]) -> None:
    """Check every field of a new dataclass instance, frozen or not, and store the converted values.

    Raises:
        InvalidValue: a field has a value of the wrong type or out of range.
    """
    for name, hint in field_types(type(record)).items():
        checked = checked_value(name, getattr(record, name), hint, limits.get(name, NO_LIMITS))
        object.__setattr__(record, name, checked)


def checked_value(name: str, value: Any, hint: Any, limits: Limits = NO_LIMITS) -> Any:
    """The value as its type hint has it: text becomes a `Path`, a list a tuple, a NumPy number a Python number.

    Raises:
        InvalidValue: the value has the wrong type or is out of range.
    """
    try:
        return _converted(value, hint, limits)
    except TypeError:
        described = _description(hint, limits)
        is_choice = all(map(_is_choice, _alternatives(hint)))
        fix = f"choose one of: {described}" if is_choice else f"use {described}"
        raise InvalidValue(name, value, fix) from None


def field_types(record: type) -> dict[str, Any]:
    """Name and resolved type hint of each field of a dataclass."""
    hints = typing.get_type_hints(record)
    return {field.name: hints[field.name] for field in dataclasses.fields(record)}


def _converted(value: Any, hint: Any, limits: Limits) -> Any:
    """See `checked_value`; raises TypeError where the value does not fit."""
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if hint is Any:
        return value
    if origin in _UNIONS:
        for option in inner:
            try:
                return _converted(value, option, limits)
            except TypeError:
                continue
    elif origin is Literal:
        if isinstance(value, str) and value in inner:
            return value
    elif origin in (tuple, list):
        if isinstance(value, (tuple, list)) and limits.length in (None, len(value)):
            return origin(_converted(item, inner[0], limits) for item in value)
    elif origin is dict:
        if isinstance(value, Mapping):
            return {
                _converted(key, inner[0], NO_LIMITS): _converted(item, inner[1], limits) for key, item in value.items()
            }
    elif hint in (int, float):
        kind = Integral if hint is int else Real  # NumPy's numbers are registered with both
        if isinstance(value, kind) and not isinstance(value, bool) and limits.admit(value):  # type: ignore[arg-type]
            return hint(value)
    elif hint is Path and isinstance(value, str):
        return Path(value)
    elif hint is str:
        if isinstance(value, str) and (limits.pattern is None or re.fullmatch(limits.pattern, value)):
            return value
    elif isinstance(value, hint):
        return value
    raise TypeError


def _alternatives(hint: Any) -> list[Any]:
    """The types of a union except None, choices before others (`auto` before a number)."""
    inner = typing.get_args(hint) if typing.get_origin(hint) in _UNIONS else (hint,)
    return sorted((one for one in inner if one is not type(None)), key=lambda one: not _is_choice(one))


def _is_choice(hint: Any) -> bool:
    return typing.get_origin(hint) is Literal


def _description(hint: Any, limits: Limits) -> str:
    """What a type and its limits allow, as a noun."""
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin is Literal:
        return ", ".join(inner)
    if origin in _UNIONS:
        return " or ".join(_description(one, limits) for one in _alternatives(hint))
    if origin in (tuple, list):
        count = f"{limits.length} values" if limits.length else "values"
        return f"a list of {count}, each {_description(inner[0], limits)}"
    if origin is dict or dataclasses.is_dataclass(hint):
        return "a table"
    if hint is str and limits.form:
        return limits.form
    return f"{_NOUNS[hint]}{limits.range() if hint in (int, float) else ''}"
