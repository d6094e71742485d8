"""One colour a class, which people who confuse red and green tell apart."""

from __future__ import annotations

from collections.abc import Sequence

RGB = tuple[int, int, int]

# Okabe and Ito, "Color Universal Design" (2008), without black, which H&E hides
_BLUE, _VERMILLION = (0, 114, 178), (213, 94, 0)
_OTHERS: tuple[RGB, ...] = (
    (0, 158, 115),
    (204, 121, 167),
    (230, 159, 0),
    (86, 180, 233),
    (240, 228, 66),
    (122, 81, 149),  # not theirs: BreakHis has eight subtypes
)
FAILED_COLOUR: RGB = (120, 120, 120)


def class_colours(classes: Sequence[str], positive: str) -> dict[str, RGB]:
    """The RGB of each class, 0 to 255; `positive`, where there is one, is vermillion."""
    if positive:
        return {name: _VERMILLION if name == positive else _BLUE for name in classes}
    colours = (_BLUE, _VERMILLION, *_OTHERS)
    return {name: colours[i % len(colours)] for i, name in enumerate(classes)}
