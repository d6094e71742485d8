"""Measure which library decodes a format fastest: all that can, on the same files, in one thread.

    python benchmarks/decoders.py FOLDER              # files as they are, grouped by format
    python benchmarks/decoders.py FOLDER --save jpeg    # images of FOLDER, first saved in this format

`cancernet` is the decoder of a run, including its checks of the file; `cancernet, half` decodes at half size.
Files are in the page cache, so no disk is measured. All libraries take turns in every round; medians are reported with
the largest difference from the pixels of `cancernet`, since libraries round JPEG differently.
"""

from __future__ import annotations

import argparse
import io
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import imagecodecs
import machine
import numpy as np
import simplejpeg
import torch
from folders import images_below
from PIL import Image
from torchvision.io import ImageReadMode, decode_jpeg, decode_png

from cancernet_cli.core.arrays import Pixels
from cancernet_cli.data.readers import read_image, read_shrunk

MAX_PIXELS = 100_000_000
FORMATS = {".png": "png", ".jpg": "jpeg", ".jpeg": "jpeg", ".tif": "tiff", ".tiff": "tiff", ".bmp": "bmp"}
FORMATS |= {".webp": "webp"}
ENDINGS = {"png": ".png", "jpeg": ".jpg", "tiff": ".tif", "bmp": ".bmp", "webp": ".webp"}
SAVE: dict[str, dict[str, Any]] = {
    "jpeg": {"quality": 92, "subsampling": 0},
    "tiff": {"compression": "tiff_lzw"},
    "webp": {"lossless": True},
}

Decode = Callable[[bytes], Pixels]


def with_opencv(data: bytes) -> Pixels:
    """Decode `[H, W, 3]` RGB with OpenCV."""
    found = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB)
    assert found is not None
    return np.asarray(found, np.uint8)


def with_pillow(data: bytes) -> Pixels:
    """Decode `[H, W, 3]` RGB with Pillow."""
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


def with_torchvision(decode: Callable[..., torch.Tensor]) -> Decode:
    """Decode `[H, W, 3]` RGB with a decoder of torchvision."""

    def decoded(data: bytes) -> Pixels:
        packed = torch.frombuffer(bytearray(data), dtype=torch.uint8)
        return np.asarray(decode(packed, mode=ImageReadMode.RGB).permute(1, 2, 0).contiguous().numpy())

    return decoded


LIBRARIES: dict[str, dict[str, Decode]] = {
    "png": {
        "opencv": with_opencv,
        "pillow": with_pillow,
        "torchvision": with_torchvision(decode_png),
        "imagecodecs libspng": imagecodecs.spng_decode,
        "imagecodecs libpng": imagecodecs.png_decode,
    },
    "jpeg": {
        "opencv": with_opencv,
        "pillow": with_pillow,
        "torchvision": with_torchvision(decode_jpeg),
        "imagecodecs libjpeg-turbo": imagecodecs.jpeg8_decode,
        "simplejpeg": lambda data: np.asarray(simplejpeg.decode_jpeg(data, "RGB", strict=True)),
    },
    "tiff": {"opencv": with_opencv, "pillow": with_pillow, "imagecodecs libtiff": imagecodecs.tiff_decode},
    "bmp": {"opencv": with_opencv, "pillow": with_pillow, "imagecodecs": imagecodecs.bmp_decode},
    "webp": {"opencv": with_opencv, "pillow": with_pillow, "imagecodecs libwebp": imagecodecs.webp_decode},
}


def by_format(paths: list[Path]) -> dict[str, list[Path]]:
    """Group files by format, by extension."""
    found: dict[str, list[Path]] = {}
    for path in paths:
        found.setdefault(FORMATS[path.suffix.lower()], []).append(path)
    return found


def saved(paths: list[Path], name: str, folder: Path) -> list[Path]:
    """Save the images in one format."""
    made = [folder / f"{i:04d}{ENDINGS[name]}" for i in range(len(paths))]
    for path, source in zip(made, paths, strict=True):
        Image.open(source).convert("RGB").save(path, **SAVE.get(name, {}))
    return made


def measured(name: str, paths: list[Path], rounds: int) -> dict[str, Any]:
    """Milliseconds per image of every library that decodes the format, and pixel differences from CancerNet."""
    ours = [read_image(bytes(path), max_pixels=MAX_PIXELS) for path in paths]
    packed = [path.read_bytes() for path in paths]
    work: dict[str, Callable[[int], object]] = {
        "cancernet": lambda i: read_image(bytes(paths[i]), max_pixels=MAX_PIXELS),
        "cancernet, half": lambda i: read_shrunk(
            bytes(paths[i]), lambda width, height: (width // 2, height // 2), max_pixels=MAX_PIXELS
        ),
    }
    apart: dict[str, int] = {}
    for library, decode in LIBRARIES[name].items():
        differences = [np.abs(decode(data).astype(int) - own).max() for data, own in zip(packed, ours, strict=True)]
        apart[library] = int(max(differences))
        work[library] = lambda i, decode=decode: decode(packed[i])  # type: ignore[misc]
    times: dict[str, list[float]] = {library: [] for library in work}
    for turn in range(1 + rounds):
        for library in sorted(work, reverse=bool(turn % 2)):
            started = time.perf_counter()
            for i in range(len(paths)):
                work[library](i)
            times[library].append(1e3 * (time.perf_counter() - started) / len(paths))
    return {
        "files": len(paths),
        "mean_bytes": round(statistics.fmean(map(len, packed))),
        "libraries": {
            library: {
                "ms": round(statistics.median(taken[1:]), 3),
                "ms_spread": [round(min(taken[1:]), 3), round(max(taken[1:]), 3)],
                "pixel_largest_difference": apart.get(library, 0 if library == "cancernet" else None),
            }
            for library, taken in times.items()
        },
    }


def main() -> None:
    """Parse arguments, measure and report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--save", choices=tuple(LIBRARIES), help="first save the images in this format")
    parser.add_argument("--files", type=int, default=32, help="maximum number of files per format")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as temporary:
        paths = images_below(given.folder)
        if not paths:
            raise SystemExit(f"no images under {given.folder}")
        if given.save:
            paths = saved(paths[: given.files], given.save, Path(temporary))
        formats = {
            name: measured(name, of_it[: given.files], given.rounds) for name, of_it in sorted(by_format(paths).items())
        }
    machine.report(f"decoders-{given.save or 'mixed'}", machine.facts() | {"formats": formats}, given.out)


if __name__ == "__main__":
    main()
