"""Parse BreakHis file names (Spanhol et al., IEEE TBME 63(7):1455-1462, 2016)."""

from __future__ import annotations

import re
from dataclasses import dataclass

SUBTYPES = {
    "A": "adenosis",
    "F": "fibroadenoma",
    "PT": "phyllodes_tumor",
    "TA": "tubular_adenoma",
    "DC": "ductal_carcinoma",
    "LC": "lobular_carcinoma",
    "MC": "mucinous_carcinoma",
    "PC": "papillary_carcinoma",
}
_BENIGN = frozenset({"A", "F", "PT", "TA"})

# biopsy, class, subtype, year, slide number and letters, magnification, sequence; any suffix ("(1)", ".png")
_NAME = re.compile(r"SOB_([BM])_([A-Z]{1,2})-(\d{2})-(\d+)([A-Z]*)-(\d+)-(\d+)(?![\dA-Z])", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class BreakHisName:
    """A parsed name. `slide` is, for example, "14-22549AB"; `patient` omits the letters, which distinguish slides.

    A case may have two subtypes (14-13412 is in DC and LC), so neither includes the subtype.
    """

    label: str
    subtype: str
    patient: str
    slide: str
    magnification: float


def parse_breakhis(name: str) -> BreakHisName | None:
    """The parts of a name such as `SOB_M_DC-14-2523-100-005.png`, or None for any other name."""
    match = _NAME.match(name)
    if match is None:
        return None
    letter, code, year, number, letters, magnification, _ = (part.upper() for part in match.groups())
    if code not in SUBTYPES or (code in _BENIGN) != (letter == "B"):
        return None
    return BreakHisName(
        label="benign" if letter == "B" else "malignant",
        subtype=SUBTYPES[code],
        patient=f"{year}-{number}",
        slide=f"{year}-{number}{letters}",
        magnification=float(magnification),
    )
