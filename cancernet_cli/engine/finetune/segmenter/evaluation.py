"""The evaluation of a trained U-Net: figures and pictures of held-out images, and curves of its training."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from cancernet_cli.core.arrays import F32, Labels
from cancernet_cli.core.cards import Card
from cancernet_cli.core.figures import MASK_FIGURES
from cancernet_cli.core.files import atomic_write
from cancernet_cli.core.pixels import resize
from cancernet_cli.core.records import Epoch
from cancernet_cli.data.splits.folds import SplitPart
from cancernet_cli.data.splits.pairs import Pair, image_and_mask, read_pairs
from cancernet_cli.engine.finetune.dataset.reading import limits_of
from cancernet_cli.engine.finetune.job import FinetuneJob
from cancernet_cli.engine.finetune.report import EVALUATION
from cancernet_cli.metrics.overlap import label_overlap, overlap_summary, overlap_values
from cancernet_cli.outputs.nuclei.overlay import draw_nuclei
from cancernet_cli.outputs.pictures.files import write_jpeg, write_mask
from cancernet_cli.outputs.plots import plot_history
from cancernet_cli.outputs.reports.markdown import picture
from cancernet_cli.outputs.reports.overlap_report import ImageOverlap, worst_median_best, write_overlap_report
from cancernet_cli.segmentation.instances import connected_nuclei, full_size, separate_nuclei
from cancernet_cli.segmentation.nuclei import measure_nuclei

SCAN_MPP = 0.25  # of 40x, where the card has no resolution
MEASURES: tuple[Literal["loss", "dice"], ...] = ("loss", "dice")
_SCHEMA = pa.schema(
    [
        ("image", pa.string()),
        ("patient", pa.string()),
        ("split", pa.string()),
        ("nuclei", pa.int64()),
        ("true_nuclei", pa.int64()),
        *((spec.name, pa.float32()) for spec in MASK_FIGURES),
    ]
)


@dataclass(frozen=True)
class HeldOutMasks:
    """Probabilities of held-out images, in files until the threshold is chosen."""

    folder: Path

    def keep(self, pair: Pair, probs: F32) -> None:
        """Keep the probabilities `[H, W]` of an image, in steps of 1/255."""
        self.folder.mkdir(parents=True, exist_ok=True)
        write_mask(probs, self._path(pair))

    def mask(self, pair: Pair, cut: float) -> F32:
        """The mask of an image at a threshold, `[H, W]` float32, 0 or 1."""
        encoded = np.frombuffer(self._path(pair).read_bytes(), np.uint8)
        probs = np.asarray(cv2.imdecode(encoded, cv2.IMREAD_GRAYSCALE), np.float32) / 255
        return (probs >= cut).astype(np.float32)

    def _path(self, pair: Pair) -> Path:
        return self.folder / f"{hashlib.sha256(os.fsencode(pair.image)).hexdigest()[:20]}.png"


def worse_than_otsu(metrics: Mapping[str, Any]) -> tuple[str, ...]:
    """A sentence if the U-Net is no better on held-out images than Otsu's threshold; by the means over patients."""
    figures = metrics.get("out_of_fold") or metrics.get("test") or {}
    baseline = figures.get("baselines", {}).get("threshold")
    if baseline is None:
        return ()
    unet, otsu = (one["mean_of_patients"]["value"] for one in (figures, baseline))
    if unet > otsu:
        return ()
    return (
        f"Dice on held-out patients is {unet:.3f}, no better than the {otsu:.3f} of Otsu's threshold on the same "
        "images",
    )


