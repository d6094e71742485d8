"""Overlap with the true nuclei on held-out pairs, and the probability threshold of a U-Net's mask chosen by it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import nn

from cancernet_cli.core.arrays import F32, I64
from cancernet_cli.core.events import Reporter, StageAdvanced, StageFinished, StageStarted
from cancernet_cli.data.loading.limits import FileLimits
from cancernet_cli.data.splits.pairs import Pair, image_and_mask, read_pairs
from cancernet_cli.inference.pipeline import to_tensor
from cancernet_cli.metrics.overlap import best_cut, dice_by_patient, overlap_counts, overlap_counts_at
from cancernet_cli.segmentation import segmenters

BASELINES = tuple(entry.name for entry in segmenters if entry.facts.get("baseline"))
CUTS = tuple(round(0.05 * number, 2) for number in range(1, 20))
USUAL_CUT = 0.5
MOVED = "{by}; the last layer is shifted so that 0.5 corresponds to {cut:g}"


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
    limits: FileLimits,
    report: Reporter,
    *,
    stage: str,
    cuts: tuple[float, ...] = CUTS,
    against: Sequence[str] = BASELINES,
    keep: Callable[[Pair, F32], None] = lambda pair, probs: None,
) -> Overlaps:
    """Overlaps of the U-Net (on the CPU) and of the baselines `against`, on each pair at full size.

    Args:
        keep: called with the U-Net's probabilities `[H, W]` of each pair.

    Raises:
        InputError: a pair cannot be read.
    """
    baselines = {name: segmenters[name].factory(None) for name in against}
    of_unet: list[I64] = []
    of_others: dict[str, list[tuple[int, int, int]]] = {name: [] for name in against}
    report(StageStarted(stage, len(pairs), "images"))
    for pair, (image, mask) in zip(pairs, read_pairs(pairs, limits, image_and_mask, workers=1), strict=True):
        truth = mask > 0
        pixels = to_tensor(torch.from_numpy(image)[None])
        with torch.inference_mode():
            probs = unet(pixels)[0, 0].numpy()
            of_unet.append(overlap_counts_at(probs, truth, cuts))
            keep(pair, probs)
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


@dataclass(frozen=True)
class CutChoice:
    """The probability threshold, the data it was chosen on, and the figures for the card.

    tested_at: the threshold at which each part was tested, by its name.
    """

    cut: float = USUAL_CUT
    chosen_on: str = ""
    metrics: dict[str, Any] = field(default_factory=dict)
    tested_at: dict[str, float] = field(default_factory=dict)


def by_validation(tested: Overlaps, validated: Overlaps | None, given: float | None = None) -> CutChoice:
    """For a single split: chosen on its validation patients (0.5 without any) and measured on its test patients.

    Args:
        given: a threshold to use instead.
    """
    if given is not None or validated is None:
        cut = USUAL_CUT if given is None else given
        chosen_on = _given(cut)
    else:
        cut = best_cut(validated.unet, validated.cuts)
        chosen_on = _moved(cut, validated, "held out for validation")
    return CutChoice(cut, chosen_on, {"test": {"cut": cut, **overlap_figures(tested.at(cut), tested)}}, {"final": cut})


def by_folds(tested: Mapping[str, Overlaps], given: float | None = None) -> CutChoice:
    """For folds, by name: each is measured at the threshold that is best on the others; the card gets that of all.

    Args:
        given: a threshold to use instead, for all.
    """
    by_fold: dict[str, Any] = {}
    counts = []
    for fold, here in tested.items():
        others = np.concatenate([part.unet for name, part in tested.items() if name != fold])
        cut = best_cut(others, here.cuts) if given is None else given
        counts.append(here.at(cut))
        found = overlap_figures(counts[-1], here)
        baselines = {name: found["baselines"][name]["dice"] for name in BASELINES}
        by_fold[fold] = {"cut": cut, "unet": found["dice"], **baselines}
    everyone = together(list(tested.values()))
    metrics = {"out_of_fold": {**overlap_figures(np.concatenate(counts), everyone), "by_fold": by_fold}}
    tested_at = {fold: figures["cut"] for fold, figures in by_fold.items()}
    if given is not None:
        return CutChoice(given, _given(given), metrics, tested_at)
    cut = best_cut(everyone.unet, everyone.cuts)
    return CutChoice(cut, _moved(cut, everyone, f"out of fold ({len(tested)} folds)"), metrics, tested_at)


def _given(cut: float) -> str:
    return "" if cut == USUAL_CUT else MOVED.format(by="as given", cut=cut)


def _moved(cut: float, on: Overlaps, apart: str) -> str:
    return MOVED.format(by=f"Dice on {len(set(on.patients))} patients {apart}", cut=cut)
