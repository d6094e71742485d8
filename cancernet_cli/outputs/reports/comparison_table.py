"""The table of `cancernet compare`: one row per cell, as plain values and as text."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from cancernet_cli.core.figures import Figure, FigureSpec, Interval, figures_in
from cancernet_cli.core.files import atomic_write, write_bytes
from cancernet_cli.outputs.reports.markdown import table

Row = dict[str, Any]
_COUNTS = ("tn", "fp", "fn", "tp")
_LEAKING_NOTE = (
    "If leaking: the same features and classifier with folds by image, so that the same patients are in training and "
    "test. Not a result, but what such a split would have claimed."
)


def table_row(cell: Row) -> Row:
    """A finished cell (`compare.cells`) as one row of plain values; None where a figure is undefined."""
    figures, leaking = cell["figures"], cell["leaking_by_image"] or {}
    row: Row = {name: cell[name] for name in ("network", "segmenter", "classifier", "is_baseline")}
    row |= {name: cell[name] for name in ("weights", "random_weights", "images", "patients", "features")}
    for spec in figures_in("images"):
        row |= _values(spec.name, spec, figures.get(spec.name))
    for spec in figures_in("patients"):
        row |= _values(_of_patients(spec), spec, figures["patients"].get(spec.name))
    row |= {name: figures["confusion"].get(name) for name in _COUNTS}
    for spec in figures_in("headline"):
        row |= _values(f"leaking_{spec.name}", spec, leaking.get(spec.name))
    return row | {"seconds": round(sum(cell["seconds"].values()), 2)}


def figure_of(row: Row, name: str) -> Figure:
    """A figure of a row, by its column."""
    value, low, high = (row.get(column) for column in (name, f"{name}_low", f"{name}_high"))
    is_exact = value in (0, 1) and low != high
    return Figure(value, interval=Interval(low, high, method="exact" if is_exact else "bootstrap"))


def headline(row: Row) -> str:
    """A row in one line: `VGG16, unet: AUROC 0.67 (0.55-0.85), accuracy 0.60 (0.50-0.73)`."""
    figures = ", ".join(f"{spec.column} {figure_of(row, spec.name).text()}" for spec in figures_in("headline"))
    return f"{network_text(row)}, {row['segmenter']}: {figures}"


def network_text(row: Row) -> str:
    """The network, marked if its weights were random; for a baseline its features and classifier."""
    if row["is_baseline"]:
        return f"{row['network']}, {row['classifier']}".replace("-", " ")
    return f"{row['network']} (random weights)" if row["random_weights"] else str(row["network"])


def figure_table(rows: Sequence[Row]) -> list[dict[str, str]]:
    """Each row's figures as text, by column heading."""
    return [
        {
            "network": network_text(row),
            "segmenter": row["segmenter"],
            **{
                spec.column: figure_of(row, spec.name).text(spec.decimals, interval=spec.is_headline)
                for spec in figures_in("comparison")
            },
            "s": f"{row['seconds']:.0f}",
        }
        for row in rows
    ]


def claim_table(rows: Sequence[Row]) -> list[dict[str, str]]:
    """Each row's confusion matrix, and what a leaking split would have claimed, as text by column heading."""
    return [
        {
            "network": network_text(row),
            "segmenter": row["segmenter"],
            **{name.upper(): "-" if row[name] is None else f"{row[name]:,}" for name in _COUNTS},
            **{
                f"{spec.column} by patient": figure_of(row, _of_patients(spec)).text(spec.decimals, interval=False)
                for spec in figures_in("patients")
                if spec.is_headline
            },
            **{
                f"if leaking: {spec.column}": figure_of(row, f"leaking_{spec.name}").text(spec.decimals, interval=False)
                for spec in figures_in("headline")
            },
        }
        for row in rows
    ]


def remarks(comparison: Row) -> list[str]:
    """Notes that a reader of the table needs, one or two sentences each."""
    of = f"of {comparison['classes'][1]}" if len(comparison["classes"]) == 2 else "means over the classes"
    found = [
        f"{comparison['images']:,} images of {comparison['patients']:,} patients ({', '.join(comparison['classes'])}), "
        f"{comparison['split']}; recipe {comparison['recipe']}, seed {comparison['seed']}.",
        "Figures are pooled over test images of patients that the model had not seen; the label is the most probable "
        f"class. Precision, recall and F1 are {of}. Brackets: 95 % intervals over patients. s: seconds for "
        "features and training.",
    ]
    if any(row["random_weights"] for row in comparison["rows"]):
        found.append("Random weights: no ImageNet weights were available, so the row says little about the network.")
    if comparison["leaking"]:
        found.append(_LEAKING_NOTE)
    return [f"LEAKING: {sentence}" for sentence in comparison["leaks"]] + found


def write_tables(comparison: Row, out: Path) -> None:
    """Write `table.json`, `table.parquet` and `table.md`.

    Raises:
        OutputError: one cannot be written.
    """
    write_bytes(out / "table.json", (json.dumps(comparison, indent=2, allow_nan=False) + "\n").encode())
    with atomic_write(out / "table.parquet") as temporary:
        pq.write_table(pa.Table.from_pylist(comparison["rows"]), temporary)
    write_bytes(out / "table.md", _markdown(comparison).encode())


def _markdown(comparison: Row) -> str:
    rows = comparison["rows"]
    parts = ["# Comparison", *remarks(comparison), _pipes(figure_table(rows))]
    parts += ["Confusion matrix, and what a split by image would have claimed:", _pipes(claim_table(rows))]
    return "\n\n".join(parts) + "\n"


def _pipes(rows: Sequence[Mapping[str, str]]) -> str:
    headings = list(rows[0]) if rows else []
    return table([*headings[:2], *(f">{heading}" for heading in headings[2:])], [list(row.values()) for row in rows])


def _values(name: str, spec: FigureSpec, found: Mapping[str, Any] | None) -> Row:
    """A figure in columns: its value and, if it has an interval, the ends."""
    figure = Figure.from_json(found)
    low, high = figure.bounds or (None, None)
    return {name: figure.value} | ({f"{name}_low": low, f"{name}_high": high} if spec.interval else {})


def _of_patients(spec: FigureSpec) -> str:
    return spec.name if spec.measured_from == "patients" else f"{spec.name}_by_patient"
