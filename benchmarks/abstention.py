"""Measure whether the error that a band of unsure probabilities promises holds for cases it was not fitted on.

    python benchmarks/abstention.py models/breakhis_lite0/out_of_fold.parquet

Takes the out-of-fold predictions of `cancernet finetune`. In each of five divisions, the cases are dealt into four
parts, by class; the threshold and the band of each part are fitted on the other three. Every case weighs the same.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import machine
import numpy as np
from sklearn.model_selection import StratifiedKFold

from cancernet_cli.engine.evaluate.labelled import read_labelled
from cancernet_cli.engine.evaluate.source import read_source
from cancernet_cli.metrics.abstention import fit_band, is_unsure
from cancernet_cli.metrics.calibration import choose_threshold
from cancernet_cli.metrics.scores import Scores

PARTS = 4
ERRORS = (0.1, 0.15, 0.2)


def division(scores: Scores, error: float, seed: int) -> dict[str, Any]:
    """What happens to every case when it is in the part that the band was not fitted on."""
    cases, first = np.unique(scores.patients, return_index=True)
    weights = 1 / np.bincount(scores.patients)[scores.patients]
    y, p = scores.labels == 1, scores.probs[:, 1]
    unsure, wrong, promised = np.zeros(len(y), bool), np.zeros(len(y), bool), []
    parts = StratifiedKFold(PARTS, shuffle=True, random_state=seed).split(cases, scores.labels[first])
    for _, tested in parts:
        test = np.isin(scores.patients, cases[tested])
        threshold = choose_threshold(y[~test], p[~test], weights[~test])
        band = fit_band(y[~test], p[~test], scores.patients[~test], threshold=threshold, error=error)
        if band is None:
            raise SystemExit(f"there are too few cases to promise anything: {len(cases)}")
        promised.append(band.error)
        unsure[test] = is_unsure(p[test], band.low, band.high)
        wrong[test] = (p[test] >= threshold) != y[test]
    covered = ~unsure
    named = {
        f"wrong_of_{name}": float(np.average((wrong & covered)[y == k], weights=weights[y == k]))
        for k, name in enumerate(scores.classes)
    }
    return {
        "seed": seed,
        "promised": float(np.mean(promised)),
        **named,
        "coverage": float(np.average(covered, weights=weights)),
        "error_of_covered": float(np.average(wrong[covered], weights=weights[covered])) if covered.any() else None,
        "error_without_abstaining": float(np.average(wrong, weights=weights)),
    }


def main() -> None:
    """Report every division at each error, and their means."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", type=Path)
    parser.add_argument("--divisions", type=int, default=5)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    source = read_source(arguments.table)
    scores = read_labelled(arguments.table, source.classes, "image").scores
    if len(scores.classes) != 2 or (scores.patients < 0).any():
        raise SystemExit("the table must have two classes and the patient of every image")
    asked: dict[str, dict[str, Any]] = {}
    for error in ERRORS:
        found = [division(scores, error, seed) for seed in range(arguments.divisions)]
        names = [name for name in found[0] if name != "seed"]
        asked[f"{error:g}"] = {"mean": {name: float(np.mean([row[name] for row in found])) for name in names}}
        asked[f"{error:g}"]["divisions"] = found
    facts = {"model": source.model, "images": scores.n_images, "cases": len(np.unique(scores.patients))}
    machine.report("abstention", machine.facts() | facts | {"asked": asked}, arguments.out)


if __name__ == "__main__":
    main()
