"""The option `--patient-pattern`: a regular expression that finds the patient in a path."""

from __future__ import annotations

import re
from typing import Any

from cancernet_cli.core.errors import OptionError
from cancernet_cli.core.options.base import option

GROUP = "patient"
EXAMPLE = r"'^([^/]+)/' for <patient>/<class>/x.png, or 'case_(\d+)' for case_012_a.png"


def patient_pattern_option(**more: Any) -> Any:
    """Declare the option; "" leaves patients as they are."""
    return option(
        "",
        help="Regular expression with one group, or a group named `patient`, that finds the patient in a file's path "
        r"(relative to the input folder): '^([^/]+)/' or 'case_(\d+)'. Takes precedence over other sources.",
        group="Input",
        **more,
    )


def compiled_pattern(pattern: str) -> re.Pattern[str]:
    """The compiled expression; its group is `group_of` it.

    Raises:
        OptionError: it is not a regular expression, or does not have exactly one group, or one named `patient`.
    """
    try:
        found = re.compile(pattern)
    except re.error as error:
        raise OptionError(
            f"--patient-pattern {pattern!r} is not a regular expression: {error}",
            fix=f"correct it; examples: {EXAMPLE}",
        ) from None
    if GROUP not in found.groupindex and found.groups != 1:
        has = "no group" if not found.groups else f"{found.groups} groups, none of them named {GROUP!r}"
        raise OptionError(
            f"--patient-pattern {pattern!r} has {has}",
            fix=f"put the part that names the patient in parentheses, or write (?P<{GROUP}>...); examples: {EXAMPLE}",
        )
    return found


def group_of(pattern: re.Pattern[str]) -> str | int:
    """The group that holds the patient."""
    return GROUP if GROUP in pattern.groupindex else 1
