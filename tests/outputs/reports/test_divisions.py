"""The section of an evaluation report on repeated divisions into folds."""

from __future__ import annotations

from cancernet_cli.core.figures import Figure, Interval
from cancernet_cli.outputs.reports.divisions import divisions_section


def test_each_division_has_a_column() -> None:
    auroc = Figure(0.8, 40, interval=Interval(0.7, 0.9, "patient", 10, 1000), each=(0.75, 0.85))
    undefined = Figure(None, 0, "no image is malignant")
    images = {"auroc": auroc.to_json(), "recall": undefined.to_json(), "patients": 10}
    found = {"count": 2, "images": images, "by_patient": {}, "by_magnification": {"40": {**images, "patients": 1}}}
    title, words, table = divisions_section(found)
    assert title == "## Mean of 2 divisions into folds"
    assert "not trained on its patient" in words
    assert "95 % bootstrap interval over 10 patients" in words
    assert table.splitlines()[2:] == [
        "| AUROC | 0.800 (0.700 to 0.900) | 0.750 to 0.850 | 40 | 0.750 | 0.850 |",
        "| sensitivity (recall) | - | - | 0 | - | - |",
        "| AUROC (40x, 1 patient) | 0.800 (0.700 to 0.900) | 0.750 to 0.850 | 40 | 0.750 | 0.850 |",
    ]
