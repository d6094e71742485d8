"""Figures on the terminal; `outputs.reports.markdown` writes the same as Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rich.text import Text

from cancernet_cli.cli.render.tables import FittedTable
from cancernet_cli.core.figures import Figure, figures_in, read_figures, undefined


def figure_table(figures: Mapping[str, Figure]) -> FittedTable:
    """Every figure of a group of images with its interval and count."""
    table = FittedTable("figure", ">value", ">n", keep=2)
    for spec in figures_in("images"):
        if spec.name in figures:
            figure = figures[spec.name]
            table.add_row(spec.title, figure.text(spec.decimals), f"{figure.count:,}")
    return table


def figure_columns(group: Mapping[str, Any]) -> list[str]:
    """The figures of a group, in the columns of the table by magnification."""
    return [
        Figure.from_json(group.get(spec.name)).text(spec.decimals, interval=spec.is_headline)
        for spec in figures_in("magnifications")
    ]


def figure_line(figures: Mapping[str, Figure]) -> str:
    """`AUROC 0.91 (0.85-0.95), accuracy 0.85 (0.80-0.90)`."""
    specs = {spec.name: spec for spec in figures_in("slides") + figures_in("patients")}
    return ", ".join(f"{specs[name].title} {figure.text(specs[name].decimals)}" for name, figure in figures.items())


def difference_table(differences: Mapping[str, Mapping[str, Any]], this: str, other: str) -> FittedTable:
    figures = read_figures(differences, "differences")
    table = FittedTable("figure", ">difference", f">{this}", f">{other}", keep=2)
    for spec in figures_in("differences"):
        if spec.name in figures:
            both = (Figure.from_json({"value": differences[spec.name][side]}) for side in ("this", "other"))
            difference = figures[spec.name].text(spec.decimals + 1, to=" to ")
            table.add_row(spec.title, difference, *(one.text(spec.decimals + 1) for one in both))
    return table


def reasons(figures: Mapping[str, Figure], group: str = "") -> Iterator[Text]:
    """Why some figures are undefined, one line for each reason."""
    for reason, titles in undefined(figures).items():
        yield Text(f"- {group}{', '.join(titles)}: {reason}", style="yellow")
