"""Predictions tables without a run behind them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from cancernet_cli.outputs.tables.predictions import METADATA_PREFIX

CLASSES = ("benign", "malignant")


def write_predictions(
    file: Path,
    /,
    *,
    seed: int = 0,
    spread: float = 0.2,
    images: int = 80,
    order: Any = None,
    metadata: Mapping[str, str] | None = None,
    row_group_size: int = 13,
    **columns: Any,
) -> Path:
    """A table of images of 16 patients with two slides each, two magnifications, threshold 0.4.

    The truth depends on nothing but the row; `seed` and `spread` make another classifier. `order` takes rows in another
    order, `columns` replaces some (None leaves one out); `metadata` None leaves a table that is not ours.
    """
    rows = np.arange(images)
    who = rows % 16
    true = who % 2
    p = np.clip(np.random.default_rng(seed).normal(0.3 + 0.3 * true, spread), 0.01, 0.99).astype(np.float32)
    words = pa.dictionary(pa.int32(), pa.string())
    table: dict[str, Any] = {
        "path": [f"{CLASSES[true[i]]}/{i}.png" for i in rows],
        "status": pa.array(["ok"] * images).cast(words),
        "error": [""] * images,
        "label": pa.array([CLASSES[int(x >= np.float32(0.4))] for x in p]).cast(words),
        "prob_benign": 1 - p,
        "prob_malignant": p,
        "decision_threshold": pa.array([0.4] * images, pa.float32()),
        "patient": pa.array([f"p{i}" for i in who]).cast(words),
        "slide": pa.array([f"s{i % 32}" for i in rows]).cast(words),
        "magnification": pa.array([(40.0, 100.0)[i // 16 % 2] for i in rows], pa.float32()),
        "true_label": pa.array([CLASSES[i] for i in true]).cast(words),
    }
    table |= columns
    whole = pa.table({name: column for name, column in table.items() if column is not None})
    entries = {METADATA_PREFIX + name: value for name, value in (metadata or {}).items()}
    whole = whole.replace_schema_metadata(entries or None)
    pq.write_table(whole if order is None else whole.take(pa.array(order)), file, row_group_size=row_group_size)
    return file


OURS = {"schema": "1", "model": "nobody_has_this_model", "split": "out-of-fold"}
