"""Options for tiling slides, shared by the commands that read slides."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from cancernet_cli.core.options.base import flag_name, option
from cancernet_cli.core.options.shared.loading import FileOptions


def without_slides(names: Iterable[str]) -> str:
    """The warning about options of slides that have no effect because there are none."""
    return f"no effect of {', '.join(map(flag_name, names))}: there are no slides among the inputs"


@dataclass(frozen=True, kw_only=True)
class TilingOptions(FileOptions):
    """Which files are slides, their resolution, and which tiles are used."""

    kind: Literal["auto", "slide", "image"] = option(
        "auto",
        help="auto: detect slides by content; slide: treat every TIFF as a slide; image: treat no file as a slide.",
        group="Slides",
        changes_result=True,
    )
    mpp: float | None = option(
        None,
        help="Resolution of the slides (µm/px), in place of their metadata; default: the metadata's, or the model's.",
        min=0.02,
        max=10,
        group="Slides",
        changes_result=True,
    )
    tissue: Literal["none", "otsu"] = option(
        "otsu", help="Tissue detection method; none tiles the whole slide.", group="Slides", changes_result=True
    )
    min_tissue: float = option(
        0.25,
        help="Minimum tissue fraction of a tile; 0 keeps all tiles.",
        min=0,
        max=1,
        group="Slides",
        changes_result=True,
    )
    overlap: float = option(
        0.0,
        help="Overlap of adjacent tiles, as a fraction of their side.",
        min=0,
        max=0.95,
        group="Slides",
        changes_result=True,
    )
