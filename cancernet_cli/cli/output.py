"""The only module, with `cli.progress`, that prints: data to stdout, messages to stderr.

A reader that leaves (`cancernet models show | head -1`) is not a failure: the rest of the output is dropped, and
the exit code stays the same.
"""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, Any, TextIO

from cancernet_cli.core.errors import CancernetError

if TYPE_CHECKING:
    from rich.console import Console, RenderableType


def line(text: str) -> None:
    """Print a line of data."""
    _write(sys.stdout, f"{text}\n")


def record(value: Any) -> None:
    """Print one JSON object; paths become text, NaN is an error."""
    line(json.dumps(value, indent=2, default=str, allow_nan=False))


def show(renderable: RenderableType) -> None:
    """Print a table or panel to stdout."""
    found = console()
    with found.capture() as text:  # Rich would exit where the reader has left
        found.print(renderable)
    _write(sys.stdout, text.get())


def talk(text: str) -> None:
    """Print a line for the user to stderr."""
    _write(sys.stderr, f"{text}\n")


def error(problem: CancernetError) -> None:
    """Print an error and its fix."""
    if problem.exit_code > 128:
        talk(f"{problem.message}\n  {problem.fix}")
    else:
        talk(f"error: {problem.message}\n  fix: {problem.fix}")


def flush() -> None:
    """Write what is still buffered, so that Python does not fail at exit where the reader has left."""
    for stream in (sys.stdout, sys.stderr):
        _write(stream, "", flush=True)


def console(stderr: bool = False) -> Console:
    """A console as wide as the terminal, or of 100 columns in a pipe."""
    from rich.console import Console

    found = Console(stderr=stderr, highlight=False, soft_wrap=False)
    return found if found.is_terminal else Console(stderr=stderr, highlight=False, width=100)


def _write(stream: TextIO, text: str, *, flush: bool = False) -> None:
    try:
        stream.write(text)
        if flush:
            stream.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
