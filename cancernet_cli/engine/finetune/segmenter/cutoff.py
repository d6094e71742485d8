"""The probability threshold of a U-Net's mask, and its figures at that threshold on held-out patients."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from cancernet_cli.engine.finetune.segmenter.overlap import BASELINES, USUAL_CUT, Overlaps, overlap_figures, together
from cancernet_cli.metrics.overlap import best_cut

MOVED = "{by}; the last layer is shifted so that 0.5 corresponds to {cut:g}"


@dataclass(frozen=True)
class CutChoice:
    """The probability threshold, the data it was chosen on, and the figures for the card."""

    cut: float = USUAL_CUT
    chosen_on: str = ""
    metrics: dict[str, Any] = field(default_factory=dict)


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
    return CutChoice(cut, chosen_on, {"test": {"cut": cut, **overlap_figures(tested.at(cut), tested)}})


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
    if given is not None:
        return CutChoice(given, _given(given), metrics)
    cut = best_cut(everyone.unet, everyone.cuts)
    return CutChoice(cut, _moved(cut, everyone, f"out of fold ({len(tested)} folds)"), metrics)


def _given(cut: float) -> str:
    return "" if cut == USUAL_CUT else MOVED.format(by="as given", cut=cut)


def _moved(cut: float, on: Overlaps, apart: str) -> str:
    return MOVED.format(by=f"Dice on {len(set(on.patients))} patients {apart}", cut=cut)
