"""Plots of a comparison: training curves as in the paper, confusion matrices, and AUROC with intervals."""

from __future__ import annotations

import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

from cancernet_cli.core.figures import counted
from cancernet_cli.engine.compare.plan import Cell
from cancernet_cli.outputs.plots import Row, plot_confusion, plot_histories, plot_history, plot_intervals
from cancernet_cli.outputs.reports.comparison_table import figure_of, network_text, table_row
from cancernet_cli.outputs.reports.history import HISTORY_FILE, read_history
from cancernet_cli.segmentation import segmenters


def draw_plots(cells: list[tuple[Cell, dict[str, Any]]], folder: Path, out: Path, leaks: list[str]) -> None:
    """Draw every plot into `out`; `folder` holds the cells' folders."""
    stamp = "LEAKING SPLIT" if leaks else ""
    networks = [cell for cell, _ in cells if not cell.is_baseline]
    for network in dict.fromkeys(cell.network for cell in networks):
        _curves([cell for cell in networks if cell.network == network], folder, out, stamp)
    _all_curves(networks, folder, out, stamp)
    rows = [(cell, found, table_row(found)) for cell, found in cells]
    for cell, found, row in rows:
        confusion, title = found["figures"]["confusion"], f"{network_text(row)}, {cell.segmenter}"
        path = out / f"confusion-{cell.name}.png"
        plot_confusion(confusion["true_by_predicted"], confusion["classes"], path, title=title, stamp=stamp)
    _auroc([(cell, row) for cell, _, row in rows], out / "auroc.png", stamp)


def _auroc(rows: list[tuple[Cell, dict[str, Any]]], path: Path, stamp: str) -> None:
    """AUROC of each network and segmenter by honest folds, and below it by folds that leak."""
    points: list[Row] = []
    for cell, row in rows:
        name = network_text(row) + ("" if cell.is_baseline else f", {cell.segmenter}")
        own: list[Row] = []
        for group, column in enumerate(("auroc", "leaking_auroc")):
            auroc = figure_of(row, column)
            if auroc.value is not None:
                bounds = auroc.bounds or (math.nan, math.nan)
                own.append(Row("" if own else name, auroc.value, *bounds, group=group, starts_block=not own))
        points += own
    if not points:
        return
    has_leaking = any(point.group for point in points)
    title = "AUROC on unseen patients" + (", and as a split that leaks would have it" if has_leaking else "")
    groups = ("folds by patient", "folds by image, which leak: not a result") if has_leaking else ()
    images = rows[0][1]["images"], rows[0][1]["patients"]
    measure = f"AUROC by image ({counted(images[0], 'image')} of {counted(images[1], 'patient')})"
    plot_intervals(points, path, measure=measure, title=title, stamp=stamp, reference=0.5, groups=groups)


def _all_curves(cells: list[Cell], folder: Path, out: Path, stamp: str) -> None:
    """Accuracy and loss per epoch of all networks in one plot, a panel per segmenter: figures 3 and 4 of the paper."""
    panels: dict[str, dict[str, list[dict[str, Any]]]] = {}
    for cell in cells:
        for epoch in _history(cell, folder):
            title = segmenters[cell.segmenter].facts.get("title", cell.segmenter)
            panels.setdefault(title, {}).setdefault(f"{cell.network} {epoch['split']}", []).append(epoch)
    for measure in ("accuracy", "loss") if panels else ():
        title = f"{measure.capitalize()} of all networks per epoch"
        plot_histories(panels, out / f"{measure}.png", measure=measure, title=title, stamp=stamp)


def _history(cell: Cell, folder: Path) -> list[dict[str, Any]]:
    """The epochs of a cell; none if it was not trained by epochs."""
    path = folder / cell.name / HISTORY_FILE
    return [asdict(epoch) for epoch in read_history(path)] if path.is_file() else []


def _curves(cells: list[Cell], folder: Path, out: Path, stamp: str) -> None:
    """Accuracy and loss per epoch of one network, the mean over its folds; none if it is not trained by epochs.

    Segmenters that are baselines are omitted, as in the paper's figures 3 and 4, unless there are no others.
    """
    chosen = [cell for cell in cells if not segmenters[cell.segmenter].facts.get("baseline")] or cells
    runs: dict[str, list[dict[str, Any]]] = {}
    for cell in chosen:
        title = segmenters[cell.segmenter].facts.get("title", cell.segmenter)
        for epoch in _history(cell, folder):
            runs.setdefault(f"{title} {epoch['split']}", []).append(epoch)
    if not runs:
        return
    network = cells[0].network
    for measure in ("accuracy", "loss"):
        path = out / f"{measure}-{network.replace('/', '_')}.png"
        title = f"{network}: {measure} per epoch"
        plot_history(runs, path, measure=measure, title=title, stamp=stamp)
