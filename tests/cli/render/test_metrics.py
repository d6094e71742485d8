"""Metrics and predictions on a terminal of 80 columns, with and without colour."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from rich.console import Console, RenderableType

from cancernet_cli.cli.render.metrics import render_metrics
from cancernet_cli.cli.render.predictions import render_predictions
from cancernet_cli.core.figures import Figure, Interval, plain, read_figures
from cancernet_cli.metrics.groups import grouped_metrics
from cancernet_cli.metrics.scores import Scores


def text_of(renderable: RenderableType, *, width: int = 80, colour: bool = False, encoding: str = "utf-8") -> str:
    raw = io.BytesIO()
    file = io.TextIOWrapper(raw, encoding=encoding)
    Console(file=file, width=width, no_color=not colour, force_terminal=colour, highlight=False).print(renderable)
    file.flush()
    return raw.getvalue().decode(encoding)


def metrics_of(scores: Scores, **more: Any) -> dict[str, Any]:
    found = {"warnings": [], "training_overlap": {"images": 0}, **plain(grouped_metrics(scores)), **more}
    return json.loads(json.dumps(found, sort_keys=True, allow_nan=False))  # as a metrics file gives it back


def cohort(patients: int = 12) -> Scores:
    rng = np.random.default_rng(0)
    who = np.arange(240) % patients
    y = who % 2
    p = np.clip(rng.normal(0.3 + 0.4 * y, 0.2), 0, 1)
    names = [f"14-{i:05}" for i in range(patients)]
    return Scores.of(y, p, patients=who, patient_names=names, magnifications=[40.0, 100.0, 400.0] * 80)


def test_every_figure_with_its_interval_and_count() -> None:
    metrics = metrics_of(cohort())
    shown = text_of(render_metrics(metrics))
    auroc = metrics["images"]["auroc"]
    assert f"AUROC {auroc['value']:>17.2f} ({auroc['low']:.2f}-{auroc['high']:.2f})  240".split() in [
        line.split()[:4] for line in shown.splitlines()
    ]
    for name in ("accuracy", "sensitivity (recall)", "specificity", "F1", "AUPRC", "log loss", "Brier score", "ECE"):
        assert f"\n{name}" in shown
    assert "240 labelled images (120 benign, 120 malignant) of 12 known patients" in shown
    assert "95 % bootstrap interval over 12 patients" in shown
    confusion = metrics["images"]["confusion"]
    assert "TN {tn}  FP {fp}  FN {fn}  TP {tp}".format(**confusion) in shown
    assert "By patient (12): AUROC" in shown
    rows = [line.split()[0] for line in shown.splitlines() if line.strip()]
    assert [row for row in rows if row.endswith("0x")] == ["40x", "100x", "400x"]
    assert metrics["by_patient"]["patients"][0]["patient"] in shown


@pytest.mark.parametrize("width", [60, 80, 100, 200])
def test_fits_the_terminal(width: int) -> None:
    shown = text_of(render_metrics(metrics_of(cohort())), width=width)
    assert max(map(len, shown.splitlines())) <= width
    assert "…" not in shown


def test_no_number_is_cut_on_a_narrow_terminal() -> None:
    metrics = metrics_of(cohort())
    wide, narrow = (text_of(render_metrics(metrics), width=width) for width in (200, 60))
    figures = read_figures(metrics["images"], "images").values()
    for figure in figures:
        assert figure.text() in wide
        assert figure.text() in narrow
    known = set(wide.split())
    numbers = [word for word in narrow.split() if word[0].isdigit()]
    assert numbers
    assert all(word in known for word in numbers)
    assert "(too narrow for weighted AUROC, accuracy, F1, ECE)" in narrow


def test_without_colour_there_are_no_escapes_and_nothing_is_lost() -> None:
    metrics = metrics_of(cohort(), warnings=["few patients"])
    assert "\x1b" not in text_of(render_metrics(metrics))
    assert "\x1b" in text_of(render_metrics(metrics), colour=True)
    assert "warning: few patients" in text_of(render_metrics(metrics))


def test_undefined_figures_are_dashes_with_their_reason() -> None:
    shown = text_of(render_metrics(metrics_of(Scores.of([0, 0, 0], [0.1, 0.2, 0.3], patients=[0, 0, 1]))))
    assert "- precision (PPV): no image was classified as malignant" in shown
    assert "- AUROC, case-weighted AUROC, AUPRC: only one class among the true" in shown
    assert "- by patient, AUROC: only one class among the true labels" in shown
    assert " nan" not in shown.lower()
    two = Scores.of([0, 0, 1, 1], [0.3, 0.6, 0.9, 0.2], patients=[0, 0, 1, 1])
    assert "no 95 % intervals: fewer than 2 patients of a class" in text_of(render_metrics(metrics_of(two)))
    one = text_of(render_metrics(metrics_of(Scores.of([0, 1], [0.1, 0.9], patients=[0, 1]))))
    assert "1.00 (at least 0.05)" in one
    assert "at least, at most: exact one-sided 95 % bound" in one
    assert "\nworst patients" not in one


def test_training_images_come_last_and_are_stamped() -> None:
    scores = cohort()
    overlap = {"images": 20, "patients": 1, "all": False, "warning": "and figures of them are kept apart"}
    trained = plain(grouped_metrics(scores.where(scores.patients == 0)))
    others = scores.where(scores.patients != 0)
    more = {"training_overlap": overlap, "warnings": [overlap["warning"]], "trained_on": trained}
    shown = text_of(render_metrics(metrics_of(others, **more)))
    assert "warning: and figures of them are kept apart" in shown
    assert shown.index("Images the model was not trained on") < shown.index("Training images: not a test of the model")
    assert "\n20 images: AUROC" in shown
    alone = {"training_overlap": {**overlap, "all": True}}
    assert "\nTraining images: not a test of the model\n" in text_of(render_metrics(metrics_of(scores, **alone)))


def test_figures_by_slide_and_patient_tell_what_they_omit() -> None:
    labels, probs = [0, 1, 0, 1, 1], [0.1, 0.9, 0.2, 0.8, 0.7]
    scores = Scores.of(labels, probs, patients=[0, 1, 2, 2, -1], slides=[0, 1, 2, 2, -1], patient_names=["a", "b", "c"])
    shown = " ".join(text_of(render_metrics(metrics_of(scores))).split())
    assert "by slide, omitted: 1 of 5 images, whose slide is unknown; 1 of 3 slides, whose images have several" in shown
    assert "by patient, omitted: 1 of 5 images, whose patient is unknown; 1 of 3 patients, whose images have" in shown
    whole = Scores.of([0, 1], [0.1, 0.9], patients=[0, 1], slides=[0, 1], patient_names=["a", "b"])
    assert "omitted" not in text_of(render_metrics(metrics_of(whole)))


def test_nothing_is_said_of_patients_whom_nobody_knows() -> None:
    shown = text_of(render_metrics(metrics_of(Scores.of([0, 1] * 20, [0.1, 0.9] * 20, magnifications=[40, 100] * 20))))
    assert "(20 benign, 20 malignant), patients unknown" in " ".join(shown.split())
    assert "patients" not in shown.replace("patients unknown", "")


def test_unknown_patients_and_more_classes() -> None:
    probs = np.eye(3)[[0, 1, 2, 1]] * 0.7 + 0.1
    classes = ("adenosis", "a_class_with_a_very_long_name", "[bold]markup")
    shown = text_of(render_metrics(metrics_of(Scores.of([0, 1, 2, 0], probs, classes=classes))))
    assert "[bold]markup" in shown
    assert [line.split() for line in shown.splitlines() if line.startswith(("1 ", "2 ", "3 "))] == [
        ["1", "adenosis", "1", "1", "0"],
        ["2", "a_class_with_a_very...", "0", "1", "0"],
        ["3", "[bold]markup", "0", "0", "1"],
    ]
    assert "By patient" not in shown


def test_figures_as_text() -> None:
    figure = Figure(0.912, interval=Interval(0.85, 0.951))
    assert figure.text() == "0.91 (0.85-0.95)"
    assert figure.text(3, to=" to ") == "0.912 (0.850 to 0.951)"
    assert figure.text(interval=False) == "0.91"
    assert Figure(0.5, interval=Interval()).text() == "0.50"
    assert Figure(None).text() == "-"


def row(path: str, **more: Any) -> dict[str, Any]:
    probs = {"label": "malignant", "prob_benign": 0.027, "prob_malignant": 0.973}
    return {"path": path, "status": "ok", "error": "", "true_label": None, **probs, **more}


def test_predictions() -> None:
    failed = {"status": "failed", "error": "decode: ImageError: cut short", "label": None, "prob_malignant": None}
    rows = [
        row("a.png", true_label="malignant"),
        row("b.png", true_label="benign"),
        row("c.png"),
        row("d.png", **failed),
        row("e\n[b]\x1b[31m.png", prob_malignant=0.9999),
    ]
    lines = [line.split() for line in text_of(render_predictions(rows)).splitlines()[2:]]
    assert [[w for w in line if "━" not in w and "╸" not in w] for line in lines] == [
        ["a.png", "malignant", "97.3", "%", "correct", "ok"],
        ["b.png", "malignant", "97.3", "%", "wrong", "(benign)", "ok"],
        ["c.png", "malignant", "97.3", "%", "ok"],
        ["d.png", "-", "-", "failed"],
        [r"e\n[b]\x1b[31m.png", "malignant", ">99.9", "%", "ok"],
    ]


def test_an_unsure_label_shows_the_most_probable_class_and_no_verdict() -> None:
    row = {"path": "a.png", "status": "ok", "label": "unsure", "prob_benign": 0.41, "prob_malignant": 0.59}
    shown = text_of(render_predictions([{**row, "true_label": "benign"}])).splitlines()[-1]
    assert shown.split() == ["a.png", "unsure", "malignant", "59.0", "%", *shown.split()[5:-2], "benign", "ok"]
    assert "wrong" not in shown
    assert "correct" not in shown


def test_figures_of_the_covered_stand_below_the_usual_ones() -> None:
    scores = cohort()
    unsure = (scores.probs[:, 1] > 0.4) & (scores.probs[:, 1] < 0.6)
    assert 0 < unsure.sum() < len(unsure)
    shown = text_of(render_metrics(metrics_of(replace(scores, unsure=unsure))))
    for title in ("coverage", "accuracy of the covered", "sensitivity of the covered", "specificity of the covered"):
        assert title in shown
    assert "covered" not in text_of(render_metrics(metrics_of(scores)))


def test_a_long_path_loses_its_beginning_and_nothing_else_is_cut() -> None:
    shown = text_of(render_predictions([row("deep/" * 40 + "the_end.png", true_label="benign")]))
    assert all(word in shown for word in ("...", "/the_end.png", "malignant", "97.3 %", "wrong (benign)", "ok"))
    assert max(map(len, shown.splitlines())) <= 80


def test_no_truth_no_column_and_no_rows_no_crash() -> None:
    assert "truth" not in text_of(render_predictions([row("a.png")]))
    assert "file" in text_of(render_predictions([]))


def test_terminals_without_unicode() -> None:
    rows = [row("a.png", true_label="benign")]
    assert "97.3 %" in text_of(render_predictions(rows), encoding="ascii")
    assert "AUROC" in text_of(render_metrics(metrics_of(cohort())), encoding="ascii")
