"""BreakHis as it is unpacked, in small."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from cancernet_cli.data.discovery.names.breakhis import SUBTYPES

# class, subtype, slide: two cases a subtype; 14-22549 has two slides, and 14-13412 is held under two subtypes
SLIDES = (
    ("B", "A", "14-22549AB"),
    ("B", "A", "14-22549CD"),
    ("B", "A", "14-29960CD"),
    ("B", "F", "14-9133"),
    ("B", "F", "14-14134E"),
    ("B", "PT", "14-21998AB"),
    ("B", "PT", "14-29315EF"),
    ("B", "TA", "14-3411F"),
    ("B", "TA", "14-13200"),
    ("M", "DC", "14-2523"),
    ("M", "DC", "14-13412"),
    ("M", "LC", "14-13412"),
    ("M", "LC", "14-15570"),
    ("M", "MC", "14-10147"),
    ("M", "MC", "14-18842D"),
    ("M", "PC", "14-9146"),
    ("M", "PC", "15-190EF"),
)
MAGNIFICATIONS = (40, 100, 200, 400)


def breakhis_tree(root: Path, *, images: int = 1, slides: Sequence[tuple[str, str, str]] = SLIDES) -> Path:
    """`BreaKHis_v1/histology_slides/breast/...` with its read-me; the files hold no image."""
    top = root / "BreaKHis_v1"
    breast = top / "histology_slides" / "breast"
    for letter, code, slide in slides:
        label = "benign" if letter == "B" else "malignant"
        for magnification in MAGNIFICATIONS:
            folder = breast / label / "SOB" / SUBTYPES[code] / f"SOB_{letter}_{code}_{slide}" / f"{magnification}X"
            folder.mkdir(parents=True)
            for number in range(1, images + 1):
                (folder / f"SOB_{letter}_{code}-{slide}-{magnification}-{number:03d}.png").write_bytes(b"x")
    (breast / "README.txt").write_text("BreaKHis\n")
    return top
