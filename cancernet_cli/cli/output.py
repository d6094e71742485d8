"""The only place, with `cli.progress`, that prints: data to stdout, talk to stderr."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

from cancernet_cli.core.errors import CancernetError

if TYPE_CHECKING:
    from rich.console import Console, RenderableType


def line(text: str) -> None:
    """A line of data."""
    sys.stdout.write(f"{text}\n")


def record(value: Any) -> None:
    """One JSON object; NaN and paths never reach it unencoded."""
    line(json.dumps(value, indent=2, default=str, allow_nan=False))


def show(renderable: RenderableType) -> None:
    """A table or panel on stdout."""
    console().print(renderable)


def talk(text: str) -> None:
    """A line for the person, on stderr."""
    sys.stderr.write(f"{text}\n")


def error(problem: CancernetError) -> None:
    """What went wrong and how to mend it."""
    lead = "stopped" if problem.exit_code > 128 else "error"
    talk(
        f"{lead}: {problem.message}\n  fix: {problem.fix}" if lead == "error" else f"{problem.message}\n  {problem.fix}"
    )


def console(stderr: bool = False) -> Console:
    """A console that is as wide as the terminal, or 100 columns in a pipe."""
    from rich.console import Console

    found = Console(stderr=stderr, highlight=False, soft_wrap=False)
    return found if found.is_terminal else Console(stderr=stderr, highlight=False, width=100)