def write_evaluation(
    held: HeldOutMasks,
    parts: Sequence[SplitPart],
    pairs: Sequence[Pair],
    cuts: Mapping[str, float],
    card: Card,
    history: Sequence[Epoch],
    job: FinetuneJob,
) -> None:
    """Write the table, the report and its pictures, and the curves.

    Args:
        cuts: the probability threshold at which each part's test pairs are measured, by the part's name.

    Raises:
        OutputError: a file cannot be written.
    """
    folder = job.options.out / EVALUATION
    tested = [(part.name, pairs[row]) for part in parts for row in part.test.tolist()]
    _write_curves(history, card, folder)
    if not tested:
        return
    base = os.path.commonpath([pair.image.absolute().parent for pair in pairs])  # a model may be handed on
    read = read_pairs([pair for _, pair in tested], limits_of(job.options), image_and_mask, workers=1)
    images = [
        _measured(pair, base, held.mask(pair, cuts[name]), connected_nuclei(truth > 0), card)
        for (name, pair), (_, truth) in zip(tested, read, strict=True)
    ]
    _write_table(images, [name for name, _ in tested], folder / "images.parquet")
    shown = {one.path: word for word, one in worst_median_best(images).items()}
    linked = []
    for one, (name, pair) in zip(images, tested, strict=True):
        word = shown.get(one.path)
        if word:
            _draw(pair, held.mask(pair, cuts[name]), card, job, folder / "pictures" / f"{word}.jpg")
        linked.append(replace(one, picture=f"pictures/{word}.jpg" if word else ""))
    values = {spec.name: [one.values[spec.name] for one in images] for spec in MASK_FIGURES}
    summary = overlap_summary(
        values, [one.found for one in images], [one.true for one in images], [one.patient for one in images]
    )
    write_overlap_report(
        summary,
        linked,
        folder / "report.md",
        model=f"{card.name}, each image by a network that was not trained on its patient,",
        binary=len(images),
        remarks=[*card.training.leaks, *card.training.doubts],
        sections=[
            "## Training",
            *(picture(f"{measure} per epoch", f"plots/{measure}.png") for measure in _curves(history)),
        ],
    )


def _write_table(images: Sequence[ImageOverlap], splits: Sequence[str], path: Path) -> None:
    """One row per image, with the training that it was held out from."""
    rows = [
        {
            "image": one.path,
            "patient": one.patient,
            "split": name,
            "nuclei": one.found,
            "true_nuclei": one.true,
            **one.values,
        }
        for one, name in zip(images, splits, strict=True)
    ]
    with atomic_write(path) as temporary:
        pq.write_table(pa.Table.from_pylist(rows, schema=_SCHEMA), temporary, compression="zstd")


def _measured(pair: Pair, base: str, mask: F32, truth: Labels, card: Card) -> ImageOverlap:
    overlap = label_overlap(_labels(mask, card), truth)
    return ImageOverlap(
        os.path.relpath(pair.image, base), pair.patient, len(overlap.found), len(overlap.true), overlap_values(overlap)
    )


def _labels(mask: F32, card: Card) -> Labels:
    """Nuclei, separated at the scale that the network sees."""
    height, width = mask.shape
    scale, mpp = card.input.scale, card.input.mpp or SCAN_MPP
    small = resize(mask, max(1, round(width * scale)), max(1, round(height * scale)), enlarge="linear")
    return full_size(small, separate_nuclei(small, mpp / scale), width, height)[1]


def _draw(pair: Pair, mask: F32, card: Card, job: FinetuneJob, path: Path) -> None:
    ((image, truth),) = read_pairs([pair], limits_of(job.options), image_and_mask)
    nuclei = measure_nuclei(_labels(mask, card), image)
    drawn = draw_nuclei(image, nuclei, connected_nuclei(truth > 0), name=card.name, mpp=card.input.mpp)
    write_jpeg(drawn, path)


def _curves(history: Sequence[Epoch]) -> Iterator[Literal["loss", "dice"]]:
    """The measures that have a curve."""
    for measure in MEASURES:
        if measure == "loss" or any(epoch.validation_dice is not None for epoch in history):
            yield measure


def _write_curves(history: Sequence[Epoch], card: Card, folder: Path) -> None:
    runs: dict[str, list[dict[str, Any]]] = {}
    for epoch in history:
        runs.setdefault(epoch.split, []).append(asdict(epoch))
    for measure in _curves(history):
        stamp = f"LEAKING SPLIT: {card.training.leaks[0]}" if card.training.leaks else ""
        title = f"{card.name}: {measure} per epoch, validation on held-out patients"
        keys = f"train_{measure}", f"validation_{measure}"
        drawn = {
            name: rows for name, rows in runs.items() if any(row.get(key) is not None for row in rows for key in keys)
        }
        plot_history(drawn, folder / "plots" / f"{measure}.png", measure=measure, stamp=stamp, title=title)
