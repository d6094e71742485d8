"""From which probability on a pixel belongs to a nucleus, and how well a U-Net does with that on other patients."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from cancernet_cli.engine.finetune_overlap import BASELINES, CUTS, USUAL_CUT, Overlaps, overlap_figures, together
from cancernet_cli.metrics.overlap import best_cut

MOVED = "Dice on {patients} patients {apart}; the last layer is moved, so that 0.5 is where {cut:g} was"


@dataclass(frozen=True)
class CutChoice:
    """The cut (a probability), what it was chosen on, and the figures for a card."""

    cut: float = USUAL_CUT
    chosen_on: str = ""
    metrics: dict[str, Any] = field(default_factory=dict)


def by_validation(tested: Overlaps, validated: Overlaps | None) -> CutChoice:
    """Of a single split: chosen on its validation patients, 0.5 without any, and measured on its test patients."""
    if validated is None:
        return CutChoice(metrics={"test": overlap_figures(tested.at(USUAL_CUT), tested)})
    cut = best_cut(validated.unet, CUTS)
    metrics = {"test": {"cut": cut, **overlap_figures(tested.at(cut), tested)}}
    return CutChoice(cut, _moved(cut, validated, "that validate"), metrics)


def by_folds(tested: Mapping[str, Overlaps]) -> CutChoice:
    """Of folds, by name: each is measured with the cut that is best on the others; what is kept gets that of all."""
    by_fold: dict[str, Any] = {}
    counts = []
    for fold, here in tested.items():
        cut = best_cut(together([part for name, part in tested.items() if name != fold]).unet, CUTS)
        counts.append(here.at(cut))
        found = overlap_figures(counts[-1], here)
        baselines = {name: found["baselines"][name]["dice"] for name in BASELINES}
        by_fold[fold] = {"cut": cut, "unet": found["dice"], **baselines}
    everyone = together(list(tested.values()))
    cut = best_cut(everyone.unet, CUTS)
    metrics = {"out_of_fold": {**overlap_figures(np.concatenate(counts), everyone), "by_fold": by_fold}}
    return CutChoice(cut, _moved(cut, everyone, f"out of fold ({len(tested)} folds)"), metrics)


def _moved(cut: float, on: Overlaps, apart: str) -> str:
    return MOVED.format(patients=len(set(on.patients)), apart=apart, cut=cut)
