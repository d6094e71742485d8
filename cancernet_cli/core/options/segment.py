"""Options of `cancernet segment`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cancernet_cli.core.errors import OptionError
from cancernet_cli.core.models import DEFAULT_UNET
from cancernet_cli.core.options.base import option
from cancernet_cli.core.options.shared.loading import LoaderOptions
from cancernet_cli.core.options.shared.tiling import TilingOptions
from cancernet_cli.core.registry import SEGMENTERS, entry_names


def _usable() -> list[str]:
    """Names of the segmenters that find something."""
    return [name for name in entry_names(SEGMENTERS) if name != "none"]


@dataclass(frozen=True, kw_only=True)
class SegmentOptions(LoaderOptions, TilingOptions):
    """Options of `cancernet segment`."""

    out: Path = option(Path("nuclei"), help="Output folder for tables, masks and pictures.", short="-o", group="Output")
    overwrite: bool = option(False, help="Replace an output made with different options.", group="Output")
    binary_masks: bool = option(True, help="Write a mask per image: 255 in nuclei, 0 elsewhere (PNG).", group="Output")
    instances: bool = option(
        True,
        help="Write a label image per file, whose values are the ids in nuclei.parquet: 16- or 32-bit TIFF, tiled for "
        "slides.",
        group="Output",
    )
    geojson: bool = option(True, help="Write the outlines per file as GeoJSON detections for QuPath.", group="Output")
    overlays: bool = option(True, help="Draw the outlines on each image or slide thumbnail (JPEG).", group="Output")
    soft_masks: bool = option(
        False, help="Also write each image's nucleus probabilities (8-bit PNG, 0 to 255).", group="Output"
    )
    model: str = option(
        DEFAULT_UNET, help="U-Net: name of a bundled model, or path of a model folder.", short="-m", group="Model"
    )
    segmenter: str = option(
        "unet",
        help=f"Segmenter: {', '.join(_usable())}; all but unet need no model.",
        group="Model",
        changes_result=True,
    )
    masks: Path | None = option(
        None,
        help="Folder with true masks, named like the images, to measure the overlap with them; or use a manifest with "
        "the columns image and mask.",
        group="Input",
    )
    labels: str = option(
        "auto",
        help="Source of patients: auto, none, folders, breakhis, or a CSV or Parquet file with path,label,patient.",
        group="Input",
        changes_result=True,
    )
    mpp: float | None = option(
        None,
        help="Resolution of all files in µm/px, in place of their metadata; default: of slides the metadata's, of "
        "images the manifest's or the magnification's, or the model's if none is known.",
        min=0.02,
        max=10,
        group="Input",
        changes_result=True,
    )
    min_tissue: float = option(
        0.0,
        help="Minimum tissue fraction of a tile; 0 keeps all tiles with any tissue.",
        min=0,
        max=1,
        group="Slides",
        changes_result=True,
    )
    overlap: float = option(
        0.25,
        help="Overlap of adjacent tiles, as a fraction of their side; should be wider than a nucleus.",
        min=0,
        max=0.75,
        group="Slides",
        changes_result=True,
    )
    regions: Path | None = option(
        None,
        help="CSV or Parquet file with slide,x,y,width_px,height_px at level 0: segment only these regions of slides.",
        group="Slides",
    )
    max_bad_tiles: float = option(
        0.1,
        help="Maximum fraction of tiles that may fail before the slide fails.",
        min=0,
        max=1,
        group="Slides",
        changes_result=True,
    )
    strict: bool = option(False, help="Stop at the first file that fails.", group="Run")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.segmenter not in _usable():
            raise OptionError(f"--segmenter is {self.segmenter!r}", fix=f"choose one of {', '.join(_usable())}")
