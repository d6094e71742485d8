"""Errors that end a run, each with its exit code and how to fix it."""

from __future__ import annotations

from cancernet_cli.core.text import one_line


class CancernetError(Exception):
    """A problem that the user can fix.

    Args:
        message: What is wrong with which value, made one line (`core.text`).
        fix: The flag, command or action that resolves it, likewise.
    """

    exit_code = 1

    def __init__(self, message: str, *, fix: str) -> None:
        self.message, self.fix = one_line(message), one_line(fix)
        super().__init__(self.message)

    def __str__(self) -> str:
        return f"{self.message}; {self.fix}"


class OptionError(CancernetError, ValueError):
    """An invalid option value, or options that conflict."""

    exit_code = 2


class InputError(CancernetError):
    """No readable image, an invalid label file, or a file of the wrong kind."""

    exit_code = 3


class ModelError(CancernetError):
    """An unknown model, an invalid card, missing or modified weights, or classes that do not match."""

    exit_code = 4


class DeviceError(CancernetError):
    """A device that is not available, or has too little memory for one image."""

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
        message: What was stopped, and what is kept.
        fix: How to resume.
        signal_number: 2 (SIGINT) or 15 (SIGTERM); the exit code is 128 more.
    """

    def __init__(self, message: str, *, fix: str, signal_number: int) -> None:
        super().__init__(message, fix=fix)
        self.exit_code = 128 + signal_number
