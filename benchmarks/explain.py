"""Test the maps of `classify --explain` on real images: against random weights, and by deleting what they point at.

    python benchmarks/explain.py data/breakhis/manifest.csv --per-case 3

1. Weights (Adebayo et al., arXiv:1810.03292). The map of an image is compared with the maps of networks with random
   weights: the last layer's weights shuffled, and all weights of the classifier drawn at random. Spearman's correlation
   over the pixels should be near 0. A map that hardly depends on the weights would explain nothing.
2. Deletion (Samek et al., arXiv:1509.06321). The tenth of the image that speaks most for the predicted class is filled
   with the image's mean color, or blurred, and the whole cascade runs again. The probability of the class should fall
   by more than after deleting a tenth of the same shape at a random position. The tenth that speaks most against the
   class is deleted as well.

Every case has the same weight; intervals are percentiles of a bootstrap over cases.
"""

from __future__ import annotations

import argparse
import copy
from collections.abc import Callable
from pathlib import Path
from typing import cast

import cv2
import machine
import numpy as np
import torch
from scipy.stats import spearmanr

from cancernet_cli.classification.base import Classifier
from cancernet_cli.classification.contributions import contributions
from cancernet_cli.core.cards import Card, read_card
from cancernet_cli.core.models import find_model
from cancernet_cli.core.options import FinetuneOptions
from cancernet_cli.core.records import FoundFile
from cancernet_cli.data.loading.views import make_views
from cancernet_cli.data.readers import read_image
from cancernet_cli.data.scales import image_policy
from cancernet_cli.engine.classify.predictions import probabilities
from cancernet_cli.engine.explain.explainer import prepare
from cancernet_cli.engine.explain.explanations import added_up, direction_of
from cancernet_cli.engine.finetune.dataset.labelled_images import LabelledImages, list_images
from cancernet_cli.inference.pipeline import load_pipeline

MAX_PIXELS = 100_000_000
TENTH = 0.1
RESAMPLES = 10_000
Fill = Callable[[np.ndarray, np.ndarray], np.ndarray]


def mean_filled(image: np.ndarray, where: np.ndarray) -> np.ndarray:
    """The image with its mean color where `where`, `[H, W]` bool, is true."""
    filled = image.copy()
    filled[where] = np.rint(image.reshape(-1, 3).mean(axis=0))
    return filled


def blurred(image: np.ndarray, where: np.ndarray) -> np.ndarray:
    """The image blurred beyond recognition of nuclei where `where`, `[H, W]` bool, is true."""
    soft = cv2.GaussianBlur(image, (0, 0), max(image.shape) / 50)
    return np.where(where[..., None], soft, image)


FILLS: dict[str, Fill] = {"mean color": mean_filled, "blur": blurred}


class Cascade:
    """A model that classifies and explains single images in memory."""

    def __init__(self, folder: Path, card: Card) -> None:
        self.card = card
        self.pipeline = load_pipeline(folder, card)
        self.classifier = cast(Classifier, self.pipeline.classifier)

    def probs(self, file: FoundFile, images: list[np.ndarray]) -> np.ndarray:
        """Calibrated probabilities `[I, K]` of versions of one file's image."""
        policy = image_policy(self.card.input, file.truth)
        views = [make_views(image, policy) for image in images]
        with torch.no_grad():
            logits = self.pipeline(torch.from_numpy(np.concatenate(views))).logits.numpy()
        return probabilities(logits.reshape(len(images), -1, logits.shape[1]).mean(axis=1), self.card)

    def maps(self, file: FoundFile, image: np.ndarray, shown: str, classifiers: list[Classifier]) -> list[np.ndarray]:
        """What each pixel of the scaled image adds to the shown class, `[h, w]`, by each of the classifiers."""
        direction, toward, _ = direction_of(self.card, shown)
        policy = image_policy(self.card.input, file.truth)
        prepared = prepare(self.pipeline, torch.from_numpy(make_views(image, policy)))
        sign, found = (1 if toward == shown else -1), []
        for classifier in classifiers:
            views = contributions(classifier, self.card.architecture.head, prepared, torch.from_numpy(direction))
            maps = views.at_size(prepared.shape[2], prepared.shape[3]).numpy()
            found.append(sign * added_up(maps, image.shape[1], image.shape[0], policy)[0])
        return found


def randomized(classifier: Classifier, generator: torch.Generator, *, all_weights: bool) -> Classifier:
    """The classifier with its last layer's weights shuffled, or with all weights random."""
    other = copy.deepcopy(classifier)
    with torch.no_grad():
        for name, weight in other.named_parameters():
            if all_weights and weight.dim() > 1:
                deviation = (2 / weight[0].numel()) ** 0.5  # He et al., arXiv:1502.01852
                weight.copy_(torch.randn(weight.shape, generator=generator) * deviation)
            elif name == "head.linear.weight":
                weight.copy_(weight[:, torch.randperm(weight.shape[1], generator=generator)])
    return other


