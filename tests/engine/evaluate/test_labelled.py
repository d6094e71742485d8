"""Images and slides of one table are judged apart."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cancernet_cli.cli.render.metrics import render_metrics
from cancernet_cli.core.errors import InputError
from cancernet_cli.engine.evaluate.labelled import kinds_in
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
