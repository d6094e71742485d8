"""The page of a comparison in HTML."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cancernet_cli.core.figures import counted
from cancernet_cli.core.records import Epoch
from cancernet_cli.engine.compare.plan import Cell
from cancernet_cli.outputs.report.content import Block, Chart, Page, Section, Table, Words
from cancernet_cli.outputs.report.history import history_charts
from cancernet_cli.outputs.reports.comparison_table import claim_table, figure_of, figure_table, network_text, remarks
from cancernet_cli.outputs.reports.history import HISTORY_FILE, read_history

_LEAKING = {"auroc": False, "leaking_auroc": True}


def comparison_page(comparison: Mapping[str, Any], cells: Sequence[Cell], folder: Path) -> Page:
    """The page of a finished comparison.

    Args:
        comparison: the contents of `table.json`. cells: one per row. folder: holds the folders of the cells.
    """
    rows = comparison["rows"]
    blocks: list[Block] = [Words(remarks(dict(comparison)), listed=True)]
    points = [point for row in rows for point in _points(row)]
    if points:
        data = {"rows": points, "reference": 0.5, "measure": "AUROC by image"}
        words = "On unseen patients, with 95 % intervals; the dashed line is chance."
        if any(point["leaking"] for point in points):
            words += " Open marks: what folds by image, which leak, would have claimed."
        blocks.append(Chart("auroc", "forest", data, "AUROC", words))
    blocks.append(_table(figure_table(rows), "Figures on unseen patients"))
    sections = [Section("table", "Comparison", blocks)]
    charts = history_charts(_histories(cells, folder))
    if charts:
        sections.append(Section("training", "Training", charts))
    words = "Confusion matrices, and what a split by image would have claimed."
    sections.append(Section("claims", "Details", [_table(claim_table(rows), "Decisions and claims")], words))
    return Page(
        title="Comparison of networks",
        subtitle=f"{counted(len(rows), 'row')}: {comparison['split']}, {comparison['images']:,} images",
        sections=sections,
        warnings=[f"this split leaks, so no figure is an estimate: {leak}" for leak in comparison["leaks"]],
        footer="The same figures are in table.json, table.parquet and table.md.",
    )


def _points(row: Mapping[str, Any]) -> list[dict[str, Any]]:
    name = network_text(dict(row)) + ("" if row["is_baseline"] else f", {row['segmenter']}")
    found = []
    for column, is_leaking in _LEAKING.items():
        figure = figure_of(dict(row), column)
        if figure.value is not None:
            low, high = figure.bounds or (None, None)
            title = f"leaking: {name}" if is_leaking else name
            found.append({"name": title, "value": figure.value, "low": low, "high": high, "leaking": is_leaking})
    return found


def _table(rows: Sequence[Mapping[str, str]], caption: str) -> Table:
    headings = list(rows[0]) if rows else []
    return Table([*headings[:2], *(f">{name}" for name in headings[2:])], [list(row.values()) for row in rows], caption)


def _histories(cells: Sequence[Cell], folder: Path) -> dict[str, list[Epoch]]:
    """The epochs of each network that was trained by epochs."""
    found = {}
    for cell in cells:
        path = folder / cell.name / HISTORY_FILE
        if path.is_file():
            found[f"{cell.network}, {cell.segmenter}"] = read_history(path)
    return found
