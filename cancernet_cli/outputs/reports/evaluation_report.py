"""Evaluation report in Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from cancernet_cli import __version__
from cancernet_cli.core.figures import Figure, figures_in, left_out
from cancernet_cli.outputs.reports.divisions import divisions_section
from cancernet_cli.outputs.reports.markdown import difference_table, escape, figure_table, figure_text, picture, table

_SHARES = ("sensitivity", "specificity", "ppv", "npv", "accuracy", "balanced_accuracy", "f1")
_CALIBRATION = ("log_loss", "brier", "ece")
_WORST_SHOWN = 5


def report_text(metrics: Mapping[str, Any], plots: Mapping[str, str], skipped: Mapping[str, str]) -> str:
    """The report, the same text for the same figures.

    Args:
        metrics: as metrics.json has them. plots: a plot's name to its file, relative to the report. skipped: a plot's
            name to why there is none.
    """
    blocks = [
        *_warning(metrics["leaks"], "this table is from a leaking split, so no figure below is an estimate"),
        *_may_leak(metrics.get("may_leak", "")),
        f"# Evaluation of {escape(Path(metrics['table']['path']).name)}",
        "Research use only: not a medical device, not for diagnosis.",
        *_data(metrics),
    ]
    if "divisions" in metrics:
        blocks += divisions_section(metrics["divisions"])
    blocks += _images(metrics, "Images the model was not trained on" if metrics.get("trained_on") else "Images")
    blocks += _plots(plots, "roc", "precision_recall", "confusion")
    blocks += _groups(metrics)
    blocks += _plots(plots, "intervals")
    blocks += _calibration(metrics)
    blocks += _plots(plots, "reliability")
    blocks += _thresholds(metrics)
    blocks += _plots(plots, "thresholds")
    if metrics.get("trained_on"):
        blocks += _images(metrics["trained_on"], "Training images: not a test of the model")
    if "comparison" in metrics:
        blocks += _against(metrics["comparison"])
        blocks += _plots(plots, "difference", "roc_comparison")
    blocks += _method(metrics, skipped)
    return "\n\n".join(blocks) + "\n"


def _warning(leaks: list[str], means: str) -> Iterator[str]:
    if leaks:
        yield "\n".join([f"> **WARNING: {means}.**", *(f"> **{escape(leak)}**" for leak in leaks)]).replace(
            "\n", "\n>\n"
        )


def _may_leak(stamp: str) -> Iterator[str]:
    if stamp:
        yield f"> **WARNING: {escape(stamp)}; figures may be too high. Name the patients with --patient-pattern.**"


def _data(metrics: Mapping[str, Any]) -> Iterator[str]:
    """What was measured, and warnings."""
    images, model = metrics["images"], metrics["table"]["model"]
    of = ", ".join(f"{n:,} {escape(name)}" for name, n in images["labels"].items())
    patients = ", ".join(f"{n:,} {escape(name)}" for name, n in images["patients_by_label"].items())
    several = sum(images["patients_by_label"].values()) - images["patients"]
    both = f"; {several:,} with images of several classes" if several > 0 else ""
    who = f"{images['patients']:,} patients ({patients}{both})" if images["patients"] else ""
    split = f"; the predictions are {escape(metrics['table']['split'])}" if metrics["table"]["split"] else ""
    yield (
        f"{images['count']:,} labelled images ({of}){f' of {who}' if who else ', patients unknown'}"
        f"{f', classified by {escape(model)}' if model else ''}{split}."
    )
    if metrics["warnings"]:
        yield "\n".join(f"- **Note:** {escape(words)}." for words in metrics["warnings"])


def _images(metrics: Mapping[str, Any], title: str) -> Iterator[str]:
    """Every figure of the images, and the confusion matrix."""
    images = metrics["images"]
    yield f"## {title}"
    yield from figure_table(images)
    matrix = images["confusion"]
    names = [escape(name) for name in matrix["classes"]]
    counts = [
        (f"**{name}**", *(f"{n:,}" for n in row)) for name, row in zip(names, matrix["true_by_predicted"], strict=True)
    ]
    yield table(["true \\ predicted", *(f">{name}" for name in names)], counts)


def _groups(metrics: Mapping[str, Any]) -> Iterator[str]:
    """By magnification, by slide, by patient."""
    slide, patient = metrics["by_slide"], metrics["by_patient"]
    yield "## By magnification, slide and patient"
    rows = []
    for name, found in sorted(metrics["by_magnification"].items(), key=lambda item: _as_number(item[0])):
        title = "magnification unknown" if name == "unknown" else f"{name}x"
        rows.append((title, _counted_images(found), *_cells(found)))
    if slide["count"]:
        rows.append(("slides", f"{slide['count']:,} slides", *_cells(slide)))
    if patient["count"]:
        rows.append(("patients", f"{patient['count']:,} patients", *_cells(patient)))
    yield table(["group", ">n", *(f">{spec.column}" for spec in figures_in("magnifications"))], rows)
    yield " ".join(_group_notes(slide, patient))
    wrong = [row for row in patient.get("patients", []) if row["right"] < row["count"]][:_WORST_SHOWN]
    if wrong:
        worst = [
            (escape(row["patient"]), escape(row["label"] or "several"), f"{row['right']:,}", f"{row['count']:,}")
            for row in wrong
        ]
        yield table(["worst patients", "label", ">correct", ">images"], worst)


def _counted_images(group: Mapping[str, Any]) -> str:
    """`105 images of 10 patients`."""
    of = f" of {group['patients']:,} patients" if group.get("patients") else ""
    return f"{group['count']:,} images{of}"


def _cells(group: Mapping[str, Any]) -> list[str]:
    """The figures of a group, in columns."""
    return [figure_text(Figure.from_json(group.get(spec.name))) for spec in figures_in("magnifications")]


def _group_notes(slide: Mapping[str, Any], patient: Mapping[str, Any]) -> Iterator[str]:
    """How figures by slide and by patient were computed, or why there are none."""
    if slide["count"]:
        omitted = left_out(slide, "slide")
        yield f"A slide's probabilities are the means over its images{f'; {omitted}' if omitted else ''}."
    else:
        yield f"No figures by slide: {slide['reason']}."
    if patient["count"]:
        rate = figure_text(Figure.from_json(patient["recognition_rate"]))
        yield (
            f"The recognition rate is {rate}: the mean over patients of the fraction of their images classified "
            "correctly. A patient's AUROC uses the mean probability of the patient's images"
            f"{f'; {omitted}' if (omitted := left_out(patient, 'patient')) else ''}."
        )
    else:
        yield "No figures by patient: the patients of the images are unknown."


def _calibration(metrics: Mapping[str, Any]) -> Iterator[str]:
    images = metrics["images"]
    shown = [
        f"{spec.title} {figure_text(Figure.from_json(images[spec.name]), spec)}"
        for spec in figures_in("images")
        if spec.name in _CALIBRATION
    ]
    yield "## Calibration"
    yield (
        f"{', '.join(shown)}. ECE is the expected calibration error over {images['ece']['bins']} bins of the "
        "predicted class's probability."
    )
    rows = [
        (f"{b['low']:.2f} to {b['high']:.2f}", f"{b['count']:,}", f"{b['confidence']:.3f}", f"{b['accuracy']:.3f}")
        for b in images["reliability"]
    ]
    yield table(["confidence", ">images", ">mean confidence", ">fraction correct"], rows)


def _thresholds(metrics: Mapping[str, Any]) -> Iterator[str]:
    rows = metrics["thresholds"]
    yield "## Decision thresholds"
    if not rows:
        yield "A decision threshold requires two classes; the table has more."
        return
    positive = escape(metrics["decision"]["positive"])
    yield f"An image is classified as {positive} if its probability is at least the threshold."
    lines = []
    for row in rows:
        cells = [f"{row['threshold']:.3f}", *("-" if row[key] is None else f"{row[key]:.3f}" for key in _SHARES)]
        lines.append([*((f"**{cell}**" for cell in cells) if row["note"] else cells), escape(row["note"])])
    headers = ["threshold", "sensitivity", "specificity", "PPV", "NPV", "accuracy", "balanced accuracy", "F1"]
    yield table([*(f">{header}" for header in headers), ""], lines)


def _against(found: Mapping[str, Any]) -> Iterator[str]:
    """The comparison with another table."""
    this, other = escape(found["this_name"]), escape(found["other_name"])
    yield f"## {this} against {other}"
    yield from _warning(found["leaks"], f"{other} is from a leaking split, so the comparison means nothing")
    yield f"On the {found['images']:,} labelled images of {found['patients']:,} known patients that are in both."
    yield "\n".join(f"- {escape(words)}." for words in found["words"])
    yield difference_table(found["differences"], this, other)
    test = found["mcnemar"]
    rows = [
        (f"**{this} correct**", f"{test['both_right']:,}", f"{test['only_this_right']:,}"),
        (f"**{this} wrong**", f"{test['only_other_right']:,}", f"{test['both_wrong']:,}"),
    ]
    yield table(["images", f">{other} correct", f">{other} wrong"], rows)
    if found["warnings"]:
        yield "\n".join(f"- **Note:** {escape(words)}." for words in found["warnings"])


def _method(metrics: Mapping[str, Any], skipped: Mapping[str, str]) -> Iterator[str]:
    """How it was computed."""
    bootstrap, decision, labels = metrics["bootstrap"], metrics["decision"], metrics["labels"]
    thresholds = ", ".join(f"{t:.4g}" for t in decision["thresholds"]) or "none: the most probable class is predicted"
    units = "whole patients"
    if metrics["images"]["images_without_patient"]:
        units = "images, since the patient of some or all is unknown"
    lines = [
        f"Table: {escape(metrics['table']['path'])}; cancernet {__version__}.",
        f"Labels: {escape(labels['file'])}" if labels["file"] else "Labels: the table's column true_label",
        f"Omitted: {metrics['failed']:,} failed rows, {metrics['unlabelled']:,} without a label.",
        f"Classes: {', '.join(map(escape, decision['classes']))}"
        + (f"; positive: {escape(decision['positive'])}; threshold: {thresholds}." if decision["positive"] else "."),
        f"Intervals: percentile bootstrap, {bootstrap['resamples']:,} resamples of {units}, stratified by "
        f"class, seed {bootstrap['seed']}.",
        "AUROC, AUPRC, precision, recall and F1 are computed as in scikit-learn; with more than two classes they are "
        "means over the classes (macro), each against the rest.",
        *(f"No plot {escape(name)}: {escape(why)}." for name, why in skipped.items()),
    ]
    yield "## How it was computed"
    yield "\n".join(f"- {line}" for line in lines)


def _plots(plots: Mapping[str, str], *names: str) -> Iterator[str]:
    pictures = [picture(name.replace("_", " "), plots[name]) for name in names if name in plots]
    if pictures:
        yield "\n".join(pictures)


def _as_number(name: str) -> float:
    return float("inf") if name == "unknown" else float(name)
