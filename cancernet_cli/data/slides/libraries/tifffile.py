"""TIFFs that OpenSlide cannot read, or not completely: OME-TIFF pyramids, images in strips, WebP, unusual JPEG 2000."""

from __future__ import annotations

from cancernet_cli.data.signatures import TIFF
from cancernet_cli.data.slides.base import SlideReader, slide_readers
from cancernet_cli.data.slides.tiff_directories import read_directories


@slide_readers.register("tifffile", endings=(".btf", ".tf8", ".tif", ".tiff"), signatures=TIFF)
def tifffile_reader() -> SlideReader:
    """tifffile (Gohlke, doi:10.5281/zenodo.6795860)."""
    from cancernet_cli.data.slides.tifffile_slide import TiffSlide  # photos do without it

    return SlideReader(lambda location: read_directories(location) is not None, TiffSlide, rank=1)
