"""What a TIFF's description says about its pages: channels, planes, series (ImageJ, OME, tifffile)."""

from __future__ import annotations

import json
import math
import re
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass
from typing import Any

_IMAGEJ_LINE = re.compile(r"^(\w+)=(.*)$", re.MULTILINE)
_LABEL_LINE = re.compile(r"(label|macro|thumbnail|overview)( image)?( \d+x\d+)?", re.IGNORECASE)  # Aperio, OME
_LABEL_WORD = re.compile(r"\b(label|macro|thumbnail|overview)\b", re.IGNORECASE)
_PRIMARY = {0xFF0000: 0, 0x00FF00: 1, 0x0000FF: 2}
_NAMES = {"red": 0, "r": 0, "green": 1, "g": 1, "blue": 2, "b": 2}


@dataclass(frozen=True, slots=True)
class Series:
    """Pages of one image.

    pages: index of the page of each channel, of the first plane. planes: the number of planes (depths, times).
    colors: of each channel, 0 to 2 for red, green and blue; None if the description does not say, -1 for others.
    """

    pages: tuple[int, ...]
    planes: int = 1
    colors: tuple[int | None, ...] = ()


def described_series(description: str, pages: int) -> Series | None:
    """The series that the first page's description tells of; None if it tells of none.

    Args:
        pages: the number of pages of the file.
    """
    try:
        if description.startswith("ImageJ="):
            return _imagej(description)
        if "<OME" in description[:4096]:
            return _ome(description)
        if description.startswith("{"):
            return _shaped(description, pages)
    except Exception:  # metadata never fails pixels
        return None
    return None


def is_label(description: str) -> bool:
    """Whether a page is a slide's label or overview, by its description, such as "label 387x463"."""
    lines = description[:200].splitlines()
    return any(_LABEL_LINE.fullmatch(line.strip()) for line in lines[:2])


def _imagej(description: str) -> Series:
    """Channels are the fastest dimension of a hyperstack (ImageJ, `TiffEncoder`)."""
    facts = dict(_IMAGEJ_LINE.findall(description))
    channels = max(1, int(facts.get("channels", 1)))
    images = max(1, int(facts.get("images", 1)))
    return Series(tuple(range(channels)), max(1, images // channels))


def _shaped(description: str, pages: int) -> Series | None:
    """The JSON that tifffile writes; only named axes say what the pages are."""
    facts: Any = json.loads(description)
    axes, shape = facts.get("axes", ""), facts["shape"]
    if not axes or len(axes) != len(shape):
        return None
    lengths = {axis: int(length) for axis, length in zip(axes, shape, strict=True) if axis not in "YXS"}
    channels = lengths.get("C", 1)
    step = math.prod(length for axis, length in lengths.items() if axis != "C" and axes.index(axis) > axes.find("C"))
    return Series(tuple(c * step for c in range(channels)), max(1, pages // channels))


def _ome(description: str) -> Series | None:
    """The largest image that is no label or overview (OME-TIFF specification, 2016-06)."""
    root = ElementTree.fromstring(description.encode("utf-8"))
    found: list[tuple[int, Any]] = []
    start = 0  # of the image's pages, where its TiffData do not say
    for image in root.iterfind("{*}Image"):
        pixels = image.find("{*}Pixels")
        if pixels is None:
            continue
        area = int(pixels.attrib["SizeX"]) * int(pixels.attrib["SizeY"])
        if _LABEL_WORD.search(image.get("Name", "")):
            area = 0
        series, count = _ome_series(pixels, start)
        start += count
        found.append((area, series))
    return max(found, key=lambda pair: pair[0])[1] if found else None


def _ome_series(pixels: Any, start: int) -> tuple[Series, int]:
    """One image's series, and its number of pages."""
    sizes = {axis: int(pixels.attrib[f"Size{axis}"]) for axis in "CZT"}
    channels = pixels.findall("{*}Channel")
    samples = int(channels[0].get("SamplesPerPixel", 1)) if channels else 1
    sizes["C"] = max(1, sizes["C"] // max(1, samples))
    order = [axis for axis in pixels.attrib["DimensionOrder"] if axis in "CZT"]
    step, steps = 1, {}
    for axis in order:
        steps[axis] = step
        step *= sizes[axis]
    places = {c: start + c * steps["C"] for c in range(sizes["C"])}
    for part in pixels.findall("{*}TiffData"):
        if "IFD" not in part.attrib:
            continue
        first = sum(int(part.get(f"First{axis}", 0)) * steps[axis] for axis in "CZT")
        many = int(part.get("PlaneCount", 1))
        for c in places:
            if first <= c * steps["C"] < first + many:
                places[c] = int(part.attrib["IFD"]) + c * steps["C"] - first
    colors = tuple(_color(channel) for channel in channels) if len(channels) == sizes["C"] else ()
    return Series(tuple(places.values()), sizes["Z"] * sizes["T"], colors), step


def _color(channel: Any) -> int | None:
    name = channel.get("Name", "").strip().lower()
    if name in _NAMES:
        return _NAMES[name]
    value = int(channel.get("Color", -1)) & 0xFFFFFFFF  # RGBA, signed
    return None if value in (0xFFFFFFFF, 0) else _PRIMARY.get(value >> 8, -1)
