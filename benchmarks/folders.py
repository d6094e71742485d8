"""Input folders for benchmarks: models with random weights, and many links to a few images."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import torch
from PIL import Image
from torchvision import transforms

from cancernet_cli.core.cards import InputPolicy
from cancernet_cli.engine.bench.random_model import random_model as write_random

SLIDES = Path(__file__).parents[1] / "examples" / "slides"


def random_model(folder: Path, backbone: str, side_px: int, *, levels: tuple[int, ...] = (4,), seed: int = 0) -> Path:
    """Write a classifier with random weights like `cancernet bench --backbone`, calibrated on the example fields."""
    policy = InputPolicy(view="resize", width_px=side_px, height_px=side_px)
    return write_random(folder, backbone, side_px, pixels=example_pixels(policy), levels=levels, seed=seed)


def example_pixels(policy: InputPolicy) -> torch.Tensor:
    """The example fields as normalised network input, `[N, 3, H, W]`."""
    transform = transforms.Compose(
        [
            transforms.Resize((policy.height_px, policy.width_px)),
            transforms.ToTensor(),
            transforms.Normalize(policy.mean, policy.std),
        ]
    )
    return torch.stack([transform(Image.open(path).convert("RGB")) for path in images_below(SLIDES)])


def images_below(folder: Path) -> list[Path]:
    """Every image file under a folder, sorted."""
    endings = {".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp"}
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in endings)


def many_links(images: list[Path], folder: Path, count: int, *, copies: Path) -> Path:
    """Make a folder of `count` files, 1,000 per subfolder: hard links to one copy of each image in `copies`."""
    copies.mkdir(parents=True, exist_ok=True)
    sources = [copies / f"{i}{path.suffix.lower()}" for i, path in enumerate(images)]
    for source, path in zip(sources, images, strict=True):
        source.write_bytes(path.read_bytes())
    for i in range(count):
        source = sources[i % len(sources)]
        link = folder / f"{i // 1000:04d}" / f"{i:07d}{source.suffix}"
        link.parent.mkdir(parents=True, exist_ok=True)
        os.link(source, link)
    return folder


def links_of_one_size(folder: Path, count: int, scratch: Path) -> Path:
    """Make a folder of `count` links to the images under `folder` that have the most common size."""
    images = images_below(folder)
    sizes = [size_px(path) for path in images]
    commonest = Counter(sizes).most_common(1)[0][0]
    chosen = [path for path, size in zip(images, sizes, strict=True) if size == commonest]
    return many_links(chosen, scratch / "links", count, copies=scratch / "copies")


def size_px(path: Path) -> tuple[int, int]:
    """Width and height of an image in pixels."""
    with Image.open(path) as file:
        return file.size
