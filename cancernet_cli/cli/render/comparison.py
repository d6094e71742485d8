"""A comparison as tables on the terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from rich import box
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from cancernet_cli.outputs.reports.comparison_table import CLAIMS, FIGURES, claim_words, figure_words, remarks


def comparison_parts(comparison: dict[str, Any]) -> Iterator[RenderableType]:
    """What `table.json` holds, piece by piece: the figures, then the counts and what a leaking split would claim."""
    rows = comparison["rows"]
    yield _table(FIGURES, [figure_words(row) for row in rows])
    yield Text()
    yield _table(CLAIMS, [claim_words(row) for row in rows])
    for remark in remarks(comparison):
        yield Text(f"\n{remark}", style="bold red" if remark.startswith("LEAKING") else "dim")


def _table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    # No padding: with the longest network's name the figures just fit into a hundred columns.
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=0)
    for i, heading in enumerate(headings):
        words = heading.replace(": ", ":\n").replace(" by ", "\nby ")
        table.add_column(Text(words), justify="left" if i < 2 else "right", no_wrap=i != 0, overflow="fold")
    for cells in rows:
        table.add_row(*(Text(cell) for cell in cells))
    return table
