"""A typical training loop: Pillow and scikit-image in a DataLoader, eager PyTorch, NCHW.

It has no checkpoints, weight averaging, history or resuming: it only decodes, augments as specified by
`engine.finetune.tuning_setup.AUGMENTS`, and trains. `compare_training.py` compares it with `tune`.

    python benchmarks/plain_training.py FOLDER --model MODEL_FOLDER --steps 10
"""

from __future__ import annotations

import argparse
import io
import json
import random
import time
from pathlib import Path
from typing import cast

import numpy as np
import torch
from folders import images_below
from PIL import Image, ImageFilter
from skimage.color import hed2rgb, rgb2hed
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from cancernet_cli.classification import Classifier
from cancernet_cli.core.cards import Card, InputPolicy, read_card
from cancernet_cli.core.models import find_model
from cancernet_cli.data.loading.views import view_grid
from cancernet_cli.engine.finetune.tuning_setup import AUGMENTS, learning_groups
from cancernet_cli.inference.pipeline import load_pipeline
from cancernet_cli.segmentation import combine

WARM_UP = 2
AUGMENT = AUGMENTS["usual"]


class Variants(Dataset[tuple[Tensor, int]]):
    """A random view `[3, H, W]`, float, 0 to 1, of every image, with a class."""

    def __init__(self, paths: list[Path], policy: InputPolicy, count: int) -> None:
        self.paths = paths
        self.policy = policy
        self.count = count
        self.to_tensor = transforms.ToTensor()

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        with Image.open(self.paths[index % len(self.paths)]) as file:
            image = file.convert("RGB")
        grid = view_grid(image.width, image.height, self.policy)
        if image.size != (grid.width_px, grid.height_px):
            image = image.resize((grid.width_px, grid.height_px), Image.Resampling.BICUBIC)
        view = cut(image, self.policy.width_px, self.policy.height_px)
        if random.random() < AUGMENT.blur_chance:
            view = view.filter(ImageFilter.GaussianBlur(random.uniform(0, AUGMENT.blur)))
        view = restain(view, macenko=random.random() < AUGMENT.own_stain_chance)
        if random.random() < AUGMENT.jpeg_chance:
            buffer = io.BytesIO()
            view.save(buffer, "JPEG", quality=random.randint(*AUGMENT.jpeg))
            view = Image.open(buffer).convert("RGB")
        return self.to_tensor(view), index % 2


def cut(image: Image.Image, width: int, height: int) -> Image.Image:
    """A zoomed, rotated and flipped crop of the image, of the size of a view."""
    zoom = random.uniform(*AUGMENT.zoom) if random.random() < AUGMENT.zoom_chance else 1.0
    zoom = max(zoom, width / image.width, height / image.height)
    quarters = random.randrange(4)
    w, h = round(width / zoom), round(height / zoom)
    if quarters % 2 and (h > image.width or w > image.height):
        quarters -= 1
    if quarters % 2:
        w, h = h, w
    left, top = random.randint(0, image.width - w), random.randint(0, image.height - h)
    view = image.crop((left, top, left + w, top + h)).rotate(90 * quarters, expand=True)
    if random.random() < 0.5:
        view = view.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    return view.resize((width, height), Image.Resampling.BILINEAR)


def restain(view: Image.Image, *, macenko: bool) -> Image.Image:
    """Perturb the stain concentrations, in scikit-image's HED space or in the image's own stain basis (Macenko)."""
    light = np.exp(random.uniform(-AUGMENT.light, AUGMENT.light))
    change = np.exp(np.random.uniform(-AUGMENT.stain, AUGMENT.stain, 3)) * light
    pixels = np.asarray(view)
    stained = macenko_restain(pixels, change) if macenko else hed2rgb(rgb2hed(pixels) * change)
    return Image.fromarray((np.clip(stained, 0, 1) * 255).astype(np.uint8))


def macenko_restain(pixels: np.ndarray, change: np.ndarray) -> np.ndarray:
    """Macenko's method as commonly implemented, on all pixels; `[H, W, 3]` float, 0 to 1."""
    density = -np.log10((pixels.reshape(-1, 3) + 1.0) / 256)
    stained = density[(density > 0.15).all(axis=1)]
    if len(stained) < 100:
        return pixels / 255
    plane = np.linalg.eigh(np.cov(stained.T))[1][:, 1:3]
    angles = np.arctan2(*(stained @ plane).T[::-1])
    low, high = np.percentile(angles, (1, 99))
    stains = np.stack([plane @ (np.cos(angle), np.sin(angle)) for angle in (low, high)], axis=1)
    amounts = np.linalg.lstsq(stains, density.T, rcond=None)[0]
    again: np.ndarray = 10 ** -((stains * change[:2]) @ amounts).T.reshape(pixels.shape)
    return again


class Network(nn.Module):
    """The model's own segmenter and classifier: views `[B, 3, H, W]` to logits `[B, K]`."""

    def __init__(self, folder: Path, card: Card) -> None:
        super().__init__()
        pipeline = load_pipeline(folder, card)
        self.classifier = cast(Classifier, pipeline.classifier)
        self.segmenter = pipeline.segmenter
        self.background_weight = card.segmentation.background_weight
        self.normalise = transforms.Normalize(card.input.mean, card.input.std)

    def forward(self, pixels: Tensor) -> Tensor:
        """`[B, 3, H, W]` to `[B, K]`."""
        with torch.no_grad():
            mask = self.segmenter(pixels)
        logits: Tensor = self.classifier(self.normalise(combine(pixels, mask, self.background_weight)))
        return logits


def main() -> None:
    """Parse arguments, train and print the rate."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", default="breakhis_lite0")
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--unfreeze", type=int, default=2)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--device", default="cpu")
    arguments = parser.parse_args()

    folder = find_model(arguments.model)
    card = read_card(folder)
    network = Network(folder, card).to(arguments.device)
    groups = learning_groups(network.classifier, card, arguments.unfreeze, epochs=1)
    for parameter in network.parameters():
        parameter.requires_grad = False
    for group in groups:
        for parameter in group.parameters:
            parameter.requires_grad = True
    optimiser = torch.optim.AdamW([{"params": group.parameters, "lr": 1e-4 * group.rate} for group in groups])
    loss_of = nn.CrossEntropyLoss()
    count = (WARM_UP + arguments.steps) * arguments.batch_size
    variants = Variants(images_below(arguments.folder), card.input, count)
    loader = DataLoader(variants, batch_size=arguments.batch_size, shuffle=True, num_workers=arguments.workers)
    started = time.perf_counter()
    for step, (pixels, target) in enumerate(loader, start=1):
        loss = loss_of(network(pixels.to(arguments.device)), target.to(arguments.device))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        loss.item()
        if step == WARM_UP:
            started = time.perf_counter()
    elapsed_s = time.perf_counter() - started
    print(json.dumps({"images_per_s": arguments.steps * arguments.batch_size / elapsed_s}))


if __name__ == "__main__":
    main()
