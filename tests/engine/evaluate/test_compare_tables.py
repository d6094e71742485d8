"""Two tables against each other: joined by path, told apart, refused where they do not fit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from sklearn.metrics import roc_auc_score

from cancernet_cli import EvaluateOptions, evaluate
from cancernet_cli.core.errors import InputError
from cancernet_cli.engine.evaluate.run import Evaluation
from cancernet_cli.outputs.plots import canvas
from tests.prediction_tables import CLASSES, OURS, write_predictions


def against(this: Path, other: Path, **more: Any) -> Evaluation:
    return evaluate(
        this, EvaluateOptions(**{"resamples": 100, "plots": False, "against": other, "overwrite": True, **more})
    )


@pytest.fixture
def good(tmp_path: Path) -> Path:
    return write_predictions(tmp_path / "good.parquet", metadata=OURS, spread=0.1)


def test_the_same_table_in_another_order_differs_by_nothing(good: Path, tmp_path: Path) -> None:
    order = np.random.default_rng(1).permutation(80)
    shuffled = write_predictions(tmp_path / "shuffled.parquet", metadata=OURS, spread=0.1, order=order)
    found = against(good, shuffled).metrics["comparison"]
    for entry in found["differences"].values():
        assert (entry["value"], entry["low"], entry["high"]) == (0, 0, 0)
    assert found["mcnemar"]["p_value"] == 1
    assert (found["images"], found["patients"]) == (80, 16)
    assert found["warnings"] == []
    assert (
        "AUROC: no clear difference; the 95 % interval of the difference, +0.000 to +0.000, includes 0"
        in found["words"]
    )


def test_the_better_one_is_named_and_mcnemar_counted(good: Path, tmp_path: Path) -> None:
    poor = write_predictions(tmp_path / "poor.parquet", metadata=OURS, seed=1, spread=0.6, order=range(79, -1, -1))
    found = against(good, poor).metrics["comparison"]
    a, b = (pq.read_table(path).sort_by("path").to_pydict() for path in (good, poor))
    assert a["path"] == b["path"]
    true = np.array(a["true_label"]) == "malignant"
    aurocs = [roc_auc_score(true, one["prob_malignant"]) for one in (a, b)]
    auroc = found["differences"]["auroc"]
    assert [auroc["this"], auroc["other"], auroc["value"]] == pytest.approx([*aurocs, aurocs[0] - aurocs[1]])
    right = [np.array(one["label"]) == np.array(one["true_label"]) for one in (a, b)]
    assert found["mcnemar"]["only_this_right"] == (right[0] & ~right[1]).sum()
    assert found["mcnemar"]["both_wrong"] == (~right[0] & ~right[1]).sum()
    assert auroc["verdict"] == "this"
    assert found["words"][0].startswith(f"AUROC: good is better by {auroc['value']:.3f}; the 95 % interval")
    assert against(poor, good).metrics["comparison"]["words"][0].startswith("AUROC: good is better by")
    assert found["words"][-1].startswith("McNemar's exact test: ")


def test_what_only_one_table_hnone_counted_and_said(good: Path, tmp_path: Path) -> None:
    fewer = write_predictions(
        tmp_path / "fewer.parquet",
        metadata=OURS,
        order=[*range(70), *range(75, 80)],
        status=["failed", *["ok"] * 79],
        path=[f"{CLASSES[i % 2]}/{i if i < 78 else i + 1000}.png" for i in range(80)],
    )
    found = against(good, fewer).metrics["comparison"]
    assert (found["unmatched_this"], found["unmatched_other"], found["unusable"], found["images"]) == (7, 2, 1, 72)
    assert "7 rows of good have a path that is not in fewer; they are not compared" in found["warnings"]
    assert "2 rows of fewer have a path that is not in good; they are not compared" in found["warnings"]
    assert "1 images failed in one of the tables or have no label; they are not compared" in found["warnings"]


def test_labels_and_patients_come_from_whichever_table_has_them(good: Path, tmp_path: Path) -> None:
    bare = write_predictions(tmp_path / "bare.parquet", metadata=OURS, true_label=None, patient=None, seed=1)
    found = against(good, bare).metrics["comparison"]
    assert (found["images"], found["patients"]) == (80, 16)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"path": [f"other/{i}.png" for i in range(80)]},
            r"no path in .*good.parquet is in .*; compare tables of the same",
        ),
        (
            {"true_label": ["malignant"] * 80},
            "have different true labels for 40 images: 'benign/0.png' is 'benign' in one and 'malignant' in the other",
        ),
        ({"path": ["benign/0.png"] * 80}, "has 79 duplicate paths; compare tables with one row per file"),
        ({"prob_benign": None, "prob_normal": [0.5] * 80}, "has the classes benign, malignant, .* has .*normal"),
        ({"status": ["failed"] * 80}, "none of the 80 images .* share has a label and a prediction in both"),
        ({"metadata": None}, "is not a predictions table"),
    ],
)
def test_tables_that_do_not_fit_are_refused(change: dict[str, Any], message: str, good: Path, tmp_path: Path) -> None:
    other = write_predictions(tmp_path / "other.parquet", **{"metadata": OURS, **change})
    with pytest.raises(InputError, match=message):
        against(good, other)
    assert not (tmp_path / "good.evaluation").exists()


def test_given_labels_settle_a_conflict(good: Path, tmp_path: Path) -> None:
    other = write_predictions(tmp_path / "other.parquet", metadata=OURS, true_label=["malignant"] * 80)
    labels = tmp_path / "labels.csv"
    names = pq.read_table(good)["path"].to_pylist()
    labels.write_text("\n".join(["path,label", *(f"{name},{name.split('/')[0]}" for name in names)]))
    found = against(good, other, labels=labels).metrics["comparison"]
    assert found["images"] == 80
    assert found["differences"]["auroc"]["this"] > 0.9


def test_one_threshold_decides_both(good: Path, tmp_path: Path) -> None:
    other = write_predictions(tmp_path / "other.parquet", metadata=OURS, seed=1)
    found = against(good, other, threshold=0.0).metrics["comparison"]["mcnemar"]
    assert (found["both_right"], found["both_wrong"]) == (40, 40)


def test_a_leak_in_the_other_table_stamps_the_comparison_alone(
    good: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(canvas, "DPI", 40)
    stamped: list[str] = []
    save = canvas._stamp
    monkeypatch.setattr(
        canvas, "_stamp", lambda figure, lines, *rest: (stamped.append(lines[0]), save(figure, lines, *rest))
    )
    other = write_predictions(
        tmp_path / "other.parquet", metadata={**OURS, "leaks": "patient p1 on both sides"}, seed=1
    )
    found = against(good, other, plots=True)
    assert found.metrics["leaks"] == []
    assert found.metrics["comparison"]["leaks"] == ["patient p1 on both sides"]
    assert stamped == ["LEAKING SPLIT: patient p1 on both sides"] * 2
    assert {"difference", "roc_comparison"} <= set(found.plots)
    text = found.report_file.read_text()
    assert "other is from a leaking split, so the comparison means nothing" in text
    assert "![difference](plots/difference.png)" in text


def test_tables_of_the_same_name_are_told_apart_by_their_folder(good: Path, tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    old = write_predictions(tmp_path / "old" / "good.parquet", metadata=OURS, seed=1)
    found = against(good, old).metrics["comparison"]
    assert (found["this_name"], found["other_name"]) == (f"{tmp_path.name}/good", "old/good")
