"""An evaluation as one page of Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from cancernet_cli import __version__
from cancernet_cli.core.figure_names import NAMES
from cancernet_cli.outputs.reports.markdown import escape, picture, table

_FIGURES = {
    "auroc": "AUROC",
    "auprc": "AUPRC (average precision)",
    "accuracy": "accuracy",
    "recall": "sensitivity (recall)",
    "specificity": "specificity",
    "precision": "precision (PPV)",
    "f1": "F1",
    "log_loss": "log loss",
    "brier": "Brier score",
    "ece": "expected calibration error",
}
_SHARES = ("sensitivity", "specificity", "ppv", "npv", "accuracy", "balanced_accuracy", "f1")
_WORST_SHOWN = 5


def report_text(metrics: Mapping[str, Any], plots: Mapping[str, str], skipped: Mapping[str, str]) -> str:
    """The report, the same text for the same figures.

    Args:
        metrics: as metrics.json has them. plots: a plot's name to its file, relative to the report. skipped: a plot's
            name to why there is none.
    """
    blocks = [
        *_warning(metrics["leaks"], "this table comes from a leaking split, so no figure below is an estimate"),
        f"# Evaluation of {escape(Path(metrics['table']['path']).name)}",
        "Research use only: not a medical device, not for diagnosis.",
        *_data(metrics),
    ]
    if metrics.get("unseen"):
        blocks += _images(metrics["unseen"], "Patients the model was not trained on")
        blocks += _images(metrics, "All images, those of patients it was trained on included: no test of the model")
    else:
        blocks += _images(metrics, "Images")
    blocks += _plots(plots, "roc", "precision_recall", "confusion")
    blocks += _groups(metrics)
    blocks += _plots(plots, "intervals")
    blocks += _calibration(metrics)
    blocks += _plots(plots, "reliability")
    blocks += _thresholds(metrics)
    blocks += _plots(plots, "thresholds")
    if "comparison" in metrics:
        blocks += _comparison(metrics["comparison"])
        blocks += _plots(plots, "difference", "roc_comparison")
    blocks += _method(metrics, skipped)
    return "\n\n".join(blocks) + "\n"


def _warning(leaks: list[str], means: str) -> Iterator[str]:
    if leaks:
        yield "\n".join([f"> **WARNING: {means}.**", *(f"> **{escape(leak)}**" for leak in leaks)]).replace(
            "\n", "\n>\n"
        )


def _data(metrics: Mapping[str, Any]) -> Iterator[str]:
    """What was measured, and what a reader has to know first."""
    images, model = metrics["images"], metrics["table"]["model"]
    of = ", ".join(f"{n:,} {escape(name)}" for name, n in images["labels"].items())
    patients = ", ".join(f"{n:,} {escape(name)}" for name, n in images["patients_by_label"].items())
    who = f"{images['patients']:,} patients ({patients})" if images["patients"] else "patients that are not known"
    split = f"; the predictions are {escape(metrics['table']['split'])}" if metrics["table"]["split"] else ""
    yield (
        f"{images['count']:,} labelled images ({of}) of {who}"
        f"{f', classified by {escape(model)}' if model else ''}{split}."
    )
    if metrics["warnings"]:
        yield "\n".join(f"- **Note:** {escape(words)}." for words in metrics["warnings"])


def _images(metrics: Mapping[str, Any], title: str) -> Iterator[str]:
    """Every figure of the images, and the confusion matrix."""
    images = metrics["images"]
    yield f"## {title}"
    yield f"{_interval_note(images['accuracy'], images['auroc'])} n: images behind a figure."
    rows = [(name, _value(images[key], 3), f"{images[key]['count']:,}") for key, name in _FIGURES.items()]
    yield table(["figure", ">value", ">n"], rows)
    yield from _reasons(images)
    matrix = images["confusion"]
    names = [escape(name) for name in matrix["classes"]]
    counts = [
        (f"**{name}**", *(f"{n:,}" for n in row)) for name, row in zip(names, matrix["true_by_predicted"], strict=True)
    ]
    yield table(["true \\ called", *(f">{name}" for name in names)], counts)


def _interval_note(*figures: Mapping[str, Any]) -> str:
    for found in figures:
        if found.get("low") is not None:
            n, unit = found["interval_units"], found["interval_unit"]
            return f"In brackets: 95 % interval from a bootstrap over {n:,} {unit}s."
    return f"No intervals: {figures[0].get('interval_reason', 'not computed')}."


def _groups(metrics: Mapping[str, Any]) -> Iterator[str]:
    """By magnification, by slide, by patient."""
    yield "## By magnification, slide and patient"
    rows = []
    for name, found in sorted(metrics["by_magnification"].items(), key=lambda item: _as_number(item[0])):
        word = "magnification unknown" if name == "unknown" else f"{name}x"
        rows.append((word, f"{found['count']:,} images", _value(found["auroc"]), _value(found["accuracy"])))
    slide, patient = metrics["by_slide"], metrics["by_patient"]
    if slide["count"]:
        rows.append(("slides", f"{slide['count']:,} slides", _value(slide["auroc"]), _value(slide.get("accuracy"))))
    if patient["count"]:
        rate = f"{_value(patient['recognition_rate'])} (recognition rate)"
        rows.append(("patients", f"{patient['count']:,} patients", _value(patient["auroc"]), rate))
    yield table(["group", ">n", ">AUROC", ">accuracy"], rows)
    said = []
    if slide["count"]:
        said.append(
            "A slide's probabilities are the means over its images. "
            f"Left out: {slide['several_labels']:,} slides with several labels, "
            f"{slide['images_without_slide']:,} images without slide."
        )
    else:
        said.append(f"No figures by slide: {slide['reason']}.")
    if patient["count"]:
        said.append(
            "The recognition rate is the mean over patients of the share of their images that are right; a "
            "patient's AUROC takes the mean probability of the images."
        )
    else:
        said.append("No figures by patient: no image names its patient.")
    yield " ".join(said)
    wrong = [row for row in patient.get("patients", []) if row["right"] < row["count"]][:_WORST_SHOWN]
    if wrong:
        worst = [
            (escape(row["patient"]), escape(row["label"] or "several"), f"{row['right']:,}", f"{row['count']:,}")
            for row in wrong
        ]
        yield table(["worst patients", "label", ">right", ">images"], worst)


def _calibration(metrics: Mapping[str, Any]) -> Iterator[str]:
    images = metrics["images"]
    yield "## Calibration"
    yield (
        f"Expected calibration error {_value(images['ece'], 3)} ({images['ece']['bins']} bins of the predicted class's "
        f"probability), Brier score {_value(images['brier'], 3)}, log loss {_value(images['log_loss'], 3)}."
    )
    rows = [
        (f"{b['low']:.2f} to {b['high']:.2f}", f"{b['count']:,}", f"{b['confidence']:.3f}", f"{b['accuracy']:.3f}")
        for b in images["reliability"]
    ]
    yield table(["confidence", ">images", ">mean confidence", ">share right"], rows)


def _thresholds(metrics: Mapping[str, Any]) -> Iterator[str]:
    rows = metrics["thresholds"]
    yield "## Decision thresholds"
    if not rows:
        yield "A threshold decides between two classes; the table has more."
        return
    positive = escape(metrics["decision"]["positive"])
    yield f"An image is called {positive} when its probability is at least the threshold."
    lines = []
    for row in rows:
        cells = [f"{row['threshold']:.3f}", *("-" if row[key] is None else f"{row[key]:.3f}" for key in _SHARES)]
        lines.append([*((f"**{cell}**" for cell in cells) if row["note"] else cells), escape(row["note"])])
    headers = ["threshold", "sensitivity", "specificity", "PPV", "NPV", "accuracy", "balanced accuracy", "F1"]
    yield table([*(f">{header}" for header in headers), ""], lines)


def _comparison(found: Mapping[str, Any]) -> Iterator[str]:
    this, other = escape(found["this_name"]), escape(found["other_name"])
    yield f"## {this} against {other}"
    yield from _warning(found["leaks"], f"{other} comes from a leaking split, so the comparison says nothing")
    yield f"On the {found['images']:,} images of {found['patients']:,} known patients that both have with a label."
    yield "\n".join(f"- {escape(words)}." for words in found["words"])
    rows = [
        (name, *("-" if entry[key] is None else f"{entry[key]:.3f}" for key in ("this", "other")), _value(entry, 3))
        for key, name in NAMES.items()
        for entry in [found["differences"][key]]
    ]
    yield table(["figure", f">{this}", f">{other}", ">difference"], rows)
    test = found["mcnemar"]
    rows = [
        (f"**{this} right**", f"{test['both_right']:,}", f"{test['only_this_right']:,}"),
        (f"**{this} wrong**", f"{test['only_other_right']:,}", f"{test['both_wrong']:,}"),
    ]
    yield table(["images", f">{other} right", f">{other} wrong"], rows)
    if found["warnings"]:
        yield "\n".join(f"- **Note:** {escape(words)}." for words in found["warnings"])


def _method(metrics: Mapping[str, Any], skipped: Mapping[str, str]) -> Iterator[str]:
    """How it was computed."""
    bootstrap, decision, labels = metrics["bootstrap"], metrics["decision"], metrics["labels"]
    thresholds = ", ".join(f"{t:.4g}" for t in decision["thresholds"]) or "none: the most probable class is called"
    lines = [
        f"Table: {escape(metrics['table']['path'])}; cancernet {__version__}.",
        f"Labels: {escape(labels['file'])}" if labels["file"] else "Labels: the table's column true_label",
        f"Left out: {metrics['failed']:,} failed rows, {metrics['unlabelled']:,} without a label.",
        f"Classes: {', '.join(map(escape, decision['classes']))}"
        + (f"; positive: {escape(decision['positive'])}; threshold: {thresholds}." if decision["positive"] else "."),
        f"Intervals: percentile bootstrap, {bootstrap['resamples']:,} resamples of whole patients, apart for each "
        f"class of patient, seed {bootstrap['seed']}. Images are resampled only where a patient is not known.",
        "AUROC, AUPRC, precision, recall and F1 are scikit-learn's; with more than two classes they are means over the "
        "classes (macro), each against the rest.",
        *(f"No plot {escape(name)}: {escape(why)}." for name, why in skipped.items()),
    ]
    yield "## How it was computed"
    yield "\n".join(f"- {line}" for line in lines)


def _plots(plots: Mapping[str, str], *names: str) -> Iterator[str]:
    pictures = [picture(name.replace("_", " "), plots[name]) for name in names if name in plots]
    if pictures:
        yield "\n".join(pictures)


def _value(found: Mapping[str, Any] | None, digits: int = 2) -> str:
    """`0.91 (0.85 to 0.95)`, or `-`."""
    if found is None or found["value"] is None:
        return "-"
    text = f"{found['value']:.{digits}f}"
    return text if found.get("low") is None else f"{text} ({found['low']:.{digits}f} to {found['high']:.{digits}f})"


def _reasons(images: Mapping[str, Any]) -> Iterator[str]:
    lacking = [
        f"- {name}: {escape(images[key]['reason'])}." for key, name in _FIGURES.items() if "reason" in images[key]
    ]
    if lacking:
        yield "\n".join(lacking)


def _as_number(name: str) -> float:
    return float("inf") if name == "unknown" else float(name)
