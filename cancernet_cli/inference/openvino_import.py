"""Import OpenVINO with telemetry disabled; all code imports it from here."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

_TELEMETRY = "openvino_telemetry"


@contextmanager
def no_telemetry() -> Iterator[None]:
    """Disable telemetry of OpenVINO and NNCF imported in the block.

    By default they start a process that reports usage over the network, wait for it, and store an identifier in the
    user's home folder. If the telemetry package cannot be imported, both use a stub.
    """
    before = sys.modules.get(_TELEMETRY)
    sys.modules[_TELEMETRY] = None  # type: ignore[assignment]  # makes the import fail
    try:
        yield
    finally:
        if before is None:
            del sys.modules[_TELEMETRY]
        else:
            sys.modules[_TELEMETRY] = before


with no_telemetry():
    import openvino as ov

__all__ = ["no_telemetry", "ov"]