def hottest(values: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """`[H, W]` bool: the tenth of an image of (width, height) with the highest values."""
    large = cv2.resize(values, size, interpolation=cv2.INTER_NEAREST)
    where = np.zeros(large.size, np.bool_)
    where[np.argsort(-large, axis=None, kind="stable")[: round(TENTH * large.size)]] = True
    return where.reshape(large.shape)


def deletion(
    cascade: Cascade,
    file: FoundFile,
    image: np.ndarray,
    values: np.ndarray,
    k: int,
    repeats: int,
    rng: np.random.Generator,
) -> dict[str, dict[str, float]]:
    """By way of filling: the fall of class k's probability without the hottest, a random and the coldest tenth."""
    size = image.shape[1], image.shape[0]
    hot, cold = hottest(values, size), hottest(-values, size)
    rolls = [np.roll(hot, (rng.integers(size[1]), rng.integers(size[0])), axis=(0, 1)) for _ in range(repeats)]
    found = {}
    for name, fill in FILLS.items():
        versions = [image, *(fill(image, where) for where in (hot, cold, *rolls))]
        whole, without_hot, without_cold, *others = cascade.probs(file, versions)[:, k].astype(float).tolist()
        random = whole - float(np.mean(others))
        found[name] = {"hottest": whole - without_hot, "random": random, "coldest": whole - without_cold}
        found[name]["hottest minus random"] = found[name]["hottest"] - random
    return found


def with_interval(values: list[float], cases: list[str], rng: np.random.Generator) -> dict[str, float | int]:
    """Mean over cases of the mean over a case's images, with its 95 % interval."""
    each = np.array(
        [np.mean([v for v, c in zip(values, cases, strict=True) if c == case]) for case in sorted(set(cases))]
    )
    drawn = each[rng.integers(len(each), size=(RESAMPLES, len(each)))].mean(axis=1)
    low, high = np.percentile(drawn, [2.5, 97.5])
    return {
        "value": float(each.mean()),
        "low": float(low),
        "high": float(high),
        "images": len(values),
        "cases": len(each),
    }


def chosen(images: LabelledImages, per_case: int, rng: np.random.Generator) -> list[int]:
    """Numbers of at most `per_case` random images of each case."""
    order = rng.permutation(len(images.files))
    return sorted(i for case in np.unique(images.patients) for i in order[images.patients[order] == case][:per_case])


def measure(data: list[str], model: str, per_case: int, repeats: int, seed: int) -> dict[str, object]:
    """Both tests on the images of `data`."""
    folder = find_model(model)
    card = read_card(folder)
    images = list_images(data, FinetuneOptions(folds=2), lambda event: None)
    rng, generator = np.random.default_rng(seed), torch.Generator().manual_seed(seed)
    cascade = Cascade(folder, card)
    others = {
        name: [randomized(cascade.classifier, generator, all_weights=every) for _ in range(repeats)]
        for name, every in (("last layer shuffled", False), ("all weights random", True))
    }
    falls: dict[str, dict[str, list[float]]] = {name: {} for name in FILLS}
    alike: dict[str, list[float]] = {f"{name}{end}": [] for name in others for end in ("", ", magnitude")}
    cases: list[str] = []
    for i in chosen(images, per_case, rng):
        file = images.files[i]
        image = np.ascontiguousarray(read_image(file.location, max_pixels=MAX_PIXELS))
        k = int(cascade.probs(file, [image])[0].argmax())
        networks = [cascade.classifier, *(one for several in others.values() for one in several)]
        own, *maps = cascade.maps(file, image, card.architecture.classes[k], networks)
        cases.append(str(images.patients[i]))
        found = [float(spearmanr(own, one, axis=None).statistic) for one in maps]
        for name, number in zip(others, (0, repeats), strict=True):
            alike[name].append(float(np.mean(found[number : number + repeats])))
            alike[f"{name}, magnitude"].append(float(np.mean(np.abs(found[number : number + repeats]))))
        for name, numbers in deletion(cascade, file, image, own, k, repeats, rng).items():
            for key, value in numbers.items():
                falls[name].setdefault(key, []).append(value)
    boot = np.random.default_rng(seed)
    return {
        "model": card.name,
        "rank_correlation": {name: with_interval(values, cases, boot) for name, values in alike.items()},
        "fall_of_probability": {
            fill: {key: with_interval(values, cases, boot) for key, values in found.items()}
            for fill, found in falls.items()
        },
        "share_of_images_where_hottest_falls_more": {
            fill: with_interval([float(v > 0) for v in found["hottest minus random"]], cases, boot)
            for fill, found in falls.items()
        },
    }


def main() -> None:
    """Run both tests, print and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="+")
    parser.add_argument("--model", default="breakhis_lite0")
    parser.add_argument("--per-case", type=int, default=3)
    parser.add_argument("--repeats", type=int, default=5, help="random networks, and random positions")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    found = measure(arguments.data, arguments.model, arguments.per_case, arguments.repeats, arguments.seed)
    machine.report("explain", machine.facts() | found, arguments.out)


if __name__ == "__main__":
    main()
