"""Overlap with the true nuclei, on held-out pairs, of a U-Net and of segmenters without training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from cancernet_cli.core.arrays import I64
from cancernet_cli.core.events import Reporter, StageAdvanced, StageFinished, StageStarted
from cancernet_cli.data.splits.pairs import Pair, read_pair
from cancernet_cli.inference.pipeline import to_tensor
from cancernet_cli.metrics.overlap import dice_by_patient, overlap_counts, overlap_counts_at
from cancernet_cli.segmentation import segmenters

BASELINES = tuple(entry.name for entry in segmenters if entry.facts.get("baseline"))
CUTS = tuple(round(0.05 * number, 2) for number in range(1, 20))
USUAL_CUT = 0.5


@dataclass(frozen=True)
class Overlaps:
    """Overlap of masks and truth on N images of full size.

    patients: N names. cuts: C probability thresholds, ascending. unet: `[N, C, 3]`, the U-Net's `overlap_counts` at
    each threshold. baselines: `[N, 3]` of each baseline that was measured.
    """

    patients: tuple[str, ...]
    cuts: tuple[float, ...]
    unet: I64
    baselines: dict[str, I64]

    def at(self, cut: float) -> I64:
        """`[N, 3]`, the U-Net's `overlap_counts` at one of the thresholds `cuts`."""
        return self.unet[:, self.cuts.index(cut)]


def overlaps(
    unet: nn.Module,
    pairs: Sequence[Pair],
    max_pixels: int,
    report: Reporter,
    *,
    stage: str,
    cuts: tuple[float, ...] = CUTS,
    against: Sequence[str] = BASELINES,
) -> Overlaps:
    """Overlaps of the U-Net (on the CPU) and of the baselines `against`, on each pair at full size.

    Raises:
        InputError: a pair cannot be read.
    """
    baselines = {name: segmenters[name].factory(None) for name in against}
    of_unet: list[I64] = []
    of_others: dict[str, list[tuple[int, int, int]]] = {name: [] for name in against}
    report(StageStarted(stage, len(pairs), "images"))
    for pair in pairs:
        image, mask = read_pair(pair, max_pixels=max_pixels)
        truth = mask > 0
        pixels = to_tensor(torch.from_numpy(image)[None])
        with torch.inference_mode():
            of_unet.append(overlap_counts_at(unet(pixels)[0, 0].numpy(), truth, cuts))
            for name, segmenter in baselines.items():
                of_others[name].append(overlap_counts(segmenter(pixels)[0, 0].numpy() >= USUAL_CUT, truth))
        report(StageAdvanced(stage, 1))
    report(StageFinished(stage))
    patients = tuple(pair.patient for pair in pairs)
    return Overlaps(patients, cuts, np.stack(of_unet), {name: np.array(rows) for name, rows in of_others.items()})


def together(parts: Sequence[Overlaps]) -> Overlaps:
    """The overlaps of several trainings, concatenated."""
    return Overlaps(
        tuple(patient for part in parts for patient in part.patients),
        parts[0].cuts,
        np.concatenate([part.unet for part in parts]),
        {name: np.concatenate([part.baselines[name] for part in parts]) for name in BASELINES},
    )


def overlap_figures(unet: I64, tested: Overlaps) -> dict[str, Any]:
    """Dice, pooled and by patient, of each baseline and of the U-Net, whose `overlap_counts` are `unet` `[N, 3]`."""
    baselines = {name: dice_by_patient(counts, tested.patients) for name, counts in tested.baselines.items()}
    return {**dice_by_patient(unet, tested.patients), "baselines": baselines}
