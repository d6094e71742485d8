"""Metrics of a predictions table on the terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from cancernet_cli.cli.render.figures import figure_columns, figure_line, figure_table, reasons
from cancernet_cli.cli.render.tables import FittedTable, SideBySide, shortened
from cancernet_cli.core.figures import figures_in, interval_note, left_out, read_figures
from cancernet_cli.core.text import one_line

WORST_SHOWN = 5
_MOST_CLASSES = 10


def render_metrics(metrics: dict[str, Any]) -> RenderableType:
    """Metrics as JSON has them: warnings first, then images, magnifications, slides and patients.

    Images that the model was trained on are not among them; their figures come last.
    """
    parts: list[RenderableType] = [Text(f"warning: {w}", style="bold yellow") for w in metrics.get("warnings", [])]
    trained = metrics.get("trained_on")
    title = "Metrics"
    if metrics["training_overlap"]["images"]:
        title = "Images the model was not trained on" if trained else "Training images: not a test of the model"
    parts += _section(metrics, title)
    if trained:
        figures = read_figures(trained["images"], "images")
        headline = {spec.name: figures[spec.name] for spec in figures_in("headline") if spec.name in figures}
        parts += [
            Text("\nTraining images: not a test of the model", style="bold"),
            Text(f"{trained['images']['count']:,} images: {figure_line(headline)}"),
        ]
    if "whole_slides" in metrics:
        parts += [Text("\nWhole slides", style="bold"), render_metrics(metrics["whole_slides"])]
    return Group(*parts)


def _section(metrics: dict[str, Any], title: str) -> Iterator[RenderableType]:
    """Images, magnifications, slides and patients of one set of rows."""
    images = metrics["images"]
    labels = ", ".join(f"{n:,} {one_line(name)}" for name, n in images["labels"].items())
    yield Text(f"\n{title}", style="bold")
    who = f" of {images['patients']:,} known patients" if images["patients"] else ", patients unknown"
    unit = metrics.get("unit", "image")
    figures = read_figures(images, "images")
    yield Text(f"{images['count']:,} labelled {unit}s ({labels}){who}")
    yield Text(f"n: {unit}s behind a figure; {interval_note(figures.values())}", style="dim")
    if images["patients"]:
        yield Text("case-weighted: every case has the same weight; n: cases", style="dim")
    confusion = _confusion_table(images["confusion"])
    if "tp" in images["confusion"]:
        yield SideBySide(figure_table(figures), confusion)
    else:
        yield from (figure_table(figures), Text(), confusion)
    yield from reasons(figures)
    if len(metrics["by_magnification"]) > 1:
        yield Text()
        yield _magnification_table(metrics["by_magnification"])
    yield from _slides(metrics.get("by_slide"))  # metrics files of older versions have none
    yield from _patients(metrics["by_patient"])


def _confusion_table(confusion: dict[str, Any]) -> RenderableType:
    """True classes in rows, decisions in columns; more than two columns are numbered."""
    classes = confusion["classes"]
    if len(classes) > _MOST_CLASSES:
        return Text(f"confusion matrix of {len(classes)} classes: see the metrics file", style="dim")
    if "tp" not in confusion:
        table = FittedTable("true \\ predicted", *(f">{i}" for i in range(1, len(classes) + 1)))
        for i, (name, row) in enumerate(zip(classes, confusion["true_by_predicted"], strict=True), start=1):
            table.add_row(shortened(f"{i} {name}", 24), *(f"{n:,}" for n in row))
        return table
    table = FittedTable("true \\ predicted", *(f">{shortened(name)}" for name in classes))
    for name, row in zip(classes, confusion["true_by_predicted"], strict=True):
        table.add_row(shortened(name), *(f"{n:,}" for n in row))
    sums = "  ".join(f"{name.upper()} {confusion[name]:,}" for name in ("tn", "fp", "fn", "tp"))
    return Group(table, Text(), Text(sums, style="dim"))


def _magnification_table(groups: dict[str, Any]) -> FittedTable:
    columns = [f">{spec.column}" for spec in figures_in("magnifications")]
    known = any(group["patients"] for group in groups.values())
    table = FittedTable("magnification", ">images", *([">patients"] if known else []), *columns)
    for name in sorted(groups, key=lambda n: (n == "unknown", float(n) if n != "unknown" else 0)):
        group = groups[name]
        title = name if name == "unknown" else f"{name}x"
        patients = [f"{group['patients']:,}"] if known else []
        table.add_row(title, f"{group['count']:,}", *patients, *figure_columns(group))
    return table


def _slides(found: Mapping[str, Any] | None) -> Iterator[RenderableType]:
    """Figures of the slides' mean probabilities."""
    if found and found["count"]:
        figures = read_figures(found, "slides")
        yield Text(f"\nBy slide ({found['count']:,}): {figure_line(figures)}")
        yield from _omitted(found, "slide")
        yield from reasons(figures, "by slide, ")


def _omitted(found: Mapping[str, Any], unit: str) -> Iterator[RenderableType]:
    """How many images and slides, or patients, are omitted from the figures, and why."""
    if words := left_out(found, unit):
        yield Text(f"- by {unit}, {words}", style="yellow")


def _patients(found: Mapping[str, Any]) -> Iterator[RenderableType]:
    """Figures by patient, and the patients with the most errors."""
    if not found["count"]:
        return
    figures = read_figures(found, "patients")
    yield Text(f"\nBy patient ({found['count']:,}): {figure_line(figures)}")
    yield from _omitted(found, "patient")
    yield from reasons(figures, "by patient, ")
    wrong = [row for row in found["patients"] if row["right"] < row["count"]][:WORST_SHOWN]
    if not wrong:
        return
    has_one_prob = not isinstance(wrong[0]["mean_prob"], dict)
    table = FittedTable(
        "worst patients", "label", ">correct", ">images", ">score", *([">mean prob"] if has_one_prob else [])
    )
    yield Text()
    for row in wrong:
        mean = [f"{row['mean_prob']:.2f}"] if has_one_prob else []
        table.add_row(
            shortened(row["patient"], 30),
            shortened(row["label"] or "several"),
            f"{row['right']:,}",
            f"{row['count']:,}",
            f"{row['score']:.2f}",
            *mean,
        )
    yield table
