"""How well a U-Net, and what needs no training, cover the nuclei of pairs that the U-Net has not seen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from cancernet_cli.core.events import Reporter, StageAdvanced, StageFinished, StageStarted
from cancernet_cli.data.pairs import Pair, read_pair
from cancernet_cli.metrics.overlap import dice_by_patient, overlap_counts
from cancernet_cli.segmentation import segmenters

BASELINES = ("threshold", "watershed")

Counts = dict[str, list[tuple[int, int, int]]]


def overlaps(unet: nn.Module, pairs: Sequence[Pair], max_pixels: int, report: Reporter, *, stage: str) -> Counts:
    """For the U-Net (on the CPU) and each baseline, `overlap_counts` of each pair at its full size."""
    judged = {"unet": unet, **{name: segmenters[name].factory(None) for name in BASELINES}}
    counts: Counts = {name: [] for name in judged}
    report(StageStarted(stage, len(pairs), "images"))
    for pair in pairs:
        image, truth = read_pair(pair, max_pixels=max_pixels)
        pixels = torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255
        for name, segmenter in judged.items():
            with torch.inference_mode():
                mask = segmenter(pixels)[0, 0].numpy() >= 0.5
            counts[name].append(overlap_counts(mask, truth > 0))
        report(StageAdvanced(stage, 1))
    report(StageFinished(stage))
    return counts


def overlap_figures(counts: Counts, patients: Sequence[str], folds: Sequence[str] = ()) -> dict[str, Any]:
    """Dice pooled and by patient, of the U-Net and of each baseline; with `folds`, by fold too, all three."""
    found = {name: dice_by_patient(rows, patients) for name, rows in counts.items()}
    figures = {**found["unet"], "baselines": {name: found[name] for name in BASELINES}}
    if folds:
        at = np.asarray(folds)
        figures["by_fold"] = {
            fold: {
                name: dice_by_patient(np.asarray(rows)[at == fold], np.asarray(patients)[at == fold].tolist())["dice"]
                for name, rows in counts.items()
            }
            for fold in dict.fromkeys(folds)
        }
    return figures
