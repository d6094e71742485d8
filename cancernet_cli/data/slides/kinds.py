"""Tell slides, which are read in tiles, from images, which are read whole."""

from __future__ import annotations

import os
from contextlib import suppress

from cancernet_cli.core.records import Kind
from cancernet_cli.data.discovery.endings import registered_endings
from cancernet_cli.data.readers.base import readers
from cancernet_cli.data.signatures import has_signature
from cancernet_cli.data.slides.base import slide_readers
from cancernet_cli.data.slides.openslide_slide import GENERIC, vendor_of
from cancernet_cli.data.slides.tiff import is_cut_off, tiff_shape
from cancernet_cli.data.slides.tiff_directories import read_directories

_OME_ENDINGS = (b".ome.tif", b".ome.tiff")
MIN_SLIDE_PIXELS = 50_000_000


def kind_of(location: bytes) -> Kind:
    """Whether the file at a path is an image or a slide: by its content, or by its name if that is not conclusive.

    PNG, JPEG, BMP and WebP are images, whatever their names. A TIFF is a slide if it has a vendor's format or file name
    ending, is a pyramid of tiled levels, or has more than 50 megapixels; other TIFFs are images, tiled or not, with
    thumbnails or without. A truncated tiled TIFF, which may have lost its smaller levels, counts as a slide. Never
    raises, whatever the file.
    """
    name = location.lower()
    index_endings = [ending.encode() for entry in slide_readers for ending in entry.facts.get("index_endings", ())]
    if name.endswith(tuple(index_endings)):
        return "slide"
    head = _head(location)
    is_image = any(has_signature(head, entry.facts["signatures"]) for entry in readers)
    is_slide = any(has_signature(head, entry.facts["signatures"]) for entry in slide_readers)
    if is_slide != is_image:
        return "slide" if is_slide else "image"
    is_named_so = name.endswith(registered_endings().slide)
    if is_slide and not is_named_so:
        with suppress(OSError):  # it is gone, or the disk fails: reading it says so
            return _kind_of_tiff(location)
    return "slide" if is_named_so else "image"


def _head(location: bytes) -> bytes:
    """The first bytes of a file, enough for every signature; none if it cannot be read."""
    if not os.path.isfile(location):  # reading a FIFO would wait for a writer
        return b""
    longest = max(len(s) for registry in (readers, slide_readers) for e in registry for s in e.facts["signatures"])
    with suppress(OSError), open(location, "rb") as file:
        return file.read(longest)
    return b""


def _kind_of_tiff(location: bytes) -> Kind:
    found = read_directories(location)
    if found is None or not found.damage:  # libraries follow loops
        if vendor_of(location) not in (None, GENERIC):
            return "slide"
        if found is None:
            return "image"
    shape = tiff_shape(found)
    if shape is None:
        return "slide" if location.lower().endswith(_OME_ENDINGS) else "image"
    is_truncated = shape.levels[0].is_tiled and is_cut_off(location, found)
    return "slide" if shape.pixels > MIN_SLIDE_PIXELS or shape.is_pyramid or is_truncated else "image"
