"""Slides that OpenSlide supports: SVS, NDPI, MRXS, SCN, VMS, BIF, SVSLIDE, DICOM, CZI, generic tiled TIFF."""

from __future__ import annotations

from cancernet_cli.data.signatures import DICOM, TIFF, ZEISS_CZI
from cancernet_cli.data.slides.base import SlideReader, slide_readers

_ENDINGS = (
    ".svs", ".ndpi", ".mrxs", ".scn", ".vms", ".vmu", ".bif", ".svslide", ".dcm", ".czi", ".qptiff", ".tif",
    ".tiff",
)  # fmt: skip


@slide_readers.register(
    "openslide", endings=_ENDINGS, signatures=(*TIFF, DICOM, ZEISS_CZI), index_endings=(".mrxs", ".vms", ".vmu")
)
def openslide_reader() -> SlideReader:
    """OpenSlide (Goode et al., J Pathol Inform 4:27, 2013)."""
    from cancernet_cli.data.slides.openslide_slide import OpenSlideSlide, takes  # photos do without it

    return SlideReader(takes, OpenSlideSlide, rank=0)
