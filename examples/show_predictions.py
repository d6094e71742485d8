"""Show predictions next to the labels, from a finished table of `cancernet classify`.

python examples/show_predictions.py TABLE [FOLDER_OF_OVERLAYS]
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

COLUMNS = ("file", "true label", "label", "P(malignant)", "flags", "result")


def result(row: dict[str, Any]) -> str:
    """What became of an image: failed, unsure, correct, wrong, or "" if its label is unknown."""
    if row["status"] == "failed":
        return "failed"
    if row["label"] == "unsure":
        return "unsure"
    if row["true_label"] is None:
        return ""
    return "correct" if row["label"] == row["true_label"] else "WRONG"


def cells(row: dict[str, Any]) -> tuple[str, ...]:
    """One row of the table, as text."""
    probability = "" if row["prob_malignant"] is None else f"{row['prob_malignant']:.3f}"
    known = row["true_label"] or "(none)"
    return (row["path"], known, row["label"] or "", probability, row["flags"] or "", result(row))


def summary(rows: list[dict[str, Any]]) -> str:
    """How many labels are correct, and how many images are flagged; files that failed have no label."""
    results = [result(row) for row in rows if row["true_label"] is not None and row["status"] == "ok"]
    counts = f"{results.count('correct')} correct, {results.count('WRONG')} wrong, {results.count('unsure')} unsure"
    flagged = sum(bool(row["flags"]) for row in rows)
    return f"{len(results)} images with a known label: {counts}. Flagged: {flagged} of {len(rows)} images."


def main() -> None:
    """Read the command line and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", type=Path)
    parser.add_argument("overlays", type=Path, nargs="?")
    arguments = parser.parse_args()
    wanted = ["path", "status", "true_label", "label", "prob_malignant", "flags"]
    rows = pq.read_table(arguments.table, columns=wanted).to_pylist()
    lines = [COLUMNS, *map(cells, rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
    print(f"\n{summary(rows)}")
    if arguments.overlays is not None:
        shown = next((row for row in rows if row["true_label"] == row["label"] == "malignant"), rows[0])
        print(f"An image with its mask's contour and its label: {arguments.overlays / shown['path']}.overlay.jpg")


if __name__ == "__main__":
    main()
