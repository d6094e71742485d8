"""The summary of a predictions table."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sklearn.metrics import roc_auc_score

from cancernet_cli.core.errors import InputError, OutputError
from cancernet_cli.engine.evaluate.summary import summarise, write_metrics

CLASSES = ("benign", "malignant")


def write_table(path: Path, **columns: Any) -> Path:
    """A predictions table of 40 images of 8 patients, some columns replaced; None leaves a column out."""
    rng = np.random.default_rng(0)
    who = np.arange(40) % 8
    true = who % 2
    p = np.clip(rng.normal(0.35 + 0.3 * true, 0.2), 0.01, 0.99).astype(np.float32)
    dictionary = pa.dictionary(pa.int32(), pa.string())
    table = {
        "path": [f"{i}.png" for i in range(40)],
        "status": pa.array(["ok"] * 40).cast(dictionary),
        "label": pa.array([CLASSES[int(x >= 0.4)] for x in p]).cast(dictionary),
        "prob_benign": 1 - p,
        "prob_malignant": p,
        "decision_threshold": pa.array([0.4] * 40, pa.float32()),
        "patient": pa.array([f"p{i}" for i in who]).cast(dictionary),
        "magnification": pa.array([40.0, 100.0] * 20, pa.float32()),
        "true_label": pa.array([CLASSES[i] for i in true]).cast(dictionary),
    }
    table |= columns
    table = {name: column for name, column in table.items() if column is not None}
    pq.write_table(pa.table(table), path, row_group_size=7)
    return path


def summary(path: Path, **more: Any) -> dict[str, Any]:
    found = summarise(path, positive="malignant", classes=CLASSES, **more)
    assert found is not None
    json.dumps(found, allow_nan=False)
    return found


def test_figures_equal_scikit_learn_on_the_table(tmp_path: Path) -> None:
    path = write_table(tmp_path / "t.parquet")
    frame = pq.read_table(path).to_pydict()
    found = summary(path)
    true = np.array([label == "malignant" for label in frame["true_label"]])
    images = found["images"]
    assert images["count"] == 40
    assert images["patients"] == 8
    assert images["auroc"]["value"] == pytest.approx(roc_auc_score(true, frame["prob_malignant"]))
    assert images["accuracy"]["value"] == np.mean(np.array(frame["label"]) == np.array(frame["true_label"]))
    assert images["accuracy"]["low"] <= images["accuracy"]["value"] <= images["accuracy"]["high"]
    assert found["decision"] == {
        "classes": ["benign", "malignant"],
        "positive": "malignant",
        "thresholds": [pytest.approx(0.4)],
    }
    assert {name: m["count"] for name, m in found["by_magnification"].items()} == {"40": 20, "100": 20}
    assert found["by_patient"]["count"] == 8
    assert found["schema"] == 1
    assert found["warnings"] == [
        "few patients (4 benign, 4 malignant): a single atypical patient moves every figure, whatever the interval"
    ]


def test_the_positive_class_may_come_first(tmp_path: Path) -> None:
    path = write_table(tmp_path / "t.parquet")
    forwards = summary(path)
    backwards = summarise(path, positive="malignant", classes=CLASSES[::-1])
    assert backwards == forwards
    benign = summarise(path, positive="benign", classes=CLASSES)
    assert benign is not None
    assert benign["images"]["recall"]["value"] == forwards["images"]["specificity"]["value"]


def test_plain_strings_read_like_dictionaries(tmp_path: Path) -> None:
    dictionary = pq.read_table(write_table(tmp_path / "d.parquet"))
    plain = [c.cast(pa.string()) if pa.types.is_dictionary(c.type) else c for c in dictionary.columns]
    pq.write_table(pa.table(plain, names=dictionary.column_names), tmp_path / "p.parquet")
    assert summary(tmp_path / "p.parquet") == summary(tmp_path / "d.parquet")


def test_failed_and_unlabelled_rows_are_counted_and_left_out(tmp_path: Path) -> None:
    status = ["failed"] * 2 + ["ok"] * 38
    true = [None, "benign", None, *(CLASSES[i % 2] for i in range(3, 40))]
    nothing = [None, None, *([0.5] * 38)]
    path = write_table(
        tmp_path / "t.parquet",
        status=status,
        true_label=true,
        prob_benign=pa.array(nothing, pa.float32()),
        prob_malignant=pa.array(nothing, pa.float32()),
        label=[None, None, *(["malignant"] * 38)],
    )
    found = summary(path)
    counts = {name: found[name] for name in ("failed", "failed_labelled", "unlabelled", "unusable")}
    assert counts == {"failed": 2, "failed_labelled": 1, "unlabelled": 1, "unusable": 0}
    assert found["images"]["count"] == 37
    assert "1 of the files that failed have a label; no figure includes them" in found["warnings"]


def test_labels_and_predictions_that_cannot_be_used(tmp_path: Path) -> None:
    true = ["normal", "normal", *(CLASSES[i % 2] for i in range(2, 40))]
    probs = pa.array([0.5] * 39 + [float("nan")], pa.float32())
    found = summary(write_table(tmp_path / "t.parquet", true_label=true, prob_malignant=probs))
    assert found["unknown_labels"] == {"normal": 2}
    assert found["unusable"] == 1
    assert found["images"]["count"] == 37
    assert "some labels are not classes of the model; no figure includes them: 'normal' (2)" in found["warnings"]


def test_no_label_no_summary(tmp_path: Path) -> None:
    for true in (None, pa.nulls(40, pa.string()), pa.nulls(40, pa.dictionary(pa.int32(), pa.string()))):
        path = write_table(tmp_path / "t.parquet", true_label=true)
        assert summarise(path, positive="malignant", classes=CLASSES) is None
    pq.write_table(pq.read_table(write_table(path)).slice(0, 0), path)
    assert summarise(path, positive="malignant", classes=CLASSES) is None


def test_patients_of_the_training_data_are_set_apart(tmp_path: Path) -> None:
    path = write_table(tmp_path / "t.parquet")
    found = summary(path, seen_patients={"p0", "p1", "p99"}, seen_note="card of m")
    assert found["training_overlap"] == {
        "images": 10,
        "patients": 2,
        "recognized": 0,
        "note": "card of m",
        "patient_names": ["p0", "p1"],
        "all": False,
        "warning": "the model was trained on 10 of 40 labelled images (2 patients by name; card of m), and figures of "
        "them are kept apart",
    }
    assert found["warnings"][0] == found["training_overlap"]["warning"]
    assert found["images"]["count"] == 30
    assert found["by_patient"]["count"] == 6
    assert found["trained_on"]["images"]["count"] == 10
    everyone = summary(path, seen_patients={f"p{i}" for i in range(8)})
    assert everyone["images"]["count"] == 40
    assert "trained_on" not in everyone
    assert everyone["training_overlap"]["all"]
    assert everyone["warnings"][0].endswith("so no figure is a test of the model")
    nobody = summary(path, seen_patients={"other"})
    assert nobody["training_overlap"] == {"images": 0, "patients": 0, "recognized": 0, "note": ""}
    assert "trained_on" not in nobody


def test_recognized_training_images_are_set_apart(tmp_path: Path) -> None:
    seen = [True] * 3 + [False] * 36 + [None]
    path = write_table(tmp_path / "t.parquet", seen_in_training=seen)
    found = summary(path)
    assert found["images"]["count"] == 37
    assert found["trained_on"]["images"]["count"] == 3
    assert found["training_overlap"]["recognized"] == 3
    assert "trained on 3 of 40 labelled images (3 recognized by their pixels)" in found["warnings"][0]
    both = summary(path, seen_patients={"p0"})
    assert both["images"]["count"] + both["trained_on"]["images"]["count"] == 40
    assert both["training_overlap"]["images"] > 3


def test_a_table_without_patients_or_magnifications(tmp_path: Path) -> None:
    found = summary(write_table(tmp_path / "t.parquet", patient=None, magnification=None))
    assert found["images"]["auroc"]["interval_unit"] == "image"
    assert list(found["by_magnification"]) == ["unknown"]
    assert found["by_patient"] == {"count": 0, "images_without_patient": 40}
    assert "the patient of 40 of 40 labelled images is unknown" in found["warnings"][0]


def test_three_classes(tmp_path: Path) -> None:
    probs = np.random.default_rng(0).dirichlet([1, 1, 1], 40).astype(np.float32)
    columns = {f"prob_{name}": probs[:, k] for k, name in enumerate("abc")}
    label, true = ["abc"[k] for k in probs.argmax(1)], ["abc"[i % 3] for i in range(40)]
    path = write_table(tmp_path / "t.parquet", label=label, true_label=true, decision_threshold=None, **columns)
    found = summarise(path, positive="", classes="abc")
    assert found is not None
    assert found["decision"] == {"classes": ["a", "b", "c"], "positive": None, "thresholds": []}
    assert 0 < found["images"]["auroc"]["value"] < 1
    json.dumps(found, allow_nan=False)


def test_what_is_no_predictions_table_is_refused(tmp_path: Path) -> None:
    path = write_table(tmp_path / "t.parquet", prob_malignant=None)
    with pytest.raises(InputError, match="has no column prob_malignant; name a table"):
        summary(path)
    path.write_bytes(b"text")
    with pytest.raises(InputError, match="cannot be read as a predictions table"):
        summary(path)


def test_metrics_are_written_stable(tmp_path: Path) -> None:
    found = summary(write_table(tmp_path / "t.parquet"))
    write_metrics(found, tmp_path / "m.json")
    first = (tmp_path / "m.json").read_bytes()
    assert json.loads(first) == found
    write_metrics(dict(reversed(found.items())), tmp_path / "m.json")
    assert (tmp_path / "m.json").read_bytes() == first
    with pytest.raises(OutputError):
        write_metrics(found, tmp_path)
