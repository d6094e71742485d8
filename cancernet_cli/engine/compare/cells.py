"""Results of a cell of a comparison: figures on both splits, out-of-fold predictions, history."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from cancernet_cli.core.arrays import F64, I64
from cancernet_cli.core.files import write_bytes
from cancernet_cli.core.options import CompareOptions
from cancernet_cli.engine.compare.figures import cell_figures, leaking_folds, scored_folds
from cancernet_cli.engine.compare.plan import CELL_FILE, Cell
from cancernet_cli.engine.finetune.dataset.labelled_images import LabelledImages
from cancernet_cli.engine.finetune.frozen.feature_store import Features
from cancernet_cli.engine.finetune.frozen.head import OutOfFold
from cancernet_cli.metrics.scores import softmax
from cancernet_cli.outputs.reports.history import HISTORY_FILE, write_history
from cancernet_cli.outputs.tables.predictions import write_image_predictions

SCHEMA = 1
PREDICTIONS_FILE = "predictions.parquet"

# From the images with features, the fold of each, and the name of the split.
Train = Callable[[LabelledImages, I64, str], OutOfFold]


def judged(
    cell: Cell,
    images: LabelledImages,
    features: Features,
    train: Train,
    options: CompareOptions,
    folder: Path,
) -> dict[str, Any]:
    """Figures on the split by patient and on a leaking one; writes predictions and history of the first."""
    left_out = sorted(set(range(len(images.files))) - set(features.rows.tolist()))
    names = [images.files[i].path for i in left_out]
    images = images.only(features.rows)
    started = time.monotonic()
    honest = train(images, scored_folds(images), "folds by patient")
    training_s = time.monotonic() - started
    _write_predictions(cell, honest.logits, images, folder / PREDICTIONS_FILE)
    if honest.history:
        write_history(honest.history, folder / HISTORY_FILE)
    leaking = None
    if options.leaking:
        leaking = cell_figures(train(images, leaking_folds(images, options.seed), "folds by image").logits, images)
    return {
        "network": cell.network,
        "segmenter": cell.segmenter,
        "classifier": cell.classifier,
        "is_baseline": cell.is_baseline,
        "images": len(images.files),
        "patients": len(np.unique(images.patients)),
        "left_out": names,
        "features": int(features.values.shape[2]),
        "seconds": {"features": round(features.elapsed_s, 2), "training": round(training_s, 2)},
        "figures": cell_figures(honest.logits, images),
        "leaking_by_image": leaking,
        "leaks": list(images.leaks),
    }


def finish(found: dict[str, Any], key: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Mark the cell as finished; what `cell.json` holds."""
    found = {"schema": SCHEMA, "decided_by": key, **found}
    write_bytes(folder / CELL_FILE, (json.dumps(found, indent=2, allow_nan=False) + "\n").encode())
    shutil.rmtree(folder / "features", ignore_errors=True)
    return found


def _write_predictions(cell: Cell, logits: F64, images: LabelledImages, path: Path) -> None:
    """The out-of-fold predictions as a table that `cancernet evaluate` reads; the most probable class is the label."""
    scored = np.flatnonzero(np.isfinite(logits).all(axis=1))
    seen, probs = images.only(scored), softmax(logits[scored])
    two = len(images.classes) == 2
    write_image_predictions(
        path,
        seen.files,
        seen.classes,
        probs=probs,
        predicted=probs.argmax(axis=1),
        labels=seen.labels,
        thresholds=np.full(len(scored), 0.5 if two else np.nan),
        metadata={
            "model": cell.name,
            "split": "out-of-fold",
            "positive": images.classes[1] if two else "",
            "leaks": json.dumps(images.leaks),
        },
    )
