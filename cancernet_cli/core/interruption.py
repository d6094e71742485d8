"""Ctrl-C and SIGTERM: finish the batch, keep what is done, then stop.

The command line installs the handlers with `watch`; engines call `check` between batches. Library callers, who install
no handlers, get Python's usual KeyboardInterrupt.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from cancernet_cli.core.errors import Interrupted

_received: int | None = None


@contextmanager
def watch() -> Iterator[None]:
    """Turn the first SIGINT or SIGTERM into a request to stop, the second into an immediate KeyboardInterrupt."""
    global _received
    _received = None

    def note(number: int, frame: FrameType | None) -> None:
        global _received
        if _received is not None:
            raise KeyboardInterrupt
        _received = number

    previous = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
        _received = None


def requested() -> bool:
    """Whether a signal has requested a stop."""
    return _received is not None


def check(done: str = "nothing was lost", fix: str = "run the same command again to resume") -> None:
    """Stop if a signal has requested it.

    Args:
        done: what is kept. fix: how to continue.

    Raises:
        Interrupted: with the exit code 130 (SIGINT) or 143 (SIGTERM).
    """
    if _received is not None:
        raise Interrupted(f"stopped by {signal.Signals(_received).name}; {done}", fix=fix, signal_number=_received)
