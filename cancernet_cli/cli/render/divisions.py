"""Figures over repeated divisions into folds, on the terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rich.console import RenderableType
from rich.text import Text

from cancernet_cli.cli.render.tables import FittedTable
from cancernet_cli.core.figures import division_rows, interval_note


def divisions_parts(divisions: Mapping[str, Any]) -> Iterator[RenderableType]:
    """The mean of each figure with its interval, and its lowest and highest value over the divisions."""
    rows = division_rows(divisions)
    held_out = "Held-out patients" if divisions["images"].get("patients") else "Held-out images"
    yield Text(f"\n{held_out}, mean of {divisions['count']} divisions into folds", style="bold")
    table = FittedTable("figure", ">mean", ">lowest to highest", ">n", keep=2)
    for title, spec, figure in rows:
        low_high = "-" if figure.spread is None else " to ".join(f"{end:.{spec.decimals}f}" for end in figure.spread)
        table.add_row(title, figure.text(spec.decimals), low_high, f"{figure.count:,}")
    yield table
    yield Text(f"{interval_note(figure for _, _, figure in rows)}; case-weighted: n counts cases", style="dim")
