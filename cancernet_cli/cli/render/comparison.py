"""A comparison of networks on the terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.console import RenderableType
from rich.text import Text

from cancernet_cli.cli.render.tables import FittedTable
from cancernet_cli.outputs.reports.comparison_table import claim_table, figure_table, remarks


def comparison_parts(comparison: dict[str, Any]) -> Iterator[RenderableType]:
    """The contents of `table.json`: the figures, then the confusion matrices and what a leaking split would claim."""
    rows = comparison["rows"]
    yield _table(figure_table(rows))
    yield Text()
    yield _table(claim_table(rows))
    for remark in remarks(comparison):
        yield Text(f"\n{remark}", style="bold red" if remark.startswith("LEAKING") else "dim")


def _table(rows: Sequence[Mapping[str, str]]) -> FittedTable:
    headings = [heading.replace(": ", ":\n").replace(" by ", "\nby ") for heading in (rows[0] if rows else ())]
    # No padding: with the longest network's name the figures just fit into a hundred columns.
    table = FittedTable(*headings[:2], *(f">{heading}" for heading in headings[2:]), keep=2, padding=0)
    for row in rows:
        table.add_row(*map(Text, row.values()))
    return table
