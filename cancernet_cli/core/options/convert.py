"""Options of `cancernet convert`."""

from __future__ import annotations

from dataclasses import dataclass

from cancernet_cli.core.options.base import Options, option


@dataclass(frozen=True, kw_only=True)
class ConvertOptions(Options):
    """Options of `cancernet convert`."""

    overwrite: bool = option(False, help="Replace an existing file.", group="Output")
