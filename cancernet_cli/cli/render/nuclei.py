"""Result of a segment run on the terminal."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pyarrow.parquet as pq
from rich.console import RenderableType
from rich.text import Text

from cancernet_cli.cli.render.tables import FittedTable, shortened
from cancernet_cli.core.figures import MASK_FIGURES, counted
from cancernet_cli.core.records import SegmentResult
from cancernet_cli.core.text import one_line

ROWS_SHOWN = 12


def nuclei_parts(result: SegmentResult) -> Iterator[RenderableType]:
    """The first files with their nuclei, failures, the overlap with true masks, and where everything is."""
    columns = ["path", "status", "nuclei", "nuclei_per_mm2", "mean_area_um2", "mask_fraction", "dice", "pq"]
    first = next(pq.ParquetFile(result.images_file).iter_batches(batch_size=ROWS_SHOWN, columns=columns), None)
    rows = [] if first is None else first.to_pylist()
    if any(row["status"] != "failed" for row in rows):
        yield _table(rows, has_truth=result.overlap is not None)
    if result.files > ROWS_SHOWN:
        yield Text(f"... and {result.files - ROWS_SHOWN:,} more files", style="dim")
    for path, error in result.failures:
        word = "partial" if error.startswith("tiles: ") else "failed"
        yield Text(f"{word}: {one_line(path)}: {one_line(error)}", style="yellow" if word == "partial" else "red")
    if result.overlap is not None:
        yield _overlap(result.overlap)
    yield Text()
    rate = (result.files - result.reused) / result.elapsed_s if result.elapsed_s else 0.0
    yield Text(
        f"{counted(result.nuclei, 'nucleus', 'nuclei')} in {counted(result.ok, 'file')} with {one_line(result.model)}, "
        f"{result.failed:,} failed ({result.elapsed_s:.1f} s, {rate:.1f} files/s)"
    )
    if result.reused:
        yield Text(f"{result.reused:,} of them reused from an earlier run")
    places = (("files", result.images_file), ("nuclei", result.nuclei_file), ("overlap", result.report_file))
    for title, place in (*places, ("everything", result.out)):
        if place is not None:
            yield Text(f"{title:<12} {place}")
    yield Text("Research use only: not for diagnosis.")


def _table(rows: list[dict[str, Any]], *, has_truth: bool) -> FittedTable:
    more = (">Dice", ">PQ") if has_truth else ()
    table = FittedTable("file", ">nuclei", ">per mm²", ">mean µm²", ">mask", *more)
    for row in rows:
        if row["status"] == "failed":
            continue
        cells = [
            f"{row['nuclei']:,}",
            _shown(row["nuclei_per_mm2"], ",.0f"),
            _shown(row["mean_area_um2"], ".1f"),
            _shown(row["mask_fraction"], ".1%"),
        ]
        cells += [_shown(row["dice"], ".3f"), _shown(row["pq"], ".3f")] if has_truth else []
        table.add_row(shortened(row["path"], 40), *cells)
    return table


def _overlap(overlap: dict[str, Any]) -> Text:
    figures = []
    for spec in MASK_FIGURES:
        mean = overlap["figures"][spec.name]["patients"]
        interval = f" ({mean['low']:.2f}-{mean['high']:.2f})" if "low" in mean else ""
        figures.append(f"{spec.title} {mean['value']:.3f}{interval}")
    counts = overlap["counts"]
    return Text(
        f"Overlap with {counted(overlap['images'], 'true mask')}: {', '.join(figures)}; "
        f"{counts['found']:,} nuclei found, {counts['true']:,} true"
    )


def _shown(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)
