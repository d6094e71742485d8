"""Folders to measure with: models with random weights, and many links to a few images."""

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
    """A classifier with random weights, as `cancernet bench --backbone` makes them, scaled by the example fields."""
    policy = InputPolicy(view="resize", width_px=side_px, height_px=side_px)
    return write_random(folder, backbone, side_px, pixels=example_pixels(policy), levels=levels, seed=seed)


def example_pixels(policy: InputPolicy) -> torch.Tensor:
    """The example fields as a network's input, `[N, 3, H, W]`, normalised."""
    transform = transforms.Compose(
        [
            transforms.Resize((policy.height_px, policy.width_px)),
            transforms.ToTensor(),
            transforms.Normalize(policy.mean, policy.std),
        ]
    )
    return torch.stack([transform(Image.open(path).convert("RGB")) for path in images_below(SLIDES)])


def images_below(folder: Path) -> list[Path]:
    """Every image file below a folder, sorted."""
    endings = {".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp"}
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in endings)


def many_links(images: list[Path], folder: Path, count: int, *, copies: Path) -> Path:
    """A folder with `count` names for a few images, 1,000 in a subfolder: hard links to a copy of each in `copies`."""
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
    """A folder with `count` names for the images of the size that most images below `folder` have."""
    images = images_below(folder)
    sizes = [size_px(path) for path in images]
    commonest = Counter(sizes).most_common(1)[0][0]
    chosen = [path for path, size in zip(images, sizes, strict=True) if size == commonest]
    return many_links(chosen, scratch / "links", count, copies=scratch / "copies")


def size_px(path: Path) -> tuple[int, int]:
    """Width and height of an image."""
    with Image.open(path) as file:
        return file.size
