"""Exceptions with exit codes, and how to fix what caused them."""

from __future__ import annotations


class CancernetError(Exception):
    """Base of all failures that the user can fix.

    Args:
        message: what is wrong, with the value.
        fix: what to do about it, as an imperative.
    """

    exit_code = 1

    def __init__(self, message: str, *, fix: str) -> None:
        super().__init__(message)
        self.message = message
        self.fix = fix

    def __str__(self) -> str:
        return f"{self.message}; {self.fix}"


class OptionError(CancernetError, ValueError):
    """An invalid option value, or options that exclude each other."""

    exit_code = 2


class InputError(CancernetError):
    """No readable image, an invalid label file, or a file of the wrong kind."""

    exit_code = 3


class ModelError(CancernetError):
    """An unknown model, an invalid card, missing or changed weights, or classes that do not match."""

    exit_code = 4


class DeviceError(CancernetError):
    """A device that does not exist, or has too little memory for one image."""

    exit_code = 5


class OutputError(CancernetError):
    """An output that cannot be written, is in use, or was made with different options."""

    exit_code = 6


class PartialFailure(CancernetError):
    """The run finished, but some files failed."""

    exit_code = 7


class Interrupted(CancernetError):
    """A signal stopped the run after a batch; finished work is kept.

    Args:
        message: see `CancernetError`.
        fix: see `CancernetError`.
        signal_number: 2 (SIGINT) or 15 (SIGTERM); the exit code is this plus 128.
    """

    def __init__(self, message: str, *, fix: str, signal_number: int) -> None:
        super().__init__(message, fix=fix)
        self.exit_code = 128 + signal_number
