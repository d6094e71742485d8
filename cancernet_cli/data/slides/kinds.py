"""Whether a file is an image, read at once, or a slide, read in tiles."""

from __future__ import annotations

import os
from contextlib import suppress

from cancernet_cli.core.records import Kind
from cancernet_cli.data.dicom import is_dicom
from cancernet_cli.data.discovery.entries import has_slide_ending
from cancernet_cli.data.readers.base import readers
from cancernet_cli.data.slides.openslide_reader import GENERIC, vendor_of
from cancernet_cli.data.slides.tiff import bytes_missing, is_tiff, tiff_shape

_OME_ENDINGS = (b".ome.tif", b".ome.tiff")
MIN_SLIDE_PIXELS = 50_000_000

# The first file of these looks like something else, or like nothing: .mrxs begins as a JPEG.
_BY_NAME = (b".mrxs", b".vms", b".vmu")
_ZEISS = b"ZISRAWFILE"
_HEAD_BYTES = 132


def kind_of(location: bytes) -> Kind:
    """What the file at a path is, by its content; by its name where the content is neither, or cannot be had.

    PNG, JPEG, BMP and WebP are images, whatever they are called. A TIFF is a slide if it is of a vendor's format or
    called so, is a pyramid of tiled levels, or has more than 50 megapixels; other TIFFs are images, tiled or not, with
    thumbnails or without. A tiled TIFF that is cut off, perhaps before its smaller levels, counts as a slide.
    """
    if location.lower().endswith(_BY_NAME):
        return "slide"
    head = b""
    if os.path.isfile(location):  # a FIFO would be waited on until somebody writes into it
        with suppress(OSError), open(location, "rb") as file:
            head = file.read(_HEAD_BYTES)
    if is_tiff(head):
        return _kind_of_tiff(location)
    if is_dicom(head) or head.startswith(_ZEISS):
        return "slide"
    if any(_fits(head, magic) for entry in readers for magic in entry.facts["magic"]):
        return "image"
    return "slide" if has_slide_ending(location) else "image"


def _kind_of_tiff(location: bytes) -> Kind:
    if has_slide_ending(location) or vendor_of(location) not in (None, GENERIC):
        return "slide"
    shape = tiff_shape(location)
    if shape is None:
        return "slide" if location.lower().endswith(_OME_ENDINGS) else "image"
    is_large = shape.width_px * shape.height_px > MIN_SLIDE_PIXELS
    is_cut_off = shape.is_tiled and bytes_missing(location) > 0
    return "slide" if is_large or shape.tiled_levels > 1 or is_cut_off else "image"


def _fits(head: bytes, magic: bytes) -> bool:
    return len(head) >= len(magic) and all(m in (h, ord("?")) for h, m in zip(head, magic, strict=False))
