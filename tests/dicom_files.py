"""DICOM slides that tests write with pydicom; tests that need it are skipped where it is not installed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
import simplejpeg

TILE = 128
PLAIN, JPEG, JPEG_LS, JPEG_2000 = (f"1.2.840.10008.1.2.{end}" for end in ("1", "4.50", "4.80", "4.90"))
SLIDE, CT = "1.2.840.10008.5.1.4.1.1.77.1.6", "1.2.840.10008.5.1.4.1.1.2"


def jpeg_rgb(tile: np.ndarray) -> bytes:
    """RGB with the marker that says so, whatever the header states."""
    return bytes(imagecodecs.jpeg8_encode(tile, level=98, colorspace="RGB", outcolorspace="RGB"))


def jpeg_ycbcr(tile: np.ndarray) -> bytes:
    return simplejpeg.encode_jpeg(np.ascontiguousarray(tile), quality=98, colorsubsampling="444")


def jpeg_420(tile: np.ndarray) -> bytes:
    """YCbCr without a marker; only the sampling tells."""
    data = simplejpeg.encode_jpeg(np.ascontiguousarray(tile), quality=98, colorsubsampling="420")
    return data[:2] + data[20:]  # without JFIF


CODECS: dict[str, tuple[str, Callable[[np.ndarray], bytes], str]] = {
    "plain": (PLAIN, lambda tile: np.ascontiguousarray(tile).tobytes(), "RGB"),
    "JPEG YBR_FULL": (JPEG, jpeg_ycbcr, "YBR_FULL"),
    "JPEG YBR_FULL_422": (JPEG, jpeg_ycbcr, "YBR_FULL_422"),
    "JPEG said to be RGB": (JPEG, jpeg_ycbcr, "RGB"),
    "JPEG without markers said to be RGB": (JPEG, jpeg_420, "RGB"),
    "JPEG of RGB said to be YBR_FULL": (JPEG, jpeg_rgb, "YBR_FULL"),
    "JPEG of RGB said to be YBR_FULL_422": (JPEG, jpeg_rgb, "YBR_FULL_422"),
    "JPEG-LS": (JPEG_LS, lambda tile: bytes(imagecodecs.jpegls_encode(tile)), "RGB"),
    "JPEG 2000": (JPEG_2000, lambda tile: bytes(imagecodecs.jpeg2k_encode(tile, reversible=True, level=0)), "YBR_RCT"),
}


def write_dicom(
    path: Path, picture: np.ndarray, how: str = "plain", *, sparse: list[int] | None = None, flavor: str = "VOLUME",
    series: str = "1.2.3", kind: str = SLIDE, **more: Any,
) -> None:  # fmt: skip
    """A file with the tiles of a picture; `sparse`: the tiles that it has, in their order."""
    pytest.importorskip("pydicom")
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.encaps import encapsulate
    from pydicom.sequence import Sequence

    syntax, encode, color = CODECS[how]
    height, width = picture.shape[:2]
    across, down = -(-width // TILE), -(-height // TILE)
    padded = np.pad(picture, ((0, down * TILE - height), (0, across * TILE - width), (0, 0)), constant_values=255)
    numbers = sparse if sparse is not None else list(range(across * down))
    corners = [(i % across * TILE, i // across * TILE) for i in numbers]
    frames = [encode(np.ascontiguousarray(padded[y : y + TILE, x : x + TILE])) for x, y in corners]
    header = Dataset()
    header.file_meta = FileMetaDataset()
    header.file_meta.TransferSyntaxUID = syntax
    header.file_meta.MediaStorageSOPClassUID = header.SOPClassUID = kind
    header.file_meta.MediaStorageSOPInstanceUID = header.SOPInstanceUID = f"{series}.{len(path.name)}.{width}"
    header.Modality, header.StudyInstanceUID, header.SeriesInstanceUID = "SM", "1.2", series
    header.ImageType = ["ORIGINAL", "PRIMARY", *([flavor, "NONE"] if flavor else [])]
    header.Rows = header.Columns = TILE
    header.TotalPixelMatrixColumns, header.TotalPixelMatrixRows = width, height
    header.NumberOfFrames, header.SamplesPerPixel, header.PlanarConfiguration = len(frames), 3, 0
    header.BitsAllocated = header.BitsStored = 8
    header.HighBit, header.PixelRepresentation, header.PhotometricInterpretation = 7, 0, color
    measures, shared = Dataset(), Dataset()
    measures.PixelSpacing = [0.0005, 0.0005]
    shared.PixelMeasuresSequence = Sequence([measures])
    header.SharedFunctionalGroupsSequence = Sequence([shared])
    header.DimensionOrganizationType = "TILED_FULL" if sparse is None else "TILED_SPARSE"
    if sparse is not None:
        groups = []
        for x, y in corners:
            place, group = Dataset(), Dataset()
            place.ColumnPositionInTotalImagePixelMatrix, place.RowPositionInTotalImagePixelMatrix = x + 1, y + 1
            group.PlanePositionSlideSequence = Sequence([place])
            groups.append(group)
        header.PerFrameFunctionalGroupsSequence = Sequence(groups)
    for name, value in more.items():
        setattr(header, name, value)
    header.PixelData = b"".join(frames) if syntax == PLAIN else encapsulate(frames)
    header["PixelData"].VR = "OB"
    header["PixelData"].is_undefined_length = syntax != PLAIN
    header.save_as(path, enforce_file_format=True)
