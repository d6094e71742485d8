"""Options of `cancernet tile`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cancernet_cli.core.models import DEFAULT_MODEL
from cancernet_cli.core.options.base import option
from cancernet_cli.core.options.shared.tiling import TilingOptions


@dataclass(frozen=True, kw_only=True)
class TileOptions(TilingOptions):
    """Options of `cancernet tile`."""

    out: Path = option(Path("tiles"), help="Output folder for tables and pictures.", short="-o", group="Output")
    overwrite: bool = option(False, help="Replace an existing preview.", group="Output")
    images: bool = option(False, help="Also write every tile as PNG, in one folder per slide.", group="Output")
    model: str = option(
        DEFAULT_MODEL,
        help="Model to cut tiles for: name of a bundled model, or path of a model folder.",
        short="-m",
        group="Model",
    )
    tile_mpp: float | None = option(
        None, help="Resolution of tiles in µm/px; default: the model card's.", min=0.02, max=10, group="Model"
    )
    tile_size_px: int | None = option(
        None,
        help="Side of a tile in pixels at --tile-mpp; default: the model's input size.",
        min=16,
        max=8192,
        group="Model",
    )
