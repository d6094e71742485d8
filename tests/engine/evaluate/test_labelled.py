"""Images and slides of one table are judged apart."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cancernet_cli.cli.render.metrics import render_metrics
from cancernet_cli.core.errors import InputError
from cancernet_cli.engine.evaluate.labelled import decisions, kinds_in
from cancernet_cli.engine.evaluate.run import evaluate
from cancernet_cli.engine.evaluate.summary import summarise
from cancernet_cli.outputs.tables.predictions import table_schema

CLASSES = ("benign", "malignant")
# kind, status, true label, probability of malignant
ROWS = [
    ("image", "ok", "benign", 0.1),
    ("image", "ok", "malignant", 0.9),
    ("image", "failed", "malignant", None),
    ("slide", "ok", "benign", 0.8),
    ("slide", "partial", "malignant", 0.7),
    ("slide", "failed", "benign", None),
]


def write(path: Path, rows: list[tuple[str, str, str | None, float | None]]) -> Path:
    schema = table_schema(CLASSES, {"model": "tiny"})
    columns = {
        "path": [f"{i}.png" for i in range(len(rows))],
        "kind": [row[0] for row in rows],
        "status": [row[1] for row in rows],
        "true_label": [row[2] for row in rows],
        "prob_malignant": [row[3] for row in rows],
        "prob_benign": [None if row[3] is None else 1 - row[3] for row in rows],
        "label": [None if row[3] is None else CLASSES[row[3] >= 0.5] for row in rows],
        "decision_threshold": [0.5] * len(rows),
        "patient": [f"p{i}" for i in range(len(rows))],
    }
    arrays = [pa.array(columns[f.name], f.type) if f.name in columns else pa.nulls(len(rows), f.type) for f in schema]
    pq.write_table(pa.table(arrays, schema=schema), path)
    return path


def test_classify_measures_both_and_mixes_neither(tmp_path: Path) -> None:
    found = summarise(write(tmp_path / "t.parquet", ROWS), positive="malignant", classes=CLASSES)
    assert found is not None
    slides = found["whole_slides"]
    assert (found["unit"], found["images"]["count"], found["images"]["accuracy"]["value"]) == ("image", 2, 1.0)
    assert (slides["unit"], slides["images"]["count"], slides["images"]["accuracy"]["value"]) == ("slide", 2, 0.5)
    assert (found["images"]["auroc"]["value"], slides["images"]["auroc"]["value"]) == (1.0, 0.0)
    assert (found["failed_labelled"], slides["failed_labelled"]) == (1, 1)
    assert render_metrics(found)


def test_slides_alone_are_the_unit(tmp_path: Path) -> None:
    found = summarise(write(tmp_path / "t.parquet", ROWS[3:]), positive="malignant", classes=CLASSES)
    assert found is not None
    assert (found["unit"], found["images"]["count"], "whole_slides" in found) == ("slide", 2, False)


@pytest.mark.parametrize(
    ("kind", "unit", "accuracy"), [("auto", "image", 1.0), ("image", "image", 1.0), ("slide", "slide", 0.5)]
)
def test_evaluate_judges_the_kind_that_is_asked_for(tmp_path: Path, kind: str, unit: str, accuracy: float) -> None:
    table = write(tmp_path / "t.parquet", ROWS)
    metrics = evaluate(table, kind=kind, plots=False).metrics
    assert (metrics["unit"], metrics["images"]["accuracy"]["value"]) == (unit, accuracy)
    said = [words for words in metrics["warnings"] if "--kind slide" in words]
    assert said == (["slides are omitted; --kind slide evaluates them"] if kind == "auto" else [])


def test_evaluate_takes_slides_where_no_image_has_a_label(tmp_path: Path) -> None:
    rows = [(kind, status, None if kind == "image" else true, p) for kind, status, true, p in ROWS]
    assert evaluate(write(tmp_path / "t.parquet", rows), plots=False).metrics["unit"] == "slide"


def test_a_kind_that_is_not_there_is_said(tmp_path: Path) -> None:
    table = write(tmp_path / "t.parquet", ROWS[:3])
    assert kinds_in(table) == ["image"]
    with pytest.raises(InputError, match="no slide in"):
        evaluate(table, kind="slide")


def unsure_table(path: Path) -> Path:
    """Four images by the threshold 0.6, of which the middle two are unsure: one of them right."""
    rows = [
        ("image", "ok", true, p)
        for true, p in (("benign", 0.2), ("benign", 0.55), ("benign", 0.65), ("malignant", 0.9))
    ]
    table = pq.read_table(write(path, rows))
    labels = pa.array(["benign", "unsure", "unsure", "malignant"]).cast(table.schema.field("label").type)
    table = table.set_column(table.schema.get_field_index("label"), "label", labels)
    thresholds = pa.array([0.6] * 4, pa.float32())
    table = table.set_column(table.schema.get_field_index("decision_threshold"), "decision_threshold", thresholds)
    pq.write_table(table, path)
    return path


def test_an_unsure_label_counts_as_the_decision_behind_it_except_among_the_covered(tmp_path: Path) -> None:
    path = unsure_table(tmp_path / "t.parquet")
    found = summarise(path, positive="malignant", classes=CLASSES)
    assert found is not None
    images = found["images"]
    assert (images["count"], images["unsure"], found["unusable"]) == (4, 2, 0)
    assert {name: images["confusion"][name] for name in ("tn", "fp", "fn", "tp")} == {
        "tn": 2,
        "fp": 1,
        "fn": 0,
        "tp": 1,
    }
    assert (images["accuracy"]["value"], images["specificity"]["value"]) == (0.75, pytest.approx(2 / 3))
    assert (images["coverage"]["value"], images["covered_accuracy"]["value"]) == (0.5, 1.0)
    assert any("2 of 4 labelled images are unsure" in words for words in found["warnings"])
    assert evaluate(path, out=tmp_path / "e", plots=False).metrics["images"] == images
    report = (tmp_path / "e" / "report.md").read_text()
    assert "accuracy of the covered" in report


def test_the_decision_behind_an_unsure_label_does_not_depend_on_the_positive_class(tmp_path: Path) -> None:
    path = unsure_table(tmp_path / "t.parquet")
    found = evaluate(path, out=tmp_path / "e", plots=False, positive="benign").metrics["images"]
    assert {name: found["confusion"][name] for name in ("tn", "fp", "fn", "tp")} == {"tn": 1, "fp": 0, "fn": 1, "tp": 2}


def test_another_threshold_decides_on_every_image(tmp_path: Path) -> None:
    path = unsure_table(tmp_path / "t.parquet")
    found = evaluate(path, out=tmp_path / "e", plots=False, threshold=0.7).metrics["images"]
    assert "unsure" not in found
    assert found["accuracy"]["value"] == 1


def test_tables_with_unsure_labels_are_compared_on_all_their_images(tmp_path: Path) -> None:
    one, other = unsure_table(tmp_path / "t.parquet"), tmp_path / "all.parquet"
    labels = pa.array(["benign", "benign", "malignant", "malignant"])
    table = pq.read_table(one)
    pq.write_table(table.set_column(table.schema.get_field_index("label"), "label", labels), other)
    found = evaluate(one, out=tmp_path / "e", plots=False, against=other).metrics["comparison"]
    assert (found["images"], found["unusable"]) == (4, 0)
    assert found["mcnemar"]["only_this_right"] == found["mcnemar"]["only_other_right"] == 0


def test_without_a_threshold_the_most_probable_class_is_behind_an_unsure_label() -> None:
    rows = pa.table(
        {
            "label": ["unsure", "c", "unsure"],
            "prob_a": [0.5, 0.1, None],
            "prob_b": [0.3, 0.1, None],
            "prob_c": [0.2, 0.8, None],
            "decision_threshold": pa.nulls(3, pa.float32()),
        }
    )
    predicted, unsure = decisions(rows, ("a", "b", "c"))
    assert (predicted.tolist(), unsure.tolist()) == ([0, 2, -1], [True, False, True])
