"""Parse file names of the IDC patches.

Cruz-Roa et al., SPIE Medical Imaging 2014; Janowczyk and Madabhushi, Journal of Pathology Informatics 7:29, 2016.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

IDC_CLASSES = ("non_idc", "idc")  # in the order of the numbers in file and folder names

_NAME = re.compile(r"(\d+)_idx\d+_x(\d+)_y(\d+)_class([01])(?!\d)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class IdcName:
    """A parsed name. `x_px`, `y_px`: the patch's top left corner on its slide, in pixels at the patches' resolution."""

    label: str
    patient: str
    x_px: int
    y_px: int


def parse_idc(name: str) -> IdcName | None:
    """The parts of a name such as `10253_idx5_x1001_y1051_class0.png`, or None for any other name."""
    match = _NAME.match(name)
    if match is None:
        return None
    patient, x, y, number = match.groups()
    return IdcName(IDC_CLASSES[int(number)], patient, int(x), int(y))
