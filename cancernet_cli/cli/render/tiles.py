"""Tile plan on the terminal: one line per slide."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rich.console import RenderableType
from rich.text import Text

from cancernet_cli.cli.render.tables import FittedTable, shortened
from cancernet_cli.core.text import one_line

_MOST_ROWS = 40


def tile_parts(rows: list[dict[str, Any]]) -> Iterator[RenderableType]:
    """Tiles, tissue and resolution of each slide, and reasons for failures, from the rows of slides.parquet."""
    good = [row for row in rows if row["status"] == "ok"]
    if good:
        table = FittedTable("slide", ">tiles", ">tissue mm²", ">µm/px", "from", "flags")
        for row in good[:_MOST_ROWS]:
            table.add_row(
                shortened(row["path"], 40),
                f"{row['tiles']:,}",
                f"{row['tissue_area_mm2']:,.2f}",
                f"{row['mpp']:.3g}",
                row["mpp_source"],
                row["flags"],
            )
        yield table
        if len(good) > _MOST_ROWS:
            yield Text(f"and {len(good) - _MOST_ROWS:,} more slides", style="dim")
    failed = [row for row in rows if row["status"] == "failed"]
    for row in failed[:_MOST_ROWS]:
        yield Text(f"failed: {one_line(row['path'])}: {one_line(row['error'])}", style="red")
    if len(failed) > _MOST_ROWS:
        yield Text(f"and {len(failed) - _MOST_ROWS:,} more failed", style="red")
