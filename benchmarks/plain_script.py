"""A typical inference loop: Pillow, torchvision transforms, a DataLoader, eager PyTorch, softmax, a CSV.

It does not check files, measure quality or resume: it only reads and classifies.
`compare_plain.py` compares it with `cancernet classify`.

    python benchmarks/plain_script.py FOLDER --model MODEL_FOLDER --out probs.csv
"""

from __future__ import annotations

import argparse
import csv
import json
import time
from pathlib import Path

import torch
from folders import images_below
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from cancernet_cli.core.cards import Card, InputPolicy, read_card
from cancernet_cli.data.loading.views import view_grid
from cancernet_cli.inference.pipeline import load_pipeline
from cancernet_cli.segmentation import combine
from cancernet_cli.segmentation.stain_normalization import normalize_stain


class Images(Dataset[Tensor]):
    """The views `[V, 3, H, W]` of every image under a folder, float, 0 to 1."""

    def __init__(self, paths: list[Path], policy: InputPolicy) -> None:
        self.paths = paths
        self.policy = policy
        self.to_tensor = transforms.ToTensor()

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> Tensor:
        with Image.open(self.paths[index]) as file:
            image = file.convert("RGB")
        grid = view_grid(image.width, image.height, self.policy)
        if image.size != (grid.width_px, grid.height_px):
            image = transforms.functional.resize(image, [grid.height_px, grid.width_px])
        whole: Tensor = self.to_tensor(image)
        h, w = self.policy.height_px, self.policy.width_px
        return torch.stack([whole[:, top : top + h, left : left + w] for left, top in grid.corners])


class Network(nn.Module):
    """The model's own segmenter and classifier: views to logits."""

    def __init__(self, folder: Path, card: Card) -> None:
        super().__init__()
        pipeline = load_pipeline(folder, card)
        self.classifier = pipeline.classifier
        self.segmenter = pipeline.segmenter if card.segmentation.segmenter != "none" else None
        self.background_weight = card.segmentation.background_weight
        self.stain_normalization = card.input.stain_normalization
        self.normalise = transforms.Normalize(card.input.mean, card.input.std)

    def forward(self, pixels: Tensor) -> Tensor:
        """`[B, 3, H, W]` to `[B, K]`."""
        mask = None if self.segmenter is None else self.segmenter(pixels)
        if self.stain_normalization != "none":
            pixels = normalize_stain(pixels, balance=self.stain_normalization == "balanced")
        if mask is not None:
            pixels = combine(pixels, mask, self.background_weight)
        logits: Tensor = self.classifier(self.normalise(pixels))
        return logits


def main() -> None:
    """Classify a folder and print the time it took, without imports."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("probs.csv"))
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--device", default="cpu")
    arguments = parser.parse_args()
    started = time.perf_counter()

    card = read_card(arguments.model)
    network = Network(arguments.model, card).eval().to(arguments.device)
    paths = images_below(arguments.folder)
    images = Images(paths, card.input)
    loader = DataLoader(images, arguments.batch_size, num_workers=arguments.workers, collate_fn=list)

    probs: list[list[float]] = []
    with torch.no_grad():
        for batch in loader:
            logits = network(torch.cat(batch).to(arguments.device)).split([len(views) for views in batch])
            pooled = torch.stack([views.mean(dim=0) for views in logits])
            probs += torch.softmax(pooled / card.decision.temperature, dim=1).cpu().tolist()
    with arguments.out.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["path", *card.architecture.classes])
        names = (path.relative_to(arguments.folder).as_posix() for path in paths)
        rows.writerows([name, *row] for name, row in zip(names, probs, strict=True))
    print(json.dumps({"files": len(paths), "elapsed_s": round(time.perf_counter() - started, 3)}))


if __name__ == "__main__":
    main()
