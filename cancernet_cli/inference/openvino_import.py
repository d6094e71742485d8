"""OpenVINO, imported so that it reports to nobody: everything here takes it from this file."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

_REPORTER = "openvino_telemetry"


@contextmanager
def unreported() -> Iterator[None]:
    """Imports of OpenVINO and of NNCF in the block report to nobody.

    As they are, they start a process that tells their makers over the network, wait for it, and leave an identifier in
    the user's home. Where the package that does it cannot be imported, both take a stub of their own.
    """
    before = sys.modules.get(_REPORTER)
    sys.modules[_REPORTER] = None  # type: ignore[assignment]  # what Python takes for "not there"
    try:
        yield
    finally:
        if before is None:
            del sys.modules[_REPORTER]
        else:
            sys.modules[_REPORTER] = before


with unreported():
    import openvino as ov

__all__ = ["ov", "unreported"]
