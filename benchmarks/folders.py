"""Folders to measure with: models with random weights, and many links to a few images."""

from __future__ import annotations

import os
from pathlib import Path

import torch
from PIL import Image
from safetensors.torch import save_file
from torchvision import transforms

from cancernet_cli.classification import build_classifier
from cancernet_cli.core.cards import (
    WEIGHTS_FILE,
    Architecture,
    Card,
    Decision,
    InputPolicy,
    SegmentationPolicy,
    Weights,
    file_sha256,
    write_card,
)

SLIDES = Path(__file__).parents[1] / "examples" / "slides"


def random_model(folder: Path, backbone: str, side_px: int, *, levels: tuple[int, ...] = (4,), seed: int = 0) -> Path:
    """A classifier with random weights that takes each image squeezed into one view; nothing is segmented.

    The statistics of its normalisation layers and the scale of its logits are taken from the example fields: with
    untouched random weights every image would get a probability of 0 or 1, and a comparison would show nothing.
    """
    torch.manual_seed(seed)
    architecture = Architecture(backbone=backbone, head="linear", levels=levels, classes=("benign", "malignant"))
    network = build_classifier(architecture)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = None  # the mean over what it sees
    policy = InputPolicy(view="resize", width_px=side_px, height_px=side_px)
    fields = example_pixels(policy)
    last = [module for module in network.modules() if isinstance(module, torch.nn.Linear)][-1]
    with torch.no_grad():
        network.train()(fields)
        logits = network.eval()(fields)
        scale = logits.std(dim=0)
        last.weight /= scale[:, None]
        last.bias.copy_((last.bias - logits.mean(dim=0)) / scale)
    folder.mkdir(parents=True, exist_ok=True)
    save_file(network.state_dict(), folder / WEIGHTS_FILE)
    card = Card(
        name=folder.name,
        task="classify",
        summary="Random weights, for benchmarks.",
        architecture=architecture,
        input=policy,
        segmentation=SegmentationPolicy(segmenter="none"),
        decision=Decision(positive="malignant", threshold=0.5, chosen_on="nothing"),
        weights=Weights(sha256=file_sha256(folder / WEIGHTS_FILE), size_bytes=(folder / WEIGHTS_FILE).stat().st_size),
    )
    write_card(card, folder)
    return folder


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
