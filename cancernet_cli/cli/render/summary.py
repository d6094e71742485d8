"""Metrics as tables on the terminal."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from cancernet_cli.cli.render.predictions import one_line, render_predictions

__all__ = ["make_table", "render_metrics", "render_predictions", "shortened", "show_figure"]

WORST_SHOWN = 5
_MOST_CLASSES = 10
_FIGURES = {
    "accuracy": "accuracy",
    "recall": "recall (sensitivity)",
    "specificity": "specificity",
    "precision": "precision",
    "f1": "F1",
    "auroc": "AUROC",
    "auprc": "AUPRC",
    "log_loss": "log loss",
    "brier": "Brier score",
    "ece": "ECE",
}


def render_metrics(metrics: dict[str, Any]) -> RenderableType:
    """What `engine.evaluate.summary.summarise` found, for people: warnings first, then images, magnifications, patients.

    When the model was trained on some of the patients, figures of the others stand first.
    """
    parts: list[RenderableType] = [Text(f"warning: {w}", style="bold yellow") for w in metrics.get("warnings", [])]
    if metrics["training_overlap"]["images"]:
        unseen = metrics.get("unseen")
        if unseen:
            parts += _section(unseen, "Patients the model was not trained on")
        parts += _section(metrics, "All patients, those it was trained on included: no test of the model")
    else:
        parts += _section(metrics, "Metrics")
    if "whole_slides" in metrics:
        parts += [Text("\nWhole slides", style="bold"), render_metrics(metrics["whole_slides"])]
    return Group(*parts)


def show_figure(figure: dict[str, Any] | None, digits: int = 2, *, to: str = "-") -> str:
    """`0.91 (0.85-0.95)`, without an interval `0.91`, without a value `-`."""
    if figure is None or figure["value"] is None:
        return "-"
    text = f"{figure['value']:.{digits}f}"
    if figure.get("low") is None:
        return text
    return f"{text} ({figure['low']:.{digits}f}{to}{figure['high']:.{digits}f})"


def _section(metrics: dict[str, Any], title: str) -> Iterator[RenderableType]:
    """Images, magnifications and patients of one set of rows."""
    images = metrics["images"]
    labels = ", ".join(f"{n:,} {one_line(name)}" for name, n in images["labels"].items())
    yield Text(f"\n{title}", style="bold")
    who = f"{images['patients']:,} known patients" if images["patients"] else "unknown patients"
    unit = metrics.get("unit", "image")
    yield Text(f"{images['count']:,} labelled {unit}s ({labels}) of {who}")
    yield Text(_interval_note(unit, images["accuracy"], images["auroc"]), style="dim")
    figures, confusion = _figures_table(images), _confusion_table(images["confusion"])
    if "tp" in images["confusion"]:
        side_by_side = Table.grid(padding=(0, 2))
        side_by_side.add_row(figures, confusion)
        yield side_by_side
    else:
        yield from (figures, Text(), confusion)
    yield from _reasons(images)
    if len(metrics["by_magnification"]) > 1:
        yield Text()
        yield _magnification_table(metrics["by_magnification"])
    yield from _slides(metrics.get("by_slide"))  # metrics files of older versions have none
    yield from _patients(metrics["by_patient"])


def _interval_note(rows: str, *figures: dict[str, Any]) -> str:
    """What the brackets are."""
    for figure in figures:
        if figure.get("low") is not None:
            n, unit = figure["interval_units"], figure["interval_unit"]
            return f"n: {rows}s behind a figure; brackets: 95 % interval over {n:,} {unit}s"
    return f"no 95 % intervals: {figures[0].get('interval_reason', 'not computed')}"


def _figures_table(images: dict[str, Any]) -> Table:
    table = make_table("figure", ">value", ">n")
    for key, name in _FIGURES.items():
        table.add_row(name, show_figure(images[key]), f"{images[key]['count']:,}")
    return table


def _confusion_table(confusion: dict[str, Any]) -> RenderableType:
    """True classes in rows, decisions in columns; more than two columns are numbered."""
    classes = confusion["classes"]
    if len(classes) > _MOST_CLASSES:
        return Text(f"confusion matrix of {len(classes)} classes: see the metrics file", style="dim")
    if "tp" not in confusion:
        table = make_table("true \\ called", *(f">{i}" for i in range(1, len(classes) + 1)))
        for i, (name, row) in enumerate(zip(classes, confusion["true_by_predicted"], strict=True), start=1):
            table.add_row(shortened(f"{i} {name}", 24), *(f"{n:,}" for n in row))
        return table
    table = make_table("true \\ called", *(f">{shortened(name)}" for name in classes))
    for name, row in zip(classes, confusion["true_by_predicted"], strict=True):
        table.add_row(shortened(name), *(f"{n:,}" for n in row))
    sums = "  ".join(f"{name.upper()} {confusion[name]:,}" for name in ("tn", "fp", "fn", "tp"))
    return Group(table, Text(), Text(sums, style="dim"))


def _magnification_table(groups: dict[str, Any]) -> Table:
    table = make_table("magnification", ">images", ">patients", ">AUROC", ">accuracy", ">F1", ">ECE")
    for name in sorted(groups, key=lambda n: (n == "unknown", float(n) if n != "unknown" else 0)):
        m = groups[name]
        shown = [show_figure(m[key]) for key in ("auroc", "accuracy", "f1", "ece")]
        table.add_row(name if name == "unknown" else f"{name}x", f"{m['count']:,}", f"{m['patients']:,}", *shown)
    return table


def _slides(found: dict[str, Any] | None) -> Iterator[RenderableType]:
    """AUROC and accuracy of the slides' mean probabilities."""
    if found and found["count"]:
        figures = {"auroc": found["auroc"], "accuracy": found["accuracy"]}
        yield Text(
            f"\nBy slide ({found['count']:,}): AUROC {show_figure(figures['auroc'])},"
            f" accuracy {show_figure(figures['accuracy'])}"
        )
        yield from _reasons(figures, "by slide, ")


