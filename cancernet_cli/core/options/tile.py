"""Options of `cancernet tile`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cancernet_cli.core.models import DEFAULT_MODEL
from cancernet_cli.core.options.base import option
from cancernet_cli.core.options.tiling import TilingOptions


@dataclass(frozen=True, kw_only=True)
class TileOptions(TilingOptions):
    """Options of `cancernet tile`."""

    out: Path = option(Path("tiles"), help="Folder for tables and pictures.", short="-o", group="Output")
    overwrite: bool = option(False, help="Replace a plan that is already there.", group="Output")
    images: bool = option(False, help="Write every tile as a PNG too, in a folder for each slide.", group="Output")
    model: str = option(
        DEFAULT_MODEL,
        help="Whose views tiles become: a bundled model's name, or a model's folder.",
        short="-m",
        group="Model",
    )
    tile_mpp: float | None = option(
        None,
        help="Micrometres that a pixel of a tile shows; default: the model card's.",
        min=0.02,
        max=10,
        group="Model",
    )
    tile_size_px: int | None = option(
        None,
        help="Side of a tile, in pixels at --tile-mpp; default: the model's view.",
        min=16,
        max=8192,
        group="Model",
    )
