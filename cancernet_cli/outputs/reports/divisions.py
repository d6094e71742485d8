"""Figures over repeated divisions into folds, as Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from cancernet_cli.core.figures import division_rows, interval_note
from cancernet_cli.outputs.reports.markdown import escape, figure_text, table


def divisions_section(divisions: Mapping[str, Any]) -> Iterator[str]:
    """Mean, interval, spread and value in each division, for every figure."""
    count, rows = divisions["count"], division_rows(divisions)
    note = interval_note(figure for _, _, figure in rows)
    whose = "its patient" if divisions["images"].get("patients") else "it"
    yield f"## Mean of {count} divisions into folds"
    yield (
        f"Every image was predicted {count} times, each time in another division, by a model that was not trained on "
        f"{whose}. The table, and the sections below, have the predictions of division 1. "
        f"{note[0].upper()}{note[1:]}; they are of the mean, on the same resamples in all divisions."
    )
    yield table(
        ["figure", ">mean", ">lowest to highest", ">n", *(f">{number}" for number in range(1, count + 1))],
        [
            (
                escape(title),
                figure_text(figure, spec),
                "-" if figure.spread is None else " to ".join(f"{end:.3f}" for end in figure.spread),
                f"{figure.count:,}",
                *([f"{value:.3f}" for value in figure.each] or ["-"] * count),
            )
            for title, spec, figure in rows
        ],
    )
