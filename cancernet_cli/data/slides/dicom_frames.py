"""The frames of one DICOM file: where they are, and how they are decoded."""

from __future__ import annotations

import itertools
import struct
from collections.abc import Callable
from typing import Any, BinaryIO

import cv2
import imagecodecs
import numpy as np
from numpy.typing import NDArray

from cancernet_cli.core.arrays import Pixels
from cancernet_cli.data.readers.inner_sizes import inner_size
from cancernet_cli.data.readers.jpeg_colors import jpeg_colors
from cancernet_cli.data.readers.pixels import samples_to_rgb
from cancernet_cli.data.slides.base import TruncatedSlide, UnsupportedSlide

_UNDEFINED = 0xFFFFFFFF
_ITEM = b"\xfe\xff\x00\xe0"
_MAX_FRAME_BYTES = 512 * 1024**2
_PIXELS = b"\xe0\x7f\x10\x00"

# By transfer syntax (PS3.5, section 10)
_PLAIN = ("1.2.840.10008.1.2", "1.2.840.10008.1.2.1")
_JPEG = ("1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51")
_CODECS: dict[str, Callable[[bytes], NDArray[Any]]] = {
    "1.2.840.10008.1.2.4.57": lambda data: imagecodecs.ljpeg_decode(data),
    "1.2.840.10008.1.2.4.70": lambda data: imagecodecs.ljpeg_decode(data),
    "1.2.840.10008.1.2.4.80": lambda data: imagecodecs.jpegls_decode(data),
    "1.2.840.10008.1.2.4.81": lambda data: imagecodecs.jpegls_decode(data),
    "1.2.840.10008.1.2.4.90": lambda data: imagecodecs.jpeg2k_decode(data),
    "1.2.840.10008.1.2.4.91": lambda data: imagecodecs.jpeg2k_decode(data),
}
_COLORS = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT")
_GRAYS = ("MONOCHROME1", "MONOCHROME2")


