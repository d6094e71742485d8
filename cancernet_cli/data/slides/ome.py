"""What OME-XML says about a slide: its scale, and which pages are channels of one color image."""

from __future__ import annotations

import contextlib
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass

from cancernet_cli.data.slides.base import UnsupportedSlide

_UNITS = {"µm": 1.0, "um": 1.0, "μm": 1.0, "nm": 1e-3, "mm": 1e3, "cm": 1e4, "m": 1e6}
_MAX_NAMES = 4
_COLORS = {"red": 0, "green": 1, "blue": 2, "r": 0, "g": 1, "b": 2}
_RGBA = {0xFF0000FF: 0, 0x00FF00FF: 1, 0x0000FFFF: 2}  # Channel's attribute Color, a signed 32-bit number


@dataclass(frozen=True)
class Ome:
    """The first image of an OME-XML.

    mpp: (x, y) in micrometers. power: of the objective. channels: the pages of red, green and blue if there are three;
    otherwise empty. is_stack: it has further focal planes or times.
    """

    mpp: tuple[float, float] | None = None
    power: float | None = None
    channels: tuple[int, ...] = ()
    is_stack: bool = False


def read_ome(text: str) -> Ome:
    """What OME-XML says; nothing if it is invalid.

    Raises:
        UnsupportedSlide: its channels are stored as pages and are not red, green and blue.
    """
    try:
        root = ElementTree.fromstring(text)
    except (ElementTree.ParseError, ValueError):
        return Ome()
    pixels, objective = root.find(".//{*}Pixels"), root.find(".//{*}Objective")
    power = None
    with contextlib.suppress(KeyError, ValueError):
        power = float(objective.attrib["NominalMagnification"]) if objective is not None else None
    if pixels is None:
        return Ome(power=power)
    depth = max(_whole(pixels, "SizeZ", 1), 1) * max(_whole(pixels, "SizeT", 1), 1)
    return Ome(_mpp(pixels), power, _channels(pixels), depth > 1)


def _mpp(pixels: ElementTree.Element) -> tuple[float, float] | None:
    with contextlib.suppress(KeyError, ValueError):
        x, y = (
            float(pixels.attrib[f"PhysicalSize{axis}"]) * _UNITS[pixels.get(f"PhysicalSize{axis}Unit", "µm")]
            for axis in "XY"
        )
        return x, y
    return None


def _channels(pixels: ElementTree.Element) -> tuple[int, ...]:
    found = pixels.findall("{*}Channel")
    samples = max(_whole(found[0], "SamplesPerPixel", 1), 1) if found else 1
    count = _whole(pixels, "SizeC", 1) // samples
    if count <= 1:
        return ()
    names = [channel.get("Name", "").strip() for channel in found]
    order = _order(names, [_whole(channel, "Color", -1) & 0xFFFFFFFF for channel in found])
    if count != 3 or samples != 1 or order is None:
        named = [name for name in names if name]
        some = f" ({', '.join(named[:_MAX_NAMES])}{', ...' if len(named) > _MAX_NAMES else ''})" if named else ""
        raise UnsupportedSlide(f"it has {count} channels{some} that are not red, green and blue; save it as RGB")
    pages = _pages(pixels)
    return tuple(pages[channel] for channel in order)


def _order(names: list[str], colors: list[int]) -> tuple[int, ...] | None:
    """The channels that are red, green and blue; in file order if neither names nor colors are given, else None."""
    for places in ([_COLORS.get(name.lower()) for name in names], [_RGBA.get(color) for color in colors]):
        if sorted(place for place in places if place is not None) == [0, 1, 2] and len(places) == 3:
            return tuple(places.index(color) for color in range(3))
    return None if any(names) else (0, 1, 2)


def _pages(pixels: ElementTree.Element) -> tuple[int, int, int]:
    """The page of each of three channels, by the elements TiffData; page by page without them."""
    pages = [0, 1, 2]
    for data in pixels.findall("{*}TiffData"):
        first = _whole(data, "FirstC", 0)
        for i in range(min(3, _whole(data, "PlaneCount", 1 if "IFD" in data.attrib else 3))):
            if 0 <= first + i < 3:
                pages[first + i] = _whole(data, "IFD", 0) + i
    return pages[0], pages[1], pages[2]


def _whole(element: ElementTree.Element, name: str, default: int) -> int:
    try:
        return int(element.get(name, default))
    except ValueError:
        return default
