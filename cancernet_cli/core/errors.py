"""The ways a run can fail, each with its exit code and the way to mend it."""

from __future__ import annotations


class CancernetError(Exception):
    """A failure that the user can mend.

    Args:
        message: what was found, and what was wanted.
        fix: the flag, command or action that mends it.
    """

    exit_code = 1

    def __init__(self, message: str, *, fix: str) -> None:
        super().__init__(message)
        self.message = message
        self.fix = fix

    def __str__(self) -> str:
        return f"{self.message}; {self.fix}"


class OptionError(CancernetError, ValueError):
    """A wrong option value, or two that do not go together."""

    exit_code = 2


class InputError(CancernetError):
    """No readable image, a bad label file, or a file that does not fit the job."""

    exit_code = 3


class ModelError(CancernetError):
    """An unknown model, missing or changed weights, or classes that do not fit."""

    exit_code = 4


class DeviceError(CancernetError):
    """A device that is not there, or too small for one image."""

    exit_code = 5


class OutputError(CancernetError):
    """An output that cannot be written, is in use, or was made with other options."""

    exit_code = 6


class PartialFailure(CancernetError):
    """The run finished, and some files failed."""

    exit_code = 7


class Interrupted(CancernetError):
    """A signal stopped the run after a batch; what is done is kept.

    Args:
        signal_number: 2 (SIGINT) or 15 (SIGTERM); the exit code is 128 more.
    """

    def __init__(self, message: str, *, fix: str, signal_number: int) -> None:
        super().__init__(message, fix=fix)
        self.exit_code = 128 + signal_number