class Frames:
    """The frames of a file, one by one. `header`: its dataset up to the pixels; `start`: the position of these."""

    def __init__(self, file: BinaryIO, header: Any, start: int) -> None:
        self._file = file
        self._syntax = str(header.file_meta.TransferSyntaxUID)
        self._color = str(header.PhotometricInterpretation)
        self._samples, self._bits = int(header.SamplesPerPixel), int(header.BitsStored)
        self._is_planar = int(header.get("PlanarConfiguration", 0)) == 1
        self._type = np.dtype("<u2" if int(header.BitsAllocated) == 16 else "u1")
        self.width_px, self.height_px = int(header.Columns), int(header.Rows)
        self._check(header)
        self._bytes = self.width_px * self.height_px * self._samples * self._type.itemsize
        if not 0 < self._bytes <= _MAX_FRAME_BYTES:
            raise UnsupportedSlide(f"tiles of {self.width_px:,} x {self.height_px:,} pixels")
        count = int(header.get("NumberOfFrames", 1) or 1)
        self._places = self._positions(start, count, header.get("ExtendedOffsetTable"))

    def __len__(self) -> int:
        return len(self._places)

    def decode(self, index: int) -> Pixels:
        """`[height_px, width_px, 3]` uint8 RGB.

        Raises:
            ValueError or a codec's own error: the frame is damaged.
            OSError: it cannot be read.
        """
        start, length = self._places[index]
        self._file.seek(start)
        data = self._file.read(length)
        samples = self._plain(data) if self._syntax in _PLAIN else self._decompressed(_joined(data), index)
        samples = samples.reshape(samples.shape[0], samples.shape[1], -1)
        if samples.shape != (self.height_px, self.width_px, self._samples):
            raise ValueError(f"frame {index} has {samples.shape[1]} x {samples.shape[0]} x {samples.shape[2]} samples")
        if self._color == "MONOCHROME1":
            samples = (1 << self._bits) - 1 - samples
        if samples.dtype == np.uint8 and samples.shape[2] == 3:
            return np.ascontiguousarray(samples)
        return samples_to_rgb(np.ascontiguousarray(samples), bits=self._bits)

    def _check(self, header: Any) -> None:
        if self._syntax not in (*_PLAIN, *_JPEG, *_CODECS):
            raise UnsupportedSlide(f"its transfer syntax is {header.file_meta.TransferSyntaxUID.name}")
        if self._samples != (3 if self._color in _COLORS else 1 if self._color in _GRAYS else 0):
            raise UnsupportedSlide(f"{self._samples} samples of {self._color}; save it as RGB")
        if int(header.BitsAllocated) not in (8, 16) or int(header.get("PixelRepresentation", 0)):
            raise UnsupportedSlide(f"its pixels have {header.BitsAllocated} bits, or are signed")
        if self._syntax in _PLAIN and self._color == "YBR_FULL_422":
            raise UnsupportedSlide("uncompressed YBR_FULL_422; save it as RGB")

    def _plain(self, data: bytes) -> NDArray[Any]:
        if len(data) < self._bytes:
            raise ValueError("the file ends within a frame")
        samples = np.frombuffer(data, self._type)
        if self._is_planar and self._samples == 3:
            samples = np.moveaxis(samples.reshape(3, self.height_px, self.width_px), 0, 2)
        else:
            samples = samples.reshape(self.height_px, self.width_px, self._samples)
        return _to_rgb(samples) if self._color == "YBR_FULL" else samples

    def _decompressed(self, data: bytes, index: int) -> NDArray[Any]:
        claimed = inner_size(data)
        if claimed is not None and claimed != (self.width_px, self.height_px):
            raise ValueError(f"frame {index} claims {claimed[0]:,} x {claimed[1]:,} pixels")
        if self._syntax in _JPEG:
            space = None
            if self._samples == 3:  # some writers state YBR_FULL over RGB, and some the opposite: the JPEG's own counts
                space = jpeg_colors(data) or ("RGB" if self._color == "RGB" else "YCBCR")
            return np.asarray(imagecodecs.jpeg8_decode(data, colorspace=space, outcolorspace=space and "RGB"))
        samples = np.asarray(_CODECS[self._syntax](data))
        # The codecs of JPEG 2000 convert what is called YBR_ICT or YBR_RCT themselves
        return _to_rgb(samples) if self._color in ("YBR_FULL", "YBR_FULL_422") else samples

    def _positions(self, start: int, count: int, table: bytes | None) -> list[tuple[int, int]]:
        """Position and length of each frame in the file."""
        size = self._file.seek(0, 2)
        self._file.seek(start)
        head = self._file.read(12)
        if head[:4] != _PIXELS:
            raise TruncatedSlide("the file ends before its pixels")
        if self._syntax in _PLAIN:
            at = start + (12 if self._syntax == _PLAIN[1] else 8)
            if at + count * self._bytes > size:
                raise TruncatedSlide(f"the file is {at + count * self._bytes - size:,} bytes too short for its pixels")
            return [(at + i * self._bytes, self._bytes) for i in range(count)]
        items = self._items(start + 12)
        basic = items[0]
        first, end = items[1][0] - 8 if len(items) > 1 else size, items[-1][0] + items[-1][1]
        self._file.seek(basic[0])
        known = np.frombuffer(table or b"", "<u8")
        if not len(known):
            known = np.frombuffer(self._file.read(basic[1] // 4 * 4), "<u4").astype(np.uint64)
        if len(known) == count:
            starts = [first + int(offset) for offset in known]
        elif len(items) - 1 == count:
            starts = [at - 8 for at, _ in items[1:]]
        elif count == 1 and len(items) > 1:
            starts = [first]
        else:
            raise TruncatedSlide(f"it has {len(items) - 1:,} of {count:,} frames")
        if any(b <= a for a, b in itertools.pairwise([*starts, end])):
            raise TruncatedSlide("its frames are not in order")
        return [(a, min(b - a, _MAX_FRAME_BYTES)) for a, b in itertools.pairwise([*starts, end])]

    def _items(self, at: int) -> list[tuple[int, int]]:
        """Position and length of the items of encapsulated pixels: the offset table, then fragments of frames."""
        size = self._file.seek(0, 2)
        found: list[tuple[int, int]] = []
        while at + 8 <= size:
            self._file.seek(at)
            tag, length = self._file.read(4), struct.unpack("<I", self._file.read(4))[0]
            if tag != _ITEM or length == _UNDEFINED or at + 8 + length > size:
                break
            found.append((at + 8, length))
            at += 8 + length
        if not found:
            raise TruncatedSlide("the file ends before its pixels")
        return found


def _joined(data: bytes) -> bytes:
    """The fragments of one frame without their item tags."""
    parts, at = [], 0
    while data[at : at + 4] == _ITEM:
        (length,) = struct.unpack_from("<I", data, at + 4)
        parts.append(data[at + 8 : at + 8 + length])
        at += 8 + length
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _to_rgb(samples: NDArray[Any]) -> NDArray[Any]:
    """YBR_FULL as RGB (PS3.3, C.7.6.3.1.2)."""
    return np.asarray(cv2.cvtColor(np.ascontiguousarray(samples[..., [0, 2, 1]]), cv2.COLOR_YCrCb2RGB))
