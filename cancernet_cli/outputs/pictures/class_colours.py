"""One color per class, distinguishable with red-green color blindness."""

from __future__ import annotations

from collections.abc import Sequence

RGB = tuple[int, int, int]

# Okabe and Ito, "Color Universal Design" (2008), without black, which is hard to see on H&E
_BLUE, _VERMILION = (0, 114, 178), (213, 94, 0)
_OTHERS: tuple[RGB, ...] = (
    (0, 158, 115),
    (204, 121, 167),
    (230, 159, 0),
    (86, 180, 233),
    (240, 228, 66),
    (122, 81, 149),  # an addition to theirs: BreakHis has eight subtypes
)
FAILED_COLOUR: RGB = (120, 120, 120)
UNSURE_COLOUR: RGB = (205, 205, 205)


def class_colours(classes: Sequence[str], positive: str) -> dict[str, RGB]:
    """RGB color of each class, 0 to 255; `positive` is vermilion, unless it is empty."""
    if positive:
        return {name: _VERMILION if name == positive else _BLUE for name in classes}
    colours = (_BLUE, _VERMILION, *_OTHERS)
    return {name: colours[i % len(colours)] for i, name in enumerate(classes)}


def on_dark(colour: RGB) -> RGB:
    """A lighter tint of a color, for letters and bars on the dark background of captions."""
    return tuple(round(0.55 * part + 0.45 * 255) for part in colour)  # type: ignore[return-value]
