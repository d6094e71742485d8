"""A folder as found in a laboratory: slides, photos, and files broken in various ways."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from slide_files import write_slide

from cancernet_cli.engine.bench.synthetic_images import write_fields

PHOTOS = 40
SLIDES = ("svs", "tif", "svs")
# Rows by kind and status; of each kind, one file is truncated, one empty, and one has no data folder or is no image
MIXED = Counter({("slide", "ok"): 3, ("image", "ok"): PHOTOS, ("slide", "failed"): 3, ("image", "failed"): 3})


def write_mixed(folder: Path, slide_px: int) -> Path:
    """Write 3 slides of this side length, 40 photos of 700 x 460 pixels and 6 broken files."""
    sound = [
        write_slide(folder / "slides" / f"{i}.{ending}", slide_px, slide_px, seed=i) for i, ending in enumerate(SLIDES)
    ]
    photos = write_fields(folder / "photos", PHOTOS // 2, 700, 460, "png")
    write_fields(folder / "more", PHOTOS - PHOTOS // 2, 700, 460, "jpeg")
    broken = folder / "broken"
    broken.mkdir()
    slide, photo = sound[0].read_bytes(), photos[0].read_bytes()
    (broken / "cut_off.svs").write_bytes(slide[: len(slide) // 2])
    (broken / "empty.svs").write_bytes(b"")
    (broken / "without_its_folder.mrxs").write_bytes(b"\xff\xd8\xff\xe0")
    (broken / "cut_off.png").write_bytes(photo[: len(photo) // 2])
    (broken / "no_image.jpg").write_text("remember the staining protocol\n", "utf-8")
    (broken / "empty.png").write_bytes(b"")
    return folder
