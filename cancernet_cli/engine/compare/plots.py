"""Plots of a comparison: training curves as in the paper, confusion matrices, and AUROC with intervals."""

from __future__ import annotations

import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

from cancernet_cli.engine.compare.plan import Cell
from cancernet_cli.outputs.plots import plot_confusion, plot_history, plot_intervals
from cancernet_cli.outputs.reports.comparison_table import figure_of, network_text, table_row
from cancernet_cli.outputs.reports.history import HISTORY_FILE, read_history
from cancernet_cli.segmentation import segmenters


def draw_plots(cells: list[tuple[Cell, dict[str, Any]]], folder: Path, out: Path, leaks: list[str]) -> None:
    """Draw every plot into `out`; `folder` holds the cells' folders."""
    stamp = "LEAKING SPLIT" if leaks else ""
    for network in dict.fromkeys(cell.network for cell, _ in cells if not cell.is_baseline):
        _curves([cell for cell, _ in cells if cell.network == network], folder, out, stamp)
    rows = [(cell, found, table_row(found)) for cell, found in cells]
    for cell, found, row in rows:
        confusion, title = found["figures"]["confusion"], f"{network_text(row)}, {cell.segmenter}"
        path = out / f"confusion-{cell.name}.png"
        plot_confusion(confusion["true_by_predicted"], confusion["classes"], path, title=title, stamp=stamp)
    points = []
    for cell, _, row in rows:
        name = network_text(row) + ("" if cell.is_baseline else f", {cell.segmenter}")
        for label, column in ((name, "auroc"), (f"LEAKING {name}", "leaking_auroc")):
            auroc = figure_of(row, column)
            if auroc.value is not None:
                points.append((label, auroc.value, *(auroc.bounds or (math.nan, math.nan))))
    if points:
        title = "AUROC on unseen patients"
        if any(name.startswith("LEAKING") for name, *_ in points):
            title += ", and by a split that leaks"
        plot_intervals(points, out / "auroc.png", measure="AUROC by image", title=title, stamp=stamp, reference=0.5)


def _curves(cells: list[Cell], folder: Path, out: Path, stamp: str) -> None:
    """Accuracy and loss per epoch of one network, the mean over its folds; none if it is not trained by epochs.

    Segmenters that are baselines are omitted, as in the paper's figures 3 and 4, unless there are no others.
    """
    chosen = [cell for cell in cells if not segmenters[cell.segmenter].facts.get("baseline")] or cells
    runs: dict[str, list[dict[str, Any]]] = {}
    for cell in chosen:
        path = folder / cell.name / HISTORY_FILE
        for epoch in read_history(path) if path.is_file() else ():
            title = segmenters[cell.segmenter].facts.get("title", cell.segmenter)
            name = f"{title} {epoch.split}"
            runs.setdefault(name, []).append(asdict(epoch))
    if not runs:
        return
    network = cells[0].network
    for measure in ("accuracy", "loss"):
        path = out / f"{measure}-{network.replace('/', '_')}.png"
        title = f"{network}: {measure} per epoch"
        plot_history(runs, path, measure=measure, title=title, stamp=stamp)
