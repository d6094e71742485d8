"""The only module, with `cli.progress`, that prints: data to stdout, messages to stderr.

A reader that leaves (`cancernet models show | head -1`) is not an error: the rest of the output is dropped, and the
exit code stays the same. What comes from files may hold any character; nothing but plain lines is printed of it.
"""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, Any, TextIO

from cancernet_cli.core.errors import CancernetError, OutputError
from cancernet_cli.core.text import one_line

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType, RenderResult


def line(text: str) -> None:
    """Print a line of data."""
    _write(sys.stdout, f"{one_line(text)}\n")


def record(value: Any) -> None:
    """Print one JSON object; paths become text, NaN is an error."""
    # JSON escapes control characters
    _write(sys.stdout, f"{json.dumps(value, indent=2, default=str, allow_nan=False)}\n")


def show(*parts: RenderableType) -> None:
    """Print tables, panels and text to stdout, one below the other."""
    found = console()
    for part in parts:
        with found.capture() as text:  # Rich would exit if the reader has left
            found.print(_Plain(part))
        _write(sys.stdout, text.get())


def talk(text: str) -> None:
    """Print a line for the user to stderr."""
    _write(sys.stderr, f"{one_line(text)}\n")


def error(problem: CancernetError) -> None:
    """Print an error and its fix."""
    if problem.exit_code > 128:
        talk(problem.message)
        talk(f"  {problem.fix}")
    else:
        talk(f"error: {problem.message}")
        talk(f"  fix: {problem.fix}")


def flush() -> None:
    """Write what is still buffered, so that Python does not fail at exit if the reader has left.

    Raises:
        OutputError: standard output cannot be written.
    """
    for stream in (sys.stderr, sys.stdout):
        _write(stream, "", flush=True)


def console(stderr: bool = False) -> Console:
    """A console as wide as the terminal, or of 100 columns in a pipe."""
    from rich.console import Console

    found = Console(stderr=stderr, highlight=False, soft_wrap=False)
    return found if found.is_terminal else Console(stderr=stderr, highlight=False, width=100)


class _Plain:
    """A part of which each line is rendered without control characters; styles are not affected."""

    def __init__(self, part: RenderableType) -> None:
        self._part = part

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for segment in console.render(self._part, options):
            text = "\n".join(map(one_line, segment.text.split("\n")))
            yield segment._replace(text=text)


def _write(stream: TextIO, text: str, *, flush: bool = False) -> None:
    try:
        stream.write(text)
        if flush:
            stream.flush()
    except BrokenPipeError:
        _discard(stream)
    except OSError as problem:
        _discard(stream)
        if stream is sys.stdout:  # what cannot be said on stderr is not worth the run
            why = problem.strerror or str(problem)
            raise OutputError(
                f"standard output cannot be written: {why}", fix="free some space, or send it elsewhere"
            ) from None


def _discard(stream: TextIO) -> None:
    """Send what is buffered, and everything else, to the null device; Python would fail at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
