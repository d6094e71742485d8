"""Values against type hints and limits."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest

from cancernet_cli.core.validation import InvalidValue, Limits, check_fields, checked_value


@dataclass(frozen=True)
class Part:
    size: int = 1


@pytest.mark.parametrize(
    ("value", "hint", "limits", "expected"),
    [
        (3, int, Limits(), 3),
        (np.int32(3), int, Limits(min=3, max=3), 3),
        (3, float, Limits(above=2), 3.0),
        (np.float32(0.5), float | None, Limits(), 0.5),
        (None, float | None, Limits(min=1), None),
        ("auto", int | Literal["auto"], Limits(min=1), "auto"),
        ("a/b", Path | None, Limits(), Path("a/b")),
        ([1, 2], tuple[int, ...], Limits(min=1), (1, 2)),
        ({"a": ("b",)}, dict[str, list[str]], Limits(), {"a": ["b"]}),
        ({"a": object}, dict[str, Any], Limits(), {"a": object}),
        ("ab", str, Limits(pattern="[ab]*"), "ab"),
        (Part(2), Part, Limits(), Part(2)),
    ],
)
def test_a_value_that_fits_is_converted(value: object, hint: Any, limits: Limits, expected: object) -> None:
    found = checked_value("x", value, hint, limits)
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize(
    ("value", "hint", "limits", "fix"),
    [
        (True, int, Limits(), "use an integer"),
        (1.0, int, Limits(), "use an integer"),
        (float("inf"), float, Limits(), "use a number"),
        (2, float, Limits(above=2), "use a number above 2"),
        (3, float | None, Limits(max=2), "use a number of at most 2"),
        (0, int | Literal["auto"], Limits(min=1), "use auto or an integer of at least 1"),
        ("c", Literal["a", "b"] | None, Limits(), "choose one of: a, b"),
        (["a"], Literal["a", "b"], Limits(), "choose one of: a, b"),
        ("ab", tuple[str, ...], Limits(), "use a list of values, each text"),
        ([1, 0], tuple[int, ...], Limits(min=1), "use a list of values, each an integer of at least 1"),
        ([1], tuple[int, ...], Limits(length=2), "use a list of 2 values, each an integer"),
        ({"a": 1}, dict[str, list[str]], Limits(), "use a table"),
        ("abc", str, Limits(pattern="[ab]*", form="the letters a and b"), "use the letters a and b"),
        (b"a", Path, Limits(), "use a path"),
        ({"size": 2}, Part, Limits(), "use a table"),
    ],
)
def test_a_value_that_does_not_fit_is_refused(value: object, hint: Any, limits: Limits, fix: str) -> None:
    with pytest.raises(InvalidValue) as caught:
        checked_value("x", value, hint, limits)
    assert (caught.value.name, caught.value.value, caught.value.fix) == ("x", value, fix)


def test_fields_of_a_record_are_checked_and_converted() -> None:
    record = Part(np.int64(4))  # type: ignore[arg-type]
    check_fields(record, {"size": Limits(max=4)})
    assert type(record.size) is int
    with pytest.raises(InvalidValue, match=r"size is 4; use an integer of at most 3"):
        check_fields(record, {"size": Limits(max=3)})
