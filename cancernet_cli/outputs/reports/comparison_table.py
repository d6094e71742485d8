"""The table of a comparison: rows of plain numbers, and how people read them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from cancernet_cli.core.files import atomic_write, write_bytes

Row = dict[str, Any]
_ONCE = ("precision", "recall", "specificity", "f1", "log_loss", "auprc", "brier", "ece")
_WITH_INTERVAL = ("accuracy", "auroc")

FIGURES = ("network", "segmenter", "precision", "recall", "F1", "accuracy", "loss", "AUROC", "s")
CLAIMS = (
    "network",
    "segmenter",
    "TN",
    "FP",
    "FN",
    "TP",
    "AUROC by patient",
    "if leaking: accuracy",
    "if leaking: AUROC",
)
LEAKING_NOTE = (
    "If leaking: the same features and classifier with folds by image, so that patients are learned from and tested "
    "on: no result, but what such a split would have claimed."
)


def table_row(cell: Row) -> Row:
    """A finished cell (`compare.cells`) as one row of plain values; None where a figure does not exist."""
    figures, leaking = cell["figures"], cell["leaking_by_image"]
    row: Row = {name: cell[name] for name in ("network", "segmenter", "classifier", "is_baseline")}
    row |= {name: cell[name] for name in ("weights", "random_weights", "images", "patients", "features")}
    for name in _ONCE:
        row[name] = figures[name]["value"]
    for name in _WITH_INTERVAL:
        row |= _interval(name, figures[name])
    row |= _interval("auroc_by_patient", figures["patients"]["auroc"])
    row |= _interval("recognition_rate", figures["patients"]["recognition_rate"])
    row |= {name: figures["confusion"].get(name) for name in ("tn", "fp", "fn", "tp")}
    for name in _WITH_INTERVAL:
        row |= _interval(f"leaking_{name}", {"value": None} if leaking is None else leaking[name])
    seconds = cell["seconds"]
    return row | {"seconds": round(sum(seconds.values()), 2)}


def figure_words(row: Row) -> list[str]:
    """A row under the headings `FIGURES`."""
    plain = [_number(row[name]) for name in ("precision", "recall", "f1")]
    return [
        network_words(row),
        row["segmenter"],
        *plain,
        _with_interval(row, "accuracy"),
        _number(row["log_loss"]),
        _with_interval(row, "auroc"),
        f"{row['seconds']:.0f}",
    ]


def claim_words(row: Row) -> list[str]:
    """A row under the headings `CLAIMS`."""
    counts = [f"{row[name]:,}" if row[name] is not None else "-" for name in ("tn", "fp", "fn", "tp")]
    figures = [_number(row[name]) for name in ("auroc_by_patient", "leaking_accuracy", "leaking_auroc")]
    return [network_words(row), row["segmenter"], *counts, *figures]


def network_words(row: Row) -> str:
    """The network, and what a reader must know of it; of a baseline its features and its classifier."""
    if row["is_baseline"]:
        return f"{row['network']}, {row['classifier']}".replace("-", " ")
    return f"{row['network']} (random weights)" if row["random_weights"] else str(row["network"])


def remarks(comparison: Row) -> list[str]:
    """What a reader of the table has to know, a sentence or two each."""
    found = [
        f"{comparison['images']:,} images of {comparison['patients']:,} patients ({', '.join(comparison['classes'])}), "
        f"{comparison['split']}; recipe {comparison['recipe']}, seed {comparison['seed']}.",
        "Figures are pooled over test images whose patients the model had not seen; the label is the more probable "
        f"class. {_positive(comparison['classes'])} Brackets: 95 % intervals over patients. s: seconds for features "
        "and training.",
    ]
    if any(row["random_weights"] for row in comparison["rows"]):
        found.append("Random weights: the network had no ImageNet weights here, so its row says little about it.")
    if comparison["leaking"]:
        found.append(LEAKING_NOTE)
    return [f"LEAKING: {sentence}" for sentence in comparison["leaks"]] + found


def write_tables(comparison: Row, out: Path) -> None:
    """Write `table.json`, `table.parquet` and `table.md`."""
    write_bytes(out / "table.json", (json.dumps(comparison, indent=2, allow_nan=False) + "\n").encode())
    with atomic_write(out / "table.parquet") as temporary:
        pq.write_table(pa.Table.from_pylist(comparison["rows"]), temporary)
    write_bytes(out / "table.md", _markdown(comparison).encode())


def _markdown(comparison: Row) -> str:
    rows = comparison["rows"]
    parts = ["# Comparison", *remarks(comparison)]
    parts.append(_pipes(FIGURES, [figure_words(row) for row in rows]))
    parts.append("Confusion matrix, and what a split by image would have claimed:")
    parts.append(_pipes(CLAIMS, [claim_words(row) for row in rows]))
    return "\n\n".join(parts) + "\n"


def _pipes(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    aligned = ["---", "---", *["---:"] * (len(headings) - 2)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (headings, aligned, *rows))


def _interval(name: str, figure: Row) -> Row:
    return {name: figure["value"], f"{name}_low": figure.get("low"), f"{name}_high": figure.get("high")}


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _with_interval(row: Row, name: str) -> str:
    if row[f"{name}_low"] is None:
        return _number(row[name])
    return f"{_number(row[name])} ({_number(row[f'{name}_low'])}-{_number(row[f'{name}_high'])})"


def _positive(classes: Sequence[str]) -> str:
    if len(classes) == 2:
        return f"Precision, recall and F1 are those of {classes[1]}."
    return "Precision, recall and F1 are means over the classes."