def _patients(found: dict[str, Any]) -> Iterator[RenderableType]:
    """Recognition rate, AUROC of the patients' mean probabilities, and the patients it does worst on."""
    if not found["count"]:
        return
    yield Text(
        f"\nBy patient ({found['count']:,}): recognition rate {show_figure(found['recognition_rate'])},"
        f" AUROC {show_figure(found['auroc'])}"
    )
    yield from _reasons({"auroc": found["auroc"]}, "by patient, ")
    wrong = [row for row in found["patients"] if row["right"] < row["count"]][:WORST_SHOWN]
    if not wrong:
        return
    has_one_prob = not isinstance(wrong[0]["mean_prob"], dict)
    table = make_table(
        "worst patients", "label", ">right", ">images", ">score", *([">mean prob"] if has_one_prob else [])
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


def _reasons(figures: dict[str, Any], where: str = "") -> Iterator[Text]:
    """Why some figures are `-`, those with one reason on one line."""
    because: dict[str, list[str]] = {}
    for key, name in _FIGURES.items():
        if key in figures and figures[key]["value"] is None:
            because.setdefault(figures[key]["reason"], []).append(name)
    for reason, names in because.items():
        yield Text(f"- {where}{', '.join(names)}: {reason}", style="yellow")


def shortened(name: str, most: int = 16) -> Text:
    """A name on one line of at most so many characters."""
    name = one_line(name)
    return Text(name if len(name) <= most else name[: most - 3] + "...", no_wrap=True)


def make_table(*headers: str) -> Table:
    """A table with these headers; `>` in front sets a column flush right."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, 1, 0, 0))
    for header in headers:
        table.add_column(
            Text(header.removeprefix(">")), justify="right" if header.startswith(">") else "left", no_wrap=True
        )
    return table
