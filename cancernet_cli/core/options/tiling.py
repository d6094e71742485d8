"""How slides are cut into tiles; shared by the commands that read slides."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from cancernet_cli.core.options.base import Options, option


@dataclass(frozen=True, kw_only=True)
class TilingOptions(Options):
    """Which files are slides, how wide their pixels are, and which of their tiles count."""

    kind: Literal["auto", "slide", "image"] = option(
        "auto",
        help="auto takes what is a slide by its content; slide takes every TIFF for one; image takes none.",
        group="Slides",
        changes_result=True,
    )
    mpp: float | None = option(
        None,
        help="Micrometres per pixel of slides that do not say; default: those of the model's views, with a warning.",
        min=0.02,
        max=10,
        group="Slides",
        changes_result=True,
    )
    tissue: Literal["none", "otsu"] = option(
        "otsu", help="How tissue is found; none takes everything.", group="Slides", changes_result=True
    )
    min_tissue: float = option(
        0.25,
        help="Leave out tiles with less tissue than this share; 0: any will do.",
        min=0,
        max=1,
        group="Slides",
        changes_result=True,
    )
    overlap: float = option(
        0.0,
        help="Share of a side that neighbouring tiles have in common.",
        min=0,
        max=0.95,
        group="Slides",
        changes_result=True,
    )
