"""Sections of a page with the figures of an evaluation; `reports.evaluation_report` has the same in Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from cancernet_cli.core.figures import (
    Figure,
    FigureSpec,
    counted,
    division_rows,
    figures_in,
    interval_note,
    left_out,
    read_figures,
    undefined,
)
from cancernet_cli.outputs.report.content import Block, Chart, Facts, Section, Table, Widget, Words

_HEADLINES = ("auroc", "case_weighted_auroc", "recall", "specificity", "precision", "accuracy", "ece")
_PATIENTS_SHOWN = 100


def figure_sections(metrics: Mapping[str, Any], curves: Mapping[str, Any]) -> list[Section]:
    """Metrics, thresholds, groups, and a comparison if there is one.

    Args:
        metrics: as metrics.json has them. curves: `engine.evaluate.curves.page_curves`.
    """
    found = [_measured(metrics, curves)]
    if curves["thresholds"] is not None:
        found.append(_explorer(curves["thresholds"]))
    found.append(Section("groups", "By magnification and patient", list(_groups(metrics))))
    if metrics.get("trained_on"):
        words = "The model has learned from these images, so these figures are no test of it."
        blocks = [_figure_table(metrics["trained_on"]["images"], "Training images")]
        found.append(Section("trained-on", "Training images", blocks, words))
    if "comparison" in metrics:
        found.append(_comparison(metrics["comparison"]))
    return found


def figure_warnings(metrics: Mapping[str, Any]) -> list[str]:
    """Why no figure is an estimate, or may not be one."""
    leaks = [f"this table is from a leaking split, so no figure is an estimate: {leak}" for leak in metrics["leaks"]]
    if metrics["may_leak"]:
        leaks.append(f"{metrics['may_leak']}; figures may be too high")
    if metrics["training_overlap"].get("all"):
        leaks.append(metrics["training_overlap"]["warning"])
    return leaks


def figure_notes(metrics: Mapping[str, Any]) -> list[str]:
    """Limits of the figures, without those that `figure_warnings` gives."""
    told = figure_warnings(metrics)
    return [words for words in metrics["warnings"] if words not in told]


def _measured(metrics: Mapping[str, Any], curves: Mapping[str, Any]) -> Section:
    images = metrics["images"]
    figures = read_figures(images, "images")
    specs = {spec.name: spec for spec in figures_in("images")}
    large = {specs[n].title: _text(figures[n], specs[n]) for n in _HEADLINES if n in figures}
    blocks: list[Block] = [Facts(large, large=True)]
    roc = curves["roc"]
    if roc is not None:
        blocks.append(_roc(roc, metrics))
    if curves["reliability"] is not None:
        positive = metrics["decision"]["positive"]
        data = {
            "bins": curves["reliability"],
            "xTitle": f"predicted probability of {positive}",
            "yTitle": f"observed fraction {positive}",
        }
        caption = "Bins with equally many images, with 95 % Wilson intervals; on the dashed line, probabilities hold."
        blocks.append(Chart("reliability", "reliability", data, "Reliability", caption))
    blocks += [_confusion(images["confusion"], metrics["unit"]), _figure_table(images, "All figures")]
    if "divisions" in metrics:
        rows = [(title, figure.text(spec.decimals)) for title, spec, figure in division_rows(metrics["divisions"])]
        title = f"Means over {metrics['divisions']['count']} divisions into folds"
        blocks.append(Table(["figure", ">mean"], rows, title, folded=True))
    return Section("metrics", "Metrics", blocks, _what_was_measured(metrics))


def _what_was_measured(metrics: Mapping[str, Any]) -> str:
    images, unit = metrics["images"], metrics["unit"]
    of = ", ".join(f"{n:,} {name}" for name, n in images["labels"].items())
    who = f" of {counted(images['patients'], 'known patient')}" if images["patients"] else ", patients unknown"
    unseen = " that the model was not trained on" if metrics.get("trained_on") else ""
    split = f" Predictions are {metrics['table']['split']}." if metrics["table"]["split"] else ""
    return f"{counted(images['count'], f'labeled {unit}')}{unseen} ({of}){who}.{split}"


def _roc(roc: Mapping[str, Any], metrics: Mapping[str, Any]) -> Chart:
    """ROC curves, with the AUROC that the metrics have where the curve is of all images or patients."""
    areas = {
        f"{metrics['unit']}s": metrics["images"]["auroc"],
        "patients (mean probability)": metrics["by_patient"].get("auroc"),
    }
    series = []
    for one in roc["series"]:
        area = Figure.from_json(areas[one["name"]]).text(to="–") if areas.get(one["name"]) else ""
        series.append({**one, "title": f"{one['name']}: AUROC {area}" if area else one["name"]})
    caption = "; ".join(
        f"{one['title']}, {one['positive']:,} positive and {one['negative']:,} negative" for one in series
    )
    caption = f"{caption[0].upper()}{caption[1:]}"
    if metrics["by_patient"].get("several_labels"):
        caption += f"; {left_out(metrics['by_patient'], 'patient')}"
    return Chart("roc", "roc", {"series": series, "threshold": roc["threshold"]}, "ROC", f"{caption}.")


def _confusion(matrix: Mapping[str, Any], unit: str) -> Block:
    classes, counts = matrix["classes"], matrix["true_by_predicted"]
    rows = [(name, *(f"{n:,}" for n in row)) for name, row in zip(classes, counts, strict=True)]
    if len(classes) > 8:
        return Table(["true \\ predicted", *(f">{name}" for name in classes)], rows, "Confusion matrix")
    words = "; ".join(
        f"true {name}: {', '.join(f'{n} as {other}' for n, other in zip(row[1:], classes, strict=True))}"
        for name, row in zip(classes, rows, strict=True)
    )
    data = {"classes": classes, "counts": counts}
    caption = f"Rows: true label; columns: decision on the {unit}. {words[0].upper()}{words[1:]}."
    return Chart("confusion", "confusion", data, "Confusion matrix", caption)


def _figure_table(images: Mapping[str, Any], title: str) -> Table:
    """Every figure with its interval and count."""
    figures = read_figures(images, "images")
    rows = [
        (spec.title, _text(figures[spec.name], spec), f"{figures[spec.name].count:,}")
        for spec in figures_in("images")
        if spec.name in figures
    ]
    note = interval_note(figures.values())
    reasons = [f"{', '.join(titles)}: {reason}" for reason, titles in undefined(figures).items()]
    note = "; ".join([note, *reasons])
    return Table(["figure", ">value", ">n"], rows, title, f"{note[0].upper()}{note[1:]}.")


def _explorer(thresholds: Mapping[str, Any]) -> Section:
    words = (
        f"Move the threshold to see what would change: an image at or above it is called {thresholds['positive']}, and "
        "every image gets a decision, unsure ones included. A threshold chosen on these labels looks better than it is."
    )
    if thresholds["own"] is None:
        words += " The table was decided with several thresholds, or none, so this starts at 0.5."
    return Section("thresholds", "Threshold explorer", [Widget("thresholds", thresholds)], words)


def _groups(metrics: Mapping[str, Any]) -> Iterator[Block]:
    """By magnification, slide and patient, and AUROC of each with its interval."""
    specs = figures_in("magnifications")
    rows, points = [], []
    for name, group in sorted(metrics["by_magnification"].items(), key=lambda item: _as_number(item[0])):
        title = "unknown magnification" if name == "unknown" else f"{name}x"
        of = f" of {counted(group['patients'], 'patient')}" if group.get("patients") else ""
        rows.append((title, f"{counted(group['count'], 'image')}{of}", *_cells(group, specs)))
        points.append((f"{title} ({group['count']:,})", Figure.from_json(group["auroc"])))
    for unit in ("slide", "patient"):
        group = metrics[f"by_{unit}"]
        if group["count"]:
            rows.append((f"{unit}s", counted(group["count"], unit), *_cells(group, specs)))
            points.append((f"{unit}s ({group['count']:,})", Figure.from_json(group.get("auroc"))))
    forest = [_point(f"all images ({metrics['images']['count']:,})", Figure.from_json(metrics["images"]["auroc"]))]
    forest += [_point(name, figure) for name, figure in points]
    known = [point for point in forest if point is not None]
    if known:
        data = {"rows": known, "reference": 0.5, "measure": "AUROC"}
        words = "With 95 % intervals; the dashed line is chance. In brackets: images, slides or patients."
        yield Chart("groups", "forest", data, "AUROC by group", words)
    notes = [left_out(metrics[f"by_{unit}"], unit) for unit in ("slide", "patient")]
    note = "; ".join(note for note in notes if note)
    headings = ["group", ">n", *(f">{spec.column}" for spec in specs)]
    yield Table(headings, rows, "Figures by group", f"{note[0].upper()}{note[1:]}." if note else "")
    yield from _patients(metrics["by_patient"])


def _patients(patient: Mapping[str, Any]) -> Iterator[Block]:
    listed = patient.get("patients") or []
    if not listed:
        return
    shown = listed[:_PATIENTS_SHOWN]
    rows = []
    for row in shown:
        mean = row["mean_prob"]
        probability = f"{mean:.3f}" if isinstance(mean, float) else f"{max(mean.values()):.3f}"
        right = f"{row['right']:,} of {row['count']:,}"
        rows.append((row["patient"], row["label"] or "several", right, probability))
    which = (
        "Patients" if len(shown) == patient["count"] else f"The worst {len(shown):,} of {patient['count']:,} patients"
    )
    headings = ["patient", "true label", ">images correct", ">mean probability"]
    yield Table(headings, rows, which, folded=len(rows) > 12)


def _comparison(found: Mapping[str, Any]) -> Section:
    this, other = found["this_name"], found["other_name"]
    figures = read_figures(found["differences"], "differences")
    rows, points = [], []
    for spec in figures_in("differences"):
        if spec.name in figures:
            both = (Figure.from_json({"value": found["differences"][spec.name][side]}) for side in ("this", "other"))
            rows.append((spec.title, *(_text(one, spec) for one in (*both, figures[spec.name]))))
            points.append(_point(spec.title, figures[spec.name]))
    test = found["mcnemar"]
    counts = [
        (f"{this} correct", f"{test['both_right']:,}", f"{test['only_this_right']:,}"),
        (f"{this} wrong", f"{test['only_other_right']:,}", f"{test['both_wrong']:,}"),
    ]
    data = {"rows": [point for point in points if point], "reference": 0, "measure": f"{this} minus {other}"}
    blocks: list[Block] = [
        Words([f"{words}." for words in found["words"]], listed=True),
        Table(["figure", f">{this}", f">{other}", ">difference"], rows, "Differences"),
        Table(["images", f">{other} correct", f">{other} wrong"], counts, "Decisions on the same images"),
    ]
    if data["rows"]:
        blocks.insert(1, Chart("difference", "forest", data, "Differences", "With 95 % intervals."))
    intro = f"On the {found['images']:,} labeled images of {found['patients']:,} known patients in both tables."
    return Section("comparison", f"{this} against {other}", blocks, intro)


def _cells(group: Mapping[str, Any], specs: Sequence[FigureSpec]) -> list[str]:
    return [_text(Figure.from_json(group.get(spec.name)), spec) for spec in specs]


def _text(figure: Figure, spec: FigureSpec) -> str:
    return figure.text(spec.decimals, to="–")


def _point(name: str, figure: Figure) -> dict[str, Any] | None:
    """A row of a forest chart; None if the figure is undefined."""
    if figure.value is None:
        return None
    low, high = figure.bounds or (None, None)
    return {"name": name, "value": figure.value, "low": low, "high": high}


def _as_number(name: str) -> float:
    return float("inf") if name == "unknown" else float(name)
