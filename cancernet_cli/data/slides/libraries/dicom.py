"""DICOM slides that OpenSlide refuses: YBR_FULL, JPEG-LS, images without a flavor, sparse tiles."""

from __future__ import annotations

from cancernet_cli.data.dicom import is_dicom
from cancernet_cli.data.signatures import DICOM
from cancernet_cli.data.slides.base import Slide, SlideReader, slide_readers


@slide_readers.register("dicom", endings=(".dcm",), signatures=(DICOM,))
def dicom_reader() -> SlideReader:
    """pydicom (doi:10.5281/zenodo.7319790) for the header; the codecs are those of images."""
    return SlideReader(is_dicom, _open, rank=2)


def _open(location: bytes) -> Slide:
    from cancernet_cli.data.slides.dicom_slide import DicomSlide  # pydicom takes a second to import

    return DicomSlide(location)
