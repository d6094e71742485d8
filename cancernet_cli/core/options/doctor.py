"""Options of `cancernet doctor`."""

from __future__ import annotations

from dataclasses import dataclass

from cancernet_cli.core.options.base import Options, option


@dataclass(frozen=True, kw_only=True)
class DoctorOptions(Options):
    """Options of `cancernet doctor`."""

    self_test: bool = option(True, help="Classify a few generated images and time it.", group="Options")
