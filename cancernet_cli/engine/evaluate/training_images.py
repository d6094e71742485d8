"""Which rows of a table are of images or patients that the model was trained on, kept apart from all others."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np

from cancernet_cli.core.arrays import Bools
from cancernet_cli.core.cards import Card
from cancernet_cli.core.figures import counted
from cancernet_cli.core.records import Kind
from cancernet_cli.metrics.scores import Scores

KEPT_APART = ", and figures of them are kept apart"
_LISTED = 100


@dataclass(frozen=True)
class Apart:
    """Labelled rows in two parts.

    tested: those that the main figures are of: not trained on, unless there are no others. trained: the others, if both
    exist. overlap: how many were trained on, as metrics files have it.
    """

    tested: Scores
    trained: Scores | None
    overlap: dict[str, Any]


def set_apart(
    scores: Scores, recognized: Bools, seen: Collection[str], note: str = "", *, unit: Kind = "image"
) -> Apart:
    """Set apart the rows that the model was trained on.

    Args:
        recognized: `[N]`, rows whose picture is one of the training images. seen: patients whose images the model was
            trained on. note: where that is known from. unit: what the rows are.
    """
    by_name = of_patients(scores, seen)
    rows = by_name | recognized
    names = sorted(scores.patient_names[i] for i in np.unique(scores.patients[by_name]).tolist())
    images = int(scores.counts[rows].sum())
    overlap: dict[str, Any] = {
        "images": images,
        "patients": len(names),
        "recognized": int(scores.counts[recognized].sum()),
        "note": note,
    }
    if not images:
        return Apart(scores, None, overlap)
    everything = bool(rows.all())
    overlap["patient_names"] = names[:_LISTED]
    overlap["all"] = everything
    overlap["warning"] = _warning(overlap, scores.n_images, unit)
    if everything:
        return Apart(scores, None, overlap)
    return Apart(scores.where(~rows), scores.where(rows), overlap)


def seen_patients(card: Card) -> set[str]:
    """Patients whose images the model was trained on: those of every split except a held-out test."""
    return {p for split, patients in card.training.splits.items() if not split.startswith("test") for p in patients}


def of_patients(scores: Scores, names: Collection[str]) -> Bools:
    """Which entries are of these patients, `[N]`."""
    chosen = frozenset(names)
    is_chosen = np.array([*(name in chosen for name in scores.patient_names), False])  # the last is for patient -1
    return np.asarray(is_chosen[scores.patients])


def _warning(overlap: dict[str, Any], total: int, unit: Kind) -> str:
    why = []
    if overlap["recognized"]:
        why.append(f"{overlap['recognized']:,} recognized by their pixels")
    if overlap["patients"]:
        why.append(f"{counted(overlap['patients'], 'patient')} by name")
    note = f"; {overlap['note']}" if overlap["note"] else ""
    what = f"the model was trained on {overlap['images']:,} of {total:,} labelled {unit}s"
    if overlap["all"]:
        what = f"the model was trained on all {total:,} labelled {unit}s"
    end = ", so no figure is a test of the model" if overlap["all"] else KEPT_APART
    return f"{what} ({', '.join(why)}{note}){end}"
